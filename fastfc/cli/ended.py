"""What the folder of a run that has ended holds."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from fastfc.arguments import shown
from fastfc.cli import folder
from fastfc.cli.command import UsageError
from fastfc.cli.configuration import read_toml
from fastfc.training import History

if TYPE_CHECKING:
    from typing import Any


class Ended(NamedTuple):
    """A run, by its files."""

    config: dict[str, Any]
    summary: dict[str, Any]
    history: History


def read_ended(path: str) -> Ended:
    """Return what a run's folder holds.

    Raises
    ------
    UsageError
        There is none, it has not ended, or a file of it is damaged.
    """
    if not folder.is_run(path):
        raise UsageError(f"{path}: there is no run: it has no {folder.CONFIG}")
    config = read_toml(os.path.join(path, folder.CONFIG))
    files = [find_file(path, name) for name in (folder.SUMMARY, folder.HISTORY)]
    try:
        return Ended(config, read_summary(files[0]), History.from_csv(files[1]))
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def find_file(path: str, name: str) -> str:
    """Return the path of a file that a run has when it has ended."""
    found = os.path.join(path, name)
    if not os.path.exists(found):
        raise UsageError(f"{found}: no such file: has the run ended? --resume {path} goes on")
    return found


def read_summary(path: str) -> dict[str, Any]:
    """Return what a run's summary holds.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: it is {shown(found)}, expected an object")
    return found
