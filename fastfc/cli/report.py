"""``fastfc report``: a run's folder as a page for a browser."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click

from fastfc.cli import folder, values
from fastfc.cli.command import Command, Option, UsageError
from fastfc.cli.configuration import read_toml
from fastfc.cli.data import load_to_train
from fastfc.cli.ended import find_file, read_ended
from fastfc.fc_net import FullyConnectedNet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fastfc._types import DataSet
    from fastfc.training import History


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
    ended = read_ended(path)
    try:
        model = FullyConnectedNet.load(find_file(path, folder.MODEL))
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    options = _options_of(path)
    data, _ = load_to_train(options, set(), model)
    shown_too: bool = options.examples if examples is None else examples
    try:
        write(path, model, data, ended.history, ended.summary, examples=shown_too)
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
    runs = {side: read_ended(side)._asdict() for side in sides}
    try:
        from fastfc.report import write_comparison

        write_comparison(path, runs)
    except OSError as error:
        raise UsageError(f"--html {path}: {error.strerror or error}") from error
    except (ImportError, TypeError, ValueError) as error:
        raise UsageError(f"--html {path}: {error}") from error


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


def _options_of(path: str) -> SimpleNamespace:
    """Return the options that the run was trained with."""
    from fastfc.cli.train import command as train

    config = os.path.join(path, folder.CONFIG)
    return SimpleNamespace(**train.make_context("report", [config]).params)
