"""One candidate trained in its folder, here or in a worker: the same whenever it is done again."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastfc import _core
from fastfc.cli import ended, folder
from fastfc.cli.configuration import to_toml
from fastfc.cli.options import DATA_SETS, OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fastfc.cli.sweeping.candidates import Candidate

NO_MEMORY = "a worker was ended by the system, which may have had no memory left for it"


@dataclasses.dataclass(frozen=True)
class Task:
    """A candidate to train.

    Attributes
    ----------
    candidate : Candidate
    budget : int or None
        Pause after so many epochs; None for the whole run.
    goes_on : bool
        Whether the folder has an earlier part of the run.
    """

    candidate: Candidate
    budget: int | None = None
    goes_on: bool = False


def train(at: str, task: Task, threads: int | None = None) -> str | None:
    """Train a candidate in its folder, silently.

    Parameters
    ----------
    at : str
        The folder.
    task : Task
    threads : int, optional
        Of the core, for this run; by default as many as it uses anyway.

    Returns
    -------
    str or None
        What was wrong with it, None if the folder has a result.
    """
    if task.goes_on and _train(at, task, threads) is None:
        return None
    # a new run, or one that cannot go on: it has lost its checkpoint, or the next part had all but
    # ended when it was killed
    return _train(at, dataclasses.replace(task, goes_on=False), threads)


def _train(at: str, task: Task, threads: int | None) -> str | None:
    """Do what ``train`` does, once."""
    from fastfc.cli import main

    config = f"{at}.toml"
    argv = ["train", "--resume", at]
    if not task.goes_on:
        os.makedirs(os.path.dirname(at) or ".", exist_ok=True)
        folder.write_text(Path(config), to_toml(task.candidate.values, OPTIONS))
        argv = ["train", config, "--out", at, "--overwrite"]
    if task.budget is not None:
        argv += ["--pause-after", str(task.budget)]
    output, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        _threads(threads),
    ):
        status = main([*argv, "--no-progress", "--no-report"])
    if status == 130:
        raise KeyboardInterrupt
    if status and (read_summary(at) or {}).get("stop_reason") != "nonfinite":
        return errors.getvalue().strip().rpartition("\n")[2].removeprefix("fastfc: ")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(config)
    return None


@contextlib.contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    """Let calls of the core from this thread use so many threads."""
    if threads is None:
        yield
        return
    before = _core.set_own_threads(threads)
    try:
        yield
    finally:
        _core.set_own_threads(before)


def read_summary(at: str) -> dict[str, Any] | None:
    """Return the summary of a run's folder, None if it has none that can be read."""
    try:
        return ended.read_summary(os.path.join(at, folder.SUMMARY))
    except (OSError, ValueError):
        return None


def from_anywhere(task: Task) -> Task:
    """Return the task with its data's paths as they are from any folder."""
    values = dict(task.candidate.values)
    if values.get("data", DATA_SETS[0]) not in DATA_SETS:
        values["data"] = os.path.abspath(values["data"])
    if values.get("root") is not None:
        values["root"] = os.path.abspath(values["root"])
    return dataclasses.replace(task, candidate=dataclasses.replace(task.candidate, values=values))
