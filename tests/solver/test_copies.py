"""Solvers that were copied, and update rules and rates as users give them, keep the fused step."""

import copy
import pickle

import numpy as np
import pytest

from fastfc import optim, reference
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training.rules import built_in
from tests.support import runs
from tests.support.composed import Composed
from tests.support.same import assert_same

COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda solver: pickle.loads(pickle.dumps(solver)),
    "oldest pickle": lambda solver: pickle.loads(pickle.dumps(solver, protocol=0)),
    "copy": copy.copy,
}


def served(monkeypatch):
    """Return a list that grows by whether the core has done the whole step, for each step."""
    steps, original = [], FullyConnectedNet.train_step

    def noting(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        steps.append(loss is not None)
        return loss

    monkeypatch.setattr(FullyConnectedNet, "__fastfc_train_step__", noting)
    return steps


# --- copies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("rule", optim.__all__)
def test_copied_solvers_keep_the_fused_step(monkeypatch, rule, how):
    solver = runs.solver(update_rule=rule, num_epochs=1)
    twin = COPIES[how](COPIES[how](solver))
    steps = served(monkeypatch)
    twin.train()
    has_state = rule != "sgd"  # which the first step makes, by the rule itself
    assert steps == [not has_state] + [True] * (runs.STEPS_PER_EPOCH - 1)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("given", [{}, {"update_rule": "adam"}])
def test_checkpoints_of_copied_solvers_are_resumed(tmp_path, whole, how, given):
    solver = COPIES[how](runs.solver(checkpoint_name=tmp_path / "run"))
    solver.train()
    again = runs.resumed(tmp_path / "run_epoch_2.npz", **given)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_solvers_copied_in_the_middle_go_on_as_the_original(tmp_path, how):
    solver = runs.solver(max_steps=8)
    solver.train()
    twin = COPIES[how](solver)
    state = np.random.get_state()
    solver.train()
    np.random.set_state(state)
    twin.train()
    assert_same(runs.left(twin, tmp_path), runs.left(solver, tmp_path))
    assert twin.model.params["W1"] is not solver.model.params["W1"]


@pytest.mark.parametrize("rule", optim.__all__)
def test_solvers_whose_arrays_are_mapped_read_only(rule):
    """As joblib hands large ones to its workers."""
    results = []
    for mapped in (False, True):
        solver = runs.solver(update_rule=rule)
        solver.train()
        twin = pickle.loads(pickle.dumps(solver))
        if mapped:
            configs, bn_params = twin.optim_configs.values(), twin.model.bn_params
            for arrays in (twin.model.params, twin.best_params, *configs, *bn_params):
                for array in arrays.values():
                    if isinstance(array, np.ndarray):
                        array.setflags(write=False)
        np.random.seed(3)
        twin.train()
        results.append((twin.loss_history, twin.val_acc_history, dict(twin.model.params)))
    assert_same(results[1], results[0])


@pytest.mark.parametrize("rule", optim.__all__)
def test_a_new_solver_of_parameters_that_are_read_only(rule):
    solver = runs.solver(update_rule=rule, num_epochs=1)
    given = solver.model.params["W1"]
    given.setflags(write=False)
    before = given.copy()
    solver.train()
    assert solver.stop_reason == "finished"
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("package", [optim, reference.optim])
def test_rules_are_known_by_what_they_are(package):
    for name in optim.__all__:
        rule = getattr(package, name)
        for twin in (rule, copy.copy(rule), copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
            assert built_in(twin) == (name if package is optim else None)


def test_rules_of_others_are_none_of_ours():
    class Mine(type(optim.adam.__self__)):
        """An update rule of the user's own, made from ours."""

    def adam(w, dw, config=None):
        return w, config

    mine = Mine(None)
    for rule in (adam, mine.adam, Mine.adam, Unhashable(), print, None, "adam"):
        assert built_in(rule) is None


# --- rates ------------------------------------------------------------------------------------

RATES = {
    "float32": lambda rate: np.float32(rate),
    "float64": lambda rate: np.float64(rate),
    "float16": lambda rate: np.float16(rate),
    "0-d": lambda rate: np.array(rate),
    "0-d float32": lambda rate: np.array(rate, np.float32),
    "int64": lambda rate: np.int64(1),
    "int": lambda rate: 1,
    "0-d int": lambda rate: np.array(1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("kind", RATES)
def test_rates_of_any_kind_keep_the_fused_step(monkeypatch, kind, rule, dtype):
    """With the numbers of the composed way, decay included."""
    results = []
    steps = served(monkeypatch)
    for network in (FullyConnectedNet, Composed):
        np.random.seed(2)
        model = network([9, 7], 12, 3, weight_scale=0.1, dtype=dtype)
        config = {"learning_rate": RATES[kind](0.01)}
        if rule.startswith("adam"):
            config["beta1"] = np.float32(0.8)
        solver = Solver(
            model,
            runs.data(),
            update_rule=rule,
            optim_config=config,
            lr_decay=0.9,
            batch_size=21,
            num_epochs=2,
            verbose=False,
        )
        solver.train()
        assert float(config["learning_rate"]) == float(RATES[kind](0.01))  # the caller's own
        rates = {float(config["learning_rate"]) for config in solver.optim_configs.values()}
        assert len(rates) == 1
        results.append((solver.loss_history, dict(model.params), sorted(rates)))
    assert_same(results[0], results[1])
    assert steps.count(False) <= 1
    assert steps.count(True) >= 2 * runs.STEPS_PER_EPOCH - 1


class Unhashable:
    """An update rule that is an object, whose kind defines equality and so no hash."""

    def __eq__(self, other):
        return isinstance(other, Unhashable)

    def __call__(self, w, dw, config=None):
        return w - 0.01 * dw, config
