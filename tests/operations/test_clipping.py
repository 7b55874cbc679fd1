"""Gradient clipping by global norm: its sums, its scale, and what the Solver does with it."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import fastfc
from fastfc import _core
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference import clipping as reference
from fastfc.solver import Solver
from fastfc.training import clipping as fast
from fastfc.verifying import tolerance
from tests.support import cases
from tests.support.composed import Composed

U = 2.0**-53


@pytest.fixture(params=[reference, fast], ids=["reference", "fast"])
def clipping(request):
    return request.param


def gradients(dtype, scale=1.0):
    shapes = {"W1": (33, 20), "b1": (20,), "gamma1": (1,), "none": (0, 3), "scalar": ()}
    return {name: cases.normal(s, dtype, name, scale=scale) for name, s in shapes.items()}


# --- the sum of squares -----------------------------------------------------------------------


def exact(x):
    """Rounded once."""
    return math.fsum(float(value) ** 2 for value in x.ravel())


@pytest.mark.parametrize("shape", [*cases.ELEMENTWISE, (40000,), (3072, 100)], ids=str)
def test_sum_of_squares(isa, dtype, shape):
    """In float64 for float32 too: n squares, rounded where float64 are squared, and their sum."""
    x = cases.normal(shape, dtype, "x")
    bound = tolerance.gamma(x.size + 1, np.float64) * exact(x)
    for function in (_core.sum_of_squares, reference.sum_of_squares):
        assert abs(function(x) - exact(x)) <= bound


@given(scale=st.floats(1e-100, 1e100), n=st.integers(1, 200))
def test_any_scale(isa, dtype, scale, n):
    """A float32 neither overflows nor vanishes."""
    if dtype == np.float32:
        scale = min(max(scale, 1e-37), 1e36)
    x = cases.normal(n, np.float64, "x", scale=scale).astype(dtype)
    assert _core.sum_of_squares(x) == pytest.approx(exact(x), rel=(n + 2) * U)


@pytest.mark.parametrize("layout", cases.LAYOUTS)
def test_layouts(isa, dtype, layout):
    x = cases.normal((37, 13), dtype, "x")
    assert _core.sum_of_squares(cases.LAYOUTS[layout](x)) == _core.sum_of_squares(x)


def test_same_bits_for_any_number_of_threads(isa, dtype):
    before = fastfc.get_num_threads()
    try:
        for n in (33, 70001, 40 * 2**15 + 1, 70 * 2**15 + 3):
            x = cases.normal(n, dtype, "x")
            sums = set()
            for threads in (1, 2, 3, 5):
                fastfc.set_num_threads(threads)
                sums.update(_core.sum_of_squares(x) for _ in range(3))
            assert len(sums) == 1
    finally:
        fastfc.set_num_threads(before)


# --- norm and scale ---------------------------------------------------------------------------


def test_global_norm(clipping, dtype):
    grads = gradients(dtype)
    whole = np.concatenate([g.ravel() for g in grads.values()]).astype(np.float64)
    assert clipping.global_norm(grads) == pytest.approx(np.linalg.norm(whole), rel=800 * U)
    assert clipping.global_norm({}) == 0


def test_clipped_gradients_have_the_norm(clipping, dtype):
    grads = gradients(dtype)
    norm = clipping.global_norm(grads)
    for clip_norm in (norm / 3, norm * (1 - 1e-3), 1e-30):
        clipped, before = clipping.clip_gradients(grads, clip_norm)
        assert before == norm
        # The scale, its cast, the product: each square is off by three roundings, twice.
        error = 4 * tolerance.unit(dtype) + 800 * U
        assert clipping.global_norm(clipped) == pytest.approx(clip_norm, rel=error)
        for name, gradient in grads.items():
            assert clipped[name].dtype == dtype
            factor = np.asarray(clip_norm / norm, dtype)
            np.testing.assert_array_equal(clipped[name], gradient * factor)


def test_gradients_within_the_norm_are_the_same_objects(clipping, dtype):
    grads = gradients(dtype)
    norm = clipping.global_norm(grads)
    for clip_norm in (norm, 2 * norm, np.inf):
        assert clipping.clip_gradients(grads, clip_norm)[0] is grads


def test_nothing_is_changed(clipping):
    grads = gradients(np.float64)
    copies = {name: g.copy() for name, g in grads.items()}
    clipped, _ = clipping.clip_gradients(grads, 0.1)
    for name, gradient in grads.items():
        np.testing.assert_array_equal(gradient, copies[name])
        assert not np.shares_memory(clipped[name], gradient)


def test_nan_and_infinity(clipping):
    def clip(*values):
        with np.errstate(invalid="ignore"):
            clipped, norm = clipping.clip_gradients({"a": np.array(values), "b": np.ones(1)}, 1.0)
        return [*clipped["a"], *clipped["b"]], norm

    np.testing.assert_array_equal(clip(1.0, np.nan)[0], [np.nan] * 3)
    assert np.isnan(clip(1.0, np.nan)[1])
    np.testing.assert_array_equal(clip(1.0, -np.inf)[0], [0, np.nan, 0])
    assert clip(1.0, -np.inf)[1] == np.inf


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-200, 1e-150, 1e150, 1e200, 1e300, 1e307])
def test_squares_that_float64_cannot_hold(clipping, scale):
    """3, 4 and 12 times the scale have a norm of 13, whatever the scale."""
    grads = {"w": np.array([[3.0, 4.0]]) * scale, "b": np.array([12.0]) * scale}
    # Denormals are rounded by more than their u.
    tiny = 8 * float(np.finfo(float).smallest_subnormal)
    norm = clipping.global_norm(grads)
    assert norm == pytest.approx(13 * scale, rel=8 * U, abs=tiny)
    assert clipping.clip_gradients(grads, 2 * norm)[0] is grads
    assert clipping.clip_gradients(grads, np.inf)[0] is grads
    for clip_norm in (norm / 3, norm / 1e5) if scale > 1e-310 else (norm / 3,):
        clipped, before = clipping.clip_gradients(grads, clip_norm)
        assert before == norm
        assert clipping.global_norm(clipped) == pytest.approx(clip_norm, rel=20 * U, abs=tiny)


def test_a_norm_beyond_float64(clipping):
    """It is infinite; the gradients, which are not, are clipped all the same."""
    grads = {"w": np.full((2, 3), 1.7e308), "b": np.full(2, -1.7e308)}
    clipped, norm = clipping.clip_gradients(grads, 2.0)
    assert norm == np.inf
    # The factor is a denormal, of four bits fewer.
    np.testing.assert_allclose(clipped["w"], 2 / np.sqrt(8), rtol=100 * U)
    np.testing.assert_allclose(clipped["b"], -2 / np.sqrt(8), rtol=100 * U)
    assert clipping.clip_gradients(grads, np.inf)[0] is grads


@pytest.mark.thread_unsafe(reason="draws from np.random")
def test_the_fused_update_clips_as_the_functions_do(isa):
    """Gradients whose squares float64 cannot hold, bit for bit."""
    examples = {**data(), "X_train": data()["X_train"] * 1e200}
    results = []
    for network in (Composed, FullyConnectedNet):
        np.random.seed(0)
        model = network([5], 6, 3, weight_scale=1.0, dtype=np.float64)
        before = {name: w.copy() for name, w in model.params.items()}
        Solver(model, examples, clip_norm=0.25, batch_size=10, verbose=False)._step()
        results.append(model.params)
        step = {name: w - before[name] for name, w in model.params.items()}
        assert reference.global_norm(step) == pytest.approx(0.25e-2, rel=1e-10)  # rate 1e-2
    for name, w in results[0].items():
        np.testing.assert_array_equal(results[1][name], w)


@pytest.mark.parametrize("dtype", ["f2", "i4", "u1", ">f4"])
def test_other_types(clipping, dtype):
    grads = {"w": np.array([3, 4]).astype(dtype), "b": [12]}
    clipped, norm = clipping.clip_gradients(grads, 1.0)
    assert norm == 13
    assert clipped["w"].dtype == (np.float32 if dtype == ">f4" else np.float64)
    np.testing.assert_allclose(clipped["w"], np.array([3, 4]) / 13, rtol=1e-6)


@pytest.mark.parametrize("clip_norm", [0, -1, np.nan, None, "1", [1, 2]])
def test_errors(clipping, clip_norm):
    with pytest.raises(ValueError, match=r"clip_norm is .*, expected a number above 0"):
        clipping.clip_gradients({}, clip_norm)
    model = FullyConnectedNet([4], 6, 3)
    if clip_norm is not None:
        with pytest.raises(ValueError, match=r"clip_norm is .*, expected a number above 0"):
            Solver(model, data(), clip_norm=clip_norm)
        with pytest.raises(ValueError, match=r"clip_norm is .*, expected a number above 0"):
            model.train_step(data()["X_train"], data()["y_train"], "sgd", {}, clip_norm=clip_norm)


def test_gradients_that_are_not_real(clipping):
    with pytest.raises(TypeError, match=r"global_norm: grads\['w'\] has dtype complex128"):
        clipping.clip_gradients({"w": np.ones(2) * 1j}, 1)


# --- the Solver -------------------------------------------------------------------------------


def data(n=20):
    X = np.random.RandomState(0).randn(n, 6)
    return {"X_train": X, "y_train": np.arange(n) % 3, "X_val": X, "y_val": np.arange(n) % 3}


class Steep:
    """A stranger's model; the gradient of a parameter that it has not counts for nothing."""

    def __init__(self):
        self.params = {"w": np.zeros(2), "b": np.zeros((), np.float32)}

    def loss(self, X, y=None):
        if y is None:
            return np.zeros((len(X), 3))
        grads = {"w": np.array([30.0, 0]), "b": np.float32(40), "input": np.full(6, 1e6)}
        return 1.0, grads


