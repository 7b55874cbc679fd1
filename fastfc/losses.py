"""Losses and their gradients, computed by the C core.

Letters: N batch, C classes, M scores of any other kind.  People import them from
:mod:`fastfc.layers`, as from the original; :mod:`fastfc.reference.losses` says the same in plain
NumPy.

The scores x decide the dtype that is computed in, float32 if they have it and float64 otherwise.
Every loss takes ``sample_weight``, a weight w of each example, by default 1; it is the sum of w[i]
times the loss of example i over the sum of w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from .arguments import shown
from .arrays import to_array

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Scalar

__all__ = [
    "absolute_error_loss",
    "huber_loss",
    "logistic_loss",
    "poisson_loss",
    "quantile_loss",
    "softmax_loss",
    "squared_error_loss",
    "svm_loss",
]

_core.set_argument_checks(to_array, shown)


def svm_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Multiclass hinge loss with margin 1, mean over the batch (Weston & Watkins 1999).

    Parameters
    ----------
    x : array_like, shape (N, C)
        Scores.
    y : array_like of int, shape (N,)
        Labels in [0, C).
    sample_weight : array_like, shape (N,), optional
        Weights of the examples.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j != y[i] of max(0, x[i, j] - x[i, y[i]] + 1).
    dx : ndarray, shape (N, C)
        Its gradient.

    Raises
    ------
    TypeError
        x or sample_weight is not real, or y is not integer.
    ValueError
        There is no score, the shape of y or sample_weight does not fit, a label is out of range, or
        a weight is negative or not finite, or their sum 0.

    Examples
    --------
    >>> loss, dx = svm_loss([[1.0, 3.0, 0.5]], [0])
    >>> float(loss), dx
    (3.5, array([[-2.,  1.,  1.]]))
    """
    return _core.svm_loss(x, y, sample_weight)


