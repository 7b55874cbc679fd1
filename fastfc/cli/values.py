"""The values that options accept: functions from text, as argparse takes them for types.

Each raises an ArgumentTypeError whose text goes behind "argument --option: ".
"""

from __future__ import annotations

import argparse
import ast
import math
from typing import TYPE_CHECKING

from fastfc.arguments import did_you_mean
from fastfc.networks.initial_weights import SCALES
from fastfc.training.schedules import SCHEDULES, make
from fastfc.training.settings import interval

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def number(expected: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """Return a type: a number that `accepts` accepts.

    Examples
    --------
    >>> number("above 0", lambda value: value > 0)("0.5")
    0.5
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {expected}")
        return value

    return parse


positive = number("above 0", lambda value: 0 < value < math.inf)
not_negative = number("of at least 0", lambda value: 0 <= value < math.inf)
fraction = number("from 0 to 1", lambda value: 0 <= value <= 1)
below_one = number("from 0 to less than 1", lambda value: 0 <= value < 1)
finite = number("that is finite", math.isfinite)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a type: a whole number from low to high.

    Examples
    --------
    >>> whole(1, 9)("7")
    7
    """

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            expected = f"a whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
        return value

    return parse


count = whole(1, 2**31 - 1)
seed = whole(0, 2**32 - 1)


def count_or_all(text: str) -> int | None:
    """Return a whole number from 1 on, or None for ``all``.

    Examples
    --------
    >>> count_or_all("100"), count_or_all("all")
    (100, None)
    """
    if text == "all":
        return None
    try:
        return count(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or all") from None


def one_of(*words: str) -> Callable[[str], str]:
    """Return a type: one of the words.

    Examples
    --------
    >>> one_of("sgd", "adam")("Adam")
    Traceback (most recent call last):
    argparse.ArgumentTypeError: invalid choice: 'Adam', choose from sgd, adam: did you mean 'adam'?
    """

    def parse(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(
                f"invalid choice: {text!r}, choose from {', '.join(words)}"
                f"{did_you_mean(text, words)}"
            )
        return text

    return parse


def weight_scale(text: str) -> float | str:
    """Return a number of at least 0 or the name of a rule that fits it to each layer.

    Examples
    --------
    >>> weight_scale("0.01"), weight_scale("he")
    (0.01, 'he')
    """
    if text in SCALES:
        return text
    try:
        return not_negative(text)
    except argparse.ArgumentTypeError as error:
        names = " or ".join(SCALES)
        raise argparse.ArgumentTypeError(f"{error}, {names}{did_you_mean(text, SCALES)}") from None


def schedule(text: str) -> dict[str, Any]:
    """Return NAME,KEY=VALUE,... as the dictionary that the Solver takes.

    Examples
    --------
    >>> schedule("cosine,warmup_steps=50")
    {'name': 'cosine', 'warmup_steps': 50}
    """
    name, *pairs = text.split(",")
    found: dict[str, Any] = {"name": one_of(*SCHEDULES)(name)}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            found[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            found[key] = value
    try:
        make(found, 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return found


def early_stopping(text: str) -> dict[str, float]:
    """Return PATIENCE[,MIN_DELTA] as the dictionary that the Solver takes.

    Examples
    --------
    >>> early_stopping("5"), early_stopping("5,0.001")
    ({'patience': 5}, {'patience': 5, 'min_delta': 0.001})
    """
    patience, comma, min_delta = text.partition(",")
    found: dict[str, float] = {"patience": count(patience)}
    if comma:
        found["min_delta"] = not_negative(min_delta)
    return found


def every(text: str) -> int | str:
    """Return a number of steps as an int, or a time as it is written.

    Examples
    --------
    >>> every("500"), every("5min")
    (500, '5min')
    """
    value = int(text) if text.isdecimal() else text
    try:
        interval("value", value)
    except ValueError:
        expected = "a number of steps, as 500, or a time, as 30s, 5min or 1h"
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None
    return value
