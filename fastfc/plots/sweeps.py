"""A sweep: the score against each option, over candidates and over rungs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import shown
from ..sweep_table import scores_at_rungs, varied
from .figures import some_axes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from matplotlib.axes import Axes

    Rows = Sequence[Mapping[str, Any]]

_WIDE = 100  # values whose largest is so many times the smallest have a logarithmic axis


def sweep(results: Rows, *, log: Collection[str] = (), ax: object = None) -> list[Axes]:
    """Draw the scores of a sweep's candidates.

    Parameters
    ----------
    results : sequence of dict
        The rows of a sweep's ``results.json``.
    log : collection of str
        Options whose axis is logarithmic, beside those of positive numbers that span a factor of
        100.
    ax : sequence of matplotlib Axes, optional
        Where to draw; new axes by default, one below the other.

    Returns
    -------
    list of matplotlib Axes
        One for each option that varies, with the validation score of each candidate; one with the
        best score so far over the candidates, in the order of the sweep; and, of a sweep by
        halving, one with the scores of each candidate at the rungs that it came to.  Candidates
        without a score are left out.

    Raises
    ------
    TypeError
        The results are something else, or ax is not as many axes.
    ValueError
        No candidate has a score.

    Examples
    --------
    >>> from fastfc import plots
    >>> rows = [{"candidate": 1, "reg": 0.1, "val": 0.5}, {"candidate": 2, "reg": 0.2, "val": 0.4}]
    >>> [axes.get_xlabel() for axes in plots.sweep(rows)]
    ['reg', 'candidate']
    """
    rows = _scored(results)
    options = varied(results)
    budgets = sorted({epochs for row in rows for epochs in scores_at_rungs(row)})
    panels = some_axes(ax, len(options) + 1 + bool(budgets))
    for axes, option in zip(panels, options, strict=False):
        _draw_option(axes, option, rows, option in log)
    _draw_best(panels[len(options)], rows)
    if budgets:
        _draw_rungs(panels[-1], rows, budgets)
    for axes in panels:
        axes.set(ylabel="validation score")
        axes.grid(alpha=0.3)
    return panels


def _scored(results: Rows) -> list[Mapping[str, Any]]:
    """Return the rows that have a score, in the order of the candidates."""
    try:
        rows = sorted(results, key=lambda row: row["candidate"])
        found = [row for row in rows if row["val"] is not None]
    except (KeyError, TypeError) as error:
        raise TypeError(
            f"results is {shown(results)}, expected the rows of a sweep's results.json"
        ) from error
    if not found:
        raise ValueError("results: no candidate has a score, so there is nothing to draw")
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _draw_option(axes: Axes, option: str, rows: Rows, log: bool) -> None:
    """Draw the scores against an option: numbers at their places, others beside each other."""
    values = [row.get(option) for row in rows]
    scores = [row["val"] for row in rows]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers: Any = np.array(values, np.float64)
        axes.plot(numbers, scores, "o", alpha=0.7)
        if numbers.min() > 0 and (log or numbers.max() >= _WIDE * numbers.min()):
            axes.set_xscale("log")
    else:
        names = list(dict.fromkeys(map(_text, values)))
        axes.plot([names.index(_text(value)) for value in values], scores, "o", alpha=0.7)
        axes.set_xticks(range(len(names)), names)
        axes.margins(x=0.2)
    axes.set(xlabel=option)


def _draw_best(axes: Axes, rows: Rows) -> None:
    """Draw each score and the best so far."""
    numbers = [row["candidate"] for row in rows]
    scores = [row["val"] for row in rows]
    axes.plot(numbers, scores, "o", alpha=0.3)
    axes.step(numbers, np.maximum.accumulate(scores), where="post", label="best so far")
    axes.set(xlabel="candidate")
    axes.legend()


def _draw_rungs(axes: Axes, rows: Rows, budgets: Sequence[int]) -> None:
    """Draw the scores of each candidate over the rungs, the one that came furthest above."""
    for scores in sorted(map(scores_at_rungs, rows), key=len):
        whole = budgets[-1] in scores
        style: dict[str, Any] = {"color": "C0" if whole else "0.6", "zorder": 3 if whole else 2}
        axes.plot(list(scores), list(scores.values()), "o-", linewidth=1, **style)
    if len(budgets) > 2:
        axes.set_xscale("log")
    axes.set_xticks(budgets, list(map(str, budgets)))
    axes.minorticks_off()
    axes.set(xlabel="epochs")
