"""Networks written to files and read again, by both packages."""

import errno
import json
import os
import zipfile

import numpy as np
import pytest

from fastfc import fc_net, files
from fastfc.reference import fc_net as reference
from fastfc.solver import Solver
from tests.support import cases

PACKAGES = {"reference": reference, "fast": fc_net}


@pytest.fixture(params=PACKAGES)
def nets(request):
    return PACKAGES[request.param]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


@pytest.fixture(params=["npz", "safetensors"])
def either(request, tmp_path):
    """A path of each kind of file."""
    if request.param == "safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    return tmp_path / f"net.{request.param}"


def data(n=20):
    return cases.normal((n, 2, 3), np.float64, "X"), cases.labels(n, 4)


CONFIGURATIONS = [
    {},
    {"hidden_dims": []},
    {"use_batchnorm": True},
    {"dropout": 0.7, "seed": 3},
    {"dropout": 1, "reg": 0.5},
    {"use_batchnorm": True, "dropout": np.float32(0.5), "reg": np.float64(0.1), "seed": None},
    {"hidden_dims": np.array([3]), "weight_scale": np.float32(0.5), "use_batchnorm": np.bool_(1)},
    {"use_batchnorm": "layernorm", "dropout_keep_ratio": 0.4, "label_smoothing": 0.1},
    {"normalization": "layernorm", "dropout": 0.5},
    {"normalization": "batchnorm"},
    {"hidden_dims": (size for size in (3, 2))},
    {"activation": "gelu", "normalization": "layernorm"},
    {"activation": "tanh"},
]


def network(nets, dtype=np.float64, **arguments):
    arguments = {"hidden_dims": [9, 8], "weight_scale": 0.5, **arguments}
    if not isinstance(arguments["hidden_dims"], (list, np.ndarray)):
        arguments["hidden_dims"] = iter([3, 2])
    return nets.FullyConnectedNet(input_dim=6, num_classes=4, dtype=dtype, **arguments)


def assert_alike(loaded, net):
    """Assert that they hold the same bits and go on from there with the same bits."""
    assert loaded.dtype is net.dtype
    kept = ("reg", "label_smoothing", "normalization", "use_dropout", "dropout_param", "activation")
    for name in kept:
        assert getattr(loaded, name) == getattr(net, name), name
    assert list(loaded.params) == list(net.params)
    X, y = data()
    for bn_param, expected in zip(loaded.bn_params, net.bn_params, strict=True):
        assert bn_param.keys() == expected.keys()
        assert bn_param.get("mode") == expected.get("mode")
    assert loaded.loss(X).tobytes() == net.loss(X).tobytes()
    results = []
    for one in (loaded, net):
        np.random.seed(4)
        solver = Solver(
            one,
            {"X_train": X, "y_train": y, "X_val": X, "y_val": y},
            update_rule="adam",
            batch_size=6,
            num_epochs=2,
            verbose=False,
        )
        solver.train()
        results.append((solver.loss_history, solver.val_acc_history, one.params, one.loss(X)))
    np.testing.assert_equal(results[0], results[1])


# --- there and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("arguments", CONFIGURATIONS, ids=str)
def test_there_and_back(nets, either, dtype, arguments, trained):
    net = network(nets, dtype, **arguments)
    if trained:
        net.loss(*data())
    np.random.seed(1)
    net.save(either)
    loaded = nets.FullyConnectedNet.load(either)
    after = np.random.rand()
    np.random.seed(1)
    assert after == np.random.rand(), "the file's network was drawn"
    assert type(loaded) is nets.FullyConnectedNet
    assert_alike(loaded, net)


def test_the_other_package_reads_it(nets, either):
    net = network(nets, use_batchnorm=True, dropout=0.5)
    net.loss(*data())
    net.save(either)
    other = fc_net if nets is reference else reference
    loaded = other.FullyConnectedNet.load(either)
    assert type(loaded) is other.FullyConnectedNet
    for name, value in net.params.items():
        np.testing.assert_array_equal(loaded.params[name], value)
    loaded.save(either)
    assert_alike(nets.FullyConnectedNet.load(either), net)


