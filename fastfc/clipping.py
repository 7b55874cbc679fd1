"""Gradient clipping by global norm, whoever sums the squares."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .arguments import shown
from .arrays import as_real, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._types import Array, ArrayLike
_LEAST = 2.0**-960  # of a sum of squares: below, those that vanished may matter


class Clipping:
    """Clipping as people call it, over a function that sums the squares of one array.

    Parameters
    ----------
    sum_of_squares : callable
        (array) -> float.
    """

    def __init__(self, sum_of_squares: Callable[[Array], float]) -> None:
        self._sum_of_squares = sum_of_squares

    @quiet
    def global_norm(self, grads: Mapping[str, ArrayLike]) -> float:
        """Return the norm of all gradients together, as if they were one vector.

        Parameters
        ----------
        grads : dict of array_like
            Any shapes.

        Returns
        -------
        float
            In float64; the arrays are added in the dictionary's order.  Squares may overflow or
            vanish: the norm is infinite only where it is itself beyond float64.

        Raises
        ------
        TypeError
            A gradient is not real.

        Examples
        --------
        >>> from fastfc.training.clipping import global_norm
        >>> global_norm({"w": [[1.0, 2.0]], "b": [2.0]})
        3.0
        """
        root, scale = self._scaled_norm(grads)
        return root / scale

    def _scaled_norm(self, grads: Mapping[str, ArrayLike]) -> tuple[float, float]:
        """Return the norm of the gradients times a power of two, and that.

        It is 1 unless squares overflow float64, or so many vanish that it matters.
        """
        if not isinstance(grads, Mapping):
            raise TypeError(f"global_norm: grads is {shown(grads)}, expected a dict of arrays")
        arrays = [_as_array(name, gradient) for name, gradient in grads.items()]
        total = self._total(arrays)
        if not _LEAST <= total <= sys.float_info.max:
            greatest = max((float(np.abs(a).max()) for a in arrays if a.size), default=0.0)
            if 0 < greatest < math.inf:
                exponent = min(max(math.frexp(greatest)[1], -960), 960)
                scale = math.ldexp(1, -exponent)
                return math.sqrt(self._total([a.astype(float) * scale for a in arrays])), scale
        return math.sqrt(total), 1.0

    def _total(self, arrays: list[Array]) -> float:
        total = 0.0  # one after the other, as in C: since 3.12 sum() compensates
        for array in arrays:
            total += self._sum_of_squares(array)
        return total

    @quiet
    def clip_gradients(
        self, grads: dict[str, Array], clip_norm: float
    ) -> tuple[dict[str, Array], float]:
        """Scale all gradients by one factor so that their norm is at most ``clip_norm``.

        g <- g clip_norm / norm where norm = `global_norm` is greater (Pascanu et al. 2013).

        Parameters
        ----------
        grads : dict of array_like
            Any shapes.
        clip_norm : float
            Above 0.

        Returns
        -------
        clipped : dict
            ``grads`` itself if nothing is scaled, else a new dictionary of new arrays, each of its
            gradient's dtype.  A NaN makes all of them NaN; an infinity makes itself NaN and all
            others 0.
        norm : float
            Before scaling.

        Raises
        ------
        TypeError
            A gradient is not real.
        ValueError
            clip_norm is not a number above 0.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.training.clipping import clip_gradients
        >>> clip_gradients({"w": np.array([3.0, 4.0])}, 1.0)
        ({'w': array([0.6, 0.8])}, 5.0)
        """
        clip_norm = check_clip_norm(clip_norm)
        root, scale = self._scaled_norm(grads)
        norm = root / scale
        factor = clip_norm * scale / root if norm == math.inf != root else None
        if norm <= clip_norm or (factor is not None and factor >= 1):
            return grads, norm
        if factor is None:
            factor = clip_norm / norm
        return {
            name: np.multiply(_as_array(name, gradient), factor) for name, gradient in grads.items()
        }, norm


def _as_array(name: str, gradient: ArrayLike) -> Array:
    (array,) = as_real("global_norm", **{f"grads[{shown(name)}]": gradient})
    return array


def check_clip_norm(clip_norm: float) -> float:
    """Return clip_norm as a float if it is one above 0."""
    try:
        value = float(clip_norm)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if isinstance(clip_norm, str) or not value > 0:
        raise ValueError(f"clip_norm is {shown(clip_norm)}, expected a number above 0")
    return value
