"""oneDNN: a network written by hand in C++ around its products, in `benchmarks/onednn`.

Importing this compiles it, for this machine, against the headers and the library of the extra.  It
has float32 alone.
"""

import ctypes
import importlib.metadata
import itertools
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import weakref

import numpy as np

import fastfc
from benchmarks import harness

SOURCE = pathlib.Path(__file__).parent / "onednn" / "network.cpp"
PACKAGES = ("onednn-devel-cpu-gomp", "onednn-cpu-gomp")  # which have the headers and the library
COMPILER = "g++"
# -ffast-math, so that exp and the divisions become vectors, when compiling alone: at linking it
# would set the whole process to take denormals for zero.
COMPILE = ("-std=c++17", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC", "-c")


class _Settings(ctypes.Structure):
    _fields_ = (
        ("threads", ctypes.c_int),
        ("batch", ctypes.c_int),
        ("layers", ctypes.c_int),
        ("sizes", ctypes.c_void_p),
        ("keep", ctypes.c_float),
        ("learning_rate", ctypes.c_float),
        ("examples", ctypes.c_int64),
        ("x", ctypes.c_void_p),
        ("y", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
    )


def steps(network, data, learning_rate):
    """Return what runs one training step, by name."""
    return many_steps(network, data, learning_rate, 1)


def many_steps(network, data, learning_rate, count):
    """Return what runs so many steps in one call."""
    if data["X_train"].dtype != np.float32:
        return {}
    net = Network(network, data, learning_rate)
    return {"onednn": lambda: net.steps(count)}


class Network:
    """A network and its training data, on as many threads as fastfc uses when it is made."""

    def __init__(self, network, data, learning_rate):
        batch, example, hidden, classes, keep = network
        shapes = list(itertools.pairwise([math.prod(example), *hidden, classes]))
        rng = np.random.default_rng(0)
        self.weights = [0.01 * rng.standard_normal(shape, np.float32) for shape in shapes]
        sizes = np.array([shapes[0][0], *(m for _, m in shapes)], np.int64)
        start = np.concatenate([w.ravel() for w in self.weights])
        x = np.ascontiguousarray(data["X_train"], np.float32)
        y = np.ascontiguousarray(data["y_train"], np.int64)
        settings = _Settings(
            fastfc.get_num_threads(),
            batch,
            len(shapes),
            sizes.ctypes.data,
            keep or 1,
            learning_rate,
            len(x),
            x.ctypes.data,
            y.ctypes.data,
            start.ctypes.data,
        )
        harness.pause()  # it chooses layouts by their time: nobody's threads may spin meanwhile
        self._pointer = _LIBRARY.network_create(ctypes.byref(settings))
        if not self._pointer:
            raise _problem()
        self._rows = np.empty(batch, np.int64)
        self._data = x, y  # are read at every step
        weakref.finalize(self, _LIBRARY.network_destroy, self._pointer)

    def steps(self, count):
        """Take so many steps and return the loss of each."""
        losses = (ctypes.c_float * count)()
        if not _LIBRARY.network_steps(self._pointer, count, losses):
            raise _problem()
        return list(losses)

    def drawn(self):
        """Return which examples the last step's minibatch was made of."""
        _LIBRARY.network_drawn(self._pointer, self._rows.ctypes.data)
        return self._rows.copy()


def _problem():
    return RuntimeError(f"oneDNN: {_LIBRARY.network_problem().decode()}")


def _installed(name):
    """Return where a package has put a file."""
    for package in PACKAGES:
        for path in importlib.metadata.files(package) or ():
            if path.as_posix().endswith(name):
                return pathlib.Path(path.locate())
    raise ModuleNotFoundError(f"no {name} in {' or '.join(PACKAGES)}", name=name)


def _build(folder):
    """Compile and link into a folder; return the library."""
    header, library = _installed("include/oneapi/dnnl/dnnl.hpp"), _installed("libdnnl.so.3")
    made, linked = f"{folder}/network.o", f"{folder}/network.so"
    for arguments in (
        (*COMPILE, f"-I{header.parents[2]}", SOURCE, "-o", made),
        ("-shared", "-fopenmp", made, library, f"-Wl,-rpath,{library.parent}", "-o", linked),
    ):
        try:
            subprocess.run([COMPILER, *arguments], check=True, capture_output=True, text=True)
        except FileNotFoundError:
            needed = f"{COMPILER} and {PACKAGES[0]}"
            raise ModuleNotFoundError(f"no {COMPILER}", name=needed) from None
        except subprocess.CalledProcessError as error:
            sys.exit(f"benchmarks: {COMPILER} cannot build {SOURCE}:\n{error.stderr}")
    return linked


def _load():
    with tempfile.TemporaryDirectory() as folder:
        # Its own oneDNN and OpenMP, whatever PyTorch and TensorFlow have brought of both.
        library = ctypes.CDLL(_build(folder), os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_DEEPBIND)
    pointer = ctypes.c_void_p
    library.network_problem.restype = ctypes.c_char_p
    library.network_create.restype = pointer
    library.network_create.argtypes = (pointer,)
    library.network_steps.restype = ctypes.c_bool
    library.network_steps.argtypes = (pointer, ctypes.c_int, pointer)
    library.network_drawn.argtypes = (pointer, pointer)
    library.network_drawn.restype = None
    library.network_destroy.argtypes = (pointer,)
    library.network_destroy.restype = None
    return library


_LIBRARY = _load()
