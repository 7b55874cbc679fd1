"""Both packages' networks; what is said of `nets` holds for either."""

import itertools

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.reference import fc_net as reference
from fastfc.verifying import tolerance
from tests.support import cases
from tests.support.same import assert_same

DROPOUTS = [0, 0.25, 0.5]
NORMALIZATIONS = [None, "batchnorm", "layernorm"]


@pytest.fixture(params=[reference, fc_net], ids=["reference", "fast"])
def nets(request):
    return request.param


def data(n=6, shape=(15,), classes=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *shape)), rng.integers(0, classes, n)


# --- initialisation ---------------------------------------------------------------------------


def test_parameters_are_drawn_in_order(nets):
    np.random.seed(3)
    net = nets.FullyConnectedNet([20, 30], input_dim=15, weight_scale=0.1, use_batchnorm=True)
    after = np.random.rand()
    np.random.seed(3)
    expected = {}
    for i, shape in enumerate([(15, 20), (20, 30), (30, 10)], start=1):
        expected[f"W{i}"] = (0.1 * np.random.randn(*shape)).astype(np.float32)
        expected[f"b{i}"] = np.zeros(shape[1])
    for i, size in enumerate([20, 30], start=1):
        expected[f"gamma{i}"], expected[f"beta{i}"] = np.ones(size), np.zeros(size)
    assert list(net.params) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(net.params[name], value)
        assert net.params[name].dtype == np.float32
    assert after == np.random.rand()


def test_defaults(nets):
    net = nets.FullyConnectedNet([5])
    assert net.params["W1"].shape == (3072, 5)
    assert net.params["W2"].shape == (5, 10)
    assert net.params["W1"].std() == pytest.approx(1e-2, rel=0.05)
    assert net.dtype is np.float32
    assert (net.reg, net.num_layers) == (0, 2)
    assert (net.use_batchnorm, net.use_dropout) == (False, False)
    assert (net.dropout_param, net.bn_params) == ({}, [])


def test_hidden_dims_of_any_sequence(nets):
    for dims in ([4, 3], (4, 3), np.array([4, 3])):
        net = nets.FullyConnectedNet(dims, input_dim=2)
        assert [net.params[f"W{i}"].shape for i in (1, 2, 3)] == [(2, 4), (4, 3), (3, 10)]
    assert list(nets.FullyConnectedNet([], input_dim=2).params) == ["W1", "b1"]


@pytest.mark.parametrize("dtype", [np.float64, "float64", np.dtype(np.float64), float])
def test_dtype(nets, dtype):
    net = nets.FullyConnectedNet([4], input_dim=2, dtype=dtype)
    assert net.dtype is np.float64
    assert {v.dtype for v in net.params.values()} == {np.dtype(np.float64)}


# --- TwoLayerNet ------------------------------------------------------------------------------


def test_two_layer_net(nets):
    np.random.seed(1)
    net = nets.TwoLayerNet(15, 20, 7, 0, 0.1, 0.5)
    np.random.seed(1)
    np.testing.assert_array_equal(net.params["W1"], 0.1 * np.random.randn(15, 20))
    np.testing.assert_array_equal(net.params["W2"], 0.1 * np.random.randn(20, 7))
    assert list(net.params) == ["W1", "b1", "W2", "b2"]
    assert {v.dtype for v in net.params.values()} == {np.dtype(np.float64)}
    assert net.reg == 0.5
    assert net.params["b1"].shape == (20,)


def test_two_layer_net_defaults_and_both_names_of_its_size(nets):
    net = nets.TwoLayerNet()
    assert net.params["W1"].shape == (3072, 100)
    assert net.params["W1"].std() == pytest.approx(1e-3, rel=0.05)
    assert nets.TwoLayerNet(input_dim=3, hidden_dim=5).params["W1"].shape == (3, 5)
    assert nets.TwoLayerNet(input_dim=3, hidden_dims=5).params["W1"].shape == (3, 5)


def test_two_layer_net_drops_after_its_relu(nets):
    X, y = data()
    net = nets.TwoLayerNet(15, 200, dropout=0.3, weight_scale=0.1)
    np.random.seed(8)
    loss, _ = net.loss(X, y)
    hidden = np.maximum(X @ net.params["W1"], 0)
    np.random.seed(8)
    hidden *= (np.random.rand(*hidden.shape) < 0.3) / 0.3
    expected, _ = nets.softmax_loss(hidden @ net.params["W2"], y)
    assert loss == pytest.approx(expected, rel=1e-13)


def test_two_layer_net_of_plain_biases(nets):
    X, y = data()
    net = nets.TwoLayerNet(15, 20, weight_scale=0.1)
    expected, expected_grads = net.loss(X, y)
    net.params["b1"], net.params["b2"] = 0, 0.0
    loss, grads = net.loss(X, y)
    assert loss == expected
    np.testing.assert_array_equal(grads["b1"], expected_grads["b1"])


