"""Learning-rate schedules against their formulas, and what the Solver makes of them."""

import functools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from fastfc import optim
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference import optim as reference
from fastfc.solver import Solver
from fastfc.training import schedules
from fastfc.training.rates import Rates

U = 2.0**-53


class Lines:
    """A model without examples: its gradient is always 1, its losses and scores are scripted."""

    def __init__(self, accuracies=(0.0,), losses=(1.0,)):
        self.params = {"w": np.zeros(2), "b": np.zeros(())}
        self.accuracies, self.losses = list(accuracies), list(losses)
        self.steps = self.scorings = 0

    def loss(self, X, y=None):
        if y is not None:
            self.steps += 1
            loss = self.losses[(self.steps - 1) % len(self.losses)]
            return loss, {name: np.ones_like(w) for name, w in self.params.items()}
        scores = np.zeros((len(X), 2))
        if X[0, 0] >= 1000:
            # the first scoring follows the first step, and is no epoch's
            accuracy = self.accuracies[max(self.scorings - 1, 0) % len(self.accuracies)]
            scores[:, 1] = X[:, 0] - 1000 >= 10 * accuracy
            self.scorings += 1
        return scores


DATA = {
    "X_train": np.arange(20)[:, np.newaxis],
    "y_train": np.zeros(20, int),
    "X_val": 1000 + np.arange(10)[:, np.newaxis],
    "y_val": np.zeros(10, int),
}


class Noting(Solver):
    """Notes each step's learning rate, as the rule finds it."""

    def _composed_step(self, batch_mask):
        rates = {config["learning_rate"] for config in self.optim_configs.values()}
        assert len(rates) == 1
        self.__dict__.setdefault("rates", []).append(rates.pop())
        return super()._composed_step(batch_mask)


def solver_of(model=None, **options):
    """Return a Solver with epochs of two steps."""
    options = {"num_epochs": 5, "optim_config": {"learning_rate": 8.0}, **options}
    return Noting(model or Lines(), DATA, batch_size=10, verbose=False, **options)


def rates_of(model=None, **options):
    solver = solver_of(model, **options)
    solver.train()
    return solver.rates


# --- formulas ---------------------------------------------------------------------------------


def warm(step, warmup, decayed):
    return (step + 1) / warmup if step < warmup else decayed(step - warmup)


def cosine(low, high, t, T):
    """Equation (5) of Loshchilov & Hutter 2017."""
    return low + 0.5 * (high - low) * (1 + math.cos(t / T * math.pi))


