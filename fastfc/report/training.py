"""How the training went: loss, accuracies, learning rate."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from .. import plots
from ..training.history import History
from .drawing import plain_numbers, plot
from .html import Html, Section, details, element, figure, table
from .words import counted, number, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from .._types import Array
    from .run import Run

MOST_POINTS = 600  # of a curve
MOST_SCORINGS = 200  # and of accuracies
MOST_ROWS = 15  # of the table beside them


class Thinned(NamedTuple):
    """A curve of blocks of steps: each block's last step, and mean, least and greatest value."""

    steps: Array
    mean: Array
    least: Array
    greatest: Array
    block: int


def thinned(steps: Array, values: Array, most: int = MOST_POINTS) -> Thinned:
    """Return a curve with no more points than that; what is not finite is left out.

    Examples
    --------
    >>> curve = thinned(np.arange(1.0, 6), np.array([1.0, 3.0, np.nan, 5.0, 6.0]), most=3)
    >>> curve.steps.tolist(), curve.mean.tolist(), curve.block
    ([2.0, 4.0, 5.0], [2.0, 5.0, 6.0], 2)
    """
    block = max(-(-len(values) // most), 1)
    starts = np.arange(0, len(values), block)
    finite = np.isfinite(values)
    if not len(values):
        return Thinned(steps, values, values, values, block)
    counts = np.add.reduceat(finite, starts, dtype=np.int64)
    none = counts == 0
    with np.errstate(all="ignore"):
        sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
        mean = np.where(none, np.nan, sums / np.maximum(counts, 1))
    least = np.minimum.reduceat(np.where(finite, values, np.inf), starts)
    greatest = np.maximum.reduceat(np.where(finite, values, -np.inf), starts)
    ends = np.minimum(starts + block, len(values)) - 1
    return Thinned(
        steps[ends],
        mean,
        np.where(none, np.nan, least),
        np.where(none, np.nan, greatest),
        block,
    )


def training_section(run: Run) -> Section:
    """Return the section of the training's curves."""
    if not len(run.history["loss"]):
        return Section("training", "Training", element("p", "The run has no steps yet."))
    score = score_word(run)
    return Section(
        "training",
        "Training",
        element(
            "div",
            _loss_figure(run),
            _accuracy_figure(run, score),
            _rate_figure(run),
            class_="side",
        ),
        _scorings(run, score),
    )


def score_word(run: Run) -> str:
    """Return what a run's accuracies are called."""
    return "share of the loss explained" if run.kind == "numbers" else "accuracy"


def _loss_figure(run: Run) -> Html:
    """Return the picture of the losses."""
    steps, losses = run.history["iteration"], run.history["loss"]
    finite = np.isfinite(losses)
    words = f"Loss over {counted(len(losses), 'step')}: "
    if finite.any():
        where = int(np.argmin(np.where(finite, losses, np.inf)))
        first, last = losses[finite][0], losses[finite][-1]
        words += (
            f"{number(first)} at first, {number(last)} at the end, least {number(losses[where])} "
            f"after step {number(int(steps[where]))}."
        )
    if not finite.all():
        words += f" In {counted(int((~finite).sum()), 'step')} it is not finite."
    curve = thinned(steps, losses)
    caption = f"Loss by step. {_how_drawn(curve)}"
    return figure(caption.strip(), plot("loss", words, functools.partial(_draw_loss, curve)))


def _how_drawn(curve: Thinned) -> str:
    """Say what the line is of."""
    if curve.block > 1:
        return (
            f"Each point is the mean of {curve.block:,} steps; the band goes from their least to "
            "their greatest."
        )
    if len(curve.steps) < 3:
        return ""
    return "The strong line is smoothed, the faint one is the loss of every step."


def _draw_loss(curve: Thinned, axes: Axes) -> None:
    """Draw a curve of losses."""
    plotted = History(iteration=curve.steps, loss=curve.mean)
    alone = curve.block > 1 or len(curve.steps) < 3
    plots.losses(plotted, smoothing=0 if alone else 0.9, ax=axes)
    if curve.block > 1:
        axes.fill_between(curve.steps, curve.least, curve.greatest, alpha=0.25, linewidth=0)
    if len(curve.steps) < 3:
        axes.lines[0].set_marker("o")
    set_scale(axes, curve.least, curve.greatest)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def set_scale(axes: Axes, least: Array, greatest: Array) -> None:
    """Let the y axis be logarithmic where the numbers are positive and far apart."""
    if np.isnan(least).all():
        return
    low, high = np.nanmin(least), np.nanmax(greatest)
    if low > 0 and high > 100 * low:
        axes.set_yscale("log")
        plain_numbers(axes)


def scorings(history: Mapping[str, Array], most: int) -> History:
    """Return the rows of a history that have accuracies, evenly spaced if they are more than that.

    The best validation accuracy and the last are among them.
    """
    scored = np.flatnonzero(~np.isnan(history["val_acc"]) | ~np.isnan(history["train_acc"]))
    if len(scored) > most:
        best = scored[np.argmax(np.nan_to_num(history["val_acc"][scored], nan=-np.inf))]
        spaced = scored[np.linspace(0, len(scored) - 1, most - 1).astype(np.int64)]
        scored = np.unique(np.append(spaced, best))
    return History({name: column[scored] for name, column in history.items()})


def _accuracy_figure(run: Run, score: str) -> Html | None:
    """Return the picture of the accuracies; None if there are none."""
    found = scorings(run.history, MOST_SCORINGS)
    if not len(found["val_acc"]):
        return None
    show = number if run.kind == "numbers" else percent
    train, val = found["train_acc"], found["val_acc"]
    words = f"{score.capitalize()} by epoch: training {_first_and_last(train, show)}; validation "
    words += _first_and_last(val, show)
    if not np.isnan(val).all():
        best = int(np.nanargmax(val))
        words += f", best {show(val[best])} after {counted(int(found['epoch'][best]), 'epoch')}"
    words += "."

    def draw(axes: Axes) -> None:
        plots.accuracies(found, ax=(axes, axes))
        for line, name, style in zip(
            axes.lines, ("training", "validation"), ("s--", "o-"), strict=True
        ):
            line.set(label=name, linestyle=style[1:])
            line.set_marker(style[0] if len(val) <= 40 else "")
        axes.set(title="", ylabel=score)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.legend()

    caption = f"{score.capitalize()} by epoch, on training and on validation data."
    return figure(caption, plot("accuracy", words, draw))


def _first_and_last(values: Array, show: object) -> str:
    """Say where a curve begins and ends."""
    assert callable(show)
    return f"{show(values[0])} at first, {show(values[-1])} at the end"


def _rate_figure(run: Run) -> Html | None:
    """Return the picture of the learning rate; None if the rule has none."""
    steps, rates = run.history["iteration"], run.history["learning_rate"]
    known = rates[np.isfinite(rates)]
    if not len(known):
        return None
    caption = "Learning rate by step."
    if known.min() == known.max():
        words = caption = f"Learning rate: {number(known[0])} in every step."
    else:
        words = (
            f"Learning rate: {number(known[0])} at first, {number(known[-1])} at the end, from "
            f"{number(known.min())} to {number(known.max())}."
        )
    curve = thinned(steps, rates)

    def draw(axes: Axes) -> None:
        axes.plot(curve.steps, curve.mean, marker="o" if len(curve.steps) < 3 else "")
        axes.set(xlabel="step", ylabel="learning rate")
        axes.set_ylim(min(0, 1.1 * known.min()), max(1.1 * known.max(), 0) or 1)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)

    return figure(caption, plot("rate", words, draw))


def _scorings(run: Run, score: str) -> Html | None:
    """Return the table of the accuracies."""
    found = scorings(run.history, MOST_ROWS)
    if not len(found["val_acc"]):
        return None
    show = number if run.kind == "numbers" else percent
    rows = [
        (
            number(int(epoch)),
            number(int(step)),
            number(loss),
            show(train),
            show(val),
        )
        for epoch, step, loss, train, val in zip(
            *(found[name] for name in ("epoch", "iteration", "loss", "train_acc", "val_acc")),
            strict=True,
        )
    ]
    total = int((~np.isnan(run.history["val_acc"])).sum())
    caption = f"Loss of the step and {score} after it"
    if len(rows) < total:
        caption += f"; {len(rows)} of {total} scorings, the best and the last among them"
    head = ("Epoch", "Step", "Loss", "Training", "Validation")
    return details("The curves in numbers", table(caption, head, rows))