# --- what a network computes ------------------------------------------------------------------


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("dropout", [0, 0.6])
def test_loss_is_the_composition_of_layers(nets, normalization, dropout):
    X, y = data(8, (3, 5))
    net = nets.FullyConnectedNet(
        [20, 12], 15, dropout=dropout, normalization=normalization, reg=0.3, dtype=np.float64
    )
    np.random.seed(2)
    loss, _ = net.loss(X, y)
    np.random.seed(2)
    out = X
    for i in (1, 2):
        out, _ = nets.affine_forward(out, net.params[f"W{i}"], net.params[f"b{i}"])
        if normalization:
            gamma, beta = net.params[f"gamma{i}"], net.params[f"beta{i}"]
            normalize = getattr(nets, f"{normalization}_forward")
            out, _ = normalize(out, gamma, beta, {"mode": "train"})
        out, _ = nets.relu_forward(out)
        if dropout:
            out, _ = nets.dropout_forward(out, {"mode": "train", "p": dropout})
    scores, _ = nets.affine_forward(out, net.params["W3"], net.params["b3"])
    expected, _ = nets.softmax_loss(scores, y)
    for i in (1, 2, 3):
        expected += 0.5 * 0.3 * np.sum(net.params[f"W{i}"] ** 2)
    assert loss == pytest.approx(expected, rel=1e-14)


GRADIENTS = list(itertools.product([[], [7], [7, 6]], DROPOUTS, NORMALIZATIONS, [0, 0.4]))


@pytest.mark.parametrize("label_smoothing", [0, 0.2])
@pytest.mark.parametrize(("hidden", "dropout", "normalization", "reg"), GRADIENTS)
def test_gradient_of_every_parameter(nets, hidden, dropout, normalization, reg, label_smoothing):
    np.random.seed(4)
    X, y = data(5, (2, 3), 4, seed=6)
    net = nets.FullyConnectedNet(
        hidden,
        input_dim=6,
        num_classes=4,
        dropout=dropout,
        normalization=normalization,
        reg=reg,
        weight_scale=0.5,
        dtype=np.float64,
        seed=11,
        label_smoothing=label_smoothing,
    )
    for name, value in net.params.items():  # no pre-activation on the kink of a ReLU
        if name[0] == "b":
            value += 0.1 * np.random.randn(*value.shape)
    loss, grads = net.loss(X, y)
    assert list(grads) == list(net.params)
    # Three layers of sums of at most 7 products and 5 rows, and the losses' own sums.
    bound = tolerance.gamma(100, np.float64) * (1 + loss)
    for name, value in net.params.items():
        tolerance.assert_gradient(grads[name], lambda _: net.loss(X, y)[0], value, 1.0, bound)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradient_of_every_activation(nets, normalization, activation):
    np.random.seed(4)
    X, y = data(5, (2, 3), 4, seed=6)
    net = nets.FullyConnectedNet(
        [7, 6],
        input_dim=6,
        num_classes=4,
        dropout=0.6,
        normalization=normalization,
        weight_scale=0.5,
        dtype=np.float64,
        seed=11,
        activation=activation,
    )
    for name, value in net.params.items():  # no pre-activation on a kink
        if name[0] == "b":
            value += 0.1 * np.random.randn(*value.shape)
    loss, grads = net.loss(X, y)
    bound = tolerance.gamma(200, np.float64) * (1 + loss)  # as above, and the functions' roundings
    for name, value in net.params.items():
        tolerance.assert_gradient(grads[name], lambda _: net.loss(X, y)[0], value, 1.0, bound)


def test_hidden_layers_are_those_of_the_activation(nets):
    X, _ = data()
    names = {"logistic": "sigmoid", "identity": None}
    for activation in ACTIVATIONS:
        net = nets.FullyConnectedNet([9], 15, activation=activation, weight_scale=0.5)
        hidden, _ = nets.affine_forward(X.astype(np.float32), net.params["W1"], net.params["b1"])
        name = names.get(activation, activation)
        out = getattr(nets, f"{name}_forward")(hidden)[0] if name else hidden
        expected, _ = nets.affine_forward(out, net.params["W2"], net.params["b2"])
        np.testing.assert_array_equal(net.loss(X), expected)
        assert activation in net.summary()
        assert (activation in repr(net)) == (activation != "relu")


def test_dropout_of_0_and_1_mean_none(nets):
    X, y = data()
    losses = []
    for dropout in (0, 1, 0.0, 1.0):
        np.random.seed(3)
        net = nets.FullyConnectedNet([20], 15, dropout=dropout)
        losses.append(net.loss(X, y)[0])
        after = np.random.rand()
        np.random.seed(3)
        np.random.randn(15 * 20 + 20 * 10)
        assert after == np.random.rand(), "dropout drew from the stream"
        assert not net.use_dropout
    assert len(set(losses)) == 1