def softmax_loss(
    x: ArrayLike,
    y: ArrayLike,
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[Scalar, Array]:
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
    sample_weight : array_like, shape (N,), optional
        Weights of the examples.

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
        x or sample_weight is not real, y is not integer, or label_smoothing is not a number.
    ValueError
        There is no score, the shape of y or sample_weight does not fit, a label or label_smoothing
        is out of range, or a weight is negative or not finite, or their sum 0.

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
    >>> loss, dx = softmax_loss([[0.0, 9.0], [0.0, 0.0]], [0, 1], sample_weight=[0, 3])
    >>> dx + 0
    array([[ 0. ,  0. ],
           [ 0.5, -0.5]])
    """
    return _core.softmax_loss(x, y, label_smoothing, sample_weight)


def logistic_loss(
    x: ArrayLike,
    y: ArrayLike,
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[Scalar, Array]:
    """Cross-entropy of 1 / (1 + exp(-x)), for two classes, or several labels of an example.

    Summed over the scores of an example, mean over the batch.  Finite for all finite scores.

    Parameters
    ----------
    x : array_like, shape (N, M)
        Scores: logarithms of the odds.
    y : array_like, shape (N, M), or (N,) where M is 1
        0 and 1, or probabilities between.
    label_smoothing : float
        Share s, in [0, 1], of each target's weight that is spread over 0 and 1: it becomes
        (1 - s) y + s / 2.
    sample_weight : array_like, shape (N,), optional
        Weights of the examples.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j of log(1 + exp(x[i, j])) - x[i, j] y[i, j].
    dx : ndarray, shape (N, M)
        Its gradient.

    Raises
    ------
    TypeError
        x, y or sample_weight is not real, or label_smoothing is not a number.
    ValueError
        There is no score, a shape does not fit, a target or label_smoothing is outside [0, 1], or a
        weight is negative or not finite, or their sum 0.

    Examples
    --------
    >>> loss, dx = logistic_loss([[0.0], [0.0]], [0, 1])
    >>> round(float(loss), 6), dx.ravel()
    (0.693147, array([ 0.25, -0.25]))
    """
    return _core.logistic_loss(x, y, label_smoothing, sample_weight)


def squared_error_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Half the squared error, summed over the scores of an example, mean over the batch.

    Parameters
    ----------
    x : array_like, shape (N, M)
        Predictions.
    y : array_like, shape (N, M), or (N,) where M is 1
        Targets.
    sample_weight : array_like, shape (N,), optional
        Weights of the examples.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j of (x[i, j] - y[i, j])**2 / 2.
    dx : ndarray, shape (N, M)
        Its gradient.

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        There is no prediction, a shape does not fit, or a weight is negative or not finite, or
        their sum 0.

    Examples
    --------
    >>> loss, dx = squared_error_loss([[1.0], [2.0]], [3.0, 2.0])
    >>> float(loss), dx.ravel()
    (1.0, array([-1.,  0.]))
    """
    return _core.squared_error_loss(x, y, sample_weight)


def absolute_error_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Absolute error, summed over the scores of an example, mean over the batch.

    Parameters
    ----------
    x, y, sample_weight
        As for `squared_error_loss`.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j of abs(x[i, j] - y[i, j]).
    dx : ndarray, shape (N, M)
        Its gradient, 0 where x is y.

    Raises
    ------
    TypeError, ValueError
        As `squared_error_loss`.

    Examples
    --------
    >>> loss, dx = absolute_error_loss([[1.0], [2.0]], [3.0, 2.0])
    >>> float(loss), dx.ravel()
    (1.0, array([-0.5,  0. ]))
    """
    return _core.absolute_error_loss(x, y, sample_weight)


def huber_loss(
    x: ArrayLike, y: ArrayLike, delta: float = 1.0, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Half the squared error up to delta, and linear beyond, so that outliers count less.

    Summed over the scores of an example, mean over the batch (Huber 1964).

    Parameters
    ----------
    x, y, sample_weight
        As for `squared_error_loss`.
    delta : float
        The error from which on the loss is linear, above 0.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j of r**2 / 2 where r = abs(x[i, j] - y[i, j]) is at most
        delta, else delta * (r - delta / 2).
    dx : ndarray, shape (N, M)
        Its gradient.

    Raises
    ------
    TypeError, ValueError
        As `squared_error_loss`; or delta is no finite number above 0.

    Examples
    --------
    >>> loss, dx = huber_loss([[0.5], [4.0]], [0.0, 0.0])
    >>> float(loss), dx.ravel()
    (1.8125, array([0.25, 0.5 ]))
    """
    return _core.huber_loss(x, y, delta, sample_weight)


def quantile_loss(
    x: ArrayLike, y: ArrayLike, level: float = 0.5, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Pinball loss, which a quantile of the targets minimises.

    Summed over the scores of an example, mean over the batch (Koenker & Bassett 1978).

    Parameters
    ----------
    x, y, sample_weight
        As for `squared_error_loss`.
    level : float
        Which quantile, in (0, 1); 0.5, the default, is the median.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j of level * (y[i, j] - x[i, j]) where that is positive,
        else (1 - level) * (x[i, j] - y[i, j]).
    dx : ndarray, shape (N, M)
        Its gradient, 0 where x is y.

    Raises
    ------
    TypeError, ValueError
        As `squared_error_loss`; or level is no number in (0, 1).

    Examples
    --------
    >>> loss, dx = quantile_loss([[1.0], [1.0]], [3.0, 0.0], level=0.75)
    >>> float(loss), dx.ravel()
    (0.875, array([-0.375,  0.125]))
    """
    return _core.quantile_loss(x, y, level, sample_weight)


def poisson_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Half the Poisson deviance of counts y where the scores are logarithms of rates.

    Summed over the scores of an example, mean over the batch.

    Parameters
    ----------
    x : array_like, shape (N, M)
        Logarithms of the rates.
    y : array_like, shape (N, M), or (N,) where M is 1
        Counts, or any numbers of at least 0.
    sample_weight : array_like, shape (N,), optional
        Weights of the examples.

    Returns
    -------
    loss : NumPy scalar
        The mean over i of the sum over j of exp(x[i, j]) - y[i, j] x[i, j] + (y log y - y), whose
        last part makes it 0 where exp(x) is y.
    dx : ndarray, shape (N, M)
        Its gradient.

    Raises
    ------
    TypeError, ValueError
        As `squared_error_loss`; or a target is negative.

    Examples
    --------
    >>> loss, dx = poisson_loss([[0.0], [0.0]], [1, 0])
    >>> float(loss), dx.ravel()
    (0.5, array([0. , 0.5]))
    """
    return _core.poisson_loss(x, y, sample_weight)
