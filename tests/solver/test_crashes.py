"""Runs that are killed, machines that lose their power, Ctrl-C: what is left loads and goes on."""

import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fastfc import files
from fastfc.fc_net import FullyConnectedNet
from fastfc.training import History, latest_checkpoint, read_checkpoint
from tests.support import crashes, runs
from tests.support.effort import effort, report
from tests.support.same import assert_same


@pytest.fixture
def quick_folder():
    """Return a folder in memory where there is one: to flush it takes no time."""
    parent = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = tempfile.mkdtemp(prefix="fastfc-", dir=parent)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Return the states of an uninterrupted run, by the number of its steps."""
    folder, found = tmp_path_factory.mktemp("states"), {}

    class Noting:
        def on_checkpoint(self, solver):
            state = runs.content(read_checkpoint(solver.checkpoint_path))
            found[state["iteration"]] = state

    settings = {"checkpoint_name": folder / "run", "checkpoint_every": 1, "keep_last": 1}
    runs.solver(callbacks=Noting(), **settings).train()
    assert list(found) == list(range(1, runs.STEPS + 1))
    return found


def names(folder):
    return sorted(os.listdir(folder))


def latest(folder):
    """Return the newest checkpoint, of files that are all whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it skips nothing
        return latest_checkpoint(Path(folder) / "run")


def go_on(path):
    """Return what the run that goes on from a checkpoint leaves behind."""
    again = runs.resumed(path, checkpoint_name=None, max_steps=None)
    again.train()
    with tempfile.TemporaryDirectory() as folder:
        return runs.left(again, Path(folder))


def temporary(folder):
    """Return the files that are being written, or were; the others are checkpoints."""
    found = [name for name in names(folder) if name.endswith(".tmp")]
    others = set(names(folder)) - set(found)
    assert all(name.startswith("run_") and name.endswith(".npz") for name in others)
    return found


# --- killed -----------------------------------------------------------------------------------


