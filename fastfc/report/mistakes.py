"""Single examples: those that the network is most sure of, and wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .drawing import channels_first, pixels, png, smaller
from .html import element, figure, table
from .words import counted, number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._types import AnyArray, Array, Labels
    from .html import Html
    from .run import Column, Run

MOST_IMAGES = 24
MOST_ROWS = 12
MOST_COLUMNS = 8  # of a table's row: those of the greatest weights

LEFT_OUT = "Single examples are left out of this report, as was asked for."


def wrong_examples(
    run: Run, rows: Labels, labels: AnyArray, found: AnyArray, probabilities: Array
) -> list[Html | None]:
    """Describe the mistakes of which the network was most sure.

    Parameters
    ----------
    run : Run
    rows : array of int, shape (n,)
        The numbers of the validation examples.
    labels, found : array of int, shape (n,)
        What they are, and what the network takes them for.
    probabilities : ndarray, shape (n, C)
        Of the classes.
    """
    heading = element("h3", "Most confident mistakes")
    if not run.examples:
        return [heading, element("p", LEFT_OUT)]
    wrong = np.flatnonzero(labels != found)
    if not len(wrong):
        return [heading, element("p", "None: every example that was tried is right.")]
    sure = probabilities[wrong, found[wrong]]
    most = MOST_IMAGES if run.of_images else MOST_ROWS
    wrong = wrong[np.argsort(-sure, kind="stable")][:most]
    names = run.class_names
    told = [
        (
            names[labels[i]],
            names[found[i]],
            percent(probabilities[i, found[i]]),
            percent(probabilities[i, labels[i]]),
        )
        for i in wrong.tolist()
    ]
    lead = element(
        "p",
        f"{counted(len(wrong), 'example')} of {len(sure):,} that are taken for another class, by "
        "the probability that the network gives that class.",
    )
    if run.of_images:
        return [heading, lead, _images(run, rows[wrong], told)]
    head = ("Label", "Predicted", "Its probability", "The label's")
    caption = "Mistakes, the most confident first"
    return [heading, lead, *_rows(run, rows[wrong], caption, head, told)]


def _images(run: Run, rows: Labels, told: Sequence[tuple[str, str, str, str]]) -> Html:
    """Return the images of these examples, with what they are and were taken for."""
    images = smaller(channels_first(run.raw("val", rows), run.example_shape))
    items = []
    for row, one, (label, predicted, sure, _) in zip(rows.tolist(), images, told, strict=True):
        words = f"{label}, taken for {predicted}, {sure}"
        shown = element("img", src=png(pixels(one)), alt=f"Validation example {row}: {words}")
        items.append(element("li", figure(words, shown)))
    return element("ul", *items, class_="images")


def residual_rows(run: Run, rows: Labels, y: Array, found: Array) -> list[Html | None]:
    """Describe the examples whose predictions are farthest from their targets.

    Parameters
    ----------
    run : Run
    rows : array of int, shape (n,)
        The numbers of the validation examples.
    y, found : ndarray, shape (n, M)
        Targets and predictions.
    """
    heading = element("h3", "Largest residuals")
    if not run.examples:
        return [heading, element("p", LEFT_OUT)]
    sizes = np.abs(y - found) / np.maximum((y - found).std(axis=0), np.finfo(np.float64).tiny)
    worst = np.argsort(-sizes.max(axis=1), kind="stable")[:MOST_ROWS]
    of = sizes.argmax(axis=1)[worst].tolist()
    names = run.target_names
    told: list[tuple[str, ...]] = [
        (number(y[i, j]), number(found[i, j]), number(y[i, j] - found[i, j]))
        for i, j in zip(worst.tolist(), of, strict=True)
    ]
    head: tuple[str, ...] = ("Target", "Prediction", "Residual")
    if len(names) > 1:
        head, told = ("Of", *head), [(names[j], *each) for j, each in zip(of, told, strict=True)]
    caption = "Examples with the largest residuals"
    if run.of_images:
        listed = [(row, *each) for row, each in zip(rows[worst], told, strict=True)]
        return [heading, table(caption, ("Example", *head), listed, label=caption)]
    return [heading, *_rows(run, rows[worst], caption, head, told)]


def _rows(
    run: Run,
    rows: Labels,
    caption: str,
    head: Sequence[str],
    told: Sequence[Sequence[str]],
) -> list[Html | None]:
    """Return a table of these examples: what is told of them, and their own columns."""
    columns = heaviest(run, MOST_COLUMNS)
    examples = run.raw("val", rows).reshape(len(rows), -1)
    listed = [
        (row, *each, *(column.shown(example) for column in columns))
        for row, each, example in zip(rows.tolist(), told, examples, strict=True)
    ]
    if len(columns) < len(run.columns):
        caption += f", with the {len(columns)} columns of {len(run.columns):,} that have the "
        caption += "greatest weights"
    names = [column.name for column in columns]
    return [table(caption, ("Example", *head, *names), listed, label=caption)]


def heaviest(run: Run, most: int) -> list[Column]:
    """Return the columns whose weights into the first layer are greatest, in the data's order."""
    sizes = column_sizes(run)
    chosen = np.sort(np.argsort(-sizes, kind="stable")[:most])
    columns = run.columns
    return [columns[i] for i in chosen.tolist()]


def column_sizes(run: Run) -> Array:
    """Return for each column the root mean square of its weights into the first layer."""
    squares = np.square(run.network.params["W1"], dtype=np.float64).mean(axis=1)
    starts = [column.start for column in run.columns]
    widths = [column.width for column in run.columns]
    return np.sqrt(np.add.reduceat(np.nan_to_num(squares), starts) / widths)
