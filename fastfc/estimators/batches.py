"""Rows of what people pass to an estimator, as dense arrays: sparse matrices a part at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import issparse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._types import AnyArray, Array

PART_BYTES = 1 << 22  # of a dense part of a sparse matrix


def as_matrix(X: Any, dtype: type[np.floating[Any]]) -> Any:
    """Return X in a dtype, its rows one behind the other: an array, or a CSR matrix.

    X itself where it is that already.

    Examples
    --------
    >>> as_matrix(np.zeros((3, 2), order="F"), np.float32).flags.c_contiguous
    True
    """
    if issparse(X):
        return X.tocsr().astype(dtype, copy=False)
    return np.require(X, dtype, ["C_CONTIGUOUS", "ALIGNED"])


def rows_at_once(X: Any) -> int:
    """Return how many rows of X are made dense at once: at least 1, and all of an array."""
    rows: int = X.shape[0]
    if issparse(X):
        rows = PART_BYTES // max(X.shape[1] * X.dtype.itemsize, 1)
    return max(rows, 1)


def dense_parts(X: Any) -> Iterator[tuple[slice, Array]]:
    """Generate X in dense parts, and which rows they are.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> [(rows.stop, part.shape) for rows, part in dense_parts(csr_array(np.eye(3)))]
    [(3, (3, 3))]
    """
    size = rows_at_once(X)
    for start in range(0, X.shape[0], size):
        rows = slice(start, min(start + size, X.shape[0]))
        yield rows, dense(X[rows])


def dense(X: Any) -> AnyArray:
    """Return a sparse matrix as an array, an array as it is."""
    array: AnyArray = X.toarray() if issparse(X) else X
    return array