def test_two_layer_net(nets, either):
    net = nets.TwoLayerNet(6, 5, 4, dropout=0.5, reg=0.1)
    net.save(either)
    loaded = nets.TwoLayerNet.load(either)
    assert type(loaded) is nets.TwoLayerNet
    general = nets.FullyConnectedNet.load(either)
    assert type(general) is nets.FullyConnectedNet
    np.testing.assert_equal(general.params, net.params)
    assert_alike(loaded, net)
    general.save(either)
    message = r"net\.\w+: it holds a FullyConnectedNet, expected a TwoLayerNet"
    with pytest.raises(ValueError, match=message):
        nets.TwoLayerNet.load(either)


def test_a_subclass_of_ones_own(nets, either):
    class Mine(nets.FullyConnectedNet):
        def __init__(self):
            super().__init__([3], 6, 4, dtype=np.float64)
            self.mine = True

    net = Mine()
    net.save(either)
    loaded = Mine.load(either)
    assert type(loaded) is Mine
    assert not hasattr(loaded, "mine")
    assert loaded.loss(data()[0]).tobytes() == net.loss(data()[0]).tobytes()


def test_what_was_changed_after_construction_is_kept(nets, either):
    net = network(nets, use_batchnorm=True, dropout=0.5)
    net.reg, net.label_smoothing, net.activation = 0.25, 0.5, "silu"
    net.dropout_param |= {"p": 0.75, "seed": 8}
    net.bn_params[1] |= {"eps": 1e-3, "momentum": np.float64(0.5)}
    net.params = {name: value * 2 for name, value in net.params.items()}
    net.params["b1"] = 0.5
    net.params["b2"] = np.ones((1, 8), np.float32)
    net.params["W1"] = np.asfortranarray(net.params["W1"])
    net.loss(*data())
    net.save(either)
    loaded = nets.FullyConnectedNet.load(either)
    assert loaded.activation == "silu"
    assert loaded.bn_params[1]["eps"] == 1e-3
    assert loaded.bn_params[1]["momentum"] == 0.5
    X, y = data()
    assert loaded.loss(X).tobytes() == net.loss(X).tobytes()
    np.testing.assert_equal(loaded.loss(X, y), net.loss(X, y))
    assert loaded.params["W1"].flags.f_contiguous == (either.suffix == ".npz")


ITSELF = [1]
ITSELF.append(ITSELF)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (np.bytes_(b"abc"), TypeError),
        (np.array([b"abc"]), TypeError),
        (np.void(b"abc"), TypeError),
        (np.longdouble(1), TypeError),
        (np.clongdouble(1), TypeError),
        (np.array([1j]), TypeError),
        (np.datetime64("2026-11-26"), TypeError),
        (np.array([object()]), TypeError),
        (np.array([10**400]), ValueError),
        (object(), TypeError),
        (ITSELF, ValueError),
        ({"a": ITSELF}, ValueError),
    ],
)
def test_what_no_file_can_hold(nets, either, value, error):
    """Is named, and there is no file; NumPy's own values are looked into as others are."""
    net = network(nets, use_batchnorm=True)
    net.bn_params[0]["note"] = value
    with pytest.raises(error, match=r"^save: bn_params(\[0\]\['note'\]\S*)? is "):
        net.save(either)
    assert not either.exists()


def test_saved_again_it_is_the_same_file(nets, either, tmp_path):
    net = network(nets, use_batchnorm=True, dropout=0.5, reg=0.3)
    net.loss(*data())
    net.save(either)
    again = tmp_path / f"again{either.suffix}"
    nets.FullyConnectedNet.load(either).save(again)
    assert again.read_bytes() == either.read_bytes()


def test_numbers_of_any_kind(nets, either):
    net = network(nets)
    special = cases.specials(np.float64)
    net.params["W1"].flat[: len(special)] = special
    net.reg = np.inf
    net.save(either)
    loaded = nets.FullyConnectedNet.load(either)
    assert loaded.params["W1"].tobytes() == net.params["W1"].tobytes()
    assert loaded.reg == np.inf


def test_what_is_in_the_file(path):
    """Anything that reads archives of NumPy can read it, without pickles."""
    net = network(fc_net, np.float32, use_batchnorm=True, dropout=0.5)
    net.loss(*data())
    net.save(path)
    with np.load(path, allow_pickle=False) as archive:
        metadata = json.loads(archive["metadata"].item())
        names = {f"params/{name}" for name in net.params}
        names |= {f"bn_params/{i}/running_{s}" for i in (0, 1) for s in ("mean", "var")}
        assert set(archive.files) == {"metadata", *names}
        np.testing.assert_array_equal(archive["params/W1"], net.params["W1"])
    assert metadata["format"] == "fastfc network"
    assert metadata["version"] == 1
    assert metadata["arguments"]["hidden_dims"] == [9, 8]
    assert metadata["arguments"]["dtype"] == "float32"
    assert metadata["dropout_param"] == {"mode": "train", "p": 0.5}


