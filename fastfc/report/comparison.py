"""Runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from .. import plots
from ..arguments import shown
from ..files import atomic_write
from ..training.history import History
from .drawing import plot
from .facts import flattened
from .html import Section, element, figure, table
from .page import page
from .run import columns_of
from .training import MOST_SCORINGS, scorings, set_scale, thinned
from .words import counted, duration, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._types import Array, StrPath
    from .html import Html


def write_comparison(path: StrPath, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write several runs beside each other as one page for a browser, whole or not at all.

    Parameters
    ----------
    path : path
        The file, replaced if it exists.
    runs : dict of dict
        By their names each run's ``history``, ``config`` and ``summary``, as for `write_report`.

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError, ValueError
        There is no run, or one lacks something.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastfc.report import write_comparison
    >>> slow = {"loss": [2.0, 1.5], "epoch": [0, 1], "val_acc": [0.1, 0.5]}
    >>> fast = {"loss": [2.0, 1.0], "epoch": [0, 1], "val_acc": [0.1, 0.8]}
    >>> runs = {"slow": {"history": slow, "config": {"learning_rate": 0.001}, "summary": {}},
    ...         "fast": {"history": fast, "config": {"learning_rate": 0.01}, "summary": {}}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_comparison(f"{folder}/comparison.html", runs)
    ...     os.listdir(folder)
    ['comparison.html']
    """
    if not isinstance(runs, Mapping) or not runs:
        raise TypeError(f"runs is {shown(runs)}, expected a dict of runs by their names")
    for name, run in runs.items():
        for key in ("history", "config", "summary"):
            if not isinstance(run, Mapping) or key not in run:
                raise ValueError(f"runs[{name!r}] has no {key}")
    histories = {str(name): columns_of(run["history"]) for name, run in runs.items()}
    sections = [
        Section("result", "Results", _results(histories, runs)),
        Section("training", "Training", _curves(histories)),
        Section("configuration", "Configuration", *_differences(runs)),
    ]
    lead = element("p", f"{counted(len(runs), 'run')}: {', '.join(histories)}.")
    text = page("Training runs compared", lead, sections)
    atomic_write(path, lambda file: file.write(text))


def _results(
    histories: Mapping[str, Mapping[str, Array]], runs: Mapping[str, Mapping[str, Any]]
) -> Html:
    """Return the table of what came of each run."""
    rows = []
    for name, history in histories.items():
        summary = runs[name]["summary"]
        accuracy = summary.get("accuracy")
        test = accuracy.get("test") if isinstance(accuracy, Mapping) else None
        seconds = summary.get(
            "seconds", history["seconds"][-1] if len(history["seconds"]) else None
        )
        rate = summary.get("examples_per_second")
        rows.append(
            (
                name,
                number(_last(history["loss"])),
                number(_best(history["val_acc"])),
                "" if test is None else number(float(test)),
                f"{len(history['loss']):,}",
                "" if seconds is None else duration(float(seconds)),
                "" if rate is None else f"{float(rate):,.0f}",
            )
        )
    scores = "Last loss", "Best validation score", "Test score"
    head = ("Run", *scores, "Steps", "Time", "Examples a second")
    return table("What came of each run", head, rows, label="Results")


def _last(values: Array) -> float:
    """Return the last finite value, NaN if there is none."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else float("nan")


def _best(values: Array) -> float:
    """Return the greatest value, NaN if there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else float("nan")


def _curves(histories: Mapping[str, Mapping[str, Array]]) -> Html:
    """Return the pictures of losses and validation scores."""
    curves = {
        name: thinned(h["iteration"], h["loss"]) for name, h in histories.items() if len(h["loss"])
    }
    scored = {name: scorings(h, MOST_SCORINGS) for name, h in histories.items()}
    scored = {name: found for name, found in scored.items() if len(found["val_acc"])}

    def draw_losses(axes: Axes) -> None:
        runs = {name: History(iteration=c.steps, loss=c.mean) for name, c in curves.items()}
        longest = max(len(curve.steps) for curve in curves.values())
        plots.losses(runs, smoothing=0.9 if longest > 50 else 0, ax=axes)
        everything = [c.mean for c in curves.values()]
        set_scale(axes, np.concatenate(everything), np.concatenate(everything))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))

    def draw_scores(axes: Axes) -> None:
        for name, found in scored.items():
            marker = "o" if len(found["val_acc"]) <= 40 else ""
            axes.plot(found["epoch"], found["val_acc"], marker=marker, label=name)
        axes.set(xlabel="epoch", ylabel="validation score")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()

    pictures = []
    if curves:
        ends = "; ".join(f"{name}: {number(_last(c.mean))}" for name, c in curves.items())
        words = f"Loss by step, smoothed. Last: {ends}."
        pictures.append(figure("Loss by step, smoothed.", plot("losses", words, draw_losses)))
    if scored:
        ends = "; ".join(f"{name}: {number(_best(f['val_acc']))}" for name, f in scored.items())
        words = f"Validation score by epoch. Best: {ends}."
        pictures.append(figure("Validation score by epoch.", plot("scores", words, draw_scores)))
    return element("div", *pictures, class_="side")


def _differences(runs: Mapping[str, Mapping[str, Any]]) -> list[Html]:
    """Return the tables of settings that differ and of those that do not."""
    settings = {str(name): dict(flattened(run["config"])) for name, run in runs.items()}
    names = list(dict.fromkeys(name for found in settings.values() for name in found))
    rows = {name: [found.get(name, "not set") for found in settings.values()] for name in names}
    differ = [(name, *values) for name, values in rows.items() if len(set(values)) > 1]
    alike = [(name, values[0]) for name, values in rows.items() if len(set(values)) == 1]
    told = []
    if differ:
        caption = "Settings that differ"
        told.append(table(caption, ("Setting", *settings), differ, label=caption))
    else:
        told.append(element("p", "No setting differs."))
    if alike:
        told.append(table("Settings that are alike", ("Setting", "Value"), alike))
    return told
