"""Arrays and tables of other libraries as NumPy's: without a copy where their memory allows it.

None of these libraries is imported: what a value offers says what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._types import AnyArray

PART_ROWS = 4096  # of a table that are copied at once: some columns of so many stay in a cache
_CPU = 1  # of DLPack's devices

# What NumPy reads by itself, and what holds no array.
_PLAIN = (np.ndarray, np.generic, list, tuple, int, float, complex, str, bytes, dict, type(None))


def adopt(name: str, value: Any) -> Any:
    """Return an array, or a table, of another library as one of NumPy's; anything else as it is.

    Whatever lies in memory is adopted: tensors and arrays by DLPack, ``__array_interface__``,
    ``__array__`` or the buffer protocol, read-only ones too, and Series and frames of pandas of one
    dtype, share it.  Other frames, of pandas, polars or Arrow, are copied once, by rows.  Arrays in
    files, lists and numbers are left alone.

    Parameters
    ----------
    name : str
        The argument's.
    value : object

    Returns
    -------
    object
        An ndarray where it is adopted.

    Raises
    ------
    TypeError
        It is one that NumPy cannot read: it needs a gradient, has a dtype of its own, is on another
        device, or a column holds no numbers.
    ValueError
        A column, or a Series, has missing values.

    Examples
    --------
    >>> adopt("x", memoryview(b"abc")), adopt("x", [1, 2])
    (array([97, 98, 99], dtype=uint8), [1, 2])
    """
    if isinstance(value, _PLAIN):
        return value
    kind = type(value)
    for method in ("collect", "compute"):
        if hasattr(kind, "columns") and hasattr(kind, method):
            raise TypeError(
                f"{name} is a {kind.__name__}, which is not computed yet: pass its .{method}()"
            )
    if _is_table(kind):
        return _read_table(name, value)
    if _is_column(kind):
        return _read_column(name, value)
    if _shares_memory(value):
        return _read_array(name, value)
    if hasattr(kind, "__array__"):
        by_number = hasattr(kind, "__getitem__") and hasattr(value, "shape")  # as those in files
        return value if by_number else _read_array(name, value)
    if hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__"):
        raise TypeError(
            f"{name} is a {kind.__name__}, expected an array or a table: pass pyarrow.table({name})"
        )
    return value


def read(name: str, value: Any) -> AnyArray:
    """Return what NumPy makes of a value.

    Raises
    ------
    TypeError
        It is of another library, which has it where NumPy cannot read it.
    ValueError
        It is a list whose parts differ in length.

    Examples
    --------
    >>> read("x", [1, 2])
    array([1, 2])
    """
    if isinstance(value, _PLAIN):
        try:
            return np.asarray(value)
        except ValueError as error:  # ragged nesting
            raise ValueError(f"{name} is not an array of numbers: {error}") from None
    return _read_array(name, value)


# --- arrays -----------------------------------------------------------------------------------


def _shares_memory(value: Any) -> bool:
    """Return whether a value offers its memory, by whichever protocol."""
    if hasattr(type(value), "__dlpack__"):
        return True
    if hasattr(value, "__array_interface__") or hasattr(value, "__array_struct__"):
        return True
    try:
        memoryview(value).release()
    except (TypeError, ValueError, BufferError):
        return False
    return True


def _read_array(name: str, value: Any) -> AnyArray:
    """Return an array of another library as NumPy's."""
    try:
        by_dlpack = hasattr(type(value), "__dlpack__") and not hasattr(type(value), "__array__")
        array: AnyArray = np.from_dlpack(value) if by_dlpack else np.asarray(value)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise TypeError(
            f"{name} is a {type(value).__name__} and no array: {_remedy(value) or _first(error)}"
        ) from error
    if array.dtype.isbuiltin == 2:  # somebody else's dtype, as bfloat16
        raise TypeError(
            f"{name} is a {type(value).__name__} of {array.dtype}, expected a dtype of NumPy's: "
            'pass its .astype("float32")'
        )
    return array


def _remedy(value: Any) -> str:
    """Return what is in the way of an array that NumPy cannot read, and what to call, or ''."""
    if getattr(value, "requires_grad", False) is True:
        return "it requires a gradient, which nobody would compute: pass its .detach()"
    if _is_elsewhere(value):
        method = next((m for m in ("cpu", "get") if hasattr(value, m)), None)
        return "it is on another device" + f": pass its .{method}()" * (method is not None)
    dtype = str(getattr(value, "dtype", ""))
    if "float8" in dtype or "bfloat16" in dtype:
        method = "float()" if hasattr(value, "float") else 'astype("float32")'
        return f"NumPy has no {dtype}: pass its .{method}"
    return ""


def _is_elsewhere(value: Any) -> bool:
    """Return whether a value says that it is on another device than the processor."""
    try:
        return bool(value.__dlpack_device__()[0] != _CPU)
    except Exception:  # it does not say
        return False


