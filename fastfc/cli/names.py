"""What the options are called, and which update rule has which of them.

An option of the network or of the Solver is stored under the name that the API gives the argument;
`fastfc.cli.arguments` hands them on by these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastfc.cli import values
from fastfc.update_rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# What each update rule can be told besides its learning rate, as keys of its config.
RULE_OPTIONS = {
    name: tuple(key for key in rule.constants if key not in ("learning_rate", "t"))
    for name, rule in RULES.items()
}
ADAM_LEARNING_RATE = 5e-4

# Options whose names are not those of the API's arguments.
FLAGS = {
    "hidden_dims": "--hidden",
    "num_epochs": "--epochs",
    "checkpoint_name": "--checkpoint",
    "verbose": "--quiet",
}


def flag_of(name: str) -> str:
    """Return the option that sets an argument of the API.

    Examples
    --------
    >>> flag_of("num_epochs"), flag_of("clip_norm")
    ('--epochs', '--clip-norm')
    """
    return FLAGS.get(name, "--" + name.replace("_", "-"))


def add_option(group: Any, name: str, **kwargs: Any) -> None:
    """Add the option that sets an argument of the API."""
    group.add_argument(flag_of(name), dest=name, **kwargs)


def add_counts(
    group: Any, *counts: tuple[str, int | None, str], type: Callable[[str], Any] = values.count
) -> None:
    """Add options that take a whole number from 1 on: (name, default, help) for each."""
    for name, default, text in counts:
        text += "" if default is None else " (default: %(default)s)"
        add_option(group, name, type=type, default=default, metavar="N", help=text)


def rules_with(key: str) -> str:
    """Return the names of the update rules that have a hyper-parameter, as a sentence has them."""
    *others, last = (rule for rule, keys in RULE_OPTIONS.items() if key in keys)
    return f"{', '.join(others)} and {last}" if others else last
