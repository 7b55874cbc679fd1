"""A node as the operators' readers see it: what it takes, its attributes, where it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx

from ...arguments import shown
from .files import as_text, read_tensor
from .values import RefusedError, Sizes, Stored, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from ..._types import AnyArray
    from .values import Value

_Attribute = onnx.AttributeProto
# By the type of what Python has of it, the type and the field of an attribute.
_ATTRIBUTES = {
    int: (_Attribute.INT, "i"),
    float: (_Attribute.FLOAT, "f"),
    str: (_Attribute.STRING, "s"),
    tuple: (_Attribute.INTS, "ints"),
    list: (_Attribute.FLOATS, "floats"),
}


class Room:
    """How many numbers may still be made of a file's: no small file makes much."""

    def __init__(self, numbers: int) -> None:
        self.left = numbers

    def take(self, numbers: int) -> bool:
        """Take some of it and return whether they were there."""
        self.left -= numbers
        return self.left >= 0


class Node:
    """A node.

    Parameters
    ----------
    proto : NodeProto
    place : str
        What it is called in messages.
    inputs : list of Value or None
        None is one that is left out.
    opset : int
        Version of its operators.
    batch : int or None
        The number of examples, where the file fixes it.
    room : Room
    folder : str
        Of the model's file.
    """

    def __init__(
        self,
        proto: Any,
        place: str,
        inputs: Sequence[Value | None],
        opset: int,
        batch: int | None,
        room: Room,
        folder: str,
    ) -> None:
        self.op_type: str = proto.op_type
        self.place = place
        self.inputs = inputs
        self.opset = opset
        self.batch = batch
        self.outputs = [name for name in proto.output if name]
        self._attributes = {as_text(one.name): one for one in proto.attribute}
        self._room = room
        self._folder = folder

    def refuse(self, text: str) -> NoReturn:
        """Say what is wrong with it."""
        raise RefusedError(f"{self.place}: {text}")

    def has(self, i: int) -> bool:
        """Return whether it has such an input."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def value(self, i: int) -> Value:
        """Return an input."""
        if not self.has(i):
            self.refuse(f"it has {len(self.inputs)} inputs, expected more")
        value = self.inputs[i]
        assert value is not None
        return value

    def is_tensor(self, i: int) -> bool:
        """Return whether an input is computed by the network."""
        return self.has(i) and isinstance(self.inputs[i], Tensor)

    def tensor(self, i: int = 0) -> Tensor:
        """Return an input that the network computes."""
        value = self.value(i)
        if not isinstance(value, Tensor):
            self.refuse(f"its input {i} is a constant, expected what the network computes")
        return value

    def rows(self, i: int = 0) -> Tensor:
        """Return an input that the network computes, floats of shape (N, M)."""
        tensor = self.floats(i)
        if len(tensor.shape) != 1:
            self.refuse(f"its input has {len(tensor.shape) + 1} axes, expected 2: a row an example")
        return tensor

    def floats(self, i: int = 0) -> Tensor:
        """Return an input that the network computes, float32 or float64."""
        tensor = self.tensor(i)
        if tensor.dtype.kind != "f":
            self.refuse(f"its input has dtype {tensor.dtype}, expected floats: Cast makes them")
        return tensor

    def constant(self, i: int) -> AnyArray:
        """Return an input that is a constant."""
        value = self.value(i)
        if isinstance(value, Stored):
            new = value.array is None
            try:
                array = value.get()
            except ValueError as error:
                self.refuse(f"its input {i}: {error}")
            if new:
                self.need_room(array.size)
            return array
        if not isinstance(value, np.ndarray):
            self.refuse(f"its input {i} is computed, expected a constant")
        return value

    def constants(self) -> list[AnyArray] | None:
        """Return all inputs where all are constants."""
        if not all(isinstance(value, (Stored, np.ndarray)) for value in self.inputs):
            return None
        return [self.constant(i) for i in range(len(self.inputs))]

    def floats_like(self, i: int, tensor: Tensor) -> AnyArray:
        """Return an input that is a constant of a tensor's dtype."""
        array = self.constant(i)
        if array.dtype != tensor.dtype:
            self.refuse(f"its input {i} has dtype {array.dtype}, expected {tensor.dtype}")
        return array

    def row(self, i: int, tensor: Tensor, width: int | None) -> AnyArray:
        """Return an input that is a constant, as a number for each of so many features."""
        array = self.constant(i)
        if array.dtype.kind != "f":
            self.refuse(f"its input {i} has dtype {array.dtype}, expected floats")
        if array.size != 1 and (array.size != width or array.size != array.shape[-1]):
            self.refuse(f"its input {i} has shape {array.shape}, expected {(width,)}")
        size = array.size if width is None else width
        return np.broadcast_to(array.reshape(-1), (size,)).astype(tensor.dtype)

    def integers(self, i: int) -> list[int]:
        """Return an input that is a constant of integers."""
        array = self.constant(i)
        if array.dtype.kind != "i" or array.ndim > 1 or array.size > 16:
            self.refuse(
                f"its input {i} has dtype {array.dtype} and shape {array.shape}, expected a few "
                "integers"
            )
        return [int(number) for number in array.reshape(-1)]

    def sizes(self, i: int) -> Sizes:
        """Return an input that is a shape, computed or constant."""
        value = self.value(i)
        if isinstance(value, Sizes):
            return value
        return Sizes(tuple(self.integers(i)), self.constant(i).ndim == 0)

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute of the type of ``default``, which it is where it is not given."""
        found = self._attributes.get(name)
        if found is None:
            return default
        kind, field = _ATTRIBUTES[type(default)]
        if found.type != kind:
            self.refuse(f"its attribute {name} is not {type(default).__name__}")
        value = getattr(found, field)
        if isinstance(default, str):
            return value.decode("utf-8", "replace")
        return type(default)(value)

    def given(self) -> set[str]:
        """Return the names of its attributes."""
        return set(self._attributes)

    def array_attribute(self, name: str) -> AnyArray:
        """Return an attribute that is a tensor."""
        found = self._attributes[name]
        if found.type != _Attribute.TENSOR:
            self.refuse(f"its attribute {name} is no tensor")
        try:
            return read_tensor(found.t, self._folder)
        except ValueError as error:
            self.refuse(f"its attribute {name}: {error}")

    def epsilon(self) -> float:
        """Return the attribute epsilon of a normalisation."""
        eps: float = self.attribute("epsilon", 1e-5)
        if not 0 <= eps < math.inf:
            self.refuse(f"its epsilon is {eps}, expected a finite number of at least 0")
        return eps

    def need_room(self, numbers: int) -> None:
        """Refuse it if what it makes of constants is much more than the file has."""
        if not self._room.take(numbers):
            self.refuse(f"it makes {numbers} numbers of fewer, expected no more than the file's")

    def axis_is_last(self, axes: Sequence[int], tensor: Tensor) -> bool:
        """Return whether these axes are the last one alone."""
        rank = len(tensor.shape) + 1
        return [axis + rank if axis < 0 else axis for axis in axes] == [rank - 1]

    def one_of(self, word: str, expected: Any, value: Any) -> None:
        """Refuse it unless an attribute has the one value that fastfc computes."""
        if value != expected:
            self.refuse(f"its {word} is {shown(value)}, expected {expected!r}")
