"""What notebooks rely on without saying so: odd parameters, extra keys, inputs of any dtype."""

import copy

import numpy as np
import pytest

from fastfc import fc_net, optim
from fastfc.networks import fully_connected
from fastfc.reference import fc_net as reference
from fastfc.solver import Solver
from tests.support.same import assert_same

NETS = pytest.mark.parametrize("nets", [reference, fc_net], ids=["reference", "fast"])
DTYPES = [
    np.float16,
    np.float32,
    np.float64,
    np.longdouble,
    ">f8",
    np.int8,
    np.uint8,
    np.int64,
    bool,
]


@pytest.fixture
def fused_only(monkeypatch):
    """Composing the layers is an error from here on."""

    def composed(*args):
        raise AssertionError("the layers were composed")

    def forbid():
        monkeypatch.setattr(fully_connected.FullyConnectedNet, "_data_loss", composed)
        monkeypatch.setattr(Solver, "_composed_step", composed)

    return forbid


def data(n=12, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(n, 3, 5), rng.randint(0, 10, n)


def network(nets=fc_net, **options):
    np.random.seed(5)
    return nets.FullyConnectedNet([20, 12], 15, weight_scale=0.2, **options)


def solver_of(model, rule="adam", X=None, **options):
    X, y = data(40) if X is None else (X, data(len(X))[1])
    splits = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    np.random.seed(6)
    return Solver(model, splits, update_rule=rule, batch_size=10, verbose=False, **options)


def shuffled(params):
    return {name: params[name] for name in sorted(params, key=lambda name: name[::-1])}


# --- params -----------------------------------------------------------------------------------


@NETS
def test_parameters_in_any_order(nets):
    X, y = data()
    loss, grads = network(nets, use_batchnorm=True).loss(X, y)
    model = network(nets, use_batchnorm=True)
    model.params = shuffled(model.params)
    other_loss, other_grads = model.loss(X, y)
    assert other_loss == loss
    assert other_grads.keys() == grads.keys()
    for name, gradient in grads.items():
        np.testing.assert_array_equal(other_grads[name], gradient)


@pytest.mark.parametrize("rule", optim.__all__)
def test_parameters_in_any_order_under_the_solver(rule, fused_only):
    models = [network(use_batchnorm=True) for _ in range(2)]
    models[1].params = shuffled(models[1].params)
    solvers = []
    for model in models:
        solvers.append(solver_of(model, rule))
        solvers[-1]._step()
    fused_only()
    for solver in solvers:
        np.random.seed(7)
        for _ in range(3):
            solver._step()
    assert solvers[1].loss_history == solvers[0].loss_history
    for name, value in models[0].params.items():
        np.testing.assert_array_equal(models[1].params[name], value)


CHANGES = {
    "edited": lambda p: p["W1"].__setitem__((0, 0), 3.0),
    "emptied": lambda p: p["b1"].fill(0.25),
    "replaced": lambda p: p.update(W2=2 * p["W2"]),
    "other dtype": lambda p: p.update(W2=p["W2"].astype(np.float64)),
    "plain number": lambda p: p.update(b2=0),
    "transposed": lambda p: p.update(W1=np.asfortranarray(p["W1"])),
    "list": lambda p: p.update(b1=[0.5] * 20),
    "whole": lambda p: [p.update({name: np.array(value)}) for name, value in p.items()],
}


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("change", CHANGES)
def test_parameters_changed_between_steps(change, rule):
    """The fast network's steps are the composed ones, whatever is done to it meanwhile."""
    left = []
    for composed in (True, False):
        model = network()
        solver = solver_of(model, rule)
        if composed:
            solver._fused_step = lambda rows: None
        for _ in range(3):
            solver._step()
            CHANGES[change](model.params)
        solver._step()
        left.append([solver.loss_history, model.params, solver.optim_configs])
    assert_same(left[1], left[0])


@NETS
@pytest.mark.parametrize("rule", optim.__all__)
def test_a_two_layer_net_of_plain_biases_under_the_solver(nets, rule):
    """It trains as one whose biases are zeros, and ends with arrays."""
    models = []
    for plain in (False, True):
        np.random.seed(3)
        model = nets.TwoLayerNet(15, 20, weight_scale=0.2, reg=0.1)
        if plain:
            model.params["b1"], model.params["b2"] = 0, 0
            X, y = data()
            loss, grads = model.loss(X, y)
            assert np.isfinite(loss)
            assert (grads["b1"].shape, grads["b2"].shape) == ((20,), (10,))
            assert model.loss(X).shape == (12, 10)
        solver = solver_of(model, rule, num_epochs=2)
        solver.train()
        models.append(model)
    for name, value in models[0].params.items():
        np.testing.assert_array_equal(models[1].params[name], value)
        assert models[1].params[name].dtype == np.float64


# --- keys of one's own ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 4])
def test_extra_keys_survive_and_slow_nothing_down(fused_only, seed):
    models = []
    for extra in (False, True):
        model = network(use_batchnorm=True, dropout=0.6, seed=seed)
        if extra:
            model.dropout_param.update(note="mine", rng="numpy", convention="keep")
            for i, bn_param in enumerate(model.bn_params):
                bn_param.update(number=i, axis=None)
        solver = solver_of(model)
        solver.optim_configs["W1"]["note"] = "mine"
        solver._step()
        models.append((model, solver))
    fused_only()
    for model, solver in models:
        np.random.seed(8)
        for _ in range(3):
            solver._step()
        model.loss(*data())
        model.loss(data()[0])
    (plain, expected), (model, solver) = models
    assert solver.loss_history == expected.loss_history
    assert_same(model.params, plain.params)
    assert model.dropout_param.items() >= {"note": "mine", "rng": "numpy"}.items()
    assert [bn_param["number"] for bn_param in model.bn_params] == [0, 1]
    assert all("axis" in bn_param for bn_param in model.bn_params)
    assert solver.optim_configs["W1"]["note"] == "mine"


def test_numpys_own_numbers_slow_nothing_down(fused_only):
    """Hyper-parameters that were drawn are np.float64."""
    rate, kept = 10 ** np.random.uniform(-3, -2), np.float64(0.6)
    results = []
    for cast in (float, np.float64):
        model = network(dropout=cast(kept), dropout_convention="drop")
        solver = solver_of(model, optim_config={"learning_rate": cast(rate)})
        solver._step()
        results.append((solver, model))
    fused_only()
    for solver, _ in results:
        np.random.seed(9)
        for _ in range(3):
            solver._step()
    assert results[1][0].loss_history == results[0][0].loss_history
    assert_same(results[1][1].params, results[0][1].params)


STATES = {  # of either course: what is not there yet is zero
    "rmsprop": [{"a": 0.0}, {"cache": 0.0}],
    "adam": [{"v": 0.0, "a": 0.0, "t": 0}, {"m": 0.0, "v": 0.0, "t": 0}],
}


@pytest.mark.parametrize("rule", STATES)
def test_states_under_either_courses_keys(rule, fused_only):
    solvers = []
    for keys in STATES[rule]:
        solver = solver_of(network(), rule)
        for name, config in solver.optim_configs.items():
            w = solver.model.params[name]
            config.update({k: v if k == "t" else np.full_like(w, v) for k, v in keys.items()})
        solver._step()
        solvers.append(solver)
    fused_only()
    for solver, keys in zip(solvers, STATES[rule], strict=True):
        np.random.seed(7)
        for _ in range(3):
            solver._step()
        states = {"a", "cache", "m", "v", "t"}
        assert all(
            config.keys() & states == keys.keys() for config in solver.optim_configs.values()
        )
    assert solvers[1].loss_history == solvers[0].loss_history
    assert_same(solvers[1].model.params, solvers[0].model.params)
    for ours, theirs in zip(*STATES[rule], strict=True):
        for name, config in solvers[0].optim_configs.items():
            np.testing.assert_array_equal(solvers[1].optim_configs[name][theirs], config[ours])


# --- inputs -----------------------------------------------------------------------------------


@NETS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", DTYPES, ids=lambda given: np.dtype(given).str)
def test_examples_of_any_dtype(nets, dtype, given):
    """They are cast to the network's, whatever they are; the caller's array is left alone."""
    X, y = data()
    X = np.abs(9 * X).astype(given)
    before = copy.deepcopy(X)
    expected = network(nets, dtype=dtype).loss(X.astype(dtype), y)
    model = network(nets, dtype=dtype)
    assert_same(model.loss(X, y), expected)
    assert_same(model.loss(X), model.loss(X.astype(dtype)))
    assert model.loss(X).dtype == dtype
    assert_same(X, before)


@pytest.mark.parametrize("given", DTYPES, ids=lambda given: np.dtype(given).str)
def test_training_on_any_dtype(given):
    X = np.abs(9 * data(40)[0]).astype(given)
    solvers = [solver_of(network(), X=examples) for examples in (X, X.astype(np.float32))]
    for solver in solvers:
        np.random.seed(4)
        solver.train()
    assert solvers[0].loss_history == solvers[1].loss_history
    assert solvers[0].val_acc_history == solvers[1].val_acc_history
    assert_same(solvers[0].model.params, solvers[1].model.params)


def test_a_step_without_rows_on_any_dtype():
    X, y = data()
    steps = []
    for given in (np.longdouble, np.float32):
        model = network()
        configs = {name: {"learning_rate": 0.1} for name in model.params}
        steps.append((model.train_step(X.astype(given), y, "sgd", configs), model.params))
    assert_same(steps[0], steps[1])


# --- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": 1}, 'Unrecognized arguments "x"$'),
        ({"rule": "x"}, 'Invalid update_rule "x", expected one of adam, '),
    ],
)
def test_the_courses_own_messages(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        solver_of(network(), **options)
