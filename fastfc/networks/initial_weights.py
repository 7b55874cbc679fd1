"""The first weights of a network: how far they scatter."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import check_number, did_you_mean, shown
from ..arrays import quiet

Scale = Callable[[int, int], float]

# Standard deviations for a matrix of so many inputs and outputs.
SCALES: dict[str, Scale] = {
    "he": lambda inputs, outputs: math.sqrt(2 / inputs),
    "glorot": lambda inputs, outputs: math.sqrt(2 / (inputs + outputs)),
}

UNDRAWN = object()  # the weight_scale of networks from files, whose weights are not drawn


def check_weight_scale(value: Any) -> Scale | None:
    """Return a function (inputs, outputs) -> standard deviation; for UNDRAWN None.

    Raises
    ------
    ValueError
        It is neither a finite number nor the name of a rule.

    Examples
    --------
    >>> check_weight_scale("he")(8, 100), check_weight_scale(0.01)(8, 100)
    (0.5, 0.01)
    >>> check_weight_scale(None)
    Traceback (most recent call last):
    ValueError: weight_scale is None, expected a finite number, 'he' or 'glorot'
    """
    if value is UNDRAWN:
        return None
    if isinstance(value, str):
        if value not in SCALES:
            raise ValueError(
                f"weight_scale is {shown(value)}, expected a finite number, 'he' or 'glorot'"
                f"{did_you_mean(value, SCALES)}"
            )
        return SCALES[value]
    scale = check_number("weight_scale", value, "a finite number, 'he' or 'glorot'")
    return lambda inputs, outputs: scale


@quiet
def draw_weights(
    scale: Scale | None, shape: tuple[int, int], dtype: type[np.floating[Any]]
) -> npt.NDArray[np.floating[Any]]:
    """Return a matrix of first weights: zeros without a scale, else one draw of np.random.

    Parameters
    ----------
    scale : callable or None
        From `check_weight_scale`.
    shape : (int, int)
    dtype : type

    Returns
    -------
    ndarray
        Normal of mean 0, whose standard deviation the scale gives: a number; for ``'he'``
        sqrt(2 / inputs), which keeps the variance through ReLUs (He et al. 2015); for ``'glorot'``
        sqrt(2 / (inputs + outputs)) (Glorot & Bengio 2010).
    """
    if scale is None:
        return np.zeros(shape, dtype)
    return (scale(*shape) * np.random.randn(*shape)).astype(dtype)
