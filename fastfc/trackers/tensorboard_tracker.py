"""A run's figures for TensorBoard, by its own writer of event files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ..optional import missing_package
from .tracker import Tracker

try:
    from tensorboard.summary import Writer  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise missing_package(
        "fastfc.trackers.TensorBoard", "tensorboard", "tensorboard", error
    ) from error

if TYPE_CHECKING:
    from typing import Any

    from .._types import StrPath
    from ..solver import Solver
    from .tracker import Row


class TensorBoard(Tracker):
    """Writes event files that ``tensorboard --logdir`` shows: each column of the history a scalar.

    Parameters
    ----------
    folder : path
        Where the event file goes, made if it is not there; its name is the run's on the page.
    every : int
        Steps from one that is written to the next, default 10; the first and the last one, and
        those after a scoring, are written too.

    Examples
    --------
    >>> from fastfc.trackers import TensorBoard
    >>> solver = Solver(model, data, callbacks=TensorBoard("runs/first"))  # doctest: +SKIP
    """

    def __init__(self, folder: StrPath, every: int = 10) -> None:
        super().__init__(every)
        self.folder = os.fspath(folder)

    def _begin(self, run: Solver, again: bool) -> None:
        self._writer: Any = Writer(self.folder)

    def _write(self, rows: list[Row]) -> None:
        with np.errstate(all="ignore"):  # it has float32: what is too large is an infinity
            for row in rows:
                for name, value in row.figures.items():
                    if name != "seconds":  # the page has the time
                        self._writer.add_scalar(name, value, row.step, wall_time=row.time)
        self._writer.flush()

    def _end(self, reason: str | None) -> None:
        self._writer.close()
