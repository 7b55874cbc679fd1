"""Measuring contestants fairly, and what is written down about it.

The contestants of a row run in one process and take turns, so that another process, a change of
clock rate or a cold cache meets them all alike. A sample is the mean of as many calls as fill
`SAMPLE` seconds; a row is the median of its samples. No row is dropped, whoever wins it.
"""

import json
import os
import platform
import statistics
import time

import numpy as np

import fastfc

SAMPLE = 2e-3  # seconds: a thousand times what perf_counter and the loop around a call cost
ROUNDS, QUICK_ROUNDS = 15, 2


def measure(contestants, quick=False):
    """Time callables in turns.

    Parameters
    ----------
    contestants : dict of str to callable
        What to call without arguments.
    quick : bool
        Whether only to show that everything runs: few samples of single calls.

    Returns
    -------
    dict of str to dict
        For each: ``median`` and ``min``, seconds a call; ``spread``, the distance between the
        quartiles as a part of the median; ``samples``.
    """
    calls = {name: 1 if quick else _calls(call) for name, call in contestants.items()}
    samples = {name: [] for name in contestants}
    names = list(contestants)
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        for name in names:
            samples[name].append(_time(contestants[name], calls[name]))
        names.reverse()  # nobody always runs in the other's wake
    return {name: _summary(values) for name, values in samples.items()}


def _time(call, count):
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def _calls(call):
    """Warm up; return how many calls fill a sample."""
    _time(call, 2)
    count = 1
    while (seconds := _time(call, count) * count) < SAMPLE / 4:
        count *= 2
    return max(1, round(count * SAMPLE / seconds))


def _summary(values):
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": median,
        "min": min(values),
        "spread": (high - low) / median,
        "samples": len(values),
    }


def row(suite, name, shape, dtype, contestants, rate, quick=False):
    """Measure one row of a table.

    Parameters
    ----------
    suite, name, shape, dtype : str
        What the row is about.
    contestants : dict of str to callable
        The first one is ours; ratios are of the others' median to its.
    rate : tuple of str and float
        A unit (``GFLOP/s`` or ``GB/s``) and the operations or bytes of one call.
    quick : bool
        See `measure`.
    """
    timings = measure(contestants, quick)
    ours, *others = timings
    unit, amount = rate
    return {
        "suite": suite,
        "name": name,
        "shape": shape,
        "dtype": dtype,
        "seconds": timings,
        "ratio": {other: timings[other]["median"] / timings[ours]["median"] for other in others},
        "rate": {unit: {name: amount / 1e9 / t["median"] for name, t in timings.items()}},
    }


def machine():
    """Describe what the figures were measured on: CPU, instruction set, threads, versions."""
    config = fastfc.show_config(mode="dicts")
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    threads = {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")}
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "instruction set": config["isa"]["in use"],
        "threads": {"fastfc": config["threads"], "environment": threads},
        "versions": {
            "fastfc": config["version"],
            "compiler": config["compiler"],
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas": f"{blas.get('name')} {blas.get('version')}",
        },
    }


def _cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def print_machine(about):
    """Print the head of the tables."""
    threads = about["threads"]
    print(f"{about['cpu']}, {about['cores']} cores; {about['instruction set']}")
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    print(f"threads: fastfc {threads['fastfc']}, environment {threads['environment'] or 'unset'}")


def print_head(title, names):
    """Print the head of one table. Times are microseconds a call, then spread and minimum."""
    columns = "".join(f"{name + ' us':>14}{'spread':>8}{'min':>11}" for name in names)
    ratios = "".join(f"{'x ' + name:>13}" for name in names[1:])
    print(f"\n{title:<27}{'shape':<26}{'dtype':<9}{columns}{ratios}{'rate':>15}", flush=True)


def print_row(measured):
    """Print one row, as soon as it is measured."""
    timings = measured["seconds"]
    columns = "".join(
        f"{t['median'] * 1e6:>14.2f}{t['spread']:>8.0%}{t['min'] * 1e6:>11.2f}"
        for t in timings.values()
    )
    ratios = "".join(f"{ratio:>13.2f}" for ratio in measured["ratio"].values())
    ((unit, rates),) = measured["rate"].items()
    rate = f"{next(iter(rates.values())):.1f} {unit}"
    about = f"{measured['name']:<27}{measured['shape']:<26}{measured['dtype']:<9}"
    print(f"{about}{columns}{ratios}{rate:>15}", flush=True)


def write(path, about, rows):
    """Write all of it as JSON."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": about, "rows": rows}, file, indent=1)
        file.write("\n")
