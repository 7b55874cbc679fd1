"""A network as nodes of an ONNX graph: what files and pipelines of scikit-learn's get.

Nothing here imports onnx: nodes and constants are plain, and whoever asks for them puts them where
they belong.  Operators are those that `onnxruntime` computes in the dtype; where it has none for
float64, others do the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from numpy.typing import ArrayLike, DTypeLike

    from .._types import AnyArray
    from ..networks.predictor import Layer

# By the networks' names of them, where one operator does it in float32 and float64.
_ACTIVATIONS = {"relu": "Relu", "logistic": "Sigmoid", "tanh": "Tanh"}
_FLOAT, _DOUBLE = 1, 11  # types of elements, by ONNX's numbers of them
# What becomes of scores, by the names of `fastfc.networks.losses`.
OUTPUTS: dict[str, tuple[str, dict[str, int]]] = {
    "softmax": ("Softmax", {"axis": 1}),
    "logistic": ("Sigmoid", {}),
    "exp": ("Exp", {}),
}


class Node(NamedTuple):
    """An operator, the names of what it takes and of what it makes."""

    op_type: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Nodes:
    """Nodes of a graph, in their order, and its constants.

    Parameters
    ----------
    dtype : float32 or float64
        In which the graph computes.
    opset : int
        The version of the operators.
    unique : callable
        (name) -> a name that the graph does not have yet.

    Attributes
    ----------
    nodes : list of Node
    constants : dict of ndarray
    """

    def __init__(self, dtype: DTypeLike, opset: int, unique: Callable[[str], str] = str) -> None:
        self.dtype = np.dtype(dtype)
        self.opset = opset
        self.nodes: list[Node] = []
        self.constants: dict[str, AnyArray] = {}
        self._unique = unique

    def constant(self, name: str, value: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """Add a constant, by default in the graph's dtype, and return its name."""
        name = self._unique(name)
        with np.errstate(all="ignore"):
            self.constants[name] = np.asarray(value).astype(dtype or self.dtype)
        return name

    def add(self, op_type: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = self._unique(name)
        self.nodes.append(Node(op_type, inputs, output, attributes))
        return output

    def rename(self, found: str, name: str) -> None:
        """Let what the last node makes be called ``name``; ``found`` is what it is called now."""
        if self.nodes and self.nodes[-1].output == found:
            self.nodes[-1] = self.nodes[-1]._replace(output=name)
        else:
            self.nodes.append(Node("Identity", (found,), name, {}))

    def normalize(self, x: str, mean: ArrayLike, std: ArrayLike) -> str:
        """Add (x - mean) / std, by a division as in training, and return the output's name."""
        x = self.add("Sub", "centered", x, self.constant("mean", mean))
        return self.add("Div", "normalized", x, self.constant("std", std))

    def layers(self, x: str, layers: Iterable[Layer]) -> str:
        """Add the layers of a network, the last one's activation left out; return the scores'."""
        layers = list(layers)
        for i, layer in enumerate(layers, start=1):
            W, b = self.constant(f"W{i}", layer.W), self.constant(f"b{i}", layer.b)
            x = self.add("Gemm", f"affine{i}", x, W, b)
            if layer.mean is not None:
                x = self._batchnorm(x, i, layer)
            elif layer.gamma is not None:
                x = self._layernorm(x, i, layer)
            if i < len(layers):
                x = self._activation(x, i, layer.activation)
        return x

    def output(self, scores: str, kind: str | None) -> str:
        """Add what becomes of scores, see `OUTPUTS`; None and 'identity' leave them."""
        if kind is None or kind == "identity":
            return scores
        op_type, attributes = OUTPUTS[kind]
        return self.add(op_type, kind, scores, **attributes)

    def _batchnorm(self, x: str, i: int, layer: Layer) -> str:
        """Add a batch normalisation by its running statistics."""
        epsilon = float(np.float32(layer.eps))  # as the file keeps it; the rest is in the variance
        var: Any = layer.var
        var = var + var.dtype.type(layer.eps - epsilon)
        arrays = {"gamma": layer.gamma, "beta": layer.beta, "running_mean": layer.mean}
        names = [self.constant(f"{name}{i}", np.asarray(value)) for name, value in arrays.items()]
        names.append(self.constant(f"running_var{i}", var))
        return self.add("BatchNormalization", f"batchnorm{i}", x, *names, epsilon=epsilon)

    def _layernorm(self, x: str, i: int, layer: Layer) -> str:
        """Add a layer normalisation; step by step in float64, where the operator may use less."""
        gamma = self.constant(f"gamma{i}", np.asarray(layer.gamma))
        beta = self.constant(f"beta{i}", np.asarray(layer.beta))
        if self.opset >= 17 and self.dtype == np.float32:
            name, eps = f"layernorm{i}", float(np.float32(layer.eps))
            return self.add("LayerNormalization", name, x, gamma, beta, axis=-1, epsilon=eps)
        eps_name = self.constant(f"eps{i}", layer.eps)
        centered = self.add("Sub", f"layernorm{i}/centered", x, self._mean(f"layernorm{i}/mean", x))
        square = self.add("Mul", f"layernorm{i}/square", centered, centered)
        var = self._mean(f"layernorm{i}/var", square)
        shifted = self.add("Add", f"layernorm{i}/shifted", var, eps_name)
        std = self.add("Sqrt", f"layernorm{i}/std", shifted)
        normalized = self.add("Div", f"layernorm{i}/normalized", centered, std)
        scaled = self.add("Mul", f"layernorm{i}/scaled", normalized, gamma)
        return self.add("Add", f"layernorm{i}", scaled, beta)

    def _mean(self, name: str, x: str) -> str:
        """Add the mean of each row, as a column."""
        if self.opset < 18:
            return self.add("ReduceMean", name, x, axes=[-1], keepdims=1)
        axes = self.constant(f"{name}/axes", [-1], np.int64)
        return self.add("ReduceMean", name, x, axes, keepdims=1)

    def _activation(self, x: str, i: int, activation: str) -> str:
        """Add the activation of a hidden layer."""
        name = f"{activation}{i}"
        if activation == "identity":
            return x
        if activation in _ACTIVATIONS:
            return self.add(_ACTIVATIONS[activation], name, x)
        if activation == "silu":
            return self.add("Mul", name, x, self.add("Sigmoid", f"{name}/sigmoid", x))
        if activation == "gelu":
            return self._gelu(x, name)
        if self.dtype == np.float32:
            return self.add("LeakyRelu", name, x, alpha=0.01)
        slope = self.constant(f"{name}/slope", 0.01)
        return self.add("Max", name, x, self.add("Mul", f"{name}/scaled", x, slope))

    def _gelu(self, x: str, name: str) -> str:
        """Add the exact GELU, x Phi(x); in float32 between two casts, as runtimes have no other."""
        if self.dtype == np.float32:
            return self._narrow_gelu(x, name)
        narrow = self.add("Cast", f"{name}/narrow", x, to=_FLOAT)
        gelu = self._narrow_gelu(narrow, f"{name}/gelu")
        return self.add("Cast", name, gelu, to=_DOUBLE)

    def _narrow_gelu(self, x: str, name: str) -> str:
        if self.opset >= 20:
            return self.add("Gelu", name, x)
        numbers = {"root": math.sqrt(2), "one": 1, "half": 0.5}
        root, one, half = (
            self.constant(f"{name}/{key}", value, np.float32) for key, value in numbers.items()
        )
        scaled = self.add("Div", f"{name}/scaled", x, root)
        erf = self.add("Erf", f"{name}/erf", scaled)
        shifted = self.add("Add", f"{name}/shifted", erf, one)
        product = self.add("Mul", f"{name}/product", x, shifted)
        return self.add("Mul", name, product, half)
