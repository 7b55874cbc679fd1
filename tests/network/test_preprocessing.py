"""What a network keeps of its data's preprocessing: in files, checkpoints, copies and pickles."""

import copy
import json
import pickle

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.reference import fc_net as reference
from fastfc.solver import Solver

NORMALIZE = {"kind": "normalize", "mean": 8, "std": [2.0, 0.5, 1e-3]}
TABLE = {
    "kind": "table",
    "columns": [
        {"name": "height", "kind": "number", "median": 2.0, "mean": 2.5, "std": 0.5},
        {"name": "colour", "kind": "category", "values": ["blue", "red"]},
    ],
    "target": {"name": "kind", "kind": "labels", "values": ["cat", 7, True, "dog"]},
    "id": None,
    "split": {"seed": 0, "val": 2, "test": 3},
}
NUMBERS = {"name": "price", "kind": "numbers", "mean": 1e5, "std": 2e4}


@pytest.fixture(params=[fc_net, reference], ids=["fast", "reference"])
def nets(request):
    return request.param


def network(nets, preprocessing, outputs=4, **arguments):
    net = nets.FullyConnectedNet([5], input_dim=3, num_classes=outputs, **arguments)
    net.preprocessing = preprocessing
    return net


@pytest.mark.parametrize(
    ("preprocessing", "outputs"),
    [
        (None, 4),
        (NORMALIZE, 4),
        (TABLE, 4),
        ({**TABLE, "target": NUMBERS}, 1),
        ({**TABLE, "target": {**TABLE["target"], "values": [False, True]}}, 1),
    ],
)
def test_files_keep_it(nets, tmp_path, preprocessing, outputs):
    net = network(nets, preprocessing, outputs)
    net.save(tmp_path / "net.npz")
    for package in (fc_net, reference):
        loaded = package.FullyConnectedNet.load(tmp_path / "net.npz")
        assert loaded.preprocessing == preprocessing
        np.testing.assert_equal(loaded.params, net.params)


def test_arrays_become_lists(nets, tmp_path):
    net = network(nets, {"kind": "normalize", "mean": np.arange(3), "std": np.float32(0.5)})
    net.save(tmp_path / "net.npz")
    loaded = nets.FullyConnectedNet.load(tmp_path / "net.npz")
    assert loaded.preprocessing == {"kind": "normalize", "mean": [0, 1, 2], "std": 0.5}


def test_two_layer_nets(nets, tmp_path):
    net = nets.TwoLayerNet(3, 5, 4)
    net.preprocessing = NORMALIZE
    net.save(tmp_path / "net.npz")
    assert nets.TwoLayerNet.load(tmp_path / "net.npz").preprocessing == NORMALIZE


def test_older_files_have_none(nets, tmp_path):
    network(nets, None).save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as archive:
        assert "preprocessing" not in json.loads(archive["metadata"].item())
    assert nets.FullyConnectedNet.load(tmp_path / "net.npz").preprocessing is None


def test_older_pickles_have_none(nets):
    net = network(nets, NORMALIZE)
    del net.__dict__["preprocessing"]
    assert pickle.loads(pickle.dumps(net)).preprocessing is None


def test_copies_and_pickles_keep_it(nets):
    net = network(nets, TABLE)
    for again in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert again.preprocessing == TABLE
    assert copy.deepcopy(net).preprocessing is not net.preprocessing


def test_it_is_the_networks_own(nets):
    network(nets, NORMALIZE)
    assert network(nets, None).preprocessing is None
    assert nets.FullyConnectedNet.preprocessing is None


def test_scores_do_not_depend_on_it(nets):
    X, y = np.ones((2, 3), np.float32), np.array([0, 3])
    net = network(nets, NORMALIZE)
    scores, loss = net.loss(X), net.loss(X, y)[0]
    net.preprocessing = None
    np.testing.assert_array_equal(net.loss(X), scores)
    assert net.loss(X, y)[0] == loss


@pytest.mark.parametrize("which", ["best", "latest"])
def test_checkpoints_keep_it(nets, tmp_path, which):
    data = {f"X_{split}": np.eye(3).repeat(4, 0) for split in ("train", "val")}
    data |= {f"y_{split}": np.arange(3).repeat(4) for split in ("train", "val")}
    settings = {"batch_size": 6, "verbose": False}
    Solver(
        network(nets, NORMALIZE), data, num_epochs=2, checkpoint_name=tmp_path / "run", **settings
    ).train()
    path = tmp_path / "run_epoch_1.npz"
    model = nets.FullyConnectedNet.load(path, which=which)
    assert model.preprocessing == NORMALIZE
    resumed = Solver.resume(path, model, data)
    resumed.train()
    resumed.model.save(tmp_path / "net.npz")
    for name in ("net.npz", "run_epoch_2.npz"):
        assert nets.FullyConnectedNet.load(tmp_path / name).preprocessing == NORMALIZE


