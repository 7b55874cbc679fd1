"""Processes that die while they write checkpoints, and a disk that loses what was not flushed.

As a process, ``python -m tests.support.crashes moments FOLDER KILLS SEED`` lets a run be killed so
often and goes on with it, and ``... calls FOLDER WRITES`` kills one at each system call of two
checkpoints, but of the many writes at so many; both leave a copy of the folder for each kill, and
print a line of JSON for each.
"""

import contextlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

from fastfc import files
from fastfc.training import latest_checkpoint
from tests.support import runs
from tests.support.process import start

ALONE = {"FASTFC_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # whoever forks has one thread
FIRST = 8  # steps that are done before one is killed at each call


def kills(*argv):
    """Run ``python -m tests.support.crashes`` and return what it prints, a dict for each line."""
    with start("tests.support.crashes", *argv, stdout=subprocess.PIPE, **ALONE) as process:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err.decode()
    return [json.loads(line) for line in out.splitlines()]


# --- system calls -----------------------------------------------------------------------------


@contextlib.contextmanager
def watched(before):
    """Call ``before(name, path, *rest)`` before each system call by which `files` writes.

    ``name`` is create, lock, write (with offset and bytes), half (of these have been written),
    fsync, replace (with the new path), open (of a folder) or unlink.
    """

    class Raw(io.FileIO):
        def write(self, content):
            content = bytes(content)
            before("write", self.name, self.tell(), content)
            super().write(content[: len(content) // 2])
            before("half", self.name)
            super().write(content[len(content) // 2 :])
            return len(content)

        def truncate(self, size=None):
            raise NotImplementedError

    def create(path, mode):
        before("create", path)
        return io.BufferedWriter(Raw(path, mode.replace("b", "")))

    def call(name, function):
        def called(first, *rest):
            path = first
            if name in ("lock", "fsync"):
                descriptor = first if isinstance(first, int) else first.fileno()
                path = os.readlink(f"/proc/self/fd/{descriptor}")
            before(name, os.fspath(path), *rest)
            return function(first, *rest)

        return called

    functions = [
        (os, "open", "open"),
        (os, "fsync", "fsync"),
        (os, "replace", "replace"),
        (os, "unlink", "unlink"),
        (files.fcntl, "flock", "lock"),
    ]
    old = [getattr(module, name) for module, name, _ in functions]
    files.open = create
    for module, name, known in functions:
        setattr(module, name, call(known, getattr(module, name)))
    try:
        yield
    finally:
        del files.open
        for (module, name, _), function in zip(functions, old, strict=True):
            setattr(module, name, function)


class Recorder:
    """For `watched`: keeps all calls; kills the process at the call of a number, from 0.

    Attributes
    ----------
    calls : list of tuple
    """

    def __init__(self, moment=None):
        self.calls = []
        self._moment = moment

    def __call__(self, *call):
        if len(self.calls) == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls.append(call)


# --- a disk that loses its power --------------------------------------------------------------


class Disk:
    """A folder as a disk may have it after its power was lost: only what was flushed is sure.

    Files' bytes are sure after the file's fsync, names after that of the folder; of all else any
    part may be there, in any order.

    Parameters
    ----------
    folder : path
        What is there at first, all of it sure.
    calls : list of tuple
        The calls of `watched` up to that moment, paths in a folder of any name.
    """

    def __init__(self, folder, calls):
        self._sure = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
        self._unsure = [[] for _ in self._sure]  # (offset, bytes) of each file
        self.names = {path.name: i for i, path in enumerate(sorted(Path(folder).iterdir()))}
        self._now = dict(self.names)
        self._changes = []  # of names that are not sure: (name, file or None)
        for name, path, *rest in calls:
            getattr(self, f"_{name}", lambda *_: None)(os.path.basename(path), *rest)

    def _create(self, name):
        self._set(name, len(self._sure))
        self._sure.append(b"")
        self._unsure.append([])

    def _write(self, name, offset, content):
        self._unsure[self._now[name]].append((offset, content))

    def _fsync(self, name):
        if name not in self._now:  # the folder
            self.names, self._changes = dict(self._now), []
            return
        number = self._now[name]
        self._sure[number] = self._content(number, len(self._unsure[number]) * [True])
        self._unsure[number] = []

    def _replace(self, name, new):
        number = self._now[name]
        self._set(name, None)
        self._set(os.path.basename(new), number)

    def _unlink(self, name):
        self._set(name, None)

    def _set(self, name, number):
        self._changes.append((name, number))
        self._now = _changed(self._now, [(name, number)])

    def _content(self, number, kept):
        content = bytearray(self._sure[number])
        for (offset, part), keep in zip(self._unsure[number], kept, strict=True):
            content.extend(bytes(max(offset + len(part) - len(content), 0)))
            if keep:
                content[offset : offset + len(part)] = part
        return bytes(content)

    def outcomes(self, chance):
        """Yield what may be there, as dicts of names and bytes: all of the names' possibilities."""
        for kept in itertools.product([False, True], repeat=len(self._changes)):
            names = _changed(self.names, itertools.compress(self._changes, kept))
            yield {
                name: self._content(number, [chance.random() < 0.5 for _ in self._unsure[number]])
                for name, number in names.items()
            }


def _changed(names, changes):
    """Return names after changes of single ones."""
    names = {**names, **dict(changes)}
    return {name: number for name, number in names.items() if number is not None}


# --- processes --------------------------------------------------------------------------------


def begun(name):
    """Return the Solver of a run after step FIRST, which will take two more steps."""
    solver = runs.solver(checkpoint_name=name, checkpoint_every=1, keep_last=1, max_steps=FIRST)
    solver.train()
    solver.max_steps = 2
    return solver


def go_on(**settings):
    """Train the run of this folder to its end, from where it stands."""
    path = latest_checkpoint("run")
    if path is None:
        runs.solver(checkpoint_name="run", checkpoint_every=1, **settings).train()
    else:
        runs.resumed(path, **settings).train()


def fork(work):
    """Return the id of a child that does the work."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            os._exit(1)
        os._exit(0)
    return child


def reap(child):
    """Return whether the child has been killed; it must not have failed."""
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a child has failed")
    return os.WIFSIGNALED(status)


def kill_at_moments(folder, number, seed):
    """Kill a run at random moments; go on with it until it is done, and begin anew."""
    chance = random.Random(seed)
    os.mkdir("whole")
    os.chdir("whole")
    began = time.perf_counter()
    reap(fork(lambda: go_on(keep_last=2)))
    longest = time.perf_counter() - began
    i = 0
    for turn in itertools.count():
        os.mkdir(f"{folder}/run {turn}")
        os.chdir(f"{folder}/run {turn}")
        killed = True
        while killed:
            child = fork(lambda: go_on(keep_last=2))
            for _ in range(60000):
                if os.listdir():
                    break
                time.sleep(1e-3)  # a busy machine: it has not begun
            time.sleep(chance.uniform(0, longest / 2))
            os.kill(child, signal.SIGKILL)
            killed = reap(child)
            if killed:
                copy = f"{folder}/{i}"
                shutil.copytree(".", copy)
                print(json.dumps({"folder": copy}))
                i += 1
                if i == number:
                    return


def kill_at_calls(folder, writes):
    """Kill a run at the system calls of the two checkpoints after step FIRST."""
    os.mkdir("start")
    os.chdir("start")
    solver = begun("run")

    def work(moment, copy):
        os.chdir(copy)
        with watched(recorder := Recorder(moment)):
            solver.train()
        Path("calls").write_text(json.dumps([call[0] for call in recorder.calls]))

    def try_at(moment):
        copy = f"{folder}/{moment}"
        shutil.copytree(f"{folder}/start", copy)
        return copy, reap(fork(lambda: work(moment, copy)))

    calls = json.loads(Path(try_at("never")[0], "calls").read_text())
    moments = {name in ("write", "half"): [] for name in calls}
    for i, name in enumerate(calls):
        moments[name in ("write", "half")].append(i)
    chosen = random.Random(3).sample(moments[True], min(writes, len(moments[True])))
    for i in sorted(moments[False] + chosen):
        copy, killed = try_at(i)
        assert killed
        print(json.dumps({"folder": copy, "call": calls[i]}))


def main(what, folder, *rest):
    warnings.simplefilter("ignore")
    folder = os.path.abspath(folder)
    os.chdir(folder)
    {"moments": kill_at_moments, "calls": kill_at_calls}[what](folder, *map(int, rest))
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
