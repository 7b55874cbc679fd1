"""What a launcher of MPI has made of this process: how many there are, and where they may run."""

import os
import warnings

__all__ = ["launched", "warn_of_binding"]

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # Open MPI's, and MPICH's


def launched() -> int:
    """Return how many processes a launcher has started together with this one, 1 without any.

    Returns
    -------
    int

    Examples
    --------
    >>> from fastfc.runtime.launched import launched
    >>> launched()
    1
    """
    size = next((os.environ[name] for name in _SIZES if name in os.environ), "")
    return int(size) if size.isdecimal() else 1


def warn_of_binding(processors: int | None = None, ranks: int = 1) -> None:
    """Warn where Open MPI has bound a machine's ranks to fewer processors than they could share.

    It binds a rank to one, even where that is alone on the machine.  Whoever has said how many
    threads a rank has is not warned.

    Parameters
    ----------
    processors : int, optional
        That any of these ranks may run on; by default, those of this process alone.
    ranks : int
        How many there are on this machine.

    Examples
    --------
    >>> from fastfc.runtime.launched import warn_of_binding
    >>> warn_of_binding()  # without a launcher
    """
    said = any(os.environ.get(name) for name in ("FASTFC_NUM_THREADS", "OMP_NUM_THREADS"))
    by_open_mpi = "OMPI_COMM_WORLD_SIZE" in os.environ and hasattr(os, "sched_getaffinity")
    if said or not by_open_mpi:
        return
    if processors is None:
        processors = len(os.sched_getaffinity(0))
    try:
        whole = len(os.sched_getaffinity(os.getppid()))  # the launcher has bound itself to none
    except OSError:
        return
    if whole // ranks * ranks > processors:
        warnings.warn(
            f"Open MPI has bound this machine's ranks to {processors} of its {whole} processors: "
            "with mpiexec --bind-to none they share all",
            stacklevel=2,
        )
