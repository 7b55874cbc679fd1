"""Checks of what a network is made of."""

import operator

import numpy as np

from ..arguments import shown


def check_dtype(value):
    """Return np.float32 or np.float64, or say that dtype is neither."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        raise TypeError(f"dtype is {shown(value)}, expected float32 or float64") from None
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype is {dtype}, expected float32 or float64")
    return dtype.type


def check_seed(name, value, rng):
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


def check_params(params, num_layers, normalization):
    """Raise an error unless a network of so many layers has all its parameters.

    Raises
    ------
    ValueError
        One is missing.

    Examples
    --------
    >>> check_params({"W1": 0.0, "b1": 0.0, "W2": 0.0}, 2, None)
    Traceback (most recent call last):
    ValueError: params has no b2, expected W1, b1, W2, b2 of a network of 2 layers
    """
    names = [f"{kind}{i}" for i in range(1, num_layers + 1) for kind in "Wb"]
    if normalization:
        names += [f"{kind}{i}" for i in range(1, num_layers) for kind in ("gamma", "beta")]
    if missing := [name for name in names if name not in params]:
        raise ValueError(
            f"params has no {', '.join(missing)}, expected {', '.join(names)} of a network of "
            f"{num_layers} layers"
        )
