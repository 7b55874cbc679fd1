"""Checks of arguments in one wording: what it is called, what came, what was expected."""

import difflib
import math
import numbers
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

_LONGEST = 100  # characters of a value in a message


def shown(value: object) -> str:
    """Return a value as a message shows it: on one line, and never too long.

    Parameters
    ----------
    value : object

    Returns
    -------
    str

    Examples
    --------
    >>> shown("0.9"), shown(np.zeros((2, 3))), len(shown(10**400))
    ("'0.9'", 'an array of shape (2, 3)', 100)
    """
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return f"an array of shape {value.shape}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer too long for decimal digits, or somebody's own repr
        return f"a {type(value).__name__}"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 23]}...{text[-20:]}"
    return text


def nearest(word: object, words: Iterable[str]) -> str | None:
    """Return the word that was probably meant, None if no one is near.

    Parameters
    ----------
    word : object
        What came.
    words : iterable of str
        What is known.

    Returns
    -------
    str or None
        The most similar by letters, of either case, or else the one that it abbreviates.

    Examples
    --------
    >>> rules = ["sgd", "sgd_momentum", "adam"]
    >>> nearest("Adam", rules), nearest("sm", rules), nearest("lbfgs", rules)
    ('adam', 'sgd_momentum', None)
    """
    text = str(word).lower()
    words = list(words)
    if found := difflib.get_close_matches(text, words, 1):
        return found[0]
    initials = ["".join(part[0] for part in known.split("_") if part) for known in words]
    return words[initials.index(text)] if text in initials else None


def did_you_mean(word: object, words: Iterable[str]) -> str:
    """Return the end of a message that names the nearest word, empty if none is near.

    Examples
    --------
    >>> did_you_mean("Adam", ["sgd", "adam"])
    ": did you mean 'adam'?"
    """
    found = nearest(word, words)
    return "" if found is None else f": did you mean {found!r}?"


def check_word(name: str, value: object, words: Sequence[str]) -> str:
    """Return value if it is one of the words.

    Parameters
    ----------
    name : str
        The argument's.
    value : object
    words : sequence of str

    Returns
    -------
    str

    Raises
    ------
    ValueError
        It is something else, an array too.

    Examples
    --------
    >>> check_word("rng", "numpi", ["numpy", "philox"])
    Traceback (most recent call last):
    ValueError: rng is 'numpi', expected 'numpy' or 'philox': did you mean 'numpy'?
    """
    if not isinstance(value, str) or value not in words:
        *others, last = map(repr, words)
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        raise ValueError(f"{name} is {shown(value)}, expected {', '.join(others)} or {last}{hint}")
    return value


def check_number(
    name: str,
    value: Any,
    expected: str = "a finite number",
    accepts: Callable[[float], bool] = math.isfinite,
) -> float:
    """Return value as a float.

    Parameters
    ----------
    name : str
        The argument's.
    value : object
        Any number, one of NumPy's and an array of no axes included; text is none.
    expected : str
        Which numbers will do, for the message.
    accepts : callable
        Whether one will do.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        It is no number, too large for a float, or not accepted.

    Examples
    --------
    >>> check_number("lr_decay", "0.9")
    Traceback (most recent call last):
    ValueError: lr_decay is '0.9', expected a finite number
    """
    none = isinstance(value, (str, bytes, bytearray))
    none = none or (isinstance(value, np.ndarray) and value.ndim > 0)
    try:
        number = None if none else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not accepts(number):
        raise ValueError(f"{name} is {shown(value)}, expected {expected}")
    return number


def check_flag(name: str, value: object) -> bool:
    """Return whether value is true.

    Parameters
    ----------
    name : str
        The argument's.
    value : object
        Anything that Python has as a condition.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        It is none, as an array of many elements.

    Examples
    --------
    >>> check_flag("verbose", np.ones(2))
    Traceback (most recent call last):
    ValueError: verbose is an array of shape (2,), expected True or False
    """
    try:
        return bool(value)
    except Exception:
        raise ValueError(f"{name} is {shown(value)}, expected True or False") from None


def is_real(value: object) -> bool:
    """Return whether a value is a real number; checkers hold that `numbers.Real` has no order."""
    return isinstance(value, numbers.Real)


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number, Python's or NumPy's; as `is_real`."""
    return isinstance(value, numbers.Integral)


def count(name: str, value: Any, least: int = 1) -> int:
    """Return value if it is a whole number of at least ``least``, and one that can count memory.

    Parameters
    ----------
    name : str
        The argument's.
    value : object
    least : int

    Returns
    -------
    int
        Or an integer of NumPy's, as it came.

    Raises
    ------
    ValueError
        It is something else.

    Examples
    --------
    >>> count("batch_size", 0)
    Traceback (most recent call last):
    ValueError: batch_size is 0, expected an integer of at least 1
    """
    if not is_whole(value) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {shown(value)}, expected an integer of at least {least}")
    if value > sys.maxsize:
        raise ValueError(f"{name} is {shown(value)}, expected an integer of at most {sys.maxsize}")
    whole: int = value
    return whole


def check_dense(name: str, value: Any) -> None:
    """Raise an error for an array that NumPy would take for another one, or for none.

    Parameters
    ----------
    name : str
        The argument's.
    value : object
        Anything else is left alone.

    Raises
    ------
    ValueError
        A masked array with masked values: NumPy reads what lies beneath.
    TypeError
        A sparse matrix, which NumPy takes for one object.

    Examples
    --------
    >>> check_dense("X", np.ma.array([1.0, 2.0], mask=[False, True]))
    Traceback (most recent call last):
    ValueError: X is a masked array, 1 value of it masked, expected an array without a mask: fill
    them in first, by .filled(value)
    """
    if type(value) is np.ndarray:
        return
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.ma.count_masked(value))  # type: ignore[no-untyped-call]  # NumPy
        if masked:
            raise ValueError(
                f"{name} is a masked array, {masked} value{'s' * (masked > 1)} of it masked, "
                "expected an array without a mask: fill them in first, by .filled(value)"
            )
    elif hasattr(value, "nnz") and (hasattr(value, "toarray") or hasattr(value, "todense")):
        method = "toarray" if hasattr(value, "toarray") else "todense"
        raise TypeError(
            f"{name} is a {type(value).__name__}, a sparse matrix, expected a dense array: pass "
            f"its .{method}()"
        )


def check_features(name: str, shape: tuple[int, ...], features: int) -> None:
    """Raise an error unless an array of such a shape holds examples of so many numbers.

    Parameters
    ----------
    name : str
        The argument's.
    shape : tuple of int
        Its shape.
    features : int
        A network's ``input_dim``.

    Raises
    ------
    ValueError
        It does not.

    Examples
    --------
    >>> check_features("X", (300, 3, 5), 15)
    >>> check_features("X", (15,), 15)
    Traceback (most recent call last):
    ValueError: X has shape (15,), expected (N, d_1, ..., d_k) with d_1 * ... * d_k = 15, the
    network's input_dim: one example is X[np.newaxis]
    """
    if len(shape) == 0 or math.prod(shape[1:]) != features:
        one = len(shape) > 0 and math.prod(shape) == features
        raise ValueError(
            f"{name} has shape {tuple(shape)}, expected (N, d_1, ..., d_k) with d_1 * ... * d_k = "
            f"{features}, the network's input_dim{f': one example is {name}[np.newaxis]' * one}"
        )
