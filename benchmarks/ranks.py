"""Processes that train, or send messages, when they are asked to: one alone, or the ranks of MPI.

Here are both sides.  A `Job` starts the processes and asks rank 0, a line of JSON each; the others
hear it from rank 0.  Between two orders all of them sleep, so that jobs can take turns on a machine
without being in each other's way.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

import numpy as np

from benchmarks import harness, step
from fastfc import _core
from fastfc.training.callbacks import Callback

ROOT = pathlib.Path(__file__).parents[1]
# Open MPI refuses root, and binds a rank to one core, unless it is told; MPICH knows none of these.
SETTINGS = {
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",  # the same before version 5
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
ASLEEP = 2e-3  # seconds between two looks of a rank that waits for an order
POLL = 2e-4  # seconds between two looks at a message
EXAMPLES = 1 << 26  # bytes of training data, so that an epoch's end is rare
MOST_STEPS, LEAST_STEPS = 1000, 4  # of an epoch


# --- the side that asks ---------------------------------------------------------------------------


def mpiexec():
    """Return the path of mpiexec, of a wheel beside this Python foremost; None if there is none."""
    beside = str(pathlib.Path(sys.executable).parent)
    return shutil.which("mpiexec", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))


class Job:
    """So many ranks, each with so many threads; one rank is a process without MPI.

    Used as a context, at whose end they have ended.
    """

    def __init__(self, ranks, threads):
        python, work = [sys.executable], ["-m", "benchmarks.ranks", str(ranks)]
        if ranks > 1:  # mpi4py's way ends all ranks by the error of one
            python = [mpiexec(), "-n", str(ranks), *python, "-m", "mpi4py"]
        self._process = subprocess.Popen(
            [*python, *work],
            cwd=ROOT,
            env=_environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **order):
        """Give an order and return the answer."""
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit("benchmarks: a process that was to train has ended; above it says why")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._process.stdin.write("{}\n")  # mpiexec does not pass on that its input has ended
        else:
            self._process.terminate()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _environment(threads):
    environment = {**os.environ, **SETTINGS, "FASTFC_NUM_THREADS": str(threads)}
    return {**environment, **(AS_ROOT if os.getuid() == 0 else {})}


@dataclasses.dataclass(frozen=True)
class Remote(harness.Contestant):
    """A contestant whose calls are steps of a job; ``call`` is the job, which may take several."""

    kind: str | None = None

    def time(self, count):
        """Return the mean seconds of so many steps."""
        return self.call.ask(count=count, kind=self.kind)["seconds"]


# --- the side that works --------------------------------------------------------------------------


class Orders:
    """What rank 0 reads and all ranks hear; comm is None where there is one alone."""

    def __init__(self, comm):
        self._comm = comm

    def next(self):
        """Return the next order, {} after the last one; sleep until there is one."""
        leads = self._comm is None or self._comm.Get_rank() == 0
        line = sys.stdin.readline() if leads else None
        if self._comm is not None:
            line = self._told(line)
        return json.loads(line or "{}")

    def _told(self, line):
        """Return rank 0's line, without spinning meanwhile."""
        length = np.array([len(line or "")])
        request = self._comm.Ibcast(length)
        while not request.Test():
            time.sleep(ASLEEP)
        return self._comm.bcast(line)

    def answer(self, **values):
        """Answer to whoever asked."""
        if self._comm is None or self._comm.Get_rank() == 0:
            print(json.dumps(values), flush=True)

    def meet(self):
        """Wait for the other ranks."""
        if self._comm is not None:
            self._comm.Barrier()