def test_dropout_seed(nets):
    X, y = data()
    net = nets.FullyConnectedNet([50, 50], 15, dropout=0.5, seed=3)
    assert net.loss(X, y)[0] == net.loss(X, y)[0]
    net = nets.FullyConnectedNet([50, 50], 15, dropout=0.5)
    assert net.loss(X, y)[0] != net.loss(X, y)[0]


def test_scores_drop_nothing(nets):
    X, _ = data()
    net = nets.FullyConnectedNet([50], 15, dropout=0.5)
    np.random.seed(0)
    np.testing.assert_array_equal(net.loss(X), net.loss(X))
    after = np.random.rand()
    np.random.seed(0)
    assert after == np.random.rand()


def test_batchnorm_mode_is_set(nets):
    """Scores come from running statistics: they do not depend on the batch."""
    X, y = data(20)
    net = nets.FullyConnectedNet([30], 15, use_batchnorm=True, dtype=np.float64)
    fresh = net.bn_params[0]
    net.loss(X, y)
    assert fresh["mode"] == "train"
    trained = fresh["running_mean"].copy()
    assert np.any(trained != 0)
    scores = net.loss(X)
    assert fresh["mode"] == "test"
    assert set(fresh) == {"mode", "running_mean", "running_var"}
    np.testing.assert_array_equal(fresh["running_mean"], trained)
    np.testing.assert_allclose(net.loss(X[:1]), scores[:1], rtol=1e-12)
    shifted = {**fresh, "running_mean": trained + 1}
    net.bn_params[0] = shifted
    assert np.abs(net.loss(X) - scores).max() > 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, np.int64, np.uint8])
def test_everything_keeps_the_dtype_of_the_network(nets, dtype, given):
    X, y = data()
    net = nets.FullyConnectedNet(
        [20], 15, dropout=0.5, use_batchnorm=True, reg=np.float64(0.1), dtype=dtype
    )
    loss, grads = net.loss(np.abs(X * 9).astype(given), y)
    arrays = {**grads, "loss": loss, "scores": net.loss(X)}
    arrays |= {k: v for k, v in net.bn_params[0].items() if k != "mode"}
    assert {v.dtype for v in arrays.values()} == {np.dtype(dtype)}


def test_parameters_may_be_replaced_and_edited(nets):
    X, y = data()
    net = nets.FullyConnectedNet([20], 15, weight_scale=0.1, dtype=np.float64)
    first, grads = net.loss(X, y)
    kept = {name: g.copy() for name, g in grads.items()}
    net.params["W1"][0, 0] += 1
    edited, _ = net.loss(X, y)
    assert edited != first
    net.params["W1"][0, 0] -= 1
    assert net.loss(X, y)[0] == pytest.approx(first, rel=1e-14)
    net.params["W1"] = net.params["W1"] * 2
    assert net.loss(X, y)[0] != first
    net.params = {k: np.zeros_like(v, np.float32) for k, v in net.params.items()}
    assert net.loss(X, y)[0] == pytest.approx(np.log(10))
    for name, gradient in kept.items():
        np.testing.assert_array_equal(grads[name], gradient)


def test_reg_may_be_changed(nets):
    X, y = data()
    net = nets.FullyConnectedNet([20], 15, dtype=np.float64)
    plain, plain_grads = net.loss(X, y)
    net.reg = 2.0
    loss, grads = net.loss(X, y)
    weights = sum(np.sum(net.params[name] ** 2) for name in ("W1", "W2"))
    assert loss == pytest.approx(plain + weights, rel=1e-14)
    for name in ("W1", "W2"):
        expected = plain_grads[name] + 2 * net.params[name]
        np.testing.assert_allclose(grads[name], expected, rtol=1e-13)
    np.testing.assert_array_equal(grads["b1"], plain_grads["b1"])


def test_gradients_are_the_callers_own(nets):
    X, y = data()
    net = nets.FullyConnectedNet([20], 15, use_batchnorm=True, dropout=0.5, seed=1)
    before = {name: value.copy() for name, value in net.params.items()}
    arrays = X.copy()
    loss, grads = net.loss(X, y)
    copies = {name: g.copy() for name, g in grads.items()}
    for gradient in grads.values():
        gradient[...] = np.nan
    again, grads = net.loss(X, y)
    assert again == loss
    for name, gradient in copies.items():
        np.testing.assert_array_equal(grads[name], gradient)
        np.testing.assert_array_equal(net.params[name], before[name])
    np.testing.assert_array_equal(X, arrays)


