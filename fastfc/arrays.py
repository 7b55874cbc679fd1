"""What is asked of every array that people pass, whoever computes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .arguments import check_dense, shown
from .foreign import adopt, read

# Decorates what computes with NumPy and calls nobody else's code: infinities and NaN are results
# like any other, as in the core, whatever the caller has told np.seterr or the warnings module.
quiet = np.errstate(all="ignore")

if TYPE_CHECKING:
    from typing import Any

    from ._types import AnyArray, Array, ArrayLike


# What batch normalisation warns of, as the core does.
VARIANCE_BEYOND = (
    "batchnorm_forward: the variance of a feature is beyond the largest number of its dtype; its "
    "running mean and variance stay as they were"
)


def to_array(name: str, value: Any) -> AnyArray:
    """Return what people pass for an array as one: what every function does, in C and in Python.

    Memory is shared where NumPy can read it as it lies, whoever made it; see
    `fastfc.foreign.adopt`.

    Parameters
    ----------
    name : str
        The argument's, for messages.
    value : array_like

    Returns
    -------
    ndarray
        Of whatever it holds, text and objects too.

    Raises
    ------
    TypeError
        A sparse matrix, or an array or a table that NumPy cannot read.
    ValueError
        Masked or missing values, or lists of different lengths.

    Examples
    --------
    >>> to_array("x", [[1, 2], [3]])
    Traceback (most recent call last):
    ValueError: x is not an array of numbers: ...
    """
    if type(value) is np.ndarray:
        return value
    check_dense(name, value)
    return read(name, adopt(name, value))


def to_examples(name: str, value: Any) -> Any:
    """Return examples that lie in memory as an array, others, as those in files, as they are.

    Raises
    ------
    TypeError, ValueError
        As `to_array`.
    """
    if type(value) is np.ndarray:
        return value
    check_dense(name, value)
    return adopt(name, value)


def as_arrays(operation: str, **values: ArrayLike) -> list[AnyArray]:
    """Return the values, as a list, as arrays of whatever they hold."""
    return [to_array(f"{operation}: {name}", value) for name, value in values.items()]


def as_real(operation: str, **arrays: ArrayLike) -> list[Array]:
    """Return the arrays, as a list, in the dtype in which ``operation`` computes."""
    converted = dict(zip(arrays, as_arrays(operation, **arrays), strict=True))
    for name, array in converted.items():
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise TypeError(
                f"{operation}: {name} has dtype {array.dtype}, expected real numbers of at most "
                "64 bits"
            )
    types = {
        array.dtype.type
        for name, array in converted.items()
        if type(arrays[name]) not in (int, float)
    }
    dtype = np.float32 if types == {np.float32} else np.float64
    return [array.astype(dtype, copy=False) for array in converted.values()]


def expect_shape(
    operation: str, name: str, array: AnyArray, expected: tuple[int, ...], partner: str
) -> None:
    """Raise ValueError unless ``array`` has the expected shape, which matches ``partner``'s."""
    if array.shape != expected:
        raise ValueError(
            f"{operation}: {name} has shape {array.shape}, expected {expected} to match {partner}"
        )


def as_number(operation: str, name: str, value: Any) -> float:
    """Return a number as a float; a string is none, and neither is an array of one element."""
    try:
        if isinstance(value, str | bytes) or np.ndim(value):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{operation}: {name} is {shown(value)}, expected a number") from None
    except OverflowError:
        raise ValueError(
            f"{operation}: {name} is {shown(value)}, expected a number that fits a float"
        ) from None
