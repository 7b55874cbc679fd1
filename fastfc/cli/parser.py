"""The parser of the command line: errors in one line, with what was probably meant."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from fastfc.arguments import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn


class UsageError(Exception):
    """Something that the user can put right; the message says how."""


class Parser(argparse.ArgumentParser):
    """Takes options by their full names, and raises a UsageError where argparse would exit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse, and refuse what is unknown here, where the command and its options are known."""
        found, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            hint = did_you_mean(unknown[0].partition("=")[0], options)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:  # argparse would not mind that it cannot be written
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError; of a misspelt command it says which one was meant."""
        wrong = re.match(r"argument \S+: invalid choice: '(.*)' \(choose from (.*)\)$", message)
        if wrong:
            message += did_you_mean(wrong[1], re.findall(r"[\w.-]+", wrong[2]))
        raise UsageError(f"{message}; see {self.prog} --help")


def given_options(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> set[str]:
    """Return the names of the options that stand in the arguments, whatever their values.

    Examples
    --------
    >>> from fastfc.cli.options import make_parser
    >>> sorted(given_options(make_parser(), ["train", "--epochs", "10"]))
    ['command', 'num_epochs']
    """
    _suppress_defaults(parser)
    return set(vars(parser.parse_args(argv)))


def _suppress_defaults(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        action.default = argparse.SUPPRESS
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _suppress_defaults(command)
