"""Networks in files: arrays under their names, and all else as one JSON object beside them.

==============================  ====================================================
``metadata``                    text: the JSON object, below; of an archive
``params/<name>``               each parameter, in the network's dtype
``bn_params/<i>/running_mean``  running statistics of the i-th batch normalisation,
``bn_params/<i>/running_var``   from 0; absent before the first training pass
==============================  ====================================================

A ``.safetensors`` file has the same arrays under the same names, and the object as its metadata,
see `fastfc.tensor_files`; else it is an ``.npz`` archive.

The object has ``format`` and ``version``; ``class``, the network's; ``arguments``, what its
constructor was given, as it holds now; ``dropout_param`` and ``bn_params`` without their arrays;
``preprocessing`` where the network has one, see `fastfc.preprocessing`; and ``arrays``, the names
of the arrays: a damaged directory of the archive may hide one.

Other archives may hold a network too, such as a Solver's checkpoint, in several states: by an entry
``fastfc_network``, the bytes of such an object, which has instead of ``arrays`` the ``states``:
their names, and for each the arrays' names above with the names of their entries.
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
import numbers
import os
from collections import abc
from typing import TYPE_CHECKING

import numpy as np

from .. import archives, tensor_files
from ..arguments import check_number, check_word, shown
from ..arrays import as_arrays
from ..files import atomic_write
from ..preprocessing import check_preprocessing
from .arguments import check_attributes, check_seed
from .initial_weights import SCALES, UNDRAWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    from .._types import AnyArray, StrPath
    from .fully_connected import FullyConnectedNet

    Net = TypeVar("Net", bound=FullyConnectedNet)

FORMAT, VERSION = "fastfc network", 1
STATES = "fastfc_network"
# Python has no number for them.
_OWN: tuple[type[np.generic], ...] = (np.longdouble, np.clongdouble)


def write(path: StrPath, network: FullyConnectedNet) -> None:
    """Write the network to a file; see `fastfc.networks.model.Model.save`."""
    check_attributes(network)
    arrays = {f"params/{name}": value for name, value in network._own_params().items()}
    for i, bn_param in enumerate(network.bn_params):
        for name in filter(_is_statistic, bn_param):
            (array,) = as_arrays("save", **{f"bn_params[{i}][{name!r}]": bn_param[name]})
            arrays[f"bn_params/{i}/{name}"] = array
    metadata = {**describe(network), "arrays": sorted(arrays)}
    # what could not be read is not written
    _build_network(type(network), metadata, arrays, arrays.__getitem__)
    text = json.dumps(metadata)
    if os.fsdecode(path).lower().endswith(tensor_files.ENDING):
        atomic_write(path, lambda file: tensor_files.write(file, arrays, text))
    else:
        entries = {"metadata": np.array(text), **arrays}
        atomic_write(path, lambda file: archives.write(file, entries))


def describe(network: FullyConnectedNet) -> dict[str, Any]:
    """Return all that a file says of a network but its arrays, as JSON has it.

    Raises
    ------
    TypeError, ValueError
        Something was set to what no file can hold.
    """
    now = {name: value for name, value in network._arguments.items() if value is not None}
    now |= {name: vars(network)[name] for name in now.keys() & vars(network).keys()}
    now |= {"loss": network.loss_name, "loss_param": network.loss_param}
    bn_params = [
        {name: value for name, value in bn_param.items() if not _is_statistic(name)}
        for bn_param in network.bn_params
    ]
    described = {
        "format": FORMAT,
        "version": VERSION,
        "class": network._kind,
        "arguments": {name: _as_json(name, now.get(name)) for name in network._arguments},
        "dropout_param": _as_json("dropout_param", network.dropout_param),
        "bn_params": _as_json("bn_params", bn_params),
    }
    if network.preprocessing is not None:
        described["preprocessing"] = _as_json("preprocessing", network.preprocessing)
    return described


def _is_statistic(name: object) -> bool:
    """Return whether an entry of a bn_param is a running statistic, an array of the file."""
    return isinstance(name, str) and name.startswith("running_")


def read(path: StrPath, cls: type[Net], which: str = "best") -> Net:
    """Return the network of a file; see `fastfc.networks.model.Model.load`."""
    if which not in ("best", "latest"):
        raise ValueError(f"which is {shown(which)}, expected 'best' or 'latest'")
    with _open(path) as archive:
        metadata, entries = _find_network(archive, cls, which)
        headers = {name: archive.header(entry) for name, entry in entries.items()}
        total = sum(math.prod(header.shape) * header.dtype.itemsize for header in headers.values())
        if total > 4 * archive.size:  # tied parameters share an entry, but not without end
            raise ValueError(f"its arrays would have {total} bytes, the file has {archive.size}")
        return _build_network(cls, metadata, headers, lambda name: archive.read(entries[name]))


def _open(path: StrPath) -> AbstractContextManager[archives.Archive | tensor_files.TensorFile]:
    """Open a file of either kind."""
    if tensor_files.has_tensors(path):
        return tensor_files.open_tensors(path)
    return archives.open_archive(path, compressed=False)


def _find_network(
    archive: archives.Archive | tensor_files.TensorFile, cls: type[Net], which: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a file's JSON object, and by the names of the arrays those of their entries."""
    if isinstance(archive, tensor_files.TensorFile):
        if archive.text is None:
            raise ValueError(f"no {FORMAT}: its metadata have no {tensor_files.KEY}")
        metadata, arrays = _parse_object(archive.text), archive.names
    elif "metadata" in archive.names:
        metadata = _parse_object(_read_text(archive.read("metadata")))
        arrays = [name for name in archive.names if name != "metadata"]
    elif STATES in archive.names:
        metadata = _parse_object(archive.read(STATES).tobytes())
        _check_format(metadata, cls)
        return metadata, metadata["states"].get(which) or metadata["states"]["latest"]
    elif "fastfc_checkpoint" in archive.names:
        raise ValueError("a checkpoint that has no network's configuration: resume it")
    else:
        raise ValueError(f"no {FORMAT}: it has no metadata")
    _check_format(metadata, cls)
    entries = {name: name for name in arrays}
    _check_names(entries, metadata["arrays"], metadata["arrays"])
    return metadata, entries


