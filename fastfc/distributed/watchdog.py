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
    find_left : callable
        () -> a rank that takes part in nothing any more, or None.
    give_up : callable
        What is done, with a sentence that says why, about one that takes longer, or that waits for
        such a rank.  Both are called by the thread.
    """

    def __init__(
        self, timeout: float, find_left: Callable[[], int | None], give_up: Callable[[str], None]
    ) -> None:
        self._timeout = timeout
        self._find_left = find_left
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
        waited_in_vain = None  # an operation: a last message of the rank may be under way
        while not stopped.wait(min(self._timeout / 10, 1.0)):
            now = self._now
            if now is None:
                continue
            left = self._find_left()
            if left is not None and now is waited_in_vain:
                self._give_up(
                    f"rank {left} has left: its script has ended, and the others wait for it to "
                    f"exchange {now[0]}"
                )
                return
            if left is not None:
                waited_in_vain = now
            elif time.monotonic() > now[1]:
                self._give_up(
                    f"waited {self._timeout:g} s for the other ranks, comm_timeout, to exchange "
                    f"{now[0]}: one of them has ended, hangs, or cannot be reached"
                )
                return
