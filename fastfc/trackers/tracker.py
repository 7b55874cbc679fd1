"""What the trackers share: which figures of a run they write, and when."""

from __future__ import annotations

import json
import math
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

from ..arguments import count
from ..training import Callback, History

if TYPE_CHECKING:
    from typing import Any

    from ..solver import Solver

# Settings of a Solver that say how it trains.
SETTINGS = (
    *("lr_decay", "lr_schedule", "clip_norm", "batch_size", "num_epochs", "early_stopping"),
    "on_nonfinite",
)

# Values of ``stop_reason``, of Solvers and of estimators; None is an exception.
FAILED = (None, "error", "nonfinite", "not finite")
KILLED = ("interrupt", "interrupted", "terminated")


class Row(NamedTuple):
    """The figures after a step: ``step`` from 1, the ``time`` since 1970, and what there is of it.

    ``figures`` has the columns of `fastfc.training.History` that are numbers, but for its first.
    """

    step: int
    time: float
    figures: dict[str, float]


class Tracker(Callback):
    """A callback that writes a run's figures at the end of every epoch, and at that of the run.

    Those of every ``every``-th step, of the first and the last one, and of steps after which there
    was a scoring.  Where training goes on, by a second `train` or by ``partial_fit``, so do the
    steps.  A subclass has the three methods below.

    Parameters
    ----------
    every : int
        Steps from one that is written to the next.
    """

    _run: weakref.ref[Solver] | None
    _seen: int  # steps of the run that have been looked at
    _open: bool
    _again: bool  # whether something has been written

    def __init__(self, every: int) -> None:
        self.every = count("every", every)
        self._forget()

    def _begin(self, run: Solver, again: bool) -> None:
        """Make ready to write; ``again`` if this tracker has written of this run, or stream."""
        raise NotImplementedError

    def _write(self, rows: list[Row]) -> None:
        """Write rows, at least one."""
        raise NotImplementedError

    def _end(self, reason: str | None) -> None:
        """End what was begun; the reason is the run's ``stop_reason``, None after an exception."""
        raise NotImplementedError

    def on_epoch(self, solver: Solver) -> None:
        """Write what is new.

        Parameters
        ----------
        solver : Solver
        """
        self._report(solver, last=False)

    def on_stop(self, solver: Solver) -> None:
        """Write the rest, and end.

        Parameters
        ----------
        solver : Solver
        """
        self._report(solver, last=True)
        if self._open:
            self._open = False
            self._end(solver.stop_reason)

    def _report(self, run: Solver, last: bool) -> None:
        """Write the steps of a run that have not been written."""
        before = getattr(run, "steps_before", 0)  # of a stream
        if self._run is None or self._run() is not run:
            self._again = before > 0 and self._again
            self._run, self._seen = weakref.ref(run), 0
        new = History.of(run, self._seen)
        if not len(new["loss"]):
            return
        if not self._open:
            self._begin(run, self._again)
            self._open = self._again = True
        self._seen += len(new["loss"])
        if rows := _rows(new, before, self.every, last):
            self._write(rows)

    def _forget(self) -> None:
        """Be as if nothing had been written."""
        self._run, self._seen = None, 0
        self._open = self._again = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: the constructor's arguments, as a search needs them."""
        return {name: value for name, value in vars(self).items() if name[0] != "_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def _rows(new: History, before: int, every: int, last: bool) -> list[Row]:
    """Return the rows of a history's part that are to be written."""
    columns = {name: column.tolist() for name, column in new.items()}
    steps, seconds = columns.pop("iteration"), columns["seconds"]
    now, end = time.time(), seconds[-1]
    rows = []
    for i, step in enumerate(steps):
        figures = {name: column[i] for name, column in columns.items()}
        scored = any(not math.isnan(figures[name]) for name in ("train_acc", "val_acc"))
        if not (step == 1 or step % every == 0 or scored or (last and i == len(steps) - 1)):
            continue
        ago = end - seconds[i]
        figures = {k: v for k, v in figures.items() if k == "loss" or not math.isnan(v)}
        rows.append(Row(before + step, now if math.isnan(ago) else now - ago, figures))
    return rows


def settings_of(run: Any) -> dict[str, str | float]:
    """Return what a run's settings are, under flat names, for a tracker that shows them.

    Parameters
    ----------
    run : Solver
        Or the fit of an estimator.

    Returns
    -------
    dict
        Texts and numbers.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> run = SimpleNamespace(model=FullyConnectedNet([4], 3, 2), batch_size=10, clip_norm=None)
    >>> settings_of(run)
    {'model': '<FullyConnectedNet: 3-4-2, float32>', 'batch_size': 10}
    """
    if hasattr(run, "estimator"):
        found = {"estimator": type(run.estimator).__name__, **run.estimator.get_params()}
        found.pop("callbacks")
    else:
        found = {"model": repr(run.model)}
        if hasattr(run, "update_rule"):
            found["update_rule"] = run.update_rule
        for name, value in getattr(run, "optim_config", {}).items():
            found[f"optim_config.{name}"] = value
        found |= {name: getattr(run, name, None) for name in SETTINGS}
    return {name: _plain(value) for name, value in found.items() if value is not None}


def _plain(value: Any) -> str | float:
    """Return a setting as a number or a text."""
    if isinstance(value, str | int | float):
        return value
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    try:
        return json.dumps(value)
    except TypeError:
        return repr(value)
