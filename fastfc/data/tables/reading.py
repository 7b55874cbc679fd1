"""Tables from files and data frames, by pandas or polars, whichever is there.

A CSV file is read as text: what its cells are is decided here, so that both libraries give the
same.
"""

from __future__ import annotations

import io
import os
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ...arguments import shown
from ...optional import missing_package
from .columns import Column, texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LIBRARIES = ("pandas", "polars")
ENDINGS = (".csv", ".parquet")
NEEDS = "a Parquet file", "polars, or pyarrow beside pandas", "table"
_INDEX = re.compile(r"__index_level_\d+__")  # an index of pandas' in a Parquet file


def read(source: Any, library: str | None = None) -> dict[str, Column]:
    r"""Return a table's columns by their names.

    Parameters
    ----------
    source : path or data frame
        A CSV file in UTF-8 with a line of names, divided by commas, semicolons or tabs; a Parquet
        file; or a frame of pandas or polars.
    library : {'pandas', 'polars'}, optional
        Which reads the file; by default pandas where it is, else polars.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImportError
        Neither library is installed.
    ValueError
        It is damaged, empty, no text in UTF-8, or a name is missing or there twice.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/wine.csv", "w") as file:
    ...         _ = file.write("alcohol,colour\n13.2,red\n,white\n")
    ...     table = read(f"{folder}/wine.csv")
    >>> table["colour"].values
    array(['red', 'white'], dtype=object)
    """
    if not isinstance(source, (str, bytes, os.PathLike)):
        if hasattr(source, "collect"):  # a lazy frame of polars
            source = source.collect()
        if not hasattr(source, "columns"):
            raise TypeError(f"{shown(source)}, expected a path or a data frame")
        return _from_frame(source)
    path = os.fsdecode(source)
    try:
        ending = os.path.splitext(path)[1].lower()
        if ending == ".csv":
            return _read_csv(_bytes_of(path), library)
        if ending == ".parquet":
            return _read_parquet(_bytes_of(path), library)
        raise ValueError(f"expected a name that ends in {' or '.join(ENDINGS)}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _bytes_of(path: str) -> bytes:
    """Return what is in a file: the libraries would take some paths for addresses or patterns."""
    with open(path, "rb") as file:
        raw = file.read()
    if not raw:
        raise ValueError("it is empty, expected a line of names and rows")
    return raw


def find_library(*names: str) -> Any:
    """Return the first of these libraries that is installed.

    Raises
    ------
    ImportError
        None is.
    """
    for name in names:
        try:
            return _import_pandas() if name == "pandas" else _import_polars()
        except ImportError:
            continue
    raise missing_package("a table", " or ".join(names), "table", ImportError())


def _import_pandas() -> Any:
    import pandas

    return pandas


def _import_polars() -> Any:
    import polars

    return polars


def _read_csv(raw: bytes, library: str | None) -> dict[str, Column]:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"byte {error.start} is no UTF-8: save it as such, as by iconv -f LATIN1 -t UTF-8"
        ) from None
    if b"\0" in raw:
        raise ValueError("it has zero bytes, expected text in UTF-8")
    if raw.count(b'"') % 2:
        raise ValueError(
            "it has an odd number of quotation marks: one is not closed, or not doubled"
        )
    raw = raw.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    raw = raw.lstrip(b"\n")  # as one library does
    header = raw.split(b"\n", 1)[0]
    separator = max(",;\t", key=lambda mark: header.count(mark.encode()))
    module = find_library(*([library] if library else LIBRARIES))
    read_cells = _cells_of_pandas if module.__name__ == "pandas" else _cells_of_polars
    try:
        cells = read_cells(module, raw, separator)
    except Exception as error:  # each library has errors of its own
        raise ValueError(f"damaged: {_first_line(error)}") from error
    names = [column[0] for column in cells]
    columns = [texts(column[1:]) for column in cells]
    there = np.any([[cell is not None for cell in column] for column in columns], axis=0)
    if not there.any():
        raise ValueError("it has no rows, expected some below the line of names")
    found = []
    for name, column in zip(names, columns, strict=True):
        kept = column[there]
        found.append(Column((name or "").strip(), "cells", kept, kept.tolist))
    return _by_name(found)


