"""Archives of arrays: ``.npz`` files, written without pickles and read without trust.

A file may come from a stranger.  Before an array's memory is asked for, its header is compared with
the archive's directory and this with the bytes that the file has, so that nothing small makes
something large; and whoever reads can look at shapes and dtypes before the arrays.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import math
import os
import re
import sys
import typing
import zipfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO, Any, BinaryIO

    from ._types import AnyArray, StrPath

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 16
_CHUNK = 1 << 20
_DEFLATE = 1032  # of its output for a byte at most: 258 bytes in 2 bits


class Header(typing.NamedTuple):
    """What an archive says of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[typing.Any]
    fortran_order: bool
    length: int  # of the header itself, in bytes


def write(file: BinaryIO, arrays: Mapping[str, AnyArray]) -> None:
    """Write arrays into a binary file, as ``np.savez`` does, but under any names.

    ``np.savez`` has arguments of its own, which differ between the versions of NumPy: 2.0 takes an
    ``allow_pickle`` for one more array.

    Parameters
    ----------
    file : file object
    arrays : dict of ndarray

    Raises
    ------
    OSError
        It cannot be written.
    ValueError
        An array holds objects.
    """
    archive = _Written(file, "w")
    for name, array in arrays.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
    archive.close()


class _Written(zipfile.ZipFile):
    """An archive that is left as it is after an exception.

    Its end would be to write a directory, and an error of its own in the place of Ctrl-C: that an
    entry is still open, or that the file is closed by now.
    """

    __del__ = object.__init__  # does nothing, and Ctrl-C cannot come and be lost in it


class Archive:
    """The arrays of an open ``.npz`` file, each read when it is asked for.

    Parameters
    ----------
    file : binary file object
        Seekable.
    compressed : bool
        Whether arrays may be compressed.  fastfc's own files never are, and an array in them takes
        as many bytes of the file as of memory.

    Attributes
    ----------
    names : list of str
        The arrays' names, in the order of the file.
    size : int
        Bytes of the file.

    Raises
    ------
    ValueError
        It is no such file, or its directory is not sound.  Methods raise it too; but damage may
        show as any exception of `zipfile`, NumPy or Python's parser: see `open_archive`.
    """

    def __init__(self, file: BinaryIO, compressed: bool = True) -> None:
        if not zipfile.is_zipfile(file):
            raise ValueError("truncated, or not a .npz file")
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._zip = zipfile.ZipFile(file)
        self._compressed = compressed
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self._headers: dict[str, Header] = {}
        for entry in self._zip.infolist():
            name = entry.filename.removesuffix(".npy")
            if name in self._entries:
                raise ValueError(f"{name} is in it twice")
            self._entries[name] = entry
        self.names = list(self._entries)
        if not compressed:
            self._check_room(sum(entry.file_size for entry in self._entries.values()))

    def header(self, name: str) -> Header:
        """Return the `Header` of an array, which its entry in the directory bears out."""
        if name not in self._headers:
            self._check_entry(name)
            with self._zip.open(self._entries[name]) as entry:
                self._headers[name] = _read_header(name, entry)
            self._check_length(name)
        return self._headers[name]

    def read(self, name: str) -> AnyArray:
        """Return an array, every byte of it checked by the archive's sum."""
        header = self.header(name)
        array = np.empty(header.shape, header.dtype, "F" if header.fortran_order else "C")
        with self._zip.open(self._entries[name]) as entry:
            entry.read(header.length)
            if array.size:
                content = array.reshape(-1, order="A").view(np.uint8).data
                for start in range(0, len(content), _CHUNK):
                    part = content[start : start + _CHUNK]
                    found = entry.read(len(part))
                    if len(found) != len(part):
                        raise ValueError(f"{name} is truncated")
                    part[:] = found
            entry.read(1)  # the end, where the sum is compared
        check_text(name, array)
        return array

    def check_sums(self) -> None:
        """Raise ValueError if a byte is not as it was written, whatever the arrays are."""
        for name in self.names:
            self._check_entry(name)
        wrong = self._zip.testzip()
        if wrong is not None:
            raise ValueError(f"the sum of {wrong} is wrong")

    def _check_entry(self, name: str) -> None:
        """Raise ValueError unless the file can hold what the directory says of an entry."""
        entry = self._entries[name]
        stored = entry.compress_type == zipfile.ZIP_STORED
        if not stored and (entry.compress_type != zipfile.ZIP_DEFLATED or not self._compressed):
            expected = "deflated or not at all" if self._compressed else "not at all, as written"
            raise ValueError(f"{name} is compressed, expected {expected}")
        most = entry.compress_size * (1 if stored else _DEFLATE)
        if entry.file_size > most:
            raise ValueError(f"{name} has {entry.file_size} bytes, {most} are there at most")
        self._check_room(entry.compress_size)

    def _check_room(self, length: int) -> None:
        if length > self.size:
            raise ValueError(f"its directory has {length} bytes, the file {self.size}: truncated")

    def _check_length(self, name: str) -> None:
        """Raise ValueError unless header and directory agree."""
        header, entry = self._headers[name], self._entries[name]
        length = header.length + math.prod(header.shape) * header.dtype.itemsize
        if length != entry.file_size:
            raise ValueError(
                f"{name} has shape {header.shape} and dtype {header.dtype}, hence {length} bytes, "
                f"but there are {entry.file_size}"
            )


