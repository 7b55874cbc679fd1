"""Learning rates under a schedule, written into the update rules' configs before each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import is_real, shown
from .rules import shares_defaults
from .schedules import Schedule, make

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._types import Schedule as ScheduleFunction
    from .._types import UpdateRule
    from .resuming import Resumable

__all__ = ["Rates"]


class Rates:
    """The learning rates of a run: base * lr_decay ** epoch * factor of the step.

    The base of a parameter is the learning rate that its config has before the first step, or else
    the default of fastfc's update rules.

    Parameters
    ----------
    schedule : str, dict, callable or None
        As for `make`; None leaves all learning rates alone.
    total_steps : int
        Steps of the run.
    update_rule : callable
        The Solver's.
    optim_config : dict
        And its hyper-parameters.

    Raises
    ------
    TypeError, ValueError
        As `make`; or nobody says what the learning rate is.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fastfc.optim import sgd
    >>> rates = Rates({"name": "step", "every": 2, "factor": 0.5}, 10, sgd, {"learning_rate": 8.0})
    >>> solver = SimpleNamespace(loss_history=[3.0, 2.0], lr_decay=0.1, epoch=1)
    >>> solver.optim_configs = {"w": {"learning_rate": 8.0}}
    >>> rates.before_step(solver)
    >>> solver.optim_configs["w"]["learning_rate"]
    0.4
    """

    def __init__(
        self,
        schedule: str | Mapping[str, Any] | ScheduleFunction | None,
        total_steps: int,
        update_rule: UpdateRule,
        optim_config: Mapping[str, Any],
    ) -> None:
        self.schedule: Any = None if schedule is None else make(schedule, total_steps)
        self.base: dict[str, float] | None = None
        self._default: Any = optim_config.get("learning_rate")
        if self.schedule is not None and self._default is None:
            if not shares_defaults(update_rule):
                raise ValueError(
                    "optim_config has no learning_rate, expected one: lr_schedule cannot know the "
                    "default of an update rule that is not fastfc's"
                )
            self._default = update_rule(np.zeros(1), np.zeros(1), {})[1]["learning_rate"]

    def before_step(self, solver: Resumable) -> None:
        """Write the coming step's learning rates into ``solver.optim_configs``."""
        if self.schedule is None:
            return
        configs, step = solver.optim_configs, len(solver.loss_history)
        if self.base is None:
            self.base = {
                name: float(config.get("learning_rate", self._default))
                for name, config in configs.items()
            }
        factor = self._factor(step, solver)
        for name, config in configs.items():
            config["learning_rate"] = self.base[name] * factor

    def ahead(self, solver: Resumable, steps: int) -> tuple[dict[str, float], list[float]] | None:
        """Return the base of each parameter and the factor of each of the coming steps.

        They hold until the epoch ends.  None where a schedule of the user's own wants to be asked
        at each step, or has not been asked yet.
        """
        if not isinstance(self.schedule, Schedule) or self.base is None:
            return None
        first = len(solver.loss_history)
        return self.base, [self._factor(step, solver) for step in range(first, first + steps)]

    def _factor(self, step: int, solver: Resumable) -> float:
        """Return what every base rate is multiplied by at a step of this epoch."""
        factor: Any = self.schedule(step, solver)
        if not is_real(factor) or not 0 <= factor < math.inf:
            raise ValueError(
                f"lr_schedule gave {shown(factor)} at step {step}, expected a number of at least 0"
            )
        return float(factor) * float(solver.lr_decay) ** solver.epoch

    def end_epoch(self, solver: Resumable) -> None:
        """Tell the schedule that an epoch has been scored."""
        if hasattr(self.schedule, "end_epoch"):
            self.schedule.end_epoch(solver)

    def config(self) -> dict[str, Any] | None:
        """Return the schedule's configuration, plain values; None for none and for functions."""
        return self.schedule.config() if hasattr(self.schedule, "config") else None

    def fit(self, total_steps: int) -> bool:
        """Let the schedule's lengths that were the run's be this one; return whether they change.

        The schedule keeps its state.
        """
        fitted = getattr(self.schedule, "fitted", ())
        if not fitted:
            return False
        before: Any = self.config()
        schedule = make({**before, **dict.fromkeys(fitted)}, total_steps)
        schedule.restore(self.schedule.state())
        self.schedule = schedule
        return bool(self.config() != before)

    def state(self) -> dict[str, Any]:
        """Return the base learning rates and the schedule's state, plain values.

        For schedules of fastfc also ``fitted``, the names of their lengths that are the run's.
        """
        state: dict[str, Any] = {
            "base": None if self.base is None else dict(self.base),
            "schedule": None,
        }
        if hasattr(self.schedule, "state"):
            state["schedule"] = self.schedule.state()
        if isinstance(self.schedule, Schedule):
            state["fitted"] = list(self.schedule.fitted)
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.base = None if state["base"] is None else dict(state["base"])
        if "fitted" in state:
            lengths = self.schedule.length_names()
            self.schedule.fitted = [name for name in lengths if name in state["fitted"]]
        if hasattr(self.schedule, "restore"):
            self.schedule.restore(state["schedule"])

    def resume(
        self, solver: Resumable, state: dict[str, Any], changed: bool, total_steps: int
    ) -> None:
        """Go on from a checkpoint's state, which has been checked, maybe under another schedule.

        Parameters
        ----------
        solver : Solver
            New, with the settings to go on with.
        state : dict
            The checkpoint's.
        changed : bool
            Whether the schedule has been given anew.
        total_steps : int
            Of the run as the checkpoint has it.

        Raises
        ------
        Exception
            The schedule's state is none.
        """
        rates, configs = state["rates"], state["optim_configs"]
        if not changed or self._is_such(state):
            if isinstance(self.schedule, Schedule):
                known = self.schedule.lengths(total_steps)  # of files that do not say
                fitted = self.schedule.fitted if changed else rates.get("fitted", known)
                rates = {**rates, "fitted": fitted}
            self.restore(rates)
            return
        self.base = None if rates["base"] is None else dict(rates["base"])
        if self.schedule is None and self.base is not None:  # the rates that it had factors on
            for name, config in configs.items():
                config["learning_rate"] = self.base[name] * solver.lr_decay ** state["epoch"]
            self.base = None
        elif self.schedule is not None and self.base is None and state["iteration"]:
            self.base = dict.fromkeys(configs, float(self._default))

    def _is_such(self, state: dict[str, Any]) -> bool:
        """Return whether the run's schedule was of the same name, or a function as this one is."""
        before = state["settings"].get("lr_schedule")
        if isinstance(self.schedule, Schedule):
            return isinstance(before, dict) and before.get("name") == self.schedule.name
        return self.schedule is not None and "lr_schedule" in state["outside"]
