"""Rows of training data as arrays in memory, wherever the data lie.

Anything with ``shape``, ``dtype`` and rows found by number will do: arrays, ``np.memmap``, HDF5
datasets, zarr arrays.  Arrays, memory-mapped ones too, go through the core's gather.  From others
each row is read once and in the order of the file, as h5py asks for, then put where it was drawn.

Measured and left: reading memory-mapped rows in the file's order too (a batch of 100 from a cold
SSD in 7 ms instead of 8, within the spread; from the page cache it is only one more copy), and
reading runs of adjacent rows as slices (h5py: as fast; zarr: half as fast).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from ..arguments import check_dense, shown
from ..arrays import to_array

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import DTypeLike

    from .._types import AnyArray, Array, ArrayLike, Examples, Labels, Normalization

    Rows = Labels | slice


def read_rows(
    X: Examples, rows: Rows, dtype: DTypeLike | None = None, normalize: Normalization | None = None
) -> AnyArray:
    """Return rows of X, in the order asked for.

    Parameters
    ----------
    X : array
        Examples, shape (N, d_1, ..., d_k).
    rows : array of int, shape (n,), or slice
        Which ones; not negative.
    dtype : float32 or float64, optional
        What to convert them to; without it they come as X gives them.
    normalize : (mean, std), optional
        Return ``(rows - mean) / std``, computed in ``dtype``, which is needed: as
        `check_normalization` returns them.

    Returns
    -------
    ndarray, shape (n, d_1, ..., d_k)
        Without ``dtype`` it may be a view of X, or of the type of X's own rows.

    Raises
    ------
    ValueError
        X gives anything but the rows asked for.

    Examples
    --------
    >>> X = np.arange(6, dtype=np.uint8).reshape(3, 2)
    >>> read_rows(X, np.array([2, 0, 2]), np.float32)
    array([[4., 5.],
           [0., 1.],
           [4., 5.]], dtype=float32)
    """
    if not isinstance(X, np.ndarray):
        X, rows = _read(X, rows)
    if dtype is None:
        return X[rows]
    if isinstance(rows, slice):
        rows = np.arange(*rows.indices(X.shape[0]))
    return _core.gather(np.asarray(X), rows, dtype, *(normalize or ()))


def _read(X: Examples, rows: Rows) -> tuple[Any, Rows]:
    """Return an array that has the rows, each once, and where in it they are."""
    places: Rows
    if isinstance(rows, slice):
        count, found, places = len(range(X.shape[0])[rows]), X[rows], slice(None)
    else:
        unique, places = np.unique(rows, return_inverse=True)
        count, found = len(unique), X[unique]
    check_dense("X", found)  # netCDF gives masked rows of what is no masked array itself
    expected = (count, *X.shape[1:])
    if np.shape(found) != expected:
        raise ValueError(
            f"X is a {type(X).__name__} whose rows came with shape {np.shape(found)}, "
            f"expected {expected}"
        )
    return found, places


def check_normalization(
    normalize: Normalization, shape: tuple[int, ...], dtype: DTypeLike
) -> tuple[Array, Array]:
    """Return (mean, std) as `read_rows` takes them, checked, one number a feature.

    Parameters
    ----------
    normalize : (mean, std)
        Numbers, arrays that broadcast to an example, or one number for each of its features.
    shape : tuple
        An example's shape.
    dtype : float32 or float64
        In which they are used.

    Returns
    -------
    tuple of ndarray, shape (D,)

    Raises
    ------
    TypeError, ValueError
        It is no pair of real arrays of such shapes, a mean is not finite, or a std is not finite
        and above 0; in ``dtype``.

    Examples
    --------
    >>> check_normalization((128, [[1.0], [2.0]]), (2, 2), np.float64)
    (array([128., 128., 128., 128.]), array([1., 1., 2., 2.]))
    """
    if not isinstance(normalize, (tuple, list)) or len(normalize) != 2:
        raise TypeError(f"normalize is {shown(normalize)}, expected a pair (mean, std)")
    mean, std = (
        _each_feature(name, value, shape, dtype)
        for name, value in zip(("mean", "std"), normalize, strict=True)
    )
    if not np.isfinite(mean).all():
        raise ValueError("normalize: mean is not finite everywhere")
    if not (np.isfinite(std) & (std > 0)).all():
        raise ValueError(
            f"normalize: std ranges from {std.min()} to {std.max()}, expected finite numbers "
            "above 0: constant features have none, give them 1"
        )
    return mean, std


def _each_feature(name: str, value: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return a number for each feature of an example of that shape."""
    array = to_array(f"normalize: {name}", value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"normalize: {name} has dtype {array.dtype}, expected real numbers")
    with np.errstate(all="ignore"):  # an infinity is refused
        array = array.astype(dtype)
    return _core.feature_row("normalize", name, array, shape, dtype)
