"""The command ``fastfc``: train a network, check layers, or say how fastfc was built."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import TYPE_CHECKING, cast

from fastfc.cli.options import make_parser
from fastfc.cli.parser import UsageError, given_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["main"]


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
    except UsageError as error:
        return _fail(str(error))
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
    try:
        options = make_parser().parse_args(argv)
    except SystemExit as done:  # --help and --version
        return cast("int", done.code)
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        stdout.reconfigure(line_buffering=True)  # a pipe's reader sees lines as they come
    if options.command == "config":
        from fastfc import show_config

        show_config()
        return 0
    if options.command == "check":
        from fastfc.cli.check import run

        return run(options)
    from fastfc.cli.train import train

    return train(options, given_options(make_parser(), argv))


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
