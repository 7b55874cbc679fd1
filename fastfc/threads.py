"""How many threads the core uses.

At import: ``FASTFC_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the processors that this process
may run on (its affinity mask), but no more than its control group's quota pays for.
"""

import math
import os
from pathlib import Path

from . import _core

__all__ = ["get_num_threads", "set_num_threads"]

_CGROUP = Path("/sys/fs/cgroup")


def set_num_threads(n):
    """Set how many threads a call may use from now on; no result depends on it.

    Parameters
    ----------
    n : int
        At least 1; the calling thread is one of them.  The core uses at most 256.

    Raises
    ------
    TypeError
        `n` is not an integer.
    ValueError
        `n` is below 1.

    Examples
    --------
    >>> import fastfc
    >>> before = fastfc.get_num_threads()
    >>> fastfc.set_num_threads(1)
    >>> fastfc.get_num_threads()
    1
    >>> fastfc.set_num_threads(before)
    """
    if not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads: n is {n!r}, expected an integer")
    if n < 1:
        raise ValueError(f"set_num_threads: n is {n}, expected at least 1")
    _core.set_num_threads(min(n, _core.MAX_THREADS))


def get_num_threads():
    """Return how many threads a call may use.

    Returns
    -------
    int

    Examples
    --------
    >>> import fastfc
    >>> fastfc.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def _quota():
    """Return how many processors the control group's quota pays for, infinity if it has none."""
    try:  # version 2: "max 100000" or "150000 100000"
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:  # version 1: -1 is none
            quota = (_CGROUP / "cpu/cpu.cfs_quota_us").read_text()
            period = (_CGROUP / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return math.inf
    try:
        share = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return math.inf
    return share if share > 0 else math.inf


def _default():
    """Return the number of threads to begin with."""
    for name in ("FASTFC_NUM_THREADS", "OMP_NUM_THREADS"):
        first = os.environ.get(name, "").split(",")[0].strip()  # OpenMP's may be a list
        if first.isdecimal() and int(first) >= 1:
            return int(first)
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        processors = os.cpu_count() or 1
    return max(1, math.ceil(min(processors, _quota())))


set_num_threads(_default())
