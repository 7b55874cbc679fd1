"""The values that options accept, as text on the command line and as what TOML has for them."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from fastfc.arguments import did_you_mean
from fastfc.networks.initial_weights import SCALES
from fastfc.training.schedules import SCHEDULES, make
from fastfc.training.settings import interval

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic in newer versions only


class Value(ParamType):
    """A value that a function returns of what is given, or says by a ValueError what is expected.

    Parameters
    ----------
    read : callable
        Takes its own results too.
    metavar : str, optional
        What the value is called in the help.
    words : sequence of str
        What a shell may complete.
    """

    name = "value"

    def __init__(
        self, read: Callable[[Any], Any], metavar: str | None = None, words: tuple[str, ...] = ()
    ) -> None:
        self.read, self._metavar, self._words = read, metavar, words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, or say what is wrong with it."""
        try:
            return self.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str | None:
        """Return what the value is called in the help."""
        return self._metavar

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the words that begin so."""
        return [CompletionItem(word) for word in self._words if word.startswith(incomplete)]


def number(expected: str, accepts: Callable[[float], bool]) -> Value:
    """Return the type of numbers that `accepts` accepts.

    Examples
    --------
    >>> number("above 0", lambda value: value > 0).read("0.5")
    0.5
    """

    def read(given: Any) -> float:
        try:
            value = math.nan if isinstance(given, bool) else float(given)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not accepts(value):
            raise ValueError(f"{given!r} is not a number {expected}")
        return value

    return Value(read, "X")


positive = number("above 0", lambda value: 0 < value < math.inf)
not_negative = number("of at least 0", lambda value: 0 <= value < math.inf)
fraction = number("from 0 to 1", lambda value: 0 <= value <= 1)
below_one = number("from 0 to less than 1", lambda value: 0 <= value < 1)
finite = number("that is finite", math.isfinite)


def whole(low: int, high: int) -> Value:
    """Return the type of whole numbers from low to high.

    Examples
    --------
    >>> whole(1, 9).read("7")
    7
    """

    def read(given: Any) -> int:
        try:
            value = int(given) if isinstance(given, str) or type(given) is int else low - 1
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"{given!r} is not a whole number from {low} to {high}")
        return value

    return Value(read, "N")


count = whole(1, 2**31 - 1)
seed = whole(0, 2**32 - 1)


def _count_or_all(given: Any) -> int | str:
    if given == "all":
        return "all"
    try:
        found: int = count.read(given)
        return found
    except ValueError as error:
        raise ValueError(f"{error}, or all") from None


def _counts(given: Any) -> list[int]:
    words = given.replace(",", " ").split() if isinstance(given, str) else given
    if not isinstance(words, list | tuple):
        raise ValueError(f"{given!r} is not a list of whole numbers, as [100, 100]")
    return [count.read(word) for word in words]


def _names(given: Any) -> list[str]:
    words = given.split(",") if isinstance(given, str) else given
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError(f'{given!r} is not a list of names, as ["age", "height"]')
    return [word.strip() for word in words]


names = Value(_names, "COLUMN[,...]")
count_or_all = Value(_count_or_all, "{N,all}", ("all",))
counts = Value(_counts, "[H...]")


def one_of(*words: str) -> Value:
    """Return the type of these words.

    Examples
    --------
    >>> one_of("sgd", "adam").read("Adam")
    Traceback (most recent call last):
    ValueError: invalid choice: 'Adam', choose from sgd, adam: did you mean 'adam'?
    """

    def read(given: Any) -> str:
        if not isinstance(given, str) or given not in words:
            raise ValueError(
                f"invalid choice: {given!r}, choose from {', '.join(words)}"
                f"{did_you_mean(given, words)}"
            )
        return given

    return Value(read, f"{{{','.join(words)}}}", words)


def _weight_scale(given: Any) -> float | str:
    if isinstance(given, str) and given in SCALES:
        return given
    try:
        found: float = not_negative.read(given)
        return found
    except ValueError as error:
        names = " or ".join(SCALES)
        raise ValueError(f"{error}, {names}{did_you_mean(given, SCALES)}") from None


weight_scale = Value(_weight_scale, f"{{STD,{','.join(SCALES)}}}", tuple(SCALES))


def _schedule(given: Any) -> dict[str, Any]:
    """Return NAME,KEY=VALUE,... as the dictionary that the Solver takes."""
    if isinstance(given, str):
        name, *pairs = given.split(",")
        given = {"name": name}
        for pair in pairs:
            key, _, value = pair.partition("=")
            try:
                given[key] = ast.literal_eval(value)
            except (SyntaxError, ValueError):
                given[key] = value
    if not isinstance(given, dict) or "name" not in given:
        raise ValueError(f"{given!r} is not a schedule, as 'cosine' or {{name = 'cosine'}}")
    one_of(*SCHEDULES).read(given["name"])
    make(given, 1)
    return given


def _early_stopping(given: Any) -> dict[str, float]:
    """Return PATIENCE[,MIN_DELTA] as the dictionary that the Solver takes."""
    if not isinstance(given, dict):
        patience, comma, min_delta = str(given).partition(",")
        given = {"patience": patience, **({"min_delta": min_delta} if comma else {})}
    if not {"patience"} <= given.keys() <= {"patience", "min_delta"}:
        raise ValueError(f"{given!r} has not patience, and min_delta at most")
    kinds = {"patience": count, "min_delta": not_negative}
    return {name: kinds[name].read(value) for name, value in given.items()}


def _every(given: Any) -> int | str:
    """Return a number of steps as an int, or a time as it is written."""
    value = int(given) if isinstance(given, str) and given.isdecimal() else given
    try:
        interval("value", value)
    except ValueError:
        expected = "a number of steps, as 500, or a time, as 30s, 5min or 1h"
        raise ValueError(f"{given!r} is not {expected}") from None
    steps_or_time: int | str = value
    return steps_or_time


schedule = Value(_schedule, "NAME[,KEY=VALUE...]", tuple(SCHEDULES))
early_stopping = Value(_early_stopping, "PATIENCE[,MIN_DELTA]")
every = Value(_every, "{STEPS,TIME}")


class Path(Value):
    """The type of names of files or folders, and of some words that stand for others."""

    name = "path"

    def __init__(self, metavar: str = "FILE", words: tuple[str, ...] = ()) -> None:
        super().__init__(_path, metavar, words)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the words that begin so, and let the shell look for files."""
        words = super().shell_complete(ctx, param, incomplete)
        return [*words, CompletionItem(incomplete, type="file")]


def _path(given: Any) -> str:
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError(f"{given!r} is not the name of a file or a folder")
    return given