FORMULAS = {
    "step": (
        {"name": "step", "every": 7, "factor": 0.5},
        lambda step: math.prod([0.5] * (step // 7)),
    ),
    "warm step": (
        {"name": "step", "every": 3, "factor": 0.1, "warmup_steps": 4},
        lambda step: warm(step, 4, lambda t: math.prod([0.1] * (t // 3))),
    ),
    "exponential": (
        {"name": "exponential", "factor": 0.2, "decay_steps": 11},
        lambda step: math.exp(math.log(0.2) * step / 11),
    ),
    "warm exponential": (
        {"name": "exponential", "factor": 0.2, "decay_steps": 11, "warmup_steps": 1},
        lambda step: warm(step, 1, lambda t: math.exp(math.log(0.2) * t / 11)),
    ),
    "cosine": (
        {"name": "cosine", "total_steps": 40},
        lambda step: cosine(0, 1, step, 40) if step < 40 else 0,
    ),
    "warm cosine": (
        {"name": "cosine", "warmup_steps": 10, "total_steps": 40, "min_factor": 0.125},
        lambda step: warm(step, 10, lambda t: cosine(0.125, 1, t, 30) if t < 30 else 0.125),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name):
    """A few roundings each; the exponential's argument is at most 8."""
    config, formula = FORMULAS[name]
    schedule = schedules.make(config, 1000)
    for step in range(60):
        assert schedule(step) == pytest.approx(formula(step), rel=40 * U, abs=8 * U)


def test_ends_of_the_cosine():
    schedule = schedules.make({"name": "cosine", "warmup_steps": 4, "min_factor": 0.25}, 20)
    assert [schedule(step) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    assert schedule(12) == 0.625
    assert [schedule(step) for step in (20, 21, 10**9)] == [0.25] * 3
    falling = [schedule(step) for step in range(4, 21)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(
    ("name", "total_steps", "config"),
    [
        ("step", 100, {"every": 34, "factor": 0.1, "warmup_steps": 0}),
        ("step", 0, {"every": 1, "factor": 0.1, "warmup_steps": 0}),
        ("exponential", 100, {"factor": 0.1, "decay_steps": 100, "warmup_steps": 0}),
        ("exponential", 0, {"factor": 0.1, "decay_steps": 1, "warmup_steps": 0}),
        ("cosine", 100, {"warmup_steps": 0, "total_steps": 100, "min_factor": 0.0}),
        ("cosine", 0, {"warmup_steps": 0, "total_steps": 0, "min_factor": 0.0}),
    ],
)
def test_defaults_follow_the_run(name, total_steps, config):
    schedule = schedules.make(name, total_steps)
    assert schedule.config() == {"name": name, **config}
    assert 0 <= schedule(0) <= 1


def test_a_warm_up_longer_than_the_run_just_rises():
    schedule = schedules.make({"name": "cosine", "warmup_steps": 8}, 4)
    assert [schedule(step) for step in (0, 3, 7, 8)] == [0.125, 0.5, 1, 0]


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_configuration_makes_the_same_schedule_again(name):
    """And is plain JSON; so is the state, whose copy goes on as the original does."""
    solver = solver_of(Lines([0.5, 0.3, 0.2, 0.1, 0.1]), lr_schedule={"name": name})
    assert solver.lr_schedule == json.loads(json.dumps(solver.lr_schedule))
    again = schedules.make(solver.lr_schedule, 10**6)
    assert again.config() == solver.lr_schedule
    assert [again(step) for step in range(20)] == [solver._rates.schedule(s) for s in range(20)]


def test_schedules_are_copied():
    mine = schedules.Plateau(patience=1)
    solver = solver_of(lr_schedule=mine)
    solver.train()
    assert solver._rates.schedule is not mine
    assert mine.state()["best"] is None
    whole = schedules.Cosine()
    solver_of(lr_schedule=whole)
    assert whole.total_steps is None


# --- plateau ----------------------------------------------------------------------------------


def plateau(**options):
    return {"name": "plateau", "factor": 0.5, **options}


def test_plateau_of_the_accuracy():
    """Reduced after two epochs that are not better than the best; then the count starts anew."""
    accuracies = [0.3, 0.5, 0.5, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6]
    rates = rates_of(Lines(accuracies), num_epochs=9, lr_schedule=plateau(patience=2))
    assert rates == [x for x in [8, 8, 8, 8, 4, 4, 4, 2, 2] for _ in range(2)]


def test_plateau_of_the_loss():
    """An epoch's mean loss counts."""
    losses = [1, 3, 2, 2, 0, 3, 2, 1, 1, 1]  # means 2, 2, 1.5, 1.5, 1
    schedule = plateau(patience=1, monitor="loss")
    rates = rates_of(Lines(losses=losses), num_epochs=5, lr_schedule=schedule)
    assert rates == [x for x in [8, 8, 4, 4, 2] for _ in range(2)]


def test_nan_is_no_better_score():
    schedule = schedules.Plateau(monitor="loss", patience=2)
    for losses in ([1.0], [1.0, np.nan], [1.0, np.nan, 2.0], [1.0, np.nan, 2.0, 0.5]):
        schedule.end_epoch(SimpleNamespace(loss_history=losses))
    assert schedule.state() == {"reduced": 0.1, "best": -0.5, "bad_epochs": 0, "losses_seen": 4}


def test_plateau_min_delta_and_min_factor():
    accuracies = [0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    options = {"patience": 1, "min_delta": 0.15, "min_factor": 0.2}
    rates = rates_of(Lines(accuracies), num_epochs=7, lr_schedule=plateau(**options))
    assert rates[::2] == [8, 8, 4, 4, 2, 1.6, 1.6]


# --- the Solver -------------------------------------------------------------------------------


def test_rates_are_base_times_decay_times_factor():
    schedule = {"name": "step", "every": 3, "factor": 0.5}
    rates = rates_of(num_epochs=3, lr_schedule=schedule, lr_decay=0.25)
    assert rates == [8, 8, 2, 1, 0.25, 0.25]


def test_without_a_schedule_only_lr_decay_acts():
    solver = solver_of(num_epochs=3, lr_decay=0.5)
    assert solver.lr_schedule is None
    solver.train()
    assert solver.rates == [8, 8, 4, 4, 2, 2]


def test_function_of_step_and_solver():
    seen = []

    def schedule(step, solver):
        seen.append((step, solver.epoch, len(solver.loss_history)))
        return np.float32(0.5) if step % 2 else 1

    solver = solver_of(num_epochs=2, lr_schedule=schedule)
    assert solver.lr_schedule is schedule
    solver.train()
    assert solver.rates == [8, 4, 8, 4]
    assert {type(rate) for rate in solver.rates} == {float}  # what the fused step takes
    assert seen == [(0, 0, 0), (1, 0, 1), (2, 1, 2), (3, 1, 3)]


def test_a_second_call_goes_on():
    """A length that was the run's follows it, and it is said: the rest would be at rate 0."""
    solver = solver_of(num_epochs=2, lr_schedule="cosine")
    solver.train()
    with pytest.warns(UserWarning, match="lr_schedule was made for the length of the run so far"):
        solver.train()
    assert solver.rates[:4] == [8 * cosine(0, 1, step, 4) for step in range(4)]
    assert solver.rates[4:] == [8 * cosine(0, 1, step, 8) for step in range(4, 8)]
    assert solver.lr_schedule["total_steps"] == 8
    solver = solver_of(num_epochs=2, lr_schedule={"name": "cosine", "total_steps": 8})
    solver.train()
    solver.train()
    assert solver.rates == [8 * cosine(0, 1, step, 8) for step in range(8)]


def test_every_parameter_keeps_a_base_of_its_own():
    solver = Solver(Lines(), DATA, optim_config={"learning_rate": 8.0}, lr_schedule=lambda *_: 0.5)
    solver.optim_configs["b"]["learning_rate"] = 2.0
    for _ in range(2):
        solver._step()
    rates = {name: config["learning_rate"] for name, config in solver.optim_configs.items()}
    assert rates == {"w": 4, "b": 1}


@pytest.mark.parametrize("rules", [optim, reference])
@pytest.mark.parametrize("rule", optim.__all__)
def test_base_is_the_rules_default(rules, rule):
    rates = rates_of(
        update_rule=getattr(rules, rule), optim_config={}, lr_schedule=lambda *_: 0.25, num_epochs=1
    )
    assert rates == [1e-3 / 4 if rule.startswith("adam") else 1e-2 / 4] * 2


def test_state_goes_on_elsewhere():
    """As a checkpoint would take it, through JSON, in the middle of a plateau."""
    solver = SimpleNamespace(loss_history=[], epoch=0, lr_decay=0.5, val_acc_history=[])
    given = plateau(patience=2), 100, optim.sgd, {"learning_rate": 8.0}
    rates = Rates(*given)
    for accuracy, expected in zip([0.5, 0.4, 0.3, 0.2, 0.1], [8, 4, 2, 0.5, 0.25], strict=True):
        again = Rates(*given)
        again.restore(json.loads(json.dumps(rates.state())))
        rates = again
        solver.optim_configs = {"w": {"learning_rate": 8.0 if solver.epoch == 0 else 77.0}}
        rates.before_step(solver)
        assert solver.optim_configs["w"]["learning_rate"] == expected
        solver.val_acc_history.append(accuracy)
        solver.epoch += 1
        rates.end_epoch(solver)


def test_state_of_a_schedule_of_ones_own():
    class Mine:
        def __call__(self, step, solver):
            return 1

    rates = Rates(Mine(), 100, optim.sgd, {})
    assert (rates.config(), rates.state()) == (None, {"base": None, "schedule": None})
    rates.restore(rates.state())
    rates.end_epoch(None)


def test_the_fused_step_serves_it(dtype):
    """Bit for bit as steps by layers; only the first step, without state yet, is left to them."""
    X = np.random.RandomState(0).randn(40, 6)
    data = {"X_train": X, "y_train": np.arange(40) % 3, "X_val": X, "y_val": np.arange(40) % 3}

    def trained(step):
        np.random.seed(0)
        model = FullyConnectedNet([5], 6, 3, dtype=dtype)
        model.__fastfc_train_step__ = functools.partial(step, model.train_step)
        options = {"update_rule": "adamw", "lr_schedule": "cosine", "batch_size": 10}
        solver = Solver(model, data, verbose=False, **options)
        solver.train()
        return solver

    served = []

    def noting(offered, *args, **options):
        served.append(offered(*args, **options))
        return served[-1]

    fused, composed = trained(noting), trained(lambda *args, **options: None)
    assert [loss is None for loss in served] == [True] + [False] * 39
    assert fused.loss_history == composed.loss_history
    for name, config in fused.optim_configs.items():
        assert config["learning_rate"] == composed.optim_configs[name]["learning_rate"]
        np.testing.assert_array_equal(config["v"], composed.optim_configs[name]["v"])


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        ("linear", ValueError, "lr_schedule: name is 'linear', expected one of step, exponential"),
        ({}, ValueError, "lr_schedule: name is None, expected one of step"),
        (3, TypeError, "lr_schedule is 3, expected a name, a dict or a function"),
        (
            {"name": "cosine", "warmup": 3},
            ValueError,
            "cosine has no parameter 'warmup', expected some of warmup_steps, total_steps, min",
        ),
        ({"name": "step", "every": 0}, ValueError, "every is 0, expected an integer of at least 1"),
        ({"name": "step", "factor": 0}, ValueError, r"factor is 0, expected a number in \(0, 1\]"),
        ({"name": "step", "warmup_steps": None}, ValueError, "warmup_steps is None, expected"),
        ({"name": "exponential", "factor": 1.5}, ValueError, "factor is 1.5, expected"),
        ({"name": "exponential", "decay_steps": 1.5}, ValueError, "decay_steps is 1.5, expected"),
        (
            {"name": "cosine", "warmup_steps": 9, "total_steps": 8},
            ValueError,
            "total_steps is 8, expected an integer of at least 9",
        ),
        ({"name": "cosine", "min_factor": np.nan}, ValueError, "min_factor is nan, expected"),
        ({"name": "cosine", "min_factor": "0"}, ValueError, "min_factor is '0', expected"),
        ({"name": "plateau", "monitor": "acc"}, ValueError, "monitor is 'acc', expected 'val_acc'"),
        ({"name": "plateau", "patience": 0}, ValueError, "patience is 0, expected"),
        ({"name": "plateau", "min_delta": -1}, ValueError, "min_delta is -1, expected a number of"),
    ],
)
def test_errors(schedule, error, message):
    with pytest.raises(error, match=message):
        solver_of(lr_schedule=schedule)


def test_nobody_knows_the_learning_rate():
    def rule(w, dw, config):
        return w - dw, config

    with pytest.raises(ValueError, match="optim_config has no learning_rate, expected one"):
        solver_of(update_rule=rule, optim_config={}, lr_schedule="step")
    solver_of(update_rule=rule, lr_schedule="step")
    solver_of(update_rule=rule, optim_config={})


@pytest.mark.parametrize("factor", [-1, np.nan, np.inf, None, "1"])
def test_factors_that_are_none(factor):
    solver = solver_of(lr_schedule=lambda step, solver: factor)
    before = np.random.get_state()[2]
    with pytest.raises(ValueError, match=r"lr_schedule gave .* at step 0, expected a number"):
        solver._step()
    assert solver.optim_configs["w"]["learning_rate"] == 8
    assert np.random.get_state()[2] == before