NUMBER, CATEGORY = TABLE["columns"]
REFUSED = {
    "no object": ([1, 2], "preprocessing is "),
    "no kind": ({}, r"preprocessing\['kind'\] is None, expected 'normalize' or 'table'"),
    "another kind": ({"kind": "tabel"}, "did you mean 'table'"),
    "no mean": ({"kind": "normalize", "std": 1}, r"\['mean'\] is None, expected a finite number"),
    "std 0": ({"kind": "normalize", "mean": 1, "std": 0}, r"\['std'\] is 0, expected a finite"),
    "std of 2": ({"kind": "normalize", "mean": 1, "std": [1, 1]}, "has 2 numbers, expected 3"),
    "a NaN": ({"kind": "normalize", "mean": float("nan"), "std": 1}, r"\['mean'\] is nan"),
    "huge": ({"kind": "normalize", "mean": 10**400, "std": 1}, r"\['mean'\] is "),
    "text": ({"kind": "normalize", "mean": "1", "std": 1}, r"\['mean'\] is '1'"),
    "nested": ({"kind": "normalize", "mean": [[1], 2, 3], "std": 1}, r"\['mean'\] is \[1\]"),
    "no columns": ({**TABLE, "columns": None}, r"\['columns'\] is None, expected a list"),
    "too few": ({**TABLE, "columns": [CATEGORY]}, "become 2 inputs, expected 3"),
    "twice": ({**TABLE, "columns": [NUMBER, NUMBER, NUMBER]}, "is 'height' again"),
    "no column": ({**TABLE, "columns": [3, CATEGORY]}, r"\[0\] is 3, expected an object"),
    "a column's kind": (
        {**TABLE, "columns": [{**NUMBER, "kind": "date"}, CATEGORY]},
        r"\['columns'\]\[0\]\['kind'\] is 'date', expected 'number', 'boolean' or 'category'",
    ),
    "a list for a mean": (
        {**TABLE, "columns": [{**NUMBER, "mean": []}, CATEGORY]},
        r"\[0\]\['mean'\] is \[\]",
    ),
    "no median": (
        {**TABLE, "columns": [{**NUMBER, "median": None}, CATEGORY]},
        r"\[0\]\['median'\] is None",
    ),
    "values twice": (
        {**TABLE, "columns": [NUMBER, {**CATEGORY, "values": ["red", "red"]}]},
        "expected each value once",
    ),
    "values of numbers": (
        {**TABLE, "columns": [NUMBER, {**CATEGORY, "values": [1, 2]}]},
        "expected a list of values",
    ),
    "no target": ({**TABLE, "target": None}, r"\['target'\] is None, expected an object"),
    "too many classes": (
        {**TABLE, "target": {**TABLE["target"], "values": list(range(9))}},
        "is of 9 scores, the network has 4",
    ),
    "numbers of 4": ({**TABLE, "target": NUMBERS}, "is of 1 scores, the network has 4"),
    "an id": ({**TABLE, "id": 3}, r"\['id'\] is 3, expected a column's name"),
    "a split": ({**TABLE, "split": 3}, r"\['split'\] is 3, expected an object"),
    "no seed": ({**TABLE, "split": {"val": 1, "test": 1}}, r"\['seed'\] is None"),
    "a huge seed": (
        {**TABLE, "split": {"seed": 2**32, "val": 1, "test": 1}},
        "is above 4294967295",
    ),
    "no classes": ({**TABLE, "target": {**TABLE["target"], "values": []}}, "each value once"),
}


@pytest.mark.parametrize(("preprocessing", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(nets, tmp_path, preprocessing, message):
    """Neither written nor read, in one line."""
    path = tmp_path / "net.npz"
    with pytest.raises(ValueError, match=message) as caught:
        network(nets, preprocessing).save(path)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    network(nets, None).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    metadata = {**json.loads(arrays.pop("metadata").item()), "preprocessing": preprocessing}
    np.savez(path, metadata=np.array(json.dumps(metadata)), **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        nets.FullyConnectedNet.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_what_no_file_can_hold(nets, tmp_path):
    with pytest.raises(TypeError, match=r"save: preprocessing\['mean'\] is "):
        network(nets, {"kind": "normalize", "mean": object(), "std": 1}).save(tmp_path / "a")
    itself = {"kind": "normalize"}
    itself["mean"] = itself
    with pytest.raises(ValueError, match="save: preprocessing is nested too deep"):
        network(nets, itself).save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
