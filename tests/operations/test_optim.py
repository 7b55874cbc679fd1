"""The update rules' configuration, and their formulas on scalars, in both packages."""

import array
import math

import numpy as np
import pytest

from fastfc import optim
from fastfc.reference import optim as reference

NAMES = ["sgd", "sgd_momentum", "sgd_nesterov_momentum", "rmsprop", "adam", "adamw"]
DEFAULTS = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "sgd_nesterov_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}
DEFAULTS["adamw"] = {**DEFAULTS["adam"], "weight_decay": 1e-2}
STATE = {
    "sgd": set(),
    "sgd_momentum": {"velocity"},
    "sgd_nesterov_momentum": {"velocity"},
    "rmsprop": {"a"},
    "adam": {"v", "a", "t"},
    "adamw": {"v", "a", "t"},
}


@pytest.fixture(params=[reference, optim], ids=["reference", "fast"])
def rules(request):
    return request.param


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def rule(rules, name):
    return getattr(rules, name)


def arrays(dtype=np.float64):
    rng = np.random.default_rng(3)
    return rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=(3, 4)).astype(dtype)


# The rules once more, on Python floats: (w, dw, state) -> (w, state); state starts at None.


def scalar_sgd(w, dw, state, lr=0.1):
    return w - lr * dw, None


def scalar_momentum(w, dw, v, lr=0.1, mu=0.8):
    v = mu * (v or 0.0) - lr * dw
    return w + v, v


def scalar_nesterov(w, dw, v, lr=0.1, mu=0.8):
    old = v or 0.0
    v = mu * old - lr * dw
    return w + v + mu * (v - old), v


def scalar_rmsprop(w, dw, a, lr=0.1, rho=0.7, eps=0.01):
    a = rho * (a or 0.0) + (1 - rho) * dw * dw
    return w - lr * dw / (math.sqrt(a) + eps), a


def scalar_adam(w, dw, state, lr=0.1, beta1=0.6, beta2=0.7, eps=0.01):
    v, a, t = state or (0.0, 0.0, 0)
    t += 1
    v = beta1 * v + (1 - beta1) * dw
    a = beta2 * a + (1 - beta2) * dw * dw
    step = (v / (1 - beta1**t)) / (math.sqrt(a / (1 - beta2**t)) + eps)
    return w - lr * step, (v, a, t)


def scalar_adamw(w, dw, state, lr=0.1, weight_decay=0.3):
    decayed = w - lr * weight_decay * w
    stepped, state = scalar_adam(w, dw, state, lr)
    return decayed + stepped - w, state


SCALAR = {
    "sgd": (scalar_sgd, {"learning_rate": 0.1}),
    "sgd_momentum": (scalar_momentum, {"learning_rate": 0.1, "momentum": 0.8}),
    "sgd_nesterov_momentum": (scalar_nesterov, {"learning_rate": 0.1, "momentum": 0.8}),
    "rmsprop": (scalar_rmsprop, {"learning_rate": 0.1, "decay_rate": 0.7, "epsilon": 0.01}),
    "adam": (
        scalar_adam,
        {"learning_rate": 0.1, "beta1": 0.6, "beta2": 0.7, "epsilon": 0.01},
    ),
}
SCALAR["adamw"] = (scalar_adamw, {**SCALAR["adam"][1], "weight_decay": 0.3})


def test_formula_on_scalars(rule, name):
    """Five steps, each of a dozen roundings at the most."""
    formula, config = SCALAR[name]
    config = dict(config)
    w, expected, state = np.array([1.5]), 1.5, None
    for dw in (0.5, -2.0, 0.25, 3.0, -1.0):
        w, config = rule(w, np.array([dw]), config)
        expected, state = formula(expected, dw, state)
        assert w[0] == pytest.approx(expected, rel=60 * 2.0**-53, abs=60 * 2.0**-53)


