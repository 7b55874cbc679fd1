"""SIGTERM ends a run as Ctrl-C does, and the process as it would have without fastfc."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fastfc
from tests.support import runs
from tests.support.same import assert_same

CODE = """
import os, signal, sys
from tests.support import runs
from fastfc.training import Callback

class Kill(Callback):
    def on_step(self, solver):
        if len(solver.loss_history) == 8:
            {signals}
            print("the step goes on")

    def on_stop(self, solver):
        print(solver.stop_reason, len(solver.loss_history), solver.checkpoint_path is not None)

{before}
runs.solver(checkpoint_name=sys.argv[1] + "/run", callbacks=Kill()).train()
print("train has returned")
"""
INTERRUPT, TERMINATE = (f"os.kill(os.getpid(), signal.{name})" for name in ("SIGINT", "SIGTERM"))


def run(folder, signals=TERMINATE, before=""):
    """Send signals to a process within its eighth step; return its status and its lines."""
    code = CODE.format(signals=signals, before=before)
    folders = Path(fastfc.__file__).parents[1], Path(runs.__file__).parents[2]
    path = os.pathsep.join(map(str, folders))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_it_leaves_a_checkpoint_and_the_signals_status(tmp_path, whole):
    status, lines = run(tmp_path)
    assert (status, lines) == (-signal.SIGTERM, ["the step goes on", "terminated 8 True"])
    again = runs.resumed(tmp_path / "run_step_8.npz")
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


@pytest.mark.parametrize("first", [INTERRUPT, TERMINATE])
def test_a_second_one_is_at_once(tmp_path, first):
    assert run(tmp_path, f"{first}; {TERMINATE}") == (-signal.SIGTERM, [])
    assert not (tmp_path / "run_step_8.npz").exists()


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: None"])
def test_handlers_of_others_stay(tmp_path, handler):
    status, lines = run(tmp_path, before=f"signal.signal(signal.SIGTERM, {handler})")
    assert (status, lines) == (
        0,
        ["the step goes on", f"finished {runs.STEPS} True", "train has returned"],
    )


def test_handlers_of_others_may_exit(tmp_path):
    before = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"
    assert run(tmp_path, before=before) == (3, ["error 8 True"])


def test_another_thread_leaves_it_alone(tmp_path):
    """Only the main thread may set handlers: there the signal ends the process as ever."""
    before = (
        "import threading; train = runs.Solver.train\n"
        "def in_thread(solver):\n"
        "    thread = threading.Thread(target=train, args=(solver,))\n"
        "    thread.start(); thread.join()\n"
        "runs.Solver.train = in_thread"
    )
    assert run(tmp_path, before=before) == (-signal.SIGTERM, [])


def test_an_error_on_the_way_is_printed(tmp_path):
    """The checkpoint's folder is gone: the process ends all the same, and says why."""
    signals = f"import shutil; shutil.rmtree(sys.argv[1]); {TERMINATE}"
    status, lines = run(tmp_path, signals)
    assert status == -signal.SIGTERM
    assert lines[:2] == ["the step goes on", "error 8 True"]
    assert lines[-1].startswith("FileNotFoundError: ")


def test_the_usual_handler_comes_back():
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    runs.solver(max_steps=1).train()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
