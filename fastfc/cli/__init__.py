"""The command ``fastfc``."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

import click

from fastfc.arguments import did_you_mean
from fastfc.cli.command import WithExamples, in_words
from fastfc.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["main"]

# Each command's file and the click command in it, which is imported when it is asked for.
COMMANDS = {
    "train": "fastfc.cli.train:command",
    "report": "fastfc.cli.report:command",
    "evaluate": "fastfc.cli.evaluate:command",
    "predict": "fastfc.cli.predict:command",
    "compare": "fastfc.cli.compare:command",
    "sweep": "fastfc.cli.sweep:command",
    "export": "fastfc.cli.export:command",
    "check": "fastfc.cli.check:command",
    "gradcheck": "fastfc.cli.gradcheck:command",
    "verify": "fastfc.cli.verify:command",
    "info": "fastfc.cli.info:command",
    "config": "fastfc.cli.info:command",
}


class _Commands(WithExamples, click.Group):
    """The commands of the table."""

    examples = ("fastfc train --epochs 2", "fastfc train --help")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise click.UsageError(f"a command is required: {', '.join(COMMANDS)}", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.UsageError(
                f"invalid choice: {args[0]!r} (choose from {', '.join(COMMANDS)})"
                f"{did_you_mean(args[0], COMMANDS)}",
                ctx,
            )
        return super().resolve_command(ctx, args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status: 0; 1 where ``check`` found something wrong; 2 after an error of the user's or
        where stdout cannot be written to, which is one line on stderr; 130 after Ctrl-C and 141
        when nobody reads the output any more, as a shell counts them.  SIGTERM ends the process.

    Examples
    --------
    >>> main(["train", "--epochs", "1", "--print-every", "100"])  # doctest: +ELLIPSIS
    data: digits, 1197 train, 300 val and 300 test examples of 1x8x8, 10 classes
    network: 64-100-100-100-10, batchnorm, dropout 0.9, float32, 28310 parameters; adam, ...
    (Iteration 1 / 11) loss: 2.29...
    (Epoch 0 / 1) train acc: ...; val_acc: ...
    (Epoch 1 / 1) train acc: ...; val_acc: ...
    validation accuracy: ...
    test accuracy: ...
    seconds: ...
    examples per second: ...
    0
    """
    if sys.stdout is None:
        return _fail("stdout is closed, expected somewhere to print the figures")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning
            status = _run(argv)
            sys.stdout.flush()
        return status
    except click.UsageError as error:
        return _fail(in_words(error))
    except click.ClickException as error:
        return _fail(error.message)
    except MemoryError:
        return _fail("not enough memory: choose a smaller --hidden or --batch-size, or less data")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_stdout()
        return 141
    except OSError as error:
        try:
            sys.stdout.flush()  # fails again where that was it
        except OSError:
            _discard_stdout()
            return _fail(f"cannot write to stdout: {error.strerror}")
        if error.filename is None:  # of a file that is open, or stdout without a buffer
            return _fail(f"cannot write: {error.strerror}")
        return _fail(str(error))


def _run(argv: Sequence[str] | None) -> int:
    """Do what the arguments ask for and return the exit status."""
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        stdout.reconfigure(line_buffering=True)  # a pipe's reader sees lines as they come
    commands = make_commands()
    wanted = os.environ.get("_FASTFC_COMPLETE")
    if wanted is not None:  # a shell asks for completions, or for the script that does
        from click.shell_completion import shell_complete

        return shell_complete(commands, {}, "fastfc", "_FASTFC_COMPLETE", wanted)
    try:
        with commands.make_context("fastfc", list(sys.argv[1:] if argv is None else argv)) as ctx:
            status: int = commands.invoke(ctx)
            return status
    except click.exceptions.Exit as done:  # --help and --version
        return done.exit_code


def make_commands() -> click.Group:
    """Return the command ``fastfc`` with all its commands."""
    commands = _Commands(
        "fastfc",
        help="Train fully connected networks on a CPU.",
        epilog="Exit status: 0; 1 where something that was checked is wrong; 2 after an error, "
        "which is one line on stderr; 130 after Ctrl-C; 141 when nobody reads the output.",
    )
    return click.version_option(__version__, message="fastfc %(version)s")(commands)


def _discard_stdout() -> None:
    """Let what is still to be written, which the interpreter tries again at exit, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    """Print one line on stderr and return the status of an error."""
    _print_error(f"fastfc: {message}")
    return 2


def _print_warning(message: object, *_: object, **__: object) -> None:
    _print_error(f"fastfc: warning: {message}")


def _print_error(message: str) -> None:
    """Print one line on stderr, where there is one: the status tells the rest."""
    if sys.stderr is not None:
        # what stands on a terminal's line, a bar or how long data have been loading, goes first
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        with contextlib.suppress(OSError):
            print(clear + " ".join(message.split()), file=sys.stderr)
