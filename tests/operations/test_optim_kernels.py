import collections
import copy
import sysconfig

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc import _core, optim
from fastfc.reference import optim as reference
from fastfc.update_rules import Rule
from fastfc.verifying import operations
from tests.support import cases

NAMES = ["sgd", "sgd_momentum", "sgd_nesterov_momentum", "rmsprop", "adam", "adamw"]


@pytest.fixture(params=NAMES)
def rule(request):
    return operations.find(request.param)


@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
def test_equals_reference(isa, dtype, rule, shape):
    rule.check(rule.arguments(shape, dtype))


@given(
    scale=st.floats(1e-10, 1e10),
    rate=st.floats(1e-8, 10),
    decays=st.tuples(st.floats(0, 0.9999), st.floats(0, 0.9999)),
    epsilon=st.floats(1e-12, 1),
    t=st.integers(0, 10**6),
)
def test_any_constants(isa, dtype, rule, scale, rate, decays, epsilon, t):
    w, dw, config = rule.arguments((33,), dtype)
    values = {
        "learning_rate": rate,
        "momentum": decays[0],
        "decay_rate": decays[0],
        "beta1": decays[0],
        "beta2": decays[1],
        "epsilon": epsilon,
        "weight_decay": decays[0],
        "t": t,
    }
    config = {key: values.get(key, state) for key, state in config.items()}
    rule.check([w, (dw * scale).astype(dtype), config])


def test_special_values(isa, dtype, rule):
    """Every special value as parameter, as gradient and in each state."""
    values = cases.specials(dtype)
    state_names = [k for k, v in rule.arguments((1,), dtype)[2].items() if np.ndim(v)]
    grids = np.meshgrid(*[values] * 2)
    w, dw = (g.ravel() for g in grids)
    _, _, config = rule.arguments(w.shape, dtype)
    rule.check([w, dw, config])
    for name in state_names:
        plain_w, _, config = rule.arguments(dw.shape, dtype)
        # The greatest numbers, scaled so that no order of the corrections overflows.
        state = np.where(np.abs(w) == np.finfo(dtype).max, w / 8, w)
        # Second moments are sums of squares: never negative, except for the sign of zero.
        config[name] = np.abs(state) if name == "a" else state
        rule.check([plain_w, dw, config])


def test_every_step_of_a_run(isa, dtype, rule):
    """Steps from zero state, as training takes them; the reference leads, each step is compared."""
    w, _, config = rule.arguments((7, 5), dtype)
    config = {
        key: value * 0 if np.ndim(value) or key == "t" else value for key, value in config.items()
    }
    for i in range(30):
        dw = w * cases.normal((7, 5), dtype, "step", i)
        rule.check([w, dw, config])
        rule.check([w * 0, dw, config])  # the step by itself
        w, config = getattr(reference, str(rule))(w, dw, config)


def test_sgd_works_in_place_others_do_not(isa, dtype, rule):
    w, dw, config = rule.arguments((4, 5), dtype)
    before = copy.deepcopy((w, dw, config))
    next_w, next_config = rule.callable(operations.FAST)(w, dw, dict(config))
    assert (next_w is w) == (str(rule) == "sgd")
    if next_w is not w:
        np.testing.assert_array_equal(w, before[0])
        assert not np.shares_memory(next_w, w)
    np.testing.assert_array_equal(dw, before[1])
    for name, value in config.items():
        np.testing.assert_array_equal(value, before[2][name])
        if np.ndim(value):
            assert not np.shares_memory(next_config[name], value)


@pytest.mark.parametrize("is_held", [False, True])
def test_state_that_nobody_else_holds_is_updated_in_place(dtype, rule, is_held):
    w, dw, config = rule.arguments((4, 5), dtype)
    keys = [key for key, value in config.items() if np.ndim(value)]
    addresses = {key: config[key].ctypes.data for key in keys}
    held = {key: config[key] for key in keys} if is_held else {}
    before = {key: config[key].copy() for key in keys}
    expected = getattr(reference, str(rule))(w.copy(), dw, copy.deepcopy(config))[1]
    next_w, _ = getattr(optim, str(rule))(w, dw, config)
    assert str(rule) == "sgd" or not np.shares_memory(next_w, w)
    for key in keys:
        in_place = not is_held and not sysconfig.get_config_var("Py_GIL_DISABLED")
        assert (config[key].ctypes.data == addresses[key]) == in_place
        np.testing.assert_allclose(config[key], expected[key], rtol=1e-5)
    for key, value in held.items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("layout", [n for n in cases.LAYOUTS if n != "read-only"])
def test_sgd_in_place_in_any_layout(isa, dtype, layout):
    w, dw, config = operations.find("sgd").arguments((6, 9), dtype)
    expected, _ = optim.sgd(w.copy(), dw, dict(config))
    placed = cases.LAYOUTS[layout](w)
    result, _ = optim.sgd(placed, dw, dict(config))
    assert result is placed
    np.testing.assert_array_equal(placed, expected)


def test_sgd_of_a_read_only_array():
    w = np.ones(3)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optim.sgd(w, np.ones(3))
    np.testing.assert_array_equal(w, 1)


