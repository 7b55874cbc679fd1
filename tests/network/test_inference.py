"""Scores in one call of the core are bit for bit those of the composed layers."""

import copy
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastfc
from fastfc import fc_net, reference
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.solver import Solver
from fastfc.verifying import tolerance
from tests.support import cases
from tests.support.composed import Composed, irregular
from tests.support.same import assert_same

NORMALIZATIONS = [None, "batchnorm", "layernorm"]


def twins(*networks, D=60, **options):
    """Return such networks, alike, after a training step each."""
    models = []
    for network in networks or (Composed, fc_net.FullyConnectedNet):
        np.random.seed(5)
        model = network(input_dim=D, weight_scale=0.3, **options)
        model.loss(cases.normal((20, D), model.dtype, "X"), cases.labels(20, 10))
        for name, value in model.params.items():
            value += cases.normal(value.shape, model.dtype, name, scale=0.1)
        models.append(model)
    return models


def state(model):
    """Return what a pass in test mode may leave behind."""
    return [model.params, model.bn_params, model.dropout_param, np.random.get_state()[1:3]]


def served(model, X):
    """Return the scores, from the core."""
    scores = model._network().scores(X.astype(model.dtype), model)
    assert scores is not None
    return scores


OPTIONS = [
    {"hidden_dims": hidden, "normalization": normalization, "dropout": dropout}
    for hidden, normalization, dropout in itertools.product(
        ([], [33], [100, 300, 7]), NORMALIZATIONS, (0, 0.5)
    )
]
OPTIONS += [
    {"hidden_dims": [100, 7], "normalization": normalization, "activation": activation}
    for normalization, activation in itertools.product(NORMALIZATIONS, ACTIVATIONS)
    if activation != "relu"
]


@pytest.mark.parametrize("N", [1, 5, 300, 1000])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_scores_equal_composed_layers(isa, dtype, options, N):
    composed, fast = twins(dtype=dtype, **options)
    X = np.random.RandomState(N).randn(N, 3, 20)
    assert_same(served(fast, X), composed.loss(X))
    assert_same(fast.loss(X), composed.loss(X))
    assert_same(state(fast), state(composed))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("D", [700, 4500])  # products cut along the depth, evenly or not by KC
@pytest.mark.parametrize("N", [256, 257, 1024, 1025, 2100])
def test_blocks_of_rows_leave_no_trace(dtype, normalization, D, N):
    options = {"hidden_dims": [20], "normalization": normalization, "dtype": dtype}
    composed, fast = twins(D=D, **options)
    X = np.random.RandomState(N).randn(N, D).astype(dtype)
    assert_same(served(fast, X), composed.loss(X))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_any_number_of_threads(isa, dtype, normalization):
    options = {"hidden_dims": [300, 130], "normalization": normalization, "dtype": dtype}
    composed, fast = twins(**options)
    X = np.random.RandomState(0).randn(1200, 60)
    before = fastfc.get_num_threads()
    try:
        fastfc.set_num_threads(1)
        expected = composed.loss(X)
        for count in (1, 2, 3, 5):
            fastfc.set_num_threads(count)
            assert_same(served(fast, X), expected)
    finally:
        fastfc.set_num_threads(before)


def test_one_layer_agrees_with_the_reference(isa, dtype):
    plain, fast = twins(
        reference.fc_net.FullyConnectedNet, fc_net.FullyConnectedNet, hidden_dims=[], dtype=dtype
    )
    fast.params = plain.params
    X = cases.normal((1100, 60), dtype, "test")
    bound = tolerance.affine_forward(X, plain.params["W1"], plain.params["b1"])["out"]
    tolerance.assert_close(served(fast, X), plain.loss(X), bound, "scores")


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "leaky_relu", "silu", "gelu"])
def test_special_values(isa, dtype, normalization, activation, special):
    options = {"normalization": normalization, "activation": activation, "dtype": dtype}
    composed, fast = twins(hidden_dims=[33, 7], **options)
    for model in (composed, fast):
        model.params["W1"][:, 3] = special
        model.params["b1"][3] = special
        if normalization == "batchnorm":
            model.bn_params[1]["running_var"][2] = abs(special)
    X = np.random.RandomState(1).randn(9, 60)
    with np.errstate(all="ignore"):
        assert_same(served(fast, X), composed.loss(X), any_nan=True)


# --- irregular networks and state -------------------------------------------------------------


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("change", irregular(), ids=str)
def test_replaced_parameters(change, normalization):
    composed, fast = twins(hidden_dims=[22], normalization=normalization)
    for model in (composed, fast):
        irregular()[change](model.params)
    X = np.random.RandomState(2).randn(12, 60)
    assert_same(fast.loss(X), composed.loss(X))


def test_running_statistics_before_any_training():
    """As in composing they are zeros, which the network keeps from then on."""
    X = np.random.RandomState(3).randn(12, 60)
    left = []
    for network in (Composed, fc_net.FullyConnectedNet):
        np.random.seed(1)
        model = network([30, 20], input_dim=60, use_batchnorm=True)
        first = model.loss(X)
        assert all(not bn["running_mean"].any() for bn in model.bn_params)
        left.append([first, model.loss(X), copy.deepcopy(state(model))])
        assert model.bn_params[0]["running_mean"] is not model.bn_params[0]["running_var"]
    assert_same(left[1], left[0])
    served(model, X)


