"""How an estimator's weights are updated: rule, state and learning rate."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import is_real, shown
from ..training.schedules import Schedule, make
from .fitted_network import owned_values

if TYPE_CHECKING:
    from typing import Any

    from .._types import OptimConfig, Params
    from .settings import Settings

_LEAST_RATE = 1e-6  # from which on 'adaptive' ends the fit


class Optimizer:
    """An update rule of fastfc's with what scikit-learn's solvers do around it.

    Parameters
    ----------
    settings : Settings
        Solver 'sgd' or 'adam', and their parameters, which are kept as they are now.
    params : dict of ndarray
        The network's, for the shapes of the state.
    steps : int
        Of the whole fit, for a schedule's length.

    Attributes
    ----------
    rule : str
        Its name in :mod:`fastfc.optim`.
    configs : dict of dict
        Each parameter's hyper-parameters and state.
    learning_rate : float
        Before a schedule's factor.
    steps : int
        How many have been taken.
    """

    def __init__(self, settings: Settings, params: Params, steps: int) -> None:
        self.steps = 0
        schedule = settings.lr_schedule
        self._schedule: Any = None if schedule is None else make(schedule, steps)
        self.learning_rate = float(settings.learning_rate_init)
        self._init = float(settings.learning_rate_init)
        self._policy = settings.learning_rate if settings.solver == "sgd" else "constant"
        self._power_t = settings.power_t
        self._beta_2, self._epsilon = float(settings.beta_2), float(settings.epsilon)
        keys: tuple[str, ...] = ()
        constants: dict[str, float] = {}
        if settings.solver == "adam":
            self.rule, keys = "adam", ("v", "a")
            constants = {"beta1": settings.beta_1, "beta2": settings.beta_2, "t": 0}
            constants["epsilon"] = settings.epsilon
            if settings.weight_decay is not None:
                self.rule = "adamw"
        elif settings.momentum == 0:
            self.rule = "sgd"
        else:
            nesterov = settings.nesterovs_momentum
            self.rule = "sgd_nesterov_momentum" if nesterov else "sgd_momentum"
            keys, constants = ("velocity",), {"momentum": settings.momentum}
        self.configs: dict[str, OptimConfig] = {}
        for name, value in params.items():
            config: dict[str, Any] = {"learning_rate": self.learning_rate}
            config |= {key: _plain(number) for key, number in constants.items()}
            if self.rule == "adamw":  # of matrices alone, as the Solver has it
                decay = settings.weight_decay if name[0] == "W" else 0
                config["weight_decay"] = float(decay or 0)
            self.configs[name] = config | {key: np.zeros_like(value) for key in keys}

    def twin(self) -> Optimizer:
        """Return an optimiser of the same state, which goes its own way from here."""
        twin = copy.copy(self)
        twin.configs = {name: owned_values(config) for name, config in self.configs.items()}
        twin._schedule = copy.copy(self._schedule)
        if isinstance(self._schedule, Schedule):
            twin._schedule = make(self._schedule, 1)
            twin._schedule.restore(self._schedule.state())
        return twin

    def set_rate(self, rate: float) -> None:
        """Let the next step have this learning rate."""
        for config in self.configs.values():
            config["learning_rate"] = rate

    def epsilons(self, steps: int) -> list[float] | None:
        """Return Adam's epsilon for each of the coming steps, None for other rules.

        scikit-learn adds epsilon to the root of the biased second moment, fastfc to that of the
        unbiased one: epsilon / sqrt(1 - beta2^t) makes them the same.
        """
        if self.rule not in ("adam", "adamw"):
            return None
        done = next(iter(self.configs.values()))["t"]
        t = np.arange(done + 1, done + steps + 1)
        values: list[float] = (self._epsilon / np.sqrt(1 - self._beta_2**t)).tolist()
        return values

    def is_steady(self) -> bool:
        """Return whether the learning rate is the same in all epochs, as far as they go well."""
        return self._schedule is None and self._policy != "invscaling"

    def is_asked_each_step(self) -> bool:
        """Return whether the schedule is a function of the user's, which sees every step."""
        return self._schedule is not None and not isinstance(self._schedule, Schedule)

    def check_monitor(self, has_validation: bool) -> None:
        """Raise ValueError if the schedule looks at a validation set, and there is none."""
        if getattr(self._schedule, "monitor", None) == "val_acc" and not has_validation:
            raise ValueError(
                "lr_schedule is a plateau of val_acc, expected monitor 'loss', or early_stopping "
                "or X_val: there is no validation set"
            )

    def rates(self, steps: int, fit: Any) -> tuple[dict[str, float], list[float]] | None:
        """Return each parameter's learning rate and the factors of the coming steps.

        None without a schedule.
        """
        if self._schedule is None:
            return None
        factors = [self._schedule(step, fit) for step in range(self.steps, self.steps + steps)]
        for factor in factors:
            if not is_real(factor) or not 0 <= factor < math.inf:
                raise ValueError(
                    f"lr_schedule gave {shown(factor)}, expected a number of at least 0"
                )
        return dict.fromkeys(self.configs, self.learning_rate), [float(f) for f in factors]

    def end_epoch(self, seen: int, fit: Any) -> None:
        """Take note of an epoch, after which so many examples have been seen in all."""
        if hasattr(self._schedule, "end_epoch"):
            self._schedule.end_epoch(fit)
        if self._policy == "invscaling":
            self.learning_rate = self._init / (seen + 1) ** self._power_t

    def lower(self) -> str | None:
        """Divide the learning rate by 5 if it adapts; return why not, None if it was done."""
        if self._policy != "adaptive":
            return "Stopping."
        if self.learning_rate <= _LEAST_RATE:
            return "Learning rate too small. Stopping."
        self.learning_rate /= 5.0
        return None


def _plain(number: Any) -> float | int:
    """Return a number as the core wants it in a config."""
    return number if type(number) is int else float(number)
