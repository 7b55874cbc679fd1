"""Arithmetic, element by element: with constants, or as a part of a longer formula.

Of constants alone it makes constants.  With one it is a step of its own, which an affine layer or a
normalisation before it takes in (`steps`).  Of two tensors it is a part of a LayerNormalization, a
GELU, a SiLU or a leaky ReLU that is written step by step, or refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..values import Tensor, is_scalar
from .activations import gelu_of_product, leaky_of, scaled_by, silu_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...._types import AnyArray
    from ..node import Node
    from ..values import Value


def _numbers(node: Node, function: np.ufunc) -> AnyArray | None:
    """Return what an operator makes of constants alone, None where they are not alone."""
    arrays = node.constants()
    if arrays is None:
        return None
    if len(arrays) != function.nin:
        node.refuse(f"it has {len(arrays)} inputs, expected {function.nin}")
    if len({array.dtype for array in arrays}) > 1:
        node.refuse(f"its inputs have dtypes {', '.join(str(array.dtype) for array in arrays)}")
    if arrays[0].dtype.kind != "f" and node.op_type not in ("Add", "Sub", "Mul"):
        node.refuse(f"its inputs have dtype {arrays[0].dtype}, expected floats")
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = " and ".join(str(array.shape) for array in arrays)
        node.refuse(f"its inputs have shapes {shapes}, which do not fit")
    node.need_room(int(np.prod(shape, dtype=object)))
    with np.errstate(all="ignore"):
        made: AnyArray = function(*arrays)
    return made


def _by(node: Node, i: int, x: Tensor) -> AnyArray:
    """Return an input that is a constant as one number, or one for each feature of an example.

    It broadcasts to the examples (N, d_1, ..., d_k) and is the same for each of them.
    """
    by = node.floats_like(i, x)
    if is_scalar(by):
        return by.reshape(())
    rank = len(x.shape) + 1
    if by.ndim > rank or (by.ndim == rank and by.shape[0] != 1):
        node.refuse(f"its input {i} has shape {by.shape}, expected the same for every example")
    of_example = by.reshape(by.shape[1:]) if by.ndim == rank else by
    known = tuple(1 if size is None else size for size in x.shape)
    if None in x.shape and len(known) == 1:
        return of_example
    try:
        fits = np.broadcast_shapes(of_example.shape, known) == known and None not in x.shape
    except ValueError:
        fits = False
    if not fits:
        node.refuse(f"its input {i} has shape {by.shape}, expected one that fits {x.shape}")
    count = int(np.prod(known, dtype=object))
    if of_example.size != count:
        node.need_room(count)
    return np.broadcast_to(of_example, known).reshape(-1)


def _add(node: Node) -> Value:
    if node.is_tensor(0) and node.is_tensor(1):
        node.refuse("it adds two tensors of the network, expected a constant: one layer a time")
    i = int(node.is_tensor(1))
    x = node.floats(i)
    by = _by(node, 1 - i, x)
    if x.kind == "erf" and np.all(by == 1):
        return x.then("shifted erf", node.place, coefficient=1.0)
    if x.kind == "variance" and is_scalar(by):
        return x.then("shifted variance", node.place, eps=float(by))
    return _step(node, "add", x, by)


def _sub(node: Node) -> Value:
    if node.is_tensor(0) and node.is_tensor(1):
        x, mean = node.floats(0), node.floats(1)
        if mean.kind != "mean" or mean.source is not x:
            node.refuse(
                "it subtracts two tensors of the network, expected a mean: as in a "
                "LayerNormalization"
            )
        return Tensor("centered", node.place, x.shape, x.dtype, x)
    if node.is_tensor(0):
        return _step(node, "sub", node.floats(0), _by(node, 1, node.floats(0)))
    return _step(node, "rsub", node.floats(1), _by(node, 0, node.floats(1)))


def _mul(node: Node) -> Value:
    if not (node.is_tensor(0) and node.is_tensor(1)):
        i = int(node.is_tensor(1))
        x = node.floats(i)
        by = _by(node, 1 - i, x)
        return scaled_by(node, x, float(by)) if _is_part(x, by) else _step(node, "mul", x, by)
    one, other = node.floats(0), node.floats(1)
    for a, b in ((one, other), (other, one)):
        made = silu_of(node, a, b) or gelu_of_product(node, a, b) or _normalized(node, a, b)
        if made is not None:
            return made
    if one is other and one.kind == "centered":
        return one.then("square", node.place)
    node.refuse(
        "it multiplies two tensors of the network, expected a constant, or x Sigmoid(x), or a part "
        "of a Gelu"
    )


def _div(node: Node) -> Value:
    if not node.is_tensor(0):
        node.refuse("it divides by what the network computes, expected a constant")
    x = node.floats(0)
    if node.is_tensor(1):
        made = _normalized(node, x, node.floats(1))
        if made is None:
            node.refuse(
                "it divides by what the network computes, expected a constant, or a part of a "
                "LayerNormalization"
            )
        return made
    by = _by(node, 1, x)
    if _is_part(x, by):
        with np.errstate(all="ignore"):
            return scaled_by(node, x, float(1 / by))
    return _step(node, "div", x, by)


def _pow(node: Node) -> Value:
    x = node.floats(0)
    if x.kind != "centered" or node.is_tensor(1) or not np.all(node.constant(1) == 2):
        node.refuse("it is a power, expected a square of deviations, as in a LayerNormalization")
    return x.then("square", node.place)


def _max(node: Node) -> Value:
    if len(node.inputs) == 2 and node.is_tensor(0) and node.is_tensor(1):
        one, other = node.floats(0), node.floats(1)
        made = leaky_of(node, one, other) or leaky_of(node, other, one)
        if made is not None:
            return made
    elif len(node.inputs) == 2:
        i = int(node.is_tensor(1))
        if np.all(node.constant(1 - i) == 0):
            return node.floats(i).then("relu", node.place)
    node.refuse("it is a maximum, expected that of x and 0.01 x, or of x and 0")


def _neg(node: Node) -> Value:
    x = node.floats(0)
    return _step(node, "mul", x, np.array(-1, x.dtype))


def _sqrt(node: Node) -> Value:
    x = node.floats(0)
    if x.kind != "shifted variance":
        node.refuse("it is a square root, expected one of a variance, as in a LayerNormalization")
    return x.then("deviation", node.place)


def _reciprocal(node: Node) -> Value:
    x = node.floats(0)
    if x.kind != "deviation":
        node.refuse("it is a reciprocal, expected one of a deviation, as in a LayerNormalization")
    return x.then("reciprocal deviation", node.place)


def _is_part(x: Tensor, by: AnyArray) -> bool:
    """Return whether a factor belongs to a GELU that is written step by step."""
    return x.kind in ("shifted erf", "product") and is_scalar(by)


def _step(node: Node, kind: str, x: Tensor, by: AnyArray) -> Tensor:
    """Return a step of arithmetic with a constant."""
    shape = x.shape
    if not is_scalar(by) and shape == (None,):
        shape = by.shape
    return Tensor(kind, node.place, shape, x.dtype, x, {"by": by})


def _normalized(node: Node, centered: Tensor, deviation: Tensor) -> Tensor | None:
    """Return the normalisation of rows that is the quotient of these, None if it is none."""
    wanted = "deviation" if node.op_type == "Div" else "reciprocal deviation"
    if centered.kind != "centered" or deviation.kind != wanted:
        return None
    at: Tensor | None = deviation
    eps = 0.0
    while at is not None and at.kind != "centered":
        eps = at.settings.get("eps", eps)
        at = at.source
    if at is None or at.source is not centered.source or at.source is None:
        return None
    if not 0 <= eps < np.inf:
        node.refuse(f"its eps is {eps}, expected a finite number of at least 0")
    settings = {"gamma": None, "beta": None, "eps": eps}
    return Tensor("layernorm", node.place, centered.shape, centered.dtype, at.source, settings)


def _reader(function: np.ufunc, read: Callable[[Node], Value]) -> Callable[[Node], Value]:
    """Return what reads an operator: of constants alone it makes numbers, by the function."""

    def read_either(node: Node) -> Value:
        found = _numbers(node, function)
        return read(node) if found is None else found

    return read_either


READERS = {
    ("", "Add"): _reader(np.add, _add),
    ("", "Sub"): _reader(np.subtract, _sub),
    ("", "Mul"): _reader(np.multiply, _mul),
    ("", "Div"): _reader(np.divide, _div),
    ("", "Pow"): _reader(np.power, _pow),
    ("", "Max"): _reader(np.maximum, _max),
    ("", "Neg"): _reader(np.negative, _neg),
    ("", "Sqrt"): _reader(np.sqrt, _sqrt),
    ("", "Reciprocal"): _reader(np.reciprocal, _reciprocal),
}
