"""Batch normalisation over rows that several ranks have.

Of its own rows a rank knows the mean and the spread sqrt(sum (x - mean)^2) of each feature, in
float64; the whole batch's follow from those of all ranks (Chan, Golub & LeVeque 1983).  A spread
neither overflows nor vanishes where its square does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import quiet

if TYPE_CHECKING:
    from .._types import AnyArray, Array


@quiet
def mean_and_spread(x: Array) -> AnyArray:
    """Return mean and spread of each feature of x (n, D), as (2, D) of float64; n may be 0.

    Examples
    --------
    >>> from fastfc.distributed.statistics import mean_and_spread
    >>> mean_and_spread(np.array([[1.0, 5.0], [7.0, 5.0]]))[0]
    array([4., 5.])
    """
    if x.shape[0] == 0:
        return np.zeros((2, x.shape[1]))
    columns = np.ascontiguousarray(x.T, np.float64)  # NumPy sums pairwise along contiguous ones
    size = _power(np.abs(columns).max(axis=1))
    mean = (columns / size[:, np.newaxis]).mean(axis=1) * size
    return np.stack([mean, _norm(columns - mean[:, np.newaxis])])


@quiet
def merge(counts: AnyArray, parts: AnyArray, eps: float) -> AnyArray:
    """Return mean, variance and rstd = 1 / sqrt(var + eps) of all ranks' rows, (3, D) of float64.

    The variance is infinite where it is beyond float64; rstd is finite then too.

    Parameters
    ----------
    counts : ndarray of int, shape (R,)
        How many rows each rank has.
    parts : ndarray of float64, shape (R, 2, D)
        What `mean_and_spread` returned to each.
    eps : float

    Examples
    --------
    >>> from fastfc.distributed.statistics import mean_and_spread, merge
    >>> x = np.array([[1.0], [2.0], [4.0], [9.0]])
    >>> parts = np.stack([mean_and_spread(x[:1]), mean_and_spread(x[1:])])
    >>> merge(np.array([1, 3]), parts, 0.0)[:2], x.mean(), x.var()
    (array([[4. ],
           [9.5]]), np.float64(4.0), np.float64(9.5))
    """
    weights = (counts / counts.sum())[:, np.newaxis]
    means, spreads = parts[:, 0], parts[:, 1]
    mean = (weights * means).sum(axis=0)
    # the root of the sum of squares of these is the spread, and of that over N the deviation
    terms = np.concatenate([spreads / np.sqrt(counts.sum()), np.sqrt(weights) * (means - mean)])
    deviation = _norm(terms.T)
    return np.stack([mean, deviation * deviation, 1 / np.hypot(deviation, np.sqrt(eps))])


def _norm(rows: AnyArray) -> AnyArray:
    """Return the norm of each row."""
    size = _power(np.abs(rows).max(axis=1))
    scaled = rows / size[:, np.newaxis]
    norm: AnyArray = np.sqrt(np.square(scaled).sum(axis=1)) * size
    return norm


def _power(size: AnyArray) -> AnyArray:
    """Return a power of two near each number, by which to divide without rounding."""
    exponent = np.frexp(size)[1]
    power: AnyArray = np.ldexp(1.0, np.clip(exponent, -1022, 1023))
    return power


@quiet
def normalize(x: Array, mean: AnyArray, var: AnyArray, rstd: AnyArray) -> Array:
    """Return (x - mean) * rstd in x's dtype."""
    mean, rstd = mean.astype(x.dtype), rstd.astype(x.dtype)
    normalized: Array = (x - mean) * rstd
    if np.isinf(var.astype(x.dtype)).any():  # a difference may overflow too
        normalized = (0.5 * x - 0.5 * mean) * (2 * rstd)
    return normalized
