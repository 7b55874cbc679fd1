"""install_as says what it replaces, and keeps what it is asked to keep."""

import importlib
import pickle
import sys

import numpy as np
import pytest

import fastfc
from fastfc import fc_net, layers
from fastfc.gradient_check import eval_numerical_gradient
from tests.support import course

# Layers of a student's own, right but for what each test breaks.
OWN_LAYERS = """
    import numpy as np

    calls = []

    def affine_forward(x, w, b):
        calls.append("affine_forward")
        return x.reshape(len(x), -1) @ w + b, (x, w, b)

    def affine_backward(dout, cache):
        x, w, b = cache
        return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(0)

    def relu_forward(x):
        return np.maximum(x, 0), x

    def relu_backward(dout, cache):
        return dout * (cache > 0)

    def dropout_forward(x, dropout_param):
        mask = None
        if dropout_param["mode"] == "train":
            mask = (np.random.rand(*x.shape) < dropout_param["p"]) / dropout_param["p"]
            x = x * mask
        return x, (dropout_param, mask)

    def dropout_backward(dout, cache):
        return dout if cache[1] is None else dout * cache[1]

    def softmax_loss(x, y):
        e = np.exp(x - x.max(1, keepdims=True))
        e /= e.sum(1, keepdims=True)
        rows = np.arange(len(x))
        loss = -np.log(e[rows, y]).mean()
        e[rows, y] -= 1
        return loss, e / len(x)
    """
WITHOUT_BIAS = OWN_LAYERS.replace("@ w + b", "@ w")


pytestmark = pytest.mark.usefixtures("given_back")


# --- the line ---------------------------------------------------------------------------------


def test_the_line_without_a_folder(printed_line):
    fastfc.install_as("cs231n", "utils")
    out = printed_line()
    for name in fastfc.installed():
        assert name in out
    assert 'fastfc.install_as("cs231n", "utils", keep=["layers"])' in out


def test_the_line_names_the_files_that_are_replaced(folder, printed_line):
    course.write(folder, "cs231n", ["layers.py", "solver.py", "cnn.py"])
    fastfc.install_as("cs231n")
    out = printed_line()
    assert "replaces your cs231n.layers, cs231n.solver" in out
    assert "cs231n.optim" not in out
    assert "cs231n.cnn" not in out


def test_the_line_as_it_says_to_be_run(folder, printed_line):
    """What it proposes works, and says so."""
    course.write(folder, "nndl", ["layers.py", "fc_net.py"])
    course.write(folder, "utils", ["solver.py"], init=None)
    fastfc.install_as("nndl", "utils")
    proposed = printed_line().partition("your own: ")[2]
    exec(proposed, {"fastfc": fastfc})
    out = printed_line()
    assert "leaves nndl.layers to you" in out
    assert "replaces your nndl.fc_net, utils.solver" in out
    assert "fastfc's networks and layer_tests call nndl.layers" in out
    assert not {"nndl.layers", "utils.layers"} & fastfc.installed().keys()
    assert fastfc.installed()["nndl.fc_net"] == "fastfc.fc_net"


def test_the_line_proposes_nothing_where_all_is_kept(folder, printed_line):
    """Proposed were a name twice, or one of which the course has no file."""
    course.write(folder, "cs231n", ["layers.py", "solver.py"])
    for keep in (["layers", "solver"], ["layers"]):
        fastfc.install_as("cs231n", keep=keep)
        out = printed_line()
        assert "leaves cs231n.layers" in out
        assert ("to keep a file" in out) == ("solver" not in keep)
        assert '"layers", "layers"' not in out


def test_the_line_repeats_the_convention(printed_line):
    fastfc.install_as("nndl", dropout_convention="drop")
    assert 'install_as("nndl", keep=["layers"], dropout_convention="drop")' in printed_line()


def test_the_line_comes_each_time_a_cell_is_run(printed_line):
    fastfc.install_as("nndl")
    first = printed_line()
    fastfc.install_as("nndl")
    assert printed_line() == first


