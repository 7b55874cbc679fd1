"""A run in several parts, stopped or killed, is the run in one, in every bit."""

import random
import signal
import time

import numpy as np
import pytest

from fastfc import optim
from fastfc.solver import Solver
from fastfc.training import read_checkpoint
from tests.support import runs
from tests.support.same import assert_same
from tests.support.stranger import Stranger, indices

KINDS = tuple(runs.NETWORKS)


# --- a run in two parts -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", range(1, runs.STEPS))
def test_resumed_equals_uninterrupted(tmp_path, whole, kind, steps):
    first = runs.solver(kind, checkpoint_name=tmp_path / "run", max_steps=steps)
    first.train()
    second = runs.resumed(first.checkpoint_path, kind, max_steps=None)
    assert len(second.loss_history) == steps
    second.train()
    assert second.stop_reason == "finished"
    assert_same(runs.left(second, tmp_path), whole(kind))


@pytest.mark.parametrize("rule", optim.__all__)
def test_every_rule_and_dtype(tmp_path, whole, rule, dtype):
    settings = {"update_rule": rule, "optim_config": {}}
    first = runs.solver("fused", dtype, checkpoint_name=tmp_path / "a", max_steps=8, **settings)
    first.train()
    second = runs.resumed(first.checkpoint_path, "fused", dtype, max_steps=None)
    second.train()
    assert_same(runs.left(second, tmp_path), whole("fused", dtype, **settings))


@pytest.mark.parametrize(
    "schedule", ["cosine", {"name": "plateau", "patience": 1, "factor": 0.5}, None], ids=str
)
@pytest.mark.parametrize("steps", [2, 6, 13, 18])
def test_schedules_and_clipping(tmp_path, whole, schedule, steps):
    settings = {"update_rule": "adamw", "lr_schedule": schedule, "clip_norm": 0.5}
    first = runs.solver(checkpoint_name=tmp_path / "a", max_steps=steps, **settings)
    first.train()
    second = runs.resumed(first.checkpoint_path, max_steps=None)
    second.train()
    assert_same(runs.left(second, tmp_path), whole(**settings))
    assert second.history["learning_rate"][-1] < 0.01


def test_the_same_solver_goes_on_after_a_stop(tmp_path, whole):
    solver = runs.solver(max_steps=5)
    while solver.stop_reason != "finished":
        solver.train()
        assert solver.model.params is solver.best_params
    assert_same(runs.left(solver, tmp_path), whole())


def test_a_stopped_solver_saves_what_to_go_on_from(tmp_path, whole):
    solver = runs.solver(max_steps=8)
    solver.train()
    solver.save(tmp_path / "a.npz")
    again = runs.resumed(tmp_path / "a.npz", max_steps=None)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


def test_a_second_call_in_two_parts(tmp_path):
    expected = runs.solver(early_stopping={"patience": 3})
    expected.train()
    expected.train()
    first = runs.solver(checkpoint_name=tmp_path / "run", early_stopping={"patience": 3})
    first.train()
    first.save(tmp_path / "between.npz")
    between = runs.resumed(tmp_path / "between.npz", max_steps=8)
    assert between.model.params is between.best_params
    between.train()
    last = runs.resumed(between.checkpoint_path, max_steps=None)
    last.train()
    assert last.stop_reason == expected.stop_reason
    assert_same(runs.left(last, tmp_path), runs.left(expected, tmp_path))


def test_the_last_checkpoint_resumes_to_the_end_and_beyond(tmp_path, whole):
    solver = runs.solver(checkpoint_name=tmp_path / "run")
    solver.train()
    path = tmp_path / f"run_epoch_{runs.EPOCHS}.npz"
    again = runs.resumed(path)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())
    longer = runs.resumed(path, num_epochs=runs.EPOCHS + 2)
    longer.train()
    assert longer.epoch == runs.EPOCHS + 2
    assert_same(runs.left(longer, tmp_path), whole(num_epochs=runs.EPOCHS + 2))


def test_printed_lines_go_on(tmp_path, capsys):
    runs.solver(verbose=True, print_every=2).train()
    expected = capsys.readouterr().out
    first = runs.solver(verbose=True, print_every=2, checkpoint_name=tmp_path / "run", max_steps=9)
    first.train()
    runs.resumed(first.checkpoint_path, max_steps=None).train()
    assert capsys.readouterr().out == expected


def test_resume_leaves_histories_of_their_types(tmp_path):
    model = Stranger([1, 2, 3, 3])
    solver = Solver(model, indices(), num_epochs=4, verbose=False, batch_size=10)
    solver.train()
    solver.save(tmp_path / "a.npz")
    again = Solver.resume(tmp_path / "a.npz", Stranger(), indices())
    assert_same(again.loss_history, solver.loss_history)
    assert_same(again.val_acc_history, solver.val_acc_history)
    assert_same(again.best_val_acc, solver.best_val_acc)
    assert_same(again.optim_configs, solver.optim_configs)


def test_tied_parameters_stay_tied(tmp_path):
    model = Stranger()
    model.params["w"] = model.params["b"] = np.ones(3)
    Solver(model, indices(), verbose=False).save(tmp_path / "a.npz")
    other = Stranger()
    other.params["b"] = np.ones(3)
    Solver.resume(tmp_path / "a.npz", other, indices())
    assert other.params["w"] is other.params["b"]


# --- a run that is killed ---------------------------------------------------------------------


def end_of(tmp_path):
    return runs.content(read_checkpoint(tmp_path / "end.npz"))


@pytest.mark.parametrize("kind", KINDS)
def test_killed_after_any_step(tmp_path, whole, kind):
    at = sorted(random.Random(kind).sample(range(3, runs.STEPS), 6))
    for iteration in at:
        with runs.process(kind, tmp_path, iteration) as killed:
            assert killed.wait(60) == -signal.SIGKILL, killed.stderr.read().decode()
    with runs.process(kind, tmp_path, 0) as last:
        assert last.wait(60) == 0, last.stderr.read().decode()
    assert_same(end_of(tmp_path), whole(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment(tmp_path, whole, kind):
    """Also while a checkpoint is being written: the files that are there are whole."""
    chance = random.Random(f"moments {kind}")
    for _ in range(4):
        before = set(tmp_path.glob("run_*.npz"))
        with runs.process(kind, tmp_path, 0) as killed:
            while killed.poll() is None and set(tmp_path.glob("run_*.npz")) == before:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            killed.kill()
        if (tmp_path / "end.npz").exists():
            break
        for path in tmp_path.glob("run_*.npz"):
            read_checkpoint(path)
    with runs.process(kind, tmp_path, 0) as last:
        assert last.wait(60) == 0, last.stderr.read().decode()
    assert_same(end_of(tmp_path), whole(kind))
