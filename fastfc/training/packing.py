"""Nested state as JSON and plain arrays, both exact, without pickle.

What JSON has no word for is an object with one key:

    {"$array": entry}                an array, an entry of its own
    {"$floats": entry}               a list of floats, as an array
    {"$scalars": entry}              a list of NumPy scalars of one dtype, as an array
    {"$scalar": [dtype, hex bytes]}  a NumPy scalar
    {"$tuple": [...]}                a tuple
    {"$dict": [[key, value], ...]}   a dict whose keys are not all strings, or look like these
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..archives import check_text

if TYPE_CHECKING:
    from typing import Any

    from .._types import AnyArray


def pack(value: Any, arrays: dict[str, Any], where: str = "") -> Any:
    """Return what json can write of a value, and put its arrays into a dict.

    An array that is met twice becomes one entry, and `unpack` makes it one array again.

    Parameters
    ----------
    value : object
        None, numbers, strings, arrays, NumPy scalars; lists, tuples and dicts of them.
    arrays : dict of ndarray
        Receives the arrays, under names made from their places.
    where : str
        The value's place, for names and errors.

    Raises
    ------
    TypeError
        Something is of another type.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and _is_plain(value.dtype):
        return {"$scalar": [value.dtype.str, value.tobytes().hex()]}
    if type(value) in (np.ndarray, np.memmap) and _is_plain(value.dtype):
        return {"$array": _entry(value, arrays, where)}
    if type(value) is list:
        kinds = set(map(type, value))
        if kinds == {float}:
            return {"$floats": _entry(np.array(value), arrays, where)}
        if len(kinds) == 1 and issubclass(next(iter(kinds)), np.number):
            return {"$scalars": _entry(np.array(value), arrays, where)}
        return [pack(item, arrays, f"{where}/{i}") for i, item in enumerate(value)]
    if type(value) is tuple:
        return {"$tuple": [pack(item, arrays, f"{where}/{i}") for i, item in enumerate(value)]}
    if isinstance(value, Mapping):
        items = {key: pack(item, arrays, f"{where}/{key}") for key, item in value.items()}
        if all(type(key) is str and not key.startswith("$") for key in items):
            return items
        return {"$dict": [[pack(key, arrays, where), item] for key, item in items.items()]}
    raise TypeError(
        f"{where or 'the state'} is a {type(value).__name__}, which a checkpoint cannot hold: "
        "expected numbers, strings, arrays, or lists and dicts of them"
    )


def unpack(packed: Any, arrays: dict[str, Any]) -> Any:
    """Return the value that `pack` was given.

    Lists take their arrays out of ``arrays``: no text makes many of one.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is nothing that `pack` makes.
    """
    if isinstance(packed, list):
        return [unpack(item, arrays) for item in packed]
    if not isinstance(packed, dict):
        return packed
    tag = next(iter(packed), "")
    if not tag.startswith("$"):
        return {key: unpack(item, arrays) for key, item in packed.items()}
    content = packed[tag]
    if tag == "$array":
        return arrays[content]
    if tag == "$floats":
        return _check_row(arrays.pop(content), np.float64).tolist()
    if tag == "$scalars":
        return list(_check_row(arrays.pop(content), np.number))
    if tag == "$scalar":
        scalar = np.frombuffer(bytes.fromhex(content[1]), content[0])
        check_text("a scalar", scalar)
        return scalar[0]
    if tag == "$tuple":
        return tuple(unpack(item, arrays) for item in content)
    if tag == "$dict":
        return {unpack(key, arrays): unpack(item, arrays) for key, item in content}
    raise ValueError(f"{tag} is unknown")


def _check_row(array: AnyArray, kind: type) -> AnyArray:
    """Return an array if it can be a list of numbers of this kind."""
    if array.ndim != 1 or not issubclass(array.dtype.type, kind):
        raise ValueError(f"a list has shape {array.shape} and dtype {array.dtype}")
    return array


def same(a: object, b: object) -> bool:
    """Return whether two values have the same types and bits; False for what cannot be packed."""
    arrays_a: dict[str, AnyArray] = {}
    arrays_b: dict[str, AnyArray] = {}
    try:
        if repr(pack(a, arrays_a)) != repr(pack(b, arrays_b)):
            return False
    except TypeError:
        return False
    return all(
        (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
        for x, y in zip(arrays_a.values(), arrays_b.values(), strict=True)
    )


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Return whether elements are bytes, some, and no pointers."""
    return dtype.itemsize > 0 and not dtype.hasobject


def _entry(array: Any, arrays: dict[str, Any], where: str) -> str:
    """Return the name under which the array is, or now is, in ``arrays``."""
    for name, other in arrays.items():
        if other is array:
            return name
    plain = name = re.sub(r"[^\w/-]", "_", where).strip("/")[:200] or "array"
    copies = 0
    while name in arrays:
        copies += 1
        name = f"{plain}_{copies}"
    arrays[name] = array
    return name
