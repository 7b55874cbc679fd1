"""The fused training step is bit for bit the composed one, and never writes to others' arrays."""

import collections
import copy
import itertools
import pickle
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastfc
from fastfc import fc_net, optim
from fastfc.arguments import shown
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.solver import Solver
from fastfc.training import NonFiniteLossError
from tests.support import cases
from tests.support.composed import Composed, irregular
from tests.support.same import assert_same


@pytest.fixture(params=[1, 2, 3, 5])
def threads(request):
    """Run the test with so many threads."""
    before = fastfc.get_num_threads()
    fastfc.set_num_threads(request.param)
    yield request.param
    fastfc.set_num_threads(before)


def examples(N, D=60, classes=10):
    rng = np.random.RandomState(N)
    return rng.randn(3 * N, 3, D // 3), rng.randint(classes, size=3 * N)


def trained(network, N, rule="adam", epochs=3, clip_norm=None, **options):
    """Train a new network; return the solver and all that training leaves behind."""
    X, y = examples(N)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    np.random.seed(7)
    model = network(input_dim=60, **options)
    solver = Solver(
        model,
        data,
        update_rule=rule,
        clip_norm=clip_norm,
        batch_size=N,
        num_epochs=epochs,
        verbose=False,
    )
    loss, grads = model.loss(X[:N], y[:N])
    solver.train()
    left = {
        "loss": loss,
        "grads": grads,
        "losses": solver.loss_history,
        "params": model.params,
        "bn": [{k: v for k, v in bn.items() if k.startswith("running")} for bn in model.bn_params],
        "optim": solver.optim_configs,
        "random": np.random.get_state()[1:3],
    }
    return solver, left


OPTIONS = [
    {"hidden_dims": hidden, "dropout": dropout, "normalization": normalization, "seed": seed}
    for hidden, dropout, normalization, seed in itertools.product(
        ([], [33], [100, 64, 7]), (0, 0.5), (None, "batchnorm", "layernorm"), (None, 3)
    )
    if seed is None or dropout
]
OPTIONS += [
    {
        "hidden_dims": [33, 7],
        "dropout": 0.3,
        "dropout_convention": "drop",
        "normalization": normalization,
        "seed": seed,
    }
    for normalization, seed in itertools.product((None, "batchnorm", "layernorm"), (None, 3))
]
OPTIONS += [
    {
        "hidden_dims": [100, 33, 7],
        "activation": activation,
        "dropout": dropout,
        "normalization": normalization,
        "weight_scale": 0.3,  # far into the ends of some
    }
    for activation, dropout, normalization in itertools.product(
        ACTIVATIONS, (0, 0.5), (None, "batchnorm", "layernorm")
    )
    if activation != "relu"
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("N", [1, 5, 100])
def test_step_equals_composed_layers(isa, dtype, options, N):
    expected = trained(Composed, N, dtype=dtype, **options)[1]
    assert_same(trained(fc_net.FullyConnectedNet, N, dtype=dtype, **options)[1], expected)


def test_batches_of_several_parts(isa, dtype):
    """The weights' gradient sums over more examples than a part of a product's depth has."""
    options = {"hidden_dims": [300, 70], "dropout": 0.5, "use_batchnorm": True, "dtype": dtype}
    expected = trained(Composed, 600, **options)[1]
    assert_same(trained(fc_net.FullyConnectedNet, 600, **options)[1], expected)


@pytest.mark.parametrize("hidden", [[100], [300, 60]])
@pytest.mark.parametrize("rows", ["chosen", "given"])
def test_zeros_left_out(isa, dtype, threads, hidden, rows):
    """Of the input four elements of five are zeros, as in images of digits."""
    X = cases.normal((210, 784), dtype, "zeros")
    X[cases.generator("zeros").random(X.shape) > 0.2] = 0
    y = cases.labels(210, 10)
    left = []
    for network in (fc_net.FullyConnectedNet, Composed):
        np.random.seed(7)
        model = network(hidden, input_dim=784, dtype=dtype, weight_scale=0.1)
        if rows == "given":
            left.append([*model.loss(X, y)[1].values(), *model.params.values()])
            continue
        data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
        solver = Solver(model, data, update_rule="adam", batch_size=200, verbose=False)
        solver.train()
        left.append([*model.params.values(), solver.loss_history])
    assert_same(*left)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_large_batches_of_every_activation(isa, dtype, activation):
    """Slices of more rows than are in cache, masks of Philox, and a product cut along its depth."""
    options = {"hidden_dims": [300, 70], "dropout": 0.5, "rng": "philox", "dtype": dtype}
    options |= {"activation": activation, "use_batchnorm": True}
    expected = trained(Composed, 600, epochs=2, **options)[1]
    assert_same(trained(fc_net.FullyConnectedNet, 600, epochs=2, **options)[1], expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_on_any_number_of_threads(dtype, threads, activation):
    options = {"hidden_dims": [300, 130], "activation": activation, "dropout": 0.7, "dtype": dtype}
    got = trained(fc_net.FullyConnectedNet, 150, epochs=2, **options)[1]
    fastfc.set_num_threads(1)
    assert_same(got, trained(Composed, 150, epochs=2, **options)[1])


def test_changed_activation():
    """From one that keeps slopes to one that does not and back: each step is that of a new one."""
    X, y = examples(20)
    model = fc_net.FullyConnectedNet([33, 7], input_dim=60, weight_scale=0.3)
    twin = Composed([33, 7], input_dim=60)
    twin.params = model.params
    for activation in [*ACTIVATIONS, "tanh", "relu", "gelu", "identity", "relu"]:
        model.activation = twin.activation = activation
        assert model._network().loss(X, y, model) is not None
        assert_same(model.loss(X, y), twin.loss(X, y))
        assert_same(model.loss(X), twin.loss(X))
    for activation in ("sigmoid", None, 3, ["relu"], np.ones(3)):
        model.activation = activation
        for call in (lambda: model.loss(X, y), lambda: model.loss(X), model.predictor):
            with pytest.raises(ValueError, match=r"activation is .*, expected 'relu', 'identity'"):
                call()


def test_smoothed_labels(isa, dtype):
    options = {"hidden_dims": [33], "dropout": 0.5, "label_smoothing": 0.1, "dtype": dtype}
    expected = trained(Composed, 20, **options)[1]
    assert_same(trained(fc_net.FullyConnectedNet, 20, **options)[1], expected)
    different = trained(fc_net.FullyConnectedNet, 20, **{**options, "label_smoothing": 0})[1]
    assert different["loss"] != expected["loss"]


def test_changed_label_smoothing():
    X, y = examples(4)
    model = fc_net.FullyConnectedNet([5], input_dim=60)
    np.random.seed(0)
    twin = Composed([5], input_dim=60, label_smoothing=0.5)
    model.params = twin.params
    model.label_smoothing = 1.5
    with pytest.raises(ValueError, match=r"label_smoothing is 1.5, expected a number in \[0, 1\]"):
        model.loss(X, y)
    model.label_smoothing = 0.5
    assert_same(model.loss(X, y), twin.loss(X, y))


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
def test_every_rule(dtype, rule, normalization):
    options = {"hidden_dims": [50, 40], "dropout": 0.7, "normalization": normalization}
    expected = trained(Composed, 20, rule, dtype=dtype, **options)[1]
    assert_same(trained(fc_net.FullyConnectedNet, 20, rule, dtype=dtype, **options)[1], expected)


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("clip_norm", [1e-2, 1.3, 1e9])  # all, some and none are clipped
def test_clipped_gradients(isa, dtype, rule, clip_norm):
    options = {"hidden_dims": [50, 40], "dropout": 0.7, "use_batchnorm": True, "dtype": dtype}
    expected = trained(Composed, 20, rule, clip_norm=clip_norm, **options)[1]
    got = trained(fc_net.FullyConnectedNet, 20, rule, clip_norm=clip_norm, **options)[1]
    assert_same(got, expected)


def test_clipped_gradients_on_any_number_of_threads(dtype, threads):
    options = {"hidden_dims": [300, 130], "use_batchnorm": True, "dtype": dtype, "clip_norm": 0.1}
    got = trained(fc_net.FullyConnectedNet, 150, epochs=2, **options)[1]
    fastfc.set_num_threads(1)
    assert_same(got, trained(Composed, 150, epochs=2, **options)[1])


# At and beyond what goes by ranges of examples: see csrc/network/rows.c.
BY_ROWS = [
    (1, [256]),
    (17, [257]),
    (16, [5] * 7),
    (15, [5] * 8),
    (200, [100]),
    (257, [64, 64]),
    (130, [180, 130]),
    (33, [130, 190]),
]


@pytest.mark.parametrize(("N", "hidden"), BY_ROWS, ids=str)
@pytest.mark.parametrize("dropout", [0, 0.6])
def test_networks_without_normalisation(isa, dtype, N, hidden, dropout):
    options = {"hidden_dims": hidden, "dtype": dtype, "weight_scale": 0.1, "reg": 0.1}
    options |= {"dropout": dropout, "rng": "philox"} if dropout else {}
    expected = trained(Composed, N, epochs=2, **options)[1]
    before = fastfc.get_num_threads()
    for threads in (1, 2, 5):
        fastfc.set_num_threads(threads)
        assert_same(trained(fc_net.FullyConnectedNet, N, epochs=2, **options)[1], expected)
    fastfc.set_num_threads(before)


@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
def test_any_number_of_threads(isa, dtype, threads, normalization):
    options = {"hidden_dims": [300, 130], "dropout": 0.7, "normalization": normalization}
    options["dtype"] = dtype
    got = trained(fc_net.FullyConnectedNet, 150, epochs=2, **options)[1]
    fastfc.set_num_threads(1)
    assert_same(got, trained(Composed, 150, epochs=2, **options)[1])


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
def test_the_core_serves_every_normalization(normalization):
    X, y = examples(8)
    model = fc_net.FullyConnectedNet([30, 20], input_dim=60, normalization=normalization)
    assert model._network().loss(X, y, model) is not None


def test_what_layer_normalization_is_called_with():
    """Its eps is used; one that is no number is complained of as the layers complain."""
    X, y = examples(8)
    results = []
    for network in (Composed, fc_net.FullyConnectedNet):
        np.random.seed(1)
        model = network([30, 20], input_dim=60, normalization="layernorm")
        plain = model.loss(X, y)[0]
        model.bn_params[0]["eps"] = 7.5
        results.append(model.loss(X, y))
        assert results[-1][0] != plain
        model.bn_params[1]["eps"] = "small"
        with pytest.raises(TypeError, match=r"layernorm_forward: ln_param\['eps'\] is 'small'"):
            model.loss(X, y)
    assert_same(results[1], results[0])


@pytest.mark.parametrize("key", ["eps", "momentum"])
@pytest.mark.parametrize("network", [Composed, fc_net.FullyConnectedNet])
def test_what_normalization_may_not_be_called_with(key, network):
    """Refused by name, in training and in testing, before anything is changed."""
    X, y = examples(8)
    model = network([30], input_dim=60, normalization="batchnorm")
    model.loss(X, y)
    for value, error, what in cases.NOT_EPS if key == "eps" else cases.NOT_MOMENTUM:
        model.bn_params[0][key] = value
        before = copy.deepcopy(model.bn_params)
        message = re.escape(f"batchnorm_forward: bn_param[{key!r}] is {shown(value)}, {what}")
        with pytest.raises(error, match=message):
            model.loss(X, y)
        with pytest.raises(error, match=message):
            model.loss(X)
        model.bn_params[0]["mode"] = "train"
        assert_same([{**b, key: None} for b in model.bn_params], [{**b, key: None} for b in before])


# What TwoLayerNet sets.
TWO_LAYERS = {"dtype": np.float64, "weight_scale": 1e-3}


def test_two_layer_networks():
    got = trained(fc_net.TwoLayerNet, 10, hidden_dim=20, dropout=0.5)[1]
    assert_same(got, trained(Composed, 10, hidden_dims=[20], dropout=0.5, **TWO_LAYERS)[1])


@pytest.mark.parametrize("reg", [0.1, 3, np.float64(1e-4)], ids=repr)
@pytest.mark.parametrize("clip_norm", [None, 1e-2, 1e9])
@pytest.mark.parametrize("hidden", [[], [33], [100, 64, 7]], ids=str)
def test_regularised_networks(isa, dtype, reg, clip_norm, hidden):
    options = {"hidden_dims": hidden, "reg": reg, "clip_norm": clip_norm, "dtype": dtype}
    for N in (5, 100):
        expected = trained(Composed, N, weight_scale=0.3, **options)[1]
        got = trained(fc_net.FullyConnectedNet, N, weight_scale=0.3, **options)[1]
        assert_same(got, expected)


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
def test_every_rule_regularised(dtype, rule, normalization):
    options = {"hidden_dims": [50, 40], "dropout": 0.7, "normalization": normalization, "reg": 0.3}
    expected = trained(Composed, 20, rule, dtype=dtype, **options)[1]
    assert_same(trained(fc_net.FullyConnectedNet, 20, rule, dtype=dtype, **options)[1], expected)


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_regularised_on_any_number_of_threads(isa, dtype, threads, clip_norm):
    options = {"hidden_dims": [300, 130], "reg": 0.1, "dtype": dtype, "clip_norm": clip_norm}
    options |= {"dropout": 0.7, "rng": "philox", "epochs": 2}
    got = trained(fc_net.FullyConnectedNet, 150, **options)[1]
    fastfc.set_num_threads(1)
    assert_same(got, trained(Composed, 150, **options)[1])


@pytest.mark.parametrize("reg", [np.inf, np.nan, 1e38])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_a_regularisation_that_is_not_finite_changes_nothing(reg, clip_norm):
    X, y = examples(8)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    for network in (Composed, fc_net.FullyConnectedNet):
        np.random.seed(1)
        model = network([30, 20], input_dim=60, use_batchnorm=True, weight_scale=1.0)
        settings = {"update_rule": "adam", "clip_norm": clip_norm, "on_nonfinite": "raise"}
        solver = Solver(model, data, batch_size=8, verbose=False, **settings)
        for _ in range(2):
            solver._step()
        model.reg = reg
        before = copy.deepcopy([model.params, model.bn_params, solver.optim_configs])
        with pytest.raises(NonFiniteLossError), np.errstate(all="ignore"):
            solver._step()
        assert_same([model.params, model.bn_params, solver.optim_configs], before)


def test_a_regularisation_that_is_no_number_is_composed():
    X, y = examples(8)
    model = fc_net.FullyConnectedNet([30], input_dim=60)
    model.reg = np.array([0.1])
    configs = {name: {"learning_rate": 0.1} for name in model.params}
    assert model.train_step(X, y, "sgd", configs) is None


@pytest.mark.parametrize("options", [{"reg": 0.1}, {"dropout": 0.5, "rng": "philox"}], ids=str)
def test_the_core_serves(options):
    X, y = examples(8)
    model = fc_net.FullyConnectedNet([30, 20], input_dim=60, **options)
    configs = {name: {"learning_rate": 0.1} for name in model.params}
    assert model.train_step(X, y, "sgd", configs) is not None


@pytest.mark.parametrize("convention", ["keep", "drop"])
@pytest.mark.parametrize("kind", ["PCG64", "MT19937"])
def test_other_global_generators(kind, convention):
    options = {"hidden_dims": [30, 20], "dropout": 0.3, "dropout_convention": convention}
    X, y = examples(8)
    results = []
    models = []
    for network in (Composed, fc_net.FullyConnectedNet):
        np.random.seed(1)
        models.append(network(input_dim=60, **options))
    for model in models:
        np.random.set_bit_generator(getattr(np.random, kind)(5))
        loss, grads = model.loss(X, y)
        results.append([loss, grads, np.random.rand()])
    assert_same(results[1], results[0])


# --- irregular networks -----------------------------------------------------------------------


@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("change", irregular(), ids=str)
def test_replaced_parameters(change, normalization):
    results = []
    X, y = examples(12)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    for network in (Composed, fc_net.FullyConnectedNet):
        np.random.seed(3)
        model = network([22], input_dim=60, normalization=normalization)
        irregular()[change](model.params)
        solver = Solver(model, data, update_rule="adam", batch_size=12, verbose=False)
        for _ in range(3):
            solver._step()
        results.append([solver.loss_history, model.params, solver.optim_configs])
    assert_same(results[1], results[0])


def test_the_clipped_norm_is_summed_in_the_order_of_the_parameters(dtype):
    """Where the dictionary is in another order, so are the squares, down to the last bit."""
    X, y = examples(12)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    orders = {"as made": list, "reversed": lambda names: list(names)[::-1], "sorted": sorted}
    for seed in range(20):
        for order in orders.values():
            results = []
            for network in (Composed, fc_net.FullyConnectedNet):
                np.random.seed(seed)
                model = network([22, 9], input_dim=60, use_batchnorm=True, dtype=dtype)
                model.params = {name: model.params[name] for name in order(model.params)}
                solver = Solver(model, data, clip_norm=1e-2, batch_size=12, verbose=False)
                for _ in range(3):
                    solver._step()
                results.append([solver.loss_history, model.params])
            assert_same(results[1], results[0])


def test_parameters_in_a_dictionary_of_another_type_are_composed():
    X, y = examples(4)
    results = []
    for network in (Composed, fc_net.FullyConnectedNet):
        np.random.seed(0)
        model = network([5], input_dim=60)
        model.params = collections.OrderedDict(model.params)
        data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
        solver = Solver(model, data, batch_size=4, verbose=False)
        for _ in range(2):
            solver._step()
        results.append([solver.loss_history, dict(model.params)])
    assert_same(results[1], results[0])


def test_gradients_are_the_callers_own():
    X, y = examples(6)
    model = fc_net.FullyConnectedNet([9], input_dim=60)
    first = model.loss(X, y)[1]
    kept = copy.deepcopy(first)
    model.params["W1"] *= 2
    second = model.loss(X, y)[1]
    assert_same(first, kept)
    for name in first:
        assert not np.shares_memory(first[name], second[name])
        assert not np.shares_memory(first[name], model.params[name])


@pytest.mark.parametrize("rule", optim.__all__)
def test_arrays_that_others_hold_are_not_written(rule):
    solver, _ = trained(fc_net.FullyConnectedNet, 10, rule, hidden_dims=[20], use_batchnorm=True)
    solver.model.params = {k: v.copy() for k, v in solver.model.params.items()}
    solver._step()
    params = {k: v[...] for k, v in solver.model.params.items()}  # views
    states = {k: dict(v) for k, v in solver.optim_configs.items()}
    running = [dict(bn) for bn in solver.model.bn_params]
    before = copy.deepcopy([params, states, running])
    for _ in range(2):
        solver._step()
    if rule == "sgd":  # in place by definition
        assert all(np.shares_memory(params[k], solver.model.params[k]) for k in params)
        params = before[0]
    assert_same([params, states, running], before)


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="without the GIL nobody knows who else holds an array",
)
def test_steady_steps_update_in_place():
    solver, _ = trained(fc_net.FullyConnectedNet, 10, hidden_dims=[20])
    for _ in range(3):
        solver._step()

    def addresses():
        arrays = [*solver.model.params.values()]
        arrays += [v for c in solver.optim_configs.values() for v in c.values() if np.ndim(v)]
        return [array.ctypes.data for array in arrays]

    before = addresses()
    assert len(before) == 3 * len(solver.model.params)
    solver._step()
    assert addresses() == before


# --- whoever overrides is asked ---------------------------------------------------------------


def test_overridden_loss_is_called():
    X, y = examples(4)
    calls = []

    class Mine(fc_net.FullyConnectedNet):
        def loss(self, X, y=None):
            calls.append("class")
            return super().loss(X, y)

    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    Solver(Mine([5], input_dim=60), data, batch_size=4)._step()
    assert calls == ["class"]

    model = fc_net.FullyConnectedNet([5], input_dim=60)
    original = model.loss
    model.loss = lambda X, y=None: calls.append("instance") or original(X, y)
    Solver(model, data, batch_size=4)._step()
    assert calls == ["class", "instance"]


def test_replaced_update_rule_is_called():
    X, y = examples(4)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    solver = Solver(fc_net.FullyConnectedNet([5], input_dim=60), data, batch_size=4)
    seen = []
    solver.update_rule = lambda w, dw, config: seen.append(dw.shape) or (w, config)
    solver._step()
    assert len(seen) == 4


def test_bad_labels_change_nothing():
    X, y = examples(4)
    model = fc_net.FullyConnectedNet([5], input_dim=60, use_batchnorm=True)
    before = copy.deepcopy([model.params, model.bn_params])
    configs = {name: {"learning_rate": 0.1} for name in model.params}
    with pytest.raises(ValueError, match=r"softmax_loss: y\[1\] is 10, expected a label from 0"):
        model.train_step(X[:2], np.array([0, 10]), "sgd", configs)
    assert_same([model.params, [{"mode": "train"}]], before)
    with pytest.raises(TypeError, match="softmax_loss: y has dtype float64"):
        model.train_step(X[:2], np.array([0.0, 1.0]), "sgd", configs)
    with pytest.raises(ValueError, match=r"X has shape \(2, 1, 20\)"):
        model.loss(X[:2, :1], y[:2])


def test_networks_can_be_copied_and_pickled():
    X, y = examples(4)
    model = fc_net.FullyConnectedNet([5], input_dim=60)
    loss, _ = model.loss(X, y)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.loss(X, y)[0] == loss


def test_threads_may_share_a_network():
    X, y = examples(200)
    model = fc_net.FullyConnectedNet([64, 32], input_dim=60)
    sizes = [30, 120, 400, 600] * 5
    expected = [model.loss(X[:n], y[:n]) for n in sizes]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda n: model.loss(X[:n], y[:n]), sizes))
    assert_same(got, expected)
