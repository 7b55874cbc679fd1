"""The losses in plain NumPy, each with its gradient.  Letters: N batch, C classes."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import check_dense, shown
from ..arrays import as_number, as_real, expect_shape, quiet

if TYPE_CHECKING:
    from .._types import Array, ArrayLike, Labels, Scalar

__all__ = ["softmax_loss", "svm_loss"]


def _check_scores(operation: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Labels]:
    """Return the scores x in the dtype computed in, and the labels y, if they match."""
    (x,) = as_real(operation, x=x)
    check_dense(f"{operation}: y", y)
    y = np.asarray(y)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(
            f"{operation}: x has shape {x.shape}, expected (N, C) with N and C at least 1"
        )
    N, C = x.shape
    if y.dtype.kind not in "iu":
        raise TypeError(f"{operation}: y has dtype {y.dtype}, expected integer labels")
    expect_shape(operation, "y", y, (N,), f"x of shape {x.shape}")
    if y.min() < 0 or y.max() >= C:
        i = int(np.argmax((y < 0) | (y >= C)))
        raise ValueError(f"{operation}: y[{i}] is {y[i]}, expected a label from 0 to {C - 1}")
    return x, y


@quiet
def svm_loss(x: ArrayLike, y: ArrayLike) -> tuple[Scalar, Array]:
    """Return the multiclass hinge loss, margin 1, and its gradient (Weston & Watkins 1999)."""
    x, y = _check_scores("svm_loss", x, y)
    N = x.shape[0]
    rows = np.arange(N)
    margins = np.maximum(0, x - x[rows, y][:, np.newaxis] + 1)
    margins[rows, y] = 0
    loss = margins.sum() / N
    dx = (margins > 0).astype(x.dtype)
    dx[rows, y] -= dx.sum(axis=1)
    return loss, dx / N


@quiet
def softmax_loss(x: ArrayLike, y: ArrayLike, label_smoothing: float = 0.0) -> tuple[Scalar, Array]:
    """Return the cross-entropy of softmax(x) and its gradient, by log-sum-exp.

    log softmax(x)_j = x_j - max - log sum_k exp(x_k - max): no probability is rounded to 0 before
    its logarithm.  The targets are (1 - label_smoothing) onehot(y) +
    label_smoothing / C (Szegedy et al. 2016).
    """
    x, y = _check_scores("softmax_loss", x, y)
    if not isinstance(label_smoothing, numbers.Real):
        raise TypeError(
            f"softmax_loss: label_smoothing is {shown(label_smoothing)}, expected a number"
        )
    label_smoothing = as_number("softmax_loss", "label_smoothing", label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"softmax_loss: label_smoothing is {label_smoothing}, expected a number in [0, 1]"
        )
    N, C = x.shape
    rows = np.arange(N)
    shifted = x - x.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_probabilities[rows, y].sum() / N
    dx = np.exp(log_probabilities)
    dx[rows, y] -= 1 - label_smoothing
    if label_smoothing > 0:
        uniform = -log_probabilities.mean(axis=1).sum() / N
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform
        dx -= label_smoothing / C
    return loss, dx / N
