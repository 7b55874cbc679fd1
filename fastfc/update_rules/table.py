"""What each update rule keeps in its config: hyper-parameters, their defaults, keys of state.

The core, the reference, the Solver's checks and the command line read it here.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from collections.abc import Mapping


class Rule(typing.NamedTuple):
    """What a rule keeps in its config, in the order of its formula's arguments.

    Attributes
    ----------
    constants : dict
        Hyper-parameters and their defaults; ``t`` counts the steps.
    states : tuple of tuple of str
        The keys of its state.  The last of them unless the config arrives with an earlier one.

    Examples
    --------
    >>> from fastfc.update_rules import RULES
    >>> RULES["rmsprop"].keys({}), RULES["rmsprop"].keys({"cache": None})
    (('a',), ('cache',))
    """

    constants: dict[str, float]
    states: tuple[tuple[str, ...], ...]

    def keys(self, config: Mapping[str, object]) -> tuple[str, ...]:
        """Return the keys of the state in this config."""
        return next((keys for keys in self.states[:-1] if keys[0] in config), self.states[-1])


RULES = {
    "sgd": Rule({"learning_rate": 1e-2}, ((),)),
    "sgd_momentum": Rule({"learning_rate": 1e-2, "momentum": 0.9}, (("velocity",),)),
    "sgd_nesterov_momentum": Rule({"learning_rate": 1e-2, "momentum": 0.9}, (("velocity",),)),
    "rmsprop": Rule(
        {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}, (("cache",), ("a",))
    ),
    "adam": Rule(
        {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0},
        (("m", "v"), ("v", "a")),
    ),
}
RULES["adamw"] = Rule({**RULES["adam"].constants, "weight_decay": 1e-2}, RULES["adam"].states)
