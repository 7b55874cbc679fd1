"""Learning-rate schedules: factors on the learning rates of all parameters, step by step.

Steps count from 0 and are the updates done before.  A schedule is any function of the step and the
Solver that returns a factor; those here can also say how they were made, as a dictionary of plain
values, and remember their state in another one, for checkpoints.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar, cast

from ..arguments import check_number, check_word, count, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Cosine", "Exponential", "Plateau", "Step", "make"]


@dataclasses.dataclass
class Schedule:
    """What the schedules share: their configuration; state, of which most have none.

    ``fitted`` names the lengths that nobody has given, so that they are the run's.
    """

    name: ClassVar[str]
    fitted = ()  # type: list[str] | tuple[str, ...]  # as a comment: it is no field

    def config(self) -> dict[str, Any]:
        """Return the dictionary that `make` makes this schedule of."""
        return {"name": self.name, **self._options()}

    def fit(self, total_steps: int) -> None:
        """Set the lengths that are None to those of a run."""

    def lengths(self, total_steps: int) -> list[str]:
        """Return the names of the lengths that are what `fit` makes them in such a run."""
        names = self.length_names()
        bare = type(self)(**{name: v for name, v in self._options().items() if name not in names})
        bare.fit(total_steps)
        return [name for name in names if getattr(bare, name) == getattr(self, name)]

    def length_names(self) -> list[str]:
        """Return the names of the lengths that may be the run's."""
        return [field.name for field in dataclasses.fields(self) if field.default is None]

    def _options(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    def end_epoch(self, solver: Any) -> None:
        """Take note of an epoch's scores."""

    def state(self) -> dict[str, Any]:
        """Return what the past has left behind, as plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""


@dataclasses.dataclass
class _Decay(Schedule):
    """A function of the steps after a linear warm-up (Goyal et al. 2017)."""

    warmup_steps = 0

    def decayed(self, t: int) -> float:
        """Return the factor after t steps behind the warm-up."""
        raise NotImplementedError

    def __call__(self, step: int, solver: Any = None) -> float:
        """Return the factor of a step."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return self.decayed(step - self.warmup_steps)


@dataclasses.dataclass
class Step(_Decay):
    """Multiplies by ``factor`` every so many steps: factor ** floor(t / every).

    Here and below t counts the steps after the warm-up, in which the factor rises linearly:
    (step + 1) / warmup_steps.

    Parameters
    ----------
    every : int, optional
        By default a third of the Solver's run.
    factor : float
        In (0, 1], default 0.1.
    warmup_steps : int
        Default 0.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Examples
    --------
    >>> schedule = Step(every=10, factor=0.5)
    >>> [schedule(step) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    name: ClassVar[str] = "step"
    every: int | None = None
    factor: float = 0.1
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        _steps("every", self.every, 1)
        _factor("factor", self.factor)
        _steps("warmup_steps", self.warmup_steps)

    def fit(self, total_steps: int) -> None:
        """Let the default have three rates in a run of so many steps."""
        if self.every is None:
            self.every = max(-(-total_steps // 3), 1)

    def decayed(self, t: int) -> float:
        """Return the factor after t steps behind the warm-up."""
        factor: float = self.factor ** (t // cast("int", self.every))  # `fit` has set it
        return factor


@dataclasses.dataclass
class Exponential(_Decay):
    """Decays by ``factor`` in every ``decay_steps`` steps, smoothly: factor ** (t / decay_steps).

    Parameters
    ----------
    factor : float
        In (0, 1], default 0.1.
    decay_steps : int, optional
        By default the Solver's run.
    warmup_steps : int
        As for `Step`.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Examples
    --------
    >>> schedule = Exponential(factor=0.25, decay_steps=10)
    >>> [schedule(step) for step in (0, 5, 10)]
    [1.0, 0.5, 0.25]
    """

    name: ClassVar[str] = "exponential"
    factor: float = 0.1
    decay_steps: int | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        _factor("factor", self.factor)
        _steps("decay_steps", self.decay_steps, 1)
        _steps("warmup_steps", self.warmup_steps)

    def fit(self, total_steps: int) -> None:
        """Let the default reach ``factor`` at the end of a run of so many steps."""
        if self.decay_steps is None:
            self.decay_steps = max(total_steps, 1)

    def decayed(self, t: int) -> float:
        """Return the factor after t steps behind the warm-up."""
        factor: float = self.factor ** (t / cast("int", self.decay_steps))
        return factor


@dataclasses.dataclass
class Cosine(_Decay):
    """Half a cosine down to ``min_factor`` (Loshchilov & Hutter 2017), without restarts.

    min_factor + (1 - min_factor) (1 + cos(pi t / T)) / 2, T = total_steps - warmup_steps; from
    total_steps on min_factor.

    Parameters
    ----------
    warmup_steps : int
        As for `Step`.
    total_steps : int, optional
        Warm-up included; by default the Solver's run.
    min_factor : float
        In [0, 1], default 0.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Examples
    --------
    >>> schedule = Cosine(warmup_steps=2, total_steps=6)
    >>> [round(schedule(step), 3) for step in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    name: ClassVar[str] = "cosine"
    warmup_steps: int = 0
    total_steps: int | None = None
    min_factor: float = 0.0

    def __post_init__(self) -> None:
        _steps("warmup_steps", self.warmup_steps)
        _steps("total_steps", self.total_steps, self.warmup_steps)
        _fraction("min_factor", self.min_factor)

    def fit(self, total_steps: int) -> None:
        """Let the default end with a run of so many steps."""
        if self.total_steps is None:
            self.total_steps = max(total_steps, self.warmup_steps)

    def decayed(self, t: int) -> float:
        """Return the factor after t steps behind the warm-up."""
        length = cast("int", self.total_steps) - self.warmup_steps
        if t >= length:
            return self.min_factor
        return self.min_factor + (1 - self.min_factor) * (1 + math.cos(math.pi * t / length)) / 2


@dataclasses.dataclass
class Plateau(Schedule):
    """Multiplies by ``factor`` after ``patience`` epochs in a row without a better score.

    Parameters
    ----------
    monitor : {'val_acc', 'loss'}
        The validation accuracy at the end of an epoch, or its mean loss.
    factor : float
        In (0, 1], default 0.1.
    patience : int
        Default 5; counted anew after each reduction.
    min_delta : float
        An epoch is better only by more than this, default 0.
    min_factor : float
        The product of all reductions stays at least this, in [0, 1], default 0.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> schedule = Plateau(factor=0.5, patience=2)
    >>> for accuracy in (0.5, 0.4, 0.3):
    ...     schedule.end_epoch(SimpleNamespace(val_acc_history=[accuracy]))
    >>> schedule(0), schedule.state()["best"]
    (0.5, 0.5)
    """

    name: ClassVar[str] = "plateau"
    monitor: str = "val_acc"
    factor: float = 0.1
    patience: int = 5
    min_delta: float = 0.0
    min_factor: float = 0.0

    def __post_init__(self) -> None:
        check_word("lr_schedule: monitor", self.monitor, ("val_acc", "loss"))
        _factor("factor", self.factor)
        _steps("patience", self.patience, 1)
        _real("min_delta", self.min_delta, "of at least 0", lambda value: 0 <= value < math.inf)
        _fraction("min_factor", self.min_factor)
        self._state: dict[str, Any] = {
            "reduced": 1.0,
            "best": None,
            "bad_epochs": 0,
            "losses_seen": 0,
        }

    def __call__(self, step: int, solver: Any = None) -> float:
        """Return the product of the reductions so far."""
        reduced: float = self._state["reduced"]
        return reduced

    def end_epoch(self, solver: Any) -> None:
        """Compare the epoch's score with the best; reduce if it has been too long ago."""
        state = self._state
        if self.monitor == "val_acc":
            score = float(solver.val_acc_history[-1])
        else:
            losses = solver.loss_history[state["losses_seen"] :]
            state["losses_seen"] += len(losses)
            score = -math.fsum(losses) / len(losses)
        if state["best"] is None or score > state["best"] + self.min_delta:
            state["best"], state["bad_epochs"] = score, 0
            return
        state["bad_epochs"] += 1
        if state["bad_epochs"] >= self.patience:
            state["bad_epochs"] = 0
            state["reduced"] = max(state["reduced"] * self.factor, self.min_factor)

    def state(self) -> dict[str, Any]:
        """Return the reductions, the best score (losses negative) and the epochs since."""
        return dict(self._state)

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Raises
        ------
        ValueError
            It is something else.
        """
        if not isinstance(state, dict) or state.keys() != self._state.keys():
            raise ValueError(f"a plateau's state has {', '.join(self._state)}, not {state!r:.80}")
        for name, value in state.items():
            plain = type(value) is (int if name in ("bad_epochs", "losses_seen") else float)
            if not plain and not (name == "best" and value is None):
                raise ValueError(f"a plateau's {name} is {value!r:.80}")
        self._state = dict(state)


SCHEDULES = {schedule.name: schedule for schedule in (Step, Exponential, Cosine, Plateau)}


def make(schedule: object, total_steps: int) -> Any:
    """Return the schedule that the Solver's ``lr_schedule`` describes, for a run of so many steps.

    Parameters
    ----------
    schedule : str, dict or callable
        The name of one above, ``'step'``, ``'exponential'``, ``'cosine'`` or ``'plateau'``; a
        dictionary of its ``name`` and parameters; or a function of the step and the Solver, which
        is returned as it is.  Schedules of this module are copied, without their state.
    total_steps : int
        What lengths that are not given follow.

    Returns
    -------
    callable

    Raises
    ------
    TypeError
        It is none of these.
    ValueError
        There is no such schedule or parameter, or a parameter is out of range.

    Examples
    --------
    >>> make({"name": "cosine", "warmup_steps": 5}, 100).config()
    {'name': 'cosine', 'warmup_steps': 5, 'total_steps': 100, 'min_factor': 0.0}
    """
    if isinstance(schedule, Schedule):
        schedule = schedule.config()
    if callable(schedule):
        return schedule
    options: Any = {"name": schedule} if isinstance(schedule, str) else schedule
    if not isinstance(options, dict):
        raise TypeError(f"lr_schedule is {shown(schedule)}, expected a name, a dict or a function")
    options = dict(options)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in SCHEDULES:
        raise ValueError(
            f"lr_schedule: name is {shown(name)}, expected one of {', '.join(SCHEDULES)}"
            f"{did_you_mean(name, SCHEDULES)}"
        )
    known = [field.name for field in dataclasses.fields(SCHEDULES[name])]
    for key in options:
        if key not in known:
            raise ValueError(
                f"lr_schedule: {name} has no parameter {shown(key)}, expected some of "
                f"{', '.join(known)}"
            )
    made = SCHEDULES[name](**options)
    given = made.config()
    made.fit(total_steps)
    made.fitted = [key for key, value in made.config().items() if value != given[key]]
    return made


def _real(name: str, value: object, expected: str, accepts: Callable[[Any], bool]) -> None:
    check_number(f"lr_schedule: {name}", value, f"a number {expected}", accepts)


def _fraction(name: str, value: object) -> None:
    _real(name, value, "in [0, 1]", lambda value: 0 <= value <= 1)


def _factor(name: str, value: object) -> None:
    _real(name, value, "in (0, 1]", lambda value: 0 < value <= 1)


def _steps(name: str, value: object, least: int = 0) -> None:
    if value is not None or name not in ("every", "decay_steps", "total_steps"):
        count(f"lr_schedule: {name}", value, least)
