"""Gradient clipping by global norm, its sums computed by the C core.

See :class:`fastfc.clipping.Clipping`.
"""

from .. import _core
from ..clipping import Clipping

__all__ = ["clip_gradients", "global_norm"]

_clipping = Clipping(_core.sum_of_squares)
global_norm = _clipping.global_norm
clip_gradients = _clipping.clip_gradients
