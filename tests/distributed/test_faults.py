"""Whatever befalls one rank, the job ends: with a message, a status that says so, and soon.

What is found without waiting has a timeout that no test reaches.
"""

import re
import signal
import time

import numpy as np
import pytest

from fastfc.solver import Solver
from fastfc.training import latest_checkpoint
from tests.distributed import faults, launch

# Every fault, and what is said of it, once; where it is no sentence of ours, the launcher's.
WITHIN_A_RUN = {
    "raise": r"rank 1 of 2: LookupError: rank one has lost its way\n",
    "exit": r"rank 1 of 2: SystemExit: 3\n",
    "kill": r"signal 9\b",
    "interrupt": r"KeyboardInterrupt: stopped after iteration 2\n",
    "terminate": r"signal 15\b",
}
BEFORE_A_RUN = {
    "argument": r"rank 1 of 2: ValueError: batch_size is -1, expected",
    "nan": r"NonFiniteLossError: the loss is nan at iteration 1 .* finite: X\n",
}
# Of these nobody learns but by waiting.
SILENT = {
    "stop": "batch normalisation's statistics",
    "leave": "what they train",
}


def run(fault, folder, timeout=100):
    """Return what a job with a fault has written; it has ended, and not well."""
    status, out, err = launch.run(
        2, "tests.distributed.faults", fault, timeout, folder, folder=folder, timeout=60
    )
    assert "the end" not in out
    assert status != 0, out + err
    return out + err


def check_resumed(folder):
    """The newest checkpoint goes on as if nothing had happened."""
    path = latest_checkpoint(folder / "run")
    resumed = Solver.resume(path, faults.make_model(), faults.make_data(), checkpoint_name=None)
    assert len(resumed.loss_history) in (1, 2)
    resumed.train()
    alone = faults.begin()
    alone.train()
    np.testing.assert_allclose(resumed.loss_history, alone.loss_history, rtol=1e-9)
    for name, w in alone.model.params.items():
        np.testing.assert_allclose(resumed.model.params[name], w, rtol=1e-7, atol=1e-9)


def check_goes_on(folder):
    """The newest checkpoint, of any step, can be used."""
    path = latest_checkpoint(folder / "run")
    resumed = Solver.resume(path, faults.make_model(), faults.make_data(), checkpoint_name=None)
    steps = len(resumed.loss_history)
    resumed.max_steps = 3
    resumed.train()
    assert len(resumed.loss_history) == steps + 3
    assert np.isfinite(resumed.loss_history).all()


@pytest.mark.parametrize("fault", WITHIN_A_RUN)
def test_the_newest_checkpoint_goes_on(fault, tmp_path):
    text = run(fault, tmp_path)
    assert len(re.findall(WITHIN_A_RUN[fault], text)) == 1, text
    check_resumed(tmp_path)


def test_an_end_without_a_word(tmp_path):
    """os._exit(0): MPICH's launcher may say nothing of it, neither by words nor by its status."""
    status, out, err = launch.run(
        2, "tests.distributed.faults", "end", 100, tmp_path, folder=tmp_path, timeout=60
    )
    assert "the end" not in out
    if launch.is_open_mpi():
        assert status != 0, out + err
        assert 'exited without calling "finalize"' in err
    check_resumed(tmp_path)


@pytest.mark.parametrize("fault", BEFORE_A_RUN)
def test_a_run_that_cannot_begin(fault, tmp_path):
    text = run(fault, tmp_path)
    assert len(re.findall(BEFORE_A_RUN[fault], text)) == 1, text


@pytest.mark.parametrize("fault", SILENT)
def test_a_rank_does_not_wait_for_ever(fault, tmp_path):
    text = run(fault, tmp_path, timeout=1.5)
    expected = rf"rank 0 of 2: waited 1.5 s for .*comm_timeout, to exchange ({SILENT[fault]})"
    assert len(re.findall(expected, text)) == 1, text
    if fault == "stop":
        check_resumed(tmp_path)


def test_what_differs_is_named_and_found_before_a_step(tmp_path):
    status, out, err = launch.run(
        2, "tests.distributed.faults", "differ", 100, tmp_path, folder=tmp_path
    )
    assert (status, err) == (0, ""), out + err
    expected = (
        r"the batch_size 5, expected 10",
        r"the data: y_train has the CRC-32 \d+, expected \d+",
        r"the shapes of parameters {'W1': \(6, 6\).*}, expected {'W1': \(6, 5\).*}",
        r"the fastfc version 0\.0\.1, expected \S+",
    )
    lines = out.splitlines()
    for line, words in zip(lines, expected, strict=True):
        assert re.fullmatch(rf"comm: rank 1 has {words}, as rank 0 has", line), line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_signal_to_the_launcher_leaves_a_checkpoint(number, tmp_path):
    arguments = "tests.distributed.faults", "signal", 100, tmp_path
    with launch.start(2, *arguments, folder=tmp_path) as process:
        while not latest_checkpoint(tmp_path / "run") and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode != 0, out + err
    check_goes_on(tmp_path)
