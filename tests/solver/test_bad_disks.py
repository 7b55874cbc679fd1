"""Disks that are full, folders that may not be written to, vanish or turn into something else.

What cannot be written is an error that names the file; the run keeps its model, the checkpoints so
far are as they were, nothing else is left, and `train` goes on when the disk is well again.
"""

import contextlib
import errno
import os
import random
import resource
import shutil
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from fastfc.fc_net import FullyConnectedNet
from fastfc.training import History, latest_checkpoint, read_checkpoint
from tests.support import runs
from tests.support.effort import effort, report
from tests.support.mounts import mounted, remount
from tests.support.process import in_new_process, needs_other_users
from tests.support.same import assert_same


def names(folder):
    return sorted(os.listdir(folder))


class At:
    """A callback that does something once, after so many steps."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def on_step(self, solver):
        if len(solver.loss_history) == self.step:
            self.act()


@pytest.fixture
def fails_then_goes_on(tmp_path, whole):
    """Return a function that trains on a bad disk, looks at all that must hold, and goes on."""

    def check(solver, folder, number, mend):
        with pytest.raises(OSError, match=r"run_step_\d+\.npz|run_epoch_\d\.npz") as caught:
            solver.train()
        steps = len(solver.loss_history)
        assert caught.value.errno == number
        assert solver.stop_reason == "error"
        part = f"step_{steps}" if steps % runs.STEPS_PER_EPOCH else f"epoch_{solver.epoch}"
        assert caught.value.filename == str(folder / f"run_{part}.npz")
        stopped = runs.solver(max_steps=steps)
        stopped.train()
        state, expected = runs.left(solver, tmp_path), runs.left(stopped, tmp_path)
        assert_same(state, expected)
        assert_same(dict(solver.model.params), state["params"])  # not the best: the run stands here
        left = names(folder) if folder.is_dir() else []
        for name in left:
            read_checkpoint(folder / name)
        mend()
        solver.train()
        assert_same(runs.left(solver, tmp_path), whole())
        assert set(left) <= set(names(folder))
        assert latest_checkpoint(folder / "run") == folder / f"run_epoch_{runs.EPOCHS}.npz"
        return len(left)

    return check


# --- full -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "more"), [("size=200k", "size=9m"), ("nr_inodes=9",) * 2])
def test_a_full_disk(tmp_path, fails_then_goes_on, options, more):
    """Of blocks, or of names."""
    folder = tmp_path / "disk"
    with mounted(folder, options):
        solver = runs.solver(checkpoint_name=folder / "run", checkpoint_every=1)
        more = more if more != options else "nr_inodes=900"
        count = fails_then_goes_on(solver, folder, errno.ENOSPC, lambda: remount(folder, more))
    assert count > 3


def test_a_disk_with_room_for_any_number_of_bytes(tmp_path, whole):
    """The file ends at any byte, by a limit of the process."""
    size = len(_checkpoint(tmp_path))
    rooms = sorted(random.Random(2).sample(range(size), effort(quick=25, long=size)))
    solver = runs.solver(checkpoint_name=tmp_path / "run", checkpoint_every=1, max_steps=8)
    solver.train()
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    solver.max_steps = 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in rooms:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            with pytest.raises(OSError, match=r"File too large: '.*run_step_8\.npz'"):
                solver._save_checkpoint()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert names(tmp_path) == list(before)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    report("a disk that is full within a checkpoint", bytes=len(rooms))
    solver.max_steps = None
    solver.train()
    assert_same(runs.left(solver, tmp_path), whole())


def _checkpoint(folder):
    solver = runs.solver(max_steps=8)
    solver.train()
    solver.save(folder / "mine.npz")
    content = (folder / "mine.npz").read_bytes()
    (folder / "mine.npz").unlink()
    return content


def device(folder, name, minor):
    """Return a device of Linux, for root one of this test's own: whoever may could replace it."""
    if os.geteuid() != 0:
        return Path("/dev", name)
    try:
        os.mknod(folder / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        with open(folder / name, "rb"):
            return folder / name
    except OSError as error:
        pytest.skip(f"no device can be made: {error}")


def test_a_device_that_is_full(tmp_path):
    path = device(tmp_path, "full", 7)
    network, history = FullyConnectedNet([5]), History(a=np.ones(2))
    for write in (network.save, runs.solver().save, history.to_csv, history.to_json):
        with pytest.raises(OSError, match=r"No space left on device: '.*/full'"):
            write(path)
    assert path.is_char_device()


def test_the_null_device_takes_a_network(tmp_path):
    path = device(tmp_path, "null", 3)
    FullyConnectedNet([5]).save(path)
    assert path.is_char_device()


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    History(a=np.arange(2)).to_csv(pipe)
    reader.join()
    assert read == [b"a\n0\n1\n"]
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_the_last_checkpoint_is_made_up_for(tmp_path, whole):
    """Where nothing is left to train, `train` writes what could not be written."""
    folder, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    folder.mkdir()
    fail = At(runs.STEPS, lambda: folder.rename(elsewhere))
    solver = runs.solver(checkpoint_name=folder / "run", callbacks=fail)
    with pytest.raises(FileNotFoundError):
        solver.train()
    elsewhere.rename(folder)
    assert names(folder) == [f"run_epoch_{k}.npz" for k in range(1, runs.EPOCHS)]
    solver.train()
    assert names(folder) == [f"run_epoch_{k}.npz" for k in range(1, runs.EPOCHS + 1)]
    assert solver.stop_reason == "finished"
    again = runs.resumed(latest_checkpoint(folder / "run"))
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


# --- may not be written to --------------------------------------------------------------------


def test_a_disk_that_becomes_read_only(tmp_path, fails_then_goes_on):
    folder = tmp_path / "disk"
    with mounted(folder, "size=9m"):
        fail = At(9, lambda: remount(folder, "ro"))
        settings = {"checkpoint_every": 2, "callbacks": fail}
        solver = runs.solver(checkpoint_name=folder / "run", **settings)
        count = fails_then_goes_on(solver, folder, errno.EROFS, lambda: remount(folder, "rw"))
    assert count == 4


READ_ONLY = """
import os, tempfile
from fastfc.training import latest_checkpoint
from tests.support import runs
with tempfile.TemporaryDirectory() as folder:
    solver = runs.solver(checkpoint_name=folder + "/run", max_steps=runs.STEPS_PER_EPOCH)
    solver.train()
    before = os.getuid(), os.getgid()
    os.chmod(folder, 0o500)
    if before[0] == 0:  # whom no permission stops
        os.chown(folder, 65534, 65534)
        os.setegid(65534)
        os.seteuid(65534)
    for write in (solver.train, lambda: solver.model.save(folder + "/mine.npz")):
        try:
            write()
        except PermissionError as error:
            print(error.filename.removeprefix(folder), os.listdir(folder))
    os.chmod(folder, 0o700)
    solver.train()
    print(sorted(os.listdir(folder)))
    if before[0] == 0:
        os.seteuid(0)
        os.setegid(before[1])
"""


def test_a_folder_that_may_not_be_written_to():
    needs_other_users()
    status, output = in_new_process(READ_ONLY, PYTHONPATH=str(Path(__file__).parents[2]))
    assert status == 0, output
    assert output.splitlines() == [
        "/run_epoch_2.npz ['run_epoch_1.npz']",
        "/mine.npz ['run_epoch_1.npz']",
        "['run_epoch_1.npz', 'run_epoch_3.npz']",
    ]


# --- vanished, or something else by now --------------------------------------------------------


@pytest.mark.parametrize("instead", ["nothing", "a file", "a link to nowhere", "a loop"])
def test_a_folder_that_is_none_any_more(tmp_path, fails_then_goes_on, instead):
    folder, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    folder.mkdir()

    def break_it():
        folder.rename(elsewhere)
        if instead == "a file":
            folder.write_text("precious")
        elif instead == "a link to nowhere":
            folder.symlink_to(tmp_path / "nowhere")
        elif instead == "a loop":
            folder.symlink_to(folder)

    def mend():
        assert not (tmp_path / "nowhere").exists()
        if instead != "nothing":
            folder.unlink()
        elsewhere.rename(folder)

    number = {"a file": errno.ENOTDIR, "a loop": errno.ELOOP}.get(instead, errno.ENOENT)
    settings = {"checkpoint_every": 2, "callbacks": At(9, break_it)}
    solver = runs.solver(checkpoint_name=folder / "run", **settings)
    fails_then_goes_on(solver, folder, number, mend)
    assert len(names(folder)) == runs.STEPS // 2 - 1  # but that of step 10


def test_a_folder_that_is_another_one_by_now(tmp_path, whole):
    """The run goes on in that: it keeps no folder open."""
    folder = tmp_path / "runs"
    folder.mkdir()

    def exchange():
        shutil.rmtree(folder)
        folder.mkdir()

    settings = {"checkpoint_every": 2, "callbacks": At(9, exchange), "keep_last": 2}
    solver = runs.solver(checkpoint_name=folder / "run", **settings)
    solver.train()
    assert names(folder) == ["run_epoch_4.npz", "run_step_22.npz"]
    assert_same(runs.left(solver, tmp_path), whole())


def test_a_working_folder_that_has_vanished(tmp_path):
    code = f"""
import os
from fastfc.fc_net import FullyConnectedNet
network = FullyConnectedNet([5])
os.mkdir({str(tmp_path / "gone")!r})
os.chdir({str(tmp_path / "gone")!r})
os.rmdir({str(tmp_path / "gone")!r})
try:
    network.save("net.npz")
except FileNotFoundError as error:
    print(error.filename)
"""
    assert in_new_process(code) == (0, "net.npz\n")


@pytest.mark.parametrize("function", ["fsync", "open"])
def test_a_folder_that_cannot_be_flushed(tmp_path, monkeypatch, function):
    """By an error of the disk, which names the file; what can only not be opened is no error."""
    real = getattr(os, function)

    def broken(first, *rest):
        path = first if function == "open" else os.readlink(f"/proc/self/fd/{first}")
        if os.path.isdir(path):
            raise OSError(errno.EIO, "Input/output error")
        return real(first, *rest)

    monkeypatch.setattr(os, function, broken)
    refused = pytest.raises(OSError, match=r"Input/output error: '.*/a\.npz'")
    with refused if function == "fsync" else contextlib.nullcontext():
        FullyConnectedNet([5]).save(tmp_path / "a.npz")
    assert names(tmp_path) == ["a.npz"]


# --- a checkpoint that cannot be deleted -------------------------------------------------------


def test_a_checkpoint_that_cannot_be_deleted_stops_no_run(tmp_path, monkeypatch, whole):
    """As under Windows, where somebody reads it.  The next time it is deleted."""
    unlink, refusals = Path.unlink, []

    def refuse_twice(path):
        if len(refusals) < 2:
            refusals.append(path)
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path)

    monkeypatch.setattr(Path, "unlink", refuse_twice)
    solver = runs.solver(checkpoint_name=tmp_path / "run", keep_last=1)
    with pytest.warns(UserWarning, match=r"keep_last cannot delete .*run_epoch_1\.npz") as caught:
        solver.train()
    assert [warning.filename for warning in caught] == [__file__] * 2
    assert names(tmp_path) == ["run_epoch_4.npz"]
    assert_same(runs.left(solver, tmp_path), whole())


def test_a_folder_in_the_place_of_an_old_checkpoint(tmp_path, whole):
    def exchange():
        (tmp_path / "run_epoch_1.npz").unlink()
        (tmp_path / "run_epoch_1.npz").mkdir()

    settings = {"keep_last": 1, "callbacks": At(7, exchange)}
    solver = runs.solver(checkpoint_name=tmp_path / "run", **settings)
    with pytest.warns(UserWarning, match="keep_last cannot delete a checkpoint: .*Is a directory"):
        solver.train()
    assert names(tmp_path) == ["run_epoch_1.npz", "run_epoch_4.npz"]
    assert_same(runs.left(solver, tmp_path), whole())
