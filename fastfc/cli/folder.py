"""A run's folder, which ``fastfc train --out`` writes and ``--resume`` goes on with.

================  ==================================================================
``config.toml``   all options with their values, for ``fastfc train DIR/config.toml``
``history.csv``   a row for each step, as `fastfc.training.History` has it
``checkpoints/``  of the last epochs
``model.npz``     the network with the best parameters
``summary.json``  what ``--json`` prints, without the histories
``report.html``   the run as a page, where the extra ``plot`` is installed
================  ==================================================================
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastfc.cli.command import UsageError
from fastfc.files import atomic_write
from fastfc.training.folder import list_paths

if TYPE_CHECKING:
    from fastfc._types import StrPath

CONFIG, HISTORY, MODEL, SUMMARY = "config.toml", "history.csv", "model.npz", "summary.json"
REPORT = "report.html"
FILES = (CONFIG, HISTORY, MODEL, SUMMARY, REPORT)
KEPT = 2  # checkpoints, unless --keep-last says otherwise


def checkpoint_name(folder: str) -> str:
    """Return the name that the checkpoints of a folder's run begin with.

    Examples
    --------
    >>> checkpoint_name("runs/first")
    'runs/first/checkpoints/run'
    """
    return os.path.join(folder, "checkpoints", "run")


def is_run(folder: StrPath) -> bool:
    """Return whether there is a run in a folder."""
    return (Path(folder) / CONFIG).is_file()


def check_free(flag: str, folder: str, overwrite: bool) -> None:
    """Raise a UsageError unless a new run may have this folder.

    It may be new or empty, or that of an earlier run if it may be overwritten.  Nothing else is
    ever replaced.
    """
    path = Path(folder)
    if not path.exists():
        above = next(parent for parent in path.absolute().parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise UsageError(f"{flag} {folder}: {above} is no folder that can be written to")
        return
    if not path.is_dir():
        raise UsageError(f"{flag} {folder}: it is a file, expected a new folder")
    if not any(below.is_file() for below in path.rglob("*")):
        return
    if not is_run(path):
        raise UsageError(f"{flag} {folder}: it holds something else than a run: choose another")
    if not overwrite:
        raise UsageError(
            f"{flag} {folder}: it holds a run: --overwrite replaces it, --resume {folder} goes on"
        )


def make(folder: str) -> list[Path]:
    """Make the folders of a run; return those that were not there, the innermost first."""
    inner = Path(checkpoint_name(folder)).parent
    made = [path for path in (inner, *inner.parents) if not path.exists()]
    inner.mkdir(parents=True, exist_ok=True)
    return made


def begin(folder: str, config: str, resumed: bool) -> None:
    """Take away what an earlier run has left in the folder, and write config.toml."""
    path = Path(folder)
    if not resumed:
        for old in (*(path / name for name in FILES), *list_paths(checkpoint_name(folder))):
            old.unlink(missing_ok=True)
    write_text(path / CONFIG, config)


def write_text(path: Path, text: str) -> None:
    """Write a text to a file, whole or not at all."""
    atomic_write(path, lambda file: file.write(text.encode()))
