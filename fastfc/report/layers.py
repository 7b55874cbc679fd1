"""The network by layer: weights, what the layers put out, gradients."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from .. import plots
from ..plots.layers import hidden_outputs, root_mean_square, training_gradients
from ..plots.weights import mosaic
from .drawing import channels_first, image_shape, plain_numbers, plot, png, smaller
from .html import Section, element, figure, table
from .mistakes import column_sizes
from .run import MOST_WATCHED
from .words import counted, number, percent

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes

    from .._types import AnyArray, Array
    from .html import Html
    from .run import Run

MOST_UNITS = 64  # whose weights are drawn
MOST_WEIGHTS = 120_000  # pixels of them all
MOST_COLUMNS = 15
MOST_LAYERS = 40  # for which a picture grows


def network_section(run: Run) -> Section:
    """Return the section of the network."""
    X, y = _batch(run)
    with np.errstate(all="ignore"):
        outputs, scores = hidden_outputs(run.network, X)
        grads = training_gradients(run.network, X, y)
        unusable = run.network.first_nonfinite(X)
    finite = all(np.isfinite(out).all() for out in (*outputs, scores))
    warning = None
    if unusable is not None or not finite:
        where = unusable or "the scores in test mode"
        words = f"The first numbers that are not finite are those of {where}."
        warning = element("p", words, class_="warning")
    pictures = []
    if outputs and finite:
        pictures.append(_activations(run, X, outputs))
    if all(np.isfinite(grad).all() for grad in grads.values()):
        pictures.append(_gradients(run, X, y, grads))
    return Section(
        "network",
        "Network",
        _summary(run),
        *_first_layer(run),
        element("h3", "Layer by layer"),
        warning,
        _by_layer(run, outputs, scores, grads),
        element("div", *pictures, class_="side"),
    )


def _batch(run: Run) -> tuple[AnyArray, AnyArray]:
    """Return training examples and their labels, as the network gets them."""
    rows = run.rows("train", MOST_WATCHED)
    return run.inputs("train", rows), np.asarray(run.data["y_train"])[rows]


def _summary(run: Run) -> Html:
    """Return the table of the layers."""
    head, *lines = run.network._summary_rows()
    caption = "Layers and their parameters"
    return table(caption, [word.capitalize() for word in head], lines, label=caption)


def _first_layer(run: Run) -> list[Html | None]:
    """Describe the weights of the first layer."""
    W = run.network.params["W1"]
    if not run.of_images:
        return [element("h3", "Weights by column"), _columns(run)]
    shape = image_shape(run.example_shape)
    assert shape is not None
    images = smaller(channels_first(W.T, run.example_shape))
    most = min(MOST_UNITS, max(MOST_WEIGHTS // images[0].size, 4), len(images))
    drawn = mosaic(images[:most].transpose(0, 2, 3, 1), blank=np.nan)
    words = (
        f"The weights into {counted(most, 'unit')} of {W.shape[1]:,} of the first layer as images, "
        "each from its least weight, dark, to its greatest"
    )
    alternative = (
        f"{words}. Over all units the weights have mean {number(W.mean(dtype=np.float64))}, "
    )
    alternative += f"standard deviation {number(W.std(dtype=np.float64))}."
    shown = element("img", src=png(drawn), alt=alternative, class_="wide")
    return [element("h3", "Weights of the first layer"), figure(f"{words}.", shown)]


def _columns(run: Run) -> Html:
    """Return the table of the columns whose weights are greatest."""
    sizes, columns = column_sizes(run), run.columns
    order = np.argsort(-sizes, kind="stable")[:MOST_COLUMNS]
    greatest = max(float(sizes.max()), np.finfo(np.float64).tiny)
    rows = [
        (columns[i].name, number(sizes[i]), percent(sizes[i] / greatest)) for i in order.tolist()
    ]
    caption = (
        "Root mean square of the weights from a column into the first layer, the greatest first"
    )
    if len(order) < len(columns):
        caption += f": {len(order)} of {len(columns):,} columns"
    return table(caption, ("Column", "Weights", "Of the greatest"), rows)


def _by_layer(run: Run, outputs: list[Array], scores: Array, grads: Any) -> Html:
    """Return the table of outputs, dead units and gradients by layer."""
    rows = []
    for i, out in enumerate((*outputs, scores), 1):
        W, dW = run.network.params[f"W{i}"], grads[f"W{i}"]
        with np.errstate(all="ignore"):
            sizes = root_mean_square(W), root_mean_square(dW)
            ratio = sizes[1] / sizes[0] if sizes[0] > 0 else np.nan
            statistics = out.mean(dtype=np.float64), out.std(dtype=np.float64)
        hidden = i <= len(outputs)
        rows.append(
            (
                f"layer {i}" if hidden else "scores",
                f"{out.shape[1]:,}",
                *map(number, statistics),
                percent(float((out == 0).mean())) if hidden else "",
                percent(dead_share(out)) if hidden else "",
                *map(number, (*sizes, ratio)),
            )
        )
    rows_tried = len(scores)
    caption = (
        f"Outputs of {counted(rows_tried, 'training example')} in test mode, and the gradient of "
        "the loss of all of them in training mode. A unit is dead that puts out 0 for "
        "each of them; weights and gradient are given by their root mean squares, and the ratio "
        "of these"
    )
    outs = "Mean", "Standard deviation", "Zeros", "Dead units"
    sizes_of = "Weights", "Gradient", "Ratio"
    head = ("Layer", "Units", *outs, *sizes_of)
    return table(caption, head, rows, label="Layer by layer")


def dead_share(out: Array) -> float:
    """Return the share of units that put out 0 for every example (n, M).

    Examples
    --------
    >>> dead_share(np.array([[0.0, 1.0], [0.0, 0.0]]))
    0.5
    """
    return float((out == 0).all(axis=0).mean())


def _activations(run: Run, X: AnyArray, outputs: list[Array]) -> Html:
    """Return the picture of what the layers put out."""
    dead = "; ".join(f"layer {i}: {percent(dead_share(out))}" for i, out in enumerate(outputs, 1))
    words = f"What each hidden layer puts out, as histograms. Share of dead units: {dead}."
    height = 1.6 + 0.5 * min(len(outputs), MOST_LAYERS)
    draw = functools.partial(_draw_outputs, run, X)
    caption = "What each hidden layer puts out, as histograms, each on a scale of its own."
    return figure(caption, plot("activations", words, draw, height))


def _draw_outputs(run: Run, X: AnyArray, axes: Axes) -> None:
    """Draw the histograms."""
    plots.activations(run.network, X, ax=axes)


def _gradients(run: Run, X: AnyArray, y: AnyArray, grads: Any) -> Html:
    """Return the picture of the gradients by layer."""
    names = [f"W{i}" for i in range(1, run.network.num_layers + 1)]
    sizes = [f"{name} {number(root_mean_square(grads[name]))}" for name in names]
    caption = "Root mean square of each weight matrix and of its gradient."
    words = f"{caption} Gradients: {', '.join(sizes)}."

    def draw(axes: Axes) -> None:
        plots.gradient_flow(run.network, X, y, ax=axes)
        plain_numbers(axes)

    return figure(caption, plot("gradients", words, draw))