@pytest.mark.parametrize("name", ["running_mean", "running_var"])
@pytest.mark.parametrize("kind", ["missing", "float64", "strided", "number"])
def test_irregular_running_statistics(name, kind):
    composed, fast = twins(hidden_dims=[30, 20], use_batchnorm=True)
    X = np.random.RandomState(3).randn(12, 60)
    for model in (composed, fast):
        bn_param = model.bn_params[1]
        value = bn_param.pop(name)
        if kind == "float64":
            bn_param[name] = value.astype(np.float64)
        elif kind == "strided":
            bn_param[name] = np.repeat(value, 2)[::2]
        elif kind == "number":
            bn_param[name] = 0.5
    assert_same(fast.loss(X), composed.loss(X))
    assert_same(state(fast), state(composed))


def test_running_statistics_stay_the_same_arrays():
    _, fast = twins(hidden_dims=[30], use_batchnorm=True)
    kept = dict(fast.bn_params[0])
    fast.loss(np.ones((4, 60)))
    assert fast.bn_params[0]["running_mean"] is kept["running_mean"]
    assert fast.bn_params[0]["running_var"] is kept["running_var"]
    assert fast.bn_params[0]["mode"] == "test"


@pytest.mark.parametrize("rng", ["numpy", "philox"])
@pytest.mark.parametrize("seed", [None, 3])
def test_random_stream(rng, seed):
    """Nothing is drawn, but as in composing the seed is set."""
    composed, fast = twins(hidden_dims=[30, 20], dropout=0.5, seed=seed)
    X = np.random.RandomState(3).randn(12, 60)
    left = []
    for model in (composed, fast):
        model.dropout_param["rng"] = rng
        np.random.seed(9)
        left.append([model.loss(X), state(model), np.random.rand()])
    assert_same(left[1], left[0])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.dropout_param.update(p=2.0),
        lambda m: m.dropout_param.update(convention="lose"),
        lambda m: m.dropout_param.update(rng="dice"),
        lambda m: m.dropout_param.pop("p"),
        lambda m: m.bn_params[0].update(eps="small"),
        lambda m: m.bn_params[0].update(momentum="great"),
        lambda m: m.bn_params.pop(),
        lambda m: m.params.pop("b2"),
        lambda m: m.params.update(W2=np.ones((3, 4), np.float32)),
        lambda m: m.params.update(b1=np.ones(3, np.float32)),
        lambda m: m.params.update(gamma1=["a"]),
    ],
)
def test_errors_are_those_of_the_layers(spoil):
    errors = []
    for model in twins(hidden_dims=[30, 20], dropout=0.5, use_batchnorm=True):
        spoil(model)
        with pytest.raises((TypeError, ValueError, KeyError, IndexError)) as caught:
            model.loss(np.ones((4, 60)))
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    "X", [np.ones((4, 59)), np.ones(4), np.float32(3), np.ones((4, 60), complex)]
)
def test_errors_of_the_examples(X):
    errors = []
    for model in twins(hidden_dims=[30]):
        with pytest.raises((TypeError, ValueError)) as caught:
            model.loss(X)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_layouts_and_no_examples(normalization):
    composed, fast = twins(hidden_dims=[30], normalization=normalization)
    X = np.random.RandomState(4).randn(24, 60)
    for given in (X[::2], X[::-1], np.asfortranarray(X), X.astype(np.float16), X[:0], X.tolist()):
        assert_same(fast.loss(given), composed.loss(given))


# --- with training ----------------------------------------------------------------------------


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_between_training_steps(dtype, normalization):
    """The memory that steps and scores share tells nothing from one to the other."""
    options = {"hidden_dims": [300, 33], "dropout": 0.5, "normalization": normalization}
    rng = np.random.RandomState(6)
    X, y = rng.randn(1500, 60), rng.randint(10, size=1500)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    left = []
    for model in twins(dtype=dtype, **options):
        np.random.seed(8)
        solver = Solver(model, data, update_rule="adam", batch_size=50, verbose=False)
        found = []
        for n in (3, 1500, 60, 1100):
            solver._step()
            found += [model.loss(X[:n]), solver.check_accuracy(X[:n], y[:n], batch_size=n)]
        left.append([found, solver.loss_history, state(model), model.predict(X)])
    assert_same(left[1], left[0])


def test_scores_are_the_callers_own():
    _, fast = twins(hidden_dims=[30])
    X = np.random.RandomState(4).randn(24, 60)
    first = fast.loss(X)
    kept = first.copy()
    second = fast.loss(2 * X)
    assert not np.shares_memory(first, second)
    assert_same(first, kept)


def test_threads_may_share_a_network():
    _, fast = twins(hidden_dims=[64, 32], use_batchnorm=True)
    X = np.random.RandomState(4).randn(1500, 60)
    sizes = [30, 120, 400, 1500] * 5
    expected = [fast.loss(X[:n]) for n in sizes]
    with ThreadPoolExecutor(4) as pool:
        assert_same(list(pool.map(lambda n: fast.loss(X[:n]), sizes)), expected)
