"""Where a step's time goes: how samples are counted to parts."""

import subprocess
import sys

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import profile, run_file

CORE = "(fastfc/_core.cpython-311-x86_64-linux-gnu.so)"
STACK = "<module> (benchmarks/profile.py:150);timed_steps (benchmarks/profile.py:70)"


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        ([f"macro_kernel {CORE}", f"micro_kernel.isra.0 {CORE}"], "products"),
        ([f"multiply_rows_task {CORE}", f"pack_b_rows.isra.0 {CORE}"], "packing, fetching"),
        ([f"multiply_rows_task {CORE}", f"update_by {CORE}", f"adam {CORE}"], "updates"),
        ([f"fc_run {CORE}", f"gather_part {CORE}", "0x7f (libc.so.6)"], "gather"),
        ([f"backward_slice_task {CORE}"], "hidden layers"),
        ([f"draw_masks {CORE}", f"mt19937_twist {CORE}"], "masks, draws"),
        ([f"softmax_rows {CORE}"], "loss"),
        ([f"run_worker {CORE}", f"claim_tasks {CORE}"], "threads"),
        ([f"Network_run_step {CORE}"], "Python, rest"),
        (["adam (fastfc/optim.py:20)"], "Python, rest"),  # not the core's
        ([], "Python, rest"),
    ],
)
def test_part_of_a_stack(frames, part):
    assert profile.part(frames) == part


def test_shares_count_the_timed_steps_alone():
    text = "\n".join(
        [
            f"{STACK};_step (fastfc/solver.py:280);micro_kernel {CORE} 6",
            f"{STACK};_step (fastfc/solver.py:280);adam {CORE} 1",
            f"{STACK};_step (fastfc/solver.py:280) 3",
            f"<module> (benchmarks/profile.py:9);_child (benchmarks/profile.py:80);adam {CORE} 90",
        ]
    )
    shares = profile.shares(text)
    assert list(shares) == [*profile.PARTS, profile.PYTHON]
    found = {title: share for title, share in shares.items() if share}
    assert found == {"products": 0.6, "updates": 0.1, "Python, rest": 0.3}
    assert profile.shares("") == {}


def test_a_network_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit) as stop:
        benchmarks.main(["profile", "tiny"])
    assert stop.value.code == 2
    assert "no network 'tiny', expected one of digits, mnist" in capsys.readouterr().err


def test_the_process_that_is_looked_at_trains():
    command = [sys.executable, "-m", "benchmarks.profile", "digits", "float32", "1", "0.05"]
    root = run_file.RESULTS.parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout.removeprefix("seconds of a step: ")) < 1
