"""The history of a run as arrays."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import time
from array import array
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import shown
from ..files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .._types import AnyArray, OptimConfig, StrPath
    from ..solver import Solver

__all__ = ["History"]

_WHOLE = {"iteration", "epoch"}


def _as_number(text: str) -> float:
    """Return the number of a field; an empty one is NaN."""
    return float(text or "nan")


class Log:
    """What the Solver notes beside losses and accuracies, as it goes.

    ``seconds`` and ``learning_rate`` have an entry for each step; ``scored`` and ``epochs`` say
    after how many steps there was a scoring, and an epoch ended.
    """

    def __init__(
        self,
        seconds: Iterable[float] = (),
        learning_rate: Iterable[float] = (),
        scored: Iterable[int] = (),
        epochs: Iterable[int] = (),
    ) -> None:
        self.seconds = array("d", seconds)
        self.learning_rate = array("d", learning_rate)
        self.scored = [int(step) for step in scored]
        self.epochs = [int(step) for step in epochs]

    def state(self) -> dict[str, AnyArray]:
        """Return the constructor's arguments, as arrays."""
        return {
            "seconds": _copied(self.seconds),
            "learning_rate": _copied(self.learning_rate),
            "scored": np.array(self.scored, np.int64),
            "epochs": np.array(self.epochs, np.int64),
        }

    def begin(self, steps: int) -> None:
        """Start the clock again, after so many steps."""
        self.fit(steps)
        spent = next((seconds for seconds in reversed(self.seconds) if seconds == seconds), 0.0)
        self._start = time.perf_counter() - spent

    def now(self) -> float:
        """Return the seconds spent in ``train``."""
        return time.perf_counter() - self._start

    def note(self, optim_configs: Mapping[str, OptimConfig]) -> None:
        """Note the step that has just been done."""
        self.seconds.append(self.now())
        self.learning_rate.append(learning_rate(optim_configs))

    def note_steps(self, seconds: AnyArray, learning_rates: AnyArray) -> None:
        """Note steps that have been done in one call: float64, an entry for each."""
        self.seconds.frombytes(seconds.tobytes())
        self.learning_rate.frombytes(learning_rates.tobytes())

    def fit(self, steps: int) -> None:
        """Set the number of steps; steps that were not noted are NaN."""
        for column in (self.seconds, self.learning_rate):
            del column[steps:]
            column.extend([math.nan] * (steps - len(column)))


def _copied(column: array[float]) -> AnyArray:
    """Return a column as an array.

    NumPy would hold its memory while it copies, and training could not append meanwhile.
    """
    return np.array(np.frombuffer(column.tobytes()))


def _part(column: array[float], first: int, steps: int) -> AnyArray:
    """Return so many steps of a column, NaN for those that were not noted."""
    part = column[first : first + steps]
    part.extend([math.nan] * (steps - len(part)))
    return np.array(np.frombuffer(part))


def learning_rate(optim_configs: Mapping[str, OptimConfig]) -> float:
    """Return that of the first parameter, NaN where the update rule has no such number."""
    for config in optim_configs.values():
        rate = config.get("learning_rate")
        if type(rate) is float:
            return rate
        return float(rate) if rate is not None and np.ndim(rate) == 0 else math.nan
    return math.nan


class History(dict[str, "AnyArray"]):
    """A run as columns of equal length, a row for each step.

    Columns: ``iteration``, from 1; ``epoch``, those done after the step; ``loss``;
    ``learning_rate``, of the step; ``seconds``, spent in ``train`` up to its end; ``train_acc`` and
    ``val_acc``, NaN after steps without a scoring.  ``pandas.DataFrame(history)`` takes it as it
    is.

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc.training import History
    >>> history = History(loss=np.array([0.5, 0.25]), val_acc=np.array([np.nan, 1.0]))
    >>> history.to_csv("history.csv")  # doctest: +SKIP
    >>> print(history.csv())
    loss,val_acc
    0.5,
    0.25,1.0
    """

    @classmethod
    def of(cls, solver: Solver, first: int = 0) -> History:
        """Return the history of a Solver, as `Solver.history` does.

        Parameters
        ----------
        solver : Solver
        first : int
            Steps that are left out, from the first on.
        """
        losses, log = solver.loss_history[first:], solver._log
        iteration = np.arange(first + 1, first + len(losses) + 1)
        columns = {
            "iteration": iteration,
            "epoch": np.searchsorted(log.epochs, iteration, side="right"),
            "loss": np.array(losses, dtype=np.float64 if not losses else None),
            "learning_rate": _part(log.learning_rate, first, len(losses)),
            "seconds": _part(log.seconds, first, len(losses)),
        }
        for name, noted in (
            ("train_acc", solver.train_acc_history),
            ("val_acc", solver.val_acc_history),
        ):
            columns[name] = np.full(len(losses), np.nan)
            for after, accuracy in zip(log.scored, noted, strict=False):
                if 0 < after - first <= len(losses):
                    columns[name][after - first - 1] = accuracy
        return cls(columns)

    @classmethod
    def from_csv(cls, path: StrPath) -> History:
        """Return the columns that `to_csv` has written.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        History
            Steps and epochs are int64, the others float64.

        Raises
        ------
        OSError
            It cannot be read.
        ValueError
            It holds no such columns.

        Examples
        --------
        >>> import numpy as np, tempfile
        >>> from fastfc.training import History
        >>> history = History(loss=np.array([0.5, 0.25]), val_acc=np.array([np.nan, 1.0]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history.to_csv(f"{folder}/history.csv")
        ...     History.from_csv(f"{folder}/history.csv")["val_acc"]
        array([nan,  1.])
        """
        try:
            with open(path, encoding="utf-8") as file:
                names, first = file.readline().strip().split(","), file.readline()
                found = np.empty((0, len(names)))
                if first:
                    lines = itertools.chain([first], file)
                    found = np.loadtxt(
                        lines, delimiter=",", ndmin=2, comments=None, converters=_as_number
                    )
            if "loss" not in names or len(set(names)) < len(names):
                raise ValueError(f"its columns are {shown(names)}")
            if found.shape[1] != len(names):
                raise ValueError(f"its rows have {found.shape[1]} fields, expected {len(names)}")
            whole = [i for i, name in enumerate(names) if name in _WHOLE]
            if not (np.abs(found[:, whole]) < 2**53).all():
                raise ValueError("steps or epochs are no whole numbers")
        except ValueError as error:  # of what is no text, too
            raise ValueError(f"{os.fsdecode(path)}: no history of a run: {error}") from None
        columns = dict(zip(names, found.T.copy(), strict=True))
        for name in _WHOLE & columns.keys():
            columns[name] = columns[name].astype(np.int64)
        return cls(columns)

    def csv(self) -> str:
        """Return the columns as CSV; NaN is an empty field, and floats are exact."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self)
        for row in zip(*(column.tolist() for column in self.values()), strict=True):
            writer.writerow(["" if value != value else value for value in row])
        return text.getvalue()

    def to_csv(self, path: StrPath) -> None:
        """Write the columns as CSV, whole or not at all.

        Parameters
        ----------
        path : path
            The file.
        """
        text = self.csv()
        atomic_write(path, lambda file: file.write(text.encode()))

    def to_json(self, path: StrPath) -> None:
        """Write a JSON object of lists, whole or not at all; what is not finite is null.

        Parameters
        ----------
        path : path
            The file.
        """
        columns = {
            name: [value if math.isfinite(value) else None for value in column.tolist()]
            for name, column in self.items()
        }
        text = json.dumps(columns, allow_nan=False)
        atomic_write(path, lambda file: file.write(text.encode()))
