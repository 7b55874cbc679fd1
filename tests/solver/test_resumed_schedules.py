"""Schedules of resumed runs: lengths that follow the run, schedules that are given anew."""

import warnings

import numpy as np
import pytest

from fastfc.training import schedules
from tests.support import runs
from tests.support.npz import tampered
from tests.support.same import assert_same

REFITTED = "lr_schedule was made for the length of the run so far and has been rebuilt"
MORE = 2 * runs.EPOCHS
CONSTANT = {"lr_decay": 1.0}


def stopped(folder, steps, **settings):
    """Return the checkpoint of a run that has been stopped after so many steps."""
    first = runs.solver(checkpoint_name=folder / "run", max_steps=steps, **{**CONSTANT, **settings})
    first.train()
    return first.checkpoint_path


def rates(solver):
    return solver.history["learning_rate"].tolist()


def expected(schedule, steps, total):
    factor = schedules.make(schedule, total)
    return [0.01 * factor(step) for step in steps]


@pytest.mark.parametrize(
    "schedule",
    [
        "cosine",
        {"name": "cosine", "warmup_steps": 3, "min_factor": 0.1},
        "step",
        {"name": "exponential", "factor": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("steps", [9, runs.STEPS])
def test_lengths_follow_the_run_and_it_is_said(tmp_path, schedule, steps):
    path = stopped(tmp_path, steps, lr_schedule=schedule)
    with pytest.warns(UserWarning, match=REFITTED) as caught:
        longer = runs.resumed(path, num_epochs=MORE, max_steps=None)
    assert [warning.filename for warning in caught] == [runs.__file__]
    longer.train()
    total = 2 * runs.STEPS
    assert rates(longer)[:steps] == expected(schedule, range(steps), runs.STEPS)
    assert rates(longer)[steps:] == expected(schedule, range(steps, total), total)
    assert min(rates(longer)[steps:]) > 0
    assert longer.lr_schedule == schedules.make(schedule, total).config()


def test_the_longer_run_resumed_again_is_the_longer_run(tmp_path):
    path = stopped(tmp_path, runs.STEPS, lr_schedule="cosine")
    with pytest.warns(UserWarning, match=REFITTED):
        whole = runs.resumed(path, num_epochs=MORE, max_steps=None, checkpoint_name=None)
    whole.train()
    with pytest.warns(UserWarning, match=REFITTED):
        first = runs.resumed(path, num_epochs=MORE, max_steps=5)
    first.train()
    second = runs.resumed(first.checkpoint_path, max_steps=None)
    second.train()
    assert_same(runs.left(second, tmp_path), runs.left(whole, tmp_path))


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "cosine", "total_steps": runs.STEPS},
        {"name": "step", "every": 8},
        {"name": "exponential", "decay_steps": runs.STEPS},
        "plateau",
        None,
    ],
    ids=str,
)
def test_lengths_that_were_given_stay(tmp_path, schedule):
    """Also where they are those of the run, by chance or not."""
    path = stopped(tmp_path, runs.STEPS, lr_schedule=schedule)
    longer = runs.resumed(path, num_epochs=MORE, max_steps=None)
    before = longer.lr_schedule
    longer.train()
    assert longer.lr_schedule == before
    if isinstance(schedule, dict):
        total = 2 * runs.STEPS
        assert rates(longer)[runs.STEPS :] == expected(schedule, range(runs.STEPS, total), total)


def test_other_settings_change_no_length(tmp_path):
    path = stopped(tmp_path, 9, lr_schedule="cosine")
    runs.resumed(path, num_epochs=runs.EPOCHS, max_steps=None, print_every=3).train()


