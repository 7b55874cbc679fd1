"""The ranks that train one network together."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import numpy as np

from .ending import abort_with, give_up
from .watchdog import Watchdog

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .._types import AnyArray


class Team:
    """The ranks of a communicator.

    All its collective methods must be called by all ranks, in the same order.  MPI promises that
    what a reduction returns is the same on all ranks, bit for bit.

    While one is used as a context, a rank that waits longer than the timeout for the others ends
    the job.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
    timeout : float
        Seconds.

    Attributes
    ----------
    rank, size : int
        This one's number, from 0, and how many there are.
    """

    def __init__(self, comm: Any, timeout: float) -> None:
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()
        from mpi4py import MPI  # which begins it, if nobody has

        self._mpi: Any = MPI
        self._comm = comm
        self._watchdog = Watchdog(timeout, functools.partial(give_up, comm))

    def __enter__(self) -> Team:
        self._watchdog.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchdog.stop()

    def share(self, n: int) -> slice:
        """Return which of n rows are this rank's; those of two ranks differ by at most one."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def counts(self, n: int) -> AnyArray:
        """Return how many of n rows each rank has."""
        return np.diff([rank * n // self.size for rank in range(self.size + 1)])

    def add(self, numbers: AnyArray, what: str) -> AnyArray:
        """Replace an array by the sum of all ranks' arrays, and return it.

        Parameters
        ----------
        numbers : ndarray
            Of the same shape and dtype on all ranks.
        what : str
            What it is, for whoever reads that a rank has waited in vain.
        """
        with self._watchdog.over(what):
            self._comm.Allreduce(self._mpi.IN_PLACE, numbers)
        return numbers

    def collect(self, numbers: AnyArray, what: str) -> AnyArray:
        """Return all ranks' arrays, (ranks, *shape)."""
        found = np.empty((self.size, *numbers.shape), numbers.dtype)
        with self._watchdog.over(what):
            self._comm.Allgather(numbers, found)
        return found

    def collect_objects(self, value: Any, what: str) -> list[Any]:
        """Return all ranks' objects, which are pickled."""
        with self._watchdog.over(what):
            found: list[Any] = self._comm.allgather(value)
        return found

    def lead(self, value: Any, what: str, rank: int = 0) -> Any:
        """Return the object of rank 0, or of another, which is pickled."""
        with self._watchdog.over(what):
            return self._comm.bcast(value, rank)

    def neighbours(self) -> list[Any]:
        """Return the processors that each of the ranks on this machine may run on.

        Of a system that does not say so, all of them.
        """
        try:
            own = sorted(os.sched_getaffinity(0))
        except AttributeError:
            own = list(range(os.cpu_count() or 1))
        with self._watchdog.over("who else is on this machine"):
            near = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
            found: list[Any] = near.allgather(own)
            near.Free()
        return found

    def abort(self, error: BaseException) -> None:
        """End the whole job with this rank's error, with the status 1."""
        abort_with(self._comm, error)
