"""A run's figures for Weights & Biases, by its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..optional import missing_package
from .tracker import FAILED, Tracker, settings_of

try:
    import wandb  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise missing_package("fastfc.trackers.WandB", "wandb", "wandb", error) from error

if TYPE_CHECKING:
    from typing import Any

    from ..solver import Solver
    from .tracker import Row


class WandB(Tracker):
    """Writes a run of Weights & Biases: its settings, and each column of the history a chart.

    Parameters
    ----------
    project : str
    mode : {'offline', 'online', 'disabled'}
        ``'offline'``, the default, writes files that ``wandb sync`` sends; ``'online'`` sends them
        at once.
    every : int
        Steps from one that is written to the next, default 10; the first and the last one, and
        those after a scoring, are written too.
    **options
        More of ``wandb.init``, as ``name``, ``dir`` and ``tags``.

    Attributes
    ----------
    folder : str or None
        The last run's files.

    Examples
    --------
    >>> from fastfc.trackers import WandB
    >>> solver = Solver(model, data, callbacks=WandB("digits"))  # doctest: +SKIP
    """

    def __init__(
        self, project: str = "fastfc", mode: str = "offline", every: int = 10, **options: Any
    ) -> None:
        super().__init__(every)
        self.options = {"project": project, "mode": mode, **options}
        self.folder: str | None = None

    def _begin(self, run: Solver, again: bool) -> None:
        options = {**self.options, "config": {**settings_of(run), **self.options.get("config", {})}}
        self._tracked: Any = wandb.init(**options)
        self.folder = self._tracked.dir

    def _write(self, rows: list[Row]) -> None:
        for row in rows:
            self._tracked.log(row.figures, step=row.step)

    def _end(self, reason: str | None) -> None:
        self._tracked.finish(exit_code=int(reason in FAILED))
