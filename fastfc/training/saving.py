"""When a run writes checkpoints, under which names, and which it deletes."""

from __future__ import annotations

import contextlib
import math
import time
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import delete_abandoned
from .checkpoint import CheckpointError, read_run
from .folder import file_pattern, find_files, list_paths, order
from .settings import interval
from .state import write_state

if TYPE_CHECKING:
    from typing import NoReturn

    from .resuming import Resumable

TAKES_OVER = (
    "checkpoint_name has checkpoints of another run, which this one takes over: it overwrites "
    "those of the same number, and latest_checkpoint no longer returns the others; "
    "overwrite=False refuses, another name keeps both"
)


class Saver:
    """Writes the checkpoints of a run.

    Parameters
    ----------
    name : str
        Files are ``NAME_epoch_K.npz`` and, within an epoch, ``NAME_step_N.npz``.
    every : int, str or None
        Steps or a time from one to the next within an epoch; None writes at epochs' ends alone.
    keep_last : int or None
        How many to keep; None keeps all.  Nothing is deleted but what this object has written and,
        where it was given to `resume`, what was this run's by name and identity then: whatever
        stands there now of another run, or of the same one resumed somewhere else, stays.
    overwrite : bool
        Whether the name may be another run's.

    Attributes
    ----------
    turn : int or None
        The run's, see `fastfc.training.folder`; None before it has begun.
    part : str
        The identity of this call of ``train`` within the run.
    owes : bool
        Whether the last checkpoint that was due could not be written.
    """

    def __init__(
        self, name: str, every: int | str | None, keep_last: int | None, overwrite: bool
    ) -> None:
        self._steps: int | None = None
        self._seconds: float | None = None
        if every is not None:
            self._steps, self._seconds = interval("every", every)
        self._keep_last = keep_last
        self._overwrite = overwrite
        self._name = Path(name)
        self._time = time.perf_counter()
        self._written: dict[str, str] = {}  # names of files and their parts, the oldest first
        self._resumed: int | None = None
        self.turn: int | None = None
        self.part = uuid.uuid4().hex
        self.owes = False
        if not overwrite and (found := list_paths(name)):
            self._refuse(found[0])

    def resume(self, run: str, turn: int, overwrite: bool, count_earlier: bool) -> None:
        """Be the saver of a run that goes on, maybe counting its earlier files for keep_last."""
        self._resumed = turn
        self._overwrite = overwrite
        if count_earlier:
            with contextlib.suppress(OSError):  # it may not be listed: they are not known
                own = [entry for entry in find_files(self._name) if entry.run == run]
                self._written = {entry.path.name: entry.part for entry in sorted(own, key=order)}

    def begin(self, run: str) -> None:
        """Count the time from now on; the first time, take the run's turn.

        Raises
        ------
        ValueError
            There are checkpoints of other runs, which may not be overwritten.
        """
        self._time = time.perf_counter()
        self.part = uuid.uuid4().hex
        if self.turn is not None:
            return
        try:
            found = find_files(self._name)
        except OSError:  # a folder that may be written but not listed
            found = []
        least = self._resumed or 0
        others = [entry for entry in found if entry.run != run and entry.turn >= least]
        if others and not self._overwrite:
            self._refuse(others[0].path)
        if others:
            warnings.warn(TAKES_OVER, stacklevel=5)
        self.turn = 1 + max([least, *(entry.turn for entry in found)])
        delete_abandoned(self._name.parent, file_pattern(self._name))

    def due(self, iteration: int) -> bool:
        """Return whether the interval has passed."""
        if self._steps is not None:
            return iteration % self._steps == 0
        return self._seconds is not None and time.perf_counter() - self._time >= self._seconds

    def left(self, iteration: int) -> tuple[float, float]:
        """Return the steps, at least 1, and the seconds after which one will be due."""
        steps = math.inf if self._steps is None else self._steps - iteration % self._steps
        if self._seconds is None:
            return steps, math.inf
        return steps, self._seconds - (time.perf_counter() - self._time)

    def save(self, solver: Resumable, epoch_ends: bool) -> str:
        """Write a checkpoint, then delete those that are too many; return its path.

        One that cannot be deleted is tried again the next time, with a warning: the run goes on.
        """
        part = f"epoch_{solver.epoch}" if epoch_ends else f"step_{len(solver.loss_history)}"
        path = self._name.with_name(f"{self._name.name}_{part}.npz")
        self.owes = True
        write_state(path, solver)
        self.owes = False
        self._written.pop(path.name, None)
        self._written[path.name] = self.part
        if self._keep_last is not None:
            for name in list(self._written)[: -self._keep_last]:
                try:
                    _delete_own(path.with_name(name), solver._run, self._written[name])
                    del self._written[name]
                except OSError as error:
                    warnings.warn(f"keep_last cannot delete a checkpoint: {error}", stacklevel=5)
        self._time = time.perf_counter()
        return str(path)

    def _refuse(self, path: Path) -> NoReturn:
        raise ValueError(
            f"checkpoint_name is {str(self._name)!r}, expected a name without checkpoints for "
            f"overwrite=False: there is {path}"
        )


def _delete_own(path: Path, run: str, part: str) -> None:
    """Delete a checkpoint, unless it is gone or somebody else has written one of that name."""
    with contextlib.suppress(FileNotFoundError, CheckpointError):
        found, _ = read_run(path)
        if (found.id, found.part) == (run, part):
            path.unlink()
