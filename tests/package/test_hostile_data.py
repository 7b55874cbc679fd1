"""Data files from strangers: an error with the path, and no more memory than they justify."""

import gzip
import pickle
import struct
import zipfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from fastfc import archives
from fastfc.cli import main
from fastfc.data import load_npz
from fastfc.data.mnist import read_idx
from fastfc.data_utils import load_CIFAR_batch
from tests.support import memory
from tests.support.cifar import make_batch, python2_pickle
from tests.support.npz import npy_header, read_entries, reads_or_names, write_entries

MEGABYTE = 1 << 20


def refused(read, path, message=None):
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


# --- idx --------------------------------------------------------------------------------------


def test_an_idx_file_that_unpacks_to_much(tmp_path):
    """1.5 MB would become gigabytes behind a header of 245 bytes."""
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb", 9) as file:
        file.write(struct.pack(">HBB3I", 0, 8, 3, 5, 7, 7))
        for _ in range(40):
            file.write(bytes(MEGABYTE))
    with memory.at_most(4 * MEGABYTE):
        refused(
            read_idx, path, r"too long: more than 262 bytes, expected 261 for shape \(5, 7, 7\)"
        )


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "shape", [(1,) * 70, (0, *[2**32 - 1] * 3), (2**32 - 1,) * 3, (2**32 - 1,) * 255, (2**31, 0)]
)
def test_shapes_of_idx_files(tmp_path, shape, zipped):
    path = tmp_path / "images"
    content = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    content += b"x" if 0 not in shape else b""
    path.write_bytes(gzip.compress(content) if zipped else content)
    with memory.at_most(4 * MEGABYTE):
        if shape == (2**31, 0):
            assert read_idx(path).shape == shape
        else:
            refused(read_idx, path)


def test_idx_arrays_are_read_only(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(struct.pack(">HBBI", 0, 8, 1, 3) + b"abc")
    array = read_idx(path)
    assert array.tobytes() == b"abc"
    assert not array.flags.writeable


# --- CIFAR-10 ---------------------------------------------------------------------------------


def nested(depth):
    value = [1]
    for _ in range(depth):
        value = [value, value]
    return value


HOSTILE = {
    "a memo of 50 million": b"Nr" + (50_000_000).to_bytes(4, "little") + b".",
    "a memo of 2^31": b"Nr" + (2**31 - 1).to_bytes(4, "little") + b".",
    "a memo of text": b"Np99999999999\n.",
    "a bytearray": b"\x96" + (2**33).to_bytes(8, "little") + b".",
    "a bytearray beyond all": b"\x96" + (2**64 - 1).to_bytes(8, "little") + b".",
    "bytes": b"\x8e" + (2**40).to_bytes(8, "little") + b".",
    "text": b"\x8d" + (2**40).to_bytes(8, "little") + b".",
    "an integer": b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b"1.",
    "a frame": b"\x80\4\x95" + (2**60).to_bytes(8, "little") + b".",
    "many lists": b"]" * MEGABYTE + b".",
    "many marks": b"(" * MEGABYTE + b".",
    "many tuples": b")" + b"\x85" * MEGABYTE + b".",
    "many copies": b"N" + b"2" * MEGABYTE + b".",
    "digits": b"I" + b"9" * MEGABYTE + b"\n.",
    "one text encoded often": b"(X\x00\x00\x02\x00"
    + b"a" * 2**17
    + b"q\1X\6\0\0\0latin1q\2"
    + (b"c_codecs\nencode\nh\1h\2\x86R" * 1000)
    + b".",
    "nested labels": pickle.dumps({**make_batch(0), "labels": nested(30)}),
    "one long label often": pickle.dumps({**make_batch(0), "labels": ["x" * 50_000] * 20}),
    "labels that are none": pickle.dumps({**make_batch(0), "labels": 5}),
    "labels that no array has": pickle.dumps({**make_batch(0), "labels": [10**5000] * 20}),
    "a persistent name": b"Pmine\n.",
    "an extension": b"\x82\1.",
    "a set": b"\x8f.",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles(tmp_path, what):
    path = tmp_path / "data_batch_1"
    path.write_bytes(HOSTILE[what])
    with memory.at_most(4 * len(HOSTILE[what]) + 3 * MEGABYTE):
        refused(load_CIFAR_batch, path)


@hypothesis.settings(max_examples=400)
@hypothesis.given(st.data())
def test_any_bytes_anywhere_in_a_pickle(tmp_path, data):
    whole = data.draw(st.sampled_from([python2_pickle(make_batch(0, rows=2)), PLAIN]))
    where = data.draw(st.integers(0, 300) | st.integers(0, len(whole) - 1))
    new = data.draw(st.binary(min_size=1, max_size=12))
    path = tmp_path / "batch"
    path.write_bytes(whole[:where] + new + whole[where + len(new) :])
    with memory.at_most(4 * MEGABYTE):
        assert reads_or_names(load_CIFAR_batch, path)


PLAIN = pickle.dumps(make_batch(0, rows=2), 4)

# --- .npz -------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path):
    X, y = np.random.RandomState(0).rand(60, 8).astype(np.float32), np.arange(60) % 4
    np.savez(tmp_path / "mine.npz", X_train=X, y_train=y, X_val=X, y_val=y)
    return tmp_path / "mine.npz"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("y_train", npy_header((40 * MEGABYTE,), "|u1")),
        ("X_val", npy_header((40, MEGABYTE), "|u1")),
        ("X_train", npy_header((40 * MEGABYTE,), "|S1")),
        ("y_val", npy_header((40 * MEGABYTE,), "|b1")),
        ("more", npy_header((40 * MEGABYTE,), "|u1")),
    ],
)
def test_an_array_that_unpacks_to_much_and_does_not_fit(mine, name, header):
    """Shapes and dtypes are compared before anything is unpacked."""
    content = header, 40 * MEGABYTE
    write_entries(mine, {**read_entries(mine), name: content}, zipfile.ZIP_DEFLATED)
    with memory.at_most(4 * MEGABYTE):
        if name == "more":
            assert set(load_npz(mine)) == {"X_train", "y_train", "X_val", "y_val"}
        else:
            refused(load_npz, mine)


