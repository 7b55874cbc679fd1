"""``fastfc report``: a run's folder as a page for a browser."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click

from fastfc.arguments import shown
from fastfc.cli import folder, values
from fastfc.cli.command import Command, Option, UsageError
from fastfc.cli.configuration import read_toml
from fastfc.cli.data import load_to_train
from fastfc.fc_net import FullyConnectedNet
from fastfc.training import History

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fastfc._types import DataSet


@click.command(
    "report",
    cls=Command,
    params=[
        click.Argument(["path"], metavar="DIR", type=values.Path("DIR")),
        Option(
            ["--examples/--no-examples"],
            default=None,
            help="whether single examples are shown, which a page that is to be shared has not",
            show_default="as the run was told",
        ),
    ],
    examples=("fastfc report runs/first", "fastfc report runs/first --no-examples"),
)
def command(path: str, examples: bool | None) -> int:
    """Write a run as a page for a browser, DIR/report.html.

    DIR is a run's folder, which fastfc train --out has written; the data of the run are read again.
    The page has curves, what the network makes of the validation data, its layers, and where the
    time went. It needs no network.
    """
    history, summary = _read(path)
    try:
        model = FullyConnectedNet.load(_file(path, folder.MODEL))
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    options = _options_of(path)
    data, _ = load_to_train(options, set(), model)
    shown_too: bool = options.examples if examples is None else examples
    try:
        write(path, model, data, history, summary, examples=shown_too)
    except (ImportError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    print(f"report: {os.path.join(path, folder.REPORT)}")
    return 0


def write_beside(path: str, sides: Sequence[str]) -> None:
    """Write the runs of some folders beside each other, as a page for a browser.

    Raises
    ------
    UsageError
        One is no run's folder, matplotlib is missing, or the page cannot be written.
    """
    runs = {}
    for side in sides:
        history, summary = _read(side)
        config = read_toml(os.path.join(side, folder.CONFIG))
        runs[side] = {"history": history, "config": config, "summary": summary}
    try:
        from fastfc.report import write_comparison

        write_comparison(path, runs)
    except OSError as error:
        raise UsageError(f"--html {path}: {error.strerror or error}") from error
    except (ImportError, TypeError, ValueError) as error:
        raise UsageError(f"--html {path}: {error}") from error


def _read(path: str) -> tuple[History, dict[str, Any]]:
    """Return the history and the summary of a run's folder."""
    if not folder.is_run(path):
        raise UsageError(f"{path}: there is no run: it has no {folder.CONFIG}")
    try:
        history = History.from_csv(_file(path, folder.HISTORY))
        return history, _read_summary(_file(path, folder.SUMMARY))
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def write(
    path: str,
    model: Any,
    data: DataSet,
    history: History,
    summary: Mapping[str, Any],
    *,
    examples: bool = True,
) -> None:
    """Write the page of the run in a folder.

    Raises
    ------
    ImportError
        matplotlib is missing.
    OSError
        It cannot be written.
    """
    from fastfc.report import write_report

    write_report(
        os.path.join(path, folder.REPORT),
        model=model,
        data=data,
        history=history,
        config=read_toml(os.path.join(path, folder.CONFIG)),
        summary=summary,
        examples=examples,
    )


def _file(path: str, name: str) -> str:
    """Return the path of a file of the run's."""
    found = os.path.join(path, name)
    if not os.path.exists(found):
        raise UsageError(f"{found}: no such file: has the run ended? --resume {path} goes on")
    return found


def _read_summary(path: str) -> dict[str, Any]:
    """Return what a run's summary holds."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: it is {shown(found)}, expected an object")
    return found


def _options_of(path: str) -> SimpleNamespace:
    """Return the options that the run was trained with."""
    from fastfc.cli.train import command as train

    config = os.path.join(path, folder.CONFIG)
    return SimpleNamespace(**train.make_context("report", [config]).params)