def _as_json(name: str, value: Any) -> Any:
    """Return a value as JSON has it."""
    try:
        return _to_json(name, value)
    except RecursionError:
        raise ValueError(f"save: {name} is nested too deep, or contains itself") from None


def _to_json(name: str, value: Any) -> Any:
    if isinstance(value, abc.Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"save: {name} has the key {shown(key)}, expected text")
        return {key: _to_json(f"{name}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(f"{name}[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, _OWN):
        return _to_json(name, value.tolist())
    if name == "dtype":
        return np.dtype(value).name
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"save: {name} is {shown(value)}, expected numbers, text, or lists of them")
    if isinstance(value, int) and value.bit_length() > 1024:
        raise ValueError(f"save: {name} is {shown(value)}, expected a number that fits a float")
    return value


def _read_text(array: AnyArray) -> str:
    """Return the text in an array."""
    if array.dtype.kind != "U" or array.ndim != 0:
        raise ValueError(f"metadata has dtype {array.dtype} and shape {array.shape}, expected text")
    return str(array.item())


def _parse_object(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"metadata is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"metadata is {shown(found)}, expected a JSON object")
    return found


def _check_format(metadata: dict[str, Any], cls: type[Net]) -> None:
    """Raise ValueError unless this is what `read` understands and ``cls`` can be."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"format is {shown(metadata.get('format'))}, expected {FORMAT!r}")
    version = metadata.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"version is {shown(version)}, expected {VERSION}")
    if version > VERSION:
        raise ValueError(f"version is {version}, of a newer fastfc; expected at most {VERSION}")
    missing = {"class", "arguments", "dropout_param", "bn_params"} - metadata.keys()
    missing |= {"arrays"} - metadata.keys() if "states" not in metadata else set()
    names, states = metadata.get("arrays", []), metadata.get("states", {"latest": {}})
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"arrays is {shown(names)}, expected a list of names")
    if not isinstance(states, dict) or not all(
        isinstance(names, dict) for names in states.values()
    ):
        raise ValueError(f"states is {shown(states)}, expected names of arrays")
    if missing:
        raise ValueError(f"metadata has no {', '.join(sorted(missing))}")
    if metadata["class"] not in cls._loads:
        raise ValueError(f"it holds a {metadata['class']}, expected a {' or '.join(cls._loads)}")


def _build_network(
    cls: type[Net],
    metadata: dict[str, Any],
    arrays: Mapping[str, AnyArray | archives.Header],
    read: Callable[[str], AnyArray],
) -> Net:
    """Return the network that these describe, after checking that they do.

    ``arrays`` have shapes and dtypes; ``read(name)`` returns the array itself.
    """
    network = _construct_undrawn(cls, metadata["arguments"], arrays)
    bn_params = _check_bn_params(metadata["bn_params"], len(network.bn_params))
    network.dropout_param = _check_dropout_param(metadata["dropout_param"], network.use_dropout)
    sizes = network._arguments["input_dim"], network._arguments["num_classes"]
    network.preprocessing = check_preprocessing(metadata.get("preprocessing"), *sizes)
    params = {f"params/{name}": np.shape(value) for name, value in network.params.items()}
    running = {
        f"bn_params/{i}/{name}": shape
        for i, shapes in enumerate(network._running_shapes())
        for name, shape in shapes.items()
    }
    _check_names(arrays, params, [*params, *running])
    for name, array in arrays.items():
        expected = {**params, **running}[name]
        rows = [(1, *expected), ()] if len(expected) == 1 else []  # which the layers accept too
        if array.shape not in [expected, *rows]:
            raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
        if name in params and array.dtype != network.dtype:
            raise ValueError(
                f"{name} has dtype {array.dtype}, expected {np.dtype(network.dtype)}, the network's"
            )
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name} has dtype {array.dtype}, expected real numbers")
    for name in arrays:
        if name in params:
            network.params[name.removeprefix("params/")] = read(name)
        else:
            _, i, key = name.split("/")
            bn_params[int(i)][key] = read(name)
    network.bn_params = bn_params
    return network


def _check_names(arrays: Mapping[str, object], needed: Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError unless the arrays are all those needed and some of those known."""
    missing, unknown = set(needed) - arrays.keys(), arrays.keys() - set(known)
    if missing or unknown:
        raise ValueError(f"arrays: missing {sorted(missing)}, unknown {sorted(unknown)}")


def _construct_undrawn(
    cls: type[Net], arguments: Any, arrays: Mapping[str, AnyArray | archives.Header]
) -> Net:
    """Return a network that the constructor makes of them, without drawing its weights."""
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments is {shown(arguments)}, expected an object")
    parameters = inspect.signature(cls._constructor).parameters
    for name, value in arguments.items():
        if name not in parameters:
            raise ValueError(f"arguments has {shown(name)}, which the constructor does not know")
        plain = parameters[name].default
        if name == "weight_scale" and isinstance(value, str) and value in SCALES:
            continue
        if isinstance(plain, numbers.Real) and not _is_number(value):
            raise ValueError(f"{name} is {shown(value)}, expected a number")
    _check_size(arguments, arrays)
    network = cls.__new__(cls)
    try:
        cls._constructor(network, **{**arguments, "weight_scale": UNDRAWN})
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"arguments make no network: {error}") from error
    network._arguments["weight_scale"] = arguments.get("weight_scale")
    return network


def _check_size(arguments: Any, arrays: Mapping[str, AnyArray | archives.Header]) -> None:
    """Raise ValueError if the network would be far larger than what the file has of it."""
    hidden = arguments.get("hidden_dims")
    dims = [arguments.get("input_dim"), *(hidden if isinstance(hidden, list) else [])]
    dims.append(arguments.get("num_classes"))
    if not all(isinstance(size, int) for size in dims):
        return  # the constructor says so
    asked = sum(a * b for a, b in itertools.pairwise(dims))
    there = sum(math.prod(array.shape) for array in arrays.values())
    if len(dims) > len(arrays) + 1 or asked > 2 * there + 1000:
        raise ValueError(
            f"arguments make no network of these arrays: {len(dims) - 1} layers of {asked} weights "
            f"in all, the arrays are {len(arrays)} of {there} numbers"
        )


def _is_number(value: object) -> bool:
    """Return whether a value is a number that a float can be."""
    try:
        return isinstance(value, numbers.Real) and float(value) is not None
    except OverflowError:
        return False


def _check_dropout_param(found: Any, use_dropout: bool) -> dict[str, Any]:
    """Return it if the dropout layers can use it."""
    if not isinstance(found, dict) or bool(found) != use_dropout:
        expected = "an object with mode and p" if use_dropout else "an empty object"
        raise ValueError(f"dropout_param is {shown(found)}, expected {expected}")
    if use_dropout:
        convention = found.get("convention", "keep")
        rng = check_word("dropout_param['rng']", found.get("rng", "numpy"), ("numpy", "philox"))
        drop = check_word("dropout_param['convention']", convention, ("keep", "drop")) == "drop"
        check_number(
            "dropout_param['p']",
            found.get("p"),
            "a probability that leaves something",
            lambda p: 0 <= p < 1 if drop else 0 < p <= 1,
        )
        if "seed" in found:
            check_seed("dropout_param['seed']", found["seed"], rng)
        _check_mode("dropout_param", found)
    return dict(found)


_NORMALIZATION: dict[str, tuple[str, Callable[[float], bool]]] = {  # what the layers ask for
    "eps": ("a finite number of at least 0", lambda eps: 0 <= eps < math.inf),
    "momentum": ("a number from 0 to 1", lambda momentum: 0 <= momentum <= 1),
}


def _check_bn_params(found: Any, count: int) -> list[dict[str, Any]]:
    """Return them if there are so many and the batch normalisations can use them."""
    if not isinstance(found, list) or len(found) != count:
        raise ValueError(f"bn_params is {shown(found)}, expected a list of {count}")
    for i, bn_param in enumerate(found):
        if not isinstance(bn_param, dict):
            raise ValueError(f"bn_params[{i}] is {shown(bn_param)}, expected an object")
        _check_mode(f"bn_params[{i}]", bn_param)
        for key, (expected, accepts) in _NORMALIZATION.items():
            if key in bn_param:
                check_number(f"bn_params[{i}][{key!r}]", bn_param[key], expected, accepts)
    return [dict(bn_param) for bn_param in found]


def _check_mode(name: str, param: Mapping[str, object]) -> None:
    if param.get("mode", "train") not in ("train", "test"):
        raise ValueError(f"{name} has mode {shown(param['mode'])}, expected 'train' or 'test'")
