"""The files of CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").

They are Python 2 pickles.  A pickle is a program, so they are read by an unpickler that knows
nothing but lists, dicts, numbers, strings and arrays of integers, and stops at programs that are
longer than such files need: each step makes an object, of which a file of bytes can ask for many.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastfc.data.splits import search_places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import NoReturn

    from .._types import AnyArray, Bytes, Labels, StrPath

FOLDER = "cifar-10-batches-py"
TRAIN_FILES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_FILE = "test_batch"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"

# MD5 sums of the files inside the archive at URL.
OFFICIAL_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}

_warned = False  # a foreign MD5 sum is worth one warning in a process


def find_folder(root: StrPath | None) -> Path:
    """Return the folder that holds the batch files, or say where it was looked for."""
    homes = () if root is not None else ("cs231n", "utils", "nndl", ".")
    relative = ("", FOLDER, *(f"{home}/datasets/{FOLDER}" for home in homes))
    places = search_places(root, relative)
    for place in places:
        if (place / TRAIN_FILES[0]).is_file() or (place / TEST_FILE).is_file():
            return place
    raise FileNotFoundError(
        f"CIFAR-10 not found: no {TRAIN_FILES[0]} in {', '.join(map(str, places))}; unpack {URL} "
        f"and give the folder that holds {FOLDER} as root or in $FASTFC_DATA"
    )


def read_batches(
    folder: Path, names: Sequence[str], num_rows: int | None = None
) -> tuple[Bytes, Labels]:
    """Read the batch files in order, until there are `num_rows` images; None: read all.

    Returns X (N, 3, 32, 32) uint8 and y (N,) int64.
    """
    images: list[Bytes] = []
    labels: list[Labels] = []
    foreign: list[str] = []
    found = 0
    for name in names:
        if num_rows is not None and images and found >= num_rows:
            break
        try:
            raw = (folder / name).read_bytes()
        except MemoryError:
            raise ValueError(f"{folder / name}: larger than memory") from None
        X, y = _parse_batch(raw, folder / name)
        images.append(X)
        labels.append(y)
        found += len(X)
        md5 = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if OFFICIAL_MD5.get(name, md5) != md5:
            foreign.append(name)
    _warn_foreign(folder, foreign)
    if num_rows is not None and found < num_rows:
        raise ValueError(f"{folder}: {num_rows} images wanted, {found} found in {', '.join(names)}")
    return np.concatenate(images)[:num_rows], np.concatenate(labels)[:num_rows]


def _warn_foreign(folder: Path, names: list[str]) -> None:
    """Warn, once in a process, that files differ from the official ones."""
    global _warned
    if names and not _warned:
        _warned = True
        warnings.warn(
            f"{folder}: MD5 sums differ from the official CIFAR-10 files: {', '.join(names)}",
            UserWarning,
            stacklevel=4,
        )


def _parse_batch(raw: bytes, path: Path) -> tuple[Bytes, Labels]:
    """Return the images (N, 3, 32, 32) uint8 and labels (N,) int64 of one pickled batch."""
    try:
        batch = _BatchUnpickler(raw).load()
        batch = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in batch.items()}
        X = batch["data"].array()
        labels = batch["labels"]
        y = labels.array() if isinstance(labels, _PickledArray) else _as_integers(labels)
    except _RefusedError as error:
        raise ValueError(f"{path}: refused: {error}") from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise ValueError(
            f"{path}: truncated, or not a CIFAR-10 batch file ({type(error).__name__}: {error})"
        ) from error
    if X.dtype != np.uint8 or X.ndim != 2 or X.shape[1] != 3072 or len(X) == 0:
        raise ValueError(
            f"{path}: data is {X.dtype} of shape {X.shape}, expected uint8 of shape "
            "(N, 3072), N at least 1"
        )
    if y.dtype.kind not in "iu" or y.shape != X.shape[:1]:
        raise ValueError(
            f"{path}: labels are {y.dtype} of shape {y.shape}, expected {len(X)} integers"
        )
    if y.min() < 0 or y.max() > 9:
        raise ValueError(f"{path}: labels from {y.min()} to {y.max()}, expected 0 to 9")
    return X.reshape(-1, 3, 32, 32), y.astype(np.int64)


def _as_integers(labels: Any) -> Labels:
    """Return a list of integers as an array; of anything else no array is made."""
    for i, label in enumerate(labels):
        if type(label) is not int:
            plain = isinstance(label, (bool, float, str))
            kind = np.asarray(label).dtype if plain else type(label).__name__
            raise _RefusedError(f"labels are {kind}, expected integers: the {i + 1}th")
    return np.array(labels)


class _RefusedError(Exception):
    """A pickle asked for something that no batch file needs."""


class _Steps(dict[int, Any]):
    """The steps that pickles of arrays, lists and dicts are made of, so many of them.

    What calls by other means than `find_class`, or takes memory by a number that the file names, is
    not among them.
    """

    KNOWN = (  # noqa: SIM905  (a list would have a line for each)
        "MARK STOP POP DUP FLOAT INT BININT BININT1 BININT2 LONG LONG1 LONG4 NONE REDUCE STRING "
        "BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES "
        "SHORT_BINBYTES BINBYTES8 APPEND APPENDS BUILD GLOBAL STACK_GLOBAL DICT EMPTY_DICT LIST "
        "EMPTY_LIST TUPLE EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 SETITEM SETITEMS BINFLOAT PUT BINPUT "
        "LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET PROTO FRAME NEWTRUE NEWFALSE"
    ).split()

    def __init__(self, most: int) -> None:
        codes = [getattr(pickle, name)[0] for name in self.KNOWN]
        super().__init__((code, pickle._Unpickler.dispatch[code]) for code in codes)
        self[pickle.BYTEARRAY8[0]] = _load_bytearray
        self._left = most

    def __missing__(self, code: int) -> NoReturn:
        raise pickle.UnpicklingError(f"step {bytes([code])!r} is none that batch files have")

    def __getitem__(self, code: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _RefusedError("the pickle has more steps than a batch of its size needs")
        return super().__getitem__(code)


class _Bytes(io.BytesIO):
    """Bytes that end with an error, as the unpickler in Python expects of nobody but itself."""

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if size is not None and len(found) < size:
            raise EOFError("truncated")
        return found

    def readline(self, size: int | None = -1) -> bytes:
        found = super().readline(size)
        if not found.endswith(b"\n"):
            raise EOFError("truncated")
        return found


def _load_bytearray(unpickler: Any) -> None:
    """Push a bytearray; pickle's own is made before it is known whether the file has so much."""
    length = int.from_bytes(unpickler.read(8), "little")
    unpickler.append(bytearray(unpickler.read(min(length, sys.maxsize))))


