"""The seed's final experiment: its network on CIFAR-10 under the Solver, scoring and all.

Float64 images as `get_CIFAR10_data` gives them, random ones of the same shape where $FASTFC_DATA
has none; ten epochs, 4,900 iterations in all. Contestants train by turns of an epoch, and the row
is about an epoch: with its 490 steps come two scorings, after the first and after the last.
"""

import math
import os
import time

import numpy as np

import fastfc
from benchmarks import harness, peers, step
from fastfc.data_utils import get_CIFAR10_data
from tests.support import cases

ITERATIONS, EPOCHS = 4900, 10
QUICK_ITERATIONS, QUICK_EPOCHS = 4, 2


def contestants(run):
    """Return the names of the table's columns."""
    return ["fastfc", *(peers.STEPS["numpy"] if "numpy" in run.peers else ())]


def rows(run):
    """Yield the only row."""
    network = cases.NETWORKS["seed"]
    epochs = QUICK_EPOCHS if run.quick else EPOCHS
    iterations = run.iterations or (QUICK_ITERATIONS if run.quick else ITERATIONS)
    steps = math.ceil(iterations / epochs)
    splits, kind = images(steps * network[0], 10 if run.quick else 1000)
    solvers = {
        name: step.solver(name, network, np.float32, splits, lr_decay=0.9, num_epochs=1)
        for name in contestants(run)
    }
    samples = {name: [] for name in solvers}
    for _ in range(epochs):
        for name, solver in solvers.items():
            if not run.quick:
                harness.pause()
            start = time.perf_counter()
            solver.train()
            samples[name].append(time.perf_counter() - start)
    timings = {name: harness.summary(values) for name, values in samples.items()}
    rate = ("GFLOP/s", steps * step.flops(network))
    row = harness.described(
        run,
        "solver",
        f"epoch of {steps}, {kind}",
        step.text(network),
        np.float32,
        timings,
        rate,
        fastfc.get_num_threads(),
    )
    totals = {name: sum(values) for name, values in samples.items()}
    readings = [
        harness.Reading(name, "total time", total, "s", epochs * steps)
        for name, total in totals.items()
    ]
    note = ", ".join(f"{name} {total:.1f} s" for name, total in totals.items())
    yield {**row, "readings": readings, "note": f"{epochs} epochs: {note}"}


def images(count, scored):
    """Return splits, and whether they are ``CIFAR-10`` or ``random``."""
    if os.environ.get("FASTFC_DATA"):
        return get_CIFAR10_data(num_training=count, num_validation=scored), "CIFAR-10"
    random = cases.generator("images", count)
    splits = {}
    for split, number in (("train", count), ("val", scored)):
        pixels = random.integers(0, 256, (number, 3, 32, 32), np.uint8)
        splits[f"X_{split}"] = pixels.astype(np.float64)
        splits[f"X_{split}"] -= 127.5
        splits[f"y_{split}"] = random.integers(0, 10, number)
    return splits, "random"
