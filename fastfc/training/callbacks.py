"""Callbacks: others' code at the events of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..arguments import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..solver import Solver


__all__ = ["Callback"]

EVENTS = ("on_step", "on_epoch", "on_checkpoint", "on_stop")


class Callback:
    """What a Solver calls while it trains; here every method does nothing.

    A callback need not derive from this class: any object with one of the methods will do.  Each
    is called with the Solver, which is between two steps: its histories, ``model.params`` and
    ``optim_configs`` are those after the step, and what a callback changes there is in the next
    checkpoint.  `Solver.stop` ends the training.  An exception ends it too, and is passed on.

    Draws from ``np.random`` change the run, as anybody's do.

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> from fastfc.solver import Solver
    >>> from fastfc.training import Callback
    >>> class StopWhenPerfect(Callback):
    ...     def on_epoch(self, solver):
    ...         if solver.val_acc_history[-1] == 1:
    ...             solver.stop("perfect")
    >>> X, y = np.eye(4).repeat(50, axis=0), np.arange(4).repeat(50)
    >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    >>> model = FullyConnectedNet([8], input_dim=4, num_classes=4)
    >>> solver = Solver(model, data, update_rule="adam", optim_config={"learning_rate": 0.1},
    ...                 num_epochs=100, callbacks=StopWhenPerfect(), verbose=False)
    >>> solver.train()
    >>> solver.stop_reason, solver.epoch < 100
    ('perfect', True)
    """

    def on_step(self, solver: Solver) -> None:
        """Be called after every step; the last loss is ``solver.loss_history[-1]``.

        Parameters
        ----------
        solver : Solver
        """

    def on_epoch(self, solver: Solver) -> None:
        """Be called after every epoch, its scoring included.

        Parameters
        ----------
        solver : Solver
        """

    def on_checkpoint(self, solver: Solver) -> None:
        """Be called when a checkpoint file has been written: ``solver.checkpoint_path``.

        Parameters
        ----------
        solver : Solver
        """

    def on_stop(self, solver: Solver) -> None:
        """Be called when training ends, whatever ends it: ``solver.stop_reason``.

        Parameters
        ----------
        solver : Solver
        """


def as_list(name: str, value: Any) -> list[Any]:
    """Return callbacks as a list: value is None, an object or a list of objects."""
    if value is None:
        return []
    several = isinstance(value, list | tuple)
    for i, callback in enumerate(value if several else [value]):
        found = [getattr(callback, event, None) for event in EVENTS]
        if isinstance(callback, type) or not any(map(callable, found)):
            raise TypeError(
                f"{f'{name}[{i}]' if several else name} is {shown(callback)}, expected an object "
                f"with any of the methods {', '.join(EVENTS)}"
            )
    return list(value) if several else [value]


def find_methods(callbacks: Iterable[object], event: str) -> list[Callable[[Solver], object]]:
    """Return what is to be called at an event: the callbacks' methods, without the empty ones."""
    found = [getattr(callback, event, None) for callback in callbacks]
    empty = getattr(Callback, event)
    return [method for method in found if method and getattr(method, "__func__", None) is not empty]


def notify(methods: Iterable[Callable[[Solver], object]], solver: Solver) -> None:
    """Call each method with the Solver."""
    for method in methods:
        method(solver)
