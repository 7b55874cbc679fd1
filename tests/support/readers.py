"""Everything that reads files, each with files to begin with, and what is promised of any bytes.

`tests/fuzz` gives the readers bytes of its own; `tests/package/test_fuzzed_files.py` those with
which something was found, and those to begin with.
"""

import contextlib
import gzip
import io
import os
import pickle
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastfc import archives, fc_net, interop, reference
from fastfc.data import load_npz
from fastfc.data.mnist import load_mnist, read_idx
from fastfc.data_utils import load_CIFAR_batch
from fastfc.solver import Solver
from fastfc.training import CheckpointError, History, latest_checkpoint, read_checkpoint
from tests.support.cifar import make_batch, python2_pickle
from tests.support.npz import reads_or_names

MEGABYTE = 1 << 20


class Reader(NamedTuple):
    """``read(path)`` may raise ``error``, beginning with the path; ``seeds()`` are whole files."""

    file: str  # the name of its files
    read: Callable[[str], None]
    seeds: Callable[[], list[bytes]]
    error: type[ValueError] = ValueError


# --- what is promised -------------------------------------------------------------------------


def check(reader, data, folder):
    """Let a reader read these bytes in a folder, and return the error's message or None.

    It must return, or raise its error with the path; it writes nothing but in this folder, opens
    nothing of other folders but Python's own files, and runs nothing.  Else there is an
    AssertionError, or the error that it must not raise.
    """
    path = os.path.join(folder, reader.file)
    with open(path, "wb") as file:
        file.write(data)
    message = None
    with watched(folder) as harm, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reader.read(path)
        except reader.error as error:
            message = str(error)
    assert not harm, harm
    assert message is None or message.startswith(f"{path}: "), message
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    return message


WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
WRITES |= {"os.chmod", "os.chown", "os.utime"}
RUNS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill"}
RUNS |= {"socket.connect", "socket.bind", "ctypes.dlopen", "pickle.find_class", "exec"}

_folder = None  # the one to be written in, while somebody watches
_harm = []
_PYTHON = tuple({sys.prefix, sys.base_prefix, str(Path(archives.__file__).parents[1])})


def _watch(event, args):
    """Note what a reader must not do, and stop it: Python tells of it before it does it."""
    if _folder is None:
        return
    if event == "open":
        path, _, flags = args
        inside = not isinstance(path, (str, bytes)) or _is_inside(path)
        python = isinstance(path, str) and path.startswith(_PYTHON)
        harmless = inside or (python and not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    elif event in WRITES:
        paths = [path for path in args if isinstance(path, (str, bytes))]
        harmless = all(map(_is_inside, paths))
    else:
        harmless = event not in RUNS or (event == "exec" and args[0].co_filename[:1] != "<")
    if not harmless:
        _harm.append((event, repr(args)[:200]))
        raise PermissionError(f"{event} while a file is read")


def _is_inside(path):
    path = os.path.realpath(os.fsdecode(path))
    return path == _folder or path.startswith((_folder + os.sep, "/dev/null"))


@contextlib.contextmanager
def watched(folder):
    """Yield the list of what the block does and must not."""
    global _folder
    if not hasattr(sys, "_fastfc_watched"):
        sys.addaudithook(_watch)  # which nobody can take away again
        sys._fastfc_watched = True
    _harm.clear()
    _folder = os.path.realpath(folder)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of what a reader imports
    try:
        yield _harm
    finally:
        sys.dont_write_bytecode = before
        _folder = None


def honest_size(data):
    """Return how many bytes a file has, unpacked as far as it can be."""
    if data[:2] == b"\x1f\x8b":
        return len(data) + _inflated(data, 31)
    total = len(data)
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset
            names = struct.unpack("<HH", data[start + 26 : start + 30])
            content = data[start + 30 + sum(names) :][: entry.compress_size]
            total += _inflated(content, -15) if entry.compress_type else 0
    return total


def _inflated(content, wbits):
    unpack, total = zlib.decompressobj(wbits), 0
    with contextlib.suppress(zlib.error):
        while content and not unpack.eof:
            total += len(unpack.decompress(content, MEGABYTE))
            content = unpack.unconsumed_tail
    return total


def most_memory(data):
    """Return how many bytes reading a file may take: a few times what it has, and a few more."""
    return 12 * honest_size(data) + 8 * MEGABYTE


# --- the readers ------------------------------------------------------------------------------


def read_archive(path):
    with archives.open_archive(path) as archive:
        for name in archive.names:
            archive.header(name)
            archive.read(name)
        archive.check_sums()


def archive_seeds():
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.ones((2, 2), ">i2")),
        "text": np.array(["word", "other"]),
        "rows": np.zeros(2, [("x", "<f4"), ("name", "<U2")]),
        "none": np.zeros((0, 3), np.float32),
        "scalar": np.array(True),
    }
    found = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        found.append(file.getvalue())
    file = io.BytesIO()
    archives.write(file, arrays)
    return [*found, file.getvalue()]


