"""Model files from strangers: an error with the path, and no more memory than the file has."""

import json
import zipfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from fastfc import fc_net
from tests.support import memory
from tests.support.npz import npy_header, read_entries, reads_or_names, write_entries

MEGABYTE = 1 << 20


@pytest.fixture
def path(tmp_path):
    net = fc_net.FullyConnectedNet([2], input_dim=3, num_classes=2, use_batchnorm=True, dropout=0.5)
    net.loss(np.ones((4, 3)), np.zeros(4, int))
    net.save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


def refused(path, message=None):
    with pytest.raises(ValueError, match=message) as caught:
        fc_net.FullyConnectedNet.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def rewrite(path, change):
    with np.load(path) as archive:
        arrays = dict(archive)
    metadata = json.loads(arrays.pop("metadata").item())
    change(metadata)
    np.savez(path, metadata=np.array(json.dumps(metadata)), **arrays)


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("more", zipfile.ZIP_DEFLATED),
        ("params/W1", zipfile.ZIP_DEFLATED),
        ("metadata", zipfile.ZIP_DEFLATED),
        ("bn_params/0/running_mean", zipfile.ZIP_DEFLATED),
        ("params/W1", zipfile.ZIP_BZIP2),
        ("params/W1", zipfile.ZIP_LZMA),
    ],
)
def test_an_entry_that_unpacks_to_much(path, name, compression):
    content = npy_header((16 * MEGABYTE,), "|u1"), 16 * MEGABYTE
    write_entries(path, {**read_entries(path), name: content}, compression)
    with memory.at_most(8 * MEGABYTE):
        refused(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["arguments"].update(hidden_dims=[20_000, 20_000]),
        lambda m: m["arguments"].update(input_dim=100_000_000),
        lambda m: m["arguments"].update(num_classes=100_000_000),
        lambda m: m["arguments"].update(hidden_dims=[1] * 100_000),
        lambda m: m["arguments"].update(hidden_dims=[10**400]),
        lambda m: m["arguments"].update(hidden_dims=[[2]]),
        lambda m: m["arguments"].update(input_dim=None),
        lambda m: m["arguments"].update(reg=10**400),
        lambda m: m["arguments"].update(dropout=10**400),
        lambda m: m["arguments"].update(normalization=["batchnorm"]),
        lambda m: m["bn_params"][0].update(eps=10**400),
        lambda m: m["dropout_param"].update(p=10**400),
        lambda m: m["dropout_param"].update(p=0),
        lambda m: m["dropout_param"].update(p=1, convention="drop"),
        lambda m: m["dropout_param"].update(convention="dorp"),
        lambda m: m["dropout_param"].update(rng=5),
        lambda m: m["dropout_param"].update(seed="x"),
        lambda m: m["bn_params"][0].update(eps=-1),
        lambda m: m["bn_params"][0].update(momentum=2),
        lambda m: m.update({"class": ["FullyConnectedNet"]}),
        lambda m: m.update(arrays=[["params/W1"]]),
    ],
)
def test_metadata_that_ask_for_much(path, change):
    """A network of a gigabyte, said in 4 KB."""
    rewrite(path, change)
    with memory.at_most(16 * MEGABYTE):
        refused(path)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, -2), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': [3, 2], }",
        b"{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 2), }",
        b"{'descr': 'O', 'fortran_order': False, 'shape': (3, 2), }",
        b"{'descr': '(2,)<f4', 'fortran_order': False, 'shape': (3,), }",
        b"{'descr': 3, 'fortran_order': False, 'shape': (3, 2), }",
        b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3, 2), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b",), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 0), }",
        b"[1, 2]",
        b"(" * 30_000,
        b"-" * 30_000 + b"1",
        b"__import__('os').getcwd()",
        b"\xff\xfe\0",
    ],
)
def test_headers(path, header):
    for version, width in ((b"\1\0", 2), (b"\2\0", 4), (b"\3\0", 4)):
        if len(header) < 256**width:
            content = b"\x93NUMPY" + version + len(header).to_bytes(width, "little") + header
            write_entries(path, {**read_entries(path), "params/W1": content + bytes(24)})
            refused(path)


def test_a_header_without_end(path):
    content = b"\x93NUMPY\2\0" + (2**32 - 1).to_bytes(4, "little"), 40 * MEGABYTE
    write_entries(path, {**read_entries(path), "params/W1": content})
    with memory.at_most(8 * MEGABYTE):
        refused(path, "has a header of 4294967295 bytes")


def test_headers_of_python_2(path):
    """Whose shapes had long integers."""
    entries = read_entries(path)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 2L), }"
    header = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    W1 = fc_net.FullyConnectedNet.load(path).params["W1"]
    write_entries(path, {**entries, "params/W1": header + W1.tobytes()})
    np.testing.assert_array_equal(fc_net.FullyConnectedNet.load(path).params["W1"], W1)


def test_two_entries_of_one_name(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("metadata", "{}")
    refused(path, "metadata is in it twice")


@hypothesis.settings(max_examples=500)
@hypothesis.given(st.data())
def test_any_bytes_anywhere(path, data):
    """An error that names the file, or a network."""
    whole = path.read_bytes()
    where = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.binary(min_size=1, max_size=12))
    target = path.with_name("evil.npz")
    target.write_bytes(whole[:where] + new + whole[where + len(new) :])
    with memory.at_most(16 * MEGABYTE):
        assert reads_or_names(fc_net.FullyConnectedNet.load, target)
