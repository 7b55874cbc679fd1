"""Networks with any loss, and weights of examples: fused, composed, in the reference, in files."""

import copy

import numpy as np
import pytest

import fastfc
from fastfc import fc_net, losses, optim
from fastfc.gradient_check import eval_numerical_gradient
from fastfc.networks.losses import LOSSES as KNOWN
from fastfc.reference import fc_net as reference
from tests.support.composed import Composed
from tests.support.losses import LOSSES, labels_or_targets, weights
from tests.support.same import assert_same

NETS = pytest.mark.parametrize("nets", [fc_net, reference], ids=["fast", "reference"])
EACH_LOSS = pytest.mark.parametrize("loss", LOSSES, ids=str)
N, D = 30, 12


def network(kind, loss, scores=3, hidden=(9, 7), **options):
    np.random.seed(3)
    options = {"weight_scale": 0.5, "reg": 0.01, **loss, **options}
    return kind(list(hidden), D, scores, **options)


def examples(loss, scores=3, dtype=np.float64, count=N):
    X = np.random.RandomState(count).randn(count, D).astype(dtype)
    return X, labels_or_targets(loss["loss"], count, scores, dtype)


def passed(kind, loss, scores, sample_weight, **options):
    """Return loss and gradients of a pass, and what a step of each rule's leaves."""
    model = network(kind, loss, scores, **options)
    X, y = examples(loss, scores, model.dtype)
    np.random.seed(5)
    found = model.loss(X, y, sample_weight)
    return [*found, [dict(bn_param) for bn_param in model.bn_params]]


@EACH_LOSS
@pytest.mark.parametrize("scores", [1, 3, 20])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalization": "batchnorm", "dropout": 0.7},
        {"normalization": "layernorm", "activation": "gelu"},
        {"hidden": ()},
    ],
    ids=str,
)
def test_fused_is_composed(isa, dtype, loss, scores, weighted, options):
    w = weights(N) if weighted else None
    got = passed(fc_net.FullyConnectedNet, loss, scores, w, dtype=dtype, **options)
    assert_same(got, passed(Composed, loss, scores, w, dtype=dtype, **options))
    expected = passed(reference.FullyConnectedNet, loss, scores, w, dtype=dtype, **options)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-4 if dtype == np.float32 else 1e-12)
    if dtype == np.float64:
        for name, gradient in got[1].items():
            np.testing.assert_allclose(gradient, expected[1][name], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("threads", [2, 5])
@EACH_LOSS
def test_any_number_of_threads(dtype, loss, threads):
    before = fastfc.get_num_threads()
    arguments = fc_net.FullyConnectedNet, loss, 3, weights(N)
    try:
        fastfc.set_num_threads(1)
        expected = passed(*arguments, dtype=dtype, dropout=0.7)
        fastfc.set_num_threads(threads)
        assert_same(passed(*arguments, dtype=dtype, dropout=0.7), expected)
    finally:
        fastfc.set_num_threads(before)


def stepped(kind, loss, rule, weighted, **options):
    """Return what steps of a rule leave: fused ones, or the layers' and then the rule's."""
    model = network(kind, loss, **options)
    X, y = examples(loss, dtype=model.dtype)
    w = weights(N) if weighted else None
    configs = {name: {"learning_rate": 0.1 / (1 + i)} for i, name in enumerate(model.params)}
    found = []
    for step in range(4):
        rows = np.arange(step, step + 8)
        value = model.train_step(X, y, rule, configs, rows=rows, sample_weight=w)
        if value is None:
            value, grads = model.loss(X[rows], y[rows], None if w is None else w[rows])
            for name in model.params:
                model.params[name], configs[name] = getattr(optim, rule)(
                    model.params[name], grads[name], configs[name]
                )
            assert step == 0 or kind.__name__ == "Singly"
        found.append(value)
    return [found, model.params, configs]


class Singly(fc_net.FullyConnectedNet):
    """Whose steps are composed of its loss and the rule."""

    def train_step(self, *args, **options):
        return None


@EACH_LOSS
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rule", ["sgd_momentum", "adam"])
def test_steps(dtype, loss, weighted, rule):
    options = {"dropout": 0.7, "normalization": "batchnorm", "dtype": dtype}
    found = []
    for kind in (fc_net.FullyConnectedNet, Singly):
        np.random.seed(0)
        found.append(stepped(kind, loss, rule, weighted, **options))
    assert_same(*found)


@NETS
@EACH_LOSS
def test_numerical_gradients(nets, loss):
    model = network(nets.FullyConnectedNet, loss, activation="tanh", dtype=np.float64)
    X, y = examples(loss)
    w = weights(N)
    _, grads = model.loss(X, y, w)
    for name in model.params:

        def value(_):
            return model.loss(X, y, w)[0]

        numerical = eval_numerical_gradient(value, model.params[name], verbose=False, h=1e-6)
        np.testing.assert_allclose(grads[name], numerical, rtol=1e-4, atol=1e-6)


@NETS
@EACH_LOSS
def test_the_data_loss_is_the_functions(nets, loss):
    model = network(nets.FullyConnectedNet, loss, reg=0.0, dtype=np.float64)
    X, y = examples(loss)
    function = getattr(losses, f"{loss['loss']}_loss")
    more = [value for name, value in loss.items() if name != "loss"]
    expected = function(model.loss(X), y, *more, sample_weight=weights(N))[0]
    np.testing.assert_allclose(model.loss(X, y, weights(N))[0], expected, rtol=1e-13)


@NETS
def test_defaults_of_parameters(nets):
    for name, default in (("huber", 1.0), ("quantile", 0.5), ("poisson", None), ("softmax", None)):
        model = network(nets.FullyConnectedNet, {"loss": name})
        assert (model.loss_name, model.loss_param) == (name, default)
    assert nets.FullyConnectedNet([2], 3, 4).loss_name == "softmax"
    assert nets.TwoLayerNet(3, 2, 4).loss_name == "softmax"


@NETS
@EACH_LOSS
def test_predictions(nets, loss):
    for scores in (1, 3):
        model = network(nets.FullyConnectedNet, loss, scores, dtype=np.float64)
        X, y = examples(loss, scores)
        found, predicted = model.loss(X), model.predict(X, batch_size=7)
        name = loss["loss"]
        if name == "softmax":
            np.testing.assert_array_equal(predicted, found.argmax(axis=1))
            np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
            continue
        expected = found
        if name == "logistic":
            expected = (found > 0).astype(int)
            probabilities = model.predict_proba(X, batch_size=7)
            np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-found)), rtol=1e-14)
            assert predicted.dtype.kind == "i"
        else:
            with pytest.raises(ValueError, match=f"^predict_proba: the network's loss is '{name}'"):
                model.predict_proba(X)
        if name == "poisson":
            expected = np.exp(found)
        np.testing.assert_array_equal(predicted, expected if scores > 1 else expected[:, 0])
        assert predicted.shape == (y if scores > 1 else y.ravel()).shape
        assert model.predict(X[:0]).shape == predicted[:0].shape