class _BatchUnpickler(pickle._Unpickler):
    """Read the pickles of integer arrays, and run nothing.

    The few names that such pickles call are served by inert stand-ins of our own, so that not
    even NumPy's constructors see what a file says; every other name is refused.  It derives from
    pickle's own in Python: that in C reserves memory for whatever index a file names.
    """

    def __init__(self, raw: bytes) -> None:
        super().__init__(_Bytes(raw), encoding="bytes")
        # An image has 3,072 bytes, a label and a file's name, at most a dozen steps each.
        vars(self)["dispatch"] = _Steps(2000 + len(raw) // 64)  # in the place of the class's
        self._left = len(raw)

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) == ("_codecs", "encode"):  # bytes in protocol 2, written by Python 3
            return self._encode
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _RefusedError(f"the pickle asks for {module}.{name}") from None

    def _encode(self, text: str, encoding: str) -> bytes:
        """Encode text of the file, in all not more than the file has."""
        if encoding not in ("latin1", "latin-1"):
            raise _RefusedError(f"the pickle encodes as {encoding!r:.80}")
        self._left -= len(text)
        if self._left < 0:
            raise _RefusedError("the pickle encodes more text than it has")
        return text.encode("latin1")


class _PickledDtype:
    """What a pickle says of a dtype; integers only."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(self.code, str) or not re.fullmatch("[iu][1248]", self.code):
            raise _RefusedError(f"the pickle holds an array of dtype {self.code!r}, not integers")
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("latin1") if isinstance(order, bytes) else order

    def dtype(self) -> np.dtype[np.integer[Any]]:
        return np.dtype(self.order + self.code)


class _PickledArray:
    """What a pickle says of an array, until `array` makes it one."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.raw = state

    def array(self) -> AnyArray:
        flat = np.frombuffer(self.raw, self.kind.dtype())
        array: AnyArray = flat.reshape(self.shape, order="F" if self.fortran else "C")
        return array


def _reconstruct(*_: object) -> _PickledArray:
    return _PickledArray()


def _from_buffer(
    raw: bytes, kind: _PickledDtype, shape: tuple[int, ...], order: str
) -> _PickledArray:
    array = _PickledArray()
    array.__setstate__((1, shape, kind, order == "F", raw))
    return array


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,  # pickle protocol 5
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledDtype,
}
