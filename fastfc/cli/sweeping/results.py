"""What has come of a sweep's candidates: rows, their order, tables for people and for machines."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastfc.cli import folder
from fastfc.cli.options import KEYS
from fastfc.cli.result import to_json
from fastfc.cli.sweeping.training import read_summary
from fastfc.cli.tables import aligned
from fastfc.sweep_table import FIGURES, OF_RUNGS, varied

if TYPE_CHECKING:
    from typing import Any

    from fastfc.cli.sweeping.candidates import Candidate

RESULTS, RUNGS = "results", "rungs.json"
UNFINISHED = ("interrupt", "paused")


def read_result(out: str, candidate: Candidate) -> dict[str, Any] | None:
    """Return what has come of a candidate, None if it has not ended."""
    found = figures(os.path.join(out, candidate.run))
    if found is None or found["stop_reason"] in UNFINISHED:
        return None
    return {**about(candidate), **found}


def about(candidate: Candidate) -> dict[str, Any]:
    """Return what a row says of a candidate before it is trained."""
    options = {KEYS[name]: value for name, value in candidate.values.items()}
    return {"run": candidate.run, "candidate": candidate.number, **options}


def failed(candidate: Candidate) -> dict[str, Any]:
    """Return the row of a candidate of which nothing has come."""
    return {**about(candidate), **dict.fromkeys(FIGURES), "stop_reason": "failed"}


def figures(at: str) -> dict[str, Any] | None:
    """Return the figures of the run in a folder, None if it has none."""
    summary = read_summary(at) or {}
    try:
        return {
            "val": summary["accuracy"].get("val"),
            "test": summary["accuracy"].get("test"),
            **{name: summary[name] for name in FIGURES[2:]},
        }
    except (KeyError, TypeError, AttributeError):
        return None


def read_rungs(at: str) -> dict[int, dict[str, Any]]:
    """Return the figures that the run in a folder had at its budgets."""
    try:
        with open(os.path.join(at, RUNGS), encoding="utf-8") as file:
            found = {int(budget): dict(row) for budget, row in json.load(file).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return found if all(set(row) == {*FIGURES} for row in found.values()) else {}


def write_rungs(at: str, rungs: dict[int, dict[str, Any]]) -> None:
    """Write what `read_rungs` reads."""
    folder.write_text(Path(at, RUNGS), to_json(rungs, indent=2) + "\n")


def rank(row: dict[str, Any]) -> tuple[bool, int, bool, float, int]:
    """Return what rows are sorted by.

    Those that came to a further rung go first, then those with a greater score, then those that are
    named first; behind them those without a score and, of rungs, those that have diverged.
    """
    val, rung = row["val"], row.get("rung", 0)
    out = row["stop_reason"] == "failed" or (rung > 0 and row["stop_reason"] == "nonfinite")
    return out, -rung, val is None, 0.0 if val is None else -val, row["candidate"]


def write(out: str, rows: list[dict[str, Any]]) -> None:
    """Write the table for machines."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    os.makedirs(out, exist_ok=True)
    folder.write_text(Path(out, f"{RESULTS}.csv"), text.getvalue())
    folder.write_text(Path(out, f"{RESULTS}.json"), to_json(rows, indent=2) + "\n")


def in_words(rows: list[dict[str, Any]], top: int) -> str:
    """Return the best rows as a table: what varies, and what has come of it."""
    last = [key for key in (*OF_RUNGS, *FIGURES) if any(key in row for row in rows)]
    shown = ["run", *varied(rows), *last]
    return aligned([shown, *([row.get(key) for key in shown] for row in rows[:top])])