def _first(error: Exception) -> str:
    """Return the first line of an error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


# --- tables -----------------------------------------------------------------------------------


def _is_table(kind: type) -> bool:
    """Return whether a type is a frame of pandas' or polars', or a table or batch of Arrow's."""
    return all(hasattr(kind, name) for name in ("columns", "iloc", "dtypes")) or (
        hasattr(kind, "slice")
        and (hasattr(kind, "get_columns") or hasattr(kind, "column_names"))
        and hasattr(kind, "__array__")
    )


def _is_column(kind: type) -> bool:
    """Return whether a type is a Series, or an array of Arrow's."""
    return hasattr(kind, "to_numpy") and (
        (hasattr(kind, "iloc") and hasattr(kind, "isna")) or hasattr(kind, "null_count")
    )


def _columns(table: Any) -> list[tuple[Any, Any]]:
    """Return the names of a table's columns, and the columns."""
    if hasattr(table, "iloc"):
        return [(name, table.iloc[:, i]) for i, name in enumerate(table.columns)]
    if hasattr(table, "get_columns"):
        return [(column.name, column) for column in table.get_columns()]
    return list(zip(table.column_names, table.columns, strict=True))


def _part(table: Any, start: int, count: int) -> Any:
    """Return rows of a table, which share its memory."""
    if hasattr(table, "iloc"):
        return table.iloc[start : start + count]
    return table.slice(start, count)


def _read_table(name: str, table: Any) -> AnyArray:
    """Return a table as an array (N, D): a view where it is one already, else a copy by rows."""
    dtypes = []
    for column_name, column in _columns(table):
        where = f"{name}: column {column_name!r}"
        _check_gaps(where, column)
        dtypes.append(found := _read_values(where, _head(column)).dtype)
        if found.kind not in "fiub":
            dtype = getattr(column, "dtype", None) or getattr(column, "type", found)
            raise TypeError(f"{where} has dtype {dtype}, expected real numbers")
    if not dtypes:
        raise ValueError(f"{name} is a {type(table).__name__} without columns")
    if len(set(dtypes)) == 1 and hasattr(table, "iloc"):
        try:
            shared = np.asarray(table, copy=False)
        except (TypeError, ValueError):  # several blocks
            pass
        else:
            if shared.dtype == dtypes[0]:
                return shared
    return _stack(name, table, np.result_type(*dtypes), len(dtypes))


def _stack(name: str, table: Any, dtype: np.dtype[Any], width: int) -> AnyArray:
    """Return a copy of a table, by rows; nothing else of its size is made on the way."""
    out = np.empty((len(table), width), dtype)
    for start in range(0, len(table), PART_ROWS):
        part = _part(table, start, PART_ROWS)
        for j, (_, column) in enumerate(_columns(part)):
            out[start : start + PART_ROWS, j] = _read_values(name, column)
    return out


def _read_column(name: str, column: Any) -> AnyArray:
    """Return a Series, or an array of Arrow's, as NumPy's."""
    if hasattr(getattr(column, "type", None), "shape") and hasattr(column, "combine_chunks"):
        raise TypeError(
            f"{name} is a {type(column).__name__} of tensors, expected an array: pass its "
            ".combine_chunks().to_numpy_ndarray()"
        )
    _check_gaps(name, column)
    if hasattr(column, "to_numpy_ndarray"):  # Arrow's arrays of tensors
        array: AnyArray = column.to_numpy_ndarray()
        return array
    return _read_values(name, column)


def _head(column: Any) -> Any:
    """Return a column of the same type without rows."""
    return column.iloc[:0] if hasattr(column, "iloc") else column.slice(0, 0)


def _count_gaps(column: Any) -> int:
    """Return how many values are missing."""
    if isinstance(column.dtype if hasattr(column, "dtype") else None, np.dtype):
        return 0  # in which NaN is a number like any other
    gaps: Any = getattr(column, "null_count", None)
    if gaps is None:
        return int(column.isna().sum())
    return gaps if isinstance(gaps, int) else int(gaps())  # in polars it is a method


def _check_gaps(name: str, column: Any) -> None:
    """Raise ValueError if values are missing, of which NumPy would make NaN or None."""
    gaps = _count_gaps(column)
    if gaps:
        method = "fillna" if hasattr(column, "fillna") else "fill_null"
        raise ValueError(
            f"{name} has {gaps} missing value{'s' * (gaps > 1)}, expected none: fill them in first,"
            f" by .{method}(value)"
        )


def _read_values(name: str, column: Any) -> AnyArray:
    """Return the values of a column without gaps."""
    if hasattr(column, "iloc"):
        dtype = getattr(column.dtype, "numpy_dtype", None)  # of a nullable one
        plain = isinstance(dtype, np.dtype) and dtype.kind in "fiub"
        array: AnyArray = column.to_numpy(dtype) if plain else np.asarray(column)
        return array
    if hasattr(column, "buffers"):  # Arrow's, whose bools are bits
        array = column.to_numpy(zero_copy_only=False)
        return array
    return _read_array(name, column.to_numpy())
