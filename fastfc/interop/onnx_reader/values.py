"""What stands for a tensor while a graph is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._types import AnyArray

BATCH = "N"  # in shapes: the number of examples

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """What the network computes, from another tensor.

    Attributes
    ----------
    kind : str
        A step of `steps`, or a part of one, see `PARTS`.
    place : str
        Where: the node that makes it.
    shape : tuple of int or None
        Of an example: all sizes but the first; None is one that the file does not say.
    dtype : numpy.dtype
    source : Tensor or None
        What it is computed from; None is the input.
    settings : dict
        Of the step: arrays and numbers.
    """

    kind: str
    place: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    source: Tensor | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def then(self, kind: str, place: str, **settings: Any) -> Tensor:
        """Return what a step that leaves shape and dtype makes of it."""
        return Tensor(kind, place, self.shape, self.dtype, self, settings)


@dataclass(frozen=True)
class Sizes:
    """A shape as a graph computes with it: sizes in a row, or a single one."""

    entries: Shape
    single: bool = False


@dataclass(frozen=True)
class Labels:
    """What is made of the tensor by choosing: labels, which are not computed."""

    source: Tensor


@dataclass(frozen=True)
class Refused:
    """What cannot be computed, and why; an error only where the output needs it."""

    reason: str


class RefusedError(ValueError):
    """A node is none that fastfc computes."""


@dataclass
class Stored:
    """A tensor of the file, read when it is asked for."""

    read: Callable[[], AnyArray]
    array: AnyArray | None = None

    def get(self) -> AnyArray:
        """Return it as an array, the same one each time."""
        if self.array is None:
            self.array = self.read()
        return self.array


Value = Tensor | Sizes | Labels | Refused | Stored | np.ndarray[Any, Any]

# Parts of what is a step as a whole, and what they are called in messages.
PARTS = {
    "mean": "a LayerNormalization",
    "centered": "a LayerNormalization",
    "square": "a LayerNormalization",
    "variance": "a LayerNormalization",
    "shifted variance": "a LayerNormalization",
    "deviation": "a LayerNormalization",
    "reciprocal deviation": "a LayerNormalization",
    "erf": "a Gelu",
    "shifted erf": "a Gelu",
    "product": "a Gelu",
    "flattened": "a regressor's output",
}


def is_scalar(array: AnyArray) -> bool:
    """Return whether an array is one number, whatever its axes."""
    return array.size == 1
