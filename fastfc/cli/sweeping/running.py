"""Tasks in this process or in several of this machine; each is yielded when it has ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastfc.cli.command import UsageError
from fastfc.cli.sweeping.training import NO_MEMORY, Task, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    # Of tasks, yields each that has ended and what was wrong with it, None if nothing was.  What
    # only a worker's end has kept from a result says so by `Lost`.
    Runner = Callable[[Sequence[Task]], Iterator[tuple[Task, str | None]]]


class Lost(str):
    """What is said of a task that no worker has survived: others go on."""


def local_runner(out: str, jobs: int, threads: int | None) -> Runner:
    """Return what trains in the folder of a sweep, so many candidates at once."""

    def run(tasks: Sequence[Task]) -> Iterator[tuple[Task, str | None]]:
        if jobs > 1 and len(tasks) > 1:
            yield from _at_once(out, tasks, jobs, threads)
            return
        for task in tasks:
            yield task, train(os.path.join(out, task.candidate.run), task, threads)

    return run


def _at_once(
    out: str, tasks: Sequence[Task], jobs: int, threads: int | None
) -> Iterator[tuple[Task, str | None]]:
    try:
        import joblib
        from joblib.externals.loky.process_executor import TerminatedWorkerError
    except ImportError as error:
        raise UsageError("--jobs needs joblib: pip install fastfc[sweep]") from error
    here = os.getcwd()
    work = (joblib.delayed(_train_from)(here, out, task, threads) for task in tasks)
    try:
        done: Any = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(work)
        yield from done
    except TerminatedWorkerError as error:
        raise UsageError(f"{NO_MEMORY}: the same command goes on, perhaps with fewer --jobs") from (
            error
        )


def _train_from(here: str, out: str, task: Task, threads: int | None) -> tuple[Task, str | None]:
    """Train a candidate in a worker, which may have been started in another working directory."""
    os.chdir(here)
    return task, train(os.path.join(out, task.candidate.run), task, threads)
