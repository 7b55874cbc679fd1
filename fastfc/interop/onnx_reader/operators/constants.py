"""Constants, and what a graph makes of them before the network takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....arguments import shown
from ..files import ELEMENTS, element_name
from ..values import Sizes, Tensor

if TYPE_CHECKING:
    from ...._types import AnyArray
    from ..node import Node
    from ..values import Value


def _constant(node: Node) -> Value:
    given = node.given() - {"doc_string"}
    if given == {"value"}:
        return node.array_attribute("value")
    if given == {"value_float"}:
        return np.array(node.attribute("value_float", 0.0), np.float32)
    if given == {"value_floats"}:
        return np.array(node.attribute("value_floats", [0.0]), np.float32)
    if given == {"value_int"}:
        return np.array(node.attribute("value_int", 0), np.int64)
    if given == {"value_ints"}:
        return np.array(node.attribute("value_ints", (0,)), np.int64)
    found = ", ".join(map(shown, sorted(given))) or "no value"
    node.refuse(f"it has {found}, expected one value of numbers")


def _identity(node: Node) -> Value:
    return node.value(0)


def _dropout(node: Node) -> Value:
    """Read a Dropout, which passes everything on."""
    training = node.constant(2) if node.has(2) else np.zeros(())
    if np.any(training):
        node.refuse("its training_mode is True, expected a network that is evaluated")
    return node.value(0)


def _cast(node: Node) -> Value:
    to = node.attribute("to", 0)
    if to not in ELEMENTS:
        node.refuse(f"it makes {element_name(to)}, expected float or double")
    dtype = ELEMENTS[to][0].newbyteorder("=")
    value = node.value(0)
    if isinstance(value, Sizes):
        if dtype.kind != "i":
            node.refuse(f"it makes {dtype} of a shape, expected integers")
        return value
    if not isinstance(value, Tensor):
        array = node.constant(0)
        node.need_room(array.size)
        with np.errstate(all="ignore"):
            return array.astype(dtype)
    if value.dtype == dtype:
        return value
    if dtype.kind != "f":
        node.refuse(f"it makes {dtype} of what the network computes, expected float or double")
    before = value.source
    if value.kind == "gelu" and before is not None and before.kind == "cast":
        wide = before.source
        if wide is not None and wide.dtype == dtype == np.float64:
            # of float32 only since runtimes have no other
            return wide.then("gelu", node.place)
    return Tensor("cast", node.place, value.shape, dtype, value)


def _transpose(node: Node) -> Value:
    if node.is_tensor(0):
        node.refuse("it turns what the network computes, expected a row an example throughout")
    array: AnyArray = node.constant(0)
    axes = node.attribute("perm", tuple(range(array.ndim))[::-1])
    if sorted(axes) != list(range(array.ndim)):
        node.refuse(f"its perm is {axes}, expected the axes of shape {array.shape}")
    return array.transpose(axes)


READERS = {
    ("", "Constant"): _constant,
    ("", "Identity"): _identity,
    ("", "Dropout"): _dropout,
    ("", "Cast"): _cast,
    ("", "Transpose"): _transpose,
}
