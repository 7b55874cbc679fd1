"""The operators that are read: for each a function (node) -> its first output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import activations, affine, arithmetic, constants, normalization, shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..node import Node
    from ..values import Value

# By domain and name; "" is ONNX's own.
READERS: dict[tuple[str, str], Callable[[Node], Value]] = {
    **activations.READERS,
    **affine.READERS,
    **arithmetic.READERS,
    **constants.READERS,
    **normalization.READERS,
    **shapes.READERS,
}

# What chooses among probabilities: reading stops before it.
CHOOSING = {
    *(("", "ArgMax"), ("", "TopK"), ("ai.onnx.ml", "ZipMap"), ("ai.onnx.ml", "Binarizer")),
    ("ai.onnx.ml", "ArrayFeatureExtractor"),
}