@pytest.mark.parametrize("shape", [(2**40, 8), (2**62, 2**62), (60, 2**61)])
def test_a_shape_without_its_bytes(mine, shape):
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        content = {name: npy_header(shape, "<f4") for name in ("X_train", "X_val")}
        write_entries(mine, {**read_entries(mine), **content}, compression)
        with memory.at_most(4 * MEGABYTE):
            refused(load_npz, mine, "but there are")


def test_a_directory_that_agrees_with_a_wrong_header(tmp_path, mine):
    """Both say a terabyte; the file has a few bytes of it, which cannot unpack to so much."""
    entries = read_entries(mine)
    entries["X_train"] = npy_header((2**37, 8), "|u1") + bytes(8)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        write_entries(mine, entries, compression)
        length = len(entries["X_train"])
        content = bytearray(mine.read_bytes())
        with zipfile.ZipFile(mine) as archive:
            start = archive.start_dir
        at = content.index(b"X_train.npy", start) - 46 + 24
        assert content[at : at + 4] == length.to_bytes(4, "little")
        content[at : at + 4] = (0xFFFFFFFE).to_bytes(4, "little")
        mine.write_bytes(content)
        with memory.at_most(4 * MEGABYTE):
            refused(load_npz, mine, "are there at most|but there are")


@pytest.mark.parametrize("bit", [14, 23, 30])
def test_one_large_label_makes_no_large_network(mine, capsys, bit):
    """A bit that has turned in a file of 6 KB would make a network of gigabytes."""
    with np.load(mine) as archive:
        arrays = dict(archive)
    arrays["y_train"][0] |= 1 << bit
    np.savez(mine, **arrays)
    with memory.at_most(4 * MEGABYTE):
        assert main(["train", "--data", str(mine), "--epochs", "1", "--hidden", "3"]) == 2
    assert f"y_train has the label {1 << bit}, expected labels of cl" in capsys.readouterr().err


def test_a_damaged_header_is_one_line(mine, capsys):
    content = b"{'descr': '<f4', 'fortran_order': False, 'shape': (60, 8\n"
    content = b"\x93NUMPY\1\0" + len(content).to_bytes(2, "little") + content
    write_entries(mine, {**read_entries(mine), "X_train": content})
    assert main(["train", "--data", str(mine)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fastfc: {mine}: X_train has a damaged header")
    assert error.count("\n") == 1


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.data())
def test_any_bytes_anywhere_in_an_archive(mine, data):
    whole = mine.read_bytes()
    where = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.binary(min_size=1, max_size=12))
    path = mine.with_name("evil.npz")
    path.write_bytes(whole[:where] + new + whole[where + len(new) :])
    with memory.at_most(4 * MEGABYTE):
        assert reads_or_names(load_npz, path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("structured", [False, True])
def test_text_beyond_unicode(tmp_path, order, structured):
    """NumPy takes any number for a character; looking at it is a SystemError."""
    text = np.array([0x10FFFF, 0x66666666], f"{order}u4").view(f"{order}U1")
    if structured:
        text = text.view([("name", f"{order}U1")])
    np.savez(tmp_path / "text.npz", good=text[:1], bad=text)
    with archives.open_archive(tmp_path / "text.npz") as archive:
        assert archive.read("good").tobytes() == text[:1].tobytes()
    with (
        pytest.raises(ValueError, match=r"text\.npz: bad has text that is not Unicode's"),
        archives.open_archive(tmp_path / "text.npz") as archive,
    ):
        archive.read("bad")
