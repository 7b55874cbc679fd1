"""A graph, walked from its input to its outputs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx

from ...arguments import shown
from .files import ELEMENTS, as_text, element_name, external_bytes, read_tensor
from .node import Node, Room
from .operators import CHOOSING, READERS
from .values import Labels, Refused, RefusedError, Stored, Tensor

if TYPE_CHECKING:
    from typing import Any

    from .values import Value

OLDEST = 7  # before it Add and Mul say how they broadcast
MOST_AXES = 8


class Input(NamedTuple):
    """A graph's input."""

    name: str
    batch: int | None  # where the file fixes it
    tensor: Tensor


class Graph:
    """A model's graph and what its nodes make of its input.

    Parameters
    ----------
    model : ModelProto
    folder : str
        Of the file.
    size : int
        Its bytes.

    Attributes
    ----------
    input : Input
    outputs : list of str
        Their names.

    Raises
    ------
    ValueError
        It is no graph of one input, or of operators that are too old.
    """

    def __init__(self, model: Any, folder: str, size: int) -> None:
        graph = model.graph
        self._folder = folder
        self._opsets = {entry.domain or "": entry.version for entry in model.opset_import}
        self._opsets.setdefault("", self._opsets.pop("ai.onnx", 0))
        newest = onnx.defs.onnx_opset_version()
        if not OLDEST <= self._opsets[""] <= newest:
            raise ValueError(
                f"its operators are of version {self._opsets['']}, expected {OLDEST} to {newest}"
            )
        stored = {tensor.name: tensor for tensor in graph.initializer}
        self._values: dict[str, Value] = {
            name: Stored(functools.partial(read_tensor, tensor, folder))
            for name, tensor in stored.items()
        }
        given = [one for one in graph.input if one.name not in stored]
        if len(given) != 1:
            names = ", ".join(shown(one.name) for one in given[:5])
            raise ValueError(f"it has {len(given)} inputs ({names}), expected one")
        self.input = _read_input(given[0])
        self._values[self.input.name] = self.input.tensor
        self.outputs = [as_text(one.name) for one in graph.output]
        self._room = Room(2 * (size + external_bytes(graph.initializer, folder)) + (1 << 20))
        for number, proto in enumerate(graph.node, start=1):
            self._add(number, proto)

    def find(self, output: str | None) -> tuple[str, Tensor]:
        """Return the output to compute and its name: the one that is asked for, or the only one.

        Raises
        ------
        ValueError
            There are several, or none that fastfc computes.
        """
        if output is not None and output not in self.outputs:
            known = ", ".join(map(_word, self.outputs[:9]))
            raise ValueError(f"output is {shown(output)}, expected one of {known}")
        names = self.outputs if output is None else [output]
        found: dict[Tensor, str] = {}
        refused: list[str] = []
        labels: dict[Tensor, str] = {}
        for name in names:
            value = self._values.get(name)
            if isinstance(value, Tensor):
                found.setdefault(value, name)
            elif isinstance(value, Labels):
                labels.setdefault(value.source, name)
            elif isinstance(value, Refused):
                refused.append(value.reason)
            else:
                refused.append(f"its output {shown(name)} is not computed from its input")
        found = {**labels, **found}  # called as the probabilities are, where they are an output
        if len(found) == 1:
            ((tensor, name),) = found.items()
            return name, tensor
        if found:
            several = ", ".join(sorted(map(_word, found.values())))
            raise ValueError(f"it has the outputs {several}, expected one: say which, by output=")
        raise ValueError(refused[0] if refused else "it has no output")

    def _add(self, number: int, proto: Any) -> None:
        """Add what a node makes."""
        name = f" {shown(proto.name)}" if proto.name else ""
        place = f"node {number}, {_word(proto.op_type)}{name}"
        try:
            value = self._read(proto, place)
        except RefusedError as error:
            value = Refused(str(error))
        for i, output in enumerate(proto.output):
            if output in self._values:
                raise ValueError(f"{place}: its output {shown(output)} is there already")
            if output and i > 0 and not isinstance(value, (Labels, Refused)):
                reason = f"{place}: fastfc does not compute its output {shown(output)}"
                self._values[output] = Refused(reason)
            elif output:
                self._values[output] = value

    def _read(self, proto: Any, place: str) -> Value:
        """Return what a node makes, of its first output."""
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        inputs: list[Value | None] = []
        for name in proto.input:
            if name and name not in self._values:
                raise RefusedError(
                    f"{place}: its input {shown(name)} is made by no node before it, expected "
                    "nodes in their order"
                )
            inputs.append(self._values[name] if name else None)
        for value in inputs:
            if isinstance(value, (Refused, Labels)):
                return value
        first = inputs[0] if inputs else None
        if (domain, proto.op_type) in CHOOSING and isinstance(first, Tensor):
            return Labels(first)
        reader = READERS.get((domain, proto.op_type))
        if reader is None:
            kind = f"{domain}.{proto.op_type}" if domain else proto.op_type
            raise RefusedError(f"{place}: fastfc has no {_word(kind)}")
        if domain not in self._opsets:
            raise RefusedError(f"{place}: the file does not say which version of {domain} it is of")
        opset, batch = self._opsets[domain], self.input.batch
        return reader(Node(proto, place, inputs, opset, batch, self._room, self._folder))


def _word(name: str | bytes) -> str:
    """Return a name as messages have it, without quotes."""
    return shown(as_text(name))[1:-1]


def _read_input(proto: Any) -> Input:
    """Return a graph's input."""
    name = shown(proto.name)
    kind = proto.type.tensor_type
    if not proto.type.HasField("tensor_type") or kind.elem_type not in ELEMENTS:
        what = element_name(kind.elem_type) if kind.elem_type else "something else"
        raise ValueError(f"its input {name} is of {what}, expected floats or integers")
    dtype: np.dtype[Any] = ELEMENTS[kind.elem_type][0].newbyteorder("=")
    if not kind.HasField("shape"):
        return Input(proto.name, None, Tensor("input", f"input {name}", (None,), dtype))
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    if not 2 <= len(sizes) <= MOST_AXES or any(size is not None and size < 1 for size in sizes):
        text = ", ".join("?" if size is None else str(size) for size in sizes)
        raise ValueError(f"its input {name} has shape ({text}), expected (N, D) or (N, d_1, ...)")
    tensor = Tensor("input", f"input {name}", tuple(sizes[1:]), dtype)
    return Input(proto.name, sizes[0], tensor)
