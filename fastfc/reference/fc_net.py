"""Fully connected networks over the layers in plain NumPy.

Everything but the layers they call stands in :mod:`fastfc.networks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..networks import fully_connected
from . import layer_utils
from .layer_utils import *  # noqa: F403  (as in the original, fc_net brings all layers along)

if TYPE_CHECKING:
    from .._types import Array, Scalar

if not TYPE_CHECKING:  # checkers, which read lists of plain names only, take what the star brings
    __all__ = [*layer_utils.__all__, "FullyConnectedNet", "TwoLayerNet"]


class _Composed(fully_connected.FullyConnectedNet):
    """What the networks in plain NumPy are composed of."""

    _layers = layer_utils

    def _sum_of_squares(self, W: Array) -> Scalar:
        return np.sum(W * W)


class FullyConnectedNet(_Composed, fully_connected.FullyConnectedNet):
    """{affine - [normalisation] - activation - [dropout]} x (L - 1) - affine - softmax, in NumPy.

    See :class:`fastfc.fc_net.FullyConnectedNet` for parameters and attributes.
    """


class TwoLayerNet(_Composed, fully_connected.TwoLayerNet):
    """affine - relu - [dropout] - affine - softmax in float64, in plain NumPy.

    See :class:`fastfc.fc_net.TwoLayerNet` for parameters and attributes.
    """
