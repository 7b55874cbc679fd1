"""Files of tensors: ``.safetensors``, written and read by the library of that name.

It needs the extra ``safetensors``.  A file may come from a stranger: the library compares the head
with the bytes that are there before anything is made of them, and whoever reads can look at shapes
and dtypes before the arrays, as in `fastfc.archives`.

All that is no array is one text of the file's metadata, under `KEY`: the library writes several in
any order, and the same network is to give the same bytes.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import numpy as np

from .archives import Header, describe_error, is_system_error
from .optional import missing_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, BinaryIO

    from ._types import AnyArray, StrPath

ENDING = ".safetensors"
KEY = "fastfc_network"
_DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "|b1"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1"},
}


def has_tensors(path: StrPath) -> bool:
    """Return whether a file is one of tensors, by its bytes, or by its name where they say nothing.

    Such a file begins with the length of its head, eight bytes, and the head with a brace; an
    archive begins with PK.  A file that does not exist is none.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        return False
    with open(name, "rb") as file:
        start = file.read(9)
    named = os.fsdecode(name).lower().endswith(ENDING)
    return start[8:] == b"{" or (named and start[:2] != b"PK")


def write(file: BinaryIO, arrays: Mapping[str, AnyArray], text: str) -> None:
    """Write arrays and a text into a binary file.

    Parameters
    ----------
    file : file object
    arrays : dict of ndarray
        Of any memory layout: the library takes an array's bytes as they lie, whatever its strides.
    text : str
        The metadata under `KEY`.

    Raises
    ------
    ImportError
        The library is missing.
    OSError
        It cannot be written.
    TypeError
        Such a file cannot hold an array's dtype.
    """
    save = _library().numpy.save
    dense = {name: _as_dense(name, array) for name, array in arrays.items()}
    file.write(save(dense, {KEY: text}))


def _as_dense(name: str, array: AnyArray) -> AnyArray:
    """Return an array as it lies in the file: in C order and little-endian."""
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _DTYPES.values():
        raise TypeError(
            f"save: {name} has dtype {array.dtype}, which a {ENDING} file cannot hold, expected "
            "numbers of at most 64 bits"
        )
    return np.asarray(array, dtype, order="C")


class TensorFile:
    """The arrays of an open file, each read when it is asked for.

    Parameters
    ----------
    path : str
    opened : safetensors.safe_open

    Attributes
    ----------
    names : list of str
        The arrays' names.
    size : int
        Bytes of the file.
    text : str or None
        Its metadata under `KEY`.
    """

    def __init__(self, path: str, opened: Any) -> None:
        self._opened = opened
        self.size = os.path.getsize(path)
        self.names: list[str] = list(opened.keys())
        self.text: str | None = (opened.metadata() or {}).get(KEY)

    def header(self, name: str) -> Header:
        """Return the `Header` of an array."""
        found = self._opened.get_slice(name)
        dtype, shape = found.get_dtype(), tuple(found.get_shape())
        if dtype not in _DTYPES:
            raise ValueError(f"{name} has dtype {dtype}, expected {', '.join(_DTYPES)}")
        return Header(shape, np.dtype(_DTYPES[dtype]), fortran_order=False, length=0)

    def read(self, name: str) -> AnyArray:
        """Return an array, in memory of its own."""
        self.header(name)
        return np.array(self._opened.get_tensor(name))


@contextlib.contextmanager
def open_tensors(path: StrPath) -> Iterator[TensorFile]:
    """Open a `TensorFile`; whatever is found to be wrong with it is said with its name.

    Parameters
    ----------
    path : path
        Of a file that is there.

    Yields
    ------
    TensorFile

    Raises
    ------
    ImportError
        The library is missing.
    OSError
        It cannot be read.
    ValueError
        It is no such file, or damaged, or the block raises such an error: the path is put before
        it.
    """
    name = os.fsdecode(path)
    library = _library()
    try:
        with library.safe_open(name, framework="numpy") as opened:
            yield TensorFile(name, opened)
    except Exception as error:
        if is_system_error(error):
            raise
        if isinstance(error, library.SafetensorError):
            raise ValueError(f"{name}: truncated, or not a {ENDING} file ({error})") from error
        raise ValueError(f"{name}: {describe_error(error)}") from error


def _library() -> Any:
    """Return the library, if it is there."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise missing_package(f"a {ENDING} file", "safetensors", "safetensors", error) from error
    return safetensors