# --- written whole or not at all --------------------------------------------------------------


def test_a_failure_leaves_the_old_file(nets, either, monkeypatch):
    net = network(nets)
    net.save(either)
    before = either.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, function, full)
            with pytest.raises(OSError, match="No space left"):
                net.save(either)
        assert os.listdir(either.parent) == [either.name]
        assert either.read_bytes() == before


def test_an_interruption_leaves_nothing(path):
    def interrupted(file):
        file.write(b"half")
        assert len(os.listdir(path.parent)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.atomic_write(path, interrupted)
    assert os.listdir(path.parent) == []


def test_a_link_stays_a_link(path, tmp_path):
    path.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(path)
    files.atomic_write(link, lambda file: file.write(b"new"))
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


def test_the_file_gets_the_usual_permissions(either):
    before = os.umask(0o027)
    try:
        network(fc_net).save(either)
    finally:
        os.umask(before)
    assert either.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("where", ["missing/net.npz", "."])
def test_where_no_file_can_be(nets, tmp_path, where):
    with pytest.raises(OSError, match=r"missing/net.npz'|Is a directory"):
        network(nets).save(tmp_path / where)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda n: n.params.pop("W1"), ValueError, r"missing \['params/W1'\], unknown \[\]"),
        (lambda n: n.params.update(W9=np.ones(2)), ValueError, r"unknown \['params/W9'\]"),
        (
            lambda n: n.params.update(W1=np.ones((2, 2))),
            ValueError,
            r"params/W1 has shape \(2, 2\), expected \(6, 9\)",
        ),
        (lambda n: n.params.update(W1="w"), TypeError, "W1 has dtype <U1, expected real"),
        (
            lambda n: n.dropout_param.update(seed=object()),
            TypeError,
            r"save: dropout_param\['seed'\] is <object",
        ),
        (
            lambda n: n.bn_params[0].update(running_mean=np.ones(3)),
            ValueError,
            r"bn_params/0/running_mean has shape \(3,\), expected \(9,\)",
        ),
    ],
)
def test_what_could_not_be_read_is_not_written(nets, either, change, error, message):
    net = network(nets, use_batchnorm=True, dropout=0.5)
    change(net)
    with pytest.raises(error, match=message):
        net.save(either)
    assert os.listdir(either.parent) == []


# --- damaged, foreign and newer files ---------------------------------------------------------


