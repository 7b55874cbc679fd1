"""The command ``fastfc``: train a network, check layers, or say how fastfc was built."""

import os
import sys
import warnings

from fastfc.cli.options import make_parser
from fastfc.cli.parser import UsageError, given_options

__all__ = ["main"]


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status: 0; 1 where ``check`` found something wrong; 2 after an error of the user's,
        which is one line on stderr; 130 after Ctrl-C and 141 when nobody reads the output any
        more, as a shell counts them.

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
        # the interpreter flushes stdout once more at exit: let that go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(argv):
    """Do what the arguments ask for and return the exit status."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # a pipe's reader sees lines as they come
    try:
        options = make_parser().parse_args(argv)
    except SystemExit as done:  # --help and --version
        return done.code
    if options.command == "config":
        from fastfc import show_config

        show_config()
        return 0
    if options.command == "check":
        from fastfc.cli.check import run

        return run(options)
    from fastfc.cli.train import train

    return train(options, given_options(make_parser(), argv))


def _fail(message):
    """Print one line on stderr and return the status of an error."""
    print("fastfc:", " ".join(message.split()), file=sys.stderr)
    return 2


def _print_warning(message, *_, **__):
    print("fastfc: warning:", " ".join(str(message).split()), file=sys.stderr)
