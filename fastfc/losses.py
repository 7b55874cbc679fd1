"""Losses and their gradients, computed by the C core.

Letters: N batch, C classes.  People import them from :mod:`fastfc.layers`, as from the original;
:mod:`fastfc.reference.losses` says the same in plain NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from .arguments import check_dense, shown

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Scalar

__all__ = ["softmax_loss", "svm_loss"]

_core.set_argument_checks(check_dense, shown)


def svm_loss(x: ArrayLike, y: ArrayLike) -> tuple[Scalar, Array]:
    """Multiclass hinge loss with margin 1, mean over the batch (Weston & Watkins 1999).

    Parameters
    ----------
    x : array_like, shape (N, C)
        Scores.
    y : array_like of int, shape (N,)
        Labels in [0, C).

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j != y[i] of max(0, x[i, j] - x[i, y[i]] + 1).
    dx : ndarray, shape (N, C)
        Its gradient.

    Raises
    ------
    TypeError
        x is not real, or y is not integer.
    ValueError
        There is no score, the shape of y does not fit, or a label is out of range.

    Examples
    --------
    >>> loss, dx = svm_loss([[1.0, 3.0, 0.5]], [0])
    >>> float(loss), dx
    (3.5, array([[-2.,  1.,  1.]]))
    """
    return _core.svm_loss(x, y)


def softmax_loss(x: ArrayLike, y: ArrayLike, label_smoothing: float = 0.0) -> tuple[Scalar, Array]:
    """Cross-entropy of softmax(x), mean over the batch, by log-sum-exp.

    Finite for all finite scores, however far apart.

    Parameters
    ----------
    x : array_like, shape (N, C)
        Scores.
    y : array_like of int, shape (N,)
        Labels in [0, C).
    label_smoothing : float
        Share s, in [0, 1], of each label's weight that is spread evenly over all classes (Szegedy
        et al. 2016); 0, the default, leaves labels as they are.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of log(sum over j of exp(x[i, j])) - x[i, y[i]]; smoothed, (1 - s) times
        that plus s times the same with the mean of x[i] in place of x[i, y[i]].
    dx : ndarray, shape (N, C)
        Its gradient.

    Raises
    ------
    TypeError
        x is not real, y is not integer, or label_smoothing is not a number.
    ValueError
        There is no score, the shape of y does not fit, or a label or label_smoothing is out of
        range.

    Examples
    --------
    >>> loss, dx = softmax_loss([[0.0, 0.0]], [1])
    >>> round(float(loss), 6), dx
    (0.693147, array([[ 0.5, -0.5]]))
    >>> float(softmax_loss([[0.0, 1e4]], [0])[0])
    10000.0
    >>> loss, dx = softmax_loss([[0.0, 0.0]], [1], label_smoothing=0.2)
    >>> dx
    array([[ 0.4, -0.4]])
    """
    return _core.softmax_loss(x, y, label_smoothing)
