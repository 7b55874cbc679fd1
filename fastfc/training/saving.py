"""When a run writes checkpoints, under which names, and which it deletes."""

import contextlib
import time
from pathlib import Path

from .checkpoint import write_checkpoint
from .settings import interval
from .state import collect_state


class Saver:
    """Writes the checkpoints of a run.

    Parameters
    ----------
    name : str
        Files are ``NAME_epoch_K.npz`` and, within an epoch, ``NAME_step_N.npz``.
    every : int, str or None
        Steps or a time from one to the next within an epoch; None writes at epochs' ends alone.
    keep_last : int or None
        How many to keep; None keeps all.
    """

    def __init__(self, name, every, keep_last):
        self._steps, self._seconds = (None, None) if every is None else interval("every", every)
        self._keep_last = keep_last
        self._name = Path(name)
        self._time = time.perf_counter()
        self.written = []  # names of files, the oldest first

    def begin(self):
        """Count the time from now on."""
        self._time = time.perf_counter()

    def due(self, iteration):
        """Return whether the interval has passed."""
        if self._steps is not None:
            return iteration % self._steps == 0
        return self._seconds is not None and time.perf_counter() - self._time >= self._seconds

    def save(self, solver, epoch_ends):
        """Write a checkpoint, then delete those that are too many; return its path."""
        part = f"epoch_{solver.epoch}" if epoch_ends else f"step_{len(solver.loss_history)}"
        path = self._name.with_name(f"{self._name.name}_{part}.npz")
        others = [name for name in self.written if name != path.name]
        before, self.written = self.written, [*others, path.name]
        try:
            temporary = self._name.with_name(f"{self._name.name}.tmp")
            write_checkpoint(path, collect_state(solver), temporary)
        except BaseException:
            self.written = before
            raise
        if self._keep_last is not None:
            for name in self.written[: -self._keep_last]:
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(name).unlink()
            self.written = self.written[-self._keep_last :]
        self.begin()
        return str(path)
