"""FullyConnectedNet's arguments under the names of either course, and what they choose."""

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.reference import fc_net as reference
from fastfc.solver import Solver


@pytest.fixture(params=[reference, fc_net], ids=["reference", "fast"])
def nets(request):
    return request.param


def data(n=6, size=15):
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, size)), rng.integers(0, 10, n)


def state(net):
    """All that a notebook reads of a new network."""
    names = ("normalization", "use_batchnorm", "use_dropout", "bn_params", "dropout_param")
    return {name: getattr(net, name) for name in names}


SAME = [
    # the seed's spelling, CS231n's, and both by position
    ({}, {}, ()),
    ({"dropout": 0}, {"dropout_keep_ratio": 1}, (1,)),
    ({"dropout": 0.3}, {"dropout_keep_ratio": 0.3}, (0.3,)),
    ({"use_batchnorm": False}, {"normalization": None}, (0, None)),
    ({"use_batchnorm": True}, {"normalization": "batchnorm"}, (1, "batchnorm")),
    ({"use_batchnorm": np.True_}, {"normalization": "batchnorm"}, (0, 1)),
    ({"use_batchnorm": "layernorm"}, {"normalization": "layernorm"}, (1, "layernorm")),
    ({"dropout": 0.3, "use_batchnorm": True}, {"normalization": True, "dropout": 0.3}, (0.3, True)),
]


@pytest.mark.parametrize(("seed", "cs231n", "positional"), SAME, ids=str)
def test_either_spelling(nets, seed, cs231n, positional):
    built = []
    for call in (
        lambda: nets.FullyConnectedNet([20, 7], 15, **seed),
        lambda: nets.FullyConnectedNet([20, 7], 15, **cs231n),
        lambda: nets.FullyConnectedNet([20, 7], 15, 10, *positional),
    ):
        np.random.seed(1)
        built.append(call())
    for net in built[1:]:
        assert state(net) == state(built[0])
        assert list(net.params) == list(built[0].params)
        for name, value in net.params.items():
            np.testing.assert_array_equal(value, built[0].params[name])


@pytest.mark.parametrize(
    ("normalization", "bn_params"),
    [(None, []), ("batchnorm", [{"mode": "train"}] * 2), ("layernorm", [{}, {}])],
)
def test_attributes(nets, normalization, bn_params):
    net = nets.FullyConnectedNet(
        [20, 7], 15, dropout_keep_ratio=0.5, normalization=normalization, seed=4
    )
    assert state(net) == {
        "normalization": normalization,
        "use_batchnorm": normalization == "batchnorm",
        "use_dropout": True,
        "bn_params": bn_params,
        "dropout_param": {"mode": "train", "p": 0.5, "seed": 4},
    }
    for i, size in enumerate([20, 7], start=1):
        names = {f"gamma{i}": np.ones(size), f"beta{i}": np.zeros(size)} if normalization else {}
        for name, value in names.items():
            np.testing.assert_array_equal(net.params[name], value)
    assert len(net.params) == (10 if normalization else 6)


def test_layer_normalisation_has_no_modes(nets):
    """Scores are those of the training pass, and those of each example alone."""
    X, y = data()
    net = nets.FullyConnectedNet([20, 12], 15, normalization="layernorm", dtype=np.float64)
    for bn_param in net.bn_params:
        bn_param["eps"] = 0.5
    loss, _ = net.loss(X, y)
    scores = net.loss(X)
    assert loss == pytest.approx(nets.softmax_loss(scores, y)[0], rel=1e-14)
    np.testing.assert_allclose(net.loss(X[2:3]), scores[2:3], rtol=0, atol=1e-13)
    assert net.bn_params == [{"eps": 0.5}, {"eps": 0.5}]
    net.bn_params[0]["eps"] = 50.0
    assert np.abs(net.loss(X) - scores).max() > 1e-6


def test_regularisation_leaves_gamma_and_beta_alone(nets):
    X, y = data()
    results = []
    for reg in (0.0, 0.7):
        np.random.seed(2)
        net = nets.FullyConnectedNet(
            [20], 15, normalization="layernorm", reg=reg, weight_scale=0.1, dtype=np.float64
        )
        results.append((net, *net.loss(X, y)))
    (net, plain, plain_grads), (_, loss, grads) = results
    squares = sum(np.sum(net.params[name] ** 2) for name in ("W1", "W2"))
    assert loss == pytest.approx(plain + 0.35 * squares, rel=1e-14)
    for name in ("gamma1", "beta1", "b1", "b2"):
        np.testing.assert_array_equal(grads[name], plain_grads[name])


def test_solver_trains_it(nets):
    """A network of 20 learns 30 examples by heart."""
    X, y = data(30)
    np.random.seed(0)
    net = nets.FullyConnectedNet([20], 15, normalization="layernorm", weight_scale=0.1)
    splits = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    solver = Solver(
        net,
        splits,
        update_rule="adam",
        optim_config={"learning_rate": 2e-2},
        num_epochs=60,
        batch_size=10,
        verbose=False,
    )
    solver.train()
    assert solver.check_accuracy(X, y) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"dropout": 0, "dropout_keep_ratio": 0.5},
            TypeError,
            "dropout is 0 and dropout_keep_ratio is 0.5, expected one of them",
        ),
        (
            {"use_batchnorm": False, "normalization": "layernorm"},
            TypeError,
            "use_batchnorm is False and normalization is 'layernorm', expected one of them",
        ),
        ({"dropout_keep_ratio": 1.5}, ValueError, "dropout_keep_ratio is 1.5, expected the prob"),
        ({"normalization": "groupnorm"}, ValueError, "normalization is 'groupnorm', expected None"),
        ({"use_batchnorm": "yes"}, ValueError, "use_batchnorm is 'yes', expected None, 'batchn"),
        ({"normalization": 0.5}, ValueError, "normalization is 0.5, expected None"),
        ({"normalization": ["layernorm"]}, ValueError, r"normalization is \['layernorm'\]"),
    ],
)
def test_errors(nets, arguments, error, message):
    with pytest.raises(error, match=message):
        nets.FullyConnectedNet([20], 15, **arguments)
