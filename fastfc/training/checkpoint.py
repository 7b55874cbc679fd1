"""Checkpoint files: one .npz of plain arrays and a head in JSON."""

import json
import os
import re
from pathlib import Path

import numpy as np

from ..files import NotNpzError, atomic_write, read_npz
from ..version import __version__
from .packing import pack, unpack

__all__ = ["CheckpointError", "latest_checkpoint", "read_checkpoint", "write_checkpoint"]

FORMAT = "fastfc checkpoint"
VERSION = 1
HEAD = "fastfc_checkpoint"


class CheckpointError(ValueError):
    """A file is no checkpoint, not whole, too new, or of another model or other data.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from fastfc.training import CheckpointError, read_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/mine.npz", a=np.eye(2))
    ...     try:
    ...         read_checkpoint(f"{folder}/mine.npz")
    ...     except CheckpointError as error:
    ...         print(str(error).removeprefix(folder))
    /mine.npz: no checkpoint of fastfc, expected an entry fastfc_checkpoint; it has a
    """


def write_checkpoint(path, state, temporary=None):
    """Write a state to a file, which appears whole or not at all.

    The file is an ``.npz`` without pickles: every array is an entry of its own, and the entry
    ``fastfc_checkpoint`` holds the bytes of a JSON text with all the rest, the numbers exact, the
    format's version and those of fastfc and NumPy.

    Parameters
    ----------
    path : path
        The file.
    state : dict
        Numbers, strings, arrays, and lists, tuples and dicts of them.
    temporary : path, optional
        Where it is written before it is put in its place, in the same folder.

    Raises
    ------
    OSError
        The file cannot be written; what was at ``path`` is as it was.
    TypeError
        The state holds something else.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from fastfc.training import read_checkpoint, write_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_checkpoint(f"{folder}/a.npz", {"w": np.arange(3), "rate": 0.1})
    ...     read_checkpoint(f"{folder}/a.npz")
    {'w': array([0, 1, 2]), 'rate': 0.1}
    """
    arrays = {}
    packed = pack(state, arrays)
    head = {
        "format": FORMAT,
        "version": VERSION,
        "fastfc": __version__,
        "numpy": np.__version__,
        "state": packed,
    }
    arrays[HEAD] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    with atomic_write(path, temporary or f"{path}.tmp") as file:
        np.savez(file, **arrays)


def read_checkpoint(path):
    """Return the state that `write_checkpoint` wrote to a file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict

    Raises
    ------
    OSError
        The file cannot be read.
    CheckpointError
        The file is damaged, something else, or of a newer format.

    Examples
    --------
    See `write_checkpoint`.

    >>> from fastfc.training import read_checkpoint
    >>> read_checkpoint("missing.npz")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.npz'
    """
    head, arrays = _read(path)
    try:
        return dict(unpack(head["state"], arrays))
    except (KeyError, TypeError, ValueError) as error:
        raise _damage_error(path, error) from error


def latest_checkpoint(name: str | os.PathLike[str]) -> Path | None:
    """Return the checkpoint of a run that is furthest on.

    Parameters
    ----------
    name : path
        The run's ``checkpoint_name``.

    Returns
    -------
    Path or None
        None if there is none.

    Raises
    ------
    CheckpointError
        A file of that name is none.

    Examples
    --------
    >>> from fastfc.training import latest_checkpoint
    >>> latest_checkpoint("never-run") is None
    True
    """
    name = Path(name)
    pattern = re.compile(re.escape(name.name) + r"_(epoch|step)_\d+\.npz")
    found = [path for path in name.parent.glob("*.npz") if pattern.fullmatch(path.name)]
    return max(found, key=_progress_of, default=None)


def _progress_of(path):
    head, _ = _read(path, whole=False)
    return head["state"].get("iteration", 0), path.stat().st_mtime_ns


def _read(path, whole=True):
    """Return the JSON and, if asked for, the arrays, every byte of them checked by its sum."""
    with open(path, "rb") as file:
        try:
            head = read_npz(file, lambda names: _expect_head(path, names), check_sums=whole)[HEAD]
            head = json.loads(head.tobytes())
            _check_version(path, head)
            if not whole:
                return head, None
            return head, read_npz(file, lambda names: [name for name in names if name != HEAD])
        except NotNpzError:
            raise CheckpointError(
                f"{path}: truncated, or no checkpoint: expected a .npz file"
            ) from None
        except (CheckpointError, MemoryError):
            raise
        except Exception as error:  # zipfile, zlib, struct and NumPy have many words for it
            raise _damage_error(path, error) from error


def _expect_head(path, names):
    """Return the name of the entry that every checkpoint has."""
    if HEAD not in names:
        raise CheckpointError(
            f"{path}: no checkpoint of fastfc, expected an entry {HEAD}; "
            f"it has {', '.join(names) or 'none'}"
        )
    return [HEAD]


def _check_version(path, head):
    if head["format"] != FORMAT:
        raise ValueError(f"its format is {head['format']!r}")
    if head["version"] > VERSION:
        raise CheckpointError(
            f"{path}: a checkpoint of format {head['version']}, expected at most {VERSION}: it was "
            f"written by fastfc {head['fastfc']}, this is {__version__}"
        )


def _damage_error(path, error):
    return CheckpointError(f"{path}: truncated or damaged, expected a checkpoint ({error!r})")
