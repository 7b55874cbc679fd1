"""The losses in plain NumPy, each with its gradient.

Letters: N batch, C classes, M scores of any other kind.  Examples have weights w, all 1 by default:
a loss is sum_i w_i l_i / sum_i w_i, where l_i is one example's.
"""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import shown
from ..arrays import as_arrays, as_number, as_real, expect_shape, quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._types import AnyArray, Array, ArrayLike, Labels, Scalar

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


def _check_x(operation: str, x: ArrayLike) -> Array:
    """Return the scores x in the dtype computed in, if there are any."""
    (x,) = as_real(operation, x=x)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(
            f"{operation}: x has shape {x.shape}, expected (N, C) with N and C at least 1"
        )
    return x


def _check_scores(operation: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Labels]:
    """Return the scores x in the dtype computed in, and the labels y, if they match."""
    (y,) = as_arrays(operation, y=y)
    x = _check_x(operation, x)
    N, C = x.shape
    if y.dtype.kind not in "iu":
        raise TypeError(f"{operation}: y has dtype {y.dtype}, expected integer labels")
    expect_shape(operation, "y", y, (N,), f"x of shape {x.shape}")
    if y.min() < 0 or y.max() >= C:
        i = int(np.argmax((y < 0) | (y >= C)))
        raise ValueError(f"{operation}: y[{i}] is {y[i]}, expected a label from 0 to {C - 1}")
    return x, y


