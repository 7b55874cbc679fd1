"""What fastfc computes does not depend on the caller's np.seterr, nor on its warning filters."""

import warnings

import numpy as np
import pytest

from fastfc import fc_net, gradient_check, layers, optim, reference
from fastfc.reference import clipping as reference_clipping
from fastfc.solver import Solver
from fastfc.training import NonFiniteLossError, clipping
from fastfc.verifying import operations
from tests.support import runs
from tests.support.same import assert_same
from tests.support.strangers import StrangeModel, clusters

NETWORKS = {"fast": fc_net, "reference": reference.fc_net}
RULES = {"fast": optim, "reference": reference.optim}


@pytest.fixture(params=["raise", "warn", "ignore"], autouse=True)
def seterr(request):
    """Every setting; the warnings of pytest's run are errors."""
    with np.errstate(all=request.param):
        yield request.param


def everywhere(function):
    """Return what a function gives when nothing is set, and now."""
    with np.errstate(all="ignore"):
        state = np.random.get_state()
        expected = function()
    np.random.set_state(state)
    return function(), expected


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("rate", [1e-30, 0.01, 1e30, 1e200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("package", NETWORKS)
@pytest.mark.filterwarnings("ignore:.*is beyond the largest number:RuntimeWarning")
def test_training(package, dtype, rate, rule):
    def train():
        np.random.seed(0)
        options = {"dropout": 0.8, "use_batchnorm": True, "reg": 1e-3, "weight_scale": 0.1}
        model = NETWORKS[package].FullyConnectedNet([9, 7], 12, 3, dtype=dtype, **options)
        solver = Solver(
            model,
            runs.data(),
            update_rule=getattr(RULES[package], rule),
            optim_config={"learning_rate": np.float32(min(rate, 1e38))},
            lr_decay=1e-20,
            lr_schedule={"name": "exponential", "factor": 1e-300},
            clip_norm=1e-30 if rate < 1 else None,
            batch_size=21,
            num_epochs=3,
            on_nonfinite="continue",
            verbose=False,
        )
        solver.train()
        try:
            proba = model.predict_proba(runs.data()["X_val"] * 1e30)
        except ValueError as error:  # of scores that are NaN
            proba = str(error)
        return solver.loss_history, solver.val_acc_history, dict(model.params), proba

    assert_same(*everywhere(train))


@pytest.mark.parametrize("package", NETWORKS)
def test_the_guard_finds_an_overflow_itself(package):
    model = NETWORKS[package].FullyConnectedNet([9, 7], 12, 3, reg=1e30)
    model.params["W1"] *= 1e10
    solver = Solver(model, runs.data(), on_nonfinite="raise", verbose=False)
    with pytest.raises(NonFiniteLossError, match="the loss is inf at iteration 1 "):
        solver.train()


@pytest.mark.parametrize("package", NETWORKS)
def test_parameters_of_other_dtypes_and_tiny_numbers(package):
    def loss():
        np.random.seed(0)
        model = NETWORKS[package].FullyConnectedNet([4], 3, 2, weight_scale=1e-42, reg=1e-42)
        model.params["W1"] = np.full((3, 4), 1e-300)
        model.params["W2"] = np.full((4, 2), 1e300)
        X = np.array([[1e300, 1e-300, 1.0]])
        return model.loss(X, np.array([1])), model.first_nonfinite(np.ones((1, 3)))

    assert_same(*everywhere(loss))


@pytest.mark.parametrize("package", NETWORKS)
def test_probabilities_that_underflow(package):
    model = NETWORKS[package].FullyConnectedNet([], 2, 2, weight_scale=0)
    model.params["W1"] = np.array([[1e4, 0.0], [0.0, 0.0]], np.float32)
    np.testing.assert_array_equal(model.predict_proba([[1, 0]]), [[1, 0]])


EXTREME = {
    "tiny": 1e-200,
    "huge": 1e200,
    "infinite": np.inf,
    "nan": np.nan,
}


@pytest.mark.parametrize("size", EXTREME)
@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
@pytest.mark.filterwarnings("ignore:.*is beyond the largest number:RuntimeWarning")
def test_every_operation_of_the_reference(operation, size):
    shape = ((6, 5), 4) if operation.function.startswith("affine") else (6, 5)

    def run():
        args = operation.arguments(shape, np.float64)
        with np.errstate(all="ignore"):
            args = [
                arg * EXTREME[size]
                if isinstance(arg, np.ndarray) and arg.dtype.kind == "f"
                else arg
                for arg in args
            ]
        np.random.seed(1)
        try:
            return operation.outputs(operation.callable(operations.REFERENCE)(*args), args)
        except ValueError as error:  # of targets and weights that are none
            return str(error)

    assert_same(*everywhere(run))


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("size", EXTREME)
@pytest.mark.parametrize("package", RULES)
def test_rules(package, size, rule):
    def step():
        w = np.ones(3, np.float32)
        config = {"learning_rate": 1e-30}
        for gradient in (np.full(3, EXTREME[size]), np.full(3, 1e-300)):  # of another dtype
            w, config = getattr(RULES[package], rule)(w, gradient, config)
        return w, config

    assert_same(*everywhere(step))


@pytest.mark.parametrize("module", [clipping, reference_clipping])
@pytest.mark.parametrize("size", EXTREME)
def test_clipping(module, size):
    grads = {"w": np.full(4, EXTREME[size]), "b": np.ones(2, np.float32)}
    assert_same(*everywhere(lambda: module.clip_gradients(grads, 1e-300)))


def test_numerical_gradients(capsys):
    def check():
        x = np.array([1.0, 2.0])
        gradient_check.grad_check_sparse(lambda x: np.inf, x, np.array([1e300, 1e300]), 2)
        return (
            gradient_check.eval_numerical_gradient(lambda x: np.float64(np.inf), x, False),
            gradient_check.eval_numerical_gradient_array(lambda x: x * np.inf, x, x),
        )

    assert_same(*everywhere(check))


def test_a_model_of_the_users_own_keeps_the_settings(seterr):
    seen = []

    class Mine(StrangeModel):
        def loss(self, X, y=None):
            seen.append(np.geterr()["over"])
            return super().loss(X, y)

    def rule(w, dw, config):
        seen.append(np.geterr()["under"])
        return w - 0.01 * dw, config

    np.random.seed(0)
    Solver(Mine(6, 4), clusters(), update_rule=rule, num_epochs=1, verbose=False).train()
    assert set(seen) == {seterr}


def test_a_loss_of_the_users_own_that_overflows(seterr):
    class Mine(StrangeModel):
        def loss(self, X, y=None):
            if y is not None:
                np.float64(1e300) * np.float64(1e300)
            return super().loss(X, y)

    np.random.seed(0)
    solver = Solver(Mine(6, 4), clusters(), num_epochs=1, verbose=False)
    if seterr == "ignore":
        solver.train()
    else:
        kind = FloatingPointError if seterr == "raise" else RuntimeWarning
        with pytest.raises(kind, match="overflow encountered"):
            solver.train()


def test_layers_of_the_core_take_anything():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = np.array([[np.inf, -np.inf, np.nan, 1e308]])
        layers.softmax_loss(x, np.array([0]))
        layers.affine_forward(x, np.full((4, 2), 1e308), np.zeros(2))
