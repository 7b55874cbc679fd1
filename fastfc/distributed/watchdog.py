"""A limit on how long a rank waits for the others."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Watchdog:
    """Looks from a thread of its own how long this rank has been inside a collective operation.

    MPI itself waits for ever: for a rank that has left, and on a link that is down.

    Parameters
    ----------
    timeout : float
        Seconds that an operation may take.
    give_up : callable
        What is done, with a sentence that says why, about one that takes longer; called by the
        thread.
    """

    def __init__(self, timeout: float, give_up: Callable[[str], None]) -> None:
        self._timeout = timeout
        self._give_up = give_up
        self._stopped: threading.Event | None = None
        self._now: tuple[str, float] | None = None  # the operation that goes on, and its deadline

    def start(self) -> None:
        """Begin to look."""
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, args=(self._stopped,), daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None

    @contextlib.contextmanager
    def over(self, what: str) -> Iterator[None]:
        """Surround an operation, of which `what` is exchanged."""
        self._now = what, time.monotonic() + self._timeout
        try:
            yield
        finally:
            self._now = None

    def _watch(self, stopped: threading.Event) -> None:
        while not stopped.wait(min(self._timeout / 10, 1.0)):
            now = self._now
            if now is not None and time.monotonic() > now[1]:
                self._give_up(
                    f"waited {self._timeout:g} s for the other ranks, comm_timeout, to exchange "
                    f"{now[0]}: one of them has ended, hangs, or cannot be reached"
                )
                return
