"""From options to the API's arguments: an option is stored under its argument's name."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING

from fastfc import fc_net
from fastfc.cli.command import UsageError
from fastfc.cli.options import ADAM_LEARNING_RATE, RULE_KEYS, RULE_OPTIONS, flag_of, rules_with
from fastfc.networks.losses import LOSSES
from fastfc.training.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from types import SimpleNamespace
    from typing import Any

    from fastfc._types import DataSet

NETWORK_ARGUMENTS = tuple(inspect.signature(fc_net.FullyConnectedNet).parameters)


def network_arguments(options: SimpleNamespace, data: DataSet) -> dict[str, Any]:
    """Return the arguments of FullyConnectedNet, for inputs and classes as in data."""
    found = {name: value for name, value in vars(options).items() if name in NETWORK_ARGUMENTS}
    found["seed"] = options.dropout_seed  # --seed is NumPy's
    found["normalization"] = None if options.normalization == "none" else options.normalization
    found["dtype"] = options.dtype or ("float64" if options.compare else "float32")
    found["input_dim"] = math.prod(data["X_train"].shape[1:])
    found["num_classes"] = count_outputs(data, options.loss)
    return found


def count_outputs(data: DataSet, loss: str) -> int:
    """Return how many scores a network with such a loss has for these data."""
    if LOSSES[loss].labelled:
        return count_classes(data)
    return math.prod(data["y_train"].shape[1:])


def count_classes(data: DataSet) -> int:
    """Return how many classes the labels have: the greatest of all splits' and 0 to it.

    Raises
    ------
    UsageError
        It is far more than there are labels: a network as wide as a damaged label would be huge.

    Examples
    --------
    >>> import numpy as np
    >>> count_classes({"X_train": np.eye(3), "y_train": np.array([0, 4, 1])})
    5
    """
    labels = {name: y for name, y in data.items() if name.startswith("y")}
    most = max(10_000, sum(map(len, labels.values())))
    for name, y in labels.items():
        if y.max() >= most:
            raise UsageError(
                f"--data: {name} has the label {y.max()}, expected labels of classes 0 to C - 1, C "
                f"at most {most} by the number of labels"
            )
    return 1 + int(max(y.max() for y in labels.values()))


def solver_arguments(options: SimpleNamespace, names: AbstractSet[str]) -> dict[str, Any]:
    """Return the Solver's settings that the options with these names hold, checkpoints' too."""
    found = {name: getattr(options, name) for name in SETTINGS if name in names}
    found |= {name: None for name, value in found.items() if value == "all"}
    if "quiet" in names:
        found["verbose"] = not options.quiet
    if found.get("overwrite", True) is None:
        del found["overwrite"]
    if names & {"learning_rate", *RULE_KEYS}:
        found["optim_config"] = rule_config(options)
    return found


def rule_config(options: SimpleNamespace) -> dict[str, float]:
    """Return the optim_config that the options ask for.

    Raises
    ------
    UsageError
        An option is given that the update rule does not have.

    Examples
    --------
    >>> from fastfc.cli.train import command
    >>> from types import SimpleNamespace
    >>> options = command.make_context("train", ["--beta1", "0.5"]).params
    >>> rule_config(SimpleNamespace(**options))
    {'learning_rate': 0.0005, 'beta1': 0.5}
    """
    rule = options.update_rule
    config = {}
    if options.learning_rate is not None:
        config["learning_rate"] = options.learning_rate
    elif rule in ("adam", "adamw"):
        config["learning_rate"] = ADAM_LEARNING_RATE
    for key in RULE_KEYS:
        value = getattr(options, key)
        if value is not None and key not in RULE_OPTIONS[rule]:
            raise UsageError(
                f"{flag_of(key)} is an option of {rules_with(key)}, not of {rule}: "
                "leave it out or choose another --update-rule"
            )
        if value is not None:
            config[key] = value
    return config


def usage_error(error: Exception, otherwise: str | None = None) -> UsageError:
    """Return the UsageError that tells of an error of the API, with the option's name.

    Parameters
    ----------
    error : Exception
        Its message begins with the argument's name.
    otherwise : str, optional
        What it begins with where the API's does not.

    Returns
    -------
    UsageError

    Examples
    --------
    >>> usage_error(ValueError("num_epochs is -1, expected an integer of at least 0"))
    UsageError('--epochs: num_epochs is -1, expected an integer of at least 0')
    """
    text = str(error)
    name = text.partition(" ")[0].rstrip(":")
    if name in NETWORK_ARGUMENTS or name in SETTINGS:
        return UsageError(f"{flag_of(name)}: {text}")
    return UsageError(text if otherwise is None else f"{otherwise}: {text}")
