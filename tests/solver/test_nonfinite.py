"""What a run does about a loss, or an optimiser's state, that is not finite."""

import math
import warnings

import numpy as np
import pytest

from fastfc import fc_net, optim, reference
from fastfc.solver import Solver
from fastfc.training import NonFiniteLossError, NonFiniteStateError, NonFiniteWarning
from tests.support import runs
from tests.support.composed import Composed
from tests.support.same import assert_same
from tests.support.stranger import Stranger, indices
from tests.support.strangers import StrangeModel, clusters

NETWORKS = {
    "fused": fc_net.FullyConnectedNet,
    "composed": Composed,
    "reference": reference.fc_net.FullyConnectedNet,
}


def solver_of(kind="fused", rate=1e30, data=None, **settings):
    np.random.seed(0)
    model = NETWORKS[kind]([9, 7], 12, 3, weight_scale=0.1)
    settings = {"update_rule": "adam", "batch_size": 21, "num_epochs": 3, **settings}
    config = {"learning_rate": rate}
    return Solver(model, data or runs.data(), optim_config=config, verbose=False, **settings)


def the_warning(solver):
    """Train, and return the text of the only warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solver.train()
    (warning,) = caught
    assert warning.category is NonFiniteWarning
    assert warning.filename == __file__
    return str(warning.message)


# --- the default: the run ends ----------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_sweep_goes_on_after_a_rate_that_diverges(kind):
    """As the courses write it: the diverged ones are told apart by their last loss."""
    best, diverged = {}, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")  # as in a notebook
        for rate in (1e-3, 1e-2, 1e20, 1e30):
            solver = solver_of(kind, rate)
            solver.train()
            if np.isnan(solver.loss_history[-1]):
                diverged.append(rate)
            best[rate] = max(solver.val_acc_history)
    assert diverged == [1e20, 1e30]
    assert best.keys() == {1e-3, 1e-2, 1e20, 1e30}
    assert [str(warning.message).count("learning rate 1e+") for warning in caught] == [1, 1]


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_run_ends_and_leaves_the_best(kind):
    solver = solver_of(kind)
    text = the_warning(solver)
    steps = len(solver.loss_history)
    assert text.startswith(f"the loss is nan at iteration {steps} with learning rate 1e+30, ")
    assert "the first that is not finite: layer " in text
    assert text.endswith("; training has stopped, and the model has the best parameters so far")
    assert solver.stop_reason == "nonfinite"
    assert isinstance(solver.nonfinite, NonFiniteLossError)
    assert np.isnan(solver.loss_history).tolist() == [False] * (steps - 1) + [True]
    assert type(solver.loss_history[-1]) is np.float32
    assert solver.model.params is solver.best_params
    assert all(np.isfinite(w).all() for w in solver.best_params.values())
    assert len(solver.val_acc_history) == len(solver.train_acc_history) == 1
    assert {len(column) for column in solver.history.values()} == {steps}


def test_accuracies_are_taken_if_there_are_none():
    solver = solver_of()
    solver.model.params["b1"][0] = np.nan
    before = {name: w.copy() for name, w in solver.model.params.items()}
    text = the_warning(solver)
    assert "at iteration 1 " in text
    assert "not finite: b1;" in text
    assert len(solver.loss_history) == len(solver.val_acc_history) == 1
    assert_same(dict(solver.model.params), before)


@pytest.mark.parametrize("loss", [math.inf, -math.inf, np.float32(np.inf), np.array([np.nan])])
def test_the_history_of_any_such_loss_ends_in_nan(loss):
    model = Stranger()
    model.loss = lambda X, y=None: np.zeros((len(X), 2)) if y is None else (loss, {})
    solver = Solver(model, indices(), verbose=False)
    text = the_warning(solver)
    said = np.asarray(loss).item()
    assert text.startswith(f"the loss is {said} at iteration 1 with learning rate 0.01, expected")
    assert math.isnan(solver.loss_history[-1])
    assert np.ndim(solver.loss_history[-1]) == 0


def test_data_at_fault_are_named_for_any_model():
    data = clusters()
    data["X_train"][:] = np.inf
    solver = Solver(StrangeModel(6, 4), data, verbose=False)
    with np.errstate(invalid="ignore"):
        assert "; the first that is not finite: X; training" in the_warning(solver)


def test_another_call_begins_with_the_best():
    solver = solver_of(rate=0.01, num_epochs=1)
    solver.train()
    good = solver.X_train
    solver.X_train = np.full_like(good, np.inf)
    the_warning(solver)
    assert (len(solver.loss_history), len(solver.val_acc_history)) == (7, 2)
    solver.X_train = good
    solver.train()
    assert (solver.stop_reason, solver.nonfinite) == ("finished", None)
    assert len(solver.loss_history) == 13
    assert np.isnan(solver.loss_history).sum() == 1


def test_checkpoints_are_those_before(tmp_path):
    """The latest one is a state to go on from, and holds no loss that is NaN."""
    solver = solver_of(rate=0.01, checkpoint_name=tmp_path / "run", checkpoint_every=2)

    class Poison:
        def on_step(self, solver):
            if len(solver.loss_history) == 7:
                solver.X_train = np.full_like(solver.X_train, np.nan)

    solver.callbacks = [Poison()]
    the_warning(solver)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "run_epoch_1.npz",
        "run_step_2.npz",
        "run_step_4.npz",
    ]
    again = Solver.resume(tmp_path / "run_epoch_1.npz", solver_of().model, runs.data())
    again.train()
    assert len(again.loss_history) == 18
    assert np.isfinite(again.loss_history).all()


def test_callbacks_hear_of_the_end():
    heard = []

    class Listener:
        def on_step(self, solver):
            heard.append(len(solver.loss_history))

        def on_stop(self, solver):
            heard.append((solver.stop_reason, len(solver.val_acc_history)))

    solver = solver_of(callbacks=Listener())
    the_warning(solver)
    assert heard == [*range(1, len(solver.loss_history)), ("nonfinite", 1)]


def test_a_loop_of_the_users_own_goes_on():
    """`_step` raises nothing; the first such step is warned of."""
    solver = solver_of()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(9):
            solver._step()
    (warning,) = caught
    assert (warning.category, warning.filename) == (NonFiniteWarning, __file__)
    assert str(warning.message).endswith("; that step has not been taken")
    assert len(solver.loss_history) == 9
    assert np.isnan(solver.loss_history[-1])


def test_warnings_that_are_errors_leave_the_same():
    solver = solver_of()
    with pytest.raises(NonFiniteWarning):
        solver.train()
    assert solver.stop_reason == "nonfinite"
    assert solver.model.params is solver.best_params


# --- raise, continue --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_raise(kind):
    solver = solver_of(kind, on_nonfinite="raise")
    with pytest.raises(NonFiniteLossError, match=r"learning rate 1e\+30, expected a finite one; "):
        solver.train()
    assert solver.stop_reason == "error"
    assert np.isfinite(solver.loss_history).all()


@pytest.mark.parametrize("policy", ["ignore", None, 1, ["stop"]])
def test_other_policies(policy):
    with pytest.raises(ValueError, match=r"on_nonfinite is .*, expected one of 'stop', 'cont"):
        Solver(Stranger(), indices(), on_nonfinite=policy)


def course_loop(model, data, rule, config, batch_size, num_epochs, num_samples):
    """Train as the courses do: every step is taken, whatever its loss."""
    losses, accuracies = [], []
    configs = {name: dict(config) for name in model.params}
    per_epoch = max(len(data["y_train"]) // batch_size, 1)

    def accuracy(split, samples):
        X, y = data[f"X_{split}"], data[f"y_{split}"]
        if samples is not None and len(X) > samples:
            chosen = np.random.choice(len(X), samples)
            X, y = X[chosen], y[chosen]
        parts = [model.loss(X[i : i + 100]) for i in range(0, len(X), 100)]
        return np.mean(np.hstack([np.argmax(part, axis=1) for part in parts]) == y)

    for step in range(num_epochs * per_epoch):
        chosen = np.random.choice(len(data["y_train"]), batch_size)
        loss, grads = model.loss(data["X_train"][chosen], data["y_train"][chosen])
        losses.append(loss)
        for name, w in model.params.items():
            model.params[name], configs[name] = rule(w, grads[name], configs[name])
        if step == 0 or (step + 1) % per_epoch == 0:
            accuracies.append((accuracy("train", num_samples), accuracy("val", None)))
    return losses, accuracies


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("options", [{}, {"dropout": 0.8, "use_batchnorm": True, "reg": 0.1}])
@pytest.mark.filterwarnings("ignore:.*is beyond the largest number:RuntimeWarning")
def test_continue_is_the_courses_run_draw_for_draw(kind, options, rule):
    left = []
    config = {"learning_rate": 1e25}
    if rule == "adamw":
        config["weight_decay"] = 0.0  # which the Solver spares some parameters
    for ours in (True, False):
        np.random.seed(1)
        model = NETWORKS[kind]([9, 7], 12, 3, weight_scale=0.1, **options)
        if ours:
            settings = {"batch_size": 21, "num_epochs": 3, "num_train_samples": 50}
            solver = Solver(
                model,
                runs.data(),
                update_rule=rule if kind != "reference" else getattr(reference.optim, rule),
                optim_config=config,
                on_nonfinite="continue",
                verbose=False,
                **settings,
            )
            solver.train()
            assert (solver.stop_reason, solver.nonfinite) == ("finished", None)
            losses = solver.loss_history
            accuracies = [*zip(solver.train_acc_history, solver.val_acc_history, strict=True)]
        else:
            package = reference if kind == "reference" else fc_net
            package_rule = getattr(getattr(package, "optim", optim), rule)
            with np.errstate(all="ignore"):
                losses, accuracies = course_loop(
                    model, runs.data(), package_rule, config, 21, 3, 50
                )
        statistics = [
            {key: value for key, value in bn_param.items() if key != "mode"}
            for bn_param in model.bn_params
        ]
        left.append((losses, accuracies, statistics, np.random.rand()))
    np.testing.assert_array_equal(left[0][0], left[1][0])
    assert np.isnan(left[0][0][-1])
    assert left[0][1] == left[1][1]
    assert left[0][3] == left[1][3]


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("rule", optim.__all__)
def test_continue_keeps_the_fused_step(monkeypatch, rule, clip_norm):
    """The core takes such steps too, and leaves what the composed way leaves."""
    fused = []

    def noting(self, *args, **kwargs):
        fused.append(self.train_step(*args, **kwargs))
        return fused[-1]

    monkeypatch.setattr(fc_net.FullyConnectedNet, "__fastfc_train_step__", noting)
    left = []
    for kind in ("fused", "composed"):
        settings = {"update_rule": rule, "clip_norm": clip_norm, "on_nonfinite": "continue"}
        solver = solver_of(kind, 0.01, **settings)

        class Poison:
            def on_step(self, solver):
                if len(solver.loss_history) == 7:
                    solver.X_train = np.full_like(solver.X_train, np.nan)

        solver.callbacks = [Poison()]
        solver.train()
        left.append((solver.loss_history, dict(solver.model.params), solver.optim_configs))
    assert [loss is None for loss in fused] == [rule != "sgd"] + [False] * 17
    np.testing.assert_array_equal(left[0][0], left[1][0])
    assert np.isnan(left[0][0][7:]).all()
    for name, w in left[1][1].items():
        np.testing.assert_array_equal(left[0][1][name], w)
        for key, value in left[1][2][name].items():
            np.testing.assert_array_equal(left[0][2][name][key], value)


# --- the optimiser's state --------------------------------------------------------------------


def immense_gradient(step=1):
    """Return a model with one gradient of 1e20 in float32, in a certain step."""
    model = Stranger()
    model.params = {"w": np.ones(3, np.float32), "b": np.ones(2, np.float32)}
    taken = []

    def loss(X, y=None):
        if y is None:
            return np.zeros((len(X), 2))
        taken.append(1)
        size = np.float32(1e20 if len(taken) == step else 0.1)
        return 1.0, {"w": np.full(3, 0.1, np.float32), "b": np.full(2, size, np.float32)}

    model.loss = loss
    return model


@pytest.mark.parametrize("package", [optim, reference.optim])
@pytest.mark.parametrize(("rule", "key"), [("adam", "a"), ("adamw", "a"), ("rmsprop", "a")])
@pytest.mark.parametrize("step", [1, 2, 25])
def test_a_state_that_overflows_ends_the_run(package, rule, key, step):
    settings = {"update_rule": getattr(package, rule), "optim_config": {"learning_rate": 0.5}}
    solver = Solver(immense_gradient(step), indices(), num_epochs=25, verbose=False, **settings)
    with np.errstate(over="ignore"):
        text = the_warning(solver)
    found = 1 if step == 1 else 25
    assert text.startswith(
        f"optim_configs['b']['{key}'] is not finite after iteration {found} with learning rate 0.5"
        " and loss 1, expected a finite optimiser state; training has stopped"
    )
    assert solver.stop_reason == "nonfinite"
    assert isinstance(solver.nonfinite, NonFiniteStateError)
    assert len(solver.loss_history) == found + 1
    assert np.isnan(solver.loss_history[-1])


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_networks_state_that_overflows(kind):
    data = runs.data()
    data["X_train"][:, 0, 0] *= 1e22
    solver = solver_of(kind, 1e-30, data)
    with np.errstate(all="ignore"):
        assert the_warning(solver).startswith("optim_configs['W1']['a'] is not finite after iterat")


@pytest.mark.parametrize("policy", ["raise", "continue"])
def test_policies_for_a_state(policy):
    solver = Solver(
        immense_gradient(), indices(), update_rule="adam", on_nonfinite=policy, verbose=False
    )
    if policy == "continue":
        solver.train()
        assert (solver.stop_reason, len(solver.loss_history)) == ("finished", 10)
    else:
        with pytest.raises(NonFiniteStateError, match=r"\['a'\] is not finite after iteration 1 "):
            solver.train()


def test_finite_states_of_any_size_are_left_alone():
    """Also those whose squares overflow, and what a rule of the user's own keeps."""

    def rule(w, dw, config):
        return w, {"v": np.full(3, -1e300), "m": np.arange(3), "a": "text", "least": np.inf * dw}

    solver = Solver(Stranger(), indices(), update_rule=rule, verbose=False)
    solver.train()
    assert solver.stop_reason == "finished"


def test_long_runs_are_looked_through_between_their_ends():
    settings = {"update_rule": "adam", "num_epochs": 1000, "batch_size": 5}
    solver = Solver(immense_gradient(150), indices(), verbose=False, **settings)
    with np.errstate(over="ignore"):
        assert " after iteration 205 " in the_warning(solver)