def test_sgd_with_a_gradient_in_the_same_memory(isa, dtype):
    """The old values count, wherever the gradient lies within the parameters."""
    for shift in (0, 1, 5):
        memory = cases.normal(101, dtype, "memory")
        old = memory.copy()
        optim.sgd(memory[shift:], memory[: 101 - shift], {"learning_rate": 0.5})
        expected, _ = reference.sgd(
            old[shift:].copy(), old[: 101 - shift].copy(), {"learning_rate": 0.5}
        )
        np.testing.assert_array_equal(memory[shift:], expected)
        np.testing.assert_array_equal(memory[:shift], old[:shift])


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize("given", ["everything", "nothing"])
def test_a_failing_update_stores_no_state(package, rule, given):
    w, dw, config = rule.arguments((4, 5), np.float64)
    config = config if given == "everything" else {}
    before, values = dict(config), w.copy()
    for wrong in (dw[:, :4], dw.astype(complex), dw.astype(object)):
        with pytest.raises((TypeError, ValueError), match="dw"):
            rule.callable(package)(w, wrong, config)
        assert all(config[key] is before[key] for key in before)
        assert config.get("t", 0) == before.get("t", 0)
        added = config.keys() - before.keys()  # constants may be filled in
        assert not any(np.ndim(config[key]) for key in added)
    np.testing.assert_array_equal(w, values)


@pytest.mark.parametrize("w_type", cases.DTYPES)
@pytest.mark.parametrize("dw_type", [*cases.DTYPES, np.float16, np.int32])
def test_result_keeps_the_dtype_of_w(isa, rule, w_type, dw_type):
    """A gradient of another type is cast to that of w, as the reference does."""
    w, dw, config = rule.arguments((4, 5), w_type)
    dw = (dw * 4).astype(dw_type)
    rule.check([w, dw.astype(w_type), config])
    cast = rule.run(operations.FAST, [w, dw.astype(w_type), config])
    given = rule.run(operations.FAST, [w, dw, config])
    for name, value in cast.items():
        np.testing.assert_array_equal(given[name], value)
        if np.ndim(value):
            assert given[name].dtype == w_type


def irregular(w, dw, config):
    """Yield what the core leaves to Python: one argument at a time is not as the rule leaves it."""
    for wrong in (w.tolist(), w.astype(int), w.astype(np.longdouble), w[:3], w.view(np.matrix)):
        yield wrong, dw, config
    for wrong in (dw.tolist(), dw.astype(np.float32), dw[:, :4], dw[0], None):
        yield w, wrong, config
    yield w, dw, None
    yield w, dw, collections.OrderedDict(config)
    for key, value in config.items():
        yield w, dw, {k: v for k, v in config.items() if k != key}
        if np.ndim(value):
            others = [None, value.tolist(), value.astype(np.float32), value[0], value * 1j]
        else:
            others = [None, "1", np.complex64(value), np.array([value]), [value]]
        if key == "t":
            others += [-1, 1.0, np.float32(value)]
        for other in others:
            yield w, dw, {**config, key: other}


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64, np.longdouble, np.array])
def test_core_reads_any_plain_real_number(rule, kind):
    """Hyper-parameters that are NumPy's are those that Python makes of them."""
    for key in rule.arguments((4, 5), np.float64)[2]:
        w, dw, config = rule.arguments((4, 5), np.float64)
        if key == "t" or np.ndim(config[key]):
            continue
        results = []
        for number in (kind(config[key]), float(kind(config[key]))):
            given = {**config, key: number}
            next_w = _core.update(str(rule), w.copy(), dw, given)
            assert next_w is not None, key
            results.append(next_w)
        np.testing.assert_array_equal(*results)


def test_core_does_nothing_where_something_is_irregular(rule):
    w, dw, config = rule.arguments((4, 5), np.float64)
    before = copy.deepcopy((w, dw, config))
    for args in irregular(w, dw, config):
        held = None if args[2] is None else dict(args[2])
        assert _core.update(str(rule), *args) is None, args
        assert args[2] is None or all(args[2][key] is held[key] for key in held)
    np.testing.assert_array_equal(w, before[0])
    for key, value in config.items():
        np.testing.assert_array_equal(value, before[2][key])
    assert _core.update(str(rule), w, dw, config) is not None


@pytest.mark.parametrize(
    ("name", "constants", "states"),
    [
        ("adagrad", {"learning_rate": 1}, ((),)),
        ("adam", {"learning_rate": 1}, (("v", "a"),)),
        ("rmsprop", dict.fromkeys("abc"), ((),)),
        ("rmsprop", dict.fromkeys("abc"), (("a",), ("b", "c"))),
        ("rmsprop", dict.fromkeys("abc"), ()),
    ],
)
def test_core_refuses_a_table_of_rules_that_are_not_its_own(name, constants, states):
    with pytest.raises(ValueError, match=f"set_rule_table: .*{name}.*, expected"):
        _core.set_rule_table({name: Rule(constants, states)})


def test_regular_calls_stay_in_the_core(rule, dtype, monkeypatch):
    """Also with what the Solver makes of learning rates, and with CS231n's keys."""
    w, dw, config = rule.arguments((4, 5), dtype)
    monkeypatch.setattr(optim.UpdateRules, "_update", None)
    for rate in (1, 0.1, np.float64(0.1)):
        config["learning_rate"] = rate
        w, config = rule.callable(operations.FAST)(w, dw, config)
    if str(rule) == "rmsprop":
        config["cache"] = config.pop("a")
    if str(rule) == "adam":
        config["m"], config["v"] = config.pop("v"), config.pop("a")
    rule.callable(operations.FAST)(w, dw, config)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_steps_so_far_are_counted_from_0(package):
    adam, config = operations.find("adam").callable(package), {"t": -1}
    with pytest.raises(ValueError, match=r"adam: t is -1, expected .* at least 0"):
        adam(np.ones(3), np.ones(3), config)
    assert config["t"] == -1
