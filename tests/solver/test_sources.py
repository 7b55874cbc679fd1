"""Where examples come from: arrays, memory-mapped files, HDF5, zarr; and their normalisation."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastfc
from fastfc import _core
from fastfc.data.rows import check_normalization, read_rows
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference import fc_net as reference
from fastfc.reference import optim as reference_optim
from fastfc.solver import Solver
from tests.support import cases

SHAPE = (2, 3, 4)
FEATURES = 24


def in_memory(path, X):
    return contextlib.nullcontext(X)


def memory_mapped(path, X):
    mapped = np.memmap(path, X.dtype, "w+", shape=X.shape)
    mapped[...] = X
    mapped.flush()
    return contextlib.nullcontext(np.memmap(path, X.dtype, "r", shape=X.shape))


@contextlib.contextmanager
def hdf5(path, X):
    h5py = pytest.importorskip("h5py", reason="the extra [data] is not installed")
    with h5py.File(path, "w") as file:
        file["X"] = X
    with h5py.File(path) as file:
        yield file["X"]


@contextlib.contextmanager
def zarr_array(path, X):
    zarr = pytest.importorskip("zarr", reason="the extra [data] is not installed")
    array = zarr.open(path, mode="w", shape=X.shape, chunks=(7, *X.shape[1:]), dtype=X.dtype)
    array[...] = X
    yield zarr.open(path, mode="r")


class Rows:
    """The least that will do; refuses what h5py refuses."""

    def __init__(self, X):
        self.shape, self.dtype, self._X, self.asked = X.shape, X.dtype, X, []

    def __getitem__(self, rows):
        if not isinstance(rows, (slice, int)):
            assert (np.diff(rows) > 0).all(), "indices must be increasing"
        self.asked.append(rows)
        return self._X[rows]


SOURCES = {
    "ndarray": in_memory,
    "memmap": memory_mapped,
    "h5py": hdf5,
    "zarr": zarr_array,
    "rows": lambda path, X: contextlib.nullcontext(Rows(X)),
}


@pytest.fixture(params=SOURCES)
def source(request, tmp_path):
    """Return a context manager that puts an array where this source has it."""
    return lambda X: SOURCES[request.param](tmp_path / f"{X.shape[0]}-{X.dtype}", X)


def images(n, dtype=np.uint8):
    return cases.generator("images", n).integers(0, 256, (n, *SHAPE)).astype(dtype)


# --- rows -------------------------------------------------------------------------------------

DRAWN = [[3, 1, 3, 0, 19, 1], [0], [5, 6, 7], [19] * 4, [], slice(4, 9), slice(15, 30), slice(0, 0)]


@pytest.mark.parametrize("rows", DRAWN, ids=str)
@pytest.mark.parametrize("given", [np.uint8, np.float32, np.float64, np.int16])
def test_rows_come_in_the_order_drawn(source, given, rows):
    X = images(20, given)
    rows = rows if isinstance(rows, slice) else np.array(rows, int)
    with source(X) as stored:
        plain = read_rows(stored, rows)
        assert plain.dtype == given
        np.testing.assert_array_equal(plain, X[rows])
        for dtype in cases.DTYPES:
            taken = read_rows(stored, rows, dtype)
            assert type(taken) is np.ndarray
            assert taken.dtype == dtype
            np.testing.assert_array_equal(taken, X[rows].astype(dtype))


def test_each_row_is_read_once():
    stored = Rows(images(20))
    read_rows(stored, np.array([7, 2, 7, 7]))
    (asked,) = stored.asked
    assert asked.tolist() == [2, 7]


def test_rows_of_another_shape_are_refused():
    class Columns(Rows):
        def __getitem__(self, rows):
            return self._X[:, : len(rows)]

    message = r"X is a Columns whose rows came with shape \(20, 1\), expected \(1, 5\)"
    with pytest.raises(ValueError, match=message):
        read_rows(Columns(np.ones((20, 5))), np.array([3]))


# --- normalisation ----------------------------------------------------------------------------

NORMALIZE = {
    "numbers": (100, 30.5),
    "each feature": (
        cases.normal(FEATURES, np.float64, "mean"),
        np.arange(1.0, 1 + FEATURES),
    ),
    "each channel": (np.array([[[3.0]], [[4.0]]]), np.array([[[1.5]], [[0.1]]])),
    "each example's element": (np.arange(24.0).reshape(SHAPE), np.float32(7)),
    "last axis": ([1, 2, 3, 4], [True] * 4),
}


def normalised(X, mean, std, dtype):
    """Return what the gather promises, in NumPy."""
    mean, std = (np.asarray(v, dtype) for v in (mean, std))
    flat = mean.shape == (FEATURES,)
    rows = X.astype(dtype).reshape(len(X), FEATURES) if flat else X.astype(dtype)
    return ((rows - mean) / std).reshape(X.shape)


@pytest.mark.parametrize("given", ["u1", "f4", "f8", "i2", "f2", ">f4"])
@pytest.mark.parametrize("width", cases.LENGTHS)
def test_same_bits_as_numpy(isa, dtype, given, width):
    X = cases.normal((9, width), np.float64, "X", scale=100)
    X = np.abs(X).astype(given) if given == "u1" else X.astype(given)
    if given in ("f4", "f8"):
        special = cases.specials(given)
        X.flat[::3] = np.resize(special, X[:].flat[::3].shape)
    mean = cases.normal(width, dtype, "mean", scale=50)
    std = np.exp(cases.normal(width, dtype, "std"))
    index = np.array([3, 0, 8, 3, -1])
    with np.errstate(all="ignore"):
        expected = (X[index].astype(dtype) - mean) / std
    got = _core.gather(X, index, dtype, mean, std)
    assert got.dtype == dtype
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("which", NORMALIZE)
def test_what_mean_and_std_may_be(source, dtype, which):
    X, rows = images(20), np.array([4, 4, 0])
    expected = normalised(X[rows], *NORMALIZE[which], dtype)
    np.testing.assert_array_equal(_core.gather(X, rows, dtype, *NORMALIZE[which]), expected)
    prepared = check_normalization(NORMALIZE[which], SHAPE, dtype)
    assert all(value.shape == (FEATURES,) and value.dtype == dtype for value in prepared)
    with source(X) as stored:
        np.testing.assert_array_equal(read_rows(stored, rows, dtype, prepared), expected)


def test_rows_that_are_not_dense_are_normalised_too(dtype):
    X = images(20)[:, :, ::2]
    expected = (X[[2, 1]].astype(dtype) - dtype(3)) / dtype(0.7)
    np.testing.assert_array_equal(_core.gather(X, [2, 1], dtype, 3, 0.7), expected)


@pytest.mark.parametrize(
    ("normalize", "error", "message"),
    [
        (1.0, TypeError, r"normalize is 1.0, expected a pair \(mean, std\)"),
        ((1, 2, 3), TypeError, "normalize is .* expected a pair"),
        (("a", 1), TypeError, "normalize: mean has dtype <U1, expected real numbers"),
        (
            (0, np.ones(5)),
            ValueError,
            r"std has shape \(5,\), expected \(24,\), or what broadcasts",
        ),
        ((np.nan, 1), ValueError, "mean is not finite everywhere"),
        ((1e300, 1), ValueError, "mean is not finite everywhere"),  # in float32
        ((0, 0), ValueError, "std ranges from 0.0 to 0.0, expected finite numbers above 0"),
        ((0, -1), ValueError, "std ranges from -1.0"),
        ((0, np.inf), ValueError, "std ranges from inf"),
        ((0, 1e-300), ValueError, "std ranges from 0.0"),  # in float32
    ],
)
def test_errors_of_normalize(normalize, error, message):
    data = labelled(images(20))
    with pytest.raises(error, match=message):
        Solver(FullyConnectedNet([5], FEATURES), data, normalize=normalize)


def test_errors_of_the_gather():
    with pytest.raises(ValueError, match="mean and std must be given both or neither"):
        _core.gather(np.ones((2, 3)), [0], np.float32, 1.0)
    message = r"gather: std has shape \(2,\), expected \(3,\), or what broadcasts to an example"
    with pytest.raises(ValueError, match=message):
        _core.gather(np.ones((2, 3)), [0], np.float32, 1.0, np.ones(2))


def test_splits_of_other_sizes_are_not_normalised_together():
    data = {**labelled(images(20)), "X_val": np.ones((20, 5))}
    message = r"X_val has examples of shape \(5,\), expected \(2, 3, 4\), as X_train's"
    with pytest.raises(ValueError, match=message):
        Solver(SimpleNamespace(params={}, loss=None), data, normalize=(0, 1))


# --- under the Solver -------------------------------------------------------------------------


def labelled(X, X_val=None):
    X_val = X if X_val is None else X_val
    return {
        "X_train": X,
        "y_train": cases.labels(X.shape[0], 10, "train"),
        "X_val": X_val,
        "y_val": cases.labels(X_val.shape[0], 10, "val"),
    }


def trained(data, net=FullyConnectedNet, **arguments):
    """Return all that a training leaves, and where it leaves the random stream."""
    np.random.seed(3)
    rule = "adam" if net is FullyConnectedNet else reference_optim.adam
    model = net([9, 8], FEATURES, use_batchnorm=True, dropout=0.7, weight_scale=0.1)
    solver = Solver(
        model,
        data,
        update_rule=rule,
        batch_size=16,
        num_epochs=3,
        num_train_samples=25,
        verbose=False,
        **arguments,
    )
    solver.train()
    return {
        **model.params,
        "loss": solver.loss_history,
        "accuracy": [solver.train_acc_history, solver.val_acc_history],
        "test": solver.check_accuracy(data["X_val"], data["y_val"], num_samples=30, batch_size=7),
        "stream": np.random.rand(),
    }


def assert_same(results, expected):
    for name, value in expected.items():
        np.testing.assert_array_equal(results[name], value, err_msg=name)


@pytest.mark.parametrize("net", [FullyConnectedNet, reference.FullyConnectedNet])
def test_training_does_not_depend_on_where_the_data_lie(source, tmp_path, net):
    X = images(60)
    for normalize in (None, (120.0, 70.0)):
        expected = trained(labelled(X, images(40)), net, normalize=normalize)
        with source(X) as X_train, source(images(40)) as X_val:
            results = trained(labelled(X_train, X_val), net, normalize=normalize)
        assert_same(results, expected)


@pytest.mark.parametrize("net", [FullyConnectedNet, reference.FullyConnectedNet])
@pytest.mark.parametrize("which", NORMALIZE)
def test_normalising_on_the_way_is_normalising_before(net, which):
    X, X_val = images(60), images(40)
    before = [normalised(x, *NORMALIZE[which], np.float32) for x in (X, X_val)]
    expected = trained(labelled(*before), net)
    assert_same(trained(labelled(X, X_val), net, normalize=NORMALIZE[which]), expected)


def test_a_strangers_model_gets_float64():
    seen = []

    def loss(X, y=None):
        seen.append(X)
        return (0.0, {}) if y is not None else np.zeros((len(X), 2))

    X = images(10)
    solver = Solver(SimpleNamespace(params={}, loss=loss), labelled(X), normalize=(1, 3))
    solver._step()
    solver.check_accuracy(X, np.zeros(10))
    assert {x.dtype for x in seen} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(seen[1], (X - 1.0) / 3)


def test_train_step_normalises_a_whole_batch_too():
    X, y = images(12), cases.labels(12, 10)
    losses = []
    for given in (
        {"X": X, "normalize": (3.0, 9.0)},
        {"X": X, "rows": np.arange(12), "normalize": (3.0, 9.0)},
        {"X": normalised(X, 3.0, 9.0, np.float32)},
    ):
        np.random.seed(0)
        model = FullyConnectedNet([5], FEATURES, weight_scale=1)
        configs = {name: {"learning_rate": 0.1} for name in model.params}
        losses.append(model.train_step(y=y, update_rule="sgd", optim_configs=configs, **given))
    assert losses[0] == losses[1] == losses[2]


def test_a_run_goes_on_wherever_the_data_lie(source, tmp_path):
    with source(images(60)) as X:
        solver = Solver(FullyConnectedNet([5], FEATURES), labelled(X), num_epochs=1, verbose=False)
        solver.train()
        solver.save(tmp_path / "run.npz")
        model = FullyConnectedNet([5], FEATURES)
        resumed = Solver.resume(tmp_path / "run.npz", model, labelled(images(60)), num_epochs=2)
    assert resumed.loss_history == solver.loss_history


def test_scoring_reads_batch_by_batch():
    """No call asks for more rows than a batch has, also of a drawn subset."""
    stored = Rows(images(300))
    model = FullyConnectedNet([5], FEATURES)
    solver = Solver(model, labelled(stored), normalize=(1, 2))
    solver.check_accuracy(stored, np.zeros(300), batch_size=32)
    solver.check_accuracy(stored, np.zeros(300), num_samples=290, batch_size=32)
    sizes = [
        rows.stop - rows.start if isinstance(rows, slice) else len(rows) for rows in stored.asked
    ]
    assert max(sizes) == 32
    assert len(sizes) == 2 * 10


@pytest.mark.parametrize("X", [np.float64(3), SimpleNamespace(shape=(3, 2)), [[1.0]]])
def test_what_is_no_array(X):
    data = {"X_train": X, "y_train": [0], "X_val": X, "y_val": [0]}
    with pytest.raises(TypeError, match=f"X_train is a {type(X).__name__}, expected an array"):
        Solver(FullyConnectedNet([5], 2), data)


# --- files larger than memory -----------------------------------------------------------------

# RLIMIT_DATA bounds what a process may write to: its heap and private mappings, not the pages of a
# file that it reads.  VmHWM counts those too, and so also holds for h5py, which maps nothing.
PROGRAM = """
import resource, sys
import numpy as np
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver

