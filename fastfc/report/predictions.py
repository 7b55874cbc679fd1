"""What the network predicts of data that it was not trained on."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from .. import plots
from ..networks.losses import predictions_of, probabilities_of
from ..plots.labels import MOST_NUMBERS
from .drawing import plot
from .html import Section, element, figure, table
from .mistakes import residual_rows, wrong_examples
from .run import MOST_EXAMPLES
from .words import counted, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._types import AnyArray, Array, Labels
    from .html import Html
    from .run import Run

MOST_CLASSES = 20  # of the table of classes
MOST_TARGETS = 4  # whose residuals are drawn
MOST_DOTS = 500
BINS = 40


class Tried(NamedTuple):
    """Examples that the network was tried on: their numbers, scores (n, M), labels or targets."""

    rows: Labels
    scores: Array
    y: AnyArray


def predictions_section(run: Run) -> Section:
    """Return the section of what the network makes of the validation data."""
    rows = run.rows("val", MOST_EXAMPLES)
    with np.errstate(all="ignore"):
        tried = Tried(rows, run.scores("val", rows), run.targets("val", rows))
        usable = np.isfinite(tried.scores).all(axis=1)
    told = [element("p", _what_is_tried(run, len(rows), int(usable.sum())))]
    if not usable.any():
        return Section("predictions", "Predictions", *told)
    tried = Tried(tried.rows[usable], tried.scores[usable], tried.y[usable])
    describe = {
        "classes": _classes,
        "binary": _classes,
        "labels": _labels,
        "numbers": _numbers,
    }[run.kind]
    return Section("predictions", "Predictions", *told, *describe(run, tried))


def _what_is_tried(run: Run, count: int, usable: int) -> str:
    """Say which examples these are."""
    total = int(run.data["X_val"].shape[0])
    words = f"What the network makes of {counted(total, 'validation example')}"
    if count < total:
        words += f", of which {count:,}, evenly spaced, were tried"
    if usable < count:
        words += f"; of {counted(count - usable, 'example')} the scores are not finite: left out"
    return words + "."


def _classes(run: Run, tried: Tried) -> list[Html | None]:
    """Describe predictions of one class each."""
    probabilities = probabilities_of(run.network.loss_name, tried.scores)
    if run.kind == "binary":
        labels = (tried.y[:, 0] > 0.5).astype(np.int64)
        probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
    else:
        labels = np.asarray(tried.y, np.int64)
    names = run.class_names
    found = np.asarray(predictions_of(run.network.loss_name, tried.scores), np.int64)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, found), 1)
    right = int(np.trace(counts))
    told = (
        f"{right:,} of {len(labels):,} are right, {percent(right / len(labels))}. "
        f"{_worst_confusion(counts, names)}"
    )
    drawn = _matrix(counts, names) if len(names) <= MOST_NUMBERS else _picture(labels, found, told)
    mistakes = wrong_examples(run, tried.rows, labels, found, probabilities)
    return [
        element("h3", "Confusion matrix"),
        element("p", told),
        element("div", drawn, _by_class(counts, names), class_="side"),
        *mistakes,
    ]


def _worst_confusion(counts: AnyArray, names: list[str]) -> str:
    """Say what is taken for what most often."""
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return "No class is taken for another."
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return f"Most often {names[i]} is taken for {names[j]}: {counted(int(wrong[i, j]), 'time')}."


def _matrix(counts: AnyArray, names: list[str]) -> Html:
    """Return the confusion matrix as a table, whose cells are the darker the more there are."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        [
            name,
            *(
                element(
                    "td",
                    f"{counts[i, j]:,}",
                    class_="right" if i == j else None,
                    style=f"--share: {shares[i, j]:.2f}",
                )
                for j in range(len(names))
            ),
        ]
        for i, name in enumerate(names)
    ]
    caption = "Examples by label (rows) and prediction (columns); those on the diagonal are right"
    made = table(caption, ["Label", *names], rows, label="Confusion matrix")
    return element("div", made, class_="matrix")


def _picture(labels: AnyArray, found: AnyArray, told: str) -> Html:
    """Return the confusion matrix of many classes as a picture."""
    alternative = f"Confusion matrix of many classes. {told}"

    def draw(axes: Axes) -> None:
        plots.confusion(labels, found, normalize=True, ax=axes)

    caption = "Shares of each label's examples, the darker the more, by label and prediction."
    return figure(caption, plot("confusion", alternative, draw, height=4.6))


def _by_class(counts: AnyArray, names: list[str]) -> Html:
    """Return the table of each class's recall and precision."""
    there, predicted, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    with np.errstate(all="ignore"):
        recall, precision = right / there, right / predicted
    order = np.arange(len(names))
    caption = "Recall: share of a class's examples that are found. Precision: share of those taken "
    caption += "for it that are"
    if len(names) > MOST_CLASSES:
        order = np.argsort(recall, kind="stable")[:MOST_CLASSES]
        caption += f". The {MOST_CLASSES} classes of {len(names)} with the least recall"
    rows = [
        (names[i], f"{there[i]:,}", _share(recall[i]), _share(precision[i])) for i in order.tolist()
    ]
    return table(caption, ("Class", "Examples", "Recall", "Precision"), rows)


