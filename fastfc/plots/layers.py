"""What a network's layers put out, and what gradients reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from ..locks import lock_of
from ..networks.joined_layers import JoinedLayers
from .figures import one_axes

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes

    from .._types import Array, ArrayLike, Layers, Params
    from ..networks.fully_connected import FullyConnectedNet

BINS = 50


class _NotedLayers(JoinedLayers):
    """Layers that keep the input of every affine layer: what the hidden layer below it puts out."""

    def __init__(self, layers: Any) -> None:
        super().__init__(cast("Layers", self))
        self._noted_layers = layers
        self.inputs: list[Array] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._noted_layers, name)

    def affine_forward(self, x: Array, w: Array, b: Array) -> Any:
        """Note the input."""
        self.inputs.append(x)
        return self._noted_layers.affine_forward(x, w, b)


def activations(model: FullyConnectedNet, X: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw a histogram of what each hidden layer puts out, one above the other.

    Parameters
    ----------
    model : FullyConnectedNet
        Fast or reference; it is not changed.
    X : array_like, shape (N, d_1, ..., d_k)
        Examples, for a pass in test mode.
    ax : matplotlib Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    matplotlib Axes
        Layer by layer, from below: all numbers but 0, on a scale of its own, and in the margin how
        many units are dead, 0 for every example.

    Raises
    ------
    TypeError, ValueError
        As ``model.loss``; or there is no hidden layer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc import plots
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> axes = plots.activations(FullyConnectedNet([5, 4], input_dim=3), np.eye(3))
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['layer 1', 'layer 2']
    """
    outputs, _ = hidden_outputs(model, X)
    if not outputs:
        raise ValueError("model has no hidden layer, expected one at least")
    axes = one_axes(ax)
    least = min(0.0, *(float(out.min()) for out in outputs))
    greatest = max(float(out.max()) for out in outputs)
    edges = np.linspace(least, greatest if greatest > least else least + 1, BINS + 1)
    for i, out in enumerate(outputs):
        counts, _ = np.histogram(out[out != 0], edges)
        heights = 0.9 * counts / max(counts.max(), 1)
        axes.stairs(i + heights, edges, baseline=i, fill=True, alpha=0.7)
        dead = float((out == 0).all(axis=0).mean())
        axes.annotate(
            f"{dead:.0%} dead",
            (0.98, i + 0.3),
            xycoords=("axes fraction", "data"),
            ha="right",
            fontsize="small",
        )
    axes.set_yticks(range(len(outputs)), [f"layer {i + 1}" for i in range(len(outputs))])
    axes.set(xlabel="output, zeros left out", xlim=(edges[0], edges[-1]))
    return axes


def gradient_flow(
    model: FullyConnectedNet, X: ArrayLike, y: ArrayLike, *, ax: Axes | None = None
) -> Axes:
    """Draw how large the gradient of each weight matrix is, and the weights themselves.

    Parameters
    ----------
    model : FullyConnectedNet
        Fast or reference; the training pass leaves no trace in it, nor in ``np.random``.
    X : array_like, shape (N, d_1, ..., d_k)
        A minibatch.
    y : array_like of int, shape (N,)
        Its labels.
    ax : matplotlib Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    matplotlib Axes
        The root mean square of each layer's dW and W, on a logarithmic scale.

    Raises
    ------
    TypeError, ValueError
        As ``model.loss``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc import plots
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> net = FullyConnectedNet([5, 4], input_dim=3, weight_scale="he")
    >>> axes = plots.gradient_flow(net, np.eye(3), [0, 1, 2])
    >>> [line.get_label() for line in axes.lines], axes.get_yscale()
    (['gradient', 'weight'], 'log')
    """
    grads = training_gradients(model, X, y)
    names = [f"W{i}" for i in range(1, model.num_layers + 1)]
    axes = one_axes(ax)
    for arrays, label in ((grads, "gradient"), (model.params, "weight")):
        axes.plot(names, [root_mean_square(arrays[name]) for name in names], "o-", label=label)
    axes.set(yscale="log", xlabel="parameter", ylabel="root mean square")
    axes.grid(alpha=0.3)
    axes.legend()
    return axes


def root_mean_square(values: Array) -> float:
    """Return the root of the mean of the squares."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def hidden_outputs(model: FullyConnectedNet, X: ArrayLike) -> tuple[list[Array], Array]:
    """Return what each hidden layer puts out in test mode, and the scores."""
    with lock_of(model):
        twin = model._twin()
        twin._set_mode("test")
        noted = _NotedLayers(model._layers)
        twin._layers = cast("Any", noted)
        scores, _ = twin._forward(twin._examples(X), twin._own_params())
    return noted.inputs[1:], scores


def training_gradients(model: FullyConnectedNet, X: ArrayLike, y: ArrayLike) -> Params:
    """Return the gradients of a training pass that leaves no trace, nor in ``np.random``."""
    with lock_of(model):
        twin = model._twin()
    state = np.random.get_state(legacy=False)
    try:
        _, grads = twin.loss(X, y)
    finally:
        np.random.set_state(state)
    return grads
