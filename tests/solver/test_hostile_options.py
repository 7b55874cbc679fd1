"""Whatever a Solver is given: a run, or an error that names the option or the data."""

import contextlib
import copy
import io
import random
import warnings

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from fastfc.solver import Solver
from fastfc.training.settings import SETTINGS
from tests.support import hostile, runs
from tests.support.effort import effort

DATA = ("X_train", "y_train", "X_val", "y_val")


def names(error, name):
    """Whether an error's words have this name, or of data that of the array that is compared."""
    text = str(error)
    related = {"optim_config": "config", "verbose": "print_every", "keep_last": "checkpoint_name"}
    related |= {"checkpoint_every": "checkpoint_name"}
    split = {"X_train": "y_train", "y_train": "X_train", "X_val": "y_val", "y_val": "X_val"}
    found = [name, related.get(name, name), split.get(name, name)]
    if name in DATA:
        found += ["X has", "y has", "num_train", "num_val", "X_train", "y_train", "y ", " x "]
    return any(one in text for one in found)


def attempt(options, data, name):
    """Build a Solver and let it do two steps."""
    np.random.seed(0)
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        error = hostile.result_or_error(lambda: run(options, data))[1]
    assert error is None or names(error, name) or isinstance(error, MemoryError), (name, error)


def run(options, data):
    settings = {"verbose": False, "batch_size": 7, "max_steps": 2, **options}
    Solver(runs.network(), data, **settings).train()


@pytest.mark.parametrize("name", SETTINGS)
def test_each_option_of_each_kind(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where names of checkpoints lie
    for value in [*hostile.ODD, hostile.Actor(1, None), hostile.word("sgd", None)]:
        attempt({name: copy.deepcopy(value)}, runs.data(), name)


@hypothesis.settings(max_examples=effort(150, 20_000))
@hypothesis.given(st.integers(0, 10**9))
def test_each_array_of_each_kind(seed):
    rng = random.Random(seed)
    data = runs.data()
    name = rng.choice(DATA)
    kinds = rng.choice((hostile.SAME_VALUES, hostile.OTHER_ARRAYS, None))
    if kinds is None:
        data[name] = copy.deepcopy(rng.choice(hostile.ODD))
    else:
        data[name] = kinds[rng.choice(sorted(kinds))](data[name])
    attempt({}, data, name)
