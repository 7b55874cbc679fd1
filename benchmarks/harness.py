"""Measuring contestants fairly, and what is written down about it.

The contestants of a row run in one process and take turns, so that another process or a change of
clock rate meets them all alike. In its turn a contestant first runs unmeasured for `WARM_UP`
seconds, which brings its data back into the caches and a core that has slept up to its clock rate:
the first steps of half a millisecond take twice as long as those in the middle of a training, which
come after 5 ms. Several samples follow; a sample is the mean of as many calls as fill `SAMPLE`
seconds; a row is the median of all samples. No row is dropped, whoever wins it. A row with a
contestant whose samples are spread by more than `NOISY` is measured again, up to `REPEATS` times;
the quietest time counts for all contestants alike.

Between turns the process sleeps until all its other threads do too. Workers of OpenBLAS, and
of OpenMP under PyTorch, spin for 30 to 100 ms after a call, waiting for the next one, and so take a
core from whoever's turn follows: on two cores that halves the next contestant's speed on two
threads.
"""

import contextlib
import dataclasses
import pathlib
import statistics
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

import fastfc

SAMPLE = 5e-4  # seconds: hundreds of times what perf_counter and the loop around a call cost
WARM_UP = 1e-2  # seconds, at least one sample
TURN = 2e-2  # seconds of samples in a turn, at least MIN_SAMPLES and at most MAX_SAMPLES of them
MIN_SAMPLES, MAX_SAMPLES = 2, 20
ROUNDS, QUICK_ROUNDS = 7, 2
NOISY, REPEATS = 0.15, 2  # spread, see `summary`
SHARED_CORE = (
    1.5  # a second processor that gives less than this to arithmetic has no core of its own
)
PAUSE, LONGEST_PAUSE = 2e-2, 1.0  # seconds
EXTRA = "bench"  # what pip installs for all suites and most peers


@dataclasses.dataclass(frozen=True)
class Run:
    """What a suite is asked for.

    Attributes
    ----------
    quick : bool
        Whether only to show that everything runs: few samples of single calls, small sizes.
    peers : tuple of str
        Whom to compare with: of ``benchmarks.peers.NAMES``.
    peak : dict
        What `benchmarks.peak.measure` found.
    iterations : int or None
        Steps of the long suites, solver, memory and denormals; None takes their own number.
    networks : tuple of str
        Those of the suite step, of ``tests.support.cases.NETWORKS``; none means all.
    """

    quick: bool = False
    peers: tuple = ("numpy",)
    peak: dict = dataclasses.field(default_factory=dict)
    iterations: int | None = None
    networks: tuple = ()


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a row says of a contestant beside its time: of a quantity, after so many steps."""

    contestant: str
    quantity: str
    value: float
    unit: str
    steps: int


@dataclasses.dataclass(frozen=True)
class Contestant:
    """What is called, without arguments, and a context that its turns run in.

    Of a call that does the same several times over, ``times`` says how often; times are of one.
    """

    call: Callable
    during: Callable = contextlib.nullcontext
    times: int = 1

    def time(self, count):
        """Return the mean seconds in so many calls."""
        start = time.perf_counter()
        for _ in range(count):
            self.call()
        return (time.perf_counter() - start) / (count * self.times)


def missing(package, purpose, extra=EXTRA):
    """End in one line that names the extra."""
    sys.exit(f"benchmarks: {purpose} needs {package}: pip install '.[{extra}]' in a checkout")


def thread_counts():
    """Return 1 and, where fastfc may use more, 2."""
    return (1, 2) if fastfc.get_num_threads() > 1 else (1,)


@contextlib.contextmanager
def threads(count):
    """Let fastfc, NumPy's BLAS and, if it is there, PyTorch use so many threads meanwhile.

    JAX sizes its pool when it starts and keeps it, TensorFlow too; a network on oneDNN computes
    with as many threads as fastfc had when it was made.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        missing("threadpoolctl", "setting NumPy's threads")
    ours, torch = fastfc.get_num_threads(), sys.modules.get("torch")
    theirs = torch.get_num_threads() if torch else None
    with threadpool_limits(count):
        fastfc.set_num_threads(count)
        if torch:
            torch.set_num_threads(count)
        try:
            yield
        finally:
            fastfc.set_num_threads(ours)
            if torch:
                torch.set_num_threads(theirs)


