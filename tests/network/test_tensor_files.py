"""Networks in ``.safetensors`` files, beside what `test_model_files` asks of both kinds."""

import json
import os

import numpy as np
import pytest

from fastfc import fc_net, tensor_files
from tests.support import cases, memory
from tests.support.npz import reads_or_names
from tests.support.process import in_new_process
from tests.support.tensors import join_tensors, split_tensors

safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")
numpy_files = pytest.importorskip("safetensors.numpy")

MEGABYTE = 1 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def network(dtype=np.float32, **arguments):
    arguments = {"normalization": "batchnorm", "dropout": 0.5, **arguments}
    net = fc_net.FullyConnectedNet([9, 8], 6, 4, dtype=dtype, weight_scale=0.5, **arguments)
    net.loss(cases.normal((20, 6), np.float64, "X"), cases.labels(20, 4))
    return net


def refused(path, message=None):
    with pytest.raises(ValueError, match=message) as caught:
        fc_net.FullyConnectedNet.load(path)
    assert str(caught.value).startswith(f"{path}: ")


# --- what is in the file ----------------------------------------------------------------------


def test_the_plain_library_reads_it(path, dtype):
    net = network(dtype)
    net.save(path)
    arrays = numpy_files.load_file(path)
    names = {f"params/{name}" for name in net.params}
    names |= {f"bn_params/{i}/running_{s}" for i in (0, 1) for s in ("mean", "var")}
    assert arrays.keys() == names
    for name, value in net.params.items():
        assert arrays[f"params/{name}"].dtype == dtype
        np.testing.assert_array_equal(arrays[f"params/{name}"], value)
    with safetensors.safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata()
    assert list(metadata) == ["fastfc_network"]
    described = json.loads(metadata["fastfc_network"])
    assert described["format"] == "fastfc network"
    assert described["arguments"]["hidden_dims"] == [9, 8]
    assert set(described["arrays"]) == names


def test_both_kinds_say_the_same(path, tmp_path):
    """One description, one set of arrays."""
    net = network()
    net.save(path)
    net.save(tmp_path / "net.npz")
    arrays = numpy_files.load_file(path)
    with np.load(tmp_path / "net.npz") as archive:
        assert set(archive.files) == {"metadata", *arrays}
        for name, value in arrays.items():
            assert archive[name].tobytes() == value.tobytes()
        with safetensors.safe_open(path, framework="numpy") as opened:
            assert opened.metadata()["fastfc_network"] == archive["metadata"].item()


def test_preprocessing(path):
    net = network()
    net.preprocessing = {"kind": "normalize", "mean": [0.1] * 6, "std": 2.5}
    net.save(path)
    assert fc_net.FullyConnectedNet.load(path).preprocessing == net.preprocessing


def test_the_same_network_gives_the_same_bytes(path, tmp_path):
    net, found = network(), set()
    for _ in range(8):
        net.save(path)
        found.add(path.read_bytes())
    fc_net.FullyConnectedNet.load(path).save(tmp_path / "again.safetensors")
    found.add((tmp_path / "again.safetensors").read_bytes())
    code = (
        "import sys; from fastfc.fc_net import FullyConnectedNet as Net;"
        f"Net.load({str(path)!r}).save({str(tmp_path / 'other.safetensors')!r})"
    )
    assert in_new_process(code) == (0, "")
    found.add((tmp_path / "other.safetensors").read_bytes())
    assert len(found) == 1