def test_any_model_is_clipped():
    model = Steep()
    options = {"batch_size": 10, "optim_config": {"learning_rate": 1.0}}
    Solver(model, data(), clip_norm=5, **options)._step()
    np.testing.assert_allclose(model.params["w"], [-3, 0], rtol=4 * U)
    np.testing.assert_allclose(model.params["b"], -4, rtol=1e-6)
    model = Steep()
    Solver(model, data(), clip_norm=51, **options)._step()
    np.testing.assert_array_equal(model.params["w"], [-30, 0])


def test_steps_are_no_longer_than_the_norm(dtype):
    """Of sgd, whose step is the gradient; regularisation is clipped with the rest."""
    for reg in (0.0, 10.0):
        np.random.seed(0)
        model = FullyConnectedNet([5], 6, 3, reg=reg, weight_scale=1.0, dtype=dtype)
        config = {"learning_rate": 1.0}
        solver = Solver(model, data(), clip_norm=0.01, optim_config=config, batch_size=10)
        for _ in range(3):
            before = {name: w.astype(np.float64) for name, w in model.params.items()}
            solver._step()
            step = {name: model.params[name] - w for name, w in before.items()}
            sizes = sum(np.abs(w).sum() for w in before.values())
            error = sizes * tolerance.unit(dtype) + 0.01 * 1e-6
            assert abs(reference.global_norm(step) - 0.01) <= error


