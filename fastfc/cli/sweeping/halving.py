"""Successive halving (Jamieson & Talwalkar 2016): all are trained a little, the best go on.

A candidate that is paused goes on from its checkpoint: its schedules have the length of the whole
run from the start, so that the last rung has, bit for bit, runs that were never paused.
"""

from __future__ import annotations

import math
import os
from functools import partial
from typing import TYPE_CHECKING

from fastfc.cli.sweeping import results
from fastfc.cli.sweeping.training import Task
from fastfc.sweep_table import column_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fastfc.cli.sweeping.candidates import Candidate, Sweep

    # Trains tasks, calling a function with each that has ended; returns the numbers of candidates
    # that have failed.
    Train = Callable[[Sequence[Task], Callable[[Candidate], None]], set[int]]


def halve(sweep: Sweep, out: str, train: Train, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Train the candidates of a sweep by halving; return a row for each.

    What the folder has of it is not trained again.
    """
    rows: dict[int, dict[str, Any]] = {}
    left = sweep.candidates
    for i, budget in enumerate(sweep.budgets):
        tasks = [_task(out, each, budget, sweep) for each in left if not _has(out, each, budget)]
        say(
            f"rung {i + 1} of {len(sweep.budgets)}, {budget} epochs: {len(left)} candidates, "
            f"{len(left) - len(tasks)} done already"
        )
        failed = train(tasks, partial(_note, out, budget))
        for each in left:
            found = None if each.number in failed else _at(out, each, budget)
            row = results.failed(each) if found is None else {**results.about(each), **found}
            scores = {**rows.get(each.number, {}).get("scores", {}), budget: row["val"]}
            rows[each.number] = {**row, "rung": i + 1, "budget": budget, "scores": scores}
        best = _best([rows[each.number] for each in left], sweep.factor)
        left = [each for each in left if each.number in best]
    return [_flat(row) for row in rows.values()]


def _best(rows: list[dict[str, Any]], factor: int) -> set[int]:
    """Return the numbers of the candidates that go on: one of so many, and none that cannot."""
    able = [row for row in rows if row["stop_reason"] not in ("nonfinite", "failed")]
    able.sort(key=results.rank)
    return {row["candidate"] for row in able[: math.ceil(len(rows) / factor)]}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with a column for the score at each budget."""
    scores = row.pop("scores")
    return {**row, **{column_at(budget): val for budget, val in scores.items()}}


def _task(out: str, candidate: Candidate, budget: int, sweep: Sweep) -> Task:
    """Return what is to be done until a candidate has had this budget."""
    at = os.path.join(out, candidate.run)
    rungs = results.read_rungs(at)
    goes_on = 0 < max(rungs, default=0) < budget
    if rungs and not goes_on:  # of a sweep with other budgets
        os.unlink(os.path.join(at, results.RUNGS))
    return Task(candidate, None if budget == sweep.budgets[-1] else budget, goes_on)


def _has(out: str, candidate: Candidate, budget: int) -> bool:
    """Return whether a candidate has had a budget, which is noted where it is not yet."""
    if _at(out, candidate, budget) is not None:
        return True
    found = results.figures(os.path.join(out, candidate.run))
    if found is None or found["stop_reason"] == "interrupt":
        return False
    ended = found["stop_reason"] != "paused"
    if found["epochs"] != budget and not (ended and found["epochs"] < budget):
        return False
    _note(out, budget, candidate)
    return True


def _at(out: str, candidate: Candidate, budget: int) -> dict[str, Any] | None:
    """Return a candidate's figures at a budget: the last ones of a run that has ended before."""
    rungs = results.read_rungs(os.path.join(out, candidate.run))
    if budget in rungs:
        return rungs[budget]
    ended = [rungs[each] for each in rungs if each < budget]
    ended = [found for found in ended if found["stop_reason"] != "paused"]
    return ended[0] if ended else None


def _note(out: str, budget: int, candidate: Candidate) -> None:
    """Write down what a candidate has come to at a budget."""
    at = os.path.join(out, candidate.run)
    found, rungs = results.figures(at), results.read_rungs(at)
    if found is not None:
        before = max((rungs[each]["seconds"] for each in rungs), default=0.0)
        found["seconds"] += before
        results.write_rungs(at, {**rungs, budget: found})
