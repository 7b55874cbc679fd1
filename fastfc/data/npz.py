"""Data of one's own, from a NumPy archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastfc import archives

if TYPE_CHECKING:
    from .._types import AnyArray, DataSet, Labels, StrPath
    from ..archives import Header

REQUIRED = ("X_train", "y_train", "X_val", "y_val")
OPTIONAL = ("X_test", "y_test")
WEIGHTS = ("w_train", "w_val", "w_test")


def load_npz(path: StrPath, *, targets: bool = False) -> DataSet:
    """Load training data from an ``.npz`` file, as ``np.savez`` writes it.

    The numbers are taken as they are: neither scaled nor centred.

    Parameters
    ----------
    path : path
        A file with ``X_train``, ``y_train``, ``X_val``, ``y_val`` and, if there is a test
        split, ``X_test`` and ``y_test``.  X: real numbers of shape (N, d_1, ..., d_k), N at
        least 1, the d_i alike in all splits.  y: integers of shape (N,), 0 and up.  Weights of
        the examples, ``w_train``, ``w_val`` and ``w_test``, are taken where they are there: real
        numbers of shape (N,).
    targets : bool
        Whether y are real numbers, of shape (N,) or (N, M), M alike in all splits.

    Returns
    -------
    dict
        These arrays; labels as int64, the others in the dtype of the file.

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
    with archives.open_archive(path) as archive:
        headers = {name: archive.header(name) for name in _choose_arrays(archive.names)}
        for name, header in headers.items():
            rows = headers["X" + name[1:]].shape[:1]
            if name.startswith("X"):
                _check_inputs(name, header, headers["X_train"].shape)
            elif name.startswith("w"):
                _check_numbers(name, header, rows)
            elif targets:
                _check_numbers(name, header, rows + headers["y_train"].shape[1:2])
            else:
                _check_labels(name, header, rows[0])
        data = {}
        for name in headers:
            data[name] = archive.read(name)
            if name.startswith("y") and not targets:
                data[name] = _check_label_values(name, data[name])
        return data


def _choose_arrays(found: list[str]) -> tuple[str, ...]:
    """Return the names of the arrays that training needs."""
    wanted = REQUIRED + OPTIONAL if set(OPTIONAL) & set(found) else REQUIRED
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    return wanted + tuple(name for name in WEIGHTS if name in found and f"X{name[1:]}" in wanted)


def _check_inputs(name: str, X: Header, train_shape: tuple[int, ...]) -> None:
    if X.dtype.kind not in "fiub" or X.dtype.itemsize > 8:
        raise ValueError(f"{name} has dtype {X.dtype}, expected real numbers")
    if len(X.shape) < 2 or 0 in X.shape:
        raise ValueError(f"{name} has shape {X.shape}, expected (N, d_1, ...), none 0")
    if X.shape[1:] != train_shape[1:]:
        raise ValueError(
            f"{name} has shape {X.shape}, expected {('N', *train_shape[1:])} to match "
            f"X_train of shape {train_shape}".replace("'", "")
        )


def _check_numbers(name: str, array: Header, shape: tuple[int, ...]) -> None:
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} has dtype {array.dtype}, expected real numbers")
    if array.shape != shape or 0 in shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")


def _check_labels(name: str, y: Header, num_rows: int) -> None:
    if y.dtype.kind not in "iu":
        raise ValueError(f"{name} has dtype {y.dtype}, expected integers")
    if y.shape != (num_rows,):
        raise ValueError(f"{name} has shape {y.shape}, expected ({num_rows},)")


def _check_label_values(name: str, y: AnyArray) -> Labels:
    if y.min() < 0 or y.max() >= 2**31:
        raise ValueError(
            f"{name} has labels from {y.min()} to {y.max()}, expected 0 to {2**31 - 1}"
        )
    return y.astype(np.int64)