def test_the_core_clips_in_the_fused_step():
    """No gradient leaves the core, none is asked for; from the second step on, with state."""
    model = FullyConnectedNet([5], 6, 3)
    solver = Solver(model, data(), update_rule="adam", clip_norm=0.01, batch_size=10)
    solver._step()
    model._data_loss = None
    solver._step()
    assert len(solver.loss_history) == 2


def test_models_of_before_are_not_told():
    """An offered step that knows no clip_norm is called without, as long as nobody asks for one."""

    class Old(FullyConnectedNet):
        def __fastfc_train_step__(self, X, y, update_rule, optim_configs, rows=None):
            return self.train_step(X, y, update_rule, optim_configs, rows)

    Solver(Old([5], 6, 3), data(), batch_size=10)._step()


def test_a_loss_that_is_not_finite_updates_nothing():
    model = FullyConnectedNet([5], 6, 3)
    configs = {name: {"learning_rate": 1.0} for name in model.params}
    before = {name: w.copy() for name, w in model.params.items()}
    X = np.full((4, 6), np.nan, np.float32)
    loss = model.train_step(X, np.zeros(4, int), "sgd", configs, clip_norm=1.0)
    assert np.isnan(loss)
    for name, w in before.items():
        np.testing.assert_array_equal(model.params[name], w)
