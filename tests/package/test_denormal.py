"""Taking denormals for zero: what it changes, and that nobody else notices."""

import threading

import numpy as np
import pytest

import fastfc
from fastfc import _core, fc_net, optim
from fastfc.layers import affine_forward
from fastfc.reference import optim as reference
from fastfc.verifying import operations
from tests.support import cases
from tests.support.arguments import call, paths, replace, small_arguments

# Results that no arithmetic has touched.
PASSED_ON = {
    "relu_forward": ["out"],
    "leaky_relu_forward": ["out"],
    "batchnorm_forward train": ["gamma"],
    "batchnorm_forward test": ["running_mean", "running_var"],
}


@pytest.fixture(autouse=True)
def own_settings():
    threads = fastfc.get_num_threads()
    yield
    fastfc.set_flush_denormal(False)
    fastfc.set_num_threads(threads)


def denormals(dtype, shape=()):
    """Return denormals of either sign."""
    tiny = np.finfo(dtype).tiny
    return (cases.normal(shape, np.float64, "denormal") % 2 - 1).astype(dtype) * tiny / 4


def are_kept():
    """Whether this thread's own arithmetic, Python's and NumPy's, has denormals."""
    arrays = np.full(100, 1e-310), np.full(100, 1e-40, np.float32)
    return float("1e-310") * 1.0 > 0 and all(np.all(a * a.dtype.type(1)) for a in arrays)


@pytest.mark.parametrize("flush", [True, False, np.True_, np.False_])
def test_set_is_what_get_returns(flush):
    assert fastfc.get_flush_denormal() is False
    fastfc.set_flush_denormal(flush)
    assert fastfc.get_flush_denormal() is bool(flush)
    assert fastfc.show_config(mode="dicts")["flush denormal"] is bool(flush)


@pytest.mark.parametrize("flush", [None, "yes", 2, 1.0, np.ones(2, bool)])
def test_neither_true_nor_false(flush):
    fastfc.set_flush_denormal(True)
    with pytest.raises(TypeError, match=r"flush is .* expected True or False"):
        fastfc.set_flush_denormal(flush)
    assert fastfc.get_flush_denormal()


def test_where_it_is_not_known_how(monkeypatch):
    monkeypatch.setattr(_core, "set_flush_denormal", lambda flush: False)
    fastfc.set_flush_denormal(False)
    with pytest.raises(NotImplementedError, match="set_flush_denormal: "):
        fastfc.set_flush_denormal(True)


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_changes_no_bit_without_denormals(isa, dtype, operation):
    expected = call(operation, small_arguments(operation, dtype))
    fastfc.set_flush_denormal(True)
    got = call(operation, small_arguments(operation, dtype))
    for name, value in expected.items():
        assert np.asarray(got[name]).tobytes() == np.asarray(value).tobytes(), name


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_denormals_count_as_zero(isa, dtype, operation):
    """Each array in turn: with denormals for its values what zeros give, and no denormal."""
    tiny = np.finfo(dtype).tiny
    for path in paths(small_arguments(operation, dtype)):
        if operation.function.endswith("loss") and path != (0,):
            continue  # labels, and weights and targets, of which some must not be zero or negative
        args = small_arguments(operation, dtype)
        small = replace(args, path, lambda a: denormals(dtype, a.shape))
        zeros = replace(args, path, lambda a: np.copysign(dtype(0), denormals(dtype, a.shape)))
        expected = operation.run(operations.FAST, zeros)
        fastfc.set_flush_denormal(True)
        got = operation.run(operations.FAST, small)
        fastfc.set_flush_denormal(False)
        for name, value in expected.items():
            is_denormal = (np.abs(got[name]) < tiny) & (got[name] != 0)
            assert name in PASSED_ON.get(str(operation), ()) or not is_denormal.any(), name
            flushed = np.where(is_denormal, 0, got[name])
            np.testing.assert_array_equal(flushed, value, err_msg=f"{name}, {path}")


def test_kept_by_default(isa, dtype):
    w, dw = np.zeros(1001, dtype), denormals(dtype, 1001)
    assert np.all(dw)
    config = {"learning_rate": 1.0, "momentum": 0.5}
    for name in ("sgd", "sgd_momentum"):
        got, _ = getattr(optim, name)(w.copy(), dw, dict(config))
        expected, _ = getattr(reference, name)(w.copy(), dw, dict(config))
        assert got.tobytes() == expected.tobytes()
        np.testing.assert_array_equal(got, -dw)


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_mode_is_restored(operation):
    fastfc.set_flush_denormal(True)
    args = small_arguments(operation, np.float64)
    assert are_kept()
    call(operation, args)
    assert are_kept()
    wrong = replace(args, paths(args)[0], lambda a: a.astype(complex))
    with pytest.raises(TypeError):
        call(operation, wrong)
    assert are_kept()


def test_mode_is_restored_in_other_threads():
    fastfc.set_flush_denormal(True)
    fastfc.set_num_threads(2)
    x = cases.normal((300, 300), np.float32, "x")
    kept = []

    def calls():
        for _ in range(20):
            affine_forward(x, x, x[0])
            kept.append(are_kept())

    callers = [threading.Thread(target=calls) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert kept == [True] * 60


def test_workers_too(isa, dtype):
    """A product of many tasks, and then again without: whichever thread did them."""
    fastfc.set_num_threads(2)
    x, w, b = denormals(dtype, (100, 250)), np.ones((250, 300), dtype), np.zeros(300, dtype)
    expected = affine_forward(x, w, b)[0]
    assert np.all(expected)
    for flush in (True, False) * 5:
        fastfc.set_flush_denormal(flush)
        np.testing.assert_array_equal(affine_forward(x, w, b)[0], 0 if flush else expected)


def test_training_steps(isa, dtype):
    """A whole step in one call, whose dead input's state is a denormal: zero after it."""
    for flush in (False, True):
        np.random.seed(0)
        net = fc_net.FullyConnectedNet([20], input_dim=40, num_classes=3, dtype=dtype)
        configs = {name: {} for name in net.params}
        for name, w in net.params.items():
            net.params[name], configs[name] = optim.adam(w, w * 0, configs[name])
        configs["W1"]["v"][0] = denormals(dtype)
        x = cases.normal((10, 40), dtype, "x")
        x[:, 0] = 0
        fastfc.set_flush_denormal(flush)
        assert net.train_step(x, cases.labels(10, 3), "adam", configs) is not None
        assert are_kept()
        assert np.all(configs["W1"]["v"][0]) == (not flush)
        assert np.all(configs["W1"]["v"][1:])
