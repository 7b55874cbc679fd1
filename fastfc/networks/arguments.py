"""What a network's constructor is given, and how its arguments are checked."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import TypeVar

    Value = TypeVar("Value")

# What a hidden layer is, in layer_utils, under each normalisation.
HIDDEN_LAYERS = {
    None: "affine_relu",
    "batchnorm": "affine_batchnorm_relu",
    "layernorm": "affine_ln_relu",
}


def choose_name(
    name: str, value: Value, other: str, other_value: Value, default: Value
) -> tuple[str, Value]:
    """Return the name and the value of an argument that has two names, of which None is not given.

    The nndl and CS231n courses call it differently, at the same place.
    """
    if value is not None and other_value is not None:
        raise TypeError(
            f"{name} is {value!r} and {other} is {other_value!r}, expected one of them: "
            "they are two names of one argument"
        )
    if other_value is not None:
        return other, other_value
    return name, default if value is None else value


def check_dropout(name: str, probability: object, convention: object) -> None:
    """Raise an error unless a network can keep or drop units with this probability."""
    if convention not in ("keep", "drop"):
        raise ValueError(f"dropout_convention is {convention!r}, expected 'keep' or 'drop'")
    drop = convention == "drop"
    if drop and name == "dropout_keep_ratio":
        raise ValueError(
            "dropout_convention is 'drop' and dropout_keep_ratio is given, expected dropout, the "
            "probability of dropping a unit"
        )
    allowed = isinstance(probability, numbers.Real) and 0 <= probability <= 1
    if not allowed or (drop and probability == 1):
        expected = "dropping a unit, in [0, 1)" if drop else "keeping a unit, in (0, 1]"
        raise ValueError(
            f"{name} is {probability!r}, expected the probability of {expected}, "
            "or 0 for no dropout"
        )


def check_normalization(name: str, value: object) -> str | None:
    """Return the kind of normalisation: None, "batchnorm" or "layernorm"."""
    if value is None or (isinstance(value, str) and value in HIDDEN_LAYERS):
        return value
    if not isinstance(value, bool | np.bool_ | numbers.Integral):
        raise ValueError(
            f"{name} is {value!r}, expected None, 'batchnorm', 'layernorm', or whether to "
            "normalise over the batch"
        )
    return "batchnorm" if value else None


def check_size(name: str, value: object) -> int:
    """Return the size of a layer as an int, or say which argument is none."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} has {value!r}, expected an integer")
    if value < 1:
        raise ValueError(f"{name} has {value}, expected at least 1")
    return int(value)


def check_fraction(name: str, value: object) -> float:
    """Return a number in [0, 1] as a float, or say which argument is none."""
    if not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {value!r}, expected a number in [0, 1]")
    return float(value)