def data_seeds():
    X, y = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4)
    splits = {"X_train": X, "y_train": y, "X_val": X[:2], "y_val": y[:2].astype(np.uint8)}
    found = []
    for save, more in ((np.savez, {}), (np.savez_compressed, {"X_test": X[:1], "y_test": y[:1]})):
        file = io.BytesIO()
        save(file, **splits, **more)
        found.append(file.getvalue())
    return found


NETWORKS = (fc_net.FullyConnectedNet, reference.fc_net.FullyConnectedNet)


def read_model(path):
    """Load a network by one of the classes that have such files, and compute with it."""
    network = NETWORKS[os.path.getsize(path) % len(NETWORKS)]
    if b"TwoLayerNet" in Path(path).read_bytes():
        network = fc_net.TwoLayerNet
    net = network.load(path)
    with np.errstate(all="ignore"):
        net.loss(np.ones((2, net.params["W1"].shape[0]), net.dtype))


PREPROCESSING = {  # of networks of so many inputs
    1: {"kind": "normalize", "mean": [0.5], "std": 2},
    3: {
        "kind": "table",
        "columns": [
            {"name": "height", "kind": "number", "median": 2.0, "mean": 2.5, "std": 0.5},
            {"name": "colour", "kind": "category", "values": ["blue", "red"]},
        ],
        "target": {"name": "kind", "kind": "labels", "values": ["cat", "dog"]},
        "split": {"seed": 0, "val": 2, "test": 3},
    },
}


def model_seeds(ending="npz"):
    found = []
    state = np.random.get_state()
    for build in (
        lambda: fc_net.FullyConnectedNet([2], 3, 2, use_batchnorm=True, dropout=0.5),
        lambda: fc_net.FullyConnectedNet([2, 2], 1, 2, normalization="layernorm", seed=3),
        lambda: fc_net.TwoLayerNet(3, 2, 2),
    ):
        net = build()
        net.preprocessing = PREPROCESSING.get(net.params["W1"].shape[0])
        net.loss(np.ones((2, net.params["W1"].shape[0])), [0, 1])
        with tempfile.TemporaryDirectory() as folder:
            write = net.to_onnx if ending == "onnx" else net.save
            write(f"{folder}/net.{ending}")
            found.append(Path(f"{folder}/net.{ending}").read_bytes())
    np.random.set_state(state)
    return found


def tensor_seeds():
    return model_seeds("safetensors")


def read_graph(path):
    """Read a graph, and compute with it and the network that it may be."""
    function = interop.from_onnx(path)
    if function.input_dim < 1000:  # the file's size bounds the weights, not what they make
        function(np.ones((2, function.input_dim), np.int64))
    with contextlib.suppress(ValueError):
        function.network()


def graph_seeds():
    assert interop.from_onnx  # whatever it imports is there before somebody watches
    return model_seeds("onnx")


def read_checkpoint_file(path):
    """Read a checkpoint by all who do, but the Solver."""
    latest = latest_checkpoint(path.removesuffix("_step_3.npz"))
    assert latest in (None, Path(path)), latest
    which = "best" if os.path.getsize(path) % 2 else "latest"
    assert reads_or_names(lambda path: fc_net.FullyConnectedNet.load(path, which=which), path)
    read_checkpoint(path)