def test_nesterov_looks_ahead(rules):
    """w + mu v, the point looked ahead to, is where the classical form computes its gradient."""
    theta, v, lr, mu = 2.0, 0.0, 0.1, 0.8
    w, config = np.array([2.0]), {"learning_rate": lr, "momentum": mu}
    for _ in range(10):
        gradient = 2 * (theta + mu * v)
        v = mu * v - lr * gradient
        theta += v
        w, config = rules.sgd_nesterov_momentum(w, 2 * w, config)
        assert w[0] == pytest.approx(theta + mu * v, rel=1e-13)


def test_defaults_and_keys(rule, name):
    w, dw = arrays()
    given, config = rule(w.copy(), dw, {})[0], rule(w.copy(), dw)[1]
    assert {k: config[k] for k in DEFAULTS[name]} == DEFAULTS[name]
    assert config.keys() == DEFAULTS[name].keys() | STATE[name]
    np.testing.assert_array_equal(given, rule(w.copy(), dw, dict(DEFAULTS[name]))[0])


def test_config_is_the_dictionary_passed_and_keeps_other_keys(rule):
    config = {"mine": "kept", "learning_rate": 0.5}
    returned = rule(*arrays(), config)[1]
    assert returned is config
    assert config["mine"] == "kept"
    assert config["learning_rate"] == 0.5


def test_cs231n_keys(rules):
    w, dw = arrays()
    ours, theirs = {}, {"cache": np.zeros((3, 4))}
    expected = w
    for _ in range(3):
        expected, ours = rules.rmsprop(expected, dw, ours)
        w, theirs = rules.rmsprop(w, dw, theirs)
    np.testing.assert_array_equal(w, expected)
    np.testing.assert_array_equal(theirs["cache"], ours["a"])
    assert "a" not in theirs

    w, dw = arrays()
    ours, theirs = {}, {"m": np.zeros((3, 4)), "v": np.zeros((3, 4)), "t": 0}
    expected = w
    for _ in range(3):
        expected, ours = rules.adam(expected, dw, ours)
        w, theirs = rules.adam(w, dw, theirs)
    np.testing.assert_array_equal(w, expected)
    np.testing.assert_array_equal(theirs["m"], ours["v"])
    np.testing.assert_array_equal(theirs["v"], ours["a"])
    assert theirs["t"] == ours["t"] == 3
    assert "a" not in theirs


def test_adam_state_by_hand(rules):
    _, config = rules.adam(np.zeros(2), np.array([2.0, -4.0]))
    np.testing.assert_allclose(config["v"], [0.2, -0.4], rtol=1e-15)
    np.testing.assert_allclose(config["a"], [0.004, 0.016], rtol=1e-13)
    assert config["t"] == 1


def test_weight_decay_shrinks_parameters_and_no_moment_sees_it(rules):
    """Without a gradient w <- (1 - lr weight_decay) w; with 0 the rule is Adam."""
    w, config = np.array([4.0, -2.0]), {"learning_rate": 0.25, "weight_decay": 0.5}
    for _ in range(3):
        w, config = rules.adamw(w, np.zeros(2), config)
    np.testing.assert_allclose(w, [4 * 0.875**3, -2 * 0.875**3], rtol=8 * 2.0**-53)
    np.testing.assert_array_equal(config["v"], 0)
    np.testing.assert_array_equal(config["a"], 0)
    ours, theirs = {"weight_decay": 0}, {}
    w, dw = arrays()
    expected = w
    for _ in range(3):
        expected, theirs = rules.adam(expected, dw, theirs)
        w, ours = rules.adamw(w, dw, ours)
    np.testing.assert_array_equal(w, expected)


def test_sgd_in_place_others_not(rule, name):
    w, dw = arrays()
    before, gradient = w.copy(), dw.copy()
    next_w, config = rule(w, dw)
    assert (next_w is w) == (name == "sgd")
    np.testing.assert_array_equal(dw, gradient)
    if name != "sgd":
        np.testing.assert_array_equal(w, before)
        state = {k: v for k, v in config.items() if isinstance(v, np.ndarray)}
        copies = {k: v.copy() for k, v in state.items()}
        _, config = rule(w, dw, config)
        for key, array in state.items():
            assert config[key] is not array
            np.testing.assert_array_equal(array, copies[key])


