"""Whatever befalls one rank, the job ends: with a message, a status that says so, and soon."""

import re
import signal
import time

import numpy as np
import pytest

from fastfc.training import latest_checkpoint, read_checkpoint
from tests.distributed import launch

# Every fault, and what is said of it, once; None where the launcher alone can say something.
FAULTS = {
    "raise": r"rank 1 of 2: LookupError: rank one has lost its way\n",
    "exit": r"rank 1 of 2: SystemExit: 3\n",
    "kill": None,
    "argument": r"rank 1 of 2: ValueError: batch_size is -1, expected",
    "setting": r"ValueError: comm: rank 1 has the batch_size 5, expected 10, as rank 0 has\n",
    "data": r"ValueError: comm: rank 1 has the data: y_train has the CRC-32 \d+, expected \d+, as",
    "nan": r"NonFiniteLossError: the loss is nan at iteration 1 .* finite: X\n",
}
# Of these nobody learns but by waiting.
SILENT = {
    "hang": "batch normalisation's statistics",
    "leave": "what they train",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_job(fault, tmp_path):
    status, out, err = launch.run(
        2, "tests.distributed.faults", fault, 100, tmp_path, folder=tmp_path, timeout=60
    )
    assert status != 0, out + err
    assert "the end" not in out
    if FAULTS[fault] is not None:
        assert len(re.findall(FAULTS[fault], err)) == 1, err


@pytest.mark.parametrize("fault", SILENT)
def test_a_rank_does_not_wait_for_ever(fault, tmp_path):
    status, out, err = launch.run(
        2, "tests.distributed.faults", fault, 1.5, tmp_path, folder=tmp_path, timeout=60
    )
    assert status != 0, out + err
    assert "the end" not in out
    expected = rf"rank 0 of 2: waited 1.5 s for .*comm_timeout, to exchange ({SILENT[fault]})"
    assert len(re.findall(expected, err)) == 1, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_signal_leaves_a_checkpoint(number, tmp_path):
    arguments = "tests.distributed.faults", "signal", 100, tmp_path
    with launch.start(2, *arguments, folder=tmp_path) as process:
        while not latest_checkpoint(tmp_path / "run") and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode != 0, out + err
    state = read_checkpoint(latest_checkpoint(tmp_path / "run"))
    assert all(np.isfinite(w).all() for w in state["params"].values())