@pytest.mark.parametrize("dropout", DROPOUTS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_both_packages_agree(dropout, normalization):
    X, y = data(40, (3, 8, 8), seed=1)
    results = []
    for module in (reference, fc_net):
        np.random.seed(5)
        net = module.FullyConnectedNet(
            [33, 17], 192, dropout=dropout, normalization=normalization, reg=0.1, dtype=np.float64
        )
        results.append((*net.loss(X, y), net.loss(X)))
    (loss, grads, scores), (fast_loss, fast_grads, fast_scores) = results
    # Sums of 192 products, then of 33, 17 and 40 rows, there and back.
    error = tolerance.gamma(2 * (192 + 33 + 17 + 40), np.float64)
    assert fast_loss == pytest.approx(loss, rel=error)
    np.testing.assert_allclose(fast_scores, scores, rtol=0, atol=error * 10)
    assert list(fast_grads) == list(grads)
    for name, gradient in grads.items():
        np.testing.assert_allclose(fast_grads[name], gradient, rtol=0, atol=error * 10)


def test_differ_only_in_their_layers_and_the_fused_step():
    for name in ("FullyConnectedNet", "TwoLayerNet"):
        fast = vars(getattr(fc_net, name))
        assert (
            set(fast)
            - {
                "__module__",
                "__doc__",
                "__firstlineno__",
                "__static_attributes__",
            }
            == set()
        )
        assert getattr(fc_net, name)._layers is fc_net.layer_utils
        assert getattr(reference, name)._layers is not fc_net.layer_utils


@pytest.mark.parametrize("package", ["fastfc", "fastfc.reference"])
def test_star_import_brings_everything(package):
    names = {}
    exec(f"from {package}.fc_net import *", names)
    assert {
        "FullyConnectedNet",
        "TwoLayerNet",
        "affine_forward",
        "affine_relu_backward",
        "affine_bn_relu_forward",
        "batchnorm_backward",
        "dropout_forward",
        "relu_forward",
        "softmax_loss",
        "svm_loss",
        "np",
    } <= names.keys()
    assert names["np"] is np
    assert names["affine_forward"].__module__ == f"{package}.layers"


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dropout": 1.5}, ValueError, "dropout is 1.5, expected the probability of keeping"),
        ({"dropout": -0.1}, ValueError, "dropout is -0.1"),
        ({"dropout": np.nan}, ValueError, "dropout is nan"),
        (
            {"label_smoothing": 2},
            ValueError,
            r"label_smoothing is 2, expected a number in \[0, 1\]",
        ),
        ({"label_smoothing": "0.1"}, ValueError, "label_smoothing is '0.1'"),
        ({"dropout": "half"}, ValueError, "dropout is 'half'"),
        ({"activation": "sigmoid"}, ValueError, "activation is 'sigmoid', expected 'relu', "),
        ({"activation": "geluu"}, ValueError, "did you mean 'gelu'"),
        ({"activation": None}, ValueError, "activation is None"),
        ({"hidden_dims": 100}, TypeError, "hidden_dims is 100, expected a list of layer sizes"),
        ({"hidden_dims": [100.0]}, TypeError, "hidden_dims has 100.0, expected an integer"),
        ({"hidden_dims": [100, 0]}, ValueError, "hidden_dims has 0, expected at least 1"),
        ({"input_dim": (3, 32, 32)}, TypeError, r"input_dim has \(3, 32, 32\)"),
        ({"num_classes": -1}, ValueError, "num_classes has -1"),
        ({"dtype": np.float16}, TypeError, "dtype is float16, expected float32 or float64"),
        ({"dtype": int}, TypeError, "dtype is int64"),
    ],
)
def test_errors_of_the_constructor(nets, arguments, error, message):
    with pytest.raises(error, match=message):
        nets.FullyConnectedNet(**{"hidden_dims": [10], **arguments})


def test_errors_of_the_two_layer_net(nets):
    with pytest.raises(TypeError, match=r"hidden_dims has \[100\], expected an integer"):
        nets.TwoLayerNet(hidden_dims=[100])
    with pytest.raises(ValueError, match="dropout is 2"):
        nets.TwoLayerNet(dropout=2)


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (np.ones((6, 14)), None, ValueError, r"X has shape \(6, 14\), expected .* = 15, "),
        (np.ones((6, 15)) * 1j, None, TypeError, "X has dtype complex128"),
        (np.ones((6, 15)), np.zeros(5, int), ValueError, r"y has shape \(5,\), expected \(6,\)"),
        (np.ones((6, 15)), np.full(6, 10), ValueError, "label"),
        (np.ones((6, 15)), np.full(6, -1), ValueError, "label"),
        (np.ones((6, 15)), np.ones(6), TypeError, "y has dtype float64"),
    ],
)
def test_errors_of_loss(nets, X, y, error, message):
    net = nets.FullyConnectedNet([20], 15)
    with pytest.raises(error, match=message):
        net.loss(X, y)


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
