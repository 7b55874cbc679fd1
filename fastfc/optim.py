"""Update rules ``(w, dw, config=None) -> (next_w, config)``, computed by the C core.

Defaults, state and its keys are those of :mod:`fastfc.update_rules`.
"""

from . import _core
from .update_rules import RULES, UpdateRules

__all__ = ["adam", "adamw", "rmsprop", "sgd", "sgd_momentum", "sgd_nesterov_momentum"]


class _Rules(UpdateRules):
    """The rules, in one call of the core where everything is as a rule leaves it."""

    def _update(self, rule, w, dw, config):
        next_w = _core.update(rule, w, dw, config)
        return super()._update(rule, w, dw, config) if next_w is None else (next_w, config)


_core.set_rule_table(RULES)
_rules = _Rules(_core.update)
sgd = _rules.sgd
sgd_momentum = _rules.sgd_momentum
sgd_nesterov_momentum = _rules.sgd_nesterov_momentum
rmsprop = _rules.rmsprop
adam = _rules.adam
adamw = _rules.adamw
