"""The examples that ``fastfc evaluate`` and ``fastfc predict`` look at, as a model takes them."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, NamedTuple

import click
import numpy as np

from fastfc import archives
from fastfc.cli import folder, values
from fastfc.cli.command import Option, UsageError
from fastfc.cli.data import is_table, load
from fastfc.cli.options import DATA
from fastfc.data.rows import check_normalization, read_rows
from fastfc.fc_net import FullyConnectedNet
from fastfc.networks.losses import LOSSES

if TYPE_CHECKING:
    from typing import Any

    from fastfc._types import AnyArray, Array, DataSet, Examples

SPLITS = ("train", "val", "test", "all")


class Chosen(NamedTuple):
    """Examples of a data set.

    Attributes
    ----------
    X : array, or what gives rows of one
        As the model takes it.
    y : ndarray or None
        Labels or targets as the model is trained on.
    weights : ndarray or None
        Of the examples.
    ids : sequence
        A name or number for each.
    id_name : str
        What these are.
    split : str
        One of `SPLITS`.
    """

    X: Examples
    y: AnyArray | None
    weights: AnyArray | None
    ids: Any
    id_name: str
    split: str


def model_and_examples(data: str, split: str) -> list[click.Parameter]:
    """Return the parameters of a command that looks at examples with a model.

    Parameters
    ----------
    data, split : str
        The help of ``--data``, and what ``--split`` is by default.
    """
    return [
        click.Argument(["model"], metavar="MODEL", type=values.Path()),
        Option(["--data"], type=values.Path(DATA), required=True, help=data),
        Option(
            ["--root"],
            type=values.Path("DIR"),
            help="folder of cifar10's or mnist's files",
            show_default="$FASTFC_DATA, the working directory and its parent",
        ),
        Option(
            ["--split"],
            type=values.one_of(*SPLITS),
            help="which examples of the data",
            show_default=split,
        ),
    ]


def load_model(path: str, which: str = "best") -> FullyConnectedNet:
    """Return the network of a run's folder, a file or a checkpoint.

    Raises
    ------
    UsageError
        There is none in it.
    """
    if os.path.isdir(path):
        path = os.path.join(path, folder.MODEL)
    try:
        return FullyConnectedNet.load(path, which)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}" if error.strerror else str(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def choose(
    model: FullyConnectedNet,
    source: str,
    root: str | None,
    split: str | None,
    id_column: str | None = None,
    needs_target: bool = False,
) -> Chosen:
    """Return the examples that ``--data`` and ``--split`` name, preprocessed for the model.

    Without a split they are those for testing, where there are any; but to predict, all rows of a
    table, and so to evaluate a table that the model was not trained on.

    Raises
    ------
    UsageError
        There are none, or they do not fit the model.
    """
    preprocessing = model.preprocessing or {}
    tabular = preprocessing.get("kind") == "table"
    if is_table(source) != tabular:
        expected = "a table, as the model was trained on one"
        if not tabular:
            expected = "no table, as the model was trained on none"
        raise UsageError(f"--data {source}: expected {expected}")
    if id_column is not None and not is_table(source):
        raise UsageError(f"--id-column is for tables: leave it out for {source}")
    try:
        if is_table(source):
            return _of_table(preprocessing, source, split, id_column, needs_target)
        found = _of_arrays(model, source, root, split, needs_target)
        if preprocessing.get("kind") == "normalize":
            found = found._replace(X=Normalized(found.X, preprocessing, model.dtype))
        return found
    except OSError as error:
        said = f"{source}: {error.strerror}" if error.strerror else str(error)
        raise UsageError(f"--data {said}") from error
    except (ImportError, TypeError, ValueError) as error:
        raise UsageError(f"--data {error}") from error


class Normalized:
    """Rows that are normalised when they are asked for, as the Solver does it."""

    def __init__(self, X: Examples, preprocessing: dict[str, Any], dtype: Any) -> None:
        pair = preprocessing["mean"], preprocessing["std"]
        self._X, self.shape, self.dtype = X, X.shape, dtype
        self._normalize = check_normalization(pair, X.shape[1:], dtype)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> AnyArray:
        return read_rows(self._X, rows, self.dtype, self._normalize)


def _of_table(
    preprocessing: dict[str, Any],
    source: str,
    split: str | None,
    id_column: str | None,
    needs_target: bool,
) -> Chosen:
    from fastfc.data.tables import encode_table, find_splits

    named = split not in (None, "all")
    table = encode_table(
        source, preprocessing, id_column=id_column, needs_target=needs_target or named
    )
    for note in table.notes:
        warnings.warn(note, stacklevel=1)
    parts = find_splits(table, preprocessing) if named or needs_target else None
    if named and parts is None:
        raise ValueError(
            f"{source}: the model was trained on another table, expected that one for --split "
            f"{split}: leave it out"
        )
    if split is None:
        split = "all" if parts is None else "test"
    rows = np.arange(len(table.X)) if split == "all" or parts is None else parts[split]
    y = None if table.y is None else table.y[rows]
    if table.ids is None:
        return Chosen(table.X[rows], y, None, table.rows[rows], "row", split)
    ids = [table.ids[row] for row in rows]
    return Chosen(table.X[rows], y, None, ids, id_column or preprocessing["id"], split)


def _of_arrays(
    model: FullyConnectedNet,
    source: str,
    root: str | None,
    split: str | None,
    needs_target: bool,
) -> Chosen:
    plain = None if needs_target else _read_inputs(source)
    if plain is not None:
        if split not in (None, "all"):
            raise ValueError(f"{source}: it has X, no splits: leave --split {split} out")
        return Chosen(plain, None, None, np.arange(len(plain)), "row", "all")
    data = load(source, root, not LOSSES[model.loss_name].labelled)
    if split is None:
        split = "test" if "X_test" in data else "val"
    if split != "all" and f"X_{split}" not in data:
        raise ValueError(f"{source}: it has no {split} examples: choose another --split")
    splits = ("train", "val", "test") if split == "all" else (split,)
    X, y = (_joined(data, kind, splits) for kind in "Xy")
    assert X is not None
    return Chosen(X, y, _joined(data, "w", splits), np.arange(len(X)), "row", split)


def _joined(data: DataSet, kind: str, splits: tuple[str, ...]) -> Any:
    """Return the arrays of these splits that are there, one after the other; None if none is."""
    parts = [data[f"{kind}_{split}"] for split in splits if f"{kind}_{split}" in data]
    if len(parts) < 2:
        return parts[0] if parts else None
    return np.concatenate(parts)


def _read_inputs(source: str) -> Array | None:
    """Return the array X of an archive that has no splits; None of anything else."""
    if not source.endswith(".npz"):
        return None
    with archives.open_archive(source) as archive:
        if "X" not in archive.names or "X_train" in archive.names:
            return None
        X: Array = archive.read("X")
    if X.dtype.kind not in "fiub" or X.ndim < 2 or 0 in X.shape:
        raise ValueError(
            f"{source}: X has dtype {X.dtype} and shape {X.shape}, expected real numbers of shape "
            "(N, d_1, ...), none 0"
        )
    return X
