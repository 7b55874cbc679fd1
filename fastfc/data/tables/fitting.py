"""A table made into what a network takes, by what its training rows have taught."""

from __future__ import annotations

import contextlib
import os
import warnings
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...arguments import did_you_mean
from . import columns, reading, targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from ..._types import AnyArray, DataSet, Labels
    from .columns import Column

SHARES = {"val": 0.15, "test": 0.15}  # of the rows; the others are for training


class EncodedTable(NamedTuple):
    """What a table has come to.

    Attributes
    ----------
    X : ndarray, shape (N, D), float64
    y : ndarray, shape (N,), or None
        Labels or numbers as a network is trained on; None where the table has no such column.
    ids : list or None
        The cells of the column that names the rows, None where there is none.
    rows : ndarray, shape (N,), int64
        Where in the table these rows stand, from 0: all of them, or those that have a target.
    notes : list of str
        What somebody may want to know: rows left out, categories never seen.

    Examples
    --------
    See `encode_table`.

    >>> EncodedTable(np.eye(2), None, ["a", "b"], np.arange(2), []).ids
    ['a', 'b']
    """

    X: AnyArray
    y: AnyArray | None
    ids: list[Any] | None
    rows: Labels
    notes: list[str]


def load_table(
    source: Any,
    target: str,
    *,
    ignore_columns: Sequence[str] = (),
    category_columns: Sequence[str] = (),
    id_column: str | None = None,
    loss: str = "softmax",
    seed: int = 0,
    library: str | None = None,
) -> tuple[DataSet, dict[str, Any]]:
    r"""Load a table, split it, and make numbers of it.

    Rows are shuffled, always in the same way for a seed, and divided: 70 % for training, 15 % for
    validation and 15 % for testing.  All that is learnt of the columns is learnt of the training
    rows.  Numbers, and booleans as 0 and 1, are standardised after their gaps have been filled with
    the median; each category of texts becomes a column of 0 and 1.  A column that is empty or the
    same in all training rows tells nothing and is left out, and so is a row without a target.

    Parameters
    ----------
    source : path or data frame
        A CSV file in UTF-8 with a line of names, divided by commas, semicolons or tabs; a Parquet
        file; or a frame of pandas or polars.
    target : str
        The column to predict.
    ignore_columns, category_columns : sequence of str
        Columns to leave out, and columns whose cells are names though they look like numbers.
    id_column : str, optional
        The column that names the rows: no input, but `encode_table` returns it.
    loss : str
        The network's.  Of ``'softmax'`` and ``'logistic'`` the target has labels, texts or whole
        numbers; of the others real numbers, which are standardised, but for ``'poisson'``.
    seed : int
        Which rows are for training.
    library : {'pandas', 'polars'}, optional
        Which reads the file; by default pandas where it is installed.

    Returns
    -------
    data : dict
        As `Solver` takes it.
    preprocessing : dict
        For the network's ``preprocessing``.

    Raises
    ------
    OSError
        The file cannot be read.
    ImportError
        Neither pandas nor polars is installed; or pyarrow is missing for a Parquet file.
    ValueError
        The file is damaged or empty, a column is missing or there twice, a column can be no input
        or the target no target, or there are fewer than three rows that have one.

    Warns
    -----
    UserWarning
        Rows or columns are left out.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/pets.csv", "w") as file:
    ...         _ = file.write("weight,fur,kind\n" + "4,long,cat\n9,short,dog\n" * 10)
    ...     data, preprocessing = load_table(f"{folder}/pets.csv", "kind")
    >>> data["X_train"].shape, preprocessing["target"]["values"]
    ((14, 3), ['cat', 'dog'])
    """
    with _named(source):
        table = reading.read(source, library)
        options = ignore_columns, category_columns, id_column
        X, y, preprocessing, notes = _fit(table, target, *options, loss, seed)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    parts = split_rows(len(X), preprocessing["split"])
    return divide(X, y, parts), preprocessing


