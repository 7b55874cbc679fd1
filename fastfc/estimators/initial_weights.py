"""The first weights of an estimator's network."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .._types import Params

__all__ = ["draw_params"]


def draw_params(
    random_state: np.random.RandomState,
    sizes: Sequence[int],
    activation: str,
    dtype: type[np.floating[Any]],
    start: str = "sklearn",
) -> Params:
    """Return weights and biases, drawn layer by layer, the weights of each first.

    Parameters
    ----------
    random_state : RandomState
        What they are drawn from; in float64, whatever ``dtype`` is.
    sizes : sequence of int
        Inputs, units of each hidden layer, outputs.
    activation : str
        Of the hidden layers.
    dtype : type
        Of the result.
    start : {'sklearn', 'he'}
        scikit-learn's: both uniform in [-r, r], r = sqrt(6 / (inputs + outputs)) (Glorot & Bengio
        2010), 2 in place of 6 for the logistic function.  He's: weights normal with the standard
        deviation sqrt(2 / inputs) (He et al. 2015), biases 0.

    Returns
    -------
    dict of ndarray
        ``W1, b1, W2, ...``

    Examples
    --------
    >>> params = draw_params(np.random.RandomState(0), [3, 2, 1], "relu", np.float32)
    >>> {name: value.shape for name, value in params.items()}
    {'W1': (3, 2), 'b1': (2,), 'W2': (2, 1), 'b2': (1,)}
    """
    params = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        if start == "he":
            W = math.sqrt(2 / inputs) * random_state.standard_normal((inputs, outputs))
            b = np.zeros(outputs)
        else:
            factor = 2.0 if activation == "logistic" else 6.0
            bound = np.sqrt(factor / (inputs + outputs))
            W = random_state.uniform(-bound, bound, (inputs, outputs))
            b = random_state.uniform(-bound, bound, outputs)
        params[f"W{i}"] = W.astype(dtype, copy=False)
        params[f"b{i}"] = b.astype(dtype, copy=False)
    return params
