"""Files are written whole or not at all: by many at once, killed, interrupted, in odd folders."""

import errno
import os
import signal
import stat
import sys
import threading

import numpy as np
import pytest

from fastfc import files
from fastfc.fc_net import FullyConnectedNet
from fastfc.training import History, latest_checkpoint, read_checkpoint
from tests.support import runs
from tests.support.process import in_new_process, needs_other_users


def names(folder):
    return sorted(os.listdir(folder))


# --- many at once -----------------------------------------------------------------------------


def test_two_processes_of_one_name(tmp_path):
    """Both finish, and every file that anybody sees is whole."""
    seen = 0
    argv = "write", tmp_path / "run", 15, 1, 0
    with runs.process(*argv) as one, runs.process(*argv) as other:
        while one.poll() is None or other.poll() is None:
            for path in tmp_path.glob("run_*.npz"):
                read_checkpoint(path)
                seen += 1
        for process in (one, other):
            assert process.returncode == 0, process.stderr.read().decode()
    assert seen > 20
    expected = {f"run_epoch_{k}.npz" for k in range(1, 16)}
    expected |= {f"run_step_{n}.npz" for n in range(1, 90) if n % runs.STEPS_PER_EPOCH}
    assert set(names(tmp_path)) == expected
    for name in expected:
        read_checkpoint(tmp_path / name)


def test_threads_of_one_path(tmp_path):
    solver, network = runs.solver(), FullyConnectedNet([5], input_dim=3, num_classes=2)
    history = History(loss=np.arange(3.0))
    writers = {
        "run.npz": solver.save,
        "net.npz": network.save,
        "a.csv": history.to_csv,
        "a.json": history.to_json,
    }
    errors = []

    def write_often(name, write):
        try:
            for _ in range(20):
                write(tmp_path / name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write_often, args=item) for item in 3 * [*writers.items()]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert names(tmp_path) == sorted(writers)
    read_checkpoint(tmp_path / "run.npz")
    FullyConnectedNet.load(tmp_path / "net.npz")


# --- killed -----------------------------------------------------------------------------------

KILLED_WHILE_WRITING = """
import os, signal, sys
from fastfc import files
def die(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
files.atomic_write(sys.argv[1], die)
"""


def leave_half(path):
    code = KILLED_WHILE_WRITING.replace("sys.argv[1]", repr(str(path)))
    assert in_new_process(code)[0] == -signal.SIGKILL


def test_the_next_writer_sweeps_what_the_killed_have_left(tmp_path):
    leave_half(tmp_path / "net.npz")
    before = names(tmp_path)
    leave_half(tmp_path / "net.npz")
    assert len(names(tmp_path)) == 1
    assert names(tmp_path) != before
    leave_half(tmp_path / "other.npz")
    (tmp_path / "net.npz.mine.tmp").write_text("somebody's")
    assert len(names(tmp_path)) == 3
    FullyConnectedNet([5]).save(tmp_path / "net.npz")
    after = names(tmp_path)
    assert len(after) == 3
    assert {"net.npz", "net.npz.mine.tmp"} < set(after)
    assert sum(name.startswith("other.npz.") for name in after) == 1


def test_a_run_sweeps_those_of_all_its_names(tmp_path):
    leave_half(tmp_path / "run_step_137.npz")
    leave_half(tmp_path / "other_step_137.npz")
    runs.solver(checkpoint_name=tmp_path / "run", max_steps=1).train()
    assert len(names(tmp_path)) == 2
    assert names(tmp_path)[1] == "run_step_1.npz"


def test_what_somebody_still_writes_is_not_swept(tmp_path):
    def slow(file):
        file.write(b"slow")
        files.atomic_write(tmp_path / "a", lambda file: file.write(b"fast"))
        assert (tmp_path / "a").read_bytes() == b"fast"

    files.atomic_write(tmp_path / "a", slow)
    assert (tmp_path / "a").read_bytes() == b"slow"
    assert names(tmp_path) == ["a"]


def test_swept_between_its_making_and_its_lock(tmp_path, monkeypatch):
    flock, taken = files.fcntl.flock, []

    def late(file, operation):
        if not taken:
            taken.append(file.name)
            os.unlink(file.name)
        flock(file, operation)

    monkeypatch.setattr(files.fcntl, "flock", late)
    files.atomic_write(tmp_path / "a", lambda file: file.write(b"whole"))
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert len(taken) == 1


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def unsupported(file, operation):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    leave_half(tmp_path / "a")
    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    files.atomic_write(tmp_path / "a", lambda file: file.write(b"whole"))
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert len(names(tmp_path)) == 2  # who knows whether somebody writes it


def test_systems_without_such_locks(tmp_path, monkeypatch):
    """As Windows, where a file cannot be renamed while it is open, nor deleted by others."""
    replace = os.replace

    def closed_first(source, target):
        assert not any(
            os.path.realpath(f"/proc/self/fd/{fd}") == os.path.realpath(source)
            for fd in os.listdir("/proc/self/fd")
        )
        replace(source, target)

    leave_half(tmp_path / "a")
    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(os, "replace", closed_first)
    files.atomic_write(tmp_path / "a", lambda file: file.write(b"whole"))
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert len(names(tmp_path)) == 2


