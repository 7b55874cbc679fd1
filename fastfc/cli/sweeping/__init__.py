"""What ``fastfc sweep`` does: candidates, each a run's folder, and the table of their results."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from fastfc.cli.command import UsageError
from fastfc.cli.sweeping import results
from fastfc.cli.sweeping.halving import halve
from fastfc.cli.sweeping.running import Lost
from fastfc.cli.sweeping.training import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fastfc.cli.sweeping.candidates import Candidate, Sweep
    from fastfc.cli.sweeping.running import Runner


def sweep(wanted: Sweep, out: str, run: Runner) -> list[dict[str, Any]]:
    """Train the candidates that the folder has not yet, and return all rows, the best first.

    Parameters
    ----------
    wanted : Sweep
    out : str
        The folder.
    run : callable
        What trains, as `fastfc.cli.sweeping.running.local_runner` returns it.

    Raises
    ------
    UsageError
        The folder is none, or a candidate cannot be trained.
    """
    if os.path.exists(out) and not os.path.isdir(out):
        raise UsageError(f"--out {out}: it is a file, expected a folder")

    def train(tasks: Sequence[Task], ended: Callable[[Candidate], None]) -> set[int]:
        return _train(out, run, tasks, ended)

    rows = halve(wanted, out, train, _say) if wanted.budgets else _train_all(wanted, out, train)
    rows.sort(key=results.rank)
    results.write(out, rows)
    return rows


def _train_all(wanted: Sweep, out: str, train: Any) -> list[dict[str, Any]]:
    """Train all candidates to their end; return a row for each."""
    pending = [each for each in wanted.candidates if results.read_result(out, each) is None]
    done = len(wanted.candidates) - len(pending)
    _say(f"{len(wanted.candidates)} candidates, {done} done already")
    train([Task(candidate) for candidate in pending], lambda _: None)
    return [results.read_result(out, each) or results.failed(each) for each in wanted.candidates]


def _train(
    out: str, run: Runner, tasks: Sequence[Task], ended: Callable[[Candidate], None]
) -> set[int]:
    """Train candidates, telling of each that has ended; return the numbers of the failed ones."""
    failed = set()
    for i, (task, wrong) in enumerate(run(tasks)):
        candidate = task.candidate
        at = os.path.join(out, candidate.run)
        if isinstance(wrong, Lost):
            failed.add(candidate.number)
        elif wrong is not None:
            raise UsageError(f"{at}.toml: {wrong}")
        else:
            ended(candidate)
        val = (results.figures(at) or {}).get("val")
        told = wrong or ("-" if val is None else f"{val:.3f}")
        _say(f"{i + 1} of {len(tasks)}: {candidate.run} {told}")
    return failed


def _say(text: str) -> None:
    print(f"sweep: {text}", file=sys.stderr)
