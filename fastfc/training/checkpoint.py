"""Checkpoint files: one .npz of plain arrays and a head in JSON."""

from __future__ import annotations

import contextlib
import json
import typing
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from .. import archives
from ..files import atomic_write
from ..version import __version__
from .packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .._types import AnyArray, StrPath

__all__ = ["CheckpointError", "read_checkpoint", "write_checkpoint"]

FORMAT = "fastfc checkpoint"
VERSION = 1
HEAD = "fastfc_checkpoint"
NETWORK = "fastfc_network"  # read by the networks' `load`: fastfc.networks.network_file
STATES = {"latest": ("params", "bn_running"), "best": ("best_params", "best_bn_params")}


class Run(typing.NamedTuple):
    """Whose a checkpoint is: files of the first versions have none of it.

    ``id`` is the run's, ``turn`` says which of a name's runs began last, see
    `fastfc.training.folder`, and ``part`` is the call of ``train`` that wrote the file: one run may
    have been resumed twice.
    """

    id: str = ""
    turn: int = 0
    part: str = ""


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


def write_checkpoint(
    path: StrPath,
    state: Mapping[str, Any],
    run: Mapping[str, object] | None = None,
    network: Mapping[str, object] | None = None,
) -> None:
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
    run : dict, optional
        Whose state it is: the run's ``id``, a string, its ``turn``, see `latest_checkpoint`, and
        the ``part`` of it that writes, a string.
    network : dict, optional
        What builds the network whose state it is, for its ``load``.

    Raises
    ------
    OSError
        The file cannot be written; what was at ``path`` is as it was.
    TypeError
        The state holds something else.
    ValueError
        It contains itself.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from fastfc.training import read_checkpoint, write_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_checkpoint(f"{folder}/a.npz", {"w": np.arange(3), "rate": 0.1})
    ...     read_checkpoint(f"{folder}/a.npz")
    {'w': array([0, 1, 2]), 'rate': 0.1}
    """
    arrays: dict[str, Any] = dict.fromkeys(
        (HEAD, NETWORK)
    )  # names that the state's arrays cannot have
    try:
        packed = pack(state, arrays)
    except RecursionError:
        raise ValueError("the state is nested too deep, or contains itself") from None
    head = {
        "format": FORMAT,
        "version": VERSION,
        "fastfc": __version__,
        "numpy": np.__version__,
        "run": run or {},
        "state": packed,
    }
    arrays[HEAD] = _encode_json(head)
    if network is None:
        del arrays[NETWORK]
    else:
        arrays[NETWORK] = _encode_json({**network, "states": _map_states(packed)})
    atomic_write(path, lambda file: archives.write(file, arrays))


def _encode_json(value: object) -> AnyArray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _map_states(packed: Any) -> dict[str, dict[str, str]]:
    """Return the entries of a network's arrays, by state and by the name that its file would use.

    What is no array is left out, and `load` says that it is missing.
    """
    states = {}
    for which, (params, running) in STATES.items():
        values = {f"params/{name}": value for name, value in packed[params].items()}
        for i, found in enumerate(packed[running]):
            values |= {f"bn_params/{i}/{name}": value for name, value in found.items()}
        states[which] = {
            name: value["$array"]
            for name, value in values.items()
            if isinstance(value, dict) and "$array" in value
        }
    return states


def read_checkpoint(path: StrPath) -> dict[str, Any]:
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
    return read_with_run(path)[0]


def read_with_run(path: StrPath) -> tuple[dict[str, Any], Run]:
    """Return the state of a checkpoint, and whose it is."""
    with _open_checkpoint(path) as archive:
        head = _read_head(path, archive)
        arrays = {name: archive.read(name) for name in archive.names if name != HEAD}
        return dict(unpack(head["state"], arrays)), _parse_run(head)


def read_run(path: StrPath) -> tuple[Run, int]:
    """Return whose a checkpoint is, and how many steps its run has done."""
    with _open_checkpoint(path) as archive:
        head = _read_head(path, archive)
        iteration = head["state"]["iteration"]
        if type(iteration) is not int or iteration < 0:
            raise ValueError(f"its iteration is {iteration!r}")
        return _parse_run(head), iteration


def check_whole(path: StrPath) -> None:
    """Raise CheckpointError unless a checkpoint's every byte is as it was written."""
    with _open_checkpoint(path) as archive:
        _read_head(path, archive)
        archive.check_sums()


@contextlib.contextmanager
def _open_checkpoint(path: StrPath) -> Iterator[archives.Archive]:
    """Open a checkpoint's archive; what is wrong with it is a CheckpointError with its path."""
    with open(path, "rb") as file:
        try:
            if not zipfile.is_zipfile(file):
                raise CheckpointError(f"{path}: truncated, or no checkpoint: expected a .npz file")
            yield archives.Archive(file, compressed=False)
        except CheckpointError:
            raise
        except Exception as error:  # zipfile, zlib, struct, json and NumPy have many words for it
            if archives.is_system_error(error):
                raise
            raise CheckpointError(
                f"{path}: truncated or damaged, expected a checkpoint ({error!r})"
            ) from error


def _read_head(path: StrPath, archive: archives.Archive) -> dict[str, Any]:
    """Return the JSON of a checkpoint, of a format that this version knows."""
    if HEAD not in archive.names:
        raise CheckpointError(
            f"{path}: no checkpoint of fastfc, expected an entry {HEAD}; "
            f"it has {', '.join(archive.names) or 'none'}"
        )
    head: dict[str, Any] = json.loads(archive.read(HEAD).tobytes())
    if head["format"] != FORMAT:
        raise ValueError(f"its format is {head['format']!r}")
    if type(head["version"]) is not int or head["version"] < 1:
        raise ValueError(f"its version is {head['version']!r}")
    if head["version"] > VERSION:
        raise CheckpointError(
            f"{path}: a checkpoint of format {head['version']}, expected at most {VERSION}: it was "
            f"written by fastfc {head['fastfc']}, this is {__version__}"
        )
    return head


def _parse_run(head: dict[str, Any]) -> Run:
    """Return whose the file is."""
    found = head.get("run") or {}
    run = Run(found.get("id", ""), found.get("turn", 0), found.get("part", ""))
    if tuple(map(type, run)) != (str, int, str) or run.turn < 0:
        raise ValueError(f"its run is {found!r}")
    return run
