"""Files of ONNX models, and the tensors in them, read without trust.

The numbers of a tensor are compared with its shape before an array is made of them, and a file of
numbers beside the model's is opened only if it lies in the model's folder or below it.
"""

from __future__ import annotations

import contextlib
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from ...arguments import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._types import AnyArray, StrPath

MOST_BYTES = 2**31 - 1  # of a file, by the format

# Elements that are read: NumPy's type of each, and the field of numbers that are no bytes.
ELEMENTS: dict[int, tuple[np.dtype[Any], str]] = {
    onnx.TensorProto.FLOAT: (np.dtype("<f4"), "float_data"),
    onnx.TensorProto.DOUBLE: (np.dtype("<f8"), "double_data"),
    onnx.TensorProto.INT64: (np.dtype("<i8"), "int64_data"),
    onnx.TensorProto.INT32: (np.dtype("<i4"), "int32_data"),
    onnx.TensorProto.UINT8: (np.dtype("u1"), "int32_data"),
    onnx.TensorProto.BOOL: (np.dtype("?"), "int32_data"),
}


def read_model(path: StrPath) -> Any:
    """Return the model of a file as onnx has it; tensors in other files stay there.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no model.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{os.fsdecode(path)}: no such file")
    if os.path.getsize(path) > MOST_BYTES:
        raise ValueError(
            f"it has {os.path.getsize(path)} bytes, expected at most {MOST_BYTES}, all that a file "
            "of ONNX holds"
        )
    with open(path, "rb") as file:
        content = file.read()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise ValueError("damaged, or not a file of ONNX") from None
    if not model.HasField("graph") or not model.opset_import:
        raise ValueError("damaged, or not a file of ONNX: it has no graph, or no opset")
    return model


def as_text(found: str | bytes) -> str:
    """Return a text of a file: bytes that are not Unicode's come as they are."""
    return found if isinstance(found, str) else found.decode("utf-8", "replace")


def element_name(element: int) -> str:
    """Return how ONNX calls a type of elements."""
    try:
        return str(onnx.TensorProto.DataType.Name(element)).lower()
    except ValueError:
        return f"number {element}"


def read_tensor(tensor: Any, folder: str) -> AnyArray:
    """Return a tensor as an array, which nobody may write to.

    Parameters
    ----------
    tensor : TensorProto
    folder : str
        Of the model's file.

    Raises
    ------
    ValueError
        It has not the numbers that its shape asks for, or of another type, or elsewhere.
    OSError
        The file of its numbers cannot be read.
    """
    if tensor.data_type not in ELEMENTS:
        raise ValueError(
            f"it has elements of the type {element_name(tensor.data_type)}, expected float, double "
            "or integers"
        )
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape):
        raise ValueError(f"it has the shape {shape}, expected sizes of at least 0")
    dtype, field = ELEMENTS[tensor.data_type]
    count = math.prod(shape)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        content = _read_external(tensor, folder, count * dtype.itemsize)
    elif tensor.HasField("raw_data"):
        content = tensor.raw_data
    else:
        numbers = getattr(tensor, field)
        if len(numbers) != count:
            raise ValueError(f"it has {len(numbers)} numbers, expected {count} of shape {shape}")
        with np.errstate(all="ignore"):
            array: AnyArray = np.array(numbers).astype(dtype.newbyteorder("=")).reshape(shape)
        array.flags.writeable = False
        return array
    if len(content) != count * dtype.itemsize:
        raise ValueError(
            f"it has {len(content)} bytes, expected {count * dtype.itemsize} of shape {shape}"
        )
    array = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="), copy=False)
    array = array.reshape(shape)
    array.flags.writeable = False
    return array


def external_bytes(tensors: Iterable[Any], folder: str) -> int:
    """Return how many bytes the other files have that tensors lie in, each counted once."""
    names = set()
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            with contextlib.suppress(ValueError):  # said where it is read
                names.add(_external_path(_external(tensor), folder))
    return sum(os.path.getsize(name) for name in names)


def _external(tensor: Any) -> dict[str, str]:
    """Return what a tensor says of the file that it lies in."""
    return {as_text(entry.key): as_text(entry.value) for entry in tensor.external_data}


def _external_path(found: dict[str, str], folder: str) -> str:
    """Return the file that a tensor lies in, which is the model's folder's."""
    location = found.get("location", "")
    if not location or "\0" in location or os.path.isabs(location):
        raise ValueError(_outside(location))
    base = os.path.realpath(folder)
    name = os.path.realpath(os.path.join(folder, location))
    if not name.startswith(os.path.join(base, "")):
        raise ValueError(_outside(location))
    if not os.path.isfile(name):
        raise ValueError(
            f"its numbers are in the file {shown(location)}, which is not there: it belongs beside "
            "the model's"
        )
    return name


def _outside(location: str) -> str:
    return f"its numbers are in the file {shown(location)}, expected one in the model's folder"


def _read_external(tensor: Any, folder: str, length: int) -> bytes:
    """Return the bytes of a tensor that lie in another file."""
    found = _external(tensor)
    name, location = _external_path(found, folder), found["location"]
    offset, stated = (_whole(key, found.get(key)) for key in ("offset", "length"))
    if stated not in (None, length):
        raise ValueError(f"it has {stated} bytes in {shown(location)}, expected {length}")
    size = os.path.getsize(name)
    if (offset or 0) + length > size:
        raise ValueError(
            f"its numbers are {length} bytes of {shown(location)} from {offset or 0}, which has "
            f"{size}"
        )
    with open(name, "rb") as file:
        file.seek(offset or 0)
        return file.read(length)


def _whole(key: str, text: str | None) -> int | None:
    """Return a place in a file, None where none is given."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(f"its {key} is {shown(text)}, expected a number of bytes")
    return int(text)
