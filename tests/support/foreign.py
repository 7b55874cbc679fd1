"""Arrays and tables of other libraries, made of NumPy's, each where its library is installed."""

import ctypes

import numpy as np
import pytest


def library(name):
    """Return a module, or skip the test."""
    return pytest.importorskip(name, reason=f"{name} is not installed")


class ByDLPack:
    """An array that offers DLPack and nothing else."""

    def __init__(self, x):
        self._x = x

    def __dlpack__(self, **options):
        return self._x.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._x.__dlpack_device__()


class ByInterface:
    """An array that offers ``__array_interface__`` and nothing else."""

    def __init__(self, x):
        self._x = x
        self.__array_interface__ = x.__array_interface__


class ByDunder:
    """An array that offers ``__array__`` and nothing else."""

    def __init__(self, x):
        self._x = x

    def __array__(self, dtype=None, copy=None):
        return self._x


def read_only(x):
    x = x.view()
    x.flags.writeable = False
    return x


def of_ctypes(x):
    kinds = {"float32": ctypes.c_float, "float64": ctypes.c_double, "int64": ctypes.c_int64}
    kind = kinds[x.dtype.name]
    for size in reversed(x.shape):
        kind = kind * size
    return kind.from_buffer(x)


def of_parameter(x):
    torch = library("torch")
    return torch.nn.Parameter(torch.from_numpy(x), requires_grad=False)


def of_pandas(x):
    pandas = library("pandas")
    return pandas.Series(x) if x.ndim == 1 else pandas.DataFrame(x, copy=False)


def of_polars(x):
    polars = library("polars")
    if x.ndim == 1:
        return polars.Series(x)
    return polars.DataFrame({f"c{i}": x[:, i].copy() for i in range(x.shape[1])})


def of_arrow(x):
    pyarrow = library("pyarrow")
    if x.ndim == 1:
        return pyarrow.array(x)
    return pyarrow.table({f"c{i}": x[:, i].copy() for i in range(x.shape[1])})


def of_chunks(x):
    """Return Arrow's table in two chunks, or array in two."""
    pyarrow = library("pyarrow")
    half = len(x) // 2
    if x.ndim == 1:
        return pyarrow.chunked_array([x[:half], x[half:]])
    return pyarrow.concat_tables([of_arrow(x[:half]), of_arrow(x[half:])])


# What shares its memory with NumPy: of which x, (N, D) or (N,), is made.
SHARED = {
    "torch": lambda x: library("torch").from_numpy(x),
    "torch's Parameter": of_parameter,
    "jax": lambda x: library("jax.numpy").asarray(x),
    "pandas": of_pandas,
    "memoryview": memoryview,
    "read-only memoryview": lambda x: memoryview(x).toreadonly(),
    "read-only": read_only,
    "dlpack": ByDLPack,
    "interface": ByInterface,
    "array": ByDunder,
    "ctypes": of_ctypes,
    "subclass": lambda x: x.view(type("Sub", (np.ndarray,), {})),
    "arrow tensor": lambda x: library("pyarrow").Tensor.from_numpy(x),
}
# And what is copied once.
TABLES = {"polars": of_polars, "arrow": of_arrow, "arrow chunks": of_chunks}
ALL = {**SHARED, **TABLES}
