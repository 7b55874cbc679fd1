"""Ways to end a run, and the loss that is not finite."""

import copy
import os
import signal
import threading
import time

import numpy as np
import pytest

from fastfc import reference
from fastfc.fc_net import FullyConnectedNet, TwoLayerNet
from fastfc.solver import Solver
from fastfc.training import NonFiniteLossError
from tests.support import runs
from tests.support.same import assert_same
from tests.support.stranger import Stranger, indices


class At:
    """Calls a function after some step."""

    def __init__(self, step, function):
        self.step, self.function = step, function

    def on_step(self, solver):
        if len(solver.loss_history) == self.step:
            self.function(solver)


def interrupt(_):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def usual_handler():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- Ctrl-C -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 8, 12, runs.STEPS])
def test_interrupt_ends_after_the_step(tmp_path, whole, step):
    solver = runs.solver(checkpoint_name=tmp_path / "run", callbacks=At(step, interrupt))
    with pytest.raises(KeyboardInterrupt, match=f"stopped after iteration {step}"):
        solver.train()
    assert solver.stop_reason == "interrupt"
    assert len(solver.loss_history) == len(solver.history["seconds"]) == step
    assert solver.model.params is not solver.best_params
    last = f"epoch_{step // 6}" if step % 6 == 0 else f"step_{step}"
    assert solver.checkpoint_path == str(tmp_path / f"run_{last}.npz")
    again = runs.resumed(solver.checkpoint_path)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


def test_interrupted_run_goes_on_in_the_same_solver(tmp_path, whole):
    solver = runs.solver(callbacks=At(8, interrupt))
    with pytest.raises(KeyboardInterrupt):
        solver.train()
    solver.train()
    assert solver.stop_reason == "finished"
    assert_same(runs.left(solver, tmp_path), whole())


def test_second_interrupt_is_at_once():
    done = []

    def twice(solver):
        interrupt(solver)
        done.append(1)
        interrupt(solver)
        done.append(2)

    solver = runs.solver(callbacks=At(8, twice))
    with pytest.raises(KeyboardInterrupt):
        solver.train()
    assert done == [1]
    assert solver.stop_reason == "interrupt"


def test_handlers_of_others_stay():
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        solver = runs.solver(callbacks=At(8, interrupt))
        solver.train()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert seen == [1]
    assert solver.stop_reason == "finished"


def test_handler_that_a_callback_sets_stays():
    def ignore(_):
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    try:
        runs.solver(callbacks=At(8, ignore)).train()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_errors_give_the_handler_back():
    def fail(_):
        raise RuntimeError

    solver = runs.solver(callbacks=At(8, fail))
    with pytest.raises(RuntimeError):
        solver.train()
    assert solver.stop_reason == "error"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_training_in_another_thread(tmp_path, whole):
    solver = runs.solver()
    thread = threading.Thread(target=solver.train)
    thread.start()
    thread.join()
    assert_same(runs.left(solver, tmp_path), whole())


# --- limits -----------------------------------------------------------------------------------


def test_stop_from_a_callback(tmp_path, whole):
    solver = runs.solver(callbacks=At(8, lambda solver: solver.stop("enough")))
    solver.train()
    assert solver.stop_reason == "enough"
    assert len(solver.loss_history) == 8
    assert solver.model.params is solver.best_params
    solver.train()
    assert_same(runs.left(solver, tmp_path), whole())


def test_max_steps_of_each_call():
    solver = runs.solver(max_steps=7)
    counts = []
    for _ in range(4):
        solver.train()
        counts.append((len(solver.loss_history), solver.stop_reason))
    assert counts == [(7, "max_steps"), (14, "max_steps"), (21, "max_steps"), (24, "finished")]
    solver.train()  # another call, from its beginning
    assert len(solver.loss_history) == 31


def test_max_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class Clock:
        def on_step(self, solver):
            now[0] += 1.0

    solver = runs.solver(max_seconds=5, callbacks=Clock())
    solver.train()
    assert (len(solver.loss_history), solver.stop_reason) == (5, "max_seconds")
    now[0] += 1000
    solver.train()
    assert len(solver.loss_history) == 10
    # a second for a step's callback; between the calls none
    np.testing.assert_array_equal(solver.history["seconds"], [0, 1, 2, 3, 4, 4, 5, 6, 7, 8])


