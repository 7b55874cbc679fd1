"""Where the time goes: of the run, from its history, and within a step, by trying some."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import optim
from ..networks.losses import loss_arguments
from ..update_rules import RULES
from .html import Section, element, table
from .words import counted, duration, percent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .html import Html
    from .run import Run

MOST_SECONDS = 0.25  # spent on trying steps
MOST_TRIED = 25
PHASES = ("minibatch", "forward pass", "loss", "backward pass", "update")


class Spent(NamedTuple):
    """Seconds of a run: in its steps, between them, and of a usual step."""

    steps: float
    between: float
    usual: float


def time_section(run: Run) -> Section:
    """Return the section of the time spent."""
    return Section("time", "Time", *_of_the_run(run), *_of_a_step(run))


def time_spent(run: Run) -> Spent | None:
    """Return where the time of the run went, None where its history does not say.

    The history has the time at which each step was done.  What is between the end of an epoch, or
    the first step, and the end of the next step is a step too, and the scoring: more than a usual
    step there is no step's.
    """
    seconds, epochs = run.history["seconds"], run.history["epoch"]
    if not len(seconds) or not np.isfinite(seconds).all():
        return None
    each = np.diff(seconds, prepend=0.0)
    after_scoring = np.zeros(len(each), bool)
    after_scoring[1:2] = True
    after_scoring[1:] |= np.diff(epochs, prepend=0.0)[:-1] > 0
    plain = each[~after_scoring]
    usual = float(np.median(plain[1:] if len(plain) > 1 else plain))
    more = np.maximum(each[after_scoring] - usual, 0).sum()
    total = max(float(run.summary.get("seconds") or 0.0), float(seconds[-1]))
    steps = float(seconds[-1] - more)
    return Spent(steps, max(total - steps, 0.0), usual)


def _of_the_run(run: Run) -> list[Html | None]:
    """Describe the time of the run."""
    spent = time_spent(run)
    if spent is None:
        return [element("p", "The run's history does not say when its steps were done.")]
    total = max(spent.steps + spent.between, np.finfo(np.float64).tiny)
    steps = len(run.history["loss"])
    rows = [
        ("training steps", duration(spent.steps), percent(spent.steps / total)),
        (
            "scoring, checkpoints, callbacks",
            duration(spent.between),
            percent(spent.between / total),
        ),
        ("together", duration(total), percent(1.0)),
    ]
    batch = int(run.setting("batch_size", 100))
    rate = steps * batch / max(spent.steps, np.finfo(np.float64).tiny)
    told = (
        f"{counted(steps, 'step')}, usually {duration(spent.usual)} each (the median), "
        f"{rate:,.0f} examples a second."
    )
    caption = (
        "Time of the run by phase. What a step takes longer after a scoring than usual is counted "
        "to the scoring"
    )
    return [element("p", told), table(caption, ("Phase", "Time", "Share"), rows)]


def _of_a_step(run: Run) -> list[Html | None]:
    """Describe the time within a step."""
    tried = try_steps(run)
    if tried is None:
        return []
    times, whole, count = tried
    total = sum(times.values())
    rows = [
        (phase, duration(seconds), percent(seconds / total)) for phase, seconds in times.items()
    ]
    rows.append(("together", duration(total), percent(1.0)))
    told = (
        "Measured when this report was written, on this machine: the median of "
        f"{counted(count, 'step')} of a copy of the network, layer by layer, each phase a call of "
        "its own."
    )
    if whole is not None:
        told += (
            " The run's own steps are one call of the core each, which on the same minibatches "
            f"took {duration(whole)}, {percent(whole / total)} of that."
        )
    caption = "Time within a step by phase, done layer by layer"
    return [
        element("h3", "Within a step"),
        element("p", told),
        table(caption, ("Phase", "Time", "Share"), rows),
    ]


def try_steps(run: Run) -> tuple[dict[str, float], float | None, int] | None:
    """Time the phases of some training steps, of a copy of the network.

    Returns
    -------
    tuple or None
        Median seconds by phase; those of a whole step as the Solver does it, None where the network
        has no such step; how many were timed.  None where the update rule is none of fastfc's.
    """
    rule = str(run.setting("update_rule", "sgd"))
    if rule not in RULES:
        return None
    state = np.random.get_state(legacy=False)
    try:
        with np.errstate(all="ignore"):
            return _timed(run, rule)
    finally:
        np.random.set_state(state)


def _timed(run: Run, rule: str) -> tuple[dict[str, float], float | None, int]:
    """Do what `try_steps` does."""
    step = _Step(run, rule)
    phases: list[Callable[[], object]] = [
        step.minibatch,
        step.forward,
        step.loss,
        step.backward,
        step.update,
    ]
    times: list[list[float]] = [[] for _ in phases]
    whole: list[float] = []
    end = time.perf_counter() + MOST_SECONDS
    while len(whole) < 2 or (len(whole) <= MOST_TRIED and time.perf_counter() < end):
        for found, phase in zip(times, phases, strict=True):
            found.append(_time(phase))
        whole.append(_time(step.whole))
    medians = {name: float(np.median(found[1:])) for name, found in zip(PHASES, times, strict=True)}
    fused = float(np.median(whole[1:])) if step.has_whole else None
    return medians, fused, len(whole) - 1


def _time(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class _Step:
    """A training step in its phases."""

    def __init__(self, run: Run, rule: str) -> None:
        self._run, self._rule_name, self._rule = run, rule, getattr(optim, rule)
        self._network: Any = run.network._twin()
        self._network.params = {name: np.array(w) for name, w in run.network.params.items()}
        self._network._set_mode("train")
        config = {name: run.setting(name, usual) for name, usual in RULES[rule].constants.items()}
        self._configs: dict[str, dict[str, Any]] = {
            name: dict(config) for name in self._network.params
        }
        count = int(run.data["X_train"].shape[0])
        self._rows = np.random.randint(0, count, int(run.setting("batch_size", 100)))
        self._y = np.asarray(run.data["y_train"])
        self.has_whole = hasattr(self._network, "__fastfc_train_step__")

    def minibatch(self) -> None:
        """Read the rows."""
        self._X, self._labels = self._run.inputs("train", self._rows), self._y[self._rows]

    def forward(self) -> None:
        """Compute the scores."""
        self._scores, self._caches = self._network._forward(self._X, self._network._own_params())

    def loss(self) -> None:
        """Compute the loss and the scores' gradient."""
        loss_of = getattr(self._network._layers, f"{self._network.loss_name}_loss")
        _, self._dscores = loss_of(self._scores, self._labels, **loss_arguments(self._network))

    def backward(self) -> None:
        """Compute the parameters' gradients, regularised."""
        self._grads = self._network._backward(self._dscores, self._caches)
        self._network._regularise(0.0, self._grads)

    def update(self) -> None:
        """Update the parameters."""
        params = self._network.params
        for name, config in self._configs.items():
            params[name], self._configs[name] = self._rule(params[name], self._grads[name], config)

    def whole(self) -> None:
        """Do all of it in one call, where the network has one."""
        if self.has_whole:
            done = self._network.__fastfc_train_step__(
                self._X, self._labels, self._rule_name, self._configs
            )
            self.has_whole = done is not None
