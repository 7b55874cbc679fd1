"""What a sweep's TOML file asks for: candidates, and how far each is trained."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import random
from typing import TYPE_CHECKING

import click

from fastfc.arguments import did_you_mean
from fastfc.cli.command import UsageError
from fastfc.cli.configuration import OUTSIDE, named, read_toml
from fastfc.cli.options import KEYS, OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

METHODS = ("grid", "random", "halving")
# The settings of [sweep], and the methods that have them.
SETTINGS = {
    "method": METHODS,
    "count": ("random", "halving"),
    "seed": ("random", "halving"),
    "min_epochs": ("halving",),
    "factor": ("halving",),
}
LARGEST = 100_000  # candidates: nobody waits for more
_CONTEXT = click.Context(click.Command("sweep"))
_EPOCHS: Any = next(option.default for option in OPTIONS if option.name == "num_epochs")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A candidate.

    Attributes
    ----------
    number : int
        Which one of the sweep it is, from 1.
    run : str
        The name of its folder: the same for the same options.
    values : dict
        The options by their names.
    """

    number: int
    run: str
    values: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep.

    Attributes
    ----------
    candidates : list of Candidate
        No two with the same options.
    budgets : list of int
        The epochs after which candidates are compared, the last those of the whole run; empty where
        all are trained to their end.
    factor : int
        One candidate of so many goes on.
    logarithmic : list of str
        The keys of options that are drawn by their logarithm.
    """

    candidates: list[Candidate]
    budgets: list[int]
    factor: int
    logarithmic: list[str]


def read_sweep(path: str) -> Sweep:
    """Return the sweep that a file asks for.

    Raises
    ------
    UsageError
        The file is no sweep.
    """
    tables = read_toml(path)
    settings = tables.pop("sweep", None)
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: there is no table [sweep]: see fastfc sweep --help")
    method = _method(path, settings)
    table = _table(path, tables, method)
    varied = tables.pop(table, None)
    if not isinstance(varied, dict) or not varied:
        raise UsageError(f"{path}: there is no table [{table}] of what varies")
    base = named(path, tables, OPTIONS)
    numbers_and_words = [option for option in OPTIONS if not option.is_flag]
    ranges = named(path, {key: _Range(value) for key, value in varied.items()}, numbers_and_words)
    if unwanted := sorted({*base, *ranges} & {*OUTSIDE}):
        raise UsageError(f"{path}: {KEYS[unwanted[0]]} is not for sweeps: leave it out")
    draw = _grid(path, ranges) if table == "grid" else _random(path, ranges, settings)
    found: dict[str, Candidate] = {}
    for drawn in draw:
        values = _checked(path, {**base, **drawn})
        text = json.dumps(values, sort_keys=True)
        run = hashlib.sha256(text.encode()).hexdigest()[:12]
        found.setdefault(run, Candidate(len(found) + 1, run, values))
    candidates = [*found.values()]
    budgets: list[int] = []
    factor = 1
    if method == "halving":
        for name in ("num_epochs", "max_steps", "max_seconds"):
            if name in ranges or (name in base and name != "num_epochs"):
                raise UsageError(
                    f"{path}: {KEYS[name]}: halving says how long each is trained: leave it out"
                )
        epochs = candidates[0].values.get("num_epochs", _EPOCHS)
        budgets, factor = _budgets(path, settings, epochs)
    logarithmic = [
        KEYS[name]
        for name, each in ranges.items()
        if isinstance(each.value, dict) and "log" in each.value
    ]
    return Sweep(candidates, budgets, factor, logarithmic)


def _method(path: str, settings: dict[str, Any]) -> str:
    """Return the method of a sweep, whose settings are those that it has."""
    for key in settings:
        if key not in SETTINGS:
            raise UsageError(f"{path}: [sweep] has no {key!r}{did_you_mean(key, SETTINGS)}")
    method: str = settings.get("method", "grid")
    if method not in METHODS:
        raise UsageError(
            f"{path}: method is {method!r}, expected grid, random or halving"
            f"{did_you_mean(method, METHODS)}"
        )
    for key in settings:
        if method not in SETTINGS[key]:
            raise UsageError(
                f"{path}: [sweep] {key} is for {' and '.join(SETTINGS[key])}, not for {method}: "
                "leave it out"
            )
    return method


def _table(path: str, tables: dict[str, Any], method: str) -> str:
    """Return which table has what varies."""
    if method != "halving":
        return method
    found = [name for name in ("grid", "random") if name in tables]
    if len(found) != 1:
        raise UsageError(
            f"{path}: halving takes its candidates from one table, [grid] or [random]: there "
            f"{'are both' if found else 'is none'}"
        )
    return found[0]


def _budgets(path: str, settings: dict[str, Any], epochs: int) -> tuple[list[int], int]:
    """Return the epochs after which candidates are compared, and of how many one goes on."""
    least = _whole(path, settings, "min_epochs", 1, 1, LARGEST)
    factor = _whole(path, settings, "factor", 3, 2, LARGEST)
    if least > epochs:
        raise UsageError(
            f"{path}: [sweep] min_epochs is {least}, expected at most epochs, {epochs}"
        )
    budgets = [epochs]
    while budgets[0] // factor >= least:
        budgets.insert(0, budgets[0] // factor)
    return budgets, factor


def _whole(
    path: str, settings: dict[str, Any], name: str, default: int, least: int, most: int
) -> int:
    value = settings.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise UsageError(
            f"{path}: [sweep] {name} is {value!r}, expected a whole number from {least} to {most}"
        )
    return value


class _Range:
    """What a table says of an option that varies."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _grid(path: str, ranges: dict[str, Any]) -> Iterator[dict[str, Any]]:
    lists = {name: each.value for name, each in ranges.items()}
    for name, found in lists.items():
        if not isinstance(found, list) or not found:
            raise UsageError(f"{path}: [grid] {KEYS[name]} is {found!r}, expected a list of values")
    total = math.prod(map(len, lists.values()))
    if total > LARGEST:
        raise UsageError(f"{path}: the grid has {total} candidates, expected at most {LARGEST}")
    for values in itertools.product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def _random(
    path: str, ranges: dict[str, Any], settings: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    count = _whole(path, settings, "count", 10, 1, LARGEST)
    seed = _whole(path, settings, "seed", 0, 0, LARGEST)
    rng = random.Random(seed)
    for _ in range(count):
        yield {name: _draw(path, name, each.value, rng) for name, each in ranges.items()}


def _draw(path: str, name: str, found: Any, rng: random.Random) -> Any:
    """Return one value of a range."""
    if isinstance(found, list) and found:
        return rng.choice(found)
    if isinstance(found, dict) and len(found) == 1:
        ((kind, ends),) = found.items()
        numbers = isinstance(ends, list) and len(ends) == 2
        if numbers and all(type(end) in (int, float) and math.isfinite(end) for end in ends):
            low, high = ends
            whole = all(type(end) is int for end in ends)
            if kind == "uniform" and low <= high:
                return rng.randint(low, high) if whole else rng.uniform(low, high)
            if kind == "log" and 0 < low <= high:
                value = math.exp(rng.uniform(math.log(low), math.log(high)))
                return round(value) if whole else value
    raise UsageError(
        f"{path}: [random] {KEYS[name]} is {found!r}, expected a list of values, "
        "{uniform = [LOW, HIGH]} or {log = [LOW, HIGH]}"
    )


def _checked(path: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return a candidate's values as the options have them, or say which is wrong."""
    for option in OPTIONS:
        if option.name in values:
            try:
                values[option.name] = option.type_cast_value(_CONTEXT, values[option.name])
            except click.UsageError as error:
                raise UsageError(f"{path}: {option.key}: {error.message}") from error
    return values
