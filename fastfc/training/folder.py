"""The checkpoint files of a name: which there are, whose they are, and which is the newest.

A file is a run's by the identity inside it, not by its name: whoever runs a notebook's cell again
starts another run of the same ``checkpoint_name``.  Which run is the newer one no clock can say:
files are copied, and clocks differ.  So a run takes a turn, a number greater than those in the
files of its name, when it begins to train; and another one when it is resumed, since what an
earlier part has written beyond that point is no longer its future.
"""

from __future__ import annotations

import os
import re
import typing
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from .checkpoint import CheckpointError, check_whole, read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._types import StrPath

__all__ = ["latest_checkpoint"]

PARTS = r"_(?:epoch|step)_[0-9]+\.npz"


class CheckpointFile(typing.NamedTuple):
    """A checkpoint file; ``run`` is None for one that cannot be read."""

    path: Path
    run: str | None
    turn: int
    part: str
    iteration: int
    changed: int


def parse_name(path: StrPath) -> str:
    """Return the ``checkpoint_name`` that has this file, by where it lies and how it is named.

    A file of another name, as `Solver.save` writes it, begins a name of its own.

    Examples
    --------
    >>> parse_name("runs/a_epoch_3.npz"), parse_name("runs/best.npz"), parse_name("b")
    ('runs/a', 'runs/best', 'b')
    """
    path = os.fsdecode(path)
    return re.sub(rf"(?<=[^/\\])(?:{PARTS}|\.npz)$", "", path)


def file_pattern(name: StrPath) -> str:
    """Return the regular expression of a name's files."""
    return re.escape(Path(name).name) + PARTS


def list_paths(name: StrPath) -> list[Path]:
    """Return the files of a name, none if there is no such folder.

    Raises
    ------
    OSError
        The folder may not be listed.
    """
    name = Path(name)
    try:
        found = os.listdir(name.parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name.with_name(other) for other in found if re.fullmatch(file_pattern(name), other)]


def find_files(name: StrPath) -> list[CheckpointFile]:
    """Return the files of a name, also those that cannot be read.

    Raises
    ------
    OSError
        The folder may not be listed.
    """
    found = []
    for path in list_paths(name):
        try:
            found.append(_read_entry(path))
        except FileNotFoundError:
            continue
        except (CheckpointError, OSError):
            found.append(CheckpointFile(path, None, 0, "", 0, 0))
    return found


def latest_checkpoint(name: StrPath) -> Path | None:
    """Return the checkpoint of a name that is furthest on, of the run that was the last to begin.

    What an earlier run of the same name has left is not looked at, however far that was; nor is
    what a run had written beyond the point from which it was resumed.  A file that is not whole is
    skipped, with a warning.

    Parameters
    ----------
    name : path
        The run's ``checkpoint_name``.

    Returns
    -------
    Path or None
        None if there is none.

    Raises
    ------
    OSError
        The folder may not be listed.

    Warns
    -----
    UserWarning
        A file of that name is damaged, no checkpoint, of a newer fastfc, or may not be read.

    Examples
    --------
    >>> from fastfc.training import latest_checkpoint
    >>> latest_checkpoint("never-run") is None
    True
    """
    for attempt in range(100):  # a run with keep_last deletes what has just been listed
        vanished = False
        found = []
        listed = list_paths(name)
        for path in listed:
            entry = _try_file(_read_entry, path)
            vanished |= entry is VANISHED
            if isinstance(entry, CheckpointFile):
                found.append(entry)
        for entry in _sort_newest_first(found):
            result = _try_file(check_whole, entry.path)
            vanished |= result is VANISHED
            if result is None:
                return entry.path
        # a long list is read in parts, and a new file's name may lie in one that was read before
        if not vanished and (listed or attempt):
            break
    return None


VANISHED, SKIPPED = object(), object()


def _try_file(function: Callable[[Path], object], path: Path) -> object:
    """Return what the function returns of a file, or why it returns nothing; warn of the latter."""
    try:
        return function(path)
    except FileNotFoundError:
        return VANISHED
    except (CheckpointError, OSError) as error:
        warnings.warn(f"latest_checkpoint skips a file: {error}", stacklevel=3)
        return SKIPPED


def _read_entry(path: Path) -> CheckpointFile:
    run, iteration = read_run(path)
    return CheckpointFile(path, *run, iteration, path.stat().st_mtime_ns)


def _sort_newest_first(found: list[CheckpointFile]) -> list[CheckpointFile]:
    """Return the files of the run that took the last turn, the furthest first.

    Two that have begun at once have the same turn: the one that wrote last is meant.
    """
    if not found:
        return []
    run = max(found, key=lambda entry: (entry.turn, entry.changed)).run
    own = [entry for entry in found if entry.run == run]
    return sorted(own, key=order, reverse=True)


def order(entry: CheckpointFile) -> tuple[int, int, int]:
    """Return what a run's files are ordered by: which was written later."""
    return entry.turn, entry.iteration, entry.changed
