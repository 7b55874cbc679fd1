"""Tables into files, whole or not at all: CSV by Python itself, Parquet by pandas or polars."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

from ...files import atomic_write
from ...optional import missing_package
from .reading import ENDINGS, NEEDS, find_library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..._types import StrPath


def write_table(path: StrPath, columns: Mapping[str, Sequence[Any]]) -> None:
    r"""Write columns of equal lengths to a file.

    Parameters
    ----------
    path : path
        Its name ends in ``.csv`` or ``.parquet``.
    columns : dict
        Sequences or arrays by the columns' names.

    Raises
    ------
    ImportError
        A Parquet file needs polars, or pandas with pyarrow.
    OSError
        It cannot be written; what was there stays.
    ValueError
        Its name ends otherwise.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(f"{folder}/a.csv", {"id": [7, 8], "label": ["cat", None]})
    ...     with open(f"{folder}/a.csv") as file:
    ...         file.read()
    'id,label\n7,cat\n8,\n'
    """
    ending = os.path.splitext(os.fsdecode(path))[1].lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path}: expected a name that ends in {' or '.join(ENDINGS)}")
    raw = _csv_bytes(columns) if ending == ".csv" else _parquet_bytes(columns)
    atomic_write(path, lambda file: file.write(raw))


def _csv_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _parquet_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    module = find_library("polars", "pandas")
    buffer = io.BytesIO()
    if module.__name__ == "polars":
        module.DataFrame({name: list(values) for name, values in columns.items()}).write_parquet(
            buffer
        )
    else:
        try:
            module.DataFrame(dict(columns)).to_parquet(buffer, index=False)
        except ImportError as error:
            raise missing_package(*NEEDS, error) from error
    return buffer.getvalue()