@NETS
def test_probabilities_of_scores_at_the_ends(nets):
    model = nets.FullyConnectedNet([], 1, 1, loss="logistic", dtype=np.float64)
    model.params["W1"] = np.ones((1, 1))
    X = np.array([[-1e4], [-40.0], [0.0], [40.0], [1e4]])
    expected = np.array([[0], [np.exp(-40)], [0.5], [1], [1]])
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-14)


@EACH_LOSS
def test_files(loss, tmp_path):
    model = network(fc_net.FullyConnectedNet, loss)
    X, y = examples(loss, dtype=np.float32)
    model.save(tmp_path / "net.npz")
    for nets in (fc_net, reference):
        again = nets.FullyConnectedNet.load(tmp_path / "net.npz")
        assert (again.loss_name, again.loss_param) == (model.loss_name, model.loss_param)
    assert_same(fc_net.FullyConnectedNet.load(tmp_path / "net.npz").loss(X, y), model.loss(X, y))
    twin = copy.deepcopy(model)
    assert_same(twin.loss(X, y), model.loss(X, y))


def test_files_keep_what_was_set(tmp_path):
    model = network(fc_net.FullyConnectedNet, {"loss": "huber"})
    model.loss_name, model.loss_param = "quantile", 0.9
    model.save(tmp_path / "net.npz")
    again = fc_net.FullyConnectedNet.load(tmp_path / "net.npz")
    assert (again.loss_name, again.loss_param) == ("quantile", 0.9)
    model.loss_param = 2
    with pytest.raises(ValueError, match=r"loss_param is 2, expected a number in \(0, 1\)"):
        model.save(tmp_path / "net.npz")