def _first_line(error: Exception) -> str:
    """Return what an error says, without the advice for programs that follows."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _cells_of_pandas(pandas: Any, raw: bytes, separator: str) -> list[list[str | None]]:
    frame = pandas.read_csv(
        io.BytesIO(raw),
        header=None,
        sep=separator,
        dtype=str,
        na_filter=False,
        encoding="utf-8",
        index_col=False,
        skip_blank_lines=True,
    )
    return [
        [cell if isinstance(cell, str) else None for cell in frame[name].tolist()] for name in frame
    ]


def _cells_of_polars(polars: Any, raw: bytes, separator: str) -> list[list[str | None]]:
    frame = polars.read_csv(raw, has_header=False, separator=separator, infer_schema=False)
    return [column.to_list() for column in frame.get_columns()]


def _read_parquet(raw: bytes, library: str | None) -> dict[str, Column]:
    if library is None and not any(map(find_spec, ("pyarrow", "fastparquet"))):
        library = "polars" if find_spec("polars") else None  # pandas cannot by itself
    module = find_library(*([library] if library else LIBRARIES))
    try:
        frame = module.read_parquet(io.BytesIO(raw))
    except ImportError as error:
        raise missing_package(*NEEDS, error) from error
    except Exception as error:  # each library has errors of its own
        raise ValueError(f"truncated, damaged or no Parquet file: {_first_line(error)}") from error
    return _from_frame(frame)


def _from_frame(frame: Any) -> dict[str, Column]:
    """Return the columns of a data frame."""
    if hasattr(frame, "iloc"):
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        names = [str(name) for name in frame.columns]
        parts = [frame.iloc[:, i] for i in range(len(names))]
        found = [_from_pandas(name, part) for name, part in zip(names, parts, strict=True)]
    else:
        found = [
            _from_polars(part.name, part)
            for part in frame.get_columns()
            if not _INDEX.fullmatch(part.name)
        ]
    if not found or len(frame) == 0:
        raise ValueError("it has no rows, expected some")
    return _by_name(found)


def _by_name(columns: Iterable[Column]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for column in columns:
        if column.name in found and column.name:
            raise ValueError(f"two columns are called {column.name!r}, expected names that differ")
        found[column.name] = column
    found.pop("", None)  # an index that pandas has written
    return found


def _from_pandas(name: str, part: Any) -> Column:
    """Return a column of pandas, whatever its dtype is backed by."""
    types = _import_pandas().api.types
    dtype, name = part.dtype, name.strip()
    if types.is_bool_dtype(dtype) and not hasattr(dtype, "categories"):
        return Column(name, "booleans", _floats(part), part.tolist)
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return Column(name, "numbers", _floats(part), part.tolist)
    if getattr(dtype, "kind", "O") in "mM" or hasattr(dtype, "tz") or hasattr(dtype, "freq"):
        return Column(name, "dates", np.empty(0), part.tolist)
    if hasattr(dtype, "categories"):  # whatever they are
        part = part.astype(object).map(str, na_action="ignore")
    cells = part.astype(object)
    return _from_objects(name, cells.where(part.notna(), None).tolist())


def _floats(part: Any) -> Any:
    return part.to_numpy(dtype=np.float64, na_value=np.nan)


def _from_polars(name: str, part: Any) -> Column:
    """Return a column of polars."""
    polars = _import_polars()
    dtype, name = part.dtype, name.strip()
    if dtype == polars.Boolean or dtype.is_numeric() or dtype == polars.Null:
        kind = "booleans" if dtype == polars.Boolean else "numbers"
        values = part.cast(polars.Float64).fill_null(np.nan).to_numpy()
        return Column(name, kind, values, part.to_list)
    if dtype.is_temporal():
        return Column(name, "dates", np.empty(0), part.to_list)
    if dtype in (polars.Categorical, polars.Enum):
        part = part.cast(polars.String)
    return _from_objects(name, part.to_list())


def _from_objects(name: str, cells: list[Any]) -> Column:
    """Return a column of Python's objects, None where there is none."""
    kinds = {_kind_of(cell) for cell in cells if cell is not None}
    if kinds <= {"numbers"}:
        values = np.array([np.nan if cell is None else float(cell) for cell in cells], np.float64)
        return Column(name, "numbers", values, cells.copy)
    if kinds <= {"booleans"}:
        values = np.array([np.nan if cell is None else float(cell) for cell in cells], np.float64)
        return Column(name, "booleans", values, cells.copy)
    if kinds <= {"texts"}:
        return Column(name, "texts", texts(cells), cells.copy)
    if kinds <= {"texts", "numbers", "booleans"}:
        mixed = texts(None if cell is None else str(cell) for cell in cells)
        return Column(name, "cells", mixed, cells.copy)
    kind = "dates" if kinds <= {"dates"} else "other"
    return Column(name, kind, np.empty(0), cells.copy)


def _kind_of(cell: Any) -> str:
    """Return what a cell is, of a column of any objects."""
    if isinstance(cell, str):
        return "texts"
    if isinstance(cell, (bool, np.bool_)):
        return "booleans"
    if hasattr(cell, "isoformat") or type(cell).__name__ in ("Timedelta", "timedelta"):
        return "dates"
    whole = hasattr(cell, "__float__") and not hasattr(cell, "__len__")
    return "numbers" if whole else "other"
