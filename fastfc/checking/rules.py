"""Checks of the update rules, over some steps."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from ..reference import optim as reference
from ..update_rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .._types import Array, OptimConfig
    from .running import Checker

    State = dict[str, Any]
    Step = Callable[..., Any]  # w, dw, state and constants by name -> next w

_STEPS = 3
_CONFIGS = {
    "sgd": {"learning_rate": 0.3},
    "sgd_momentum": {"learning_rate": 0.3, "momentum": 0.8},
    "sgd_nesterov_momentum": {"learning_rate": 0.3, "momentum": 0.8},
    "rmsprop": {"learning_rate": 0.3, "decay_rate": 0.9, "epsilon": 1e-3},
    "adam": {"learning_rate": 0.3, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
    "adamw": {
        "learning_rate": 0.3,
        "beta1": 0.8,
        "beta2": 0.95,
        "epsilon": 1e-3,
        "weight_decay": 0.1,
    },
}


def check(checker: Checker) -> None:
    """Check what the student has of the update rules."""
    generator = np.random.RandomState(3)
    for rule, config in _CONFIGS.items():
        if checker.has(rule):
            for shape in ((4, 3), (5,), (1, 1)):
                _run(checker, generator, rule, shape, dict(config), "config given")
            _run(checker, generator, rule, (4, 3), None, "no config")


def _run(
    checker: Checker,
    generator: np.random.RandomState,
    rule: str,
    shape: tuple[int, ...],
    config: OptimConfig | None,
    said: str,
) -> None:
    w, gradients = generator.randn(*shape), generator.randn(_STEPS, *shape)
    start, constants = w.copy(), {**RULES[rule].constants, **(config or {})}
    own, expected, expected_config = w.copy(), w.copy(), config and dict(config)
    for step, dw in enumerate(gradients):
        case = f"w {shape}, {said}, step {step + 1}"
        expected, expected_config = getattr(reference, rule)(expected, dw, expected_config)
        arguments = (own, dw) if config is None else (own, dw, config)
        returned, value = checker.call(rule, case, *arguments)
        results = checker.results(rule, case, value, ("next_w", "config")) if returned else None
        if results is None:
            return
        so_far = gradients[: step + 1]
        mistakes = [
            (what, functools.partial(_after, formula, start, so_far, constants))
            for what, formula in _MISTAKES[rule]
        ]
        if not checker.compare(rule, "next_w", case, results["next_w"], expected, mistakes):
            return
        own, config = np.array(results["next_w"]), results["config"]
        if not isinstance(config, dict):
            checker.wrong(rule, "config", case, f"is a {type(config).__name__}, expected a dict")
            return


def _after(step: Step, w: Array, gradients: Array, constants: Mapping[str, float]) -> Array:
    """Return w after some steps of a formula, which keeps its state in a dict."""
    w = w.copy()
    state: State = {"m": 0.0, "v": 0.0, "t": 0}
    for dw in gradients:
        w = step(w, dw, state, **constants)
    return w


def _momentum(mistake: str) -> Step:
    def step(w: Array, dw: Array, s: State, learning_rate: float, momentum: float) -> Any:
        old = s["v"]
        if mistake == "damped":
            s["v"] = momentum * old - (1 - momentum) * learning_rate * dw
        elif mistake == "one minus":
            s["v"] = (1 - momentum) * old - learning_rate * dw
        elif mistake == "sign":
            s["v"] = momentum * old + learning_rate * dw
        elif mistake != "stateless":
            s["v"] = momentum * old - learning_rate * dw
        if mistake == "stateless":
            return w - learning_rate * dw
        if mistake == "plain":
            return w + s["v"]
        if mistake == "ahead":
            return w + s["v"] + momentum * s["v"]
        return w + s["v"]

    return step


def _rmsprop(mistake: str) -> Step:
    def step(
        w: Array, dw: Array, s: State, learning_rate: float, decay_rate: float, epsilon: float
    ) -> Any:
        decay = 1 - decay_rate if mistake == "exchanged" else decay_rate
        old = 0.0 if mistake == "stateless" else s["v"]
        s["v"] = decay * old + (1 - decay) * dw**2
        if mistake == "sum":
            s["v"] = decay * old + dw**2
        if mistake == "inside":
            return w - learning_rate * dw / np.sqrt(s["v"] + epsilon)
        if mistake == "no root":
            return w - learning_rate * dw / (s["v"] + epsilon)
        if mistake == "sign":
            return w + learning_rate * dw / (np.sqrt(s["v"]) + epsilon)
        if mistake == "fixed":
            return w - learning_rate * dw / (np.sqrt(s["v"]) + 1e-8)
        return w - learning_rate * dw / (np.sqrt(s["v"]) + epsilon)

    return step


def _adam(mistake: str) -> Step:
    def step(
        w: Array,
        dw: Array,
        s: State,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        t: int,
        weight_decay: float = 0.0,
    ) -> Any:
        s["t"] += 1
        t = 1 if mistake == "stuck" else s["t"] + {"late": -1, "early": 1}.get(mistake, 0)
        old_m, old_v = (0.0, 0.0) if mistake == "stateless" else (s["m"], s["v"])
        s["m"] = beta1 * old_m + (1 - beta1) * dw
        s["v"] = beta2 * old_v + (1 - beta2) * dw**2
        m, v = s["m"] / (1 - beta1**t), s["v"] / (1 - beta2**t)
        if mistake == "uncorrected":
            m, v = s["m"], s["v"]
        elif mistake == "first only":
            v = s["v"]
        elif mistake == "second only":
            m = s["m"]
        rate = -learning_rate if mistake == "sign" else learning_rate
        decay = {"undecayed": 0.0, "unrated": weight_decay / learning_rate}.get(
            mistake, weight_decay
        )
        root = np.sqrt(v + epsilon) if mistake == "inside" else np.sqrt(v) + epsilon
        if mistake == "fixed":
            root = np.sqrt(v) + 1e-8
        if mistake == "no root":
            root = v + epsilon
        return w - rate * m / root - learning_rate * decay * w

    return step


def _sgd(step: Callable[[Array, float, Array], Array]) -> Step:
    return lambda w, dw, s, learning_rate: step(w, learning_rate, dw)


_STATELESS = "the state of the step before is lost: is it kept in config?"
_SIGN = "the step has the wrong sign"
_INSIDE = "epsilon is added inside the square root"
_FIXED = "epsilon is always 1e-8"
_ROOT = "the square root is missing"
_OF_ADAM = [
    ("the bias correction is missing", _adam("uncorrected")),
    ("the second moment is not corrected", _adam("first only")),
    ("the first moment is not corrected", _adam("second only")),
    ("t is raised after the correction, expected before", _adam("late")),
    ("t starts at 1, expected at 0, and raised before the correction", _adam("early")),
    ("t is not raised", _adam("stuck")),
    (_STATELESS, _adam("stateless")),
    (_INSIDE, _adam("inside")),
    (_FIXED, _adam("fixed")),
    (_ROOT, _adam("no root")),
    (_SIGN, _adam("sign")),
]
_MISTAKES = {
    "sgd": [
        (_SIGN, _sgd(lambda w, rate, dw: w + rate * dw)),
        ("the learning rate is missing", _sgd(lambda w, rate, dw: w - dw)),
        ("w is returned as it is", _sgd(lambda w, rate, dw: w)),
    ],
    "sgd_momentum": [
        (_STATELESS, _momentum("stateless")),
        ("the gradient is multiplied by 1 - momentum", _momentum("damped")),
        ("the velocity is multiplied by 1 - momentum", _momentum("one minus")),
        (_SIGN, _momentum("sign")),
        ("it is Nesterov's", _momentum("ahead")),
    ],
    "sgd_nesterov_momentum": [
        (_STATELESS, _momentum("stateless")),
        ("it is plain momentum", _momentum("plain")),
        ("it goes ahead by all of the velocity, expected by its change", _momentum("ahead")),
        (_SIGN, _momentum("sign")),
    ],
    "rmsprop": [
        (_STATELESS, _rmsprop("stateless")),
        ("the decay rate is the wrong way round", _rmsprop("exchanged")),
        ("the squared gradient is not multiplied by 1 - decay_rate", _rmsprop("sum")),
        (_INSIDE, _rmsprop("inside")),
        (_FIXED, _rmsprop("fixed")),
        (_ROOT, _rmsprop("no root")),
        (_SIGN, _rmsprop("sign")),
    ],
    "adam": _OF_ADAM,
    "adamw": [
        *_OF_ADAM,
        ("the weights do not decay", _adam("undecayed")),
        ("the decay is not multiplied by the learning rate", _adam("unrated")),
    ],
}
