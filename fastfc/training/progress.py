"""A progress bar by tqdm."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .callbacks import Callback

if TYPE_CHECKING:
    from ..solver import Solver


class Progress(Callback):
    """A bar on stderr: examples, their rate, the time left, the last loss and accuracy.

    Parameters
    ----------
    solver : Solver
        Whose training it shows.
    first, last : int
        Steps of the call that are done already, and all of them.
    """

    def __init__(self, solver: Solver, first: int, last: int) -> None:
        from tqdm.auto import tqdm  # not at the top: runs without a bar do not wait for it

        self._examples = solver.batch_size
        self._seen = len(solver.loss_history)
        self._tqdm = tqdm
        self._bar = tqdm(
            total=last * self._examples,
            initial=first * self._examples,
            unit="ex",
            unit_scale=True,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def print(self, line: str) -> None:
        """Print a line on stdout, above the bar if both are on one screen."""
        with self._tqdm.external_write_mode(file=sys.stdout):
            print(line)

    def on_step(self, solver: Solver) -> None:
        """Count the new steps' examples; only when the bar is drawn, say the figures of the next.

        Parameters
        ----------
        solver : Solver
        """
        steps = len(solver.loss_history) - self._seen
        self._seen += steps
        if self._bar.update(steps * self._examples):
            self._describe(solver)

    def on_epoch(self, solver: Solver) -> None:
        """Say the new accuracy.

        Parameters
        ----------
        solver : Solver
        """
        self._describe(solver)

    def on_stop(self, solver: Solver) -> None:
        """Draw the last figures and leave the bar there.

        Parameters
        ----------
        solver : Solver
        """
        if solver.loss_history:
            self._describe(solver)
        self._bar.close()

    def _describe(self, solver: Solver) -> None:
        figures = {"loss": f"{float(solver.loss_history[-1]):.4f}"}
        if solver.val_acc_history:
            figures["val_acc"] = f"{float(solver.val_acc_history[-1]):.3f}"
        self._bar.set_postfix(figures, refresh=False)
