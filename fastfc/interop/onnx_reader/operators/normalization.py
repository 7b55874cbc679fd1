"""Normalisations, and the scaler of preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..values import Tensor

if TYPE_CHECKING:
    from ..node import Node
    from ..values import Value


def _batchnorm(node: Node) -> Value:
    x = node.rows()
    if node.attribute("training_mode", 0) or len(node.outputs) > 1:
        node.refuse("it is in training mode, expected a network that is evaluated")
    names = ("gamma", "beta", "mean", "var")
    rows = {name: node.row(i, x, x.shape[0]) for i, name in enumerate(names, start=1)}
    width = len(rows["gamma"])
    if any(len(row) != width for row in rows.values()):
        node.refuse("its arrays have several lengths, expected one number a feature")
    momentum = node.attribute("momentum", 0.9)
    if not 0 <= momentum <= 1:
        node.refuse(f"its momentum is {momentum:g}, expected a number from 0 to 1")
    settings = {**rows, "eps": node.epsilon(), "momentum": momentum}
    return Tensor("batchnorm", node.place, (width,), x.dtype, x, settings)


def _layernorm(node: Node) -> Value:
    x = node.rows()
    axis = node.attribute("axis", -1)
    if not node.axis_is_last([axis], x):
        node.refuse(f"its axis is {axis}, expected the last: over the features")
    if len(node.outputs) > 1:
        node.refuse("it returns its statistics too, expected what it normalises alone")
    gamma = node.row(1, x, x.shape[0])
    beta = node.row(2, x, x.shape[0]) if node.has(2) else None
    return x.then("layernorm", node.place, gamma=gamma, beta=beta, eps=node.epsilon())


def _reduce_mean(node: Node) -> Value:
    x = node.rows()
    axes = list(node.attribute("axes", ()))
    if node.has(1):
        axes = node.integers(1)
    if not node.axis_is_last(axes, x) or not node.attribute("keepdims", 1):
        node.refuse("it is a mean, expected one of each row, as in a LayerNormalization")
    return x.then("variance" if x.kind == "square" else "mean", node.place)


def _scaler(node: Node) -> Value:
    """Read (x - offset) * scale in float32, whatever x is."""
    x = node.tensor()
    if x.dtype.kind in "iu":
        x = Tensor("cast", node.place, x.shape, np.dtype(np.float32), x)
    for kind, name in (("sub", "offset"), ("mul", "scale")):
        by = np.array(node.attribute(name, [0.0 if kind == "sub" else 1.0]), x.dtype)
        width = x.shape[0] if len(x.shape) == 1 else -1
        if by.size == 0 or (by.size > 1 and width not in (by.size, None)):
            node.refuse(f"its {name} has {by.size} numbers, expected one a feature")
        shape = x.shape if by.size == 1 else by.shape
        by = by.reshape(()) if by.size == 1 else by
        x = Tensor(kind, node.place, shape, x.dtype, x, {"by": by})
    if x.dtype != np.float32:
        x = Tensor("cast", node.place, x.shape, np.dtype(np.float32), x)
    return x


READERS = {
    ("", "BatchNormalization"): _batchnorm,
    ("", "LayerNormalization"): _layernorm,
    ("", "ReduceMean"): _reduce_mean,
    ("ai.onnx.ml", "Scaler"): _scaler,
}
