"""Update rules ``(w, dw, config=None) -> (next_w, config)``, computed by the C core.

Defaults, state and its keys are those of :mod:`fastfc.update_rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from . import _core
from .update_rules import RULES, UpdateRules

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, OptimConfig
    from .update_rules.calls import RegularRule

__all__ = ["adam", "adamw", "rmsprop", "sgd", "sgd_momentum", "sgd_nesterov_momentum"]


class _Rules(UpdateRules):
    """The rules, in one call of the core where everything is as a rule leaves it."""

    def _update(
        self, rule: str, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None
    ) -> tuple[Array, OptimConfig]:
        if config is not None:
            next_w = _core.update(rule, w, dw, config)
            if next_w is not None:
                return next_w, config
        return super()._update(rule, w, dw, config)


_core.set_rule_table(RULES)
_rules = _Rules(cast("RegularRule", _core.update))  # None is for irregular updates
sgd = _rules.sgd
sgd_momentum = _rules.sgd_momentum
sgd_nesterov_momentum = _rules.sgd_nesterov_momentum
rmsprop = _rules.rmsprop
adam = _rules.adam
adamw = _rules.adamw
