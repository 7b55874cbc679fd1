"""The handwritten digits that come with the package; DIGITS.md states source and licence."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np

from fastfc.data.splits import float_splits

if TYPE_CHECKING:
    from .._types import Bytes, DataSet, Labels

NUM_VALIDATION, NUM_TEST = 300, 300


def load_digits() -> DataSet:
    """Load the UCI handwritten digits: 1,797 images of 8×8 in ten classes.

    The file has them in the order of their 13 writers.  They are shuffled, always in the same
    way, and divided into 1,197 for training, 300 for validation and 300 for testing: each split
    has digits of every writer.  The mean of the training images is subtracted and the result,
    at most 16, divided by 16.

    Returns
    -------
    dict
        ``X_train`` (1197, 1, 8, 8), ``X_val`` and ``X_test`` (300, 1, 8, 8): float64;
        ``y_train``, ``y_val``, ``y_test``: int64, 0 to 9.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49 (CC BY 4.0).

    Examples
    --------
    >>> data = load_digits()
    >>> data["X_test"].shape, data["y_test"][:5]
    ((300, 1, 8, 8), array([8, 8, 2, 2, 2]))
    """
    X, y = read_digits()
    order = np.random.RandomState(0).permutation(len(X))
    parts = np.split(order, [len(X) - NUM_VALIDATION - NUM_TEST, len(X) - NUM_TEST])
    splits = {
        name: (X[part], y[part]) for name, part in zip(("train", "val", "test"), parts, strict=True)
    }
    return float_splits(splits, scale=16)


def read_digits() -> tuple[Bytes, Labels]:
    """Read the images as they are stored.

    Returns
    -------
    X : ndarray of shape (1797, 1, 8, 8), uint8
        Values 0 to 16.
    y : ndarray of shape (1797,), int64

    Examples
    --------
    >>> X, y = read_digits()
    >>> X[0, 0, 0], y[0]
    (array([ 0,  0,  5, 13,  9,  1,  0,  0], dtype=uint8), np.int64(0))
    """
    from importlib.resources import files  # here: it takes as long to import as all of fastfc

    raw = (files("fastfc.data") / "digits.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(raw).decode("ascii").splitlines(), np.uint8, delimiter=",")
    return table[:, :64].reshape(-1, 1, 8, 8), table[:, 64].astype(np.int64)