@NETS
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "sofmax"}, "loss is 'sofmax', expected 'softmax', .*: did you mean 'softmax'"),
        ({"loss": None}, "loss is None, expected 'softmax'"),
        ({"loss": "svm"}, "loss is 'svm', expected 'softmax'"),
        ({"loss_param": 1.0}, "loss_param is 1.0, expected None: the loss 'softmax' has no param"),
        ({"loss": "huber", "loss_param": 0}, "loss_param is 0, expected a finite number above 0"),
        ({"loss": "quantile", "loss_param": 1}, r"loss_param is 1, expected a number in \(0, 1\)"),
        ({"loss": "huber", "loss_param": "1"}, "loss_param is '1', expected a finite number"),
        (
            {"loss": "huber", "label_smoothing": 0.1},
            "label_smoothing is 0.1, expected 0: the loss 'huber' has no labels",
        ),
    ],
    ids=str,
)
def test_what_the_constructor_refuses(nets, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        nets.FullyConnectedNet([2], 3, 4, **options)


@NETS
def test_what_is_set_is_checked(nets):
    model = network(nets.FullyConnectedNet, {"loss": "huber"})
    X, y = examples({"loss": "huber"})
    for name, value in (("loss_name", "hubert"), ("loss_param", -1), ("label_smoothing", 0.1)):
        before = getattr(model, name)
        setattr(model, name, value)
        with pytest.raises(ValueError, match=f"^{'loss' if name == 'loss_name' else name} is "):
            model.loss(X, y)
        setattr(model, name, before)
    model.loss_param = np.float32(0.5)
    other = network(nets.FullyConnectedNet, {"loss": "huber", "loss_param": 0.5})
    assert_same(model.loss(X, y), other.loss(X, y))


@NETS
@pytest.mark.parametrize("name", list(KNOWN))
def test_errors_name_the_argument(nets, name):
    loss = {"loss": name}
    model = network(nets.FullyConnectedNet, loss)
    X, y = examples(loss)
    with pytest.raises(ValueError, match=rf"{name}_loss: y has shape \(29,.*\), expected \(30"):
        model.loss(X, y[:-1])
    with pytest.raises(TypeError, match=f"{name}_loss: y has dtype complex128, expected"):
        model.loss(X, y * 1j)
    w = weights(N)
    for wrong, message in (
        (-w, r"sample_weight\[\d+\] is -.*, expected a finite number of at least 0"),
        (w[1:], r"sample_weight has shape \(29,\), expected \(30,\)"),
        (0 * w, "sample_weight has the sum 0"),
    ):
        with pytest.raises(ValueError, match=f"{name}_loss: {message}"):
            model.loss(X, y, sample_weight=wrong)
    with pytest.raises(ValueError, match="sample_weight is given without y"):
        model.loss(X, sample_weight=w)
    if name in ("logistic", "poisson"):
        y[4, 1] = -3
        with pytest.raises(ValueError, match=rf"{name}_loss: y\[4, 1\] is -3.*, expected a number"):
            model.loss(X, y)


def test_a_step_names_what_is_wrong():
    loss = {"loss": "logistic"}
    model = network(fc_net.FullyConnectedNet, loss)
    X, y = examples(loss)
    configs = {name: {"learning_rate": 0.1} for name in model.params}
    rows = np.arange(5)
    for options, message in (
        ({"y": y[:, :2]}, r"logistic_loss: y has shape \(5, 2\), expected \(5, 3\)"),
        ({"y": y + 1}, r"logistic_loss: y\[\d, \d\] is 2, expected a number from 0 to 1"),
        ({"y": y[:3]}, "rows is .*, expected row numbers of y, which has 3"),
        ({"y": y[:, :, None]}, r"y has shape \(30, 3, 1\), expected \(N,\) or \(N, M\)"),
        ({"sample_weight": np.ones(3)}, "rows is .*, expected row numbers of sample_weight"),
        ({"sample_weight": np.ones((30, 1))}, r"sample_weight has shape \(30, 1\), expected \(N,"),
        ({"sample_weight": -np.ones(30)}, r"logistic_loss: sample_weight\[0\] is -1"),
    ):
        given = {"y": y, **options}
        before = copy.deepcopy(model.params)
        with pytest.raises(ValueError, match=message):
            model.train_step(X, given.pop("y"), "sgd", configs, rows=rows, **given)
        assert_same(model.params, before)


def test_targets_of_other_types_and_layouts():
    loss = {"loss": "squared_error"}
    model = network(fc_net.FullyConnectedNet, loss, scores=1, dtype=np.float32)
    X, y = examples(loss, 1, np.float32)
    y = np.round(4 * y)
    expected = model.loss(X, y)
    apart = np.zeros((2 * N, 1), np.float32)[::2]
    apart[...] = y
    for targets in (y.ravel(), y.astype(float), y.astype("i8"), y.astype(">f4"), apart, y.tolist()):
        assert_same(model.loss(X, targets), expected)


def test_words():
    model = fc_net.FullyConnectedNet([5], 4, 2, loss="poisson")
    assert repr(model) == "<FullyConnectedNet: 4-5-2, poisson, float32>"
    assert "\nexp     (N, 2)" in model.summary()
    assert "softmax" not in fc_net.FullyConnectedNet([5], 4, 2, loss="huber").summary()
