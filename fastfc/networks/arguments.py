"""What a network's constructor is given, and how its arguments are checked."""

from __future__ import annotations

import numbers
import operator
import sys
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import check_flag, check_word, count, is_real, is_whole, shown

if TYPE_CHECKING:
    from typing import TypeVar

    Value = TypeVar("Value")

# What a hidden layer is, in layer_utils, under each normalisation.
HIDDEN_LAYERS = {
    None: "affine_relu",
    "batchnorm": "affine_batchnorm_relu",
    "layernorm": "affine_ln_relu",
}

# What follows it: the layer of each activation, for fastfc.layers.
ACTIVATIONS = {
    "relu": "relu",
    "identity": None,
    "logistic": "sigmoid",
    "tanh": "tanh",
    "leaky_relu": "leaky_relu",
    "silu": "silu",
    "gelu": "gelu",
}


def choose_name(
    name: str, value: Value, other: str, other_value: Value, default: Value
) -> tuple[str, Value]:
    """Return the name and the value of an argument that has two names, of which None is not given.

    The nndl and CS231n courses call it differently, at the same place.
    """
    if value is not None and other_value is not None:
        raise TypeError(
            f"{name} is {shown(value)} and {other} is {shown(other_value)}, expected one of them: "
            "they are two names of one argument"
        )
    if other_value is not None:
        return other, other_value
    return name, default if value is None else value


def check_dropout(name: str, probability: Any, convention: object) -> None:
    """Raise an error unless a network can keep or drop units with this probability."""
    check_word("dropout_convention", convention, ("keep", "drop"))
    drop = convention == "drop"
    if drop and name == "dropout_keep_ratio":
        raise ValueError(
            "dropout_convention is 'drop' and dropout_keep_ratio is given, expected dropout, the "
            "probability of dropping a unit"
        )
    allowed = is_real(probability) and 0 <= probability <= 1
    if not allowed or (drop and probability == 1):
        expected = "dropping a unit, in [0, 1)" if drop else "keeping a unit, in (0, 1]"
        raise ValueError(
            f"{name} is {shown(probability)}, expected the probability of {expected}, "
            "or 0 for no dropout"
        )


def check_normalization(name: str, value: object) -> str | None:
    """Return the kind of normalisation: None, "batchnorm" or "layernorm"."""
    if value is None or (isinstance(value, str) and value in HIDDEN_LAYERS):
        return value
    if not isinstance(value, bool | np.bool_ | numbers.Integral):
        raise ValueError(
            f"{name} is {shown(value)}, expected None, 'batchnorm', 'layernorm', or whether to "
            "normalise over the batch"
        )
    return "batchnorm" if value else None


def check_activation(value: object) -> str:
    """Return the name of an activation as a plain str, or say that it is none.

    Examples
    --------
    >>> check_activation("sigmoid")
    Traceback (most recent call last):
    ValueError: activation is 'sigmoid', expected 'relu', 'identity', 'logistic', 'tanh',
    'leaky_relu', 'silu' or 'gelu'
    """
    return str(check_word("activation", value, list(ACTIVATIONS)))


def check_size(name: str, value: Any) -> int:
    """Return the size of a layer as an int, or say which argument is none."""
    if not is_whole(value) or isinstance(value, bool):
        raise TypeError(f"{name} has {shown(value)}, expected an integer")
    if not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name} has {shown(value)}, expected at least 1, and less than memory")
    return int(value)


def check_fraction(name: str, value: Any) -> float:
    """Return a number in [0, 1] as a float, or say which argument is none."""
    if not is_real(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {shown(value)}, expected a number in [0, 1]")
    return float(value)


def check_dtype(value: Any) -> type[np.floating[Any]]:
    """Return np.float32 or np.float64, or say that dtype is neither."""
    try:
        dtype = np.dtype(value)
    except Exception:  # NumPy's words for it are of many types
        raise TypeError(f"dtype is {shown(value)}, expected float32 or float64") from None
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype is {dtype}, expected float32 or float64")
    kind: type[np.floating[Any]] = dtype.type
    return kind


def check_seed(name: str, value: Any, rng: str) -> None:
    """Raise an error unless dropout can be seeded with this, whose masks come from ``rng``.

    Raises
    ------
    TypeError
        It is no integer, nor, for ``'numpy'``, what else ``np.random.seed`` takes.
    ValueError
        It is out of range.

    Examples
    --------
    >>> check_seed("seed", -1, "numpy")
    Traceback (most recent call last):
    ValueError: seed is -1, expected an integer in [0, 2**32)
    """
    expected = f"expected an integer in [0, 2**{64 if rng == 'philox' else 32})"
    try:
        if rng != "philox":
            np.random.RandomState(value)  # its own: the global one stays as it is
        elif not 0 <= operator.index(value) < 2**64:
            raise ValueError
    except TypeError:
        raise TypeError(f"{name} is {shown(value)}, {expected}") from None
    except ValueError:
        raise ValueError(f"{name} is {shown(value)}, {expected}") from None


def check_attributes(network: Any) -> None:
    """Raise an error where a network's attribute is set to what no pass can use.

    What is not looked at here is checked where it is used.

    Raises
    ------
    TypeError, ValueError
        The attribute is none of those that the constructor sets.
    """
    if network.dtype is not np.float32 and network.dtype is not np.float64:
        network.dtype = check_dtype(network.dtype)
    if network.normalization is not None:
        network.normalization = check_normalization("normalization", network.normalization)
    network.activation = check_activation(network.activation)
    list_bn_params(network.bn_params)
    if network.use_dropout is not False:
        network.use_dropout = check_flag("use_dropout", network.use_dropout)
    if not _is_mutable(network.dropout_param):
        raise TypeError(f"dropout_param is {shown(network.dropout_param)}, expected a dict")


def _is_mutable(mapping: object) -> bool:
    """Return whether it is a dictionary of some kind; at once for a plain one, asked each step."""
    return type(mapping) is dict or isinstance(mapping, MutableMapping)


def list_bn_params(found: Any) -> list[MutableMapping[str, Any]]:
    """Return the dictionaries of the normalisations; users may set them."""
    try:
        bn_params: list[Any] = [None] if isinstance(found, (str, Mapping)) else list(found)
    except TypeError:
        bn_params = [None]
    if not all(map(_is_mutable, bn_params)):
        raise TypeError(
            f"bn_params is {shown(found)}, expected a list of dicts, one for each hidden layer"
        )
    return bn_params


def check_params(params: Mapping[str, Any], num_layers: int, normalization: str | None) -> None:
    """Raise an error unless a network of so many layers has all its parameters.

    Raises
    ------
    ValueError
        One is missing, or there cannot be so many layers.

    Examples
    --------
    >>> check_params({"W1": 0.0, "b1": 0.0, "W2": 0.0}, 2, None)
    Traceback (most recent call last):
    ValueError: params has no b2, expected W1, b1, W2, b2 of a network of 2 layers, its
    num_layers
    """
    count("num_layers", num_layers)
    if num_layers > max(len(params), 2):  # anybody may set it: to what makes a very long list
        raise ValueError(
            f"num_layers is {num_layers}, expected the number of layers of params, which has "
            f"{len(params)} arrays"
        )
    names = [f"{kind}{i}" for i in range(1, num_layers + 1) for kind in "Wb"]
    if normalization:
        names += [f"{kind}{i}" for i in range(1, num_layers) for kind in ("gamma", "beta")]
    if missing := [name for name in names if name not in params]:
        raise ValueError(
            f"params has no {', '.join(missing)}, expected {', '.join(names)} of a network of "
            f"{num_layers} layers, its num_layers"
        )