def test_a_second_call_in_two_parts(tmp_path):
    """The second call has made the schedule longer; who resumes it knows."""
    whole = runs.solver(lr_schedule="cosine")
    whole.train()
    with pytest.warns(UserWarning, match=REFITTED):
        whole.train()
    first = runs.solver(checkpoint_name=tmp_path / "run", lr_schedule="cosine")
    first.train()
    first.max_steps = 5
    with pytest.warns(UserWarning, match=REFITTED):
        first.train()
    second = runs.resumed(first.checkpoint_path, max_steps=None)
    second.train()
    assert_same(runs.left(second, tmp_path), runs.left(whole, tmp_path))
    assert rates(second)[runs.STEPS] > 0


# --- another schedule -------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "cosine", "plateau", "function"])
@pytest.mark.parametrize(
    "after", ["exponential", {"name": "cosine", "min_factor": 0.5}, "function"], ids=str
)
def test_another_schedule_takes_over(tmp_path, before, after):
    functions = {"function": lambda step, solver: 0.25 + 0 * step}
    settings = {"lr_schedule": functions.get(before, before)}
    path = stopped(tmp_path, 9, **settings)
    after = functions.get(str(after), after)
    again = runs.resumed(path, lr_schedule=after, max_steps=None)
    again.train()
    total = runs.STEPS
    if callable(after):
        assert rates(again)[9:] == [0.01 * 0.25] * (total - 9)
    else:
        assert rates(again)[9:] == expected(after, range(9, total), total)
        assert again.lr_schedule == schedules.make(after, total).config()


def test_decay_stays_what_it_is(tmp_path):
    """A schedule that is added has factors on the rate of the run, which lr_decay has lowered."""
    path = stopped(tmp_path, 14, lr_decay=0.5)
    again = runs.resumed(path, lr_schedule=lambda *_: 1.0, max_steps=2)
    again.train()
    assert rates(again)[14:] == [0.01 * 0.5**2] * 2


def test_no_schedule_any_more(tmp_path):
    path = stopped(tmp_path, 14, lr_decay=0.5, lr_schedule="cosine")
    again = runs.resumed(path, lr_schedule=None, max_steps=6)
    again.train()
    assert again.lr_schedule is None
    np.testing.assert_allclose(
        rates(again)[14:], [0.01 * 0.25] * 4 + [0.01 * 0.125] * 2, rtol=1e-15
    )


def test_a_plateau_keeps_what_it_has_seen(tmp_path):
    settings = {"lr_schedule": {"name": "plateau", "patience": 1, "min_delta": 1.0}}
    path = stopped(tmp_path, 19, **settings)
    again = runs.resumed(path, lr_schedule={"name": "plateau", "factor": 0.5}, max_steps=1)
    state = again._rates.state()["schedule"]
    assert state["reduced"] < 0.02
    assert again.lr_schedule["factor"] == 0.5


class Counting:
    """A schedule of somebody's own that has a state."""

    def __init__(self):
        self.count = 0

    def __call__(self, step, solver):
        self.count += 1
        return 1 / self.count

    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"]


def test_a_schedule_of_ones_own_gets_its_state_back(tmp_path):
    path = stopped(tmp_path, 9, lr_schedule=Counting())
    again = runs.resumed(path, lr_schedule=Counting(), max_steps=None)
    again.train()
    assert rates(again) == [0.01 * (1 / count) for count in range(1, runs.STEPS + 1)]


@pytest.mark.parametrize("fitted", [["name"], ["warmup_steps", "min_factor"], ["x"]])
def test_what_a_file_says_of_lengths(tmp_path, fitted):
    path = stopped(tmp_path, 9, lr_schedule="cosine")

    def change(state, arrays):
        state["rates"]["fitted"] = fitted

    bad = tampered(path, tmp_path / "bad.npz", change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs.resumed(bad, num_epochs=MORE, max_steps=2, checkpoint_name=None).train()


def test_functions_are_given_again_or_replaced(tmp_path):
    path = stopped(tmp_path, 9, lr_schedule=lambda *_: 0.5)
    with pytest.raises(ValueError, match=r"lr_schedule was <function .* give it again"):
        runs.resumed(path)
    assert runs.resumed(path, lr_schedule=None, max_steps=None).lr_schedule is None
