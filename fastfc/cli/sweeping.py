"""What ``fastfc sweep`` does: candidates, each a run's folder, and the table of their results."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import math
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastfc.arguments import did_you_mean
from fastfc.cli import folder
from fastfc.cli.command import UsageError
from fastfc.cli.configuration import OUTSIDE, named, read_toml, to_toml
from fastfc.cli.options import KEYS, OPTIONS
from fastfc.cli.result import to_json
from fastfc.cli.tables import aligned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

RESULTS = "results"
METHODS = ("grid", "random")
SETTINGS = ("method", "count", "seed")
LARGEST = 100_000  # candidates: nobody waits for more
_CONTEXT = click.Context(click.Command("sweep"))


def sweep(path: str, out: str, jobs: int) -> list[dict[str, Any]]:
    """Train the candidates that the folder has not yet, and return all results, the best first."""
    candidates = list({_place(out, values): values for values in read_candidates(path)}.values())
    if os.path.exists(out) and not os.path.isdir(out):
        raise UsageError(f"--out {out}: it is a file, expected a folder")
    pending = [values for values in candidates if _result(out, values) is None]
    _say(f"{len(candidates)} candidates, {len(candidates) - len(pending)} done already")
    if jobs == 1 or len(pending) < 2:
        for i, values in enumerate(pending):
            train_candidate(out, values)
            _say(f"{i + 1} of {len(pending)}: {_told(out, values)}")
    else:
        _train_at_once(out, pending, jobs)
    results = [_result(out, values) or {} for values in candidates]
    results.sort(key=_rank)
    _write(out, results)
    return results


def _train_at_once(out: str, pending: list[dict[str, Any]], jobs: int) -> None:
    try:
        import joblib
    except ImportError as error:
        raise UsageError("--jobs needs joblib: pip install fastfc[sweep]") from error
    here = os.getcwd()
    work = (joblib.delayed(_train_from)(here, out, values) for values in pending)
    done: Any = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(work)
    for i, values in enumerate(done):
        _say(f"{i + 1} of {len(pending)}: {_told(out, values)}")


def _train_from(here: str, out: str, values: dict[str, Any]) -> dict[str, Any]:
    """Train a candidate in a worker, which may have been started in another working directory."""
    os.chdir(here)
    return train_candidate(out, values)


def train_candidate(out: str, values: dict[str, Any]) -> dict[str, Any]:
    """Train a candidate in its folder, silently; return it."""
    from fastfc.cli import main

    at = _place(out, values)
    os.makedirs(out, exist_ok=True)
    config = f"{at}.toml"
    folder.write_text(Path(config), to_toml(values, OPTIONS))
    output, errors = io.StringIO(), io.StringIO()
    argv = ["train", config, "--out", at, "--overwrite", "--no-progress", "--no-report"]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(argv)
    if status == 130:
        raise KeyboardInterrupt
    if status and _result(out, values) is None:  # one that has diverged has a result
        said = errors.getvalue().strip().rpartition("\n")[2].removeprefix("fastfc: ")
        raise UsageError(f"{config}: {said}")
    os.unlink(config)
    return values


def read_candidates(path: str) -> Iterator[dict[str, Any]]:
    """Yield the options of each candidate, by their names.

    Raises
    ------
    UsageError
        The file is no sweep.
    """
    tables = read_toml(path)
    settings = tables.pop("sweep", None)
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: there is no table [sweep]: see fastfc sweep --help")
    for key in settings:
        if key not in SETTINGS:
            raise UsageError(f"{path}: [sweep] has no {key!r}{did_you_mean(key, SETTINGS)}")
    method = settings.get("method", "grid")
    if method not in METHODS:
        raise UsageError(
            f"{path}: method is {method!r}, expected grid or random{did_you_mean(method, METHODS)}"
        )
    varied = tables.pop(method, None)
    if not isinstance(varied, dict) or not varied:
        raise UsageError(f"{path}: there is no table [{method}] of what varies")
    base = named(path, tables, OPTIONS)
    if unwanted := sorted({*base} & {*OUTSIDE}):
        raise UsageError(f"{path}: {KEYS[unwanted[0]]} is not for sweeps: leave it out")
    numbers_and_words = [option for option in OPTIONS if not option.is_flag]
    ranges = named(path, {key: _Range(value) for key, value in varied.items()}, numbers_and_words)
    draw = _grid(path, ranges) if method == "grid" else _random(path, ranges, settings)
    for values in draw:
        yield _checked(path, {**base, **values})


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
    count, seed = settings.get("count", 10), settings.get("seed", 0)
    for name, value, least in (("count", count, 1), ("seed", seed, 0)):
        if type(value) is not int or not least <= value <= LARGEST:
            raise UsageError(
                f"{path}: [sweep] {name} is {value!r}, expected a whole number from {least} to "
                f"{LARGEST}"
            )
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


def _place(out: str, values: dict[str, Any]) -> str:
    """Return the folder of a candidate: the same for the same options."""
    text = json.dumps(values, sort_keys=True)
    return os.path.join(out, hashlib.sha256(text.encode()).hexdigest()[:12])


def _result(out: str, values: dict[str, Any]) -> dict[str, Any] | None:
    """Return what has come of a candidate, None if it has not ended."""
    at = _place(out, values)
    try:
        with open(os.path.join(at, folder.SUMMARY)) as file:
            summary = json.load(file)
        if summary["stop_reason"] == "interrupt":
            return None
        return {
            "run": os.path.basename(at),
            **{KEYS[name]: value for name, value in values.items()},
            "val": summary["accuracy"].get("val"),
            "test": summary["accuracy"].get("test"),
            "epochs": summary["epochs"],
            "seconds": summary["seconds"],
            "stop_reason": summary["stop_reason"],
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _rank(result: dict[str, Any]) -> tuple[bool, float, str]:
    """Return what results are sorted by: those without a number last."""
    val = result.get("val")
    return val is None, 0.0 if val is None else -val, result.get("run", "")


def _write(out: str, results: list[dict[str, Any]]) -> None:
    """Write the table for machines."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in results for key in row)))
    writer.writeheader()
    writer.writerows(results)
    os.makedirs(out, exist_ok=True)
    folder.write_text(Path(out, f"{RESULTS}.csv"), text.getvalue())
    folder.write_text(Path(out, f"{RESULTS}.json"), to_json(results, indent=2) + "\n")


def _told(out: str, values: dict[str, Any]) -> str:
    found = _result(out, values) or {}
    val = found.get("val")
    return f"{found.get('run')} {'-' if val is None else f'{val:.3f}'}"


def _say(text: str) -> None:
    print(f"sweep: {text}", file=sys.stderr)


def in_words(results: list[dict[str, Any]], top: int) -> str:
    """Return the best results as a table: what varies, and what has come of it."""
    keys = dict.fromkeys(key for row in results for key in row)
    last = ("val", "test", "epochs", "seconds", "stop_reason")
    varied = [
        key
        for key in keys
        if key not in ("run", *last) and len({str(row.get(key)) for row in results}) > 1
    ]
    shown = ["run", *varied, *last]
    rows = [[row.get(key) for key in shown] for row in results[:top]]
    return aligned([shown, *rows])
