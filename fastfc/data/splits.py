"""What the loaders share: where to look, and bytes made into the dict that Solver takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .._types import Bytes, DataSet, Labels, StrPath


def float_splits(
    splits: Mapping[str, tuple[Bytes, Labels]], subtract_mean: bool = True, scale: float = 1
) -> DataSet:
    """Turn splits of uint8 images into the dict that Solver takes.

    One pass makes the float64 images out of the bytes, so that the largest array exists once.

    Parameters
    ----------
    splits : dict
        ``name: (X, y)`` for each of ``train``, ``val``, ``test``; X of shape (N, ...).
    subtract_mean : bool
        Subtract the mean of the training images, shape (...), from all splits.
    scale : number
        Divide by it, after the subtraction.

    Returns
    -------
    dict
        ``X_<name>`` float64 and ``y_<name>`` int64 for each split.

    Examples
    --------
    >>> X, y = np.array([[0], [8]], np.uint8), np.array([0, 1])
    >>> float_splits({"train": (X, y), "val": (X + 8, y)}, scale=16)["X_val"]
    array([[0.25],
           [0.75]])
    """
    mean = splits["train"][0].mean(axis=0, dtype=np.float64) if subtract_mean else np.float64(0)
    data = {}
    for name, (X, y) in splits.items():
        data[f"X_{name}"] = np.subtract(X, mean, dtype=np.float64)
        data[f"y_{name}"] = y.astype(np.int64)
        if scale != 1:
            data[f"X_{name}"] /= scale
    return data


def search_places(root: StrPath | None, relative: Iterable[str]) -> list[Path]:
    """List the folders in which a data set is looked for, best first.

    Parameters
    ----------
    root : path or None
        An explicit root is the only place; without one ``$FASTFC_DATA`` comes first and the
        working directory and its parent follow.
    relative : sequence of str
        Folders under these, in which the files may be.

    Returns
    -------
    list of pathlib.Path

    Examples
    --------
    >>> [place.as_posix() for place in search_places("/data", ("", "mnist"))]
    ['/data', '/data/mnist']
    """
    if root is not None:
        bases = [Path(root)]
    else:
        bases = [Path.cwd(), Path.cwd().parent]
        if os.environ.get("FASTFC_DATA"):
            bases.insert(0, Path(os.environ["FASTFC_DATA"]))
    return list(dict.fromkeys(base / folder for base in bases for folder in relative))
