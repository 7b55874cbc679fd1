"""What share of its loss a network explains: R^2, for any loss of targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import losses
from ..arrays import quiet
from ..networks.losses import loss_arguments

if TYPE_CHECKING:
    from .._types import AnyArray, Array


def explained_share(network: Any, scores: Array, y: Array, weights: AnyArray | None) -> float:
    """Return 1 - loss / (the loss of the best constant), for scores and targets.

    The constant of each score is the mean of its targets for the squared error and poisson, their
    quantile for that loss, and their median for the absolute error and huber.  Where that has no
    loss, the targets being all alike, it is 1 if the scores have none either, else 0.

    Parameters
    ----------
    network : FullyConnectedNet
        Whose loss it is.
    scores : ndarray, shape (N, M)
    y : ndarray, shape (N, M) or (N,)
    weights : ndarray, shape (N,), or None

    Returns
    -------
    float

    Examples
    --------
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> network = FullyConnectedNet([], input_dim=1, num_classes=1, loss="squared_error")
    >>> explained_share(network, np.array([[1.0], [2.0], [2.0]]), np.array([1.0, 2.0, 3.0]), None)
    0.5
    """
    if weights is not None and not weights.sum() > 0:
        return float("nan")  # of what was drawn
    loss = getattr(losses, f"{network.loss_name}_loss")
    arguments = {**loss_arguments(network), "sample_weight": weights}
    y = y.reshape(np.shape(scores)).astype(np.float64)
    constant = _best_constant(network, y, weights)
    best = float(loss(np.broadcast_to(constant, y.shape), y, **arguments)[0])
    ours = float(loss(np.asarray(scores, np.float64), y, **arguments)[0])
    if best <= 0 or (y == y[0]).all():
        return 1.0 if ours <= 0 else 0.0
    return 1 - ours / best


@quiet
def _best_constant(network: Any, y: Array, weights: AnyArray | None) -> AnyArray:
    """Return the score (M,) that is best for all examples."""
    weights = np.ones(len(y)) if weights is None else weights
    if network.loss_name in ("squared_error", "poisson"):
        mean: AnyArray = weights @ y / weights.sum()
        tiny = np.finfo(np.float64).tiny
        return mean if network.loss_name == "squared_error" else np.log(np.maximum(mean, tiny))
    level = network.loss_param if network.loss_name == "quantile" else 0.5
    return np.array([_quantile(column, weights, level) for column in y.T])


def _quantile(y: AnyArray, weights: AnyArray, level: float) -> float:
    """Return the least number to which at least that share of the weight belongs."""
    order = np.argsort(y)
    below = np.cumsum(weights[order])
    return float(y[order][np.searchsorted(below, level * below[-1])])
