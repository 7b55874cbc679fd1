"""``fastfc check``: compare layers of one's own with the reference."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

DESCRIPTION = """\
Compare the layers, losses and update rules in a Python file with fastfc's reference and with
numerical gradients, and print what is wrong, by how much, in which case. Functions are found by
the names that nndl and CS231n give them.
"""
EXAMPLES = """\
examples:
  fastfc check nndl/layers.py
  fastfc check cs231n/layers.py --function batchnorm_forward --function batchnorm_backward

exit status: 0 if all is right, 1 if something is wrong, 2 if it cannot be run
"""


def add_parser(commands: Any) -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "check",
        help="compare layers of your own with the reference",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH.py", help="the file with the functions")
    parser.add_argument(
        "--function",
        action="append",
        metavar="NAME",
        help="check only this one; may be given more than once (default: all)",
    )
    parser.add_argument(
        "--dropout-convention",
        choices=("keep", "drop"),
        help="what dropout's p is the probability of (default: what the docstring of "
        "dropout_forward says, else keep)",
    )


def run(options: argparse.Namespace) -> int:
    """Check the file and return the exit status.

    Raises
    ------
    UsageError
        The file is not there, cannot be imported, or has no such function.
    """
    from fastfc.checking import check
    from fastfc.cli.parser import UsageError

    try:
        report = check(
            options.path,
            options.function,
            dropout_convention=options.dropout_convention,
            verbose=False,
        )
    except (Exception, SystemExit) as error:
        said = str(error)
        if not said.startswith(("check: ", f"{Path(options.path)}: ")):  # the file's own
            said = f"{options.path}: {type(error).__name__}: {said}"
        raise UsageError(said) from error
    print(report)
    return 0 if report.ok else 1