@pytest.mark.filterwarnings("ignore:Exception ignored in.*FileIO")  # an open file is collected
@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interrupted_at_any_line(tmp_path, exception):
    """As Ctrl-C may come: between any two lines."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    lines = 0

    def interrupt(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != files.__file__:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise exception
        return interrupt

    while True:
        left = lines = lines + 1
        tracer = sys.gettrace()
        sys.settrace(interrupt)
        try:
            files.atomic_write(path, lambda file: file.write(b"new"))
        except exception:
            assert names(tmp_path) == ["a"], lines  # while its traceback is alive
        finally:
            sys.settrace(tracer)
        assert names(tmp_path) == ["a"], lines
        assert path.read_bytes() in (b"old", b"new")
        if left > 0:
            break
    assert lines > 20


# --- odd folders and names --------------------------------------------------------------------

UNLISTABLE = """
import os, tempfile, warnings
import numpy as np
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training import latest_checkpoint
warnings.simplefilter("error")
X, y = np.eye(4).repeat(5, axis=0), np.arange(4).repeat(5)
data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
def network():
    return FullyConnectedNet([3], input_dim=4, num_classes=4)
def all_of_it(folder):
    network().save(folder + "/net.npz")
    FullyConnectedNet.load(folder + "/net.npz")
    settings = {"num_epochs": 2, "checkpoint_name": folder + "/run", "keep_last": 1}
    solver = Solver(network(), data, batch_size=20, verbose=False, **settings)
    solver.train()
    solver.save(folder + "/mine.npz")
    solver.history.to_csv(folder + "/run.csv")
    path = folder + "/run_epoch_2.npz"
    assert not os.path.exists(folder + "/run_epoch_1.npz")
    again = Solver.resume(path, network(), data, num_epochs=3, keep_last=1)
    again.train()
    assert os.path.exists(folder + "/run_epoch_3.npz")
with tempfile.TemporaryDirectory() as folder:
    all_of_it(folder)  # whatever is imported late is here now
folder = tempfile.mkdtemp()
os.chmod(folder, 0o300)
if os.geteuid() == 0:  # whom no permission stops
    os.chown(folder, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
try:
    os.listdir(folder)
except PermissionError:
    pass
else:
    raise SystemExit("it can be listed: nothing is tested")
all_of_it(folder)
try:
    latest_checkpoint(folder + "/run")
except PermissionError:
    print("fine")
os.chmod(folder, 0o700)
for name in os.listdir(folder):
    os.unlink(folder + "/" + name)
os.rmdir(folder)
"""


def test_a_folder_that_may_be_written_but_not_listed():
    needs_other_users()
    assert in_new_process(UNLISTABLE) == (0, "fine\n")


def test_a_folder_that_cannot_be_opened(tmp_path, monkeypatch):
    """As under Windows: it cannot be flushed, and the file is there all the same."""
    folders = os.open

    def refused(path, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return folders(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refused)
    FullyConnectedNet([5]).save(tmp_path / "net.npz")
    runs.solver(checkpoint_name=tmp_path / "run", max_steps=1).train()
    assert names(tmp_path) == ["net.npz", "run_step_1.npz"]


def test_links_are_followed_by_their_targets_alone(tmp_path):
    """Nothing beside the file is written through: no name is known before."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "victim").write_text("precious")
    for name in ("run.tmp", "run_step_1.npz.tmp"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    (tmp_path / "run_step_1.npz").symlink_to(tmp_path / "elsewhere" / "real.npz")
    solver = runs.solver(checkpoint_name=tmp_path / "run", max_steps=1)
    solver.train()
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "run_step_1.npz").is_symlink()
    assert names(tmp_path / "elsewhere") == ["real.npz"]
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run_step_1.npz"


def test_a_link_into_another_file_system(tmp_path):
    other = "/dev/shm"
    if not os.path.isdir(other) or os.stat(other).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is one file system only")
    target = f"{other}/fastfc-{os.getpid()}.npz"
    (tmp_path / "run_step_1.npz").symlink_to(target)
    try:
        runs.solver(checkpoint_name=tmp_path / "run", max_steps=1).train()
        read_checkpoint(target)
    finally:
        os.unlink(target)


@pytest.mark.parametrize("length", [200, 240, 251])
def test_long_names(tmp_path, length):
    name = "n" * (length - 4) + ".npz"
    FullyConnectedNet([5]).save(tmp_path / name)
    assert names(tmp_path) == [name]


def test_names_of_other_kinds(tmp_path):
    network = FullyConnectedNet([5])
    network.save(os.fsencode(tmp_path / "bytes.npz"))
    FullyConnectedNet.load(os.fsencode(tmp_path / "bytes.npz"))
    with pytest.raises(TypeError, match="NoneType"):
        network.save(None)
    assert names(tmp_path) == ["bytes.npz"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_errors_name_the_file(tmp_path, monkeypatch, function):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    for write in (runs.solver().save, FullyConnectedNet([5]).save, History(a=np.ones(2)).to_csv):
        with pytest.raises(OSError, match=r"No space left on device: '.*/mine'") as caught:
            write(tmp_path / "mine")
        assert caught.value.errno == errno.ENOSPC
        assert names(tmp_path) == []


def test_permissions_are_the_usual_ones(tmp_path):
    before = os.umask(0o027)
    try:
        runs.solver(checkpoint_name=tmp_path / "run", max_steps=1).train()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run_step_1.npz").stat().st_mode) == 0o640


def test_a_folder_that_has_vanished(tmp_path):
    (tmp_path / "a").mkdir()
    solver = runs.solver(checkpoint_name=tmp_path / "a" / "run", max_steps=3)
    (tmp_path / "a").rmdir()
    with pytest.raises(FileNotFoundError, match=r"run_step_3\.npz"):
        solver.train()
    assert solver.stop_reason == "error"
