"""Learning rates under a schedule, written into the update rules' configs before each step."""

import math
import numbers

import numpy as np

from .rules import shares_defaults
from .schedules import make

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

    def __init__(self, schedule, total_steps, update_rule, optim_config):
        self.schedule = None if schedule is None else make(schedule, total_steps)
        self.base = None
        self._default = optim_config.get("learning_rate")
        if self.schedule is not None and self._default is None:
            if not shares_defaults(update_rule):
                raise ValueError(
                    "optim_config has no learning_rate, expected one: lr_schedule cannot know the "
                    "default of an update rule that is not fastfc's"
                )
            self._default = update_rule(np.zeros(1), np.zeros(1), {})[1]["learning_rate"]

    def before_step(self, solver):
        """Write the coming step's learning rates into ``solver.optim_configs``."""
        if self.schedule is None:
            return
        configs, step = solver.optim_configs, len(solver.loss_history)
        if self.base is None:
            self.base = {
                name: float(config.get("learning_rate", self._default))
                for name, config in configs.items()
            }
        factor = self.schedule(step, solver)
        if not isinstance(factor, numbers.Real) or not 0 <= factor < math.inf:
            raise ValueError(
                f"lr_schedule gave {factor!r} at step {step}, expected a number of at least 0"
            )
        factor = float(factor) * float(solver.lr_decay) ** solver.epoch
        for name, config in configs.items():
            config["learning_rate"] = self.base[name] * factor

    def end_epoch(self, solver):
        """Tell the schedule that an epoch has been scored."""
        if hasattr(self.schedule, "end_epoch"):
            self.schedule.end_epoch(solver)

    def config(self):
        """Return the schedule's configuration, plain values; None for none and for functions."""
        return self.schedule.config() if hasattr(self.schedule, "config") else None

    def state(self):
        """Return the base learning rates and the schedule's state, plain values."""
        state = self.schedule.state() if hasattr(self.schedule, "state") else None
        return {"base": None if self.base is None else dict(self.base), "schedule": state}

    def restore(self, state):
        """Take back what `state` returned."""
        self.base = None if state["base"] is None else dict(state["base"])
        if hasattr(self.schedule, "restore"):
            self.schedule.restore(state["schedule"])
