"""get_CIFAR10_data and its helpers, on small batch files made here and on the real ones."""

import hashlib
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from fastfc.data import cifar10
from fastfc.data_utils import get_CIFAR10_data, load_CIFAR10, load_CIFAR_batch
from tests.support.cifar import FOLDER, make_batch, python2_pickle, write_folder


@pytest.fixture(autouse=True)
def no_place_to_look(monkeypatch, tmp_path):
    """Hide whatever CIFAR-10 the machine has, and take small files for official ones."""
    monkeypatch.delenv("FASTFC_DATA", raising=False)
    (tmp_path / "elsewhere" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere" / "work")
    monkeypatch.setattr(cifar10, "OFFICIAL_MD5", {})
    monkeypatch.setattr(cifar10, "_warned", False)


@pytest.fixture
def root(tmp_path):
    """Six batch files of 20 images, in the parent of the official folder."""
    write_folder(tmp_path / "root" / FOLDER)
    return tmp_path / "root"


def expected_arrays(num_training=90, num_validation=10, num_test=20):
    """The splits by the definition: X as float64 minus the training mean."""
    batches = [make_batch(seed) for seed in range(6)]
    X = np.concatenate([b["data"] for b in batches]).reshape(-1, 3, 32, 32).astype(np.float64)
    y = np.concatenate([b["labels"] for b in batches])
    cut = {
        "train": slice(num_training),
        "val": slice(num_training, num_training + num_validation),
        "test": slice(100, 100 + num_test),
    }
    return {
        **{f"X_{k}": X[s] - X[:num_training].mean(axis=0) for k, s in cut.items()},
        **{f"y_{k}": y[s] for k, s in cut.items()},
    }


def test_get_CIFAR10_data_is_the_definition(root):
    data = get_CIFAR10_data(90, 10, 20, root=root)
    assert list(data) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]
    for name, want in expected_arrays().items():
        np.testing.assert_array_equal(data[name], want, strict=True)
        assert data[name].flags.c_contiguous
        assert data[name].flags.writeable


def test_splits_end_inside_files(root):
    data = get_CIFAR10_data(25, 7, 3, root=root)
    for name, want in expected_arrays(25, 7, 3).items():
        np.testing.assert_array_equal(data[name], want, strict=True)


def test_without_the_mean(root):
    data = get_CIFAR10_data(90, 10, 20, subtract_mean=False, root=root)
    want = make_batch(0)["data"].reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(data["X_train"][:20], want.astype(np.float64), strict=True)


def test_only_the_files_needed_are_read(root):
    (root / FOLDER / "data_batch_3").unlink()
    assert get_CIFAR10_data(30, 10, 5, root=root)["X_train"].shape == (30, 3, 32, 32)
    with pytest.raises(FileNotFoundError, match="data_batch_3"):
        get_CIFAR10_data(30, 11, 5, root=root)


@pytest.mark.parametrize("sizes", [(0, 10, 10), (10, -1, 10), (10, 10, -1)])
def test_impossible_sizes(root, sizes):
    with pytest.raises(ValueError, match="num_training must be at least 1"):
        get_CIFAR10_data(*sizes, root=root)


@pytest.mark.parametrize("sizes", [(91, 10, 10), (10, 10, 21)])
def test_more_than_there_is(root, sizes):
    with pytest.raises(ValueError, match="images wanted"):
        get_CIFAR10_data(*sizes, root=root)


def test_load_CIFAR10_has_colours_last(root):
    X_train, y_train, X_test, y_test = load_CIFAR10(root)
    batches = [make_batch(seed) for seed in range(6)]
    assert X_train.shape == (100, 32, 32, 3)
    assert X_test.shape == (20, 32, 32, 3)
    assert X_train.dtype == X_test.dtype == np.float64
    assert y_train.dtype == y_test.dtype == np.int64
    for channel in range(3):
        plane = batches[5]["data"][7, 1024 * channel : 1024 * (channel + 1)].reshape(32, 32)
        np.testing.assert_array_equal(X_test[7, :, :, channel], plane)
    assert y_train.tolist() == [y for b in batches[:5] for y in b["labels"]]
    assert y_test.tolist() == batches[5]["labels"]