class Turns:
    """Counts steps, and between orders answers how long they took.

    Parameters
    ----------
    orders : Orders
    totals : benchmarks.counted.Totals or None
        What the steps count into; the answer has the medians of a step.

    Attributes
    ----------
    kind : str or None
        Of which kind the steps are to be, by the last order.
    """

    def __init__(self, orders, totals=None):
        self._orders = orders
        self._totals = totals
        self._left = self._count = 0
        self.kind = None
        self._steps = []
        self._start = self._before = 0.0

    def goes_on(self):
        """Return whether there is to be another step; waits for an order when none is left."""
        if self._totals is not None and self._count:
            now = time.perf_counter()
            self._steps.append((dict(self._totals), now - self._before))
            self._totals.clear()
            self._before = now
        if self._left > 1:
            self._left -= 1
            return True
        seconds = time.perf_counter() - self._start
        self._orders.answer(**self._found(seconds) if self._count else {})
        order = self._orders.next()
        self._left = self._count = order.get("count", 0)
        self.kind = order.get("kind")
        if not self._count:
            self._orders.answer()
        self._orders.meet()
        self._steps = []
        if self._totals is not None:
            self._totals.clear()
        self._start = self._before = time.perf_counter()
        return self._count > 0

    def _found(self, seconds):
        found = {"seconds": seconds / self._count}
        if self._steps:
            steps, seconds = zip(*self._steps, strict=True)
            columns = {
                kind: zip(*(step.get(kind, (0, 0, 0.0)) for step in steps), strict=True)
                for kind in dict.fromkeys(itertools.chain(*steps))
            }
            found["kinds"] = {
                kind: list(map(statistics.median, column)) for kind, column in columns.items()
            }
            found["step"] = statistics.median(seconds)
        return found


class Steps(Callback):
    """Lets a Solver take steps as long as `Turns` go on."""

    def __init__(self, turns):
        self._turns = turns

    def on_step(self, solver):
        """After a step."""
        if not self._turns.goes_on():
            solver.stop()


def train(orders, comm, network, batchnorm, counted):
    """Train a network, of the form of ``tests.support.cases.NETWORKS``."""
    network = [tuple(part) if isinstance(part, list) else part for part in network]
    totals = None
    if counted:
        from benchmarks.counted import Counted

        comm, totals = Counted(comm), Counted.totals
    solver = step.solver(
        "fastfc",
        network,
        np.float32,
        _splits(network),
        batchnorm=batchnorm,
        num_epochs=1_000_000,
        num_train_samples=1,
        callbacks=[Steps(Turns(orders, totals))],
        comm=comm,
    )
    solver.train()


def _splits(network):
    """Return so much data that an epoch's end, at which one example is scored, is rare."""
    batch, example, *_ = network
    fit = EXAMPLES // (4 * batch * int(np.prod(example)))
    given = step.data(network, np.float32, min(max(fit, LEAST_STEPS), MOST_STEPS))
    return {**given, "X_val": given["X_val"][:1], "y_val": given["y_val"][:1]}


def ping(orders, comm, kind, nbytes):
    """Send messages of one kind."""
    own = np.ones(nbytes // 8)
    all_of = np.empty((comm.Get_size(), own.size))
    turns = Turns(orders)
    calls = {
        "allreduce": lambda: comm.Allreduce(own, all_of[0]),
        "allgather": lambda: comm.Allgather(own, all_of),
    }
    while turns.goes_on():
        calls[kind]()


def overlap(orders, comm, nbytes, product):
    """Send a message, compute, or do both at once: with a thread that polls meanwhile or without.

    A message that has begun is sent on by MPI only where someone calls it.
    """
    from mpi4py import MPI

    own = np.ones(nbytes // 8)
    found = np.empty_like(own)
    m, k, n = product
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)

    def both():
        request = comm.Iallreduce(own, found)
        _core.product(a, b)
        request.Wait()

    def polled():
        request, ended = comm.Iallreduce(own, found), threading.Event()
        thread = threading.Thread(target=_poll, args=(request, ended))
        thread.start()
        _core.product(a, b)
        ended.set()
        thread.join()
        request.Wait()

    calls = {
        "message": lambda: comm.Allreduce(own, found),
        "product": lambda: _core.product(a, b),
        "both": both,
        "both, polled": polled if MPI.Query_thread() == MPI.THREAD_MULTIPLE else both,
    }
    turns = Turns(orders)
    while turns.goes_on():
        calls[turns.kind]()


def _poll(request, ended):
    while not ended.wait(POLL) and not request.Test():
        pass


WORK = {"train": train, "ping": ping, "overlap": overlap}


def main(ranks):
    """Do what is ordered until there are no more orders."""
    comm = None
    if ranks > 1:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
    orders = Orders(comm and comm.Dup())
    while order := orders.next():
        WORK[order.pop("work")](orders, comm, **order)


if __name__ == "__main__":
    main(int(sys.argv[1]))