# --- keep -------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [["layers"], "layers", ["cs231n.layers"], ("layers",)])
def test_a_kept_module_is_the_courses(folder, keep):
    course.write(folder, "cs231n")
    fastfc.install_as("cs231n", keep=keep)
    from cs231n.layers import affine_forward, conv_forward
    from cs231n.solver import Solver

    assert affine_forward(1, 2, 3) == ("the course's", None)
    assert conv_forward(np.ones((1, 2))) == "the course's"
    assert Solver is fastfc.solver.Solver
    with pytest.raises(ImportError):  # which the student has not written yet
        from cs231n.layers import batchnorm_forward  # noqa: F401


def test_a_kept_layer_is_the_same_under_every_name(folder):
    course.write(folder, "nndl", layers=OWN_LAYERS)
    fastfc.install_as("nndl", keep=["layers"])
    import nndl.fc_net
    import nndl.layer_utils
    import nndl.layers

    for module in (nndl.fc_net, nndl.layer_utils):
        assert module.affine_forward is nndl.layers.affine_forward
        assert not hasattr(module, "batchnorm_forward")
    out, cache = nndl.fc_net.affine_relu_forward(np.ones((1, 2)), np.eye(2), np.array([1.0, -3.0]))
    assert out.tolist() == [[2.0, 0.0]]
    assert nndl.layers.calls == ["affine_forward"]
    _, _, db = nndl.layer_utils.affine_relu_backward(np.ones((1, 2)), cache)
    assert db.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks_call_the_layers_that_are_kept(folder, dtype):
    """The numbers are those of fastfc's, when the layers are right."""
    course.write(folder, "nndl", layers=OWN_LAYERS)
    course.write(folder, "utils", [], init=None)
    fastfc.install_as("nndl", "utils", keep=["layers"])
    import nndl.layers
    from nndl.fc_net import FullyConnectedNet
    from utils.solver import Solver

    X, y = np.random.RandomState(0).randn(40, 6), np.arange(40) % 3
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    losses = []
    for network in (FullyConnectedNet, fc_net.FullyConnectedNet):
        np.random.seed(1)
        model = network([8, 7], 6, 3, dropout=0.8, weight_scale=0.3, reg=0.1, dtype=dtype)
        solver = Solver(model, data, update_rule="adam", num_epochs=3, batch_size=10, verbose=False)
        solver.train()
        losses.append(solver.loss_history)
        assert all(value.dtype == dtype for value in model.params.values())
        assert model.loss(X).dtype == dtype
    assert len(nndl.layers.calls) > 3 * 4
    np.testing.assert_allclose(*losses, rtol=1e-4 if dtype is np.float32 else 1e-9)


def test_a_wrong_layer_that_is_kept_shows(folder):
    """A notebook's gradient check fails where the student's bias is missing."""
    course.write(folder, "cs231n", layers=WITHOUT_BIAS)
    fastfc.install_as("cs231n", keep=["layers"])
    from cs231n.classifiers.fc_net import TwoLayerNet
    from cs231n.layer_tests import affine_backward_test, affine_forward_test, fc_net_test

    model = TwoLayerNet(4, 5, 3, 0.5, 0.0)
    X, y = np.random.RandomState(0).randn(6, 4), np.arange(6) % 3
    _, grads = model.loss(X, y)
    numerical = eval_numerical_gradient(lambda _: model.loss(X, y)[0], model.params["b2"], False)
    assert abs(numerical - grads["b2"]).max() > 1e-3
    for failing in (affine_forward_test, affine_backward_test, fc_net_test):
        with pytest.raises(AssertionError):
            failing()
    fastfc.layer_tests.affine_forward_test()


def test_edits_of_kept_layers_are_seen(folder):
    root = course.write(folder, "nndl", layers=WITHOUT_BIAS)
    fastfc.install_as("nndl", keep=["layers"])
    import nndl.layers
    from nndl.fc_net import TwoLayerNet
    from nndl.layer_tests import affine_forward_test

    model = TwoLayerNet(2, 3, 2)
    model.params["b2"][:] = 5
    assert abs(model.loss(np.ones((1, 2)))).max() < 1
    course.write(folder, "nndl", layers=OWN_LAYERS)
    assert (root / "layers.py").is_file()
    importlib.reload(nndl.layers)
    assert abs(model.loss(np.ones((1, 2)))).min() > 4
    del affine_forward_test
    importlib.reload(importlib.import_module("nndl.layer_tests")).affine_forward_test()