def test_load_CIFAR_batch(root):
    X, y = load_CIFAR_batch(str(root / FOLDER / "data_batch_2"))
    want = make_batch(1)["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(X, want.astype(np.float64), strict=True)
    assert y.tolist() == make_batch(1)["labels"]


# Where it is looked for


def test_root_may_be_the_folder_itself(root):
    assert len(get_CIFAR10_data(9, 1, 1, root=root / FOLDER)["X_train"]) == 9
    assert len(get_CIFAR10_data(9, 1, 1, root=str(root / FOLDER))["X_train"]) == 9


@pytest.mark.parametrize("tail", ["", FOLDER])
def test_environment_variable(root, monkeypatch, tail):
    monkeypatch.setenv("FASTFC_DATA", str(root / tail))
    assert len(get_CIFAR10_data(9, 1, 1)["X_train"]) == 9


@pytest.mark.parametrize("start", [".", ".."])
@pytest.mark.parametrize("home", ["", "cs231n/datasets", "utils/datasets", "nndl/datasets"])
def test_places_of_the_original(start, home):
    write_folder(Path(start, home, FOLDER))
    assert len(get_CIFAR10_data(9, 1, 1)["X_train"]) == 9


def test_working_directory_is_the_folder(root, monkeypatch):
    monkeypatch.chdir(root / FOLDER)
    assert len(get_CIFAR10_data(9, 1, 1)["X_train"]) == 9


def test_environment_variable_comes_first(root, monkeypatch):
    write_folder(Path(FOLDER))
    Path(FOLDER, "data_batch_1").write_bytes(python2_pickle(make_batch(77)))
    monkeypatch.setenv("FASTFC_DATA", str(root))
    assert get_CIFAR10_data(9, 1, 1)["y_train"].tolist() == make_batch(0)["labels"][:9]


def test_not_found_says_everywhere_it_looked(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFC_DATA", str(tmp_path / "unset"))
    with pytest.raises(FileNotFoundError) as caught:
        get_CIFAR10_data()
    message = str(caught.value)
    here = tmp_path / "elsewhere" / "work"
    homes = ("", "cs231n/datasets", "utils/datasets", "nndl/datasets")
    for place in (tmp_path / "unset", *(here / home / FOLDER for home in homes)):
        assert str(place) in message
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in message
    assert "\n" not in message


def test_explicit_root_is_the_only_place(root, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFC_DATA", str(root))
    with pytest.raises(FileNotFoundError) as caught:
        get_CIFAR10_data(root=tmp_path / "wrong")
    assert str(tmp_path / "wrong") in str(caught.value)
    assert str(root) not in str(caught.value)


# What the files may hold


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("order", ["C", "F"])
def test_files_written_by_this_python(tmp_path, protocol, order):
    batch = make_batch(3)
    batch["data"] = np.asarray(batch["data"], order=order)
    batch["labels"] = np.array(batch["labels"], ">i4" if order == "F" else "<i8")
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol))
    X, y = load_CIFAR_batch(tmp_path / "batch")
    want = batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(X, want)
    np.testing.assert_array_equal(y, batch["labels"])


class Payload:
    """Pickles as a call: what an attacker would put into a file."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["whole", "data", "labels", "extra"])
def test_hostile_pickle_is_refused_and_nothing_runs(tmp_path, protocol, place):
    witness = tmp_path / "witness"
    payload = Payload(os.mkdir, str(witness))
    batch = payload if place == "whole" else {**make_batch(0), place: payload}
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps(batch, protocol))
    with pytest.raises(
        ValueError, match=rf"refused: the pickle asks for {os.mkdir.__module__}.mkdir"
    ):
        load_CIFAR_batch(path)
    assert not witness.exists()
    pickle.loads(path.read_bytes())  # an ordinary unpickler does run it
    assert witness.exists()


@pytest.mark.parametrize(
    "name", ["os system", "builtins eval", "numpy load", "numpy.core.multiarray fromfile"]
)
def test_only_listed_names_are_served(tmp_path, name):
    module, function = name.split()
    path = tmp_path / "batch"
    path.write_bytes(f"c{module}\n{function}\n(S'x'\ntR.".encode())
    with pytest.raises(ValueError, match=f"{path}: refused: the pickle asks for {module}"):
        load_CIFAR_batch(path)


def test_other_encodings_are_refused(tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(b"c_codecs\nencode\n(Vx\nVrot13\ntR.")
    with pytest.raises(ValueError, match="refused: the pickle encodes as 'rot13'"):
        load_CIFAR_batch(path)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_object_arrays_are_refused(tmp_path, protocol):
    batch = {**make_batch(0), "data": np.array([[1, "a"]], dtype=object)}
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol))
    with pytest.raises(ValueError, match="refused: the pickle holds an array of dtype 'O8'"):
        load_CIFAR_batch(tmp_path / "batch")


def test_truncated_anywhere(tmp_path):
    raw = python2_pickle(make_batch(0, rows=2))
    path = tmp_path / "data_batch_1"
    for size in (*range(0, 60), *range(60, len(raw), 97), len(raw) - 1):
        path.write_bytes(raw[:size])
        with pytest.raises(ValueError, match=f"{path}: truncated, or not a CIFAR-10 batch file"):
            load_CIFAR_batch(path)


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08\x00", b"hello world\n", pickle.dumps([1]), b"N."],
)
def test_foreign_file(tmp_path, content):
    path = tmp_path / "test_batch"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}: truncated, or not a CIFAR-10 batch file"):
        load_CIFAR_batch(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((20, 3072), np.int8)}, "data is int8 of shape"),
        ({"data": np.zeros((20, 3071), np.uint8)}, r"shape \(20, 3071\), expected uint8"),
        ({"data": np.zeros((20, 3, 1024), np.uint8)}, r"shape \(20, 3, 1024\), expected uint8"),
        (
            {"data": np.zeros((0, 3072), np.uint8), "labels": []},
            r"shape \(0, 3072\), expected uint8",
        ),
        ({"labels": [0] * 19}, r"labels are int64 of shape \(19,\), expected 20 integers"),
        ({"labels": [0.5] * 20}, "labels are float64"),
        ({"labels": ["cat"] * 20}, "labels are <U3"),
        ({"labels": [0] * 19 + [10]}, "labels from 0 to 10, expected 0 to 9"),
        ({"labels": [0] * 19 + [-1]}, "labels from -1 to 0, expected 0 to 9"),
    ],
)
def test_wrong_contents(tmp_path, change, message):
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({**make_batch(0), **change}))
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        load_CIFAR_batch(path)


# Known good sums


def test_foreign_sums_warn_once_and_name_the_files(root, monkeypatch):
    good = (root / FOLDER / "data_batch_1").read_bytes()
    sums = dict.fromkeys((*cifar10.TRAIN_FILES, cifar10.TEST_FILE), "0" * 32)
    sums["data_batch_1"] = hashlib.md5(good).hexdigest()
    monkeypatch.setattr(cifar10, "OFFICIAL_MD5", sums)
    with pytest.warns(UserWarning, match="MD5 sums differ") as caught:
        get_CIFAR10_data(30, 10, 20, root=root)
    assert len(caught) == 1
    assert str(root / FOLDER) in str(caught[0].message)
    assert "data_batch_2" in str(caught[0].message)
    assert "data_batch_1" not in str(caught[0].message)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get_CIFAR10_data(30, 10, 20, root=root)


def test_good_sums_do_not_warn(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get_CIFAR10_data(30, 10, 20, root=root)
    assert not cifar10._warned
