"""Networks written as ONNX graphs: what onnx, onnxruntime and `from_onnx` make of them."""

import errno
import itertools
import json
import os

import numpy as np
import pytest

from fastfc import fc_net, reference
from fastfc.interop import from_onnx
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.networks.network_file import FORMAT
from tests.support import cases
from tests.support.onnx_graphs import onnx
from tests.support.process import in_new_process

NORMALIZATIONS = (None, "batchnorm", "layernorm")
HIDDEN = ((), (7,), (9, 6))


def network(hidden=(9, 6), dtype=np.float32, package=fc_net, **options):
    """Return a network of statistics and parameters that are no defaults."""
    np.random.seed(1)
    net = package.FullyConnectedNet(
        hidden, input_dim=12, num_classes=4, weight_scale=0.5, dtype=dtype, **options
    )
    for name, value in net.params.items():
        value += cases.normal(value.shape, dtype, name, scale=0.3)
    for i, bn_param in enumerate(net.bn_params):
        bn_param["eps"] = 1e-3 * (i + 1)
        if net.normalization == "batchnorm":
            width = len(net.params[f"b{i + 1}"])
            bn_param["running_mean"] = cases.normal((width,), dtype, i)
            bn_param["running_var"] = np.abs(cases.normal((width,), dtype, i, "var")) + dtype(0.1)
    return net


def examples(dtype=np.float32):
    return cases.normal((17, 12), dtype, "X")


