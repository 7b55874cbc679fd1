"""The loaders of fastfc.data: digits, MNIST's idx files and .npz archives."""

import gzip
import hashlib
import os
import re
import struct
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from fastfc.data import load_digits, load_mnist, load_npz
from fastfc.data.digits import read_digits
from fastfc.data.mnist import read_idx
from fastfc.data.splits import float_splits

# The UCI digits


def test_digits_are_the_published_ones():
    text = gzip.decompress((files("fastfc.data") / "digits.csv.gz").read_bytes())
    sha256 = hashlib.sha256(text).hexdigest()
    assert sha256 == "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
    assert sha256 in (files("fastfc.data") / "DIGITS.md").read_text("utf-8")
    X, y = read_digits()
    assert X.shape == (1797, 1, 8, 8)
    assert (X.dtype, y.dtype) == (np.uint8, np.int64)
    assert (X.min(), X.max()) == (0, 16)
    # class counts of optdigits.tes, as optdigits.names states them
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_splits_are_disjoint_and_complete():
    data = load_digits()
    X, y = read_digits()
    assert [len(data[f"y_{name}"]) for name in ("train", "val", "test")] == [1197, 300, 300]
    assert list(data) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]
    parts = [data[f"X_{name}"] for name in ("train", "val", "test")]
    labels = np.concatenate([data[f"y_{name}"] for name in ("train", "val", "test")])
    mean = X[np.random.RandomState(0).permutation(1797)[:1197]].mean(axis=0, dtype=np.float64)
    back = np.concatenate(parts) * 16 + mean
    pixels = np.rint(back).astype(int)
    assert np.abs(back - pixels).max() < 1e-13
    rows = sorted((*image.ravel(), label) for image, label in zip(pixels, labels, strict=True))
    assert rows == sorted((*image.ravel(), label) for image, label in zip(X, y, strict=True))
    for part in parts:
        assert part.dtype == np.float64
        assert np.abs(part).max() <= 1
    assert np.abs(parts[0].mean(axis=0)).max() < 1e-15


def test_digits_are_alike_every_time_and_leave_the_generator_alone():
    np.random.seed(7)
    first = load_digits()
    drawn = np.random.rand()
    np.random.seed(7)
    assert drawn == np.random.rand()
    for name, array in load_digits().items():
        np.testing.assert_array_equal(array, first[name], strict=True)


# What the loaders share


def test_float_splits_is_the_definition():
    rng = np.random.RandomState(0)
    X, y = rng.randint(256, size=(30, 2, 3)).astype(np.uint8), rng.randint(4, size=30)
    splits = {"train": (X[:20], y[:20]), "val": (X[20:], y[20:])}
    mean = X[:20].astype(np.float64).mean(axis=0)
    for subtract, scale in ((True, 1), (True, 255), (False, 255), (False, 1)):
        data = float_splits(splits, subtract, scale)
        want = (X[20:].astype(np.float64) - (mean if subtract else 0)) / scale
        np.testing.assert_array_equal(data["X_val"], want, strict=True)
        np.testing.assert_array_equal(data["y_val"], y[20:].astype(np.int64), strict=True)


# MNIST


