"""Affine layers: Gemm and MatMul."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..values import Tensor

if TYPE_CHECKING:
    from ...._types import AnyArray
    from ..node import Node
    from ..values import Value


def _gemm(node: Node) -> Value:
    x = node.rows()
    W = node.floats_like(1, x)
    node.one_of("transA", 0, node.attribute("transA", 0))
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    if node.attribute("transB", 0):
        W = W.T
    if alpha != 1:
        with np.errstate(all="ignore"):
            W = (W * np.float64(alpha)).astype(W.dtype)
    affine = _affine(node, x, W)
    if node.has(2) and beta != 0:
        node.floats_like(2, x)
        with np.errstate(all="ignore"):
            b = node.row(2, x, W.shape[1]) * np.float64(beta)
        affine.settings["b"] = b.astype(x.dtype)
    return affine


def _matmul(node: Node) -> Value:
    if not node.is_tensor(0) and node.is_tensor(1):
        node.refuse("the weights stand first, expected examples times weights")
    x = node.rows()
    return _affine(node, x, node.floats_like(1, x))


def _affine(node: Node, x: Tensor, W: AnyArray) -> Tensor:
    """Return x @ W, after a look at the shapes."""
    if W.ndim != 2 or x.shape[0] not in (None, W.shape[0]) or 0 in W.shape:
        node.refuse(
            f"its weights have shape {W.shape}, expected ({x.shape[0] or 'D'}, M), at least one of "
            "each"
        )
    node.need_room(W.size)  # each layer keeps weights of its own
    settings: dict[str, AnyArray | None] = {"W": W, "b": None}
    return Tensor("affine", node.place, (W.shape[1],), x.dtype, x, settings)


READERS = {("", "Gemm"): _gemm, ("", "MatMul"): _matmul}