def test_sgd_leaves_what_is_no_array(rules):
    w = array.array("d", [1.0, 2.0])
    next_w, _ = rules.sgd(w, np.ones(2), {"learning_rate": 1})
    np.testing.assert_array_equal(next_w, [0, 1])
    assert list(w) == [1, 2]


def test_sgd_in_place_through_a_view(rules):
    whole = np.zeros((4, 6), np.float32)
    view = whole[::2, 1:4]
    assert rules.sgd(view, np.ones((2, 3)), {"learning_rate": 1})[0] is view
    expected = np.zeros((4, 6))
    expected[::2, 1:4] = -1
    np.testing.assert_array_equal(whole, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gradient", [np.float16, np.float32, np.float64, np.int64])
def test_dtype_of_w_is_kept(rule, dtype, gradient):
    w, dw = arrays(dtype)
    config = {"learning_rate": np.float64(0.1)}
    for _ in range(2):
        w, config = rule(w, (dw * 4).astype(gradient), config)
    assert w.dtype == dtype
    assert {v.dtype for v in config.values() if isinstance(v, np.ndarray)} <= {np.dtype(dtype)}


def test_integer_parameters(rule, name):
    w, dw = np.arange(3), np.ones(3)
    if name == "sgd":
        with pytest.raises(TypeError, match="sgd: w has dtype int64"):
            rule(w, dw)
    else:
        assert rule(w, dw)[0].dtype == np.float64
    np.testing.assert_array_equal(w, [0, 1, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("zero", [0, 0.0])
def test_plain_number_as_parameter(rule, dtype, zero):
    """A bias may start as a plain 0: it takes the shape and dtype of its gradient."""
    dw = np.array([1.0, -2.0, 0.0], dtype)
    w, config = rule(zero, dw)
    expected, _ = rule(np.zeros(3, dtype), dw)
    assert w.dtype == dtype
    np.testing.assert_array_equal(w, expected)
    assert rule(w, dw, config)[0].shape == (3,)


def test_row_as_parameter(rule):
    """A bias of shape (1, M) has a gradient of shape (M,)."""
    w, dw = np.ones((1, 3)), np.array([1.0, 2.0, 3.0])
    expected, _ = rule(np.ones(3), dw)
    np.testing.assert_array_equal(rule(w, dw)[0], expected[np.newaxis])


def test_errors(rule, name):
    with pytest.raises(ValueError, match=rf"{name}: dw has shape \(4,\), expected \(3,\)"):
        rule(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match=rf"{name}: dw has shape \(\), expected \(3,\)"):
        rule(np.ones(3), 1.0)
    with pytest.raises(TypeError, match=f"{name}: dw has dtype complex128"):
        rule(np.ones(3), np.ones(3) * 1j)
    with pytest.raises(TypeError, match=f"{name}: w has dtype object"):
        rule(np.array([None]), np.ones(1))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sgd_momentum", "velocity"),
        ("sgd_nesterov_momentum", "velocity"),
        ("rmsprop", "a"),
        ("adam", "a"),
        ("adamw", "a"),
    ],
)
def test_failure_leaves_state_as_it_was(rules, name, key):
    wrong = np.zeros(4)
    config = {key: wrong}
    with pytest.raises(ValueError, match=rf"{name}: {key} has shape \(4,\), expected \(3,\)"):
        getattr(rules, name)(np.ones(3), np.ones(3), config)
    assert config[key] is wrong
    assert config.get("t", 0) == 0


def test_both_packages_offer_the_same_rules():
    assert sorted(optim.__all__) == sorted(reference.__all__) == sorted(NAMES)