def run(path, x):
    """Return what onnxruntime computes, one example, several and none at a time."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    every = [session.run([made.name], {given.name: part})[0] for part in (x, x[:1], x[:0])]
    assert [len(part) for part in every] == [17, 1, 0]
    return every[0]


def assert_close(found, wanted):
    """To a millionth of the largest score."""
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


KINDS = list(itertools.product(NORMALIZATIONS, ACTIVATIONS, HIDDEN[2:]))
KINDS += [(norm, "relu", hidden) for norm in NORMALIZATIONS for hidden in HIDDEN[:2]]


@pytest.mark.parametrize(("normalization", "activation", "hidden"), KINDS)
def test_there_and_back(normalization, activation, hidden, dtype, tmp_path):
    net = network(hidden, dtype, normalization=normalization, activation=activation)
    x, path = examples(dtype), tmp_path / "net.onnx"
    net.to_onnx(path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    wanted = net.loss(x)
    assert_close(run(path, x), wanted)
    function = from_onnx(path)
    assert_close(function(x), wanted)
    again = function.network()
    assert_close(again.loss(x), wanted)
    kinds = (normalization, activation) if hidden else (None, "relu")
    assert (again.normalization, again.activation) == kinds


def test_what_is_in_the_file(tmp_path):
    path = tmp_path / "net.onnx"
    network(normalization="batchnorm").to_onnx(path)
    model = onnx.load(path)
    assert (model.ir_version, model.producer_name) == (10, "fastfc")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    kinds = ["Gemm", "BatchNormalization", "Relu"] * 2 + ["Gemm"]
    assert [node.op_type for node in model.graph.node] == kinds
    assert {"W1", "b3", "running_var2"} <= {one.name for one in model.graph.initializer}
    (given,), (made,) = model.graph.input, model.graph.output
    for info, name, size in ((given, "input", 12), (made, "scores", 4)):
        batch, features = info.type.tensor_type.shape.dim
        assert (info.name, batch.dim_param, features.dim_value) == (name, "N", size)
        assert info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    said = json.loads({entry.key: entry.value for entry in model.metadata_props}["fastfc_network"])
    assert (said["format"], said["arguments"]["hidden_dims"]) == (FORMAT, [9, 6])


def test_names_and_metadata(tmp_path):
    path = tmp_path / "net.onnx"
    options = {"input_name": "W1", "output_name": "affine2", "metadata": {"author": "A. Student"}}
    net = network(activation="silu")
    net.to_onnx(path, **options)  # names that the graph would have for its own
    function = from_onnx(path)
    assert (function.input_name, function.output_name) == ("W1", "affine2")
    assert function.metadata["author"] == "A. Student"
    assert_close(run(path, examples()), net.loss(examples()))


@pytest.mark.parametrize("loss", ["softmax", "logistic"])
def test_probabilities(loss, dtype, tmp_path):
    net, path, x = network(dtype=dtype, loss=loss), tmp_path / "net.onnx", examples(dtype)
    net.to_onnx(path, probabilities=True)
    assert_close(run(path, x), net.predict_proba(x))
    function = from_onnx(path)
    assert function.output_name == "probabilities"
    assert_close(function(x), net.predict_proba(x))
    assert function.network().loss_name == loss


@pytest.mark.parametrize("loss", ["softmax", "squared_error", "huber", "poisson"])
def test_a_network_of_a_file_has_its_loss(loss, tmp_path):
    net = network(loss=loss, loss_param=2.5 if loss == "huber" else None)
    net.to_onnx(tmp_path / "net.onnx")
    again = from_onnx(tmp_path / "net.onnx").network()
    assert (again.loss_name, again.loss_param) == (loss, net.loss_param)


def test_preprocessing(dtype, tmp_path):
    """As trained: a quotient, whose bits a product would change."""
    net, path = network((), dtype), tmp_path / "net.onnx"
    mean, std = np.linspace(-3, 40, 12), np.linspace(0.3, 70, 12)
    net.preprocessing = {"kind": "normalize", "mean": mean.tolist(), "std": std.tolist()}
    net.params["W1"] = np.eye(12, dtype=dtype)
    net.params["b1"] = np.zeros(12, dtype)
    net.to_onnx(path, preprocessing=True)
    x = (200 * cases.generator("raw").random((17, 12))).astype(dtype)
    normalized = (x - mean.astype(dtype)) / std.astype(dtype)
    np.testing.assert_array_equal(run(path, x), normalized)
    function = from_onnx(path)
    np.testing.assert_array_equal(function(x), normalized)
    found = function.network().preprocessing
    np.testing.assert_array_equal(np.array(found["std"], dtype), std.astype(dtype))
    net.preprocessing = {"kind": "normalize", "mean": 100, "std": 50.0}
    net.to_onnx(path, preprocessing=True)
    assert_close(from_onnx(path)(x), (x - dtype(100)) / dtype(50))
    net.to_onnx(path)
    function = from_onnx(path)
    np.testing.assert_array_equal(function(x), x)
    assert function.network().preprocessing == net.preprocessing


def test_all_networks(tmp_path):
    path, x = tmp_path / "net.onnx", examples()
    for net in (
        network(package=reference.fc_net, normalization="batchnorm"),
        fc_net.TwoLayerNet(12, 5, 4, weight_scale=0.5),
        network(dropout=0.5),
    ):
        net.to_onnx(path)
        assert_close(from_onnx(path)(x), net.loss(x))


def test_a_network_that_has_not_been_trained(tmp_path):
    """Its running variances are 0."""
    net = fc_net.FullyConnectedNet([6], 12, 4, normalization="batchnorm", weight_scale="he")
    path, x = tmp_path / "net.onnx", examples()
    net.to_onnx(path)
    assert_close(run(path, x), net.loss(x))
    assert_close(from_onnx(path)(x), net.loss(x))


def test_nothing_of_the_network_changes(tmp_path):
    net = network(normalization="batchnorm", dropout=0.5)
    X, y = examples(), cases.labels(17, 4)
    before = net.loss(X, y)[0]
    state = json.dumps(net._describe_network())
    bits = {name: value.tobytes() for name, value in net.params.items()}
    running = [param["running_mean"].tobytes() for param in net.bn_params]
    drawn = np.random.get_state()[1].tobytes()
    net.to_onnx(tmp_path / "net.onnx", probabilities=True)
    assert np.isfinite(before)
    assert json.dumps(net._describe_network()) == state
    assert {name: value.tobytes() for name, value in net.params.items()} == bits
    assert [param["running_mean"].tobytes() for param in net.bn_params] == running
    assert np.random.get_state()[1].tobytes() == drawn


def test_the_same_network_gives_the_same_bytes(tmp_path):
    net = network(normalization="layernorm")
    metadata = {key: key for key in "zyxabc"}
    net.to_onnx(tmp_path / "a", metadata=metadata)
    net.to_onnx(tmp_path / "b", metadata=metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# --- refused ----------------------------------------------------------------------------------


class Mine(fc_net.FullyConnectedNet):
    def loss(self, X, y=None):
        return super().loss(X, y)


def unusual(**attributes):
    net = network()
    for name, value in attributes.items():
        setattr(net, name, value)
    return net


@pytest.mark.parametrize(
    ("net", "options", "error", "message"),
    [
        (network(), {"input_name": ""}, TypeError, "input_name is '', expected a text"),
        (network(), {"output_name": 3}, TypeError, "output_name is 3, expected a text"),
        (network(), {"output_name": "input"}, ValueError, "input_name and output_name are both"),
        (network(), {"metadata": [1]}, TypeError, r"metadata is \[1\], expected a dict of texts"),
        (network(), {"metadata": {"a": 1}}, TypeError, "metadata has 'a': 1, expected texts"),
        (network(), {"metadata": {"fastfc_network": ""}}, ValueError, "which fastfc writes itself"),
        (
            network(),
            {"preprocessing": True},
            ValueError,
            "preprocessing is True and the network",
        ),
        (
            unusual(preprocessing={"kind": "table", "columns": []}),
            {"preprocessing": True},
            ValueError,
            "preprocessing is of the kind 'table', expected 'normalize'",
        ),
        (
            network(loss="squared_error"),
            {"probabilities": True},
            ValueError,
            "probabilities is True and the network's loss is 'squared_error', expected 'softmax'",
        ),
        (Mine([3], 12, 4), {}, TypeError, "loss of this Mine is not fastfc's own, expected a netw"),
        (unusual(num_layers=4), {}, ValueError, "num_layers|params has no"),
    ],
)
def test_what_is_refused(net, options, error, message, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")
    with pytest.raises(error, match=message):
        net.to_onnx(path, **options)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["net.onnx"]


def test_a_network_that_is_too_large(tmp_path, monkeypatch):
    from fastfc.interop import onnx_export

    monkeypatch.setattr(onnx_export, "MOST_BYTES", (1 << 20) + 500)
    with pytest.raises(ValueError, match=r"the network has \d+ bytes, expected less than 1049076"):
        network().to_onnx(tmp_path / "net.onnx")
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "net.onnx"
    network().to_onnx(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        network((3,)).to_onnx(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.onnx"]


@pytest.mark.parametrize(
    "call",
    ["fastfc.interop.from_onnx('a.onnx')", "fastfc.FullyConnectedNet([3]).to_onnx('a.onnx')"],
)
def test_without_onnx(call, tmp_path):
    code = f"""
import sys, fastfc, fastfc.interop
sys.modules["onnx"] = None
try:
    {call}
except ImportError as error:
    print(error)
"""
    status, output = in_new_process(code)
    assert status == 0
    name = "from_onnx" if "from" in call else "to_onnx"
    assert output == f"{name} needs onnx: pip install fastfc[onnx]\n"
