"""Files: written whole or not at all; ``.npz`` archives, read with a word on what is wrong."""

import contextlib
import errno
import os
import zipfile
import zlib

import numpy as np


@contextlib.contextmanager
def atomic_write(path, temporary=None):
    """Open a new binary file that takes the place of ``path`` when the block ends.

    It is written beside ``path``, flushed to the disk and renamed: whatever happens, ``path`` holds
    either what it held before or all of the new.  An exception, Ctrl-C among them, leaves nothing.

    Parameters
    ----------
    path : path
        May exist, may be a link.
    temporary : path, optional
        Where to write, in the same folder: a name that stays the same does not pile up where
        processes are killed.  By default one of its own.

    Yields
    ------
    file object

    Raises
    ------
    OSError
        It cannot be written there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(f"{folder}/greeting") as file:
    ...         _ = file.write(b"hello")
    ...     os.listdir(folder)
    ['greeting']
    """
    target = os.path.realpath(path)
    mode = "xb" if temporary is None else "wb"
    temporary = temporary or f"{target}.{os.urandom(4).hex()}.tmp"
    try:
        file = open(temporary, mode)  # noqa: SIM115  (closed below, before the rename)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    folder = os.open(os.path.dirname(target), os.O_RDONLY)
    try:
        os.fsync(folder)  # else a crash may lose the new name
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise
    finally:
        os.close(folder)


def load_arrays(path, choose=list):
    """Return the arrays of an ``.npz`` file; what is wrong with it is said with its name.

    Parameters
    ----------
    path : path
    choose : callable
        Called with the names that the file has, returns those to read, by default all; may raise
        ValueError.

    Returns
    -------
    dict of ndarray
        Pickled objects are never loaded.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no ``.npz`` file, or damaged, or holds other things than arrays.

    Examples
    --------
    >>> load_arrays("digits.npz")
    Traceback (most recent call last):
        ...
    FileNotFoundError: digits.npz: no such file
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, "rb") as file:
        try:
            arrays = read_npz(file, choose)
        except NotNpzError:
            raise ValueError(f"{path}: truncated, or not a .npz file") from None
        except (
            ValueError,
            KeyError,
            OSError,  # an offset before the file's beginning
            EOFError,
            MemoryError,  # a size that no array has
            RuntimeError,  # encrypted, or compressed in another way
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(f"{path}: {error}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path}: {name} is no array")
    return arrays


class NotNpzError(ValueError):
    """A file is no archive, or its end, where the directory stands, is missing."""


def read_npz(file, choose=list, check_sums=False):
    """Return the arrays of an open ``.npz`` file.

    Whoever reads such a file does it here; `load_arrays` and the checkpoints have their own words
    for what goes wrong.

    Parameters
    ----------
    file : binary file object
    choose : callable
        As for `load_arrays`.
    check_sums : bool
        Whether to check every byte of the file first by its sum, also of what is not chosen.

    Returns
    -------
    dict of ndarray
        Pickled objects are never loaded.

    Raises
    ------
    NotNpzError
        It is no archive.
    Exception
        It is damaged: zipfile, zlib, struct and NumPy have many words for it.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> np.savez(file, a=np.arange(3), b=np.eye(2))
    >>> read_npz(file, lambda names: ["a"])
    {'a': array([0, 1, 2])}
    """
    if not zipfile.is_zipfile(file):
        raise NotNpzError("not a .npz file")
    if check_sums and (wrong := zipfile.ZipFile(file).testzip()) is not None:
        raise ValueError(f"the sum of {wrong} is wrong")
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in choose(archive.files)}
