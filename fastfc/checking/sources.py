"""The functions to check: a student's own, wherever they are."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import dropin, layer_utils, layers, optim
from ..arguments import did_you_mean, shown
from ..dropin.finder import own_module, without_fastfc

if TYPE_CHECKING:
    from collections.abc import Callable

    Functions = dict[str, Callable[..., Any]]

# What no course has its students write.
_OWN = {
    *("absolute_error", "huber", "logistic", "poisson", "quantile", "squared_error"),
    *("gelu", "leaky_relu", "sigmoid", "silu", "tanh"),
}

NAMES = list(
    dict.fromkeys(
        name
        for module in (layers, layer_utils, optim)
        for name in sorted(module.__all__, key=lambda name: name.replace("forward", "a"))
        if name != "np" and name.rpartition("_")[0] not in _OWN
    )
)


_FOLDER = Path(__file__).parents[1]


class Found(NamedTuple):
    """Functions by the layer's name, those of them to report on, and what to say of it."""

    functions: Functions
    wanted: list[str]
    notes: list[str]


def functions_of(what: object, function: str | list[str] | None = None) -> Found:
    """Return what `fastfc.check` is to check."""
    wanted = [function] if isinstance(function, str) else list(function or [])
    for name in wanted:
        if name not in NAMES:
            raise ValueError(
                f"check: function is {shown(name)}, expected {', '.join(NAMES)}"
                f"{did_you_mean(name, NAMES)}"
            )
    if isinstance(what, str | os.PathLike):
        return _of_module(_from_file(Path(what)), wanted)
    if isinstance(what, types.ModuleType):
        return _of_module(what, wanted)
    if callable(what):
        return _of_function(what, wanted)
    raise TypeError(f"check: what is {shown(what)}, expected a function, a module or a path")


def _of_module(module: types.ModuleType, wanted: list[str]) -> Found:
    """Return the layers of a module; of a package those of its modules."""
    own, notes = _own(module)
    functions = _layers_in(own)
    if not functions and hasattr(own, "__path__"):
        for child in ("layers", "layer_utils", "optim"):
            with contextlib.suppress(ModuleNotFoundError):
                part, said = _own(importlib.import_module(f"{module.__name__}.{child}"))
                functions |= _layers_in(part)
                notes += said
    missing = [name for name in wanted if name not in functions]
    if missing or not functions:
        what = ", ".join(missing) or "function that has the name of a layer"
        raise ValueError(f"check: there is no {what} in {_name(own)}")
    return Found(functions, wanted or list(functions), notes)


def _of_function(function: Callable[..., object], wanted: list[str]) -> Found:
    """Return a function, with what stands beside it for its cache."""
    name = wanted[0] if wanted else getattr(function, "__name__", repr(function))
    if name not in NAMES:
        raise ValueError(
            f"check: the function is called {name!r}: say which layer it is, "
            f"check(..., function='affine_forward'); one of {', '.join(NAMES)}"
        )
    if _is_fastfcs(function):
        found = _served_in_place_of(name)
        if found is not None:
            return found
        return Found({name: function}, [name], [f"{name} is fastfc's own, not yours"])
    beside = getattr(inspect.unwrap(function), "__globals__", {})
    functions = {key: beside[key] for key in NAMES if callable(beside.get(key))}
    functions = {key: value for key, value in functions.items() if not _is_fastfcs(value)}
    return Found(functions | {name: function}, [name], [])


def _served_in_place_of(name: str) -> Found | None:
    """Return the student's own function in whose place fastfc's is served, or None."""
    module = next(m.__name__ for m in (layers, layer_utils, optim) if hasattr(m, name))
    for served, ours in dropin.installed().items():
        if ours == module:
            own = own_module(served)
            functions = {} if own is None else _layers_in(own)
            if own is not None and name in functions:
                note = f"{name} is fastfc's, served by install_as; checked is yours, {_name(own)}"
                return Found(functions, [name], [note])
    return None


def _own(module: types.ModuleType) -> tuple[types.ModuleType, list[str]]:
    """Return the student's own module in whose place one is served, and what to say of it."""
    if module.__name__ in dropin.installed() and sys.modules.get(module.__name__) is module:
        own = own_module(module.__name__)
        if own is not None:
            return own, [f"{module.__name__} is served by fastfc; checked is yours, {_name(own)}"]
    if _is_fastfcs(module) or (
        (functions := _layers_in(module)) and all(map(_is_fastfcs, functions.values()))
    ):
        return module, [f"the layers of {module.__name__} are fastfc's own, not yours"]
    return module, []


def _layers_in(module: types.ModuleType) -> Functions:
    """Return the functions of a module that have the name of a layer, fastfc's only alone."""
    found = {name: vars(module)[name] for name in NAMES if callable(vars(module).get(name))}
    own = {name: value for name, value in found.items() if not _is_fastfcs(value)}
    return own or found


def _is_fastfcs(thing: Any) -> bool:
    """Whether a function or a module is of this package, and of no example in its docstrings."""
    if isinstance(thing, types.ModuleType):
        home = thing.__name__
    else:
        thing = inspect.unwrap(thing)
        code = getattr(getattr(thing, "__func__", thing), "__code__", None)
        if code is not None and not code.co_filename.startswith(str(_FOLDER)):
            return False
        home = str(getattr(thing, "__module__", None))
    return home == "fastfc" or home.startswith("fastfc.")


def _name(module: types.ModuleType) -> str:
    return getattr(module, "__file__", None) or module.__name__


def _from_file(path: Path) -> types.ModuleType:
    """Import a file as its folder's package would, without leaving it imported."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.suffix != ".py":
        raise ValueError(f"{path}: expected a Python file, named .py")
    path = path.resolve()
    if _FOLDER in path.parents:
        return importlib.import_module(
            ".".join(path.relative_to(_FOLDER.parent).with_suffix("").parts)
        )
    above, parts = path.parent, [path.stem]
    while (above / "__init__.py").is_file() and above.name.isidentifier():
        parts.insert(0, above.name)
        above = above.parent
    if parts == [path.stem]:
        try:
            return _imported(path.stem, path, [path.parent, path.parent.parent])
        except ImportError as error:
            if "no known parent package" not in str(error):
                raise
        parts, above = [path.parent.name, path.stem], path.parent.parent
    return _imported(".".join(parts), path, [above])


def _imported(name: str, path: Path, folders: list[Path]) -> types.ModuleType:
    """Return a module that is imported with some folders in front of sys.path."""
    path_before, before = list(sys.path), set(sys.modules)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path[:0] = [*map(str, folders), os.getcwd()]
    try:
        with without_fastfc(name.partition(".")[0]):
            importlib.invalidate_caches()
            if "." in name:
                return importlib.import_module(name)
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None  # of a .py file
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            return module
    finally:
        sys.path[:], sys.dont_write_bytecode = path_before, written
        for loaded in set(sys.modules) - before:
            if not _is_library(sys.modules[loaded], folders):
                del sys.modules[loaded]


def _is_library(module: types.ModuleType, folders: list[Path]) -> bool:
    """Whether a module lies outside the student's folders, so that it may stay imported."""
    file = getattr(module, "__file__", None) or ""
    if "site-packages" in file:
        return True
    return bool(file) and not any(file.startswith(f"{folder}{os.sep}") for folder in folders)
