"""Resident memory over many training steps: it should not grow."""

import os
import time

import numpy as np

import fastfc
from benchmarks import harness, step
from tests.support import cases

STEPS, QUICK_STEPS = 20_000, 40
READINGS = 20


def contestants(run):
    """Return the names of the table's columns."""
    return ["fastfc"]


def rows(run):
    """Yield the only row: the seed's network."""
    network = cases.NETWORKS["seed"]
    solver = step.solver("fastfc", network, np.float32)
    steps = max(1, (run.iterations or (QUICK_STEPS if run.quick else STEPS)) // READINGS)
    seconds, resident = [], []
    for _ in range(READINGS):
        start = time.perf_counter()
        for _ in range(steps):
            solver._step()
        seconds.append((time.perf_counter() - start) / steps)
        solver.loss_history.clear()  # it is meant to grow
        resident.append(_resident())
    row = harness.described(
        run,
        "memory",
        f"{READINGS * steps} steps, seed",
        step.text(network),
        np.float32,
        {"fastfc": harness.summary(seconds)},
        ("GFLOP/s", step.flops(network)),
        fastfc.get_num_threads(),
    )
    growth = (resident[-1] - resident[0]) / 1e6
    note = f"resident {resident[0] / 1e6:.1f} MB after {steps} steps, {growth:+.2f} MB at the end"
    readings = [
        harness.Reading("fastfc", "resident memory", value, "B", steps * (i + 1))
        for i, value in enumerate(resident)
    ]
    yield {**row, "readings": readings, "note": note}


def _resident():
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
