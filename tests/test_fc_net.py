"""Fully connected networks of both packages: regularisation, and where dropout draws from."""

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.reference import fc_net as reference
from tests import cases, tolerance
from tests.same import assert_same


@pytest.fixture(params=[reference, fc_net], ids=["reference", "fast"])
def nets(request):
    return request.param


@pytest.mark.parametrize("hidden", [[], [9], [200, 100]], ids=str)
def test_regularised_loss(nets, isa, dtype, hidden):
    """On zeros the data's loss is log(C), whatever the weights.

    The penalty of a layer of n weights: reg, n squares, their sum, the two products and the sums
    with it.
    """
    net = nets.FullyConnectedNet(hidden, 20, 10, reg=0.3, weight_scale=1.0, dtype=dtype)
    X, y = np.zeros((6, 20)), cases.labels(6, 10)
    scores = np.zeros((6, 10), dtype)
    error, expected = tolerance.softmax_loss(scores, y)["loss"], np.log(10.0)
    for i in range(1, net.num_layers + 1):
        W = net.params[f"W{i}"].astype(np.float64)
        penalty = 0.15 * np.sum(W * W)
        expected += penalty
        error += tolerance.gamma(W.size + 4, dtype) * penalty
    error += tolerance.gamma(net.num_layers, dtype) * expected
    loss, _ = net.loss(X, y)
    assert type(loss) is dtype
    assert abs(float(loss) - expected) <= error


def test_regularised_gradients(nets, dtype):
    """Those without, and reg W: both rounded."""
    X, y = cases.normal((6, 20), dtype, "X"), cases.labels(6, 10)
    found = []
    for reg in (0.0, 0.3):
        np.random.seed(2)
        net = nets.FullyConnectedNet([7], 20, 10, reg=reg, weight_scale=1.0, dtype=dtype)
        found.append(net.loss(X, y)[1])
    plain, grads = found
    for name in ("W1", "W2"):
        plain[name] += dtype(0.3) * net.params[name]
    assert_same(grads, plain)


@pytest.mark.parametrize("rng", ["mt", None, 0])
def test_another_generator(nets, rng):
    for dropout in (0, 0.5):
        with pytest.raises(ValueError, match=f"rng is {rng!r}, expected 'numpy' or 'philox'"):
            nets.FullyConnectedNet([7], dropout=dropout, rng=rng)


def test_the_generator_by_name(nets):
    assert nets.FullyConnectedNet([7], rng="philox").dropout_param == {}
    numpys = nets.FullyConnectedNet([7], dropout=0.5, rng="numpy")
    assert numpys.dropout_param == {"mode": "train", "p": 0.5}
    with pytest.raises(TypeError, match="positional"):
        nets.TwoLayerNet(6, 5, 4, 0.5, 1e-3, 0.0, "philox")


@pytest.mark.parametrize("kind", ["FullyConnectedNet", "TwoLayerNet"])
def test_the_generator_is_saved(nets, kind, tmp_path):
    """Reproducible from np.random.seed, in a network from a file too."""
    X, y = cases.normal((9, 6), np.float64, "X"), cases.labels(9, 4)
    net = getattr(nets, kind)(
        hidden_dims=[5] if kind == "FullyConnectedNet" else 5,
        input_dim=6,
        num_classes=4,
        dropout=0.5,
        rng="philox",
        weight_scale=1.0,
    )
    net.save(tmp_path / "net.npz")
    found = []
    for model in (net, net, getattr(nets, kind).load(tmp_path / "net.npz")):
        assert model.dropout_param["rng"] == "philox"
        np.random.seed(5)
        found.append([*model.loss(X, y), np.random.rand()])
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])