@pytest.mark.parametrize(
    ("settings", "scorings"),
    [
        ({"patience": 1}, 5),
        ({"patience": 2}, 8),
        ({"patience": 2, "min_delta": 0.15}, 5),
        ({"patience": 9}, 11),
    ],
)
def test_early_stopping(settings, scorings):
    model = Stranger([2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7])
    solver = Solver(
        model, indices(), num_epochs=10, batch_size=10, verbose=False, early_stopping=settings
    )
    solver.train()
    assert len(solver.val_acc_history) == scorings
    assert solver.stop_reason == ("finished" if scorings == 11 else "early_stopping")
    assert solver.best_val_acc == max(solver.val_acc_history)
    assert model.params is solver.best_params


def test_early_stopping_begins_anew_with_a_call_and_goes_on_after_resume(tmp_path):
    def solver(**settings):
        model = Stranger([5])
        settings = {"early_stopping": {"patience": 3}, "verbose": False, **settings}
        return Solver(model, indices(), num_epochs=10, batch_size=10, **settings)

    one = solver(checkpoint_name=tmp_path / "run")
    one.train()
    assert len(one.val_acc_history) == 4  # after the first step and three epochs
    one.train()
    assert len(one.val_acc_history) == 8
    two = Solver.resume(tmp_path / "run_epoch_2.npz", Stranger([5]), indices())
    two.train()
    assert (len(two.val_acc_history), two.stop_reason) == (4, "early_stopping")
    done = Solver.resume(tmp_path / "run_epoch_3.npz", Stranger([5]), indices())
    done.train()
    assert (len(done.val_acc_history), done.stop_reason) == (4, "early_stopping")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_steps": 0}, "max_steps is 0, expected an integer of at least 1"),
        ({"max_seconds": 0}, "max_seconds is 0, expected seconds, a number above 0"),
        ({"max_seconds": "1h"}, "max_seconds is '1h'"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
        ({"early_stopping": 3}, "early_stopping is 3, expected a dict of patience"),
        ({"early_stopping": {"min_delta": 1}}, "expected a dict of patience"),
        ({"early_stopping": {"patience": 1, "delta": 1}}, "expected a dict of patience"),
        ({"early_stopping": {"patience": 0}}, "early_stopping: patience is 0, expected an integer"),
        ({"early_stopping": {"patience": 1, "min_delta": -1}}, "min_delta is -1, expected a numb"),
    ],
)
def test_errors_of_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Solver(Stranger(), indices(), **settings)


# --- a loss that is not finite ----------------------------------------------------------------


class Broken(Stranger):
    """Its third loss is scripted, and its running statistics change in place."""

    def __init__(self, loss):
        super().__init__()
        self.third = loss
        self.bn_params = [{"running_mean": np.zeros(2)}]

    def loss(self, X, y=None):
        loss = super().loss(X, y)
        if y is None:
            return loss
        self.bn_params[0]["running_mean"] += 1
        self.steps = getattr(self, "steps", 0) + 1
        return (self.third, loss[1]) if self.steps == 3 else loss


def test_first_loss_names_the_rules_own_learning_rate():
    model = FullyConnectedNet([5], input_dim=4, num_classes=4)
    model.params["b1"][0] = np.nan
    X, y = np.ones((8, 4)), np.arange(8) % 4
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    settings = {"batch_size": 4, "update_rule": "adam", "on_nonfinite": "raise"}
    solver = Solver(model, data, verbose=False, **settings)
    with pytest.raises(NonFiniteLossError, match=r"at iteration 1 with learning rate 0\.001, "):
        solver.train()


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf, np.float32(np.nan)])
def test_loss_that_is_not_finite_changes_nothing(loss):
    model = Broken(loss)
    config = {"learning_rate": 0.25}
    settings = {"update_rule": "adam", "optim_config": config, "on_nonfinite": "raise"}
    solver = Solver(model, indices(), num_epochs=9, verbose=False, **settings)
    message = f"the loss is {loss} at iteration 3 with learning rate 0.25, expected a finite one$"
    with pytest.raises(NonFiniteLossError, match=message) as caught:
        solver.train()
    assert isinstance(caught.value, FloatingPointError)
    assert (caught.value.iteration, caught.value.learning_rate) == (3, 0.25)
    assert caught.value.where is None
    assert solver.stop_reason == "error"
    assert len(solver.loss_history) == len(solver.val_acc_history) == 2
    np.testing.assert_allclose(model.params["w"], -0.5)
    assert solver.optim_configs["w"]["t"] == 2
    np.testing.assert_array_equal(model.bn_params[0]["running_mean"], 2)
    assert solver.best_params


