"""MNIST and its kin, from idx files.

The format is described at the foot of the page on which LeCun, Cortes and Burges published MNIST
(1998): two zero bytes, a code for the type, the number of dimensions, each dimension as a
big-endian 32-bit number, then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from fastfc.data.splits import float_splits, search_places

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from .._types import Bytes, DataSet, Labels, StrPath

CHUNK = 1 << 20  # bytes read at a time
PARTS = {"train": "train", "test": "t10k"}  # split: how its files' names begin


def load_mnist(
    root: StrPath | None = None, num_validation: int = 5000, subtract_mean: bool = True
) -> DataSet:
    """Load MNIST: 70,000 handwritten digits of 28×28 pixels, ten classes (LeCun et al. 1998).

    The last `num_validation` images of the training files are for validation, those before for
    training.  The mean of the training images is subtracted, unless `subtract_mean` is False, and
    the result divided by 255.
    Other data sets in MNIST's form (Fashion-MNIST, KMNIST, EMNIST) load the same way.

    Parameters
    ----------
    root : path, optional
        The folder of the four files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
        ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, gzipped (``.gz``) or not, or
        a folder that has them in ``mnist`` or ``MNIST/raw``.  Without it, ``$FASTFC_DATA``, the
        working directory and its parent are searched.
    num_validation : int
        Size of the validation split.
    subtract_mean : bool
        Subtract the mean image of the training split from all three.  Without it pixels are 0
        to 1, and four of five are 0: training leaves these out of its sums.

    Returns
    -------
    dict
        ``X_train`` (55000, 1, 28, 28), ``X_val`` (5000, 1, 28, 28), ``X_test``
        (10000, 1, 28, 28): float64; ``y_train``, ``y_val``, ``y_test``: int64.

    Raises
    ------
    FileNotFoundError
        A file is missing; the message lists the places.
    ValueError
        A file is truncated or not an idx file, or the files do not fit each other.

    Examples
    --------
    >>> load_mnist("/data/mnist")["X_train"].shape  # doctest: +SKIP
    (55000, 1, 28, 28)
    """
    X, y = _read_part(root, "train")
    cut = len(X) - num_validation
    if num_validation < 0 or cut < 1:
        raise ValueError(f"num_validation is {num_validation}, expected 0 to {len(X) - 1}")
    splits = {"train": (X[:cut], y[:cut]), "val": (X[cut:], y[cut:])}
    splits["test"] = _read_part(root, "test")
    if splits["test"][0].shape[1:] != X.shape[1:]:
        raise ValueError(
            f"training images are {X.shape[2:]} pixels, test images {splits['test'][0].shape[2:]}"
        )
    return float_splits(splits, subtract_mean, scale=255)


def read_idx(path: StrPath) -> Bytes:
    """Read one idx file of bytes, gzipped or not.

    Parameters
    ----------
    path : path

    Returns
    -------
    ndarray of uint8
        Read-only, of the shape that the file states.

    Raises
    ------
    ValueError
        The file is not idx, not of unsigned bytes, damaged, or not of the size it states; no more
        of it is read than that, however far it unpacks.

    Examples
    --------
    >>> read_idx("/data/mnist/t10k-labels-idx1-ubyte.gz").shape  # doctest: +SKIP
    (10000,)
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            return _read_idx(gzip.GzipFile(fileobj=file) if zipped else file)
        except _NotIdxError as error:
            raise ValueError(f"{path}: {error}") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from error
        except (MemoryError, OverflowError, ValueError) as error:
            raise ValueError(f"{path}: its array cannot be made: {error}") from error


class _NotIdxError(ValueError):
    """A file is not as the format has it."""


def _read_idx(file: IO[bytes] | gzip.GzipFile) -> Bytes:
    """Return the array of an open file, of which no more is read than the header asks for."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise _NotIdxError("not an idx file")
    if start[2] != 8:
        raise _NotIdxError(f"idx type 0x{start[2]:02x}, expected 0x08 (unsigned bytes)")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise _NotIdxError("truncated within its header")
    shape = struct.unpack(f">{start[3]}I", sizes)
    header, length = 4 + len(sizes), math.prod(shape)
    content = bytearray()
    while len(content) <= length:  # in parts: what is not there takes no memory
        part = file.read(min(length + 1 - len(content), CHUNK))
        if not part:
            break
        content += part
    if len(content) != length:
        state = "truncated" if len(content) < length else "too long"
        found = f"{'more than ' * bool(file.read(1))}{header + len(content):,} bytes"
        raise _NotIdxError(
            f"{state}: {found}, expected {header + length:,} for shape {shape!s:.200}"
        )
    array = np.frombuffer(content, np.uint8).reshape(shape)
    array.flags.writeable = False
    return array


def _read_part(root: StrPath | None, split: str) -> tuple[Bytes, Labels]:
    """Return X (N, 1, height, width) uint8 and y (N,) uint8 of the train or test files."""
    image_path = _find(root, f"{PARTS[split]}-images-idx3-ubyte")
    label_path = _find(root, f"{PARTS[split]}-labels-idx1-ubyte")
    X, y = read_idx(image_path), read_idx(label_path)
    if X.ndim != 3 or X.size == 0:
        raise ValueError(f"{image_path}: shape {X.shape}, expected images (N, height, width)")
    if y.shape != X.shape[:1]:
        raise ValueError(f"{label_path}: shape {y.shape}, expected {len(X)} labels")
    return X[:, None], y


def _find(root: StrPath | None, name: str) -> Path:
    """Return the path of a file, gzipped or not, or say where it was looked for."""
    places = search_places(root, ("", "mnist", "MNIST/raw"))
    for place in places:
        for path in (place / name, place / f"{name}.gz"):
            if path.is_file():
                return path
    raise FileNotFoundError(
        f"MNIST not found: no {name} or {name}.gz in {', '.join(map(str, places))}; "
        "give the folder of the four idx files as root or in $FASTFC_DATA"
    )
