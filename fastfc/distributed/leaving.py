"""A rank's word that its script has ended: nobody need wait for it any longer.

MPI itself lets the others wait for ever, and the rank too, in MPI_Finalize.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_TAG = 32_749  # of a message without content; MPI has tags to 32,767 at least

_comms: list[Any] = []


def tell_at_exit(comm: Any) -> None:
    """Let this rank tell a rank of a communicator, when its interpreter ends, that it has left.

    One is enough, as each waits for all: rank 0, and of rank 0 itself it is rank 1.
    """
    if comm.Get_size() > 1 and not any(known is comm for known in _comms):
        if not _comms:
            atexit.register(_tell)
        _comms.append(comm)


def find_left(comm: Any) -> int | None:
    """Return a rank that has told this one that it has left, None if there is none.

    For a thread beside one that waits for the ranks: None too where MPI does not take calls of two.
    """
    from mpi4py import MPI

    status = MPI.Status()
    several = MPI.Query_thread() == MPI.THREAD_MULTIPLE
    if several and comm.Iprobe(MPI.ANY_SOURCE, _TAG, status):
        return status.Get_source()
    return None


def _tell() -> None:
    """Send this rank's word over all communicators."""
    from mpi4py import MPI

    for comm in _comms if not MPI.Is_finalized() else []:
        if comm != MPI.COMM_NULL:  # as one that has been freed
            comm.Isend(b"", 1 if comm.Get_rank() == 0 else 0, _TAG).Free()