def test_killed_at_random_moments(quick_folder, states, whole):
    number = effort(quick=5, long=1000)
    count = Counter()
    for kill in crashes.kills("moments", quick_folder, number, 1):
        count["kills"] += 1
        count["within a write"] += bool(temporary(kill["folder"]))
        path = latest(kill["folder"])
        if path is None:  # before the first was written
            assert names(kill["folder"]) == temporary(kill["folder"])
            count["before the first checkpoint"] += 1
            continue
        state = runs.content(read_checkpoint(path))
        assert_same(state, states[state["iteration"]])
        assert_same(go_on(path), whole())
        count["resumed to the same end"] += 1
    report("kills at random moments", **count)
    assert count["kills"] == number
    assert count["resumed to the same end"] >= effort(quick=1, long=number // 2)


def test_killed_at_each_system_call(quick_folder, states, whole):
    count, seen = Counter(), []
    for kill in crashes.kills("calls", quick_folder, effort(quick=4, long=10**6)):
        count[kill["call"]] += 1
        temporary(kill["folder"])
        path = latest(kill["folder"])
        state = runs.content(read_checkpoint(path))
        assert_same(state, states[state["iteration"]])
        seen.append(state["iteration"])
        if count[kill["call"]] <= effort(quick=1, long=10**6):
            assert_same(go_on(path), whole())
            sweeping = runs.resumed(path, keep_last=1, max_steps=None)
            sweeping.train()
            assert names(kill["folder"]) == [f"run_epoch_{runs.EPOCHS}.npz"]
    report("kills at each system call of two checkpoints", kills=sum(count.values()), **count)
    assert seen == sorted(seen)  # the newest that was complete
    assert set(seen) == {crashes.FIRST + i for i in range(3)}
    calls = {"create", "lock", "write", "half", "fsync", "replace", "open", "unlink"}
    assert set(count) == calls


# --- a loss of power --------------------------------------------------------------------------


def lost_power(calls, folder, states, tries):
    """Return how many of a disk's outcomes were looked at, after each of these calls."""
    chance, looked = random.Random(5), 0
    at = [i for i, call in enumerate(calls) if call[0] not in ("write", "half")]
    at = sorted({*at, *(i + 1 for i in at), *chance.sample(range(len(calls)), tries)})
    for i in at:
        disk = crashes.Disk(folder / "start", calls[:i])
        for _ in range(effort(quick=1, long=5)):
            for outcome in disk.outcomes(chance):
                shutil.rmtree(folder / "after", ignore_errors=True)
                (folder / "after").mkdir()
                for name, content in outcome.items():
                    (folder / "after" / name).write_bytes(content)
                temporary(folder / "after")
                state = runs.content(read_checkpoint(latest(folder / "after")))
                assert_same(state, states[state["iteration"]])
                looked += 1
    return looked


def recorded(folder):
    """Return the calls of two checkpoints, with their bytes, from the folder's ``start`` on."""
    (folder / "now").mkdir()
    solver = crashes.begun(folder / "now" / "run")
    shutil.copytree(folder / "now", folder / "start")
    with crashes.watched(recorder := crashes.Recorder()):
        solver.train()
    return recorder.calls


def test_a_loss_of_power_loses_no_checkpoint(quick_folder, states):
    """Whatever of the unflushed bytes and names has reached the disk, and in whatever order."""
    calls = recorded(quick_folder)
    looked = lost_power(calls, quick_folder, states, effort(quick=5, long=len(calls)))
    report("losses of power", calls=len(calls), outcomes=looked)
    assert looked > 40


@pytest.mark.parametrize("left_out", ["file", "folder"])
def test_without_flushing_it_would(quick_folder, states, left_out):
    """That the test above sees it."""
    calls = recorded(quick_folder)

    def flushes(call):
        return call[0] == "fsync" and call[1].endswith(".tmp") == (left_out == "file")

    calls = [call for call in calls if not flushes(call)]
    with pytest.raises((AssertionError, UserWarning, TypeError)):
        lost_power(calls, quick_folder, states, 0)


# --- Ctrl-C -----------------------------------------------------------------------------------

# An open file is collected, and from Python 3.13 on a member of an archive that was half made.
INTERRUPTED_FILES = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*(FileIO|_ZipWriteFile)"
)


@INTERRUPTED_FILES
def test_interrupted_at_random_moments(quick_folder):
    """Outside ``train``, where Ctrl-C is an exception at once: it leaves no file of its own."""
    network, solver = FullyConnectedNet([5], input_dim=3, num_classes=2), runs.solver()
    history = History(loss=np.arange(3.0))
    writers = {
        "a.npz": network.save,
        "b.npz": solver.save,
        "c.csv": history.to_csv,
        "d.json": history.to_json,
    }
    for name, write in writers.items():
        write(quick_folder / name)
    chance, came = random.Random(7), 0
    usual = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for i in range(number := effort(quick=400, long=20000)):
            name, write = list(writers.items())[i % len(writers)]
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 2e-3))
                    write(quick_folder / name)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                came += 1
                assert names(quick_folder) == list(writers)  # while its traceback is alive
    finally:
        signal.signal(signal.SIGALRM, usual)
    report("interruptions of a save", saves=number, interrupted=came)
    assert came > number // 20
    FullyConnectedNet.load(quick_folder / "a.npz")
    read_checkpoint(quick_folder / "b.npz")


def interrupted_at(instruction, act):
    """Do something, interrupted at an instruction of Python's; return how many there were."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == instruction:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


@INTERRUPTED_FILES
def test_interrupted_at_any_instruction(quick_folder):
    """Nothing is left, and no error takes the interruption's place."""
    network = FullyConnectedNet([2], input_dim=2, num_classes=2)
    path = quick_folder / "a.npz"
    network.save(path)  # whatever is imported late is here now
    total = interrupted_at(None, lambda: network.save(path))
    tries = effort(quick=100, long=total)
    for instruction in random.Random(4).sample(range(1, total + 1), tries):
        with pytest.raises(KeyboardInterrupt):
            interrupted_at(instruction, lambda: network.save(path))
        assert names(quick_folder) == [path.name]
        FullyConnectedNet.load(path)
    report("interruptions at an instruction of a save", instructions=total, tried=tries)


