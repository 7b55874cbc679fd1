"""Shapes: what makes a row of each example, by sizes that are known or that a graph computes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..values import BATCH, Sizes, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...._types import AnyArray
    from ..node import Node
    from ..values import Shape, Value


def _shape(node: Node) -> Value:
    if not node.is_tensor(0):
        return np.array(node.constant(0).shape, np.int64)
    entries: Shape = (BATCH, *node.tensor(0).shape)
    rank = len(entries)
    start, end = node.attribute("start", 0), node.attribute("end", rank)
    return _as_value(Sizes(entries[start:end]))


def _as_value(sizes: Sizes) -> Value:
    """Return sizes as a constant where all are known."""
    if any(entry is None or entry == BATCH for entry in sizes.entries):
        return sizes
    array = np.array(sizes.entries, np.int64)
    return array.reshape(()) if sizes.single else array


def _gather(node: Node) -> Value:
    if node.is_tensor(0):
        node.refuse("it takes a part of what the network computes, expected all of it")
    found = node.sizes(0)
    single = node.constant(1).ndim == 0
    node.one_of("axis", 0, node.attribute("axis", 0))
    count = len(found.entries)
    chosen = node.integers(1)
    if found.single or not all(-count <= i < count for i in chosen):
        node.refuse(f"it takes the sizes {chosen}, of which there are {count}")
    return _as_value(Sizes(tuple(found.entries[i] for i in chosen), single))


def _slice(node: Node) -> Value:
    if node.is_tensor(0):
        node.refuse("it takes a part of what the network computes, expected all of it")
    found = node.sizes(0)
    if node.opset < 10:
        starts, ends = node.attribute("starts", ()), node.attribute("ends", ())
        steps: Sequence[int] = (1,)
    else:
        starts, ends = node.integers(1), node.integers(2)
        steps = node.integers(4) if node.has(4) else (1,)
    if not len(starts) == len(ends) == len(steps) == 1 or not steps[0]:
        node.refuse("it takes several parts of a shape, expected one")
    return _as_value(Sizes(found.entries[starts[0] : ends[0] : steps[0]]))


def _axes(node: Node) -> list[int]:
    """Return the axes that an operator on shapes is given."""
    if node.opset < 13:
        return list(node.attribute("axes", ()))
    return node.integers(1) if node.has(1) else []


def _unsqueeze(node: Node) -> Value:
    if node.is_tensor(0):
        node.refuse("it adds an axis to what the network computes, expected a row an example")
    axes = _axes(node)
    if isinstance(node.value(0), Sizes):
        found = node.sizes(0)
        if axes not in ([0], [-1]) or not found.single:
            node.refuse("it gives a shape two axes, expected one")
        return Sizes(found.entries)
    array = node.constant(0)
    if len(axes) > 8:
        node.refuse(f"it adds {len(axes)} axes, expected a few")
    return _with_axes(node, array, axes)


def _with_axes(node: Node, array: AnyArray, axes: Sequence[int]) -> AnyArray:
    try:
        return np.expand_dims(array, tuple(axes))
    except ValueError:
        node.refuse(f"it adds the axes {list(axes)} to shape {array.shape}")


def _squeeze(node: Node) -> Value:
    if node.is_tensor(0):
        node.refuse("it takes an axis from what the network computes, expected a row an example")
    axes = _axes(node)
    if isinstance(node.value(0), Sizes):
        found = node.sizes(0)
        if axes not in ([], [0], [-1]) or len(found.entries) != 1:
            node.refuse("it makes one size of several, expected one")
        return Sizes(found.entries, True)
    array = node.constant(0)
    try:
        return array.squeeze(tuple(axes) or None)
    except ValueError:
        node.refuse(f"it takes the axes {axes} from shape {array.shape}")


def _concat(node: Node) -> Value:
    if any(node.is_tensor(i) for i in range(len(node.inputs))):
        return _two_classes(node)
    if len(node.inputs) > 16:
        node.refuse(f"it joins {len(node.inputs)} constants, expected a few")
    if any(isinstance(value, Sizes) for value in node.inputs):
        entries: Shape = ()
        for i in range(len(node.inputs)):
            entries += node.sizes(i).entries
        if len(entries) > 16:
            node.refuse(f"it makes a shape of {len(entries)} sizes, expected a few")
        return _as_value(Sizes(entries))
    arrays = [node.constant(i) for i in range(len(node.inputs))]
    node.need_room(sum(array.size for array in arrays))
    try:
        joined: AnyArray = np.concatenate(arrays, axis=node.attribute("axis", 0))
    except ValueError:
        node.refuse("it joins constants whose shapes do not fit")
    return joined


def _two_classes(node: Node) -> Value:
    """Read what makes the probabilities of two classes of that of one: 1 - p beside p."""
    fits = len(node.inputs) == 2 and node.is_tensor(0) and node.is_tensor(1)
    if fits:
        other, p = node.tensor(0), node.tensor(1)
        fits = other.kind == "rsub" and other.source is p and p.shape == (1,)
        fits = fits and bool(np.all(other.settings["by"] == 1))
        fits = fits and node.attribute("axis", 1) in (1, -1)
    if not fits:
        node.refuse(
            "it joins what the network computes, expected 1 - p and p, the probabilities of two "
            "classes"
        )
    return Tensor("two classes", node.place, (2,), p.dtype, p)


def _flatten(node: Node) -> Value:
    x = node.tensor()
    axis = node.attribute("axis", 1)
    if axis not in (1, -len(x.shape)):
        node.refuse(f"its axis is {axis}, expected 1: a row an example")
    return _reshaped(node, x, (_product(x.shape),))


def _reshape(node: Node) -> Value:
    if not node.is_tensor(0):
        array, shape = node.constant(0), node.integers(1)
        if 0 in shape:
            node.refuse("it copies sizes of a constant, expected the sizes themselves")
        try:
            return array.reshape(shape)
        except ValueError:
            node.refuse(f"it makes shape {tuple(shape)} of shape {array.shape}")
    x, target = node.tensor(), list(node.sizes(1).entries)
    whole: list[int | str | None] = [BATCH, *x.shape]
    for i, entry in enumerate(target):
        if entry == 0 and not node.attribute("allowzero", 0) and i < len(whole):
            target[i] = whole[i]
    if not target:
        node.refuse("it makes one number of all, expected a row an example")
    first, rest = target[0], target[1:]
    features = _product(x.shape)
    if first == -1 and rest == [1] and features not in (None, 1):
        return Tensor("flattened", node.place, (1,), x.dtype, x)
    sizes = [_size(node, entry) for entry in rest]
    if [first, *sizes].count(-1) > 1:
        node.refuse("it leaves two sizes open, expected one")
    if -1 in sizes and features is not None:
        known = math.prod(size for size in sizes if size not in (-1, None))
        sizes[sizes.index(-1)] = features // max(known, 1)
    product = None if -1 in sizes else _product(sizes)
    fits = first in (BATCH, -1) or (first is not None and first == node.batch)
    if not fits or not rest or (None not in (features, product) and features != product):
        made = ", ".join("?" if entry is None else str(entry) for entry in target)
        node.refuse(
            f"it makes shape ({made}) of ({', '.join(map(str, whole))}), expected a row an example"
        )
    return _reshaped(node, x, tuple(None if size == -1 else size for size in sizes))


def _size(node: Node, entry: int | str | None) -> int | None:
    """Return a size of an example."""
    if isinstance(entry, str) or (entry is not None and entry < -1) or entry == 0:
        node.refuse(f"it makes an axis of {entry} numbers of an example, expected at least one")
    return entry


def _reshaped(node: Node, x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    return x if shape == x.shape else Tensor("reshape", node.place, shape, x.dtype, x)


def _product(sizes: Sequence[int | None]) -> int | None:
    """Return the product of sizes, None where one is not known."""
    product = 1
    for size in sizes:
        if size is None:
            return None
        product *= size
    return product


READERS = {
    ("", "Shape"): _shape,
    ("", "Gather"): _gather,
    ("", "Slice"): _slice,
    ("", "Unsqueeze"): _unsqueeze,
    ("", "Squeeze"): _squeeze,
    ("", "Concat"): _concat,
    ("", "Flatten"): _flatten,
    ("", "Reshape"): _reshape,
}
