"""Where the time of a training step goes, by part: `python -m benchmarks profile [NETWORK ...]`.

py-spy looks at the process some hundred times a second, and whose function it finds the time is
counted to. The core needs its symbols for that: an installed one has none, `make core` leaves them.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

import fastfc
from benchmarks import harness, step
from tests.support import cases

RATE = 250  # samples a second
WARM_UP = 1.0  # seconds
CHUNK = 20  # steps between two looks at the clock

# Part -> the functions that belong to it. Of the call stack, innermost first, the first function
# that belongs to any counts; what is in none of them is Python, the bindings and the rest.
PARTS = {
    "products": r"micro_kernel|split_k_reduce|make_columns",
    "packing, fetching": r"pack_\w+|copy_rows|transpose_\w+|macro_kernel|multiply_\w+|split_k_task",
    "hidden layers": r"(forward|backward|activate|recover|batchnorm|layernorm|normalize)_\w+|"
    r"statistics_task|squares_task|sum_block\w*|running_average|add_ranges|relu_\w+",
    "masks, draws": r"mt19937_\w+|philox_\w+|random_rows|draw_\w+|dropout_\w+",
    "gather": r"gather_\w+",
    "loss": r"(softmax|svm|logistic|squared_error|absolute_error|huber|quantile|poisson)_rows|"
    r"sum_losses|sum_weights|mean_loss|data_loss",
    "updates": r"sgd\w*|rmsprop|adamw?|update_\w+|sum_of_squares\w*|any_beyond|sum_squares|"
    r"set_powers|advance",
    "threads": r"claim_tasks|fc_run|run_job|run_worker|run_tasks|run_with_side_task",
}
PYTHON = "Python, rest"
CORE = "_core."


def part(frames):
    """Return the part that a sample belongs to.

    Parameters
    ----------
    frames : list of str
        Its call stack, outermost first, each ``name (file:line)`` or ``name (library)``.
    """
    for frame in reversed(frames):
        name, _, place = frame.partition(" (")
        if CORE not in place:
            continue
        for title, names in PARTS.items():
            if re.fullmatch(rf"(?:{names})(?:\..*)?", name):
                return title
    return PYTHON


def shares(text):
    """Return the share of each part in py-spy's raw output, of the samples within `steps`."""
    counts = collections.Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if any(frame.startswith("timed_steps (") for frame in frames):
            counts[part(frames)] += int(count)
    total = sum(counts.values())
    return {title: counts[title] / total for title in (*PARTS, PYTHON)} if total else {}


def timed_steps(call, seconds, chunk):
    """Call for so many seconds, a chunk at a time; return the mean time of a call."""
    start, calls = time.perf_counter(), 0
    while (now := time.perf_counter()) < start + seconds:
        for _ in range(chunk):
            call()
        calls += chunk
    return (now - start) / calls


def _child(network, dtype, threads, seconds, many):
    """Train, in a process of its own, which is looked at; print the mean seconds of a step."""
    fastfc.set_num_threads(threads)
    given = cases.NETWORKS[network], np.dtype(dtype)
    call = step.many(*given) if many else step.solver("fastfc", *given)._step
    steps, chunk = (step.steps_in_a_call(given[0]), 1) if many else (1, CHUNK)
    end = time.perf_counter() + WARM_UP
    while time.perf_counter() < end:
        call()
    print("seconds of a step:", timed_steps(call, seconds, chunk) / steps)


def _sampled(network, options):
    """Return the seconds of a step and its parts' shares."""
    with tempfile.TemporaryDirectory() as folder:
        raw = pathlib.Path(folder) / "raw"
        command = [
            *("py-spy", "record", "--native", "--format", "raw"),
            *("--rate", str(RATE), "--output", str(raw), "--"),
            *(sys.executable, "-m", "benchmarks.profile", network, options.dtype),
            *(str(options.threads), str(options.seconds), *(["many"] if options.many else [])),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            harness.missing("py-spy", "profile")
        try:
            seconds = re.search(r"seconds of a step: (\S+)", done.stdout)[1]
            return float(seconds), shares(raw.read_text())
        except (TypeError, OSError):
            sys.exit(f"benchmarks: py-spy failed: {(done.stderr or done.stdout).strip()[-300:]}")


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(cases.NETWORKS))
    parser.add_argument("--threads", type=int, default=1, help="1 by default")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="for each network, 10 by default"
    )
    parser.add_argument("--many", action="store_true", help="many steps in one call")
    options = parser.parse_args(argv)
    unknown = sorted(set(options.networks) - set(cases.NETWORKS))
    if unknown:
        parser.error(f"no network {unknown[0]!r}, expected one of {', '.join(cases.NETWORKS)}")
    titles = (*PARTS, PYTHON)
    widths = [max(9, len(title) + 2) for title in titles]
    head = "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))
    print(f"us of a step, {options.dtype}, {options.threads} thread(s); then its share")
    print(f"{'':<10}{'step':>10}{head}")
    for network in options.networks or cases.NETWORKS:
        seconds, found = _sampled(network, options)
        if not found.get("products"):
            sys.exit("benchmarks: no function of the core has a name; run `make core` first")
        for values, text in ((found, "{:.1f}"), (found, "{:.0%}")):
            scale = seconds * 1e6 if text == "{:.1f}" else 1
            cells = (
                f"{text.format(values[title] * scale):>{width}}"
                for title, width in zip(titles, widths, strict=True)
            )
            about = f"{network:<10}{scale:>10.1f}" if scale != 1 else " " * 20
            print(about + "".join(cells), flush=True)


if __name__ == "__main__":
    _child(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), len(sys.argv) > 5)
