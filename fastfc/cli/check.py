"""``fastfc check``: compare layers of one's own with the reference."""

from __future__ import annotations

from pathlib import Path

import click

from fastfc.cli import values
from fastfc.cli.command import Command, Option, UsageError


@click.command(
    "check",
    cls=Command,
    params=[
        click.Argument(["path"], metavar="PATH.py", type=values.Path()),
        Option(
            ["--function", "functions"],
            multiple=True,
            metavar="NAME",
            help="check only this one; may be given more than once",
            show_default="all",
        ),
        Option(
            ["--dropout-convention"],
            type=values.one_of("keep", "drop"),
            help="what dropout's p is the probability of",
            show_default="what the docstring of dropout_forward says, else keep",
        ),
    ],
    epilog="Exit status: 0 if all is right, 1 if something is wrong, 2 if it cannot be run.",
    examples=(
        "fastfc check nndl/layers.py",
        "fastfc check nndl/layers.py --function affine_forward --function affine_backward",
    ),
)
def command(path: str, functions: tuple[str, ...], dropout_convention: str | None) -> int:
    """Compare layers of your own with the reference.

    The layers, losses and update rules in the Python file PATH.py are compared with fastfc's
    reference and with numerical gradients; what is wrong is printed, by how much, in which case.
    Functions are found by the names that nndl and CS231n give them.
    """
    from fastfc.checking import check

    try:
        report = check(path, list(functions), dropout_convention=dropout_convention, verbose=False)
    except (Exception, SystemExit) as error:
        said = str(error)
        if not said.startswith(("check: ", f"{Path(path)}: ")):  # the file's own
            said = f"{path}: {type(error).__name__}: {said}"
        raise UsageError(said) from error
    print(report)
    return 0 if report.ok else 1
