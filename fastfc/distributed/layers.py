"""The layers of a network over some rows of a batch, one by one.

Rows are independent of each other in affine layers, activations and layer normalisation.  Here is
what needs all: batch normalisation, the loss, whose mean is the whole batch's, and dropout, whose
masks are rows of the whole batch's mask.  The core has all of it in one call, with the same
exchanges in the same order; this is for what it does not take, foremost no rows at all.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from .. import _core
from ..arrays import VARIANCE_BEYOND, quiet
from ..networks.joined_layers import JoinedLayers
from .statistics import mean_and_spread, normalize

if TYPE_CHECKING:
    from .._types import Array, DropoutCache, LayerParam, Layers, NetworkLayers, ReadParam, Scalar
    from .exchange import Exchange


class Part(NamedTuple):
    """Some rows of a batch.

    ``first`` is the place of the first, ``size`` the rows of the batch, ``weight`` the share of
    these rows in the sum of all examples' weights.  Batch normalisation is over the whole batch
    where it is ``synchronised``, else over these rows.
    """

    first: int
    size: int
    weight: float
    synchronised: bool


class PartLayers(JoinedLayers):
    """Layers that are called by all ranks of a team, each with its rows.

    Parameters
    ----------
    layers : module
        What computes them for rows that are all there.
    exchange : Exchange
    part : Part
    """

    def __init__(self, layers: NetworkLayers, exchange: Exchange, part: Part) -> None:
        super().__init__(cast("Layers", self))  # the joined layers' parts are these
        self._own: Any = layers
        self._exchange = exchange
        self._part = part

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_loss"):
            return functools.partial(self._loss, name)
        return getattr(self._own, name)

    def _loss(self, name: str, scores: Array, y: Any, **arguments: Any) -> tuple[Scalar, Array]:
        """Return the loss of the whole batch, and its gradient with respect to own scores."""
        weight, kind = self._part.weight, scores.dtype.type
        loss, dscores = 0.0, np.zeros_like(scores)
        if weight > 0:
            own, dscores = getattr(self._own, name)(scores, y, **arguments)
            loss, dscores = weight * float(own), dscores * kind(weight)
        with np.errstate(over="ignore"):
            return kind(self._exchange.loss(loss)), dscores

    @quiet
    def batchnorm_forward(
        self, x: Array, gamma: Array, beta: Array, bn_param: LayerParam
    ) -> tuple[Array, Any]:
        """Normalise by the whole batch's statistics, or by those of own rows.

        Of the whole batch's the running averages are left alone: see `fastfc.distributed.passes`.
        """
        if not self._part.synchronised:
            if x.shape[0] == 0:
                return x.copy(), None
            own: tuple[Array, Any] = self._own.batchnorm_forward(x, gamma, beta, bn_param)
            return own
        eps = bn_param.get("eps", 1e-5)
        mean, var, rstd = self._exchange.statistics(mean_and_spread(x), eps)
        if np.isinf(var.astype(x.dtype)).any():
            warnings.warn(VARIANCE_BEYOND, RuntimeWarning, stacklevel=2)
        x_normalized = normalize(x, mean, var, rstd)
        cache = {"x_normalized": x_normalized, "rstd": rstd.astype(x.dtype), "gamma": gamma}
        return gamma * x_normalized + beta, cache

    @quiet
    def batchnorm_backward(self, dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        """Return the gradients: of gamma and beta, own rows' parts of them."""
        if not self._part.synchronised:
            if dout.shape[0] == 0:
                nothing = np.zeros(dout.shape[1], dout.dtype)
                return dout, nothing, nothing
            own: tuple[Array, Array, Array] = self._own.batchnorm_backward(dout, cache)
            return own
        x_normalized = cache["x_normalized"]
        rows = np.stack([dout, dout * x_normalized])
        # NumPy sums pairwise along contiguous numbers
        sums = np.ascontiguousarray(rows.transpose(0, 2, 1), np.float64).sum(axis=2)
        shift, slope = self._exchange.means(sums).astype(dout.dtype)
        dx = cache["gamma"] * cache["rstd"] * (dout - shift - x_normalized * slope)
        dbeta, dgamma = sums.astype(dout.dtype)
        return dx, dgamma, dbeta

    def dropout_forward(self, x: Array, dropout_param: ReadParam) -> tuple[Array, DropoutCache]:
        """Drop by own rows of the mask that the whole batch would have."""
        return _core.dropout_rows(x, dropout_param, self._part.first, self._part.size)
