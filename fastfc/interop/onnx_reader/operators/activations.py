"""Activations, as operators or as formulas that are written step by step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..values import Tensor, is_scalar

if TYPE_CHECKING:
    from ..node import Node
    from ..values import Value

SLOPE = 0.01  # of fastfc's leaky ReLU
CLOSE = 1e-6  # of numbers that a file may have in float32


def _relu(node: Node) -> Value:
    return node.floats().then("relu", node.place)


def _sigmoid(node: Node) -> Value:
    return node.floats().then("logistic", node.place)


def _tanh(node: Node) -> Value:
    return node.floats().then("tanh", node.place)


def _exp(node: Node) -> Value:
    return node.floats().then("exp", node.place)


def _leaky_relu(node: Node) -> Value:
    alpha = node.attribute("alpha", 0.01)
    if not math.isclose(alpha, SLOPE, rel_tol=CLOSE):
        node.refuse(f"its alpha is {alpha:.7g}, expected {SLOPE}")
    return node.floats().then("leaky_relu", node.place)


def _gelu(node: Node) -> Value:
    node.one_of("approximate", "none", node.attribute("approximate", "none"))
    return node.floats().then("gelu", node.place)


def _swish(node: Node) -> Value:
    node.one_of("alpha", 1.0, node.attribute("alpha", 1.0))
    return node.floats().then("silu", node.place)


def _softmax(node: Node) -> Value:
    x = node.rows()
    axis = node.attribute("axis", 1 if node.opset < 13 else -1)
    if not node.axis_is_last([axis], x):
        node.refuse(f"its axis is {axis}, expected the last: over the classes")
    return x.then("softmax", node.place)


def _erf(node: Node) -> Value:
    x = node.floats()
    factor, source = _factor_of(x)
    if source is None or not math.isclose(factor, 1 / math.sqrt(2), rel_tol=CLOSE):
        node.refuse("it is of another number than x / sqrt(2), expected a part of a Gelu")
    return Tensor("erf", node.place, source.shape, source.dtype, source)


def _factor_of(x: Tensor) -> tuple[float, Tensor | None]:
    """Return the number by which another tensor is multiplied here, and that tensor."""
    by = x.settings.get("by")
    if x.kind not in ("mul", "div") or by is None or not is_scalar(by):
        return 1.0, None
    with np.errstate(all="ignore"):
        return float(by if x.kind == "mul" else 1 / by), x.source


def silu_of(node: Node, x: Tensor, sigmoid: Tensor) -> Tensor | None:
    """Return x Sigmoid(x), None if the second is not the sigmoid of the first."""
    if sigmoid.kind != "logistic" or sigmoid.source is not x:
        return None
    return x.then("silu", node.place)


def leaky_of(node: Node, x: Tensor, scaled: Tensor) -> Tensor | None:
    """Return Max(x, 0.01 x), None if the second is not that of the first."""
    factor, source = _factor_of(scaled)
    if source is not x or not math.isclose(factor, SLOPE, rel_tol=CLOSE):
        return None
    return x.then("leaky_relu", node.place)


def gelu_of_product(node: Node, x: Tensor, shifted: Tensor) -> Tensor | None:
    """Return c x (1 + Erf(x / sqrt(2))), None if it is none: a GELU where c is a half."""
    if shifted.kind != "shifted erf":
        return None
    erf: Tensor | None = shifted
    while erf is not None and erf.kind != "erf":
        erf = erf.source
    base = None if erf is None else erf.source
    coefficient = 1.0
    if x is not base:
        coefficient, x_source = _factor_of(x)
        if x_source is not base:
            return None
    if base is None:
        return None
    product = base.then("product", node.place, coefficient=shifted.settings["coefficient"])
    return scaled_by(node, product, coefficient)


def scaled_by(node: Node, part: Tensor, factor: float) -> Tensor:
    """Return a part of a GELU that is multiplied by a number; a GELU if that makes one of it."""
    coefficient = part.settings["coefficient"] * factor
    source = part.source
    assert source is not None
    if part.kind == "product" and math.isclose(coefficient, 0.5, rel_tol=CLOSE):
        return source.then("gelu", node.place)
    return source.then(part.kind, node.place, coefficient=coefficient)


READERS = {
    ("", "Relu"): _relu,
    ("", "Sigmoid"): _sigmoid,
    ("", "Tanh"): _tanh,
    ("", "Exp"): _exp,
    ("", "LeakyRelu"): _leaky_relu,
    ("", "Gelu"): _gelu,
    ("", "Swish"): _swish,
    ("", "Softmax"): _softmax,
    ("", "Erf"): _erf,
}
