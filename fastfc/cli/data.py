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
from fastfc.cli.options import DATA_SETS, TABLE_OPTIONS, flag_of
from fastfc.data import load_digits, load_mnist, load_npz
from fastfc.data_utils import get_CIFAR10_data
from fastfc.networks.losses import LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace
    from typing import Any

    from fastfc._types import DataSet
    from fastfc.fc_net import FullyConnectedNet


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
            f"--data {source}: choose digits, cifar10, mnist or a .npz, .csv or .parquet file"
            f"{did_you_mean(source, DATA_SETS)}"
        )
    _check_root(source, root)
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


def _check_root(source: str, root: str | None) -> None:
    if root is not None and source not in ("cifar10", "mnist"):
        raise UsageError(f"--root is for --data cifar10 and mnist: leave it out for {source}")


def is_table(source: str) -> bool:
    """Return whether ``--data`` names a table.

    Examples
    --------
    >>> is_table("wine.csv"), is_table("digits")
    (True, False)
    """
    return source.lower().endswith((".csv", ".parquet"))


def load_to_train(
    options: SimpleNamespace, given: set[str], model: FullyConnectedNet | None
) -> tuple[DataSet, dict[str, Any] | None]:
    """Return the data set to train on, and the preprocessing that a new network is to have.

    ``model`` is the network of a run that goes on: a table becomes what it was then.

    Raises
    ------
    UsageError
        As `load`; or options are missing or given in vain, or a table is not the same as before.
    """
    source = options.data
    trained_on = {} if model is None else model.preprocessing or {}
    if not is_table(source):
        for name in TABLE_OPTIONS:
            if name in given:
                raise UsageError(f"{flag_of(name)} is for tables: leave it out for {source}")
        if trained_on.get("kind") == "table":
            raise UsageError(f"--data {source}: expected the table that the run was trained on")
        loss = options.loss if model is None else model.loss_name
        data = load(source, options.root, not LOSSES[loss].labelled)
        if options.normalize is None:
            return data, None
        mean, std = options.normalize
        return data, {"kind": "normalize", "mean": mean, "std": std}
    _check_root(source, options.root)
    if model is not None and trained_on.get("kind") != "table":
        raise UsageError(f"--data {source}: expected no table, as the run was trained on none")
    if model is None and options.target is None:
        raise UsageError(f"--data {source}: a table needs --target COLUMN, the column to predict")
    if options.normalize is not None:
        raise UsageError("--normalize: a table's numbers are standardised by itself: leave it out")
    try:
        with shown_on_terminals(f"loading {source}"):
            return _load_table(options, trained_on)
    except OSError as error:
        said = f"{source}: {error.strerror}" if error.strerror else str(error)
        raise UsageError(f"--data {said}") from error
    except (ImportError, ValueError) as error:
        raise UsageError(f"--data {error}") from error


def _load_table(
    options: SimpleNamespace, trained_on: dict[str, Any]
) -> tuple[DataSet, dict[str, Any]]:
    from fastfc.data.tables import encode_table, find_splits, load_table
    from fastfc.data.tables.fitting import divide

    if not trained_on:
        return load_table(
            options.data,
            options.target,
            ignore_columns=options.ignore_columns or (),
            category_columns=options.category_columns or (),
            id_column=options.id_column,
            loss=options.loss,
            seed=options.seed,
        )
    table = encode_table(options.data, trained_on, needs_target=True)
    parts = find_splits(table, trained_on)
    if parts is None or table.y is None:
        raise ValueError(f"{options.data}: it is not the table that the run was trained on")
    return divide(table.X, table.y, parts), trained_on


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
