"""The data sets of ``--data``."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from fastfc.arguments import did_you_mean
from fastfc.cli.arguments import count_outputs
from fastfc.cli.command import UsageError
from fastfc.cli.options import DATA_SETS
from fastfc.data import load_digits, load_mnist, load_npz
from fastfc.data_utils import get_CIFAR10_data
from fastfc.networks.losses import LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fastfc._types import DataSet


def load(source: str, root: str | None, targets: bool = False) -> DataSet:
    """Return the data set that ``--data`` and ``--root`` name, as the dict that Solver takes.

    ``targets`` says whether a file has targets, not labels.

    Raises
    ------
    UsageError
        There is no such data set, or its files are missing or unusable.

    Examples
    --------
    >>> load("digits", None)["X_train"].shape
    (1197, 1, 8, 8)
    """
    if source not in DATA_SETS and not source.endswith(".npz"):
        raise UsageError(
            f"--data {source}: choose digits, cifar10, mnist or a .npz file"
            f"{did_you_mean(source, DATA_SETS)}"
        )
    if root is not None and source not in ("cifar10", "mnist"):
        raise UsageError(f"--root is for --data cifar10 and mnist: leave it out for {source}")
    try:
        with shown_on_terminals(f"loading {source}"):
            if source == "digits":
                return load_digits()
            if source == "cifar10":
                return get_CIFAR10_data(root=root)
            if source == "mnist":
                return load_mnist(root)
            return load_npz(source, targets=targets)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error


@contextlib.contextmanager
def shown_on_terminals(what: str, patience: float = 0.3) -> Iterator[None]:
    """Show on stderr, if it is a terminal, what takes longer than so many seconds, and how long.

    The line goes away in the end.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    start, done = time.perf_counter(), threading.Event()

    def show() -> None:
        wait, text = patience, ""
        while not done.wait(wait):
            text = f"{what}: {time.perf_counter() - start:.0f} s"
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
            wait = 1
        if text:
            print(f"\r{'':{len(text)}}\r", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def describe(source: str, data: DataSet, loss: str = "softmax") -> dict[str, Any]:
    """Return a dict that says what the data are, for a network with such a loss.

    Examples
    --------
    >>> describe("digits", load("digits", None))  # doctest: +NORMALIZE_WHITESPACE
    {'source': 'digits', 'train': 1197, 'val': 300, 'test': 300, 'example': [1, 8, 8],
     'classes': 10}
    """
    splits = {
        split: len(data[f"X_{split}"]) for split in ("train", "val", "test") if f"X_{split}" in data
    }
    shape = list(data["X_train"].shape[1:])
    kind = "classes" if LOSSES[loss].labelled else "targets"
    return {"source": source, **splits, "example": shape, kind: count_outputs(data, loss)}


def in_words(about: dict[str, Any]) -> str:
    """Return the line that `describe` is printed as.

    Examples
    --------
    >>> in_words(describe("digits", load("digits", None)))
    'data: digits, 1197 train, 300 val and 300 test examples of 1x8x8, 10 classes'
    """
    splits = [f"{about[split]} {split}" for split in ("train", "val", "test") if split in about]
    shape = "x".join(map(str, about["example"]))
    outputs = f"{about['classes']} classes" if "classes" in about else f"{about['targets']} targets"
    return (
        f"data: {about['source']}, {', '.join(splits[:-1])} and {splits[-1]} examples of {shape}, "
        f"{outputs.removesuffix('s') if outputs == '1 targets' else outputs}"
    )