def rewritten(path, change):
    """Write the file again after ``change`` has seen its metadata and its arrays."""
    with np.load(path) as archive:
        arrays = dict(archive)
    metadata = json.loads(arrays.pop("metadata").item())
    change(metadata, arrays)
    np.savez(path, metadata=np.array(json.dumps(metadata)), **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, a: m.update(format="x"), "format is 'x', expected 'fastfc network'"),
        (lambda m, a: m.update(version=2), "version is 2, of a newer fastfc; expected at most 1"),
        (lambda m, a: m.update(version="1"), "version is '1', expected 1"),
        (lambda m, a: m.pop("arguments"), "metadata has no arguments"),
        (lambda m, a: m.update({"class": "CNN"}), "it holds a CNN, expected a FullyConnectedNet"),
        (lambda m, a: m.update(arguments=3), "arguments is 3, expected an object"),
        (lambda m, a: m["arguments"].update(x=3), "arguments has 'x', which the constructor"),
        (lambda m, a: m["arguments"].pop("hidden_dims"), "make no network: .*hidden_dims"),
        (lambda m, a: m["arguments"].update(reg="1"), "reg is '1', expected a number"),
        (lambda m, a: m["arguments"].update(dtype="int8"), "dtype is int8, expected float32 or"),
        (lambda m, a: m["arguments"].update(dtype="real"), "make no network: .*'real'"),
        (lambda m, a: m["arguments"].update(hidden_dims=[9, 2**60]), "make no network"),
        (
            lambda m, a: m["arguments"].update(hidden_dims=[9]),
            r"bn_params is \[.*, expected a list of 1",
        ),
        (
            lambda m, a: m["arguments"].update(input_dim=7),
            r"params/W1 has shape \(6, 9\), expected \(7, 9\)",
        ),
        (lambda m, a: m["dropout_param"].update(p=2), r"dropout_param\['p'\] is 2, expected"),
        (lambda m, a: m["dropout_param"].update(mode=1), "dropout_param has mode 1, expected"),
        (lambda m, a: m.update(dropout_param={}), "dropout_param is {}, expected an object with"),
        (lambda m, a: m.update(bn_params=[]), r"bn_params is \[\], expected a list of 2"),
        (lambda m, a: m["bn_params"].__setitem__(0, 1), r"bn_params\[0\] is 1, expected an obj"),
        (lambda m, a: m["bn_params"][1].update(eps="x"), r"bn_params\[1\]\['eps'\] is 'x'"),
        (lambda m, a: m["arguments"].update(use_batchnorm=False), r"expected a list of 0"),
        (lambda m, a: m.update(arrays="W1"), "arrays is 'W1', expected a list of names"),
        (lambda m, a: a.pop("params/b2"), r"missing \['params/b2'\], unknown \[\]"),
        (lambda m, a: a.update(more=np.ones(3)), r"missing \[\], unknown \['more'\]"),
        (
            lambda m, a: a.update({"params/W1": a["params/W1"].astype("f4")}),
            "params/W1 has dtype float32, expected float64, the network's",
        ),
        (
            lambda m, a: a.update({"bn_params/0/running_var": np.ones(9, complex)}),
            "bn_params/0/running_var has dtype complex128, expected real numbers",
        ),
    ],
)
def test_what_is_wrong_is_said(nets, path, change, message):
    net = network(nets, use_batchnorm=True, dropout=0.5)
    net.loss(*data())
    net.save(path)
    rewritten(path, change)
    with pytest.raises(ValueError, match=rf"net\.npz: .*{message}"):
        nets.FullyConnectedNet.load(path)


def foreign(path):
    """Yield messages and files that are no networks."""
    np.savez(path, X_train=np.ones(3))
    yield "no fastfc network: it has no metadata"
    np.savez(path, metadata=np.arange(3))
    yield r"metadata has dtype int64 and shape \(3,\), expected text"
    np.savez(path, metadata=np.array("{"))
    yield "metadata is no JSON"
    np.savez(path, metadata=np.array("[" * 100_000))
    yield "metadata is no JSON"
    np.savez(path, metadata=np.array("[1]"))
    yield r"metadata is \[1\], expected a JSON object"
    np.savez(path, metadata=np.array({}, dtype=object))
    yield "Object arrays cannot be loaded"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata", "hello")
    yield "metadata is no array"
    for content in (b"", b"hello", b"PK\3\4", b"\x93NUMPY"):
        path.write_bytes(content)
        yield "truncated, or not a .npz file"


def test_foreign_files(nets, path):
    for message in foreign(path):
        with pytest.raises(ValueError, match=rf"net\.npz: .*{message}"):
            nets.FullyConnectedNet.load(path)


@pytest.mark.parametrize("where", ["nothing.npz", "."])
def test_no_file(nets, tmp_path, where):
    with pytest.raises(FileNotFoundError, match="no such file"):
        nets.FullyConnectedNet.load(tmp_path / where)


def test_truncations_and_changed_bytes(path):
    """Each gives an error that names the file, or the very same network.

    Every byte of the archive's directory, at the end, and some of those before.
    """
    net = network(fc_net, np.float32, hidden_dims=[2], use_batchnorm=True)
    net.loss(*data())
    net.save(path)
    whole, X = path.read_bytes(), data()[0]
    scores = net.loss(X)
    damaged = [whole[:end] for end in range(0, len(whole), 41)]
    for at in {*range(0, len(whole), 13), *range(whole.index(b"PK\1\2"), len(whole))}:
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        damaged.append(bytes(changed))
    errors = []
    for content in damaged:
        path.write_bytes(content)
        try:
            loaded = fc_net.FullyConnectedNet.load(path)
        except ValueError as error:
            errors.append(str(error))
        else:
            np.testing.assert_array_equal(loaded.loss(X), scores)
    assert len(errors) > len(damaged) / 2
    assert all(error.startswith(str(path)) for error in errors)