LAYOUTS = {
    "a transpose": lambda a: np.ascontiguousarray(a.T).T,
    "Fortran order": np.asfortranarray,
    "every other number": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "other bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "not aligned": lambda a: np.frombuffer(b"x" + a.tobytes(), "u1")[1:]
    .view(a.dtype)
    .reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whatever_lies_in_memory(path, layout):
    """The library takes an array's bytes as they lie."""
    net = network()
    net.save(path)
    expected = path.read_bytes()
    net.params = {name: LAYOUTS[layout](value) for name, value in net.params.items()}
    for bn_param in net.bn_params:
        for name in ("running_mean", "running_var"):
            bn_param[name] = LAYOUTS[layout](bn_param[name])
    net.save(path)
    assert path.read_bytes() == expected


def test_arrays_are_ones_own(path):
    """They may be written to, and the file may go."""
    network().save(path)
    loaded = fc_net.FullyConnectedNet.load(path)
    path.unlink()
    for value in loaded.params.values():
        assert value.flags.writeable
        assert value.flags.owndata
        value += 1


# --- which kind a file is ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["net.SafeTensors", "a.npz.safetensors", ".safetensors"])
def test_the_ending_says_how_it_is_written(tmp_path, name):
    network().save(tmp_path / name)
    assert numpy_files.load_file(tmp_path / name)


@pytest.mark.parametrize("name", ["net.npz", "net", "safetensors", "net.safetensors.npz"])
def test_other_endings(tmp_path, name):
    network().save(tmp_path / name)
    with np.load(tmp_path / name) as archive:
        assert "metadata" in archive


@pytest.mark.parametrize(
    ("name", "other"), [("a.safetensors", "b.npz"), ("a.npz", "b.safetensors")]
)
def test_a_file_of_another_name_is_read(tmp_path, name, other):
    net = network()
    net.save(tmp_path / name)
    os.rename(tmp_path / name, tmp_path / other)
    X = cases.normal((3, 6), np.float32, "X")
    loaded = fc_net.FullyConnectedNet.load(tmp_path / other)
    np.testing.assert_array_equal(loaded.loss(X), net.loss(X))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        fc_net.FullyConnectedNet.load(tmp_path / "no.safetensors")


# --- what cannot be written -------------------------------------------------------------------


def test_a_dtype_that_no_file_can_hold(path):
    net = network()
    net.save(path)
    before = path.read_bytes()
    net.bn_params[0]["running_mean"] = net.bn_params[0]["running_mean"].astype(np.longdouble)
    with pytest.raises(
        TypeError, match=r"^save: bn_params/0/running_mean has dtype .*float\d+, which"
    ):
        net.save(path)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == before


def test_without_the_library(path):
    """One sentence that names the extra; nothing is written, and .npz is as ever."""
    network().save(path)
    before = path.read_bytes()
    code = f"""if True:
        import sys
        sys.modules["safetensors"] = None
        from fastfc.fc_net import FullyConnectedNet
        net = FullyConnectedNet([2], 3, 2)
        for call in (net.save, FullyConnectedNet.load):
            try:
                call({str(path)!r})
            except ImportError as error:
                print(error)
        net.save({str(path.with_name("net.npz"))!r})
        FullyConnectedNet.load({str(path.with_name("net.npz"))!r})
    """
    said = "a .safetensors file needs safetensors: pip install fastfc[safetensors]\n"
    assert in_new_process(code) == (0, 2 * said)
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["net.npz", path.name]


def test_fastfc_does_not_import_it():
    code = (
        "import sys; from fastfc.fc_net import FullyConnectedNet as Net; Net([2], 3, 2).summary();"
        "print('safetensors' in sys.modules)"
    )
    assert in_new_process(code) == (0, "False\n")


# --- foreign and damaged files ----------------------------------------------------------------


def test_foreign_tensors(path):
    """What anybody else writes."""
    numpy_files.save_file({"weight": np.ones(3)}, path)
    refused(path, "no fastfc network: its metadata have no fastfc_network")
    numpy_files.save_file({"weight": np.ones(3)}, path, {"format": "pt"})
    refused(path, "no fastfc network: its metadata have no fastfc_network")
    for text, message in (
        ("{", "metadata is no JSON"),
        ("[" * 100_000, "metadata is no JSON"),
        ("[1]", r"metadata is \[1\], expected a JSON object"),
        ('{"format": "x"}', "format is 'x', expected 'fastfc network'"),
    ):
        numpy_files.save_file({"weight": np.ones(3)}, path, {tensor_files.KEY: text})
        refused(path, message)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"hello, world",
        b"\x93NUMPY",
        bytes(8),
        b"\xff" * 8 + b"{",
        (1 << 40).to_bytes(8, "little") + b"{}",
        (99_000_000).to_bytes(8, "little") + b"{" + b" " * 1000,
        join_tensors(b"{", b""),
        join_tensors(b"{]", b""),
        join_tensors(b'{"__metadata__": 3}', b""),
        join_tensors(b'{"__metadata__": {"fastfc_network": 3}}', b""),
        join_tensors(b"{" * 30_000, b""),
        join_tensors(b'{"a":' * 30_000, b""),
        join_tensors(b"\xff\xfe\0", b""),
    ],
    ids=range(15),
)
def test_no_tensors(path, content):
    path.write_bytes(content)
    with memory.at_most(8 * MEGABYTE):
        refused(path, "truncated, or not a .safetensors file")