class Composed(FullyConnectedNet):
    """The same network, whose step is composed of fastfc's layers."""

    def __fastfc_train_step__(self, *args, **options):
        return None


NETWORKS = {
    "fused": FullyConnectedNet,
    "composed": Composed,
    "reference": reference.fc_net.FullyConnectedNet,
}


@pytest.mark.parametrize("reg", [0, 0.1])
@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_keep_all_that_was_good(kind, normalization, reg):
    """From a good state, one step whose minibatch has an example that is not finite."""
    np.random.seed(0)
    data = runs.data()
    model = NETWORKS[kind](
        [9, 7], 12, 3, normalization=normalization, dropout=0.8, reg=reg, weight_scale=0.1
    )
    settings = {"update_rule": "adam", "batch_size": 20, "on_nonfinite": "raise"}
    solver = Solver(model, data, num_epochs=1, verbose=False, **settings)

    def poison(solver):
        solver.X_train = np.full_like(solver.X_train, np.inf)
        before.append(state())

    def state():
        return copy.deepcopy([model.params, model.bn_params, solver.optim_configs])

    before = []
    solver.callbacks = [At(4, poison)]
    with (
        pytest.raises(NonFiniteLossError, match=r"at iteration 5 .* not finite: X") as caught,
        np.errstate(all="ignore"),
    ):
        solver.train()
    assert caught.value.where == "X"
    assert_same(state(), before[0])
    assert len(solver.loss_history) == 4
    assert all(np.isfinite(w).all() for w in model.params.values())


def test_failure_of_the_search_does_not_hide_the_loss():
    model = Broken(np.nan)
    model.first_nonfinite = lambda X: 1 / 0
    solver = Solver(model, indices(), num_epochs=9, verbose=False, on_nonfinite="raise")
    with pytest.raises(NonFiniteLossError, match="unknown, first_nonfinite raised ZeroDivision"):
        solver.train()


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    ("normalization", "change", "where"),
    [
        (None, {}, None),
        ("batchnorm", {}, None),
        (None, {"W1": 1e38}, "layer 1: affine"),
        (None, {"W1": 1e30, "W2": 1e30}, "layer 2: affine"),
        (None, {"W1": 1e20, "W2": 1e10, "W3": 1e20}, "layer 3: affine"),
        ("batchnorm", {"b1": 3e38, "W1": 3e38}, "layer 1: affine"),
        ("batchnorm", {"gamma2": 3e38}, "layer 2: batchnorm"),
        ("layernorm", {"gamma2": 3e38}, "layer 2: layernorm"),
        ("layernorm", {}, None),
        (None, {"b2": np.nan}, "b2"),
        ("batchnorm", {"gamma1": np.inf}, "gamma1"),
        (None, {"b1": 3.2e38}, "layer 1: dropout"),
    ],
)
def test_first_nonfinite(kind, normalization, change, where):
    np.random.seed(3)
    model = NETWORKS[kind]([9, 7], 12, 3, normalization=normalization, dropout=0.5, seed=7)
    for name, value in change.items():
        model.params[name][:] = value
    if "W1" in change:
        model.params["b1"][:] = change.get("b1", 0)
    X = np.abs(np.random.randn(20, 12)) + 1
    before = copy.deepcopy(vars(model))
    stream = np.random.get_state(legacy=False)
    assert model.first_nonfinite(X) == where
    assert_same(np.random.get_state(legacy=False), stream)
    assert_same(model.params, before["params"])
    assert_same(model.bn_params, before["bn_params"])
    assert_same(model.dropout_param, before["dropout_param"])
    if where != "layer 1: dropout":
        X[4, 5] = np.nan
        assert model.first_nonfinite(X) == "X"


def test_first_nonfinite_of_two_layers():
    model = TwoLayerNet(4, 5, 3)
    model.params["W2"][:] = 1e300
    model.params["W1"][:] = 1e300
    assert model.first_nonfinite(np.ones((2, 4))) == "layer 2: affine"
