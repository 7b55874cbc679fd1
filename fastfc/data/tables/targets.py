"""What a table's network is to predict: classes by their names, or numbers in their own units."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from ...arguments import shown
from .columns import Column, interpret, to_numbers, to_texts

if TYPE_CHECKING:
    from typing import Any

    from ..._types import AnyArray, Labels

MOST_CLASSES = 1000
LABELLED = ("softmax", "logistic")
ADVICE = "for a number to predict choose --loss squared_error"


def find_gaps(column: Column) -> AnyArray:
    """Return where a target is missing.

    Raises
    ------
    ValueError
        It has dates, or what else no network predicts.
    """
    if column.kind in ("dates", "other"):
        raise ValueError(f"target {column.name!r} has {column.kind}, expected numbers or texts")
    if column.kind in ("numbers", "booleans"):
        return np.isnan(column.values)
    return np.array([cell is None for cell in column.values], bool)


def fit(column: Column, train: Labels, loss: str) -> dict[str, Any]:
    """Return what `encode` makes targets by, and `decode` predictions.

    Classes are those of all rows: one that the training rows lack has a name all the same.  Numbers
    are standardised by the training rows but for the losses whose targets are counts: weights begin
    near 0 and learning rates are made for targets of some 1, so that a price of 300,000 would take
    thousands of steps to reach.

    Parameters
    ----------
    column : Column
        Without gaps.
    train : array of int
        The training rows.
    loss : str
        The network's.

    Returns
    -------
    dict
        A target of `fastfc.preprocessing`.

    Raises
    ------
    ValueError
        A network with such a loss cannot predict it.
    """
    if loss in LABELLED:
        return {"name": column.name, "kind": "labels", "values": _classes(column, loss)}
    try:
        values = to_numbers(column)
    except ValueError as error:
        raise ValueError(f"{error} for --loss {loss}: for classes choose --loss softmax") from error
    mean, std = 0.0, 1.0
    if loss == "poisson":
        if values.min() < 0:
            row = int(np.argmin(values))
            raise ValueError(
                f"target {column.name!r} has {values[row]:g} in row {row + 1}, expected counts of "
                "at least 0 for --loss poisson"
            )
    else:
        with np.errstate(all="ignore"):
            mean, std = float(values[train].mean()), float(values[train].std())
        if not 0 < std < np.inf:
            raise ValueError(
                f"target {column.name!r} has a standard deviation of {std:g} in the training rows, "
                "expected numbers that differ"
            )
    return {"name": column.name, "kind": "numbers", "mean": mean, "std": std}


def _classes(column: Column, loss: str) -> list[Any]:
    """Return the classes in their order: of numbers by size, of texts by letters."""
    with contextlib.suppress(ValueError):  # of numbers and texts: then they are names
        column = interpret(column)
    if column.kind == "dates":
        raise ValueError(f"target {column.name!r} has dates, expected classes")
    if column.kind == "numbers":
        values = to_numbers(column)
        broken = values != np.floor(values)
        if broken.any():
            row = int(np.argmax(broken))
            raise ValueError(
                f"target {column.name!r} has {values[row]:g} in row {row + 1}, expected whole "
                f"numbers or texts for classes: {ADVICE}"
            )
        found: list[Any] = [int(value) for value in np.unique(values)]
    elif column.kind == "booleans":
        found = [bool(value) for value in np.unique(column.values)]
    else:
        found = sorted(set(column.values))
    rows = len(column.values)
    if len(found) > MOST_CLASSES or (len(found) > 20 and 2 * len(found) > rows):
        raise ValueError(
            f"target {column.name!r} has {len(found)} different values in {rows} rows, too many "
            f"for classes: {ADVICE}"
        )
    if len(found) < 2:
        raise ValueError(
            f"target {column.name!r} has {shown(found[0])} in all rows, expected two classes or "
            "more"
        )
    if loss == "logistic" and len(found) != 2:
        raise ValueError(
            f"target {column.name!r} has {len(found)} classes, expected 2 for --loss logistic: "
            "choose --loss softmax"
        )
    return found


def encode(column: Column, fitted: dict[str, Any]) -> AnyArray:
    """Return the targets that a network is trained on: labels from 0, or standardised numbers.

    Raises
    ------
    ValueError
        A label is none of the classes.

    Examples
    --------
    >>> cells = np.array(["dog", "cat"], object)
    >>> encode(Column("kind", "cells", cells, list), {"kind": "labels", "values": ["cat", "dog"]})
    array([1, 0])
    """
    if fitted["kind"] == "numbers":
        numbers: AnyArray = (to_numbers(column) - fitted["mean"]) / fitted["std"]
        return numbers
    values = fitted["values"]
    if all(type(value) is str for value in values):
        cells: list[Any] = to_texts(column).tolist()
    else:
        cells = to_numbers(column).tolist()
    places = {value: j for j, value in enumerate(values)}
    for row, cell in enumerate(cells):
        if cell not in places:
            raise ValueError(
                f"target {column.name!r} has {shown(cell)} in row {row + 1}, expected one of the "
                f"{len(values)} classes of the model: {', '.join(map(str, values[:10]))}"
            )
    return np.array([places[cell] for cell in cells], np.int64)


def decode(predictions: AnyArray, fitted: dict[str, Any]) -> AnyArray:
    """Return what a network predicts, (N,), as classes by their names or in the target's units.

    Examples
    --------
    >>> decode(np.array([0.5]), {"kind": "numbers", "mean": 300.0, "std": 100.0})
    array([350.])
    """
    if fitted["kind"] == "numbers":
        numbers: AnyArray = np.asarray(predictions, np.float64) * fitted["std"] + fitted["mean"]
        return numbers
    names = np.empty(len(fitted["values"]), object)
    names[:] = fitted["values"]
    return names[np.asarray(predictions, np.intp)]
