"""Data of one's own, from a NumPy archive."""

import numpy as np

from fastfc.files import load_arrays

REQUIRED = ("X_train", "y_train", "X_val", "y_val")
OPTIONAL = ("X_test", "y_test")


def load_npz(path):
    """Load training data from an ``.npz`` file, as ``np.savez`` writes it.

    The numbers are taken as they are: neither scaled nor centred.

    Parameters
    ----------
    path : path
        A file with ``X_train``, ``y_train``, ``X_val``, ``y_val`` and, if there is a test
        split, ``X_test`` and ``y_test``.  X: real numbers of shape (N, d_1, ..., d_k), N at
        least 1, the d_i alike in all splits.  y: integers of shape (N,), 0 and up.

    Returns
    -------
    dict
        These arrays; labels as int64, X in the dtype of the file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged or no ``.npz`` file, an array is missing, or its shape, dtype or
        labels are not as above.  Pickled objects are never loaded.

    Examples
    --------
    >>> import tempfile
    >>> X, y = np.eye(3), np.array([0, 1, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/mine.npz", X_train=X, y_train=y, X_val=X, y_val=y)
    ...     data = load_npz(f"{folder}/mine.npz")
    >>> data["X_val"].shape
    (3, 3)
    """
    data = load_arrays(path, _choose_arrays)
    for name in data:
        if name.startswith("X"):
            _check_inputs(path, name, data[name], data["X_train"].shape)
        else:
            _check_labels(path, name, data[name], len(data["X" + name[1:]]))
            data[name] = data[name].astype(np.int64)
    return data


def _choose_arrays(found):
    """Return the names of the arrays that training needs."""
    wanted = REQUIRED + OPTIONAL if set(OPTIONAL) & set(found) else REQUIRED
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    return wanted


def _check_inputs(path, name, X, train_shape):
    if X.dtype.kind not in "fiub" or X.dtype.itemsize > 8:
        raise ValueError(f"{path}: {name} has dtype {X.dtype}, expected real numbers")
    if X.ndim < 2 or X.size == 0:
        raise ValueError(f"{path}: {name} has shape {X.shape}, expected (N, d_1, ...), none 0")
    if X.shape[1:] != train_shape[1:]:
        raise ValueError(
            f"{path}: {name} has shape {X.shape}, expected {('N', *train_shape[1:])} to match "
            f"X_train of shape {train_shape}".replace("'", "")
        )


def _check_labels(path, name, y, num_rows):
    if y.dtype.kind not in "iu":
        raise ValueError(f"{path}: {name} has dtype {y.dtype}, expected integers")
    if y.shape != (num_rows,):
        raise ValueError(f"{path}: {name} has shape {y.shape}, expected ({num_rows},)")
    if y.min() < 0 or y.max() >= 2**31:
        raise ValueError(
            f"{path}: {name} has labels from {y.min()} to {y.max()}, expected 0 to {2**31 - 1}"
        )