def _fit(
    table: dict[str, Column],
    target: str,
    ignore_columns: Sequence[str],
    category_columns: Sequence[str],
    id_column: str | None,
    loss: str,
    seed: int,
) -> tuple[AnyArray, AnyArray, dict[str, Any], list[str]]:
    """Return inputs, targets, the preprocessing that has made them, and notes."""
    check_names(table, [target], "target")
    check_names(table, ignore_columns, "ignore_columns")
    check_names(table, category_columns, "category_columns")
    check_names(table, [] if id_column is None else [id_column], "id_column")
    missing = targets.find_gaps(table[target])
    table, notes = _keep_rows(table, ~missing, target)
    count = len(table[target].values)
    split = {"seed": int(seed)}
    split |= {name: max(1, int(count * share)) for name, share in SHARES.items()}
    train = split_rows(count, split)["train"]
    left_out = {target, id_column, *ignore_columns}
    fitted, ignored = [], [name for name in table if name in ignore_columns]
    for name in table:
        if name in left_out:
            continue
        if name not in category_columns:
            table[name] = columns.interpret(table[name])
        found = columns.fit(table[name], train, name in category_columns)
        if isinstance(found, str):
            notes.append(f"column {name!r} {found}: left out")
            ignored.append(name)
        else:
            fitted.append(found)
    if not fitted:
        raise ValueError("no column is left to learn from, beside the target and what is left out")
    preprocessing: dict[str, Any] = {
        "kind": "table",
        "columns": fitted,
        "target": targets.fit(table[target], train, loss),
        "id": id_column,
        "ignored": ignored,
        "split": split,
    }
    X, y = _encode_columns(table, fitted), targets.encode(table[target], preprocessing["target"])
    preprocessing["crc32"] = checksum(X, y)
    return X, y, preprocessing, notes


@contextlib.contextmanager
def _named(source: Any) -> Iterator[None]:
    """Let what is wrong with a file begin with its path."""
    try:
        yield
    except ValueError as error:
        if not isinstance(source, (str, bytes, os.PathLike)):
            raise
        path = os.fsdecode(source)
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: {error}") from error


def split_rows(count: int, split: dict[str, Any]) -> dict[str, Labels]:
    """Return the rows of each split, by the seed and the numbers of rows for val and test.

    Raises
    ------
    ValueError
        There are too few to have one in each.

    Examples
    --------
    >>> parts = split_rows(100, {"seed": 0, "val": 15, "test": 15})
    >>> {name: len(rows) for name, rows in parts.items()}
    {'train': 70, 'val': 15, 'test': 15}
    """
    val, test = split["val"], split["test"]
    if count <= val + test:
        raise ValueError(
            f"{count} row{'s' * (count != 1)} with a target, expected at least 3: to train, to "
            "validate and to test"
        )
    order = np.random.RandomState(split["seed"]).permutation(count)
    parts = np.split(order, [count - val - test, count - test])
    return dict(zip(("train", "val", "test"), parts, strict=True))


def divide(X: AnyArray, y: AnyArray, parts: dict[str, Labels]) -> DataSet:
    """Return a data set whose splits have these rows."""
    data = {}
    for split, rows in parts.items():
        data[f"X_{split}"], data[f"y_{split}"] = X[rows], y[rows]
    return data


def checksum(X: AnyArray, y: AnyArray) -> int:
    """Return a number that tells tables apart, as they come out."""
    return zlib.crc32(y.astype(np.float64).tobytes(), zlib.crc32(X.tobytes()))


def find_splits(table: EncodedTable, preprocessing: dict[str, Any]) -> dict[str, Labels] | None:
    """Return the rows of each split in training, None if the model was trained on another table.

    Parameters
    ----------
    table : EncodedTable
        With targets.
    preprocessing : dict
        By which it was encoded.

    Returns
    -------
    dict of ndarray, or None

    Examples
    --------
    >>> table = EncodedTable(np.eye(4), np.array([0, 1, 0, 1]), None, np.arange(4), [])
    >>> preprocessing = {
    ...     "split": {"seed": 0, "val": 1, "test": 1}, "crc32": checksum(table.X, table.y)}
    >>> find_splits(table, preprocessing)["train"]
    array([2, 3])
    """
    split = preprocessing.get("split")
    same = table.y is not None and checksum(table.X, table.y) == preprocessing.get("crc32")
    return split_rows(len(table.X), split) if same and split is not None else None