def idx(array, code=8):
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(autouse=True)
def no_place_to_look(monkeypatch, tmp_path):
    (tmp_path / "elsewhere" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere" / "work")


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A folder of four small idx files, and the arrays in them."""
    monkeypatch.delenv("FASTFC_DATA", raising=False)
    rng = np.random.RandomState(1)
    arrays = {
        "train-images-idx3-ubyte": rng.randint(256, size=(50, 6, 5)).astype(np.uint8),
        "train-labels-idx1-ubyte": rng.randint(10, size=50).astype(np.uint8),
        "t10k-images-idx3-ubyte": rng.randint(256, size=(20, 6, 5)).astype(np.uint8),
        "t10k-labels-idx1-ubyte": rng.randint(10, size=20).astype(np.uint8),
    }
    write_mnist(tmp_path / "root", arrays)
    return tmp_path / "root", arrays


def write_mnist(folder, arrays):
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))


def test_mnist_is_the_definition(mnist):
    root, arrays = mnist
    data = load_mnist(root, num_validation=10)
    X, y, X_test, y_test = arrays.values()
    mean = X[:40].astype(np.float64).mean(axis=0)
    for name, images, labels in (
        ("train", X[:40], y[:40]),
        ("val", X[40:], y[40:]),
        ("test", X_test, y_test),
    ):
        want = ((images.astype(np.float64) - mean) / 255)[:, None]
        np.testing.assert_array_equal(data[f"X_{name}"], want, strict=True)
        np.testing.assert_array_equal(data[f"y_{name}"], labels.astype(np.int64), strict=True)


def test_mnist_with_its_zeros(mnist):
    root, arrays = mnist
    data = load_mnist(root, num_validation=10, subtract_mean=False)
    images = next(iter(arrays.values()))
    np.testing.assert_array_equal(data["X_train"], images[:40, None] / 255, strict=True)


def test_mnist_gzipped(mnist):
    root, arrays = mnist
    plain = load_mnist(root, num_validation=10)
    for name in arrays:
        (root / f"{name}.gz").write_bytes(gzip.compress((root / name).read_bytes()))
        (root / name).unlink()
    for name, array in load_mnist(root, num_validation=10).items():
        np.testing.assert_array_equal(array, plain[name], strict=True)


@pytest.mark.parametrize("tail", ["", "mnist", "MNIST/raw"])
def test_mnist_places(mnist, tmp_path, monkeypatch, tail):
    _, arrays = mnist
    if tail:
        write_mnist(tmp_path / "other" / tail, arrays)
    else:
        write_mnist(tmp_path / "other", arrays)
    monkeypatch.setenv("FASTFC_DATA", str(tmp_path / "other"))
    assert load_mnist(num_validation=10)["X_train"].shape == (40, 1, 6, 5)
    monkeypatch.delenv("FASTFC_DATA")
    monkeypatch.chdir(tmp_path / "other")
    assert load_mnist(num_validation=10)["X_train"].shape == (40, 1, 6, 5)


def test_mnist_missing_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(tmp_path / "nowhere")
    message = str(caught.value)
    assert str(tmp_path / "nowhere") in message
    assert str(tmp_path / "nowhere" / "MNIST" / "raw") in message
    assert "train-images-idx3-ubyte" in message
    assert "\n" not in message


@pytest.mark.parametrize("num_validation", [-1, 50])
def test_mnist_impossible_split(mnist, num_validation):
    with pytest.raises(ValueError, match="expected 0 to 49"):
        load_mnist(mnist[0], num_validation)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_truncated_anywhere(tmp_path, zipped):
    raw = idx(np.arange(12, dtype=np.uint8).reshape(2, 3, 2))
    raw = gzip.compress(raw) if zipped else raw
    path = tmp_path / "file"
    path.write_bytes(raw)
    assert read_idx(path).tolist() == np.arange(12).reshape(2, 3, 2).tolist()
    for size in range(len(raw)):
        path.write_bytes(raw[:size])
        with pytest.raises(ValueError, match=str(path)):
            read_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n", "not an idx file"),
        (gzip.compress(b"hello, world", mtime=0), "not an idx file"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9] + b"?" * 9, "damaged gzip file"),
        (idx(np.zeros(3, ">f4"), code=0x0D), "idx type 0x0d, expected 0x08"),
        (idx(np.zeros(3, np.uint8)) + b"\0", r"too long: 12 bytes, expected 11 for shape \(3,\)"),
        (struct.pack(">HBBII", 0, 8, 2, 2**32 - 1, 2**32 - 1), "truncated: 12 bytes, expected"),
    ],
)
def test_idx_foreign(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}: {message}"):
        read_idx(path)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-labels-idx1-ubyte", np.zeros(49, np.uint8), r"shape \(49,\), expected 50 labels"),
        ("t10k-labels-idx1-ubyte", np.zeros((20, 1), np.uint8), r"expected 20 labels"),
        ("train-images-idx3-ubyte", np.zeros((50, 30), np.uint8), "expected images"),
        ("train-images-idx3-ubyte", np.zeros((0, 6, 5), np.uint8), "expected images"),
        ("t10k-images-idx3-ubyte", np.zeros((20, 6, 6), np.uint8), r"test images \(6, 6\)"),
    ],
)
def test_mnist_files_that_do_not_fit(mnist, name, array, message):
    root, _ = mnist
    (root / name).write_bytes(idx(array))
    with pytest.raises(ValueError, match=message):
        load_mnist(root, num_validation=10)


def test_real_mnist():
    home = os.environ.get("FASTFC_DATA")
    found = home and [*Path(home).rglob("train-images-idx3-ubyte*")]
    if not found:
        pytest.skip("no MNIST: set FASTFC_DATA to the folder that has its idx files")
    data = load_mnist(found[0].parent)
    shapes = [data[name].shape for name in ("X_train", "X_val", "X_test")]
    assert shapes == [(55000, 1, 28, 28), (5000, 1, 28, 28), (10000, 1, 28, 28)]
    assert data["y_train"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data["y_test"][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


# .npz


def arrays(**changes):
    X, y = np.arange(24.0, dtype=np.float32).reshape(6, 2, 2), np.array([0, 1, 2, 0, 1, 2], "i1")
    full = {
        "X_train": X,
        "y_train": y,
        "X_val": X[:2],
        "y_val": y[:2],
        "X_test": X[:3],
        "y_test": y[:3],
    }
    return {k: v for k, v in {**full, **changes}.items() if v is not None}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("has_test", [True, False])
def test_npz(tmp_path, save, has_test):
    path = tmp_path / "mine.npz"
    given = arrays(**({} if has_test else {"X_test": None, "y_test": None}))
    save(path, **given, more="ignored")
    data = load_npz(path)
    assert list(data) == list(given)
    for name, array in given.items():
        want = array.astype(np.int64) if name[0] == "y" else array
        np.testing.assert_array_equal(data[name], want, strict=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_val": None}, "y_val missing"),
        ({"X_train": None, "X_val": None}, "X_train, X_val missing"),
        ({"y_test": None}, "y_test missing"),
        ({"X_train": np.zeros(6)}, r"X_train has shape \(6,\), expected \(N, d_1, \.\.\.\)"),
        ({"X_train": np.zeros((0, 2, 2))}, r"X_train has shape \(0, 2, 2\)"),
        ({"X_val": np.zeros((2, 4))}, r"X_val has shape \(2, 4\), expected \(N, 2, 2\) to match"),
        ({"X_train": np.zeros((6, 2, 2), complex)}, "X_train has dtype complex128, expected real"),
        ({"X_test": np.full((3, 2, 2), "a")}, "X_test has dtype <U1, expected real"),
        ({"X_test": np.zeros((3, 2, 2), np.longdouble)}, "X_test has dtype .*, expected real"),
        ({"y_train": np.zeros(5, int)}, r"y_train has shape \(5,\), expected \(6,\)"),
        ({"y_train": np.zeros((6, 1), int)}, r"y_train has shape \(6, 1\), expected \(6,\)"),
        ({"y_train": np.zeros(6)}, "y_train has dtype float64, expected integers"),
        ({"y_val": np.array([0, -1])}, "y_val has labels from -1 to 0, expected 0 to"),
        (
            {"y_val": np.array([0, 2**64 - 1], np.uint64)},
            "y_val has labels from 0 to 18446744073709551615",
        ),
    ],
)
def test_npz_contents(tmp_path, changes, message):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays(**changes))
    with pytest.raises(ValueError, match=f"{path}: {message}"):
        load_npz(path)


class Witness:
    """Unpickling one makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_npz_never_unpickles(tmp_path):
    witness = tmp_path / "witness"
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays(X_train=np.array([Witness(str(witness))], dtype=object)))
    with pytest.raises(ValueError, match=f"{path}: Object arrays cannot be loaded"):
        load_npz(path)
    assert not witness.exists()
    np.load(path, allow_pickle=True)["X_train"]
    assert witness.exists()


def test_npz_truncated_and_foreign(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **arrays())
    raw = path.read_bytes()
    for size in (0, 1, 100, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:size])
        with pytest.raises(ValueError, match=f"{path}: truncated, or not a .npz file"):
            load_npz(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"one\.npy: truncated, or not a \.npz file"):
        load_npz(tmp_path / "one.npy")


def test_npz_damaged_within(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays())
    raw = bytearray(path.read_bytes())
    at = raw.index(arrays()["X_train"].tobytes())
    raw[at + 10] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=f"{path}: Bad CRC-32"):
        load_npz(path)


def test_npz_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none.npz"))):
        load_npz(tmp_path / "none.npz")
