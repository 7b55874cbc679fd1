"""``mpiexec -n R fastfc train``: one run of all ranks that a launcher has started."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING

import click

from fastfc.cli.command import UsageError
from fastfc.runtime.launched import launched, warn_of_binding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace
    from typing import Any

# What rank 0 alone does.
_WRITTEN = ("out", "save", "checkpoint_name", "checkpoint_every", "keep_last")


class Ranks:
    """The ranks of a run, ``comm``, or None for a process alone; and whether the run has ended."""

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.ended = False

    def settle(self, options: SimpleNamespace) -> None:
        """Let the options be this rank's: others than rank 0 neither print nor write."""
        options.comm = self.comm
        if self.comm is not None and self.comm.Get_rank() > 0:
            options.quiet, options.progress, options.json = True, False, False
            vars(options).update(dict.fromkeys(_WRITTEN))


@contextlib.contextmanager
def together() -> Iterator[Ranks]:
    """Surround a run of the command: what goes wrong on one rank ends all.

    Raises
    ------
    UsageError
        A launcher has started several processes, and mpi4py is missing, or an MPI, or it has
        another one than the launcher.
    """
    if launched() == 1:
        warn_of_binding()
        yield Ranks(None)
        return
    try:
        from fastfc import distributed

        comm = distributed.world()
    except (ImportError, RuntimeError) as error:
        raise UsageError(str(error)) from error
    ranks, leads = Ranks(comm), comm.Get_rank() == 0
    with contextlib.ExitStack() as stack:
        if not leads:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        try:
            yield ranks
        except BaseException as error:
            everybodys = ranks.ended or any(map(distributed.is_agreed, (error, error.__cause__)))
            if not everybodys:
                if isinstance(error, click.ClickException):
                    distributed.abort(comm, f"fastfc: {error.message}", status=2)
                distributed.abort_with(comm, error)
            if not leads:
                raise click.exceptions.Exit(2) from error
            if isinstance(error, ValueError):
                raise UsageError(str(error)) from error
            raise
