"""A Solver serves one thread at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..locks import lock_of

if TYPE_CHECKING:
    from typing import Any


def hold(solver: object, function: str) -> Any:
    """Return the Solver's lock, acquired for this thread; it is the caller's to release.

    Parameters
    ----------
    solver : Solver
    function : str
        What is about to run, for the message.

    Returns
    -------
    threading.RLock

    Raises
    ------
    RuntimeError
        Another thread has it.
    """
    lock = lock_of(solver)
    if not lock.acquire(blocking=False):
        raise RuntimeError(
            f"{function}: another thread trains with this Solver: each thread needs a Solver and a "
            "network of its own"
        )
    return lock
