"""How many processes a launcher of MPI has started."""

import os

__all__ = ["launched"]

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
