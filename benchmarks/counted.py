"""A communicator that notes what is sent through it: messages, bytes, and the seconds within."""

import pickle
import time

from mpi4py import MPI

BUFFERS = ("Allreduce", "Allgather", "Allgatherv", "Bcast", "Reduce", "Reduce_scatter_block")
BEGUN = tuple(f"I{name.lower()}" for name in BUFFERS)  # and waited for later
OBJECTS = ("allreduce", "allgather", "bcast", "gather")  # pickled


class Totals(dict):
    """Kind -> messages, bytes, seconds; a kind is a name such as ``allreduce``.

    Bytes are those that this rank gives, whatever the library makes of them on the wire.
    """

    def __init__(self):
        super().__init__()
        self.begun = 0  # messages that are waited for later

    def add(self, kind, messages, nbytes, seconds):
        """Count something."""
        before = self.get(kind, (0, 0, 0.0))
        self[kind] = tuple(map(sum, zip(before, (messages, nbytes, seconds), strict=True)))


class Counted(MPI.Intracomm):
    """Counts into `totals`, which its duplicates share."""

    totals = Totals()


class Waited(MPI.Request):
    """A message that has begun; the time in which it is waited for counts."""

    @classmethod
    def of(cls, request, kind):
        """Return one of a request, which is kept: it holds the buffers."""
        made = cls(request)
        made._request, made._kind = request, kind
        return made


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
    kind, begun = name.lower().removeprefix("i" * (name in BEGUN)), name in BEGUN

    def method(self, *arguments):
        nbytes = len(pickle.dumps(arguments[0])) if name in OBJECTS else _nbytes(arguments)
        start = time.perf_counter()
        result = inner(self, *arguments)
        self.totals.add(kind, 1, nbytes, time.perf_counter() - start)
        self.totals.begun += begun
        return Waited.of(result, kind) if begun else result

    return method


def _waiting(name):
    inner = getattr(MPI.Request, name)

    def method(self, *arguments):
        start = time.perf_counter()
        result = inner(self, *arguments)
        Counted.totals.add(self._kind, 0, 0, time.perf_counter() - start)
        return result

    return method


for _name in (*BUFFERS, *BEGUN, *OBJECTS):
    setattr(Counted, _name, _counting(_name))
for _name in ("Wait", "wait", "Test", "test"):
    setattr(Waited, _name, _waiting(_name))
