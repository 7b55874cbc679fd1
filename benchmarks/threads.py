"""What a second thread gains, and what another process that spins on one core costs."""

import contextlib
import functools
import os
import signal
import subprocess
import sys

import numpy as np

from benchmarks import harness, step
from tests.support import cases

NETWORKS = ("seed", "large")
BUSY = "2, core busy"
SPIN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def contestants(run):
    """Return the names of the table's columns: how the same step runs, two threads first."""
    return ["2 threads", "1 thread", BUSY]


def rows(run):
    """Yield a row for each network; ratios are to two threads on a quiet machine."""
    with busy_process() as (_, busy):
        for name in NETWORKS:
            network = cases.NETWORKS[name]
            call = step.solver("fastfc", network, np.float32)._step
            calls = {
                "2 threads": harness.Contestant(call, functools.partial(harness.threads, 2)),
                "1 thread": harness.Contestant(call, functools.partial(harness.threads, 1)),
                BUSY: harness.Contestant(call, busy),
            }
            rate = ("GFLOP/s", step.flops(network))
            row = harness.described(
                run,
                "threads",
                name,
                step.text(network),
                np.float32,
                harness.measure(calls, run.quick),
                rate,
                2,
            )
            t = row["seconds"]
            slowdown = t[BUSY]["median"] / t["1 thread"]["median"]
            yield {**row, "note": f"busy: {slowdown:.2f} times the quiet one thread"}


@contextlib.contextmanager
def busy_process():
    """Start a process that spins on one core, stopped; give it and a context in which it runs."""
    core = max(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", SPIN, str(core)])

    @contextlib.contextmanager
    def busy():
        process.send_signal(signal.SIGCONT)
        try:
            with harness.threads(2):
                yield
        finally:
            process.send_signal(signal.SIGSTOP)

    try:
        process.send_signal(signal.SIGSTOP)
        yield process, busy
    finally:
        process.kill()
        process.wait()
