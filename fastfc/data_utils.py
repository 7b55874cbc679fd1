"""CIFAR-10 as the nndl notebooks load it: the original's three functions.

How the files are found and read stands in `fastfc.data.cifar10`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastfc.data.cifar10 import TEST_FILE, TRAIN_FILES, find_folder, read_batches
from fastfc.data.splits import float_splits

if TYPE_CHECKING:
    from ._types import Array, Bytes, DataSet, Labels, StrPath


def get_CIFAR10_data(
    num_training: int = 49000,
    num_validation: int = 1000,
    num_test: int = 1000,
    subtract_mean: bool = True,
    root: StrPath | None = None,
) -> DataSet:
    """Load CIFAR-10, split it and subtract the mean image of the training split.

    The first `num_training` images of the training files are for training, the next
    `num_validation` for validation; the first `num_test` of the test file for testing.

    Parameters
    ----------
    num_training, num_validation, num_test : int
        Sizes of the splits: at most 50,000 for the first two together, 10,000 for the third.
    subtract_mean : bool
        Subtract the mean image of the training split from all three.
    root : path, optional
        The folder ``cifar-10-batches-py`` or the one that holds it.  Without it, it is looked
        for in ``$FASTFC_DATA`` and then, in the working directory and its parent, as
        ``cifar-10-batches-py`` by itself and inside ``cs231n/datasets``, ``utils/datasets``,
        ``nndl/datasets`` and ``datasets``.

    Returns
    -------
    dict
        ``X_train``, ``X_val``, ``X_test``: float64 of shape (N, 3, 32, 32), values 0 to 255
        before the mean is subtracted; ``y_train``, ``y_val``, ``y_test``: int64 of shape (N,).

    Raises
    ------
    FileNotFoundError
        There is no CIFAR-10 in any of these places, which the message lists.
    ValueError
        A file is truncated, foreign or hostile, or holds fewer images than asked for.

    Warns
    -----
    UserWarning
        Once in a process, if the MD5 sum of a file is not the official one.

    Examples
    --------
    >>> data = get_CIFAR10_data(root="/data")  # doctest: +SKIP
    >>> data["X_train"].shape  # doctest: +SKIP
    (49000, 3, 32, 32)
    """
    if num_training < 1 or num_validation < 0 or num_test < 0:
        raise ValueError(
            "get_CIFAR10_data: num_training must be at least 1, num_validation and num_test at "
            f"least 0, got {num_training}, {num_validation} and {num_test}"
        )
    folder = find_folder(root)
    X, y = read_batches(folder, TRAIN_FILES, num_training + num_validation)
    splits = {
        "train": (X[:num_training], y[:num_training]),
        "val": (X[num_training:], y[num_training:]),
        "test": read_batches(folder, (TEST_FILE,), num_test),
    }
    return float_splits(splits, subtract_mean)


def load_CIFAR10(ROOT: StrPath) -> tuple[Array, Labels, Array, Labels]:
    """Load all of CIFAR-10, as images with the colours last.

    Parameters
    ----------
    ROOT : path
        The folder ``cifar-10-batches-py`` or the one that holds it.

    Returns
    -------
    X_train : ndarray of shape (50000, 32, 32, 3), float64
        Values 0 to 255.
    y_train : ndarray of shape (50000,), int64
    X_test : ndarray of shape (10000, 32, 32, 3), float64
    y_test : ndarray of shape (10000,), int64

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        A file is truncated, foreign or hostile.

    Examples
    --------
    >>> X_train, y_train, X_test, y_test = load_CIFAR10("/data")  # doctest: +SKIP
    """
    folder = find_folder(ROOT)
    X_train, y_train = read_batches(folder, TRAIN_FILES)
    X_test, y_test = read_batches(folder, (TEST_FILE,))
    return _colours_last(X_train), y_train, _colours_last(X_test), y_test


def load_CIFAR_batch(filename: StrPath) -> tuple[Array, Labels]:
    """Load one file of CIFAR-10, as images with the colours last.

    Parameters
    ----------
    filename : path
        One of ``data_batch_1`` to ``data_batch_5`` or ``test_batch``.

    Returns
    -------
    X : ndarray of shape (N, 32, 32, 3), float64
        Values 0 to 255; N is 10,000 in the official files.
    y : ndarray of shape (N,), int64

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is truncated, foreign or hostile.

    Examples
    --------
    >>> X, y = load_CIFAR_batch("/data/cifar-10-batches-py/test_batch")  # doctest: +SKIP
    """
    path = Path(filename)
    X, y = read_batches(path.parent, (path.name,))
    return _colours_last(X), y


def _colours_last(X: Bytes) -> Array:
    """Return (N, 3, 32, 32) uint8 as (N, 32, 32, 3) float64."""
    images: Array = X.transpose(0, 2, 3, 1).astype(np.float64, order="C")
    return images
