"""A column of a table: what its cells are, and the inputs of a network that they become.

All that is learnt of a column, its median, mean, standard deviation and categories, is learnt of
the training rows alone.  What kind of cells it has is asked of all rows: that is how a file is
written, and says nothing of the rows to come.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...arguments import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..._types import AnyArray, Labels

MOST_CATEGORIES = 200
GAPS = {
    *("", "#N/A", "<NA>", "?", "N/A", "NA", "NULL", "NaN", "None", "n/a", "na", "nan", "none"),
    "null",
}
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?|"
    r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
)
_BOOLEANS = {"true": 1.0, "false": 0.0}


class Column(NamedTuple):
    """A column as it was read.

    Attributes
    ----------
    name : str
    kind : {'cells', 'texts', 'numbers', 'booleans', 'dates', 'other'}
        ``'cells'`` are texts that may be anything, as those of a CSV file.
    values : ndarray
        Of numbers and booleans float64, NaN where there is none; of cells and texts objects, None
        where there is none; of others empty.
    listed : callable
        Returns the cells as Python has them.
    """

    name: str
    kind: str
    values: AnyArray
    listed: Callable[[], list[Any]]


def texts(values: Iterable[str | None]) -> AnyArray:
    """Return texts without the blanks around them, None where there is a gap.

    Examples
    --------
    >>> texts([" red", "NA", None])
    array(['red', None, None], dtype=object)
    """
    found = [None if value is None or (v := value.strip()) in GAPS else v for value in values]
    array = np.empty(len(found), object)
    array[:] = found
    return array


def interpret(column: Column) -> Column:
    """Return a column whose cells are numbers, booleans, dates or texts.

    Cells are booleans, numbers or dates if all are, but for the gaps.

    Raises
    ------
    ValueError
        Most are numbers, and some are not.
    """
    if column.kind != "cells":
        return column
    there = [cell for cell in column.values if cell is not None]
    if there and all(cell.lower() in _BOOLEANS for cell in there):
        found = [np.nan if cell is None else _BOOLEANS[cell.lower()] for cell in column.values]
        return column._replace(kind="booleans", values=np.array(found))
    if there and all(map(_DATE.fullmatch, there)):
        return column._replace(kind="dates", values=np.empty(0))
    values = _parse(column.values)
    if values is not None:
        return column._replace(kind="numbers", values=values)
    if 2 * sum(_is_number(cell) for cell in there) > len(there):
        wrong = _first_text(column.values)
        raise ValueError(
            f"column {column.name!r} has numbers, and {shown(column.values[wrong])} in row "
            f"{wrong + 1}: mend it, or make it {_option('category_columns', column.name)}"
        )
    return column._replace(kind="texts")


def _option(name: str, column: str) -> str:
    """Return how an argument is said, of the command line too."""
    return f"one of {name} (--{name.replace('_', '-')} {column})"


def _parse(cells: AnyArray) -> AnyArray | None:
    """Return cells as numbers, NaN where there is a gap; None if they are not all numbers."""
    try:
        values = np.array([np.nan if cell is None else float(cell) for cell in cells], np.float64)
    except ValueError:
        return None
    return None if any(cell is not None and "_" in cell for cell in cells) else values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # 1_000 is Python's own


def _first_text(cells: AnyArray) -> int:
    """Return the row of the first cell that is no number; there is one."""
    return next(i for i, cell in enumerate(cells) if cell is not None and not _is_number(cell))


def to_numbers(column: Column) -> AnyArray:
    """Return a column's numbers, booleans as 0 and 1, NaN where there is none.

    Raises
    ------
    ValueError
        It has something else, or an infinity.

    Examples
    --------
    >>> to_numbers(Column("x", "cells", np.array(["1.5", None], object), list))
    array([1.5, nan])
    """
    if column.kind == "cells" and all(
        cell is None or cell.lower() in _BOOLEANS for cell in column.values
    ):
        column = interpret(column)
    if column.kind in ("cells", "texts"):
        values = _parse(column.values)
        if values is None:
            wrong = _first_text(column.values)
            raise ValueError(
                f"column {column.name!r} has {shown(column.values[wrong])} in row {wrong + 1}, "
                "expected numbers or gaps"
            )
        column = column._replace(kind="numbers", values=values)
    if column.kind not in ("numbers", "booleans"):
        raise ValueError(f"column {column.name!r} has {column.kind}, expected numbers or gaps")
    infinite = np.isinf(column.values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise ValueError(
            f"column {column.name!r} has {column.values[row]} in row {row + 1}, expected finite "
            "numbers or gaps"
        )
    return column.values


def to_texts(column: Column) -> AnyArray:
    """Return a column's texts, those of numbers and booleans too, None where there is none.

    Raises
    ------
    ValueError
        It has dates, or lists, or what else cannot be a category.

    Examples
    --------
    >>> to_texts(Column("x", "numbers", np.array([1.0, np.nan, 0.5]), list))
    array(['1', None, '0.5'], dtype=object)
    """
    if column.kind in ("cells", "texts"):
        return column.values
    if column.kind not in ("numbers", "booleans"):
        raise ValueError(f"column {column.name!r} has {column.kind}, expected texts")
    whole = column.kind == "booleans"
    found = [
        None if np.isnan(x) else str(bool(x)) if whole else str(int(x) if x.is_integer() else x)
        for x in column.values.tolist()
    ]
    array = np.empty(len(found), object)
    array[:] = found
    return array


def fit(column: Column, train: Labels, as_category: bool = False) -> dict[str, Any] | str:
    """Return what `encode` makes inputs of a column by, or why it tells nothing.

    Parameters
    ----------
    column : Column
        Interpreted, unless it is a category whatever its cells are.
    train : array of int
        The training rows, of which it is learnt.
    as_category : bool
        Whether it is one.

    Returns
    -------
    dict or str
        A column of `fastfc.preprocessing`; or words that follow the column's name.

    Raises
    ------
    ValueError
        It can be no input: dates, too many categories.
    """
    if column.kind in ("dates", "other"):
        what = "dates or times" if column.kind == "dates" else "neither numbers nor texts"
        raise ValueError(
            f"column {column.name!r} has {what}: make numbers of them, or make it "
            f"{_option('ignore_columns', column.name)}"
        )
    if as_category or column.kind == "texts":
        return _fit_category(column.name, to_texts(column)[train], as_category)
    return _fit_numbers(column, to_numbers(column)[train])


def _fit_numbers(column: Column, values: AnyArray) -> dict[str, Any] | str:
    there = values[~np.isnan(values)]
    if len(there) == 0:
        return "is empty in the training rows"
    median = float(np.median(there))
    values = np.where(np.isnan(values), median, values)
    with np.errstate(all="ignore"):
        mean, std = float(values.mean()), float(values.std())
    if not np.isfinite([median, mean, std]).all():
        raise ValueError(
            f"column {column.name!r} has numbers up to {np.abs(there).max():g}, whose mean or "
            "standard deviation overflows: scale it"
        )
    if std == 0 or values.min() == values.max():
        return "is the same in all training rows"
    kind = column.kind.removesuffix("s")
    return {"name": column.name, "kind": kind, "median": median, "mean": mean, "std": std}


def _fit_category(name: str, cells: AnyArray, asked_for: bool) -> dict[str, Any] | str:
    values = sorted({cell for cell in cells if cell is not None})
    if not values:
        return "is empty in the training rows"
    names = len(values) > 20 and 2 * len(values) > len(cells) and not asked_for
    if len(values) > MOST_CATEGORIES or names:
        raise ValueError(
            f"column {name!r} has {len(values)} different texts in {len(cells)} training rows, too "
            f"many for categories: make it {_option('ignore_columns', name)}, or if it names the "
            f"rows the id_column (--id-column {name})"
        )
    if len(values) == 1 and all(cell is not None for cell in cells):
        return "is the same in all training rows"
    return {"name": name, "kind": "category", "values": values}


def encode(column: Column, fitted: dict[str, Any]) -> AnyArray:
    """Return the inputs that a column becomes, (N, 1), or (N, C) of C categories.

    A gap among numbers is their median; a gap among categories, or one that the training rows did
    not have, is 0 for each of them.

    Examples
    --------
    >>> cells = np.array(["red", "green", None], object)
    >>> colour = {"name": "colour", "kind": "category", "values": ["blue", "red"]}
    >>> encode(Column("colour", "cells", cells, list), colour)
    array([[0., 1.],
           [0., 0.],
           [0., 0.]])
    """
    if fitted["kind"] == "category":
        places = {value: j for j, value in enumerate(fitted["values"])}
        cells = to_texts(column)
        chosen = np.zeros((len(cells), len(places)))
        for i, cell in enumerate(cells):
            if cell in places:
                chosen[i, places[cell]] = 1
        return chosen
    values = to_numbers(column)
    values = np.where(np.isnan(values), fitted["median"], values)
    inputs: AnyArray = (values - fitted["mean"]) / fitted["std"]
    return inputs[:, np.newaxis]


def count_unseen(column: Column, fitted: dict[str, Any]) -> int:
    """Return how many cells are a category that the training rows did not have.

    Examples
    --------
    >>> cells = np.array(["red", "green", None], object)
    >>> colour = {"kind": "category", "values": ["red"]}
    >>> count_unseen(Column("colour", "cells", cells, list), colour)
    1
    """
    if fitted["kind"] != "category":
        return 0
    known = set(fitted["values"])
    return sum(cell is not None and cell not in known for cell in to_texts(column))
