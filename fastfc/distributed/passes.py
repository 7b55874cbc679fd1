"""A training pass over a batch that several ranks share."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, cast

import numpy as np

from ..arrays import quiet
from ..networks import fully_connected
from .exchange import Exchange
from .gradients import Gradients
from .layers import Part, PartLayers

_RUNNING = ("running_mean", "running_var")

if TYPE_CHECKING:
    from typing import Any

    from .._types import AnyArray, NetworkLayers, Params
    from ..training.ranks import Votes
    from .team import Team


def share_loss(
    team: Team,
    network: Any,
    X: AnyArray,
    y: AnyArray,
    weights: AnyArray | None,
    total: float,
    counts: AnyArray,
    synchronised: bool,
    votes: Votes,
) -> tuple[Any, Params]:
    """Return the loss of a whole batch and its gradients, the same on all ranks.

    Each rank calls it with its own rows.  Gradients are summed once, and regularisation is added
    to the sum, not to its parts.

    Parameters
    ----------
    team : Team
    network : FullyConnectedNet
        With the same parameters on all ranks.
    X, y : ndarray
        This rank's rows of the batch, of which there may be none: they follow those of the ranks
        before it.
    weights : ndarray of float64, shape (n,), or None
        The weights of these rows.
    total : float
        The sum of the weights of all rows of the batch; without weights, how many they are.
    counts : ndarray of int, shape (ranks,)
        How many rows of the batch each rank has.
    synchronised : bool
        Whether batch normalisation is over the whole batch.
    votes : Votes
        What this rank says with its part of the loss; ``heed`` gets the sum of all ranks' votes,
        and an error of its ends the pass.

    Returns
    -------
    loss : scalar of the network's dtype
    grads : dict of ndarray
        Views of one array.
    """
    n, size = int(counts[team.rank]), int(counts.sum())
    first = int(counts[: team.rank].sum())
    averages = [] if synchronised else _own_averages(network)
    more = sum(params[key].size for params, key in averages)
    gradients = Gradients(network.params, more, network.dtype)
    exchange = Exchange(team, counts, votes, gradients.own)
    network._set_mode("train")
    before = [{k: bn_param.get(k, 0.0) for k in _RUNNING} for bn_param in network.bn_params]
    found = None
    if hasattr(network, "_network"):  # over the core
        X, place = network._cast("X", X), (first, size, total, synchronised)
        found = network._network().part_loss(X, y, network, weights, exchange, *place)
    if found is None:
        weight = (n if weights is None else float(weights.sum())) / total
        part = Part(first, size, weight, synchronised)
        found = _composed_loss(network, X, y, weights, PartLayers(network._layers, exchange, part))
    loss, grads = found
    for name, w in gradients.own.items():
        if grads[name] is not w:
            w[...] = grads[name]
    if synchronised and network.use_batchnorm:
        _average(network, before, exchange.found)
    ends = np.cumsum([0, *(params[key].size for params, key in averages)])
    sums = [gradients.more[start:end] for start, end in itertools.pairwise(ends)]
    for (params, key), own_sum in zip(averages, sums, strict=True):
        own_sum[:] = params[key] * n
    team.add(gradients.all, "gradients")
    for (params, key), whole in zip(averages, sums, strict=True):
        params[key] = whole / size
    return network._regularise(loss, gradients.own), gradients.own


def _composed_loss(
    network: Any, X: AnyArray, y: AnyArray, weights: AnyArray | None, layers: PartLayers
) -> tuple[Any, Params]:
    """Return loss and gradients by the layers, one by one."""
    twin = copy.copy(network)  # of the same parameters and statistics
    twin._layers = cast("NetworkLayers", layers)
    arguments = () if weights is None else (weights,)
    return fully_connected.FullyConnectedNet._data_loss(twin, X, y, *arguments)


@quiet
def _average(network: Any, before: list[dict[str, Any]], found: list[AnyArray]) -> None:
    """Set the running averages, by one formula on all ranks: the core's rounds differently.

    They stay as they were where the batch's variance is beyond the network's dtype.
    """
    for bn_param, old, (mean, var, _) in zip(network.bn_params, before, found, strict=True):
        momentum = bn_param.get("momentum", 0.9)
        beyond = np.isinf(var.astype(network.dtype))
        for key, new in zip(_RUNNING, (mean, var), strict=True):
            average = momentum * old[key] + (1 - momentum) * new
            bn_param[key] = np.where(beyond, old[key], average).astype(network.dtype)


def _own_averages(network: Any) -> list[tuple[Any, str]]:
    """Return where the running averages of batch normalisations by own rows are.

    A rank without rows has none yet after the first step.
    """
    found = []
    for i, bn_param in enumerate(network.bn_params if network.use_batchnorm else []):
        for key in _RUNNING:
            bn_param.setdefault(key, np.zeros_like(network.params[f"beta{i + 1}"]))
            found.append((bn_param, key))
    return found
