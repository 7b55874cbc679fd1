"""A communicator that notes what is sent through it: messages, bytes, and the seconds within."""

import pickle
import time

from mpi4py import MPI

BUFFERS = ("Allreduce", "Allgather", "Allgatherv", "Bcast", "Reduce", "Reduce_scatter_block")
OBJECTS = ("allreduce", "allgather", "bcast", "gather")  # pickled


class Totals(dict):
    """Kind -> messages, bytes, seconds; a kind is a name such as ``allreduce``.

    Bytes are those that this rank gives, whatever the library makes of them on the wire.
    """

    def add(self, kind, nbytes, seconds):
        """Count a message."""
        before = self.get(kind, (0, 0, 0.0))
        self[kind] = tuple(map(sum, zip(before, (1, nbytes, seconds), strict=True)))


class Counted(MPI.Intracomm):
    """Counts into `totals`, which its duplicates share."""

    totals = Totals()


def _nbytes(arguments):
    """Return the bytes of the first buffer: what is sent, or what it stands in place of."""
    for argument in arguments:
        buffer = argument[0] if isinstance(argument, list | tuple) else argument
        if hasattr(buffer, "nbytes"):
            return buffer.nbytes
    return 0


def _counting(name):
    """Return a method like one of the communicator's that counts too."""
    inner = getattr(MPI.Intracomm, name)

    def method(self, *arguments):
        nbytes = len(pickle.dumps(arguments[0])) if name in OBJECTS else _nbytes(arguments)
        start = time.perf_counter()
        result = inner(self, *arguments)
        self.totals.add(name.lower(), nbytes, time.perf_counter() - start)
        return result

    return method


for _name in (*BUFFERS, *OBJECTS):
    setattr(Counted, _name, _counting(_name))
