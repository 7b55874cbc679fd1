"""``fastfc evaluate`` on CIFAR-10 and MNIST, where ``$FASTFC_DATA`` has them.

A run of an epoch knows more than chance; what is printed of it is counted again here.
"""

import json
import os

import numpy as np
import pytest

from fastfc.data import load_mnist
from fastfc.data_utils import get_CIFAR10_data
from fastfc.fc_net import FullyConnectedNet
from tests.support.cli import complaint, figure, output

pytestmark = [
    pytest.mark.usefixtures("empty_folder"),
    pytest.mark.filterwarnings("ignore:.*MD5:UserWarning"),  # a copy of CIFAR-10 will do
]
LOADERS = {"cifar10": get_CIFAR10_data, "mnist": load_mnist}
SCALE = ("--normalize", "0", "64")  # of bytes, less a mean image or not
HOME = os.environ.get("FASTFC_DATA")  # which `empty_folder` takes away


@pytest.fixture(scope="module", params=LOADERS)
def source(request):
    """Return the name of a data set, and what its reader gives."""
    if not HOME:
        pytest.skip(f"no {request.param}: FASTFC_DATA does not say where it is")
    try:
        return request.param, LOADERS[request.param](root=HOME)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_a_run_is_as_good_as_training_said(source, capsys):
    name, data = source
    where = ("--data", name, "--root", HOME)
    options = ("--hidden", "20", "--epochs", "1", "--quiet", "--no-report")
    trained = output(capsys, "train", *where, *SCALE, *options, "--out", "run")
    for split, called in {"test": "test", "val": "validation"}.items():
        out = output(capsys, "evaluate", "run", *where, "--split", split)
        count = len(data[f"y_{split}"])
        assert out.startswith(f"data: {name}, the {split} examples, {count}\n")
        assert figure("accuracy", out) == figure(f"{called} accuracy", trained) > 0.2
    found = json.loads(output(capsys, "evaluate", "run", *where, "--json"))
    assert found["data"] == {"source": name, "split": "test", "examples": len(data["y_test"])}
    net = FullyConnectedNet.load("run/model.npz")
    predicted = net.predict(data["X_test"].astype(np.float32) / np.float32(64))
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (data["y_test"], predicted), 1)
    assert found["confusion"] == confusion.tolist()
    assert found["accuracy"] == pytest.approx((predicted == data["y_test"]).mean())
    assert [each["name"] for each in found["classes"]] == list(range(10))


def test_the_variable_says_where_they_are(source, capsys, monkeypatch):
    name, data = source
    monkeypatch.setenv("FASTFC_DATA", HOME)
    X = data["X_test"]
    FullyConnectedNet([], input_dim=X[0].size, num_classes=10).save("net.npz")
    out = output(capsys, "evaluate", "net.npz", "--data", name)
    assert out.startswith(f"data: {name}, the test examples, {len(X)}\n")
    FullyConnectedNet([], input_dim=7, num_classes=10).save("other.npz")
    said = complaint(capsys, "evaluate", "other.npz", "--data", name)
    assert said.startswith(f"fastfc: --data {name}: X has shape ")
    assert said.endswith(" = 7, the network's input_dim\n")
