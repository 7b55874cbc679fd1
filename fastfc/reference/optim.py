"""The update rules as formulas in plain NumPy.

Defaults, state and its keys are those of :mod:`fastfc.update_rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..update_rules import RULES, UpdateRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._types import Array, OptimConfig

__all__ = ["adam", "adamw", "rmsprop", "sgd", "sgd_momentum", "sgd_nesterov_momentum"]


class Formulas:
    """The rules as formulas: arrays of one shape and dtype in, new ones out, next_w and state."""

    @staticmethod
    def sgd(w: Array, dw: Array, learning_rate: float) -> tuple[Array]:
        """Gradient descent in w itself: w <- w - lr dw."""
        w -= learning_rate * dw
        return (w,)

    @staticmethod
    def sgd_momentum(
        w: Array, dw: Array, velocity: Array, learning_rate: float, momentum: float
    ) -> tuple[Array, Array]:
        """Momentum (Polyak 1964): v <- mu v - lr dw, w <- w + v."""
        velocity = momentum * velocity - learning_rate * dw
        return w + velocity, velocity

    @staticmethod
    def sgd_nesterov_momentum(
        w: Array, dw: Array, velocity: Array, learning_rate: float, momentum: float
    ) -> tuple[Array, Array]:
        """Nesterov momentum (Sutskever et al. 2013): w <- w + v + mu (v - v_old)."""
        previous = velocity
        velocity = momentum * velocity - learning_rate * dw
        return w + velocity + momentum * (velocity - previous), velocity

    @staticmethod
    def rmsprop(
        w: Array, dw: Array, a: Array, learning_rate: float, decay_rate: float, epsilon: float
    ) -> tuple[Array, Array]:
        """RMSProp (Tieleman & Hinton 2012): a is the running mean of dw^2."""
        a = decay_rate * a + (1 - decay_rate) * dw**2
        return w - learning_rate * dw / (np.sqrt(a) + epsilon), a

    @staticmethod
    def adam(
        w: Array,
        dw: Array,
        v: Array,
        a: Array,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        t: int,
    ) -> tuple[Array, Array, Array]:
        """Adam (Kingma & Ba 2015): moments v of dw, a of dw^2, corrected for their start at 0."""
        step, v, a = _adam_step(dw, v, a, learning_rate, beta1, beta2, epsilon, t)
        return w - step, v, a

    @staticmethod
    def adamw(
        w: Array,
        dw: Array,
        v: Array,
        a: Array,
        learning_rate: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        t: int,
        weight_decay: float,
    ) -> tuple[Array, Array, Array]:
        """Adam with decoupled weight decay (Loshchilov & Hutter 2019): no moment sees the decay."""
        step, v, a = _adam_step(dw, v, a, learning_rate, beta1, beta2, epsilon, t)
        return w - (step + learning_rate * weight_decay * w), v, a


def _adam_step(
    dw: Array,
    v: Array,
    a: Array,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    t: int,
) -> tuple[Array, Array, Array]:
    """Return Adam's step and the next moments."""
    v = beta1 * v + (1 - beta1) * dw
    a = beta2 * a + (1 - beta2) * dw**2
    v_corrected = v / (1 - beta1**t)
    a_corrected = a / (1 - beta2**t)
    return learning_rate * v_corrected / (np.sqrt(a_corrected) + epsilon), v, a


def by_formula(rule: str, w: Array, dw: Array, config: OptimConfig) -> Array:
    """Return next_w of a regular update, and put its state and ``t`` into the config."""
    if "t" in config:
        config["t"] += 1
    keys = RULES[rule].keys(config)
    arguments = [config[key] for key in (*keys, *RULES[rule].constants)]
    formula: Callable[..., tuple[Array, ...]] = getattr(Formulas, rule)
    next_w, *state = formula(w, dw, *arguments)
    config.update(zip(keys, state, strict=True))
    return next_w


_rules = UpdateRules(by_formula)
sgd = _rules.sgd
sgd_momentum = _rules.sgd_momentum
sgd_nesterov_momentum = _rules.sgd_nesterov_momentum
rmsprop = _rules.rmsprop
adam = _rules.adam
adamw = _rules.adamw
