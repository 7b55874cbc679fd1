"""A network as it is at one time, for its scores alone."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..arguments import check_dense, shown
from ..arrays import quiet, to_examples
from .arguments import list_bn_params

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

    from .._types import AnyArray, Array
    from .._types import Predictor as PredictorLike
    from .fully_connected import FullyConnectedNet


class Layer(NamedTuple):
    """An affine layer and what is behind it, normalisation in arrays of the network's dtype.

    ``W`` (D, M), the others (M,).  Without normalisation all but W and b are None; ``mean`` and
    ``var`` are those of a batch normalisation.  The last layer's activation is none.
    """

    W: Array
    b: Array
    gamma: Array | None = None
    beta: Array | None = None
    mean: Array | None = None
    var: Array | None = None
    eps: float = 0.0
    activation: str = "relu"


def freeze(network: FullyConnectedNet, operation: str = "predictor") -> FullyConnectedNet:
    """Return a copy of a network in test mode that shares nothing with it.

    Whatever its own ``loss`` would say against its parameters is said here.

    Parameters
    ----------
    network : FullyConnectedNet
    operation : str
        Who asks, for messages.

    Raises
    ------
    TypeError, ValueError
        As ``loss``; or ``loss`` is somebody else's.
    """
    if not network._has_own_loss():
        raise TypeError(
            f"{operation}: loss of this {type(network).__name__} is not fastfc's own, expected a "
            "network whose loss nobody has replaced: the scores are those of fastfc's"
        )
    frozen = copy.copy(network)
    frozen.__dict__.pop("_lock", None)
    frozen.params = {name: np.array(value) for name, value in network._own_params().items()}
    bn_params = list_bn_params(network.bn_params) if network.normalization else []
    frozen.bn_params = [dict(copy.deepcopy(bn_param)) for bn_param in bn_params]
    frozen.use_dropout = False  # drops nothing in test mode, but would seed np.random
    frozen._set_mode("test")
    features, *_ = *frozen._shape_of("W1"), frozen._arguments["input_dim"]
    frozen._test_scores(np.zeros((1, features), frozen.dtype))  # says what is wrong
    return frozen


def read_layers(frozen: FullyConnectedNet) -> list[Layer]:
    """Return the layers of a network that `freeze` returned."""
    layers = []
    for i in range(1, frozen.num_layers + 1):
        W = frozen.params[f"W{i}"]

        def row(value: ArrayLike, width: int = W.shape[1]) -> Array:
            return np.broadcast_to(np.ravel(value), (width,)).astype(frozen.dtype)

        layer = Layer(W, row(frozen.params[f"b{i}"]), activation=frozen.activation)
        if frozen.normalization and i < frozen.num_layers:
            bn_param = frozen.bn_params[i - 1]
            layer = layer._replace(
                gamma=row(frozen.params[f"gamma{i}"]),
                beta=row(frozen.params[f"beta{i}"]),
                eps=float(bn_param.get("eps", 1e-5)),
            )
            if frozen.normalization == "batchnorm":
                mean, var = bn_param["running_mean"], bn_param["running_var"]
                layer = layer._replace(mean=row(mean), var=row(var))
        layers.append(layer)
    return layers


@quiet
def fold(layer: Layer) -> Layer:
    """Return a layer with its batch normalisation folded into its weights, in float64 arithmetic.

    It is gamma * (x @ W + b - mean) / sqrt(var + eps) + beta = x @ (W * scale) + shift, where scale
    = gamma / sqrt(var + eps) and shift = (b - mean) * scale + beta.  A layer without one is
    returned as it is, and so is one whose folded numbers are not finite: there the order of the
    arithmetic decides what comes out.

    Examples
    --------
    >>> one = np.ones(1)
    >>> W, b, *_ = fold(Layer(np.ones((2, 1)), one, 6 * one, one, 3 * one, 4 * one))
    >>> W.ravel(), b
    (array([3., 3.]), array([-5.]))
    """
    if layer.gamma is None or layer.mean is None or layer.var is None or layer.beta is None:
        return layer
    W, b, gamma, beta, mean, var = (
        array.astype(np.float64)
        for array in (layer.W, layer.b, layer.gamma, layer.beta, layer.mean, layer.var)
    )
    scale = gamma / np.sqrt(var + layer.eps)
    dtype = layer.W.dtype
    folded = Layer(
        (W * scale).astype(dtype),
        ((b - mean) * scale + beta).astype(dtype),
        activation=layer.activation,
    )
    if not (np.isfinite(folded.W).all() and np.isfinite(folded.b).all()):
        return layer
    return folded


class Predictor:
    """The scores of a network as it was, its layers called one by one.

    See `fastfc.networks.model.Model.predictor`.
    """

    def __init__(self, frozen: FullyConnectedNet) -> None:
        self._network = frozen
        self.dtype = np.dtype(frozen.dtype)
        self.input_dim = frozen.params["W1"].shape[0]
        self.num_classes = frozen.params[f"W{frozen.num_layers}"].shape[1]

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        """Return the scores of one example or several, in ``out`` where it is given.

        Parameters
        ----------
        x, out
            See `fastfc.networks.model.Model.predictor`.

        Returns
        -------
        ndarray, shape (C,) or (N, C)
        """
        x, shape = check_call(self, x, out)
        scores = self._network._test_scores(x if x.ndim > 1 else x[np.newaxis]).reshape(shape)
        if out is None:
            return scores
        out[...] = scores
        return out

    def __repr__(self) -> str:
        """Say its sizes and its dtype."""
        return f"<Predictor: {self.input_dim} to {self.num_classes}, {self.dtype}>"


def check_call(predictor: PredictorLike, x: Any, out: Any) -> tuple[Array, tuple[int, ...]]:
    """Return x and the shape of its scores, if x and out are arrays that a predictor takes.

    x is an array in the same memory where it is one of another library.

    Raises
    ------
    TypeError
        One is no array, or of another dtype.
    ValueError
        One has another shape or layout, out is read-only, or the two share memory.
    """
    D, C, dtype = predictor.input_dim, predictor.num_classes, predictor.dtype
    x = to_examples("predictor: x", x)
    _check_array("x", x, dtype)
    x = np.asarray(x)
    if x.ndim == 0 or (len(x) if x.ndim == 1 else math.prod(x.shape[1:])) != D:
        raise ValueError(
            f"predictor: x has shape {x.shape}, expected ({D},), one example, or "
            f"(N, d_1, ..., d_k) with d_1 * ... * d_k = {D}"
        )
    _check_layout("x", x)
    shape = (C,) if x.ndim == 1 else (len(x), C)
    if out is None:
        return x, shape
    _check_array("out", out, dtype)
    if out.shape != shape:
        raise ValueError(
            f"predictor: out has shape {out.shape}, expected {shape} to match x of shape {x.shape}"
        )
    _check_layout("out", out)
    if not out.flags.writeable:
        raise ValueError("predictor: out is read-only, expected an array to write to")
    if np.may_share_memory(x, out):  # exact, since both are dense
        raise ValueError("predictor: out shares memory with x, expected memory of its own")
    return x, shape


def _check_array(name: str, value: Any, dtype: np.dtype[Any]) -> None:
    check_dense(f"predictor: {name}", value)
    if not isinstance(value, np.ndarray):
        raise TypeError(f"predictor: {name} is {shown(value)}, expected an array of {dtype}")
    if value.dtype != dtype:
        raise TypeError(
            f"predictor: {name} has dtype {value.dtype}, expected {dtype}, the network's"
        )


def _check_layout(name: str, array: AnyArray) -> None:
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(
            f"predictor: {name} is not C-contiguous or not aligned, expected both: "
            f"np.require({name}, requirements='CA')"
        )
