"""What PyTorch's exporters write, both of them, read by `from_onnx`."""

import logging
import warnings

import numpy as np
import pytest

from fastfc import FullyConnectedNet, interop
from tests.support import cases

pytest.importorskip("onnx", reason="onnx is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGES = torch.tensor(cases.normal((6, 2, 3, 2), np.float32, "images"))
ROWS = IMAGES.reshape(6, 12)


def hidden(*more, bias=True):
    return nn.Sequential(nn.Linear(12, 9, bias=bias), *more, nn.Linear(9, 4))


class View(nn.Module):
    """Makes a row of each example by the batch's size."""

    def forward(self, x):
        return x.view(x.size(0), -1)


class Normalize(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.linspace(-1, 1, 12))
        self.register_buffer("std", torch.linspace(0.5, 3, 12))

    def forward(self, x):
        return (x - self.mean) / self.std


MODULES = {
    "relu": (hidden(nn.ReLU()), ROWS),
    "no bias": (hidden(nn.Tanh(), bias=False), ROWS),
    "batchnorm": (hidden(nn.BatchNorm1d(9, eps=1e-3), nn.ReLU(), nn.Dropout(0.5)), ROWS),
    "batchnorm behind": (hidden(nn.ReLU(), nn.BatchNorm1d(9)), ROWS),
    "layernorm": (hidden(nn.LayerNorm(9), nn.GELU()), ROWS),
    "layernorm, no weights": (hidden(nn.LayerNorm(9, elementwise_affine=False), nn.SiLU()), ROWS),
    "leaky": (hidden(nn.LeakyReLU(), nn.Dropout(0.2)), ROWS),
    "flatten": (nn.Sequential(nn.Flatten(), hidden(nn.Sigmoid()), nn.Softmax(dim=1)), IMAGES),
    "view": (nn.Sequential(View(), hidden(nn.ReLU()), nn.Sigmoid()), IMAGES),
    "preprocessing": (nn.Sequential(Normalize(), hidden(nn.SiLU())), ROWS),
}


def prepare(case):
    """Return a module in eval mode, whose statistics are no defaults, its input and its scores."""
    module, x = MODULES[case]
    torch.manual_seed(0)
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(3 * torch.randn_like(x) + 1)
        module.eval()
        return module, x, module(x).numpy()


def compare(path, x, wanted):
    found = interop.from_onnx(path)(x.numpy())
    assert np.abs(found - wanted).max() <= 1e-6 * max(np.abs(wanted).max(), 1)


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("case", MODULES)
def test_the_older_exporter(case, opset, tmp_path):
    module, x, wanted = prepare(case)
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "N"}}}
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (x,), path, dynamo=False, opset_version=opset, **names)
    compare(path, x, wanted)


@pytest.mark.parametrize("case", MODULES)
def test_the_older_exporter_as_it_is(case, tmp_path):
    """A batch of fixed size, and no constants folded."""
    module, x, wanted = prepare(case)
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (x,), path, dynamo=False, do_constant_folding=False)
    compare(path, x, wanted)


def test_the_older_exporter_in_training_mode(tmp_path):
    module, x, _ = prepare("batchnorm")
    path, mode = tmp_path / "net.onnx", torch.onnx.TrainingMode.TRAINING
    torch.onnx.export(module, (x,), path, dynamo=False, training=mode)
    module.eval()
    with pytest.raises(ValueError, match=r"BatchNormalization .*: it is in training mode"):
        interop.from_onnx(path)


@pytest.fixture(scope="module")
def exporter():
    """The newer exporter, which needs a package of its own and is not silent."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("case", "dynamic"),
    [("batchnorm", True), ("layernorm", False), ("view", True), ("preprocessing", False)],
)
def test_the_newer_exporter(case, dynamic, exporter, tmp_path):
    module, x, wanted = prepare(case)
    path = tmp_path / "net.onnx"
    shapes = {"dynamic_shapes": ({0: torch.export.Dim("N")},)} if dynamic else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, dynamo=True, verbose=False, **shapes)
    assert {file.name for file in tmp_path.iterdir()} == {"net.onnx", "net.onnx.data"}
    compare(path, x, wanted)
    (tmp_path / "net.onnx.data").unlink()
    with pytest.raises(ValueError, match=r"'net.onnx.data', which is not there"):
        interop.from_onnx(path)


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
def test_a_round_by_all_kinds_of_files(normalization, tmp_path):
    """From .npz to PyTorch, ONNX, fastfc, .safetensors and fastfc again."""
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    x = ROWS.numpy()
    net = FullyConnectedNet(
        [9, 7], 12, 4, normalization=normalization, activation="silu", weight_scale="he"
    )
    for _ in range(5):
        net.loss(x, [0, 1, 2, 3, 0, 1])
    net.save(tmp_path / "net.npz")
    module = interop.to_torch(FullyConnectedNet.load(tmp_path / "net.npz"))
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (ROWS,), path, dynamo=False, opset_version=17)
    interop.from_onnx(path).network().save(tmp_path / "net.safetensors")
    again = FullyConnectedNet.load(tmp_path / "net.safetensors")
    assert np.abs(again.loss(x) - net.loss(x)).max() <= 1e-6 * np.abs(net.loss(x)).max()
    assert (again.activation, again.normalization) == ("silu", normalization)
