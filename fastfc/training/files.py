"""Files that are either there, whole, or not there."""

import contextlib
import errno
import os
from pathlib import Path


def write_atomically(path, write, temporary=None):
    """Write a file beside its place, then put it there: a reader sees the old one or the new one.

    The bytes are on the disk before the name is, and the name before this returns.  Whatever goes
    wrong, Ctrl-C among it, leaves what was at ``path`` as it was and no temporary file.

    Parameters
    ----------
    path : path
        The file's place.
    write : callable
        Called with the open binary file.
    temporary : path, optional
        Where to write, in the same folder; ``path`` with ``.tmp`` by default.
    """
    path = Path(path)
    temporary = Path(f"{path}.tmp" if temporary is None else temporary)
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder):
    """Have the folder's names on the disk, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
