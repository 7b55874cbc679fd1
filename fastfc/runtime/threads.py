"""How many threads the core uses.

At import: ``FASTFC_NUM_THREADS``, which must be a number of 1 or more if it is not empty; else the
first number of ``OMP_NUM_THREADS``, other libraries' variable, where that is one of 1 or more; else
the processors that this process may run on (its affinity mask), but no more than its control
group's quota pays for.
"""

import math
import operator
import os
from typing import SupportsIndex

from .. import _core
from . import threadpoolctl

__all__ = ["get_num_threads", "set_num_threads"]

_CGROUP = "/sys/fs/cgroup"
_GROUPS = "/proc/self/cgroup"  # lines of "id:controllers:/path", no controllers in version 2


def set_num_threads(n: SupportsIndex) -> None:
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
    try:
        n = operator.index(n)
    except TypeError:
        from ..arguments import shown  # not needed by whoever imports fastfc

        raise TypeError(f"set_num_threads: n is {shown(n)}, expected an integer") from None
    if n < 1:
        from ..arguments import shown

        raise ValueError(f"set_num_threads: n is {shown(n)}, expected at least 1")
    _core.set_num_threads(min(n, _core.MAX_THREADS))


def get_num_threads() -> int:
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


def _read(*path: str) -> str:
    with open(os.path.join(*path)) as file:  # pathlib alone would take 6 ms to import
        return file.read()


def _share(folder: str) -> float:
    """Return how many processors a control group's folder grants, infinity if it has no quota."""
    try:
        if os.path.exists(
            os.path.join(folder, "cpu.max")
        ):  # version 2: "max 100000" or "150000 100000"
            quota, period = _read(folder, "cpu.max").split()
        else:  # version 1: -1 is none
            quota = _read(folder, "cpu.cfs_quota_us")
            period = _read(folder, "cpu.cfs_period_us")
        share = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
    return share if share > 0 else math.inf


def _quota() -> float:
    """Return how many processors the quotas of this process's control groups pay for.

    A container sees its own group as the root, and perhaps a path from outside that leads nowhere.
    """
    folders = [_CGROUP, os.path.join(_CGROUP, "cpu")]
    try:
        lines = _read(_GROUPS).splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            folder = folders[1 if controllers else 0]
            for part in path.strip("/").split("/"):
                folder = os.path.join(folder, part)
                folders.append(folder)
    return min(map(_share, folders))


def _default() -> int:
    """Return the number of threads to begin with."""
    own = os.environ.get("FASTFC_NUM_THREADS", "").strip()
    if own:
        if not (own.isdecimal() and int(own) >= 1):
            raise ImportError(
                f"FASTFC_NUM_THREADS is {own!r}, expected a whole number of at least 1"
            )
        return int(own)
    openmp = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # may be a list
    if openmp.isdecimal() and int(openmp) >= 1:
        return int(openmp)
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        processors = os.cpu_count() or 1
    return max(1, math.ceil(min(processors, _quota())))


set_num_threads(_default())
threadpoolctl.register_when_imported()
