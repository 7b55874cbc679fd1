"""``fastfc train``: train a network under the Solver and print what came of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from fastfc.cli.command import Command
from fastfc.cli.configuration import RUN, given_names, read_config
from fastfc.cli.options import ALIASES, OPTIONS
from fastfc.cli.values import Path

if TYPE_CHECKING:
    from typing import Any


@click.command(
    "train",
    cls=Command,
    params=[
        click.Argument(
            ["config_file"],
            metavar="[CONFIG.toml]",
            required=False,
            type=Path(),
            is_eager=True,
            callback=read_config,
        ),
        *OPTIONS,
    ],
    aliases=ALIASES,
    epilog="Exit status: 0, 2 after an error, which is one line on stderr, 130 after Ctrl-C, which "
    "prints the accuracies so far and saves what was to be saved.",
    examples=(
        "fastfc train --epochs 5 --out runs/first",
        "fastfc train --hidden 200 100 --dropout 0.8 --epochs 5 --out runs/second",
        "fastfc train --resume runs/second --epochs 8",
    ),
)
@click.pass_context
def command(ctx: click.Context, /, config_file: str | None, **values: Any) -> int:
    """Train a network and print its accuracies.

    The network is {affine - normalisation - activation - dropout} x hidden layers - affine - loss.
    Losses and accuracies are printed on the way, then the accuracies of the best parameters.

    CONFIG.toml says the values of options that are not given, as --config FILE does: a table for
    each group below, in it a key for each option, with underscores and without the dashes.
    """
    from fastfc.cli.training import train  # what only asks for help does not wait for it

    was, given = None, given_names(ctx)
    if RUN in ctx.meta:
        was = ctx.command.make_context("train", [], default_map=ctx.meta[RUN]).params
    elif values["resume"] and ctx.get_parameter_source("seed") is not ParameterSource.COMMANDLINE:
        given -= {"seed"}  # of a configuration: that the run began with, which no checkpoint holds
    return train(SimpleNamespace(**values), given, was)