def measure(contestants, quick=False):
    """Time contestants in turns.

    Parameters
    ----------
    contestants : dict of str to Contestant or callable
        Whom to measure.
    quick : bool
        Single calls, no pauses.

    Returns
    -------
    dict of str to dict
        What `summary` says of each.
    """
    contestants = {
        name: c if isinstance(c, Contestant) else Contestant(c) for name, c in contestants.items()
    }
    plans = {name: (1, 1, 1) if quick else _plan(c) for name, c in contestants.items()}
    timings = _take_turns(contestants, plans, quick)
    for _ in range(0 if quick else REPEATS):
        if not noisy(timings):
            break
        again = _take_turns(contestants, plans, quick)
        timings = min(timings, again, key=lambda t: max(s["spread"] for s in t.values()))
    return timings


def noisy(timings):
    """Return the names of those whose spread is above `NOISY`."""
    return [name for name, timing in timings.items() if timing["spread"] > NOISY]


def _take_turns(contestants, plans, quick):
    samples = {name: [] for name in contestants}
    names = list(contestants)
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        for name in names:
            contestant, (warm, calls, count) = contestants[name], plans[name]
            with contestant.during():
                if not quick:
                    pause()
                    contestant.time(warm)
                samples[name] += [contestant.time(calls) for _ in range(count)]
        names.reverse()  # nobody always runs in the other's wake
    return {name: summary(values) for name, values in samples.items()}


def pause():
    """Sleep until every other thread of this process sleeps, or for `LONGEST_PAUSE`."""
    end = time.perf_counter() + LONGEST_PAUSE
    while True:
        time.sleep(PAUSE)
        if not _running_threads() or time.perf_counter() > end:
            return


def _running_threads():
    """Count the threads of this process, but for its caller's, that run or want to."""
    own, running = threading.get_native_id(), 0
    for task in pathlib.Path("/proc/self/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            state = task.read_text().rpartition(")")[2].split()[0]
            running += state == "R" and task.parent.name != str(own)
    return running


def _plan(contestant):
    """Return how many calls fill a warm-up and a sample, and how many samples a turn."""
    with contestant.during():
        contestant.time(2)
        calls = 1
        while (seconds := contestant.time(calls) * calls * contestant.times) < SAMPLE / 4:
            calls *= 2
    seconds /= calls
    wanted = max(1, round(SAMPLE / seconds))
    samples = round(TURN / (seconds * wanted))
    return (
        max(wanted, round(WARM_UP / seconds)),
        wanted,
        min(max(samples, MIN_SAMPLES), MAX_SAMPLES),
    )


def summary(values):
    """Return ``median``, ``min``, ``samples``, and ``spread``: between quartiles, over the median.

    Parameters
    ----------
    values : list of float
        Seconds a call, at least two.
    """
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": median,
        "min": min(values),
        "spread": (high - low) / median,
        "samples": len(values),
    }


def share_a_core(peak):
    """Whether two threads reach so little more than one that they must share a core (SMT)."""
    counts = peak.get("GFLOP/s", {}).get("float32", {})
    return 1 in counts and 2 in counts and counts[2] < SHARED_CORE * counts[1]


def row(run, suite, name, shape, dtype, contestants, rate, count=None):
    """Measure one row of a table.

    Parameters
    ----------
    run : Run
        See there.
    suite, name, shape : str
        What the row is about.
    dtype : dtype
        float32 or float64.
    contestants : dict of str to Contestant or callable
        The first one is ours.
    rate : tuple of str and float
        A unit (``GFLOP/s`` or ``GB/s``) and the operations or bytes of one call.
    count : int, optional
        Threads that everybody may use; as they are by default.
    """
    with threads(count) if count else contextlib.nullcontext():
        timings = measure(contestants, run.quick)
    return described(
        run, suite, name, shape, dtype, timings, rate, count or fastfc.get_num_threads()
    )


def described(run, suite, name, shape, dtype, timings, rate, count):
    """Return a row of timings that `summary` gave: with rates, and what `compared` adds."""
    unit, amount = rate
    row = {
        "suite": suite,
        "name": name,
        "shape": shape,
        "dtype": np.dtype(dtype).name,
        "threads": count,
        "seconds": timings,
        "rate": {unit: {name: amount / 1e9 / t["median"] for name, t in timings.items()}},
    }
    return compared(row, run.peak)


def compared(row, peak):
    """Return a row with what follows from its own figures and the peak: ratios and shares.

    Ratios are of the others' median to the first one's. A share is of what this run measured as
    the machine's limit for that many threads: of arithmetic, or of copying between arrays that no
    cache holds. Operations on arrays that a cache does hold may exceed the latter.
    """
    medians = {name: t["median"] for name, t in row["seconds"].items()}
    ours, *others = medians
    ((unit, rates),) = row["rate"].items()
    limit = peak.get(unit, {}).get(row["dtype"], {}).get(row["threads"])
    return {
        **row,
        "ratio": {other: medians[other] / medians[ours] for other in others},
        "share": {name: value / limit for name, value in rates.items()} if limit else {},
    }
