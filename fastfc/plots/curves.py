"""Curves of runs over their steps and epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from ..arguments import check_number, shown
from .figures import one_axes, some_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._types import AnyArray, Array
    from ..solver import Solver
    from ..training.history import History

    Run = Solver | History
    Runs = Run | Mapping[str, Run]


def accuracies(runs: Runs, *, ax: object = None) -> list[Axes]:
    """Draw the accuracies on training and on validation data, in two panels.

    Parameters
    ----------
    runs : Solver, History, or dict of them
        A run; or several, by the names that the legend gives them.
    ax : sequence of two matplotlib Axes, optional
        Where to draw; new axes by default, one below the other.

    Returns
    -------
    list of matplotlib Axes
        That of the training and that of the validation accuracy, in [0, 1] over epochs.

    Raises
    ------
    TypeError
        A run is something else, or ax is not two axes.

    Examples
    --------
    >>> from fastfc import plots
    >>> history = {"epoch": [0, 1], "train_acc": [0.1, 0.9], "val_acc": [0.1, 0.8]}
    >>> train, val = plots.accuracies({"dropout 0.5": history, "none": history})
    >>> train.get_title(), val.get_ylabel(), len(val.lines)
    ('Training', 'accuracy', 2)
    """
    panels = some_axes(ax, 2)
    for axes, column, title in zip(panels, ("train_acc", "val_acc"), _PANELS, strict=True):
        for name, history in _histories(runs).items():
            scored = ~np.isnan(history[column])
            axes.plot(history["epoch"][scored], history[column][scored], "o-", label=name)
        axes.set(title=title, xlabel="epoch", ylabel="accuracy")
        _explain(axes, runs)
    return panels


_PANELS = ("Training", "Validation")


def losses(runs: Runs, *, smoothing: float = 0.9, ax: Axes | None = None) -> Axes:
    """Draw the loss of every step, and smoothed.

    Parameters
    ----------
    runs : Solver, History, or dict of them
        A run; or several, by the names that the legend gives them.
    smoothing : float
        Share s, in [0, 1), of each smoothed value that comes from the one before: an exponential
        moving average, divided by 1 - s**t after t steps, so that it begins without a bias (Kingma
        & Ba 2015, section 3).  0 draws the losses alone.
    ax : matplotlib Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        A run is something else, or ax is not axes.
    ValueError
        smoothing is outside [0, 1).

    Examples
    --------
    >>> from fastfc import plots
    >>> axes = plots.losses({"a run": {"iteration": [1, 2, 3], "loss": [3.0, 1.0, 2.0]}})
    >>> axes.lines[1].get_ydata().round(3).tolist()
    [3.0, 1.947, 1.967]
    """
    share = check_number("smoothing", smoothing, "a number in [0, 1)", lambda s: 0 <= s < 1)
    axes = one_axes(ax)
    for name, history in _histories(runs).items():
        steps, values = history["iteration"], history["loss"]
        if share == 0:
            axes.plot(steps, values, label=name)
            continue
        (line,) = axes.plot(steps, values, alpha=0.25, linewidth=0.8)
        axes.plot(steps, _smoothed(values, share), color=line.get_color(), label=name)
    axes.set(xlabel="step", ylabel="loss")
    _explain(axes, runs)
    return axes


def _histories(runs: Runs) -> dict[str, dict[str, Array]]:
    """Return the columns of each run, by its name."""
    named = {"": runs} if _is_run(runs) else runs
    if not isinstance(named, Mapping) or not named or not all(map(_is_run, named.values())):
        raise TypeError(f"runs is {shown(runs)}, expected a Solver, its history, or a dict of such")
    return {
        str(name): {
            column: np.asarray(values, np.float64)
            for column, values in cast(
                "Mapping[str, AnyArray]", getattr(run, "history", run)
            ).items()
        }
        for name, run in named.items()
    }


def _is_run(value: object) -> bool:
    """Return whether it is a Solver or columns."""
    columns = getattr(value, "history", value)
    return (
        isinstance(columns, Mapping)
        and not any(_is_run(column) for column in columns.values())
        and bool({"loss", "train_acc"} & set(columns))
    )


def _smoothed(values: Array, share: float) -> Array:
    """Return the moving average without its bias; what is not finite is left out of it."""
    averages, average, weight = np.empty(len(values)), 0.0, 0.0
    for i, value in enumerate(values):
        if np.isfinite(value):
            average = share * average + (1 - share) * value
            weight = share * weight + (1 - share)
        averages[i] = average / weight if weight else np.nan
    return averages


def _explain(axes: Axes, runs: Runs) -> None:
    """Add a legend where there are several runs or one that has a name."""
    if not _is_run(runs):
        axes.legend()
    axes.grid(alpha=0.3)
