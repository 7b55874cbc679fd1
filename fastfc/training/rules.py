"""Which update rules are fastfc's own."""

import types
from typing import Any

from .. import optim
from ..update_rules import RULES, UpdateRules

_NAMES = {getattr(UpdateRules, name): name for name in optim.__all__}


def built_in(rule: Any) -> str | None:
    """Return the name of a rule of :mod:`fastfc.optim`, None for any other.

    A rule is known by what it is, not by which object: one that was copied, with its Solver or in
    a pickle, is the same rule.

    Parameters
    ----------
    rule : callable
        Not necessarily hashable.

    Returns
    -------
    str or None

    Examples
    --------
    >>> import copy
    >>> from fastfc import optim, reference
    >>> built_in(copy.deepcopy(optim.adam)), built_in(reference.optim.adam)
    ('adam', None)
    """
    if type(rule) is not types.MethodType or type(rule.__self__) is not optim._Rules:
        return None
    return _NAMES.get(rule.__func__)


def shares_defaults(rule: Any) -> bool:
    """Return whether a rule's defaults are those of fastfc's rules, as the reference's are."""
    return isinstance(getattr(rule, "__self__", None), UpdateRules)


def rule_name(rule: Any) -> str | None:
    """Return the name of a rule of fastfc's, or of the reference's; None for any other."""
    name = getattr(rule, "__name__", None)
    return name if shares_defaults(rule) and name in RULES else None


def is_sgd(rule: Any) -> bool:
    """Return whether a rule is sgd, fastfc's or the reference's."""
    return rule_name(rule) == "sgd"


def is_adamw(rule: Any) -> bool:
    """Return whether a rule is adamw, fastfc's or the reference's."""
    return rule_name(rule) == "adamw"
