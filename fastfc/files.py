"""Files: written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from ._types import StrPath

try:
    import fcntl
except ImportError:  # Windows, where nobody can delete a file that is open
    fcntl = None  # type: ignore[assignment]  # which every use asks for first


def atomic_write(path: StrPath, write: Callable[[BinaryIO], object]) -> None:
    """Let a function write a new file, which takes the place of ``path`` when it returns.

    It is written beside ``path``, flushed to the disk and renamed: whatever happens, ``path`` holds
    either what it held before or all of the new.  An exception, Ctrl-C among them, leaves nothing.
    Of many writers at once, in threads and processes, each writes a file of its own, and the one
    who ends last has written ``path``.  What a process that was killed has left of its file goes
    with the next writer of ``path``, where the folder may be listed.

    Parameters
    ----------
    path : path
        May exist, may be a link, which stays one: the file is its target, and is written in the
        target's folder.  A device or a pipe is written to as it is.
    write : callable
        Called with the file, open in binary mode.  It is no block of a ``with``: Ctrl-C may come
        between any two calls, so that only a ``try`` around all of them sees it every time.

    Raises
    ------
    OSError
        It cannot be written there; the error names ``path``.
    TypeError
        ``path`` is no path.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(f"{folder}/greeting", lambda file: file.write(b"hello"))
    ...     os.listdir(folder)
    ['greeting']
    """
    path = os.fsdecode(path)
    temporary = ""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:  # an error of its own where it is a folder
                write(file)
            return
        target = os.path.realpath(path)
        folder, name = os.path.split(target)
        if len(os.fsencode(name)) > 230:  # of 255; what is added needs 21, a character up to 4
            name = name[:50]
        delete_abandoned(folder, re.escape(name))
        created = None
        while created is None:
            temporary = os.path.join(folder, f"{name}.{os.urandom(8).hex()}.tmp")
            created = _create_locked(temporary)
        with created as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # still locked: nobody takes it for one that was left
                os.replace(temporary, target)
        if fcntl is None:
            os.replace(temporary, target)
        _sync_folder(folder)
    except BaseException as error:  # also Ctrl-C between any two lines above
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, temporary):
            raise type(error)(error.errno, error.strerror, path) from error
        raise


def _create_locked(path: str) -> BinaryIO | None:
    """Open a new file and lock it; return None if it has been swept before it was locked.

    New: no link of that name is followed.  Where the file system has no locks, nothing is ever
    swept.
    """
    file = open(path, "xb")  # noqa: SIM115  (closed by the caller)
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if not os.path.exists(path):
            file.close()
            return None
    return file


def _sync_folder(folder: str) -> None:
    """Have the disk keep the names in a folder, where the system lets us ask for it.

    The file is in its place by now, and its bytes are on the disk: a folder that may not be read,
    or that cannot be opened at all, as under Windows, is no reason to say that it failed.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def delete_abandoned(folder: StrPath, names: str) -> None:
    """Delete what killed processes have left of the files that they were writing.

    Who writes holds a lock on the file, which ends with the process: process numbers would say
    nothing of another machine's, or another container's.

    Parameters
    ----------
    folder : path
        Nothing happens if it may not be listed.
    names : str
        A regular expression of the names that the files were to have.
    """
    if fcntl is None:
        return
    pattern = re.compile(names + r"\.[0-9a-f]{16}\.tmp")
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if pattern.fullmatch(name):
                _delete_unless_locked(os.path.join(folder, name))


def _delete_unless_locked(path: str) -> None:
    """Delete a file that nobody is writing; no link is followed, and no pipe waited for."""
    assert fcntl is not None  # whoever deletes has asked
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
        finally:
            os.close(descriptor)
