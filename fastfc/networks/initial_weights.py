"""The first weights of a network: how far they scatter."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import check_number, did_you_mean, shown
from ..arrays import quiet

Scale = Callable[[int, int], float]


def _sklearn(inputs: int, outputs: int) -> float:
    return math.sqrt(6 / (inputs + outputs))


# Standard deviations for a matrix of so many inputs and outputs; of the last the bound.
SCALES: dict[str, Scale] = {
    "he": lambda inputs, outputs: math.sqrt(2 / inputs),
    "glorot": lambda inputs, outputs: math.sqrt(2 / (inputs + outputs)),
    "sklearn": _sklearn,
}
_EXPECTED = "a finite number, 'he', 'glorot' or 'sklearn'"

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
    ValueError: weight_scale is None, expected a finite number, 'he', 'glorot' or 'sklearn'
    """
    if value is UNDRAWN:
        return None
    if isinstance(value, str):
        if value not in SCALES:
            raise ValueError(
                f"weight_scale is {shown(value)}, expected {_EXPECTED}{did_you_mean(value, SCALES)}"
            )
        return SCALES[value]
    scale = check_number("weight_scale", value, _EXPECTED)
    return lambda inputs, outputs: scale


@quiet
def draw_layer(
    scale: Scale | None,
    shape: tuple[int, int],
    dtype: type[np.floating[Any]],
    activation: str,
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
    """Return a layer's first weights and biases, drawn from np.random; zeros without a scale.

    Parameters
    ----------
    scale : callable or None
        From `check_weight_scale`.
    shape : (int, int)
        Of the weights.
    dtype : type
    activation : str
        Of the network's hidden layers.

    Returns
    -------
    W, b : ndarray
        W is normal of mean 0, in one draw, whose standard deviation the scale gives: a number; for
        ``'he'`` sqrt(2 / inputs), which keeps the variance through ReLUs (He et al. 2015); for
        ``'glorot'`` sqrt(2 / (inputs + outputs)) (Glorot & Bengio 2010); and b is 0.  For
        ``'sklearn'`` W and then b are uniform up to sqrt(6 / (inputs + outputs)), or
        sqrt(2 / (inputs + outputs)) for the activation ``'logistic'``, as scikit-learn's MLPs
        begin.
    """
    if scale is None:
        return np.zeros(shape, dtype), np.zeros(shape[1], dtype)
    size = scale(*shape)
    if scale is not _sklearn:
        return (size * np.random.randn(*shape)).astype(dtype), np.zeros(shape[1], dtype)
    if activation == "logistic":
        size = math.sqrt(2 / sum(shape))
    W, b = np.random.uniform(-size, size, shape), np.random.uniform(-size, size, shape[1])
    return W.astype(dtype), b.astype(dtype)