# --- while others write -----------------------------------------------------------------------


def test_resumed_while_another_process_writes(quick_folder, states):
    count = Counter()
    while count["writers"] < effort(quick=1, long=20) or count["resumed"] < 4:
        count["writers"] += 1
        with runs.process("write", quick_folder / "run", runs.EPOCHS, 1, 2) as writer:
            while writer.poll() is None:
                path = latest(quick_folder)
                if path is None:
                    continue
                try:
                    again = runs.resumed(path, checkpoint_name=None)
                except FileNotFoundError:
                    assert not path.exists()  # keep_last has deleted it meanwhile
                    count["deleted meanwhile"] += 1
                    continue
                again.save(quick_folder / "mine.npz")
                state = runs.content(read_checkpoint(quick_folder / "mine.npz"))
                assert_same(state, states[state["iteration"]])
                count["resumed"] += 1
            assert writer.returncode == 0, writer.stderr.read().decode()
    report("resumed while another writes", **count)


def test_two_processes_that_delete(quick_folder):
    """Of one name, with keep_last=1: there is always a checkpoint, and it loads."""
    found, looks, epochs = set(), 0, effort(quick=4, long=30)
    for _ in range(effort(quick=1, long=20)):
        argv = "write", quick_folder / "run", epochs, 1, 1
        with runs.process(*argv) as one, runs.process(*argv) as other:
            while one.poll() is None or other.poll() is None:
                path = latest(quick_folder)
                assert path is not None or not found
                found |= {path} - {None}
                looks += 1
            for process in (one, other):
                assert process.returncode == 0, process.stderr.read().decode()
        read_checkpoint(latest(quick_folder))
        assert names(quick_folder) == [f"run_epoch_{epochs}.npz"]
    report("two runs of one name that delete", looks=looks, checkpoints_found=len(found))
    assert len(found) > 3


@pytest.mark.parametrize("how", ["resumed", "copied"])
def test_a_run_that_goes_on_twice_at_once(tmp_path, how):
    """What one has written stays, though the other has the same identity and keeps no more."""
    first = runs.solver(checkpoint_name=tmp_path / "run", keep_last=1, max_steps=8)
    first.train()
    if how == "resumed":
        one, other = (runs.resumed(latest(tmp_path), keep_last=1, max_steps=4) for _ in range(2))
    else:
        first.max_steps = 4
        one, other = copy.deepcopy(first), copy.deepcopy(first)
    one.train()
    other.train()
    assert names(tmp_path) == ["run_epoch_2.npz"]  # the other's
    one.train()
    assert names(tmp_path) == ["run_epoch_2.npz", "run_step_16.npz"]
    other.train()
    assert names(tmp_path) == ["run_step_16.npz"]  # the other's again
    assert one._run == other._run


def test_a_long_list_of_names_that_is_read_in_parts(tmp_path, monkeypatch):
    """The old file was deleted before its part was read, the new one came behind the reader."""
    runs.solver(checkpoint_name=tmp_path / "run", max_steps=1).train()
    lists = iter([["other"]])
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: next(lists, None) or listdir(path))
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run_step_1.npz"


# --- what else may lie under the name of a file that is being written ---------------------------


def test_links_and_pipes_of_such_names_are_left_alone(tmp_path):
    (tmp_path / "precious").write_text("thesis")
    link, pipe = (tmp_path / f"a.{16 * digit}.tmp" for digit in "01")
    link.symlink_to(tmp_path / "precious")
    os.mkfifo(pipe)
    files.atomic_write(tmp_path / "a", lambda file: file.write(b"whole"))
    assert (tmp_path / "precious").read_text() == "thesis"
    assert names(tmp_path) == ["a", link.name, pipe.name, "precious"]
