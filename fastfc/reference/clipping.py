"""Gradient clipping by global norm: the sum it needs in plain NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..clipping import Clipping

if TYPE_CHECKING:
    from .._types import Array

__all__ = ["clip_gradients", "global_norm"]


def sum_of_squares(x: Array) -> float:
    """Return the sum of x^2 in float64."""
    with np.errstate(over="ignore", under="ignore"):  # the norm is then taken of smaller numbers
        return float(np.sum(np.square(x, dtype=np.float64)))


_clipping = Clipping(sum_of_squares)
global_norm = _clipping.global_norm
clip_gradients = _clipping.clip_gradients
