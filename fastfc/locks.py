"""Locks of objects that several threads may share.

The lock lies in the object's own dictionary; a copy of the object has one of its own.  A forked
child finds open what another thread of its parent's held: that thread is not there.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

__all__ = ["lock_of"]


class _Owned:
    """A reentrant lock, of which a copy is another lock."""

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        _all.add(self)

    def __reduce__(self) -> tuple[type[_Owned], tuple[()]]:
        return _Owned, ()


_all: weakref.WeakSet[_Owned] = weakref.WeakSet()


def _open_all() -> None:
    for owned in list(_all):
        if not owned.lock._is_owned():  # by the thread that forked
            owned.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # neither Windows nor a browser has fork
    os.register_at_fork(after_in_child=_open_all)


def lock_of(owner: object) -> Any:
    """Return the lock of an object, which is made when it is first asked for.

    Parameters
    ----------
    owner : object
        It has a dictionary of attributes.

    Returns
    -------
    threading.RLock

    Examples
    --------
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> network = FullyConnectedNet([20], input_dim=15)
    >>> with lock_of(network):  # no other thread trains it
    ...     W1 = network.params["W1"].copy()
    """
    attributes = owner.__dict__
    owned = attributes.get("_lock")
    if owned is None:
        owned = attributes.setdefault("_lock", _Owned())
    return owned.lock
