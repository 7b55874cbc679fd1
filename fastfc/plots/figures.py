"""Axes to draw into: those that a caller gives, or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from matplotlib import pyplot

from ..arguments import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._types import AnyArray


def one_axes(ax: Axes | None) -> Axes:
    """Return the axes to draw into.

    Parameters
    ----------
    ax : matplotlib Axes or None
        None makes a figure.
    """
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    if not hasattr(ax, "plot"):
        raise TypeError(f"ax is {shown(ax)}, expected matplotlib axes")
    return ax


def some_axes(ax: object, count: int) -> list[Axes]:
    """Return so many axes, one below the other where they are new.

    Parameters
    ----------
    ax : sequence or array of matplotlib Axes, or None
        None makes a figure.
    count : int
    """
    if ax is None:
        _, ax = pyplot.subplots(count, 1, figsize=(6.4, 3.2 * count), layout="constrained")
    found: list[Axes] = np.ravel(cast("AnyArray", ax)).tolist()
    if len(found) != count or not all(hasattr(one, "plot") for one in found):
        raise TypeError(f"ax is {shown(ax)}, expected {count} matplotlib axes")
    return found
