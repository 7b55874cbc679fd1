"""What was made of raw data before a network saw them, as the network's file keeps it.

``FullyConnectedNet.preprocessing`` is None or a dictionary that JSON can hold.  The network's own
methods never apply it: ``fastfc evaluate`` and ``fastfc predict`` do.

``{"kind": "normalize", "mean": ..., "std": ...}``
    (X - mean) / std, each a number or a list of one for each of the D inputs.
``{"kind": "table", "columns": [...], "target": {...}, ...}``
    What each column of a table becomes, and what the scores stand for: `fastfc.data.tables`
    fits it.

A column is a dictionary with a ``name`` and a ``kind``: a ``number`` or a ``boolean``, 0 and 1,
becomes (x - mean) / std, and ``median`` where there is none; a ``category`` becomes an input for
each of its ``values``, 1 where it is this one.  The target has a ``name`` and a ``kind`` too:
``labels``, whose ``values`` are the classes in their order, or ``numbers``, which are score * std +
mean.  There may be the column ``id`` that names the rows; ``split``, the ``seed`` and the numbers
of rows for ``val`` and ``test``; ``crc32``, by which the table itself is known; and ``ignored``
columns.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .arguments import check_number, check_word, count, shown

if TYPE_CHECKING:
    from typing import Any

KINDS = ("normalize", "table")
COLUMN_KINDS = ("number", "boolean", "category")
TARGET_KINDS = ("labels", "numbers")


def check_preprocessing(value: Any, inputs: int, outputs: int) -> dict[str, Any] | None:
    """Return it if it is what a network of so many inputs and outputs can have.

    Parameters
    ----------
    value : object
    inputs : int
        Numbers of an example.
    outputs : int
        Scores of an example.

    Returns
    -------
    dict or None

    Raises
    ------
    ValueError
        It is something else, and where.

    Examples
    --------
    >>> check_preprocessing({"kind": "normalize", "mean": 8, "std": 0}, 64, 10)
    Traceback (most recent call last):
    ValueError: preprocessing['std'] is 0, expected a finite number above 0
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"preprocessing is {shown(value)}, expected an object or nothing")
    if check_word("preprocessing['kind']", value.get("kind"), KINDS) == "normalize":
        _check_scale("preprocessing", value, inputs)
    else:
        _check_columns(value.get("columns"), inputs)
        _check_target("preprocessing['target']", value.get("target"), outputs)
        _check_rows(value)
    return value


def width_of(column: dict[str, Any]) -> int:
    """Return how many inputs a column of a table becomes.

    Examples
    --------
    >>> width_of({"name": "colour", "kind": "category", "values": ["blue", "red"]})
    2
    """
    return len(column["values"]) if column["kind"] == "category" else 1


def _check_scale(name: str, found: dict[str, Any], inputs: int | None = None) -> None:
    """Raise ValueError unless it has a mean and a std: numbers, or lists of one an input."""
    for key in ("mean", "std"):
        value: Any = found.get(key)
        many = isinstance(value, list) and inputs is not None
        if many and len(value) != inputs:
            raise ValueError(
                f"{name}[{key!r}] has {len(value)} numbers, expected {inputs}, the network's inputs"
            )
        for number in value if many else [value]:
            if key == "mean":
                check_number(f"{name}['mean']", number)
            else:
                expected = "a finite number above 0"
                check_number(f"{name}['std']", number, expected, lambda x: 0 < x < math.inf)


def _check_columns(columns: Any, inputs: int) -> None:
    """Raise ValueError unless these are columns of a table that become so many inputs."""
    if not isinstance(columns, list):
        raise ValueError(f"preprocessing['columns'] is {shown(columns)}, expected a list")
    names = set()
    for i, column in enumerate(columns):
        where = f"preprocessing['columns'][{i}]"
        if _check_name(where, column) in names:
            raise ValueError(f"{where} is {shown(column['name'])} again, expected another name")
        names.add(column["name"])
        if check_word(f"{where}['kind']", column.get("kind"), COLUMN_KINDS) == "category":
            _check_values(where, column, (str,))
        else:
            _check_scale(where, column)
            check_number(f"{where}['median']", column.get("median"))
    width = sum(map(width_of, columns))
    if width != inputs:
        raise ValueError(
            f"preprocessing['columns'] become {width} inputs, expected {inputs}, the network's"
        )


def _check_target(where: str, target: Any, outputs: int) -> None:
    """Raise ValueError unless this is a target that so many scores stand for."""
    _check_name(where, target)
    if check_word(f"{where}['kind']", target.get("kind"), TARGET_KINDS) == "numbers":
        _check_scale(where, target)
        expected = 1
    else:
        classes = len(_check_values(where, target, (str, int, bool)))
        expected = 1 if classes == 2 and outputs == 1 else classes  # one score tells two apart
    if outputs != expected:
        raise ValueError(f"{where} is of {expected} scores, the network has {outputs}")


def _check_rows(found: dict[str, Any]) -> None:
    """Raise ValueError unless what is said of the rows is as training says it."""
    if not isinstance(found.get("id"), (str, type(None))):
        raise ValueError(f"preprocessing['id'] is {shown(found['id'])}, expected a column's name")
    split = found.get("split")
    if split is None:
        return
    if not isinstance(split, dict):
        raise ValueError(f"preprocessing['split'] is {shown(split)}, expected an object")
    for key, least in {"seed": 0, "val": 1, "test": 1}.items():
        if count(f"preprocessing['split'][{key!r}]", split.get(key), least) >= 2**32:
            raise ValueError(f"preprocessing['split'][{key!r}] is above {2**32 - 1}")


def _check_name(where: str, found: Any) -> str:
    """Return its name, a text."""
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise ValueError(f"{where} is {shown(found)}, expected an object with a name")
    name: str = found["name"]
    return name


def _check_values(where: str, found: dict[str, Any], kinds: tuple[type, ...]) -> list[Any]:
    """Return its values, of these types and each once."""
    values = found.get("values")
    if not isinstance(values, list) or not all(type(value) in kinds for value in values):
        raise ValueError(f"{where}['values'] is {shown(values)}, expected a list of values")
    if not values or len({str(value) for value in values}) != len(values):
        raise ValueError(f"{where}['values'] is {shown(values)}, expected each value once")
    return values
