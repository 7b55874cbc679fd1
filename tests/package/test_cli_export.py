"""``fastfc export``: networks, runs and checkpoints as files of another kind."""

import os

import numpy as np
import pytest

from fastfc import FullyConnectedNet
from tests.support.cli import QUICK, complaint, output

X = np.linspace(-1, 1, 64).reshape(1, 64)


@pytest.fixture
def run(empty_folder, capsys):
    """A folder of a run, relative to the working directory."""
    output(capsys, "train", *QUICK, "--out", "run")
    return "run"


@pytest.mark.parametrize("source", ["run", "run/model.npz"])
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_files_that_fastfc_loads(run, capsys, source, ending):
    if ending == "safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    assert output(capsys, "export", source, f"net.{ending}") == f"saved: net.{ending}\n"
    wanted = FullyConnectedNet.load("run/model.npz").loss(X)
    np.testing.assert_array_equal(FullyConnectedNet.load(f"net.{ending}").loss(X), wanted)


def test_graphs(run, capsys):
    pytest.importorskip("onnx", reason="onnx is not installed")
    from fastfc.interop import from_onnx

    net = FullyConnectedNet.load("run/model.npz")
    assert output(capsys, "export", "run", "net.ONNX") == "saved: net.ONNX\n"
    np.testing.assert_allclose(from_onnx("net.ONNX")(X), net.loss(X), rtol=1e-5, atol=1e-6)
    options = ("--probabilities", "--input-name", "pixels", "--output-name", "digits")
    output(capsys, "export", "run", "net.onnx", *options)
    function = from_onnx("net.onnx")
    assert (function.input_name, function.output_name) == ("pixels", "digits")
    np.testing.assert_allclose(function(X), net.predict_proba(X), rtol=1e-5, atol=1e-6)


def test_a_checkpoint(run, capsys):
    (name, *_) = sorted(os.listdir("run/checkpoints"))
    output(capsys, "export", f"run/checkpoints/{name}", "net.npz", "--which", "latest")
    wanted = FullyConnectedNet.load(f"run/checkpoints/{name}", which="latest").loss(X)
    np.testing.assert_array_equal(FullyConnectedNet.load("net.npz").loss(X), wanted)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no.npz", "net.npz"), "no.npz: no such file"),
        ((".", "net.npz"), "model.npz: no such file"),
        (
            ("net.npz", "net.pt"),
            "OUT net.pt: expected a name that ends in .npz, .safetensors, .onnx",
        ),
        (("net.npz", "none/net.npz"), "OUT none/net.npz: there is no folder none: make it first"),
        (
            ("net.npz", "out.npz", "--probabilities"),
            "--probabilities is for a file .onnx",
        ),
        (("net.npz", "out.npz", "--input-name", "x"), "--input-name is for a file .onnx: leave it"),
        (
            ("net.npz", "out.onnx", "--preprocessing"),
            "preprocessing is True and the network",
        ),
        (("net.npz",), "the following arguments are required: OUT"),
        (("other.npz", "out.npz"), "other.npz: truncated, or not a .npz file"),
    ],
)
def test_what_is_refused(empty_folder, capsys, words, message):
    if "out.onnx" in words:
        pytest.importorskip("onnx", reason="onnx is not installed")
    FullyConnectedNet([3], input_dim=64).save("net.npz")
    (empty_folder / "other.npz").write_bytes(b"something else")
    before = sorted(os.listdir("."))
    assert message in complaint(capsys, "export", *words)
    assert sorted(os.listdir(".")) == before