def _share(value: float) -> str:
    """Return a share, or a word where there is nothing that it is of."""
    return percent(value) if np.isfinite(value) else "none"


def _labels(run: Run, tried: Tried) -> list[Html | None]:
    """Describe predictions of several labels, each 0 or 1."""
    found = np.asarray(predictions_of(run.network.loss_name, tried.scores)) > 0.5
    there = tried.y > 0.5
    right = found == there
    whole = int(right.all(axis=1).sum())
    rows = []
    for i, name in enumerate(run.target_names[:MOST_CLASSES]):
        both = int((found[:, i] & there[:, i]).sum())
        with np.errstate(all="ignore"):
            recall, precision = (
                np.float64(both) / there[:, i].sum(),
                np.float64(both) / found[:, i].sum(),
            )
        count = f"{int(there[:, i].sum()):,}"
        rows.append((name, count, percent(right[:, i].mean()), _share(recall), _share(precision)))
    caption = "Recall: share of the ones that are found. Precision: share of those found that are"
    if len(run.target_names) > MOST_CLASSES:
        caption += f". The first {MOST_CLASSES} labels of {len(run.target_names)}"
    told = f"All labels are right for {whole:,} of {len(found):,} examples, "
    told += f"{percent(whole / len(found))}."
    head = ("Label", "Ones", "Right", "Recall", "Precision")
    return [element("p", told), table(caption, head, rows)]


def _numbers(run: Run, tried: Tried) -> list[Html | None]:
    """Describe predictions of numbers."""
    found: Array = np.asarray(predictions_of(run.network.loss_name, tried.scores), np.float64)
    found = run.in_units(found.reshape(len(tried.y), -1))
    y = run.in_units(tried.y.astype(np.float64))
    usable = np.isfinite(found).all(axis=1)  # rates may overflow
    found, y, rows_tried = found[usable], y[usable], tried.rows[usable]
    if not len(y):
        return [element("p", "No prediction is finite.")]
    residuals = y - found
    rows = []
    for name, column, target in zip(run.target_names, residuals.T, y.T, strict=True):
        spread = np.square(target - target.mean()).sum()
        explained = 1 - np.square(column).sum() / spread if spread > 0 else np.nan
        rows.append(
            (
                name,
                number(np.sqrt(np.square(column).mean())),
                number(np.abs(column).mean()),
                number(column.mean()),
                number(explained),
            )
        )
    head = ("Target", "Root mean square", "Mean size", "Mean", "R²")
    caption = "Residuals, target less prediction; R² is the share of the variance explained"
    pictures = [
        picture
        for i, name in enumerate(run.target_names[:MOST_TARGETS])
        for picture in (
            _histogram(i, name, residuals[:, i]),
            _dots(i, name, found[:, i], y[:, i]) if run.examples else None,
        )
    ]
    return [
        element("h3", "Residuals"),
        table(caption, head, rows[:MOST_CLASSES]),
        element("div", *pictures, class_="side"),
        *residual_rows(run, rows_tried, y, found),
    ]


def _histogram(i: int, name: str, residuals: Array) -> Html:
    """Return the picture of how residuals are distributed."""
    low, high = np.quantile(residuals, (0.005, 0.995))
    inside = residuals[(residuals >= low) & (residuals <= high)]
    counts, edges = np.histogram(inside, BINS)
    within = float(np.mean(np.abs(residuals) <= residuals.std()))
    words = (
        f"Residuals of {name}: mean {number(residuals.mean())}, standard deviation "
        f"{number(residuals.std())}; {percent(within)} are within one of it from 0."
    )

    def draw(axes: Axes) -> None:
        axes.stairs(counts, edges, fill=True, alpha=0.7)
        axes.axvline(0, linewidth=1, linestyle="--", color=axes.xaxis.label.get_color())
        axes.set(xlabel="target less prediction", ylabel="examples")
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))

    caption = f"Residuals of {name}; the outermost 1% is left out."
    return figure(caption, plot(f"residuals {i}", words, draw))


def _dots(i: int, name: str, found: Array, y: Array) -> Html:
    """Return the picture of targets against predictions."""
    some = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_DOTS)).astype(np.int64))
    together = np.corrcoef(found, y)[0, 1] if found.std() > 0 and y.std() > 0 else np.nan
    words = f"{name} against its prediction: a correlation of {number(together)}."
    draw = functools.partial(_draw_dots, found[some], y[some])
    caption = f"Targets of {name} against predictions; on the line a prediction is right."
    if len(some) < len(y):
        caption += f" {len(some)} of {len(y):,} examples, evenly spaced."
    return figure(caption, plot(f"predicted {i}", words, draw))


def _draw_dots(found: Array, y: Array, axes: Axes) -> None:
    """Draw targets against predictions."""
    axes.plot(found, y, "o", markersize=3, alpha=0.6, markeredgewidth=0)
    ends = [min(found.min(), y.min()), max(found.max(), y.max())]
    axes.plot(ends, ends, "--", linewidth=1, color=axes.xaxis.label.get_color())
    axes.set(xlabel="prediction", ylabel="target")