def test_a_layer_that_is_missing_is_named(folder):
    course.write(folder, "nndl", layers=OWN_LAYERS)
    fastfc.install_as("nndl", keep=["layers"])
    from nndl.fc_net import FullyConnectedNet

    with pytest.raises(AttributeError, match=r"nndl\.layers, which you keep, has no batchnorm_for"):
        FullyConnectedNet([3], 2, use_batchnorm=True).loss(np.ones((1, 2)))


def test_kept_layer_utils_are_called(folder):
    course.write(
        folder,
        "nndl",
        layer_utils="""
            from .layers import *

            calls = []

            def affine_relu_forward(x, w, b):
                calls.append("affine_relu_forward")
                a, fc_cache = affine_forward(x, w, b)
                out, relu_cache = relu_forward(a)
                return out, (fc_cache, relu_cache)
            """,
    )
    fastfc.install_as("nndl", keep=["layer_utils"])
    import nndl.layer_utils
    import nndl.layers
    from nndl.fc_net import FullyConnectedNet

    assert nndl.layers.affine_forward is layers.affine_forward
    FullyConnectedNet([3, 4], 2).loss(np.ones((1, 2)), np.array([0]))
    assert nndl.layer_utils.calls == 2 * ["affine_relu_forward"]


def test_a_kept_network_is_what_layer_tests_test(folder):
    net = "class FullyConnectedNet:\n    def __init__(self, *a, **k):\n        raise OSError(17)\n"
    course.write(folder, "nndl", fc_net=net)
    fastfc.install_as("nndl", keep=["fc_net"])
    from nndl.layer_tests import affine_forward_test, fc_net_test

    affine_forward_test()
    with pytest.raises(OSError, match="17"):
        fc_net_test()


def test_both_names_of_fc_net_are_kept(folder):
    root = course.write(folder, "cs231n", [])
    course.write(root, "classifiers", [], fc_net="class TwoLayerNet:\n    own = True\n")
    fastfc.install_as("cs231n", keep=["fc_net"])
    from cs231n.classifiers.fc_net import TwoLayerNet

    assert TwoLayerNet.own
    assert not [name for name in fastfc.installed() if name.endswith("fc_net")]


def test_a_kept_solver_and_data_utils(folder):
    course.write(folder, "utils", ["solver.py"], data_utils="def load_tiny():\n    return 3\n")
    fastfc.install_as("utils", keep=["solver", "data_utils"])
    from utils.data_utils import load_tiny
    from utils.solver import Solver

    assert load_tiny() == 3
    assert Solver is not fastfc.solver.Solver
    with pytest.raises(ImportError):
        from utils.data_utils import get_CIFAR10_data  # noqa: F401


def test_keep_may_change_when_the_cell_is_run_again(folder):
    course.write(folder, "nndl", layers=OWN_LAYERS)
    fastfc.install_as("nndl")
    import nndl.layers

    assert nndl.layers.affine_forward is layers.affine_forward
    fastfc.install_as("nndl", keep=["layers"])
    import nndl.layers

    assert nndl.layers.affine_forward is not layers.affine_forward
    fastfc.install_as("nndl")
    import nndl.layers

    assert nndl.layers.affine_forward is layers.affine_forward
    fastfc.uninstall()
    assert "nndl.layers" not in sys.modules


def test_pickles_of_networks_over_kept_layers(folder):
    """They are never fastfc's layers afterwards."""
    course.write(folder, "nndl", layers=OWN_LAYERS)
    fastfc.install_as("nndl", keep=["layers"])
    import nndl.layers
    from nndl.fc_net import TwoLayerNet

    model = TwoLayerNet(2, 3)
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is TwoLayerNet
    nndl.layers.calls.clear()
    np.testing.assert_array_equal(again.loss(np.ones((1, 2))), model.loss(np.ones((1, 2))))
    assert len(nndl.layers.calls) == 4


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (["layer"], "keep has 'layer', expected a list of layers, layer_utils"),
        ([3], "keep has 3, expected a list of"),
        (["layers"], "keep has 'layers', but there is no such file in nndl or utils"),
        (["cs231n.layers"], r"keep has 'cs231n\.layers', expected"),
    ],
)
def test_what_cannot_be_kept(keep, message):
    finders = list(sys.meta_path)
    with pytest.raises(ValueError, match=message):
        fastfc.install_as("nndl", "utils", keep=keep)
    assert sys.meta_path == finders
    assert fastfc.installed() == {}
