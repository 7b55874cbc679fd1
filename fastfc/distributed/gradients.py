"""The sum of all ranks' gradients, by one array that is sent in pieces.

A backward pass has the last layer's gradients first.  Between machines, pieces are sent as soon as
they are there, beside the rest of the pass; on one machine the pass and the messages would share
the same processors, and all is sent at the end.  docs/distributed.md has the measurements.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from .._types import AnyArray, Array, Params
    from .team import Team

PIECE = 1 << 21  # bytes of gradients that are worth a message of their own
EARLY = 1 << 23  # bytes from which pieces gain: of 2 MB they have lost, of 16 MB gained
POLL = 2e-4  # seconds after which MPI is looked after: else it sends no more than buffers hold


class Gradients:
    """The gradients of a pass: all ranks call its methods in the same order.

    Parameters
    ----------
    team : Team
    params : dict of ndarray
        The network's parameters, as ``"W1"``, whose name ends in the layer's number.
    more : int
        So many numbers are added up with them.
    dtype : dtype

    Attributes
    ----------
    own : dict of ndarray
        Where this rank's gradients are to be, and then the sums: views of one array.
    more : ndarray
        The other numbers, likewise.
    """

    def __init__(self, team: Team, params: Params, more: int, dtype: Any) -> None:
        self._team = team
        layers = {name: int(re.sub(r"\D", "", name)) - 1 for name in params}
        size = more + sum(w.size for w in params.values())
        self._flat = flat = np.empty(size, dtype)
        self.more: Array = flat[:more]
        self._starts: list[int] = []
        found: dict[str, Array] = {}
        end = more
        for name in sorted(params, key=lambda name: (layers[name], name)):
            if layers[name] == len(self._starts):
                self._starts.append(end)
            start, end = end, end + params[name].size
            found[name] = flat[start:end].reshape(params[name].shape)
        self.own: Params = {name: found[name] for name in params}
        self._left = size  # from here on all has been begun
        self._early = flat.nbytes >= EARLY and team.sends_early()
        self._sending: Sending | None = None

    def ready(self, layer: int) -> None:
        """Note that the gradients of a layer, from 0, and of all after it are there.

        Those of the first wait for `add`, which follows.
        """
        start = self._starts[layer]
        if layer > 0 and self._early and (self._left - start) * self._flat.itemsize >= PIECE:
            self._begin(start)

    def add(self) -> None:
        """Replace all by their sums over the ranks."""
        for layer in reversed(range(len(self._starts))):  # those that nobody has noted
            self.ready(layer)
        if self._sending is None:
            self._team.add(self._flat, "gradients")
            return
        self._begin(0)
        self._team.wait(self._sending, "gradients")

    def _begin(self, start: int) -> None:
        if self._sending is None:
            self._sending = self._team.send()
        self._sending.begin(self._flat[start : self._left])
        self._left = start


class Sending:
    """Sums over the ranks that are on their way, while a thread looks after them.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        One on which nothing else is sent: the ranks need not begin in the same order what they
        exchange otherwise.
    mpi : module
    """

    def __init__(self, comm: Any, mpi: Any) -> None:
        self._comm = comm
        self._mpi = mpi
        self._requests: list[Any] = []
        self._lock = threading.Lock()
        self._waited = threading.Event()
        self._thread = threading.Thread(target=self._look_after, daemon=True)

    def begin(self, numbers: AnyArray) -> None:
        """Begin to replace an array by the sum of all ranks' arrays."""
        if numbers.size == 0:
            return
        with self._lock:
            self._requests.append(self._comm.Iallreduce(self._mpi.IN_PLACE, numbers))
        if len(self._requests) == 1:
            self._thread.start()

    def wait(self) -> None:
        """Wait for all of them."""
        self._waited.set()
        self._thread.join()
        for request in self._requests:
            request.Wait()

    def _look_after(self) -> None:
        while not self._waited.wait(POLL):
            with self._lock:
                for request in self._requests:
                    request.Test()
