"""Layers that usually follow one another, joined; their parts are those of this package."""

from typing import TYPE_CHECKING

from ..networks.joined_layers import JOINED, JoinedLayers
from . import layers
from .layers import *  # noqa: F403  (as in the original, layer_utils brings the layers along)

if not TYPE_CHECKING:  # checkers, which read lists of plain names only, take what the star brings
    __all__ = [*layers.__all__, *JOINED]

_joined = JoinedLayers(layers)
affine_relu_forward = _joined.affine_relu_forward
affine_relu_backward = _joined.affine_relu_backward
affine_batchnorm_relu_forward = _joined.affine_batchnorm_relu_forward
affine_batchnorm_relu_backward = _joined.affine_batchnorm_relu_backward
affine_bn_relu_forward = _joined.affine_bn_relu_forward
affine_bn_relu_backward = _joined.affine_bn_relu_backward
affine_ln_relu_forward = _joined.affine_ln_relu_forward
affine_ln_relu_backward = _joined.affine_ln_relu_backward