def encode_table(
    source: Any,
    preprocessing: dict[str, Any],
    *,
    id_column: str | None = None,
    needs_target: bool = False,
    library: str | None = None,
) -> EncodedTable:
    r"""Make of a table what a network was trained on, by the network's ``preprocessing``.

    Columns are found by their names, whatever their order; those that the network was not trained
    on are left alone.  A gap becomes what it was in training, the median or no category, and so
    does a category that the training rows did not have.

    Parameters
    ----------
    source, library
        As for `load_table`.
    preprocessing : dict
        Of the kind ``'table'``.
    id_column : str, optional
        The column that names the rows; by default that of the training, if the table has it.
    needs_target : bool
        Whether the target's column must be there.  Rows that have no target are left out.

    Returns
    -------
    EncodedTable

    Raises
    ------
    OSError, ImportError
        As `load_table`.
    ValueError
        The file is damaged or empty, a column is missing or there twice, or a cell is of another
        kind than in training.

    Examples
    --------
    >>> fitted = {"name": "weight", "kind": "number", "median": 4.0, "mean": 5.0, "std": 2.0}
    >>> target = {"name": "kind", "kind": "labels", "values": ["cat", "dog"]}
    >>> preprocessing = {"kind": "table", "columns": [fitted], "target": target}
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/pets.csv", "w") as file:
    ...         _ = file.write("fur,weight\nlong,7\nshort,\n")
    ...     encode_table(f"{folder}/pets.csv", preprocessing).X
    array([[ 1. ],
           [-0.5]])
    """
    with _named(source):
        table = reading.read(source, library)
        return _encode(table, preprocessing, id_column, needs_target)


def _encode(
    table: dict[str, Column],
    preprocessing: dict[str, Any],
    id_column: str | None,
    needs_target: bool,
) -> EncodedTable:
    target = preprocessing["target"]
    names = [column["name"] for column in preprocessing["columns"]]
    if id_column is not None:
        check_names(table, [id_column], "id_column")
    if needs_target:
        names.append(target["name"])
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(
            f"no column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}, expected those "
            f"that the model was trained on{did_you_mean(missing[0], table)}"
        )
    id_column = id_column or preprocessing.get("id")
    notes: list[str] = []
    rows = np.arange(len(next(iter(table.values())).listed()))
    if needs_target:
        there = ~targets.find_gaps(table[target["name"]])
        rows = rows[there]
        table, notes = _keep_rows(table, there, target["name"])
        if not len(rows):
            raise ValueError(f"no row has a target {target['name']!r}")
    y = targets.encode(table[target["name"]], target) if needs_target else None
    for fitted in preprocessing["columns"]:
        unseen = columns.count_unseen(table[fitted["name"]], fitted)
        if unseen:
            notes.append(
                f"column {fitted['name']!r} has {unseen} cell{'s' * (unseen > 1)} of categories "
                "that the model was not trained on: taken for none"
            )
    ids = table[id_column].listed() if id_column is not None and id_column in table else None
    X = _encode_columns(table, preprocessing["columns"])
    return EncodedTable(X, y, ids, rows, notes)


def check_names(table: dict[str, Column], names: Iterable[str], argument: str) -> None:
    """Raise ValueError unless the table has all these columns."""
    for name in names:
        if name not in table:
            known = ", ".join(map(repr, list(table)[:20])) + ", ..." * (len(table) > 20)
            raise ValueError(
                f"{argument}: no column {name!r}, expected one of {known}"
                f"{did_you_mean(name, table)}"
            )


def _keep_rows(
    table: dict[str, Column], there: AnyArray, target: str
) -> tuple[dict[str, Column], list[str]]:
    """Return the table's rows that have a target, and a note of the others."""
    if there.all():
        return table, []
    rows = np.flatnonzero(there)
    kept = {}
    for name, column in table.items():
        values = column.values[rows] if len(column.values) else column.values
        kept[name] = column._replace(values=values, listed=_Chosen(column, rows))
    gone = len(there) - len(rows)
    note = f"{gone} row{'s have' if gone > 1 else ' has'} no target {target!r}: left out"
    return kept, [note]


class _Chosen:
    """Lists some cells of a column."""

    def __init__(self, column: Column, rows: Labels) -> None:
        self._column, self._rows = column, rows

    def __call__(self) -> list[Any]:
        cells = self._column.listed()
        return [cells[row] for row in self._rows]


def _encode_columns(table: dict[str, Column], fitted: list[dict[str, Any]]) -> AnyArray:
    """Return the inputs that columns become, side by side."""
    return np.hstack([columns.encode(table[column["name"]], column) for column in fitted])
