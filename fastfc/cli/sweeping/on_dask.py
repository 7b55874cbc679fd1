"""Tasks on the workers of a Dask cluster, by its Client.

Workers need fastfc and the data, and share no disk with this machine: a task brings what a run goes
on from and returns what its folder gets, which is written here.  So a task may be done twice, by a
worker that dies and by the next one, and counts once.

A worker trains one candidate at a time, with all its threads: np.random and stdout are the
process's.  There are as many tasks at the cluster as it has workers.  A resource of workers' that
limits them, by ``set_resources``, left tasks waiting for ever when all workers had been restarted.
joblib's backend for Dask is not used: a task that kills its worker let it wait for ever.
"""

# Where Dask is not installed, basedpyright takes fastfc.distributed for its package.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import tempfile
import threading
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastfc.optional import missing_package

try:
    from distributed import Client, KilledWorker, get_worker
except ImportError as error:
    raise missing_package("--dask", "distributed", "dask", error) from error

from fastfc.cli import folder
from fastfc.cli.command import UsageError
from fastfc.cli.sweeping.running import Lost
from fastfc.cli.sweeping.training import Task, from_anywhere, train
from fastfc.files import atomic_write
from fastfc.training.folder import list_paths
from fastfc.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, BinaryIO

    from fastfc.cli.sweeping.running import Runner

    Files = dict[str, bytes]  # by their places in a run's folder

TIMEOUT = 10  # seconds for a scheduler to answer
PATIENCE = 1  # seconds until it is looked whether the cluster has more workers
_training = threading.Lock()  # of a worker


@contextlib.contextmanager
def connected(out: str, address: str, threads: int | None) -> Iterator[Runner]:
    """Yield what trains on a cluster and writes to the folder of a sweep.

    Parameters
    ----------
    out : str
        The folder.
    address : str
        The scheduler's, or the path of its file.
    threads : int, optional
        Of each candidate; by default the worker's.

    Raises
    ------
    UsageError
        There is no scheduler, or its workers have no fastfc.
    """
    key = "address" if "://" in address else "scheduler_file"
    if key == "scheduler_file" and not os.path.isfile(address):
        raise UsageError(
            f"--dask {address}: no such file, expected a scheduler's file or address, as "
            "tcp://HOST:8786"
        )
    try:
        settings: dict[str, Any] = {key: address, "timeout": TIMEOUT, "set_as_default": False}
        client: Any = Client(**settings)
    except (OSError, ValueError) as error:
        raise UsageError(f"--dask {address}: no scheduler answers there: {error}") from error
    with client:
        try:
            yield lambda tasks: _run(client, out, tasks, threads)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"--dask {address}: a worker has no {error.name}: install there what is here"
            ) from error
        except CancelledError as error:
            raise UsageError(
                f"--dask {address}: the scheduler has gone: the same command goes on with another"
            ) from error


def _run(
    client: Any, out: str, tasks: Sequence[Task], threads: int | None
) -> Iterator[tuple[Task, str | None]]:
    """Train on the workers; yield each task that has ended."""
    suspects = []
    for task, wrong in _submit(client, out, tasks, threads, _Workers(client)):
        if isinstance(wrong, Lost):
            suspects.append(task)
        else:
            yield task, wrong
    # a task that another one has taken down with it has a result when it is alone
    yield from _submit(client, out, suspects, threads, lambda: 1)


class _Workers:
    """Counts a cluster's workers, at least one; says when it has none and is waited for."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._before = 1

    def __call__(self) -> int:
        found = len(self._client.nthreads())
        if found == 0 < self._before:
            print("sweep: the cluster has no workers: waiting for them", file=sys.stderr)
        self._before = found
        return max(1, found)


def _submit(
    client: Any,
    out: str,
    tasks: Sequence[Task],
    threads: int | None,
    most: Callable[[], int],
) -> Iterator[tuple[Task, str | None]]:
    """Have tasks done, at most so many of them at the cluster; yield each that has ended."""
    ahead = iter(tasks)
    pending: dict[str, tuple[Task, Any]] = {}
    done: queue.Queue[Any] = queue.Queue()

    def submit() -> None:
        while len(pending) < most() and (task := next(ahead, None)) is not None:
            at = os.path.join(out, task.candidate.run)
            files = _read(at, folder.CONFIG, "checkpoints") if task.goes_on else {}
            work = (__version__, from_anywhere(task), files, os.path.abspath(at), threads)
            future = client.submit(_train_there, *work, pure=False)
            pending[future.key] = task, future
            future.add_done_callback(done.put)

    try:
        submit()
        while pending:
            try:
                future = done.get(timeout=PATIENCE)
            except queue.Empty:
                submit()
                continue
            task, _ = pending[future.key]
            wrong = _take(future, os.path.join(out, task.candidate.run))
            del pending[future.key]
            submit()
            yield task, wrong
    finally:
        client.cancel([future for _, future in pending.values()])


def _take(future: Any, at: str) -> str | None:
    """Write what a task returns to its folder; return what was wrong."""
    wrong: str | None
    try:
        wrong, files = future.result()
    except KilledWorker:
        return Lost("no result: every worker has died with it")
    if wrong is None:
        _write(at, files)
    return wrong


def _train_there(
    version: str, task: Task, files: Files, place: str, threads: int | None
) -> tuple[str | None, Files]:
    """Train on a worker; return what was wrong, and the files of the run.

    Parameters
    ----------
    version : str
        Of fastfc, where the results go.
    task : Task
    files : dict
        What the run goes on from.
    place : str
        Where its folder will be.
    threads : int, optional
        By default the worker's.
    """
    worker: Any = get_worker()
    if version != __version__:
        return f"the worker {worker.address} has fastfc {__version__}, expected {version}", {}
    with _training, tempfile.TemporaryDirectory(dir=worker.local_directory) as above:
        at = os.path.join(above, task.candidate.run)
        for name, content in files.items():
            Path(at, name).parent.mkdir(parents=True, exist_ok=True)
            Path(at, name).write_bytes(content)
        wrong = train(at, task, threads or worker.state.nthreads)
        if wrong is not None:
            return f"{wrong} (on the worker {worker.address})", {}
        found = _read(at, *folder.FILES, "checkpoints")
        here, there = (json.dumps(path)[1:-1].encode() for path in (at, place))
        found[folder.SUMMARY] = found[folder.SUMMARY].replace(here, there)
        return None, found


def _read(at: str, *names: str) -> Files:
    """Return the files with some names of a run's folder, and those in folders of these names."""
    found = {}
    for name in names:
        path = Path(at, name)
        for each in path.iterdir() if path.is_dir() else [path] if path.is_file() else []:
            found[each.relative_to(at).as_posix()] = each.read_bytes()
    return found


def _write(at: str, files: Files) -> None:
    """Write a run's folder, last what says that it has a result."""
    for old in (Path(at, folder.SUMMARY), *list_paths(folder.checkpoint_name(at))):
        old.unlink(missing_ok=True)
    folder.make(at)
    for name in sorted(files, key=folder.SUMMARY.__eq__):
        atomic_write(Path(at, name), partial(_put, files[name]))


def _put(content: bytes, file: BinaryIO) -> None:
    file.write(content)
