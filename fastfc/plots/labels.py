"""Labels and what a network took them for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arguments import shown
from ..arrays import to_array
from .figures import one_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from .._types import ArrayLike

MOST_NUMBERS = 25  # classes up to which every cell has its number


def confusion(
    y: ArrayLike,
    predicted: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    normalize: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many examples of each class were taken for which.

    Parameters
    ----------
    y : array_like of int, shape (N,)
        Labels, 0 and up.
    predicted : array_like of int, shape (N,)
        What ``model.predict`` returns.
    names : sequence of str, optional
        Of the classes; their numbers by default.
    normalize : bool
        Show shares of each class's examples, not counts.
    ax : matplotlib Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        y or predicted are not integers.
    ValueError
        They are not of one length, or negative, or there are fewer names than classes.

    Examples
    --------
    >>> from fastfc import plots
    >>> axes = plots.confusion([0, 0, 1], [0, 1, 1], names=["cat", "dog"])
    >>> [text.get_text() for text in axes.texts]
    ['1', '1', '0', '1']
    """
    labels, found = _labels("y", y), _labels("predicted", predicted)
    if labels.shape != found.shape:
        raise ValueError(f"predicted has shape {found.shape}, expected {labels.shape} as y")
    classes = max(int(labels.max(initial=-1)), int(found.max(initial=-1))) + 1
    if names is not None and len(names) < classes:
        raise ValueError(f"names has {len(names)} entries, expected {classes}, one for each class")
    classes = classes if names is None else len(names)
    table = np.zeros((classes, classes))
    np.add.at(table, (labels, found), 1)
    if normalize:
        table /= np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes = one_axes(ax)
    axes.imshow(table, cmap="Blues")
    if classes <= MOST_NUMBERS:
        for (i, j), value in np.ndenumerate(table):
            dark = value > table.max() / 2
            text = f"{value:.2f}" if normalize else f"{value:.0f}"
            axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black")
        shown_names = list(names) if names is not None else [str(i) for i in range(classes)]
        turned = 45 if max(map(len, shown_names), default=0) > 2 else 0
        axes.set_xticks(range(classes), shown_names, rotation=turned)
        axes.set_yticks(range(classes), shown_names)
    axes.set(xlabel="predicted", ylabel="label")
    return axes


def _labels(name: str, value: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return labels as an array (N,), if they are."""
    array = to_array(name, value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} has dtype {array.dtype}, expected integer labels")
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}, expected (N,)")
    if array.size and array.min() < 0:
        raise ValueError(f"{name} has a label {shown(int(array.min()))}, expected 0 and up")
    return array.astype(np.int64)
