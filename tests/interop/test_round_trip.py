"""A network that goes through every library and comes back with the same scores."""

import warnings

import numpy as np
import pytest

from fastfc import fc_net, interop
from tests.support import cases

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

KINDS = [(None, "relu"), ("batchnorm", "relu"), ("layernorm", "relu"), ("batchnorm", "gelu")]
KINDS += [("layernorm", "silu"), (None, "tanh"), ("batchnorm", "leaky_relu")]
# Whose second exporter takes seconds.
CASES = [(*kind, dtype, False) for kind in KINDS for dtype in (np.float32, np.float64)]
CASES += [(*kind, np.float32, True) for kind in KINDS[1:3]]


@pytest.mark.parametrize(("normalization", "activation", "dtype", "dynamo"), CASES)
def test_there_and_back(tmp_path, normalization, activation, dtype, dynamo):
    """npz, PyTorch, ONNX, fastfc, safetensors, fastfc."""
    if dynamo:
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    arguments = {"normalization": normalization, "activation": activation, "dropout": 0.8}
    net = fc_net.FullyConnectedNet([9, 8], 6, 4, dtype=dtype, weight_scale=0.7, **arguments)
    X, y = 2 + cases.normal((40, 6), dtype, "X"), cases.labels(40, 4)
    net.loss(X, y)
    net.save(tmp_path / "net.npz")

    module = interop.to_torch(fc_net.FullyConnectedNet.load(tmp_path / "net.npz"))
    export(module, torch.from_numpy(X), tmp_path / "net.onnx", dynamo)
    read = interop.from_onnx(tmp_path / "net.onnx").network()
    read.save(tmp_path / "net.safetensors")
    again = fc_net.FullyConnectedNet.load(tmp_path / "net.safetensors")

    expected = net.loss(X)
    # ONNX has eps in single precision, 1e-8 of it off
    precision = 1e-6 if dtype is np.float32 else 1e-11 if normalization else 1e-14
    np.testing.assert_allclose(
        again.loss(X), expected, rtol=0, atol=2 * precision * np.abs(expected).max()
    )
    np.testing.assert_array_equal(again.predict(X), net.predict(X))


def export(module, X, path, dynamo):
    """Let PyTorch write ONNX, by either of its exporters."""
    if dynamo:
        dynamic = {"dynamic_shapes": ({0: torch.export.Dim("N")},), "verbose": False}
    else:
        dynamic = {"dynamic_axes": {"input": {0: "N"}}}
    names = {"input_names": ["input"], "output_names": ["scores"]}
    with warnings.catch_warnings():  # of PyTorch's own, about themselves
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (X,), str(path), dynamo=dynamo, **names, **dynamic)
