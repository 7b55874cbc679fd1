"""How many threads an estimator uses, and that workers use one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from typing import TYPE_CHECKING

from .. import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["threads_of"]


@contextlib.contextmanager
def threads_of(n_threads: int | None) -> Iterator[None]:
    """Let this thread's calls of the core use so many threads.

    With None: one in a worker, which is a thread other than the main one, or a process of
    multiprocessing's that no environment variable says anything else to; elsewhere as many as
    `fastfc.get_num_threads` says.  joblib's default workers have such variables, set by joblib.

    Examples
    --------
    >>> with threads_of(1):
    ...     pass
    """
    before = _core.set_own_threads((1 if _is_worker() else 0) if n_threads is None else n_threads)
    try:
        yield
    finally:
        _core.set_own_threads(before)


def _is_worker() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return True
    told = any(os.environ.get(name) for name in ("FASTFC_NUM_THREADS", "OMP_NUM_THREADS"))
    return multiprocessing.parent_process() is not None and not told
