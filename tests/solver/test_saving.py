"""Which checkpoints a run writes, keeps and deletes, and what a failing disk does to them."""

import errno
import os
import re
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from fastfc.training import Callback, latest_checkpoint
from tests.support import runs
from tests.support.same import assert_same


class Failing:
    """Stands for a function of the system that works so many times, then fails."""

    def __init__(self, function, works):
        self.function, self.works = function, works

    def __call__(self, *args):
        self.works -= 1
        if self.works < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.function(*args)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_for_each_epoch(tmp_path):
    seen = []

    class Noting:
        def on_checkpoint(self, solver):
            seen.append((Path(solver.checkpoint_path).name, solver.epoch))

    runs.solver(checkpoint_name=tmp_path / "run", callbacks=Noting()).train()
    assert seen == [(f"run_epoch_{k}.npz", k) for k in range(1, runs.EPOCHS + 1)]
    assert names(tmp_path) == [name for name, _ in seen]


def test_files_within_epochs_and_the_last_ones_kept(tmp_path):
    seen = []

    class Noting:
        def on_checkpoint(self, solver):
            seen.append(names(tmp_path))

    (tmp_path / "run_epoch_1.npz.txt").write_text("somebody else's")
    (tmp_path / "other_epoch_1.npz").write_text("somebody else's")
    (tmp_path / "run_epoch_9.npz").write_text("another run's")
    others = names(tmp_path)
    settings = {"checkpoint_name": tmp_path / "run", "checkpoint_every": 4, "keep_last": 2}
    with pytest.warns(UserWarning, match="checkpoint_name has checkpoints of another run"):
        runs.solver(callbacks=Noting(), max_steps=14, **settings).train()
    own = [[name for name in there if name not in others] for there in seen]
    assert own == [
        ["run_step_4.npz"],
        ["run_epoch_1.npz", "run_step_4.npz"],
        ["run_epoch_1.npz", "run_step_8.npz"],
        ["run_epoch_2.npz", "run_step_8.npz"],  # of step 12: the epoch's name
        ["run_epoch_2.npz", "run_step_14.npz"],
    ]
    assert set(others) < set(names(tmp_path))
    seen.clear()
    settings = {"callbacks": Noting(), "max_steps": None, "keep_last": 2}
    runs.resumed(tmp_path / "run_step_14.npz", **settings).train()
    own = [[name for name in there if name not in others] for there in seen]
    assert own[0] == ["run_step_14.npz", "run_step_16.npz"]  # the first part's are deleted too
    assert own[-1] == ["run_epoch_4.npz", "run_step_20.npz"]


def test_a_file_that_was_not_written_does_not_count_as_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", Failing(os.replace, works=1))
    solver = runs.solver(checkpoint_name=tmp_path / "run", keep_last=2)
    with pytest.raises(OSError, match="No space left"):
        solver.train()
    monkeypatch.undo()
    solver.max_steps = runs.STEPS_PER_EPOCH
    solver.train()
    assert names(tmp_path) == ["run_epoch_1.npz", "run_epoch_3.npz"]


def test_a_file_written_again_is_kept(tmp_path):
    solver = runs.solver(checkpoint_name=tmp_path / "run", keep_last=runs.EPOCHS + 1)
    solver.train()
    solver._reset()
    solver.train()
    assert names(tmp_path) == [f"run_epoch_{k}.npz" for k in range(1, runs.EPOCHS + 1)]


def test_files_by_time(tmp_path, monkeypatch):
    clock = iter(np.arange(0, 10000, 0.25))
    monkeypatch.setattr(time, "perf_counter", clock.__next__)
    looking = Callback()
    looking.on_step = lambda solver: None  # so that each step asks this clock, not that of the core
    settings = {"checkpoint_every": "1s", "callbacks": looking}
    runs.solver(checkpoint_name=tmp_path / "run", **settings).train()
    steps = sum(name.startswith("run_step") for name in names(tmp_path))
    assert 3 < steps < runs.STEPS - runs.EPOCHS


def test_latest_checkpoint(tmp_path):
    assert latest_checkpoint(tmp_path / "run") is None
    runs.solver(checkpoint_name=tmp_path / "run", checkpoint_every=5, max_steps=21).train()
    (tmp_path / "run_epoch_30.npz.txt").write_text("no checkpoint")
    assert latest_checkpoint(str(tmp_path / "run")) == tmp_path / "run_step_21.npz"
    (tmp_path / "run_step_21.npz").unlink()
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run_step_20.npz"


# --- a disk that fails ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_full_disk_leaves_the_old_checkpoints(tmp_path, monkeypatch, name, whole):
    monkeypatch.setattr(os, name, Failing(getattr(os, name), works=2))
    solver = runs.solver(checkpoint_name=tmp_path / "run", keep_last=1)
    with pytest.raises(OSError, match="No space left"):
        solver.train()
    monkeypatch.undo()
    assert solver.stop_reason == "error"
    old = "run_epoch_2.npz" if name == "replace" else "run_epoch_1.npz"
    assert names(tmp_path) == [old]
    left = (tmp_path / old).read_bytes()
    solver.train()  # with room on the disk again
    assert_same(runs.left(solver, tmp_path), whole())
    (tmp_path / old).write_bytes(left)
    again = runs.resumed(tmp_path / old)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


def test_bytes_before_name_before_return(tmp_path, monkeypatch):
    seen = []

    def noting(name):
        function = getattr(os, name)

        def call(first, *rest):
            what = first if name == "replace" else os.readlink(f"/proc/self/fd/{first}")
            seen.append((name, re.sub("[0-9a-f]{16}", "<random>", Path(what).name)))
            return function(first, *rest)

        monkeypatch.setattr(os, name, call)

    noting("fsync")
    noting("replace")
    runs.solver().save(tmp_path / "a.npz")
    temporary = "a.npz.<random>.tmp"
    assert seen == [("fsync", temporary), ("replace", temporary), ("fsync", tmp_path.name)]


@pytest.mark.parametrize("room", [0, 100, 3000, 9000])
def test_full_disk_within_a_file(tmp_path, room):
    solver = runs.solver(checkpoint_name=tmp_path / "run", max_steps=1)
    solver.save(tmp_path / "mine.npz")
    before = (tmp_path / "mine.npz").read_bytes()
    solver.train()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*mine\.npz'"):
            solver.save(tmp_path / "mine.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "mine.npz").read_bytes() == before
    assert names(tmp_path) == ["mine.npz", "run_step_1.npz"]
