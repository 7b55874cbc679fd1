"""Update rules ``(w, dw, config=None) -> (next_w, config)``, computed by the C core.

Defaults, state and its keys are those of :class:`fastfc.reference.optim.UpdateRules`.
"""

from . import _core
from .reference.optim import UpdateRules

__all__ = ["adam", "adamw", "rmsprop", "sgd", "sgd_momentum", "sgd_nesterov_momentum"]

_rules = UpdateRules(_core)
sgd = _rules.sgd
sgd_momentum = _rules.sgd_momentum
sgd_nesterov_momentum = _rules.sgd_nesterov_momentum
rmsprop = _rules.rmsprop
adam = _rules.adam
adamw = _rules.adamw