def _network():
    return fc_net.FullyConnectedNet([2], 3, 2, use_batchnorm=True, dropout=0.5)


X = np.arange(36, dtype=np.float32).reshape(12, 3) % 5
DATA = {"X_train": X[:8], "y_train": np.arange(8) % 2, "X_val": X[8:], "y_val": np.arange(4) % 2}


def read_solver(path):
    """Resume a run and go on for a step; if it cannot be, nothing has been taken of it."""
    np.random.seed(4)
    model = _network()
    before = _snapshot(model)
    try:
        solver = Solver.resume(path, model, DATA, max_steps=1, verbose=False)
    except ValueError:
        assert _snapshot(model) == before
        raise
    with contextlib.suppress(FloatingPointError, ValueError, MemoryError):
        solver.train()


def _snapshot(model):
    """Return what tells whether a model or the generator has changed."""
    state = np.random.get_state(legacy=False)["state"]
    params = [(name, id(w), w.tobytes()) for name, w in model.params.items()]
    return params, repr(model.bn_params), state["pos"], state["key"].tobytes()


def checkpoint_seeds():
    found = []
    state = np.random.get_state()
    for settings in (
        {"update_rule": "sgd", "checkpoint_every": 1},
        {"update_rule": "adam", "lr_schedule": {"name": "plateau", "patience": 2}},
    ):
        np.random.seed(4)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = {**settings, "checkpoint_name": f"{folder}/run", "batch_size": 4}
            solver = Solver(_network(), DATA, max_steps=3, verbose=False, **settings)
            solver.train()
            solver.save(f"{folder}/mine.npz")
            found.append(Path(f"{folder}/mine.npz").read_bytes())
    np.random.set_state(state)
    return found


def read_mnist(path):
    """Read an idx file by itself, and as the images of a folder."""
    array = read_idx(path)
    assert array.dtype == np.uint8
    folder = os.path.dirname(path)
    for name, content in (
        ("train-labels-idx1-ubyte", IDX_LABELS),
        ("t10k-images-idx3-ubyte", IDX_IMAGES),
        ("t10k-labels-idx1-ubyte", IDX_LABELS),
    ):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    try:
        load_mnist(folder, num_validation=1)
    except ValueError as error:
        others = ("training images are ", os.path.join(folder, "train-labels"))
        if not str(error).startswith(others):  # which are about two files
            raise


IDX_IMAGES = struct.pack(">HBB3I", 0, 8, 3, 3, 2, 2) + bytes(range(12))
IDX_LABELS = struct.pack(">HBBI", 0, 8, 1, 3) + b"\0\1\2"


def idx_seeds():
    return [IDX_IMAGES, IDX_LABELS, gzip.compress(IDX_IMAGES, mtime=0)]


def read_cifar(path):
    X, y = load_CIFAR_batch(path)
    assert X.shape == (len(y), 32, 32, 3), X.shape


def cifar_seeds():
    batch = make_batch(0, rows=1)
    arrays = {**batch, "labels": np.array(batch["labels"])}
    versions = [pickle.dumps(batch, version) for version in range(6)]
    return [python2_pickle(batch), pickle.dumps(arrays, 4), *versions]


def history_seeds():
    return [b"iteration,epoch,loss,val_acc\n1,0,2.5,\n2,1,1e-3,0.5\n", b"loss\n"]


READERS = {
    "archive": Reader("any.npz", read_archive, archive_seeds),
    "data": Reader("data.npz", load_npz, data_seeds),
    "model": Reader("net.npz", read_model, model_seeds),
    "tensors": Reader("net.safetensors", read_model, tensor_seeds),
    "checkpoint": Reader("run_step_3.npz", read_checkpoint_file, checkpoint_seeds, CheckpointError),
    "resume": Reader("run_step_3.npz", read_solver, checkpoint_seeds, CheckpointError),
    "mnist": Reader("train-images-idx3-ubyte", read_mnist, idx_seeds),
    "cifar": Reader("data_batch_1", read_cifar, cifar_seeds),
    "history": Reader("history.csv", History.from_csv, history_seeds),
}
if find_spec("onnx"):
    READERS["onnx"] = Reader("net.onnx", read_graph, graph_seeds)
