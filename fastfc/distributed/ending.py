"""How a rank ends: with all others, or by taking them along."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, TypeVar

    Error = TypeVar("Error", bound=BaseException)

GRACE = 5.0  # seconds for MPI to end the job, before the process ends by itself
PASSING = 0.2  # for the launcher to pass on what was written: it drops what comes after the end

# Of Open MPI: it waits as long as a link is down for what it has started on the other side.
_LAUNCHERS = ("prterun", "prted", "mpiexec", "mpirun", "orterun", "orted")
_KILL = 'sleep "$1"; [ "$(cat "/proc/$2/comm")" = "$3" ] && kill -KILL "$2"'

_agreed: BaseException | None = None
_hooked = False


def agree(error: Error) -> Error:
    """Return an error that all ranks are about to raise: it ends each of them by itself."""
    global _agreed
    _agreed = error
    return error


def is_agreed(error: BaseException | None) -> bool:
    """Return whether all ranks raise this error."""
    return error is not None and error is _agreed


def abort(comm: Any, text: str, status: int = 1) -> None:
    """End the whole job, after a text under this rank's name."""
    name = f"rank {comm.Get_rank()} of {comm.Get_size()}"
    sys.stdout.flush()
    sys.stderr.write("".join(f"{name}: {line}\n" for line in text.splitlines()))
    sys.stderr.flush()
    timer = threading.Timer(GRACE, os._exit, (status,))  # where MPI itself hangs
    timer.daemon = True
    timer.start()
    time.sleep(PASSING)
    comm.Abort(status)
    time.sleep(2 * GRACE)  # MPICH may return, and let its launcher end the process


def give_up(comm: Any, text: str) -> None:
    """End the whole job, and its launcher on this machine, which may wait in vain as this rank."""
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/comm") as file:
            name = file.read().strip()
    except OSError:  # not on every system
        name = ""
    if name in _LAUNCHERS:  # it kills this process soon, but not one of another session
        command = ["sh", "-c", _KILL, "sh", str(GRACE), str(parent), name]
        nowhere = subprocess.DEVNULL
        subprocess.Popen(
            command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    abort(comm, text)


def abort_with(comm: Any, error: BaseException) -> None:
    """End the whole job with this rank's error."""
    abort(comm, "".join(traceback.format_exception(type(error), error, error.__traceback__)))


def abort_at_uncaught(comm: Any) -> None:
    """Let an exception that nobody catches end the job, from now on, and not this rank alone.

    Else its interpreter ends by MPI_Finalize, and waits there for ranks that wait for it.
    """
    global _hooked
    if comm.Get_size() == 1 or _hooked:
        return
    _hooked = True
    before = sys.excepthook

    @functools.wraps(before)
    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not is_agreed(error):
            abort_with(comm, error)
        elif comm.Get_rank() == 0:
            before(kind, error, trace)

    sys.excepthook = end