@contextlib.contextmanager
def open_archive(path: StrPath, compressed: bool = True) -> Iterator[Archive]:
    """Open an `Archive`; whatever is found to be wrong with it is said with its name.

    Parameters
    ----------
    path : path
    compressed : bool
        As for `Archive`.

    Yields
    ------
    Archive

    Raises
    ------
    FileNotFoundError
        There is no such file.
    OSError
        It cannot be read.
    ValueError
        It is no ``.npz`` file, or damaged, or holds other things than arrays, or the block raises
        such an error: the path is put before it.

    Examples
    --------
    >>> with open_archive("digits.npz") as archive:
    ...     X = archive.read("X_train")
    Traceback (most recent call last):
        ...
    FileNotFoundError: digits.npz: no such file
    """
    path = os.fspath(path)  # a number is the file that somebody has open under it
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{os.fsdecode(path)}: no such file")
    with open(path, "rb") as file:
        try:
            yield Archive(file, compressed)
        except Exception as error:
            if is_system_error(error):
                raise
            raise ValueError(f"{path}: {describe_error(error)}") from error


def is_system_error(error: BaseException) -> bool:
    """Return whether reading failed, and not what was read.

    A place before the file's beginning, in a damaged directory, is EINVAL to the system.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def describe_error(error: BaseException) -> str:
    """Return what an exception says, with its type unless it was made to be read."""
    wordy = isinstance(error, (ValueError, zipfile.BadZipFile))
    return str(error) if wordy and str(error) else repr(error)


def check_text(name: str, array: AnyArray) -> None:
    """Raise ValueError where text has a number above Unicode's greatest.

    NumPy takes any: whoever looks at such an element gets a SystemError.
    """
    for field in array.dtype.names or ():
        check_text(name, array[field])
    if array.dtype.kind == "U" and array.size and array.itemsize:
        code_point = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
        if np.ascontiguousarray(array).reshape(-1).view(code_point).max() > sys.maxunicode:
            raise ValueError(f"{name} has text that is not Unicode's")


def _read_header(name: str, entry: IO[bytes]) -> Header:
    """Return the header at the beginning of an open entry."""
    start = entry.read(8)
    if start[:6] != _MAGIC or len(start) < 8:
        raise ValueError(f"{name} is no array")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(entry.read(width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"{name} has a header of {length} bytes, expected {_LONGEST_HEADER}")
    text = entry.read(length).decode("utf-8" if start[6] >= 3 else "latin-1")
    try:
        shape, dtype, fortran_order = _parse_header(text)
    except Exception as error:  # of Python's parser and NumPy's dtypes, of any type
        raise ValueError(f"{name} has a damaged header: {describe_error(error)}") from error
    if dtype.hasobject:
        raise ValueError(f"Object arrays cannot be loaded, they are pickles: {name}")
    if not dtype.itemsize and math.prod(shape) > 0:
        raise ValueError(f"{name} has dtype {dtype}, whose elements have no bytes")
    return Header(shape, dtype, fortran_order, 8 + width + length)


def _parse_header(text: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Return shape, dtype and order from the text of a header."""
    try:
        found = ast.literal_eval(text.strip())
    except SyntaxError:
        found = ast.literal_eval(re.sub(r"(\d)L\b", r"\1", text.strip()))  # of Python 2
    shape, order = found["shape"], found["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"shape is {shape!r}")
    if not isinstance(order, bool):
        raise ValueError(f"fortran_order is {order!r}")
    dtype = np.lib.format.descr_to_dtype(found["descr"])
    if dtype.subdtype is not None:
        raise ValueError(f"dtype is {dtype}")
    return shape, dtype, order
