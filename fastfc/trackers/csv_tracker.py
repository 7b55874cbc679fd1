"""A run's figures as a text file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ..training import History
from .tracker import Tracker

if TYPE_CHECKING:
    from typing import TextIO

    from .._types import StrPath
    from ..solver import Solver
    from .tracker import Row

COLUMNS = ("iteration", "epoch", "loss", "learning_rate", "seconds", "train_acc", "val_acc")


class CSV(Tracker):
    """Writes a run's `history` as it goes: a table with a row for each step.

    Parameters
    ----------
    path : path
        The file; what was there is replaced when the first epoch ends.
    every : int
        Steps from one that is written to the next, by default all; the first and the last one, and
        those after a scoring, are written too.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> from fastfc.solver import Solver
    >>> from fastfc.trackers import CSV
    >>> X, y = np.eye(4), np.arange(4)
    >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     solver = Solver(FullyConnectedNet([], input_dim=4, num_classes=4), data, batch_size=2,
    ...                     num_epochs=3, callbacks=CSV(f"{folder}/run.csv"), verbose=False)
    ...     solver.train()
    ...     with open(f"{folder}/run.csv") as file:
    ...         text = file.read()
    >>> text == solver.history.csv()
    True
    """

    def __init__(self, path: StrPath, every: int = 1) -> None:
        super().__init__(every)
        self.path = os.fspath(path)

    def _begin(self, run: Solver, again: bool) -> None:
        self._file: TextIO = open(self.path, "a" if again else "w", newline="")  # noqa: SIM115
        self._header = not again

    def _write(self, rows: list[Row]) -> None:
        found = [{"iteration": row.step, **row.figures} for row in rows]
        text = History(
            (name, np.array([row.get(name, np.nan) for row in found])) for name in COLUMNS
        ).csv()
        self._file.write(text if self._header else text.split("\n", 1)[1])
        self._file.flush()
        self._header = False

    def _end(self, reason: str | None) -> None:
        self._file.close()
