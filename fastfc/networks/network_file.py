"""Networks in files: an ``.npz`` archive of arrays, and all else as JSON inside it.

==============================  ====================================================
``metadata``                    text: a JSON object, below
``params/<name>``               each parameter, in the network's dtype
``bn_params/<i>/running_mean``  running statistics of the i-th batch normalisation,
``bn_params/<i>/running_var``   from 0; absent before the first training pass
==============================  ====================================================

The object has ``format`` and ``version``; ``class``, the network's; ``arguments``, what its
constructor was given, as it holds now; ``dropout_param`` and ``bn_params`` without their arrays;
and ``arrays``, the names of these: a damaged directory of the archive may hide one.
"""

import inspect
import json
import numbers
from collections import abc

import numpy as np

from ..files import atomic_write, load_arrays
from .initial_weights import SCALES, UNDRAWN

FORMAT, VERSION = "fastfc network", 1


def write(path, network):
    """Write the network to a file; see `fastfc.networks.model.Model.save`."""
    now = {name: value for name, value in network._arguments.items() if value is not None}
    now |= {name: vars(network)[name] for name in now.keys() & vars(network).keys()}
    arguments = {name: _to_json(name, now.get(name)) for name in network._arguments}
    arrays = {f"params/{name}": value for name, value in network._own_params().items()}
    bn_params = []
    for i, bn_param in enumerate(network.bn_params):
        running = {name: value for name, value in bn_param.items() if name.startswith("running_")}
        arrays |= {f"bn_params/{i}/{name}": np.asarray(running[name]) for name in running}
        bn_params.append({name: bn_param[name] for name in bn_param if name not in running})
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "class": network._kind,
        "arguments": arguments,
        "dropout_param": _to_json("dropout_param", network.dropout_param),
        "bn_params": _to_json("bn_params", bn_params),
        "arrays": sorted(arrays),
    }
    _build_network(type(network), metadata, arrays)  # what could not be read is not written
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, metadata=np.array(json.dumps(metadata)), **arrays)


def read(path, cls):
    """Return the network of a file; see `fastfc.networks.model.Model.load`."""
    arrays = load_arrays(path, _expect_metadata)
    try:
        metadata = _parse_object(arrays.pop("metadata"))
        _check_format(metadata, cls)
        _check_names(arrays, metadata["arrays"], metadata["arrays"])
        return _build_network(cls, metadata, arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _expect_metadata(found):
    """Return the names of a file's arrays if it can be a network's."""
    if "metadata" not in found:
        raise ValueError(f"no {FORMAT}: it has no metadata")
    return found


def _to_json(name, value):
    """Return a value as JSON has it."""
    if isinstance(value, abc.Mapping):
        return {key: _to_json(f"{name}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(f"{name}[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if name == "dtype":
        return np.dtype(value).name
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"save: {name} is {value!r}, expected numbers, text, or lists of them")
    return value


def _parse_object(text):
    """Return the JSON object in an array of text."""
    if text.dtype.kind != "U" or text.ndim != 0:
        raise ValueError(f"metadata has dtype {text.dtype} and shape {text.shape}, expected text")
    try:
        found = json.loads(text.item())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"metadata is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"metadata is {found!r}, expected a JSON object")
    return found


def _check_format(metadata, cls):
    """Raise ValueError unless this is what `read` understands and ``cls`` can be."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"format is {metadata.get('format')!r}, expected {FORMAT!r}")
    version = metadata.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"version is {version!r}, expected {VERSION}")
    if version > VERSION:
        raise ValueError(f"version is {version}, of a newer fastfc; expected at most {VERSION}")
    missing = {"class", "arguments", "dropout_param", "bn_params", "arrays"} - metadata.keys()
    names = metadata.get("arrays", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"arrays is {names!r}, expected a list of names")
    if missing:
        raise ValueError(f"metadata has no {', '.join(sorted(missing))}")
    if metadata["class"] not in cls._loads:
        raise ValueError(f"it holds a {metadata['class']}, expected a {' or '.join(cls._loads)}")


def _build_network(cls, metadata, arrays):
    """Return the network that these describe, after checking that they do."""
    network = _construct_undrawn(cls, metadata["arguments"])
    bn_params = _check_bn_params(metadata["bn_params"], len(network.bn_params))
    network.dropout_param = _check_dropout_param(metadata["dropout_param"], network.use_dropout)
    params = {f"params/{name}": np.shape(value) for name, value in network.params.items()}
    running = {
        f"bn_params/{i}/running_{name}": np.shape(network.params[f"b{i + 1}"])
        for i in range(len(bn_params))
        for name in ("mean", "var")
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
        if name in params:
            network.params[name.removeprefix("params/")] = array
        else:
            _, i, key = name.split("/")
            bn_params[int(i)][key] = array
    network.bn_params = bn_params
    return network


def _check_names(arrays, needed, known):
    """Raise ValueError unless the arrays are all those needed and some of those known."""
    missing, unknown = set(needed) - arrays.keys(), arrays.keys() - set(known)
    if missing or unknown:
        raise ValueError(f"arrays: missing {sorted(missing)}, unknown {sorted(unknown)}")


def _construct_undrawn(cls, arguments):
    """Return a network that the constructor makes of them, without drawing its weights."""
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments is {arguments!r}, expected an object")
    parameters = inspect.signature(cls._constructor).parameters
    for name, value in arguments.items():
        if name not in parameters:
            raise ValueError(f"arguments has {name!r}, which the constructor does not know")
        plain = parameters[name].default
        if name == "weight_scale" and isinstance(value, str) and value in SCALES:
            continue
        if isinstance(plain, numbers.Real) and not isinstance(value, numbers.Real):
            raise ValueError(f"{name} is {value!r}, expected a number")
    network = cls.__new__(cls)
    try:
        cls._constructor(network, **{**arguments, "weight_scale": UNDRAWN})
    except (TypeError, ValueError, MemoryError) as error:
        raise ValueError(f"arguments make no network: {error}") from error
    network._arguments["weight_scale"] = arguments.get("weight_scale")
    return network


def _check_dropout_param(found, use_dropout):
    """Return it if the dropout layers can use it."""
    if not isinstance(found, dict) or bool(found) != use_dropout:
        expected = "an object with mode and p" if use_dropout else "an empty object"
        raise ValueError(f"dropout_param is {found!r}, expected {expected}")
    if use_dropout:
        p = found.get("p")
        if not isinstance(p, numbers.Real) or not 0 <= p <= 1:
            raise ValueError(f"dropout_param has p {p!r}, expected a number in [0, 1]")
        _check_mode("dropout_param", found)
    return dict(found)


def _check_bn_params(found, count):
    """Return them if there are so many and the batch normalisations can use them."""
    if not isinstance(found, list) or len(found) != count:
        raise ValueError(f"bn_params is {found!r}, expected a list of {count}")
    for i, bn_param in enumerate(found):
        if not isinstance(bn_param, dict):
            raise ValueError(f"bn_params[{i}] is {bn_param!r}, expected an object")
        _check_mode(f"bn_params[{i}]", bn_param)
        for key in {"eps", "momentum"} & bn_param.keys():
            if not isinstance(bn_param[key], numbers.Real):
                raise ValueError(f"bn_params[{i}] has {key} {bn_param[key]!r}, expected a number")
    return [dict(bn_param) for bn_param in found]


def _check_mode(name, param):
    if param.get("mode", "train") not in ("train", "test"):
        raise ValueError(f"{name} has mode {param['mode']!r}, expected 'train' or 'test'")
