"""What ends a run before its last epoch."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from typing_extensions import Self

    from .resuming import Resumable

__all__ = ["NonFiniteLossError"]


class NonFiniteLossError(FloatingPointError):
    """The loss has become NaN or infinite; that step has not been taken.

    Parameters and state are those that the loss was computed with.

    Parameters
    ----------
    iteration : int
        The step's number, from 1.
    loss : float
        The loss.
    learning_rate : float
        The step's, NaN if the update rule has none.
    where : str or None
        What the model's ``first_nonfinite`` says of the minibatch; None for a model without.

    Attributes
    ----------
    iteration, loss, learning_rate, where
        As above.

    Examples
    --------
    >>> from fastfc.training import NonFiniteLossError
    >>> raise NonFiniteLossError(7, float("nan"), 0.1, "layer 2: affine")
    Traceback (most recent call last):
    fastfc.training.stopping.NonFiniteLossError: the loss is nan at iteration 7 with learning rate
    0.1, expected a finite one; the first that is not finite: layer 2: affine
    """

    def __init__(
        self, iteration: int, loss: float, learning_rate: float, where: str | None = None
    ) -> None:
        super().__init__(iteration, loss, learning_rate, where)
        self.iteration = iteration
        self.loss = loss
        self.learning_rate = learning_rate
        self.where = where

    def __str__(self) -> str:
        found = f"; the first that is not finite: {self.where}" if self.where else ""
        return (
            f"the loss is {self.loss} at iteration {self.iteration} with learning rate "
            f"{self.learning_rate:g}, expected a finite one{found}"
        )


class Interrupts:
    """Notes the first Ctrl-C or SIGTERM, so that the running step can finish.

    A second one acts at once.  Only in the main thread, and only signals whose handler is the usual
    one, which raises KeyboardInterrupt or ends the process: handlers of others stay.  The end of
    the context restores what was.

    Attributes
    ----------
    came : signal.Signals or None
        Which one was noted.
    """

    def __init__(self) -> None:
        self.came: signal.Signals | None = None
        self._usual: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for number, handler in usual.items():
            if signal.getsignal(number) == handler:
                signal.signal(number, self._note)
                self._usual[number] = handler
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._usual.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)

    def pass_on(self, agreed: signal.Signals | None = None) -> None:
        """After the context: end the process by the SIGTERM that was noted, with its status.

        An error on its way, that of a checkpoint perhaps, is printed: nobody else will see it.

        Parameters
        ----------
        agreed : signal.Signals, optional
            What another rank has noted.
        """
        if signal.SIGTERM in (self.came, agreed):
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            _terminate()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came is None:
            self.came = signal.Signals(number)
        elif number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            _terminate()
        else:
            signal.default_int_handler(number, frame)


def _terminate() -> None:
    """Raise SIGTERM, after what was printed has been written: the signal leaves no time for it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, full, closed
            stream.flush()
    signal.raise_signal(signal.SIGTERM)


class Patience:
    """Early stopping: scorings without a gain of validation accuracy.

    Parameters
    ----------
    accuracies : list of float
        To which scorings are appended.
    first : int
        Where in it this call's scorings begin.
    patience : int
        So many scorings without a gain are enough.
    min_delta : float
        A gain is more than this above the best so far.
    """

    def __init__(
        self, accuracies: list[float], first: int, patience: int, min_delta: float = 0.0
    ) -> None:
        self._accuracies = accuracies
        self._next = first
        self._patience = patience
        self._min_delta = min_delta
        self._best: float | None = None
        self._waited = 0

    def exhausted(self) -> bool:
        """Look at the scorings that are new, and say whether it is enough."""
        for accuracy in self._accuracies[self._next :]:
            if self._best is None or accuracy > self._best + self._min_delta:
                self._best = accuracy
                self._waited = 0
            else:
                self._waited += 1
        self._next = len(self._accuracies)
        return self._waited >= self._patience


class Limits:
    """What ends a call of `Solver.train`; asked before every step.

    Parameters
    ----------
    solver : Solver
        With its ``max_steps``, ``max_seconds`` and ``early_stopping``.
    first, last : int
        Steps of the call that are done already, and all of them.
    scorings : int
        How many accuracies earlier calls have left.
    """

    def __init__(self, solver: Resumable, first: int, last: int, scorings: int) -> None:
        self._last = last
        self._end = None if solver.max_steps is None else first + solver.max_steps
        self._patience = None
        if solver.early_stopping is not None:
            self._patience = Patience(solver.val_acc_history, scorings, **solver.early_stopping)
        self._deadline = None
        if solver.max_seconds is not None:
            self._deadline = time.perf_counter() + solver.max_seconds

    def reached(self, step: int) -> str | None:
        """Return why to stop after so many steps of the call, or None."""
        reason = self.counted(step)
        if reason is None and self._deadline is not None and time.perf_counter() >= self._deadline:
            return "max_seconds"
        return reason

    def counted(self, step: int) -> str | None:
        """Return why to stop where that follows from what was counted: no clock is looked at."""
        if step >= self._last:
            return "finished"
        if self._patience is not None and self._patience.exhausted():
            return "early_stopping"
        if self._end is not None and step >= self._end:
            return "max_steps"
        return None

    def left(self, step: int) -> tuple[float, float]:
        """Return the steps and the seconds after which one of the limits will be reached."""
        return (
            min(self._last, math.inf if self._end is None else self._end) - step,
            math.inf if self._deadline is None else self._deadline - time.perf_counter(),
        )