def change_metadata(change):
    def changed(head):
        found = json.loads(head["__metadata__"]["fastfc_network"])
        change(found)
        head["__metadata__"]["fastfc_network"] = json.dumps(found)

    return changed


W1 = "params/W1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.pop(W1), "not a .safetensors file|missing"),
        (lambda h: h.update(more=h.pop(W1)), r"missing \['params/W1'\], unknown \['more'\]"),
        (lambda h: h[W1].update(dtype="BF16", shape=[6, 18]), "has dtype BF16, expected F64"),
        (lambda h: h[W1].update(dtype="F8_E4M3", shape=[6, 36]), "has dtype F8_E4M3, expected F64"),
        (lambda h: h[W1].update(dtype="I32"), "params/W1 has dtype int32, expected float32"),
        (lambda h: h[W1].update(shape=[9, 6]), r"W1 has shape \(9, 6\), expected \(6, 9\)"),
        (lambda h: h[W1].update(shape=[6, 8]), "not a .safetensors file"),
        (lambda h: h[W1].update(shape=[6, -9]), "not a .safetensors file"),
        (lambda h: h[W1].update(shape=[2**62, 2**62]), "not a .safetensors file"),
        (lambda h: h[W1].update(shape=[2**64, 0]), "not a .safetensors file"),
        (lambda h: h[W1].update(dtype="O"), "not a .safetensors file"),
        (lambda h: h[W1].update(data_offsets=[0, 2**63]), "not a .safetensors file"),
        (lambda h: h[W1].update(data_offsets=[8, 0]), "not a .safetensors file"),
        (lambda h: h.pop("__metadata__"), "no fastfc network"),
        (change_metadata(lambda m: m.update(version=2)), "of a newer fastfc; expected at most 1"),
        (change_metadata(lambda m: m.update(arrays=3)), "arrays is 3, expected a list of names"),
        (
            change_metadata(lambda m: m["arguments"].update(hidden_dims=[20_000, 20_000])),
            "arguments make no network of these arrays",
        ),
        (change_metadata(lambda m: m["dropout_param"].update(p=0)), r"dropout_param\['p'\] is 0"),
    ],
)
def test_what_is_wrong_is_said(path, change, message):
    network().save(path)
    head, content = split_tensors(path.read_bytes())
    change(head)
    path.write_bytes(join_tensors(head, content))
    with memory.at_most(16 * MEGABYTE):
        refused(path, message)


def test_truncations_and_changed_bytes(path):
    """Each gives an error that names the file, or a network: the numbers have no sums."""
    network().save(path)
    whole = path.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    for end in range(0, len(whole), 41):
        path.write_bytes(whole[:end])
        refused(path, "truncated")
    refusals = 0
    for at in range(0, size, 7):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        assert reads_or_names(fc_net.FullyConnectedNet.load, path)
        try:
            fc_net.FullyConnectedNet.load(path)
        except ValueError:
            refusals += 1
    assert refusals > size / 7 / 2
