"""What share of its loss a network explains: R^2, for any loss of targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._types import AnyArray, Array


def explained_share(
    name: str,
    param: float | None,
    loss: Callable[[AnyArray], float],
    scores: Array,
    y: Array,
    weights: AnyArray | None,
) -> float:
    """Return 1 - loss / (the loss of the best constant), for scores and targets.

    The constant of each score is the mean of its targets for the squared error and poisson, their
    quantile for that loss, and their median for the absolute error and huber.  Where that has no
    loss, the targets being all alike, it is 1 if the scores have none either, else 0; and NaN where
    all weights are 0.

    Parameters
    ----------
    name : str
        Of the loss.
    param : float or None
        The quantile's level.
    loss : callable
        (scores) -> their loss against y, under the weights.
    scores, y : ndarray, shape (N, M)
    weights : ndarray, shape (N,), or None

    Returns
    -------
    float

    Examples
    --------
    >>> scores, y = np.array([[1.0], [2.0], [2.0]]), np.array([[1.0], [2.0], [3.0]])
    >>> explained_share(
    ...     "squared_error", None, lambda x: ((x - y) ** 2).mean() / 2, scores, y, None)
    0.5
    """
    weights = np.ones(len(y)) if weights is None else weights
    if not weights.sum() > 0:  # of what was drawn
        return float("nan")
    constant = np.broadcast_to(_best_constant(name, param, y, weights), y.shape)
    best, ours = float(loss(constant)), float(loss(scores))
    if best <= 0 or (y == y[0]).all():
        return 1.0 if ours <= 0 else 0.0
    return 1 - ours / best


def weighted_share(right: AnyArray, weights: AnyArray | None) -> float:
    """Return the share of what is right; NaN where all weights are 0.

    Examples
    --------
    >>> float(weighted_share(np.array([True, False]), np.array([3.0, 1.0])))
    0.75
    """
    if weights is None:
        return float(np.mean(right))
    with np.errstate(all="ignore"):
        return float((weights * right).sum() / weights.sum())


@quiet
def _best_constant(name: str, param: float | None, y: Array, weights: AnyArray) -> AnyArray:
    """Return the score (M,) that is best for all examples."""
    if name in ("squared_error", "poisson"):
        mean: AnyArray = weights @ y / weights.sum()
        tiny = np.finfo(np.float64).tiny
        return mean if name == "squared_error" else np.log(np.maximum(mean, tiny))
    level = param if name == "quantile" and param is not None else 0.5
    return np.array([_quantile(column, weights, level) for column in y.T])


def _quantile(y: AnyArray, weights: AnyArray, level: float) -> float:
    """Return the least number to which at least that share of the weight belongs."""
    order = np.argsort(y)
    below = np.cumsum(weights[order])
    return float(y[order][np.searchsorted(below, level * below[-1])])