kind, path, shape = sys.argv[1], sys.argv[2], (40_000, 10_240)
if kind == "h5py":
    import h5py
    X = h5py.File(path)["X"]
else:
    X = np.memmap(path, np.uint8, "r", shape=shape)

def status(key):
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))

y = np.arange(shape[0]) % 10
model = FullyConnectedNet([20], shape[1])
model.loss(np.ones((100, shape[1])), y[:100])  # threads and their memory
limit = status("VmData") + (40 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
before = status("VmHWM")

data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
solver = Solver(model, data, normalize=(100.0, 50.0), update_rule="adam", num_epochs=0,
                num_train_samples=8_000, num_val_samples=8_000, verbose=False)
for _ in range(30):
    solver._step()
solver._score()
solver.check_accuracy(X, y)
assert len(solver.loss_history) == 30 and np.isfinite(solver.loss_history).all()
grown = status("VmHWM") - before
if kind == "h5py":
    assert grown < 60 << 20, f"grew by {grown} bytes"

try:  # the limit holds: all examples at once, even as bytes, are too much
    X[:].copy()
except MemoryError:
    print("trained within", limit)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs Linux's RLIMIT_DATA")
@pytest.mark.parametrize("kind", ["memmap", "h5py"])
def test_a_file_larger_than_memory(tmp_path, kind):
    path, shape = tmp_path / "X", (40_000, 10_240)
    if kind == "h5py":
        h5py = pytest.importorskip("h5py", reason="the extra [data] is not installed")
        with h5py.File(path, "w") as file:
            X = file.create_dataset("X", shape, np.uint8)
            X[::100] = 200
    else:
        X = np.memmap(path, np.uint8, "w+", shape=shape)  # sparse
        X[::100] = 200
        X.flush()
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, str(path)],
        cwd=Path(fastfc.__file__).parents[1],  # the very package that is tested here
        # a Python without the GIL sets a gigabyte of addresses aside, which RLIMIT_DATA counts
        env={**os.environ, "MIMALLOC_ARENA_RESERVE": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("trained within")
    assert int(run.stdout.split()[-1]) < shape[0] * shape[1]