def _check_targets(operation: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return the scores x, whose dtype is computed in, and the targets y, of their shape."""
    x = _check_x(operation, x)
    (y,) = as_arrays(operation, y=y)
    if y.dtype.kind not in "fiub" or y.dtype.itemsize > 8:
        raise TypeError(f"{operation}: y has dtype {y.dtype}, expected real numbers")
    if x.shape[1] == 1 and y.ndim == 1:
        y = y[:, np.newaxis]
    expect_shape(operation, "y", y, x.shape, "x")
    return x, y.astype(x.dtype)


def _check_range(operation: str, y: Array, fits: AnyArray, expected: str) -> None:
    """Raise an error unless all targets fit."""
    if not fits.all():
        place = np.unravel_index(int(np.argmin(fits)), y.shape)
        where = ", ".join(map(str, place))
        raise ValueError(f"{operation}: y[{where}] is {y[place]}, expected a number {expected}")


def _check_weights(operation: str, sample_weight: ArrayLike | None, N: int) -> Array | None:
    """Return the weights of N examples in float64; None, which stands for 1 each."""
    if sample_weight is None:
        return None
    (weights,) = as_arrays(operation, sample_weight=sample_weight)
    if weights.dtype.kind not in "fiub" or weights.dtype.itemsize > 8:
        raise TypeError(
            f"{operation}: sample_weight has dtype {weights.dtype}, expected real numbers"
        )
    expect_shape(operation, "sample_weight", weights, (N,), "the examples of x")
    weights = weights.astype(np.float64)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        i = int(np.argmin(np.isfinite(weights) & (weights >= 0)))
        raise ValueError(
            f"{operation}: sample_weight[{i}] is {weights[i]}, expected a finite number of at "
            "least 0"
        )
    total = weights.sum()
    if total == 0 or not np.isfinite(total):
        raise ValueError(
            f"{operation}: sample_weight has the sum {total}, expected a finite sum above 0"
        )
    return weights


def _mean(losses: Array, weights: Array | None) -> Any:
    """Return the mean of the examples' losses: (N,), or (N, M), which are summed."""
    if weights is None:
        return losses.sum() / len(losses)
    rows = losses.reshape(len(losses), -1).sum(axis=1)
    return losses.dtype.type((weights * rows).sum() / weights.sum())


def _share(slopes: Array, weights: Array | None) -> Array:
    """Return the gradient, of the examples' slopes (N, M)."""
    if weights is None:
        return slopes / len(slopes)
    divisors = (weights.sum() / weights).astype(slopes.dtype)
    gradient: Array = slopes / divisors[:, np.newaxis]
    return gradient


def _number(operation: str, name: str, value: Any, expected: str, fits: Any) -> float:
    """Return a loss's parameter, if it is a number that fits."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{operation}: {name} is {shown(value)}, expected a number")
    number = as_number(operation, name, value)
    if not fits(number):
        raise ValueError(f"{operation}: {name} is {shown(value)}, expected {expected}")
    return number


def _smoothing(operation: str, label_smoothing: Any) -> float:
    return _number(
        operation, "label_smoothing", label_smoothing, "a number in [0, 1]", lambda s: 0 <= s <= 1
    )


@quiet
def svm_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Return the multiclass hinge loss, margin 1, and its gradient (Weston & Watkins 1999)."""
    x, y = _check_scores("svm_loss", x, y)
    weights = _check_weights("svm_loss", sample_weight, len(x))
    rows = np.arange(len(x))
    margins = np.maximum(0, x - x[rows, y][:, np.newaxis] + 1)
    margins[rows, y] = 0
    slopes = (margins > 0).astype(x.dtype)
    slopes[rows, y] -= slopes.sum(axis=1)
    return _mean(margins, weights), _share(slopes, weights)


@quiet
def softmax_loss(
    x: ArrayLike,
    y: ArrayLike,
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[Scalar, Array]:
    """Return the cross-entropy of softmax(x) and its gradient, by log-sum-exp.

    log softmax(x)_j = x_j - max - log sum_k exp(x_k - max): no probability is rounded to 0 before
    its logarithm.  The targets are (1 - label_smoothing) onehot(y) +
    label_smoothing / C (Szegedy et al. 2016).
    """
    smoothing = _smoothing("softmax_loss", label_smoothing)
    x, y = _check_scores("softmax_loss", x, y)
    weights = _check_weights("softmax_loss", sample_weight, len(x))
    rows = np.arange(len(x))
    shifted = x - x.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -_mean(log_probabilities[rows, y], weights)
    slopes = np.exp(log_probabilities)
    slopes[rows, y] -= 1 - smoothing
    if smoothing > 0:
        uniform = -_mean(log_probabilities.mean(axis=1), weights)
        loss = (1 - smoothing) * loss + smoothing * uniform
        slopes -= smoothing / x.shape[1]
    return loss, _share(slopes, weights)


@quiet
def logistic_loss(
    x: ArrayLike,
    y: ArrayLike,
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[Scalar, Array]:
    """Return the cross-entropy of 1 / (1 + exp(-x)) with targets in [0, 1], and its gradient.

    With e = exp(-|x|), log(1 + exp(x)) = max(x, 0) + log(1 + e): no exponential overflows, and a
    loss near 0 keeps its digits.  The targets are (1 - label_smoothing) y + label_smoothing / 2.
    """
    smoothing = _smoothing("logistic_loss", label_smoothing)
    x, y = _check_targets("logistic_loss", x, y)
    _check_range("logistic_loss", y, (y >= 0) & (y <= 1), "from 0 to 1")
    weights = _check_weights("logistic_loss", sample_weight, len(x))
    z = (1 - smoothing) * y + smoothing / 2
    e = np.exp(-np.abs(x))
    p = e / (1 + e)
    losses = np.log1p(e) + np.where(x >= 0, x * (1 - z), -z * x)
    slopes = np.where(x >= 0, (1 - z) - p, p - z)
    return _mean(losses, weights), _share(slopes, weights)


def _residual_loss(
    operation: str,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    formula: Callable[[Array], tuple[Array, Array]],
) -> tuple[Scalar, Array]:
    """Return a loss of r = x - y, of which the formula gives each element's loss and slope."""
    x, y = _check_targets(operation, x, y)
    weights = _check_weights(operation, sample_weight, len(x))
    losses, slopes = formula(x - y)
    return _mean(losses, weights), _share(slopes, weights)


@quiet
def squared_error_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Return half the squared error, summed over an example's scores, and its gradient."""
    return _residual_loss("squared_error_loss", x, y, sample_weight, lambda r: (0.5 * r * r, r))


@quiet
def absolute_error_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Return the absolute error, summed over an example's scores, and its gradient; 0 at 0."""
    return _residual_loss(
        "absolute_error_loss", x, y, sample_weight, lambda r: (np.abs(r), np.sign(r))
    )


@quiet
def huber_loss(
    x: ArrayLike, y: ArrayLike, delta: float = 1.0, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Return the squared error up to delta, linear beyond it, and its gradient (Huber 1964)."""
    delta = _number(
        "huber_loss", "delta", delta, "a finite number above 0", lambda d: 0 < d < np.inf
    )

    def formula(r: Array) -> tuple[Array, Array]:
        far = np.abs(r) > delta
        d = r.dtype.type(delta)
        losses = np.where(far, d * (np.abs(r) - 0.5 * d), 0.5 * r * r)
        return losses, np.where(far, d * np.sign(r), r)

    return _residual_loss("huber_loss", x, y, sample_weight, formula)


@quiet
def quantile_loss(
    x: ArrayLike, y: ArrayLike, level: float = 0.5, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Return the pinball loss of a quantile, and its gradient; 0 at 0 (Koenker & Bassett 1978)."""
    level = _number("quantile_loss", "level", level, "a number in (0, 1)", lambda q: 0 < q < 1)

    def formula(r: Array) -> tuple[Array, Array]:
        above, below = r.dtype.type(1 - level), r.dtype.type(-level)
        losses = np.where(r > 0, above, below) * r
        return losses, np.where(r > 0, above, np.where(r < 0, below, r + 0.0))

    return _residual_loss("quantile_loss", x, y, sample_weight, formula)


@quiet
def poisson_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]:
    """Return half the Poisson deviance of counts y at rates exp(x), and its gradient.

    exp(x) - y x + (y log y - y): what does not depend on x makes the best fit 0.
    """
    x, y = _check_targets("poisson_loss", x, y)
    _check_range("poisson_loss", y, y >= 0, "of at least 0")
    weights = _check_weights("poisson_loss", sample_weight, len(x))
    rates, exact = np.exp(x), y.astype(np.float64)
    saturated = np.where(exact > 0, exact * np.log(exact) - exact, 0)
    loss = x.dtype.type(_mean(rates - y * x, weights) + _mean(saturated, weights))
    return loss, _share(rates - y, weights)
