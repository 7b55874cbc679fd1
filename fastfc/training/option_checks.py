"""The keys of ``optim_config``: which ones a rule of fastfc's knows, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arguments import check_number, did_you_mean, shown
from ..update_rules import RULES
from .notices import warn
from .rules import rule_name

# adamw is in no course: what only it knows is no slip of a shared dictionary.
_COURSE_RULES = [name for name in RULES if name != "adamw"]


class Resumed(dict[str, Any]):
    """The ``optim_config`` of a run that goes on: taken as it was."""


def check_optim_config(rule: Any, config: Mapping[str, Any]) -> None:
    """Raise an error for a key that a built-in rule does not know, or a value that is no number.

    A key or state of another course's rule is warned of: one dictionary often serves several rules.

    Parameters
    ----------
    rule : callable
        Rules that are not fastfc's may have any config.
    config : mapping
        The Solver's ``optim_config``.

    Raises
    ------
    ValueError
        As above.

    Examples
    --------
    >>> from fastfc.optim import adam
    >>> check_optim_config(adam, {"lr": 1e-3})
    Traceback (most recent call last):
    ValueError: optim_config has 'lr', expected keys of adam, learning_rate, beta1, beta2, epsilon:
    did you mean 'learning_rate'?
    """
    name = rule_name(rule)
    if name is None or isinstance(config, Resumed):
        return
    own = _keys(name)
    of_courses = {key for course_rule in _COURSE_RULES for key in _keys(course_rule)}
    useless = []
    for key, value in config.items():
        if key in RULES[name].constants:
            check_number(f"optim_config: {key}", value)
        elif key in of_courses - own:
            useless.append(str(key))
        elif key not in own:
            raise ValueError(_unknown(name, key))
    if useless:
        warn(f"optim_config: {name} has no use for {', '.join(useless)}")


def _keys(name: str) -> set[str]:
    """Return all keys that a rule knows, its state's among them."""
    return {*RULES[name].constants, *(key for keys in RULES[name].states for key in keys)}


def _unknown(name: str, key: object) -> str:
    known = [constant for constant in RULES[name].constants if constant != "t"]
    others = [other for other in RULES if key in RULES[other].constants]
    hint = f": it is a key of {', '.join(others)}" if others else did_you_mean(key, known)
    return f"optim_config has {shown(key)}, expected keys of {name}, {', '.join(known)}{hint}"
