"""A course's own import lines, served by fastfc.

A finder in front of ``sys.meta_path`` answers for the modules below, and leaves all others of the
package to those behind it.  A served module has fastfc's names and, below them, those of the
course's own file of that name, if there is one: what fastfc does not have, say convolutions, is
still the course's, and calls fastfc's layers.
"""

import importlib
import keyword
import sys
import warnings
from importlib.machinery import ModuleSpec

__all__ = ["install_as", "installed", "uninstall"]

_MODULES = {
    name: f"fastfc.{name}"
    for name in (
        "data_utils",
        "fc_net",
        "gradient_check",
        "layer_tests",
        "layer_utils",
        "layers",
        "optim",
        "solver",
    )
}
_MODULES["classifiers.fc_net"] = "fastfc.fc_net"
_PACKAGES = ("", "classifiers")  # what holds them: the course's own, else empty ones

_REFUSED = {"fastfc": "is fastfc itself", "numpy": "is no course"}


def install_as(*names):
    """Let fastfc answer to the names of a course's packages: one line at the top of a notebook.

    From then on ``from nndl.layers import *``, ``from utils.solver import Solver``,
    ``import cs231n.optim``, ``from cs231n.classifiers.fc_net import *`` and so on give fastfc's
    functions and classes; `installed` lists the modules.  What the course ships beside them is
    still found in the course's own folder, which need not exist.  A file of the course that fails
    to run leaves fastfc's names alone, with an ImportWarning.

    Modules of these names that are imported already are replaced; names taken out of them before,
    by ``from ... import``, stay what they are until that line is run again.

    Parameters
    ----------
    *names : str
        Top-level packages, ``'nndl'``, ``'utils'``, ``'cs231n'`` or any other identifier: each
        gets all modules.  Names that are installed already stay so.

    Raises
    ------
    TypeError
        There is no name, or one is not a str.
    ValueError
        A name is not an identifier, or is ``'fastfc'`` or ``'numpy'``.

    See Also
    --------
    uninstall : takes it back.

    Examples
    --------
    >>> import fastfc
    >>> fastfc.install_as("nndl", "utils")
    >>> from nndl.layers import affine_forward
    >>> from utils.solver import Solver
    >>> affine_forward is fastfc.layers.affine_forward
    True
    >>> fastfc.uninstall()
    """
    if not names:
        raise TypeError("install_as: no name, expected those of a course's packages, say 'nndl'")
    for name in names:
        _check(name)
    new = [name for name in dict.fromkeys(names) if name not in _finder.before]
    if sys.meta_path[0] is not _finder:
        _leave()
        sys.meta_path.insert(0, _finder)
    try:
        for name in new:
            _finder.before[name] = _Before(name)
        for name in new:
            _replace_imported(name)
    except BaseException:
        for name in new:
            _finder.before.pop(name).restore()
        if not _finder.before:
            _leave()
        raise


def uninstall():
    """Take back every `install_as`: the course's names are again what they were.

    Modules that were replaced stand in ``sys.modules`` and in their packages again.  Those imported
    since, the course's own among them, are forgotten, so that the next import finds them without
    fastfc.  Names that a notebook holds stay what they are.

    Examples
    --------
    >>> import fastfc
    >>> fastfc.install_as("nndl")
    >>> fastfc.uninstall()
    >>> fastfc.installed()
    {}
    """
    _leave()
    while _finder.before:
        _finder.before.popitem()[1].restore()


def installed():
    """Say which modules are served, and by what.

    Returns
    -------
    dict of str
        The course's name of a module -> the name of fastfc's; empty without `install_as`.

    Examples
    --------
    >>> import fastfc
    >>> fastfc.install_as("cs231n")
    >>> fastfc.installed()["cs231n.classifiers.fc_net"]
    'fastfc.fc_net'
    >>> fastfc.uninstall()
    """
    return {
        f"{package}.{module}": ours
        for package in _finder.before
        for module, ours in _MODULES.items()
    }


def _check(name):
    """Raise an error unless a package may have this name."""
    if not isinstance(name, str):
        raise TypeError(f"install_as: name is {name!r}, expected a str, say 'nndl'")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(
            f"install_as: name is {name!r}, expected an identifier, the top-level package of "
            "a course's imports, say 'nndl'"
        )
    if name in _REFUSED:
        raise ValueError(
            f"install_as: name is {name!r}, which {_REFUSED[name]}; expected the package of "
            "a course, say 'nndl'"
        )


def _leave():
    """Take the finder out of sys.meta_path."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _finder]


def _join(package, module):
    return f"{package}.{module}" if module else package


def _under(package):
    """Return what sys.modules holds of a package, itself included."""
    return {
        name: module
        for name, module in sys.modules.items()
        if name == package or name.startswith(f"{package}.")
    }


def _replace_imported(package):
    """Import again, through the finder, those of the served modules that are imported already."""
    for holder in _PACKAGES:
        module = sys.modules.get(_join(package, holder))
        if module is not None and not hasattr(module, "__path__"):
            module.__path__ = []  # a plain module, which from now on has submodules
    names = [name for name in (_join(package, m) for m in _MODULES) if name in sys.modules]
    for name in names:
        del sys.modules[name]
    for name in names:
        importlib.import_module(name)


class _Before:
    """What was imported of a package before fastfc answered to its name."""

    def __init__(self, package):
        self.package = package
        self.modules = _under(package)
        self.attributes = {name: dict(vars(module)) for name, module in self.modules.items()}

    def restore(self):
        now = _under(self.package)
        for name in now:
            del sys.modules[name]
        sys.modules.update(self.modules)
        for name in {**self.modules, **now}:
            holder, _, child = name.rpartition(".")
            if holder in self.modules:
                self._give_back(holder, child)
        for name, attributes in self.attributes.items():
            if "__path__" not in attributes:
                self._give_back(name, "__path__")

    def _give_back(self, name, attribute):
        """Set or delete a module's attribute, as it was."""
        given = vars(self.modules[name])
        if attribute in self.attributes[name]:
            given[attribute] = self.attributes[name][attribute]
        else:
            given.pop(attribute, None)


class _Finder:
    """Finds served modules, and the packages that hold them; for other names it says None."""

    def __init__(self):
        self.before = {}

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        if package not in self.before or module not in (*_MODULES, *_PACKAGES):
            return None
        own = self._find_own(name, path, target)
        if module in _MODULES:
            return _served(name, _MODULES[module], own)
        if own is None:
            return ModuleSpec(name, _EmptyPackage(), is_package=True)
        if own.submodule_search_locations is None:
            own.submodule_search_locations = []  # a plain module, as above
        return own

    def _find_own(self, name, path, target):
        """Return the spec of the course's own module, or None."""
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


_finder = _Finder()


def _served(name, ours, own):
    """Return the spec of a served module; its file is the course's, so that edits are seen."""
    origin = importlib.import_module(ours).__file__
    if own is not None and own.has_location:
        origin = own.origin
    spec = ModuleSpec(name, _Served(ours, own), origin=origin)
    spec.has_location = True
    if own is not None:
        spec.submodule_search_locations = own.submodule_search_locations
    return spec


class _EmptyPackage:
    """Loads a package that no folder stands for."""

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        pass


class _Served(_EmptyPackage):
    """Loads the course's own file, if there is one, and over it the names of fastfc's module."""

    def __init__(self, ours, own):
        self.ours, self.own = ours, own

    def exec_module(self, module):
        ours = importlib.import_module(self.ours)
        names = getattr(ours, "__all__", [name for name in vars(ours) if name[0] != "_"])
        if self.own is None or self.own.loader is None:
            module.__doc__ = ours.__doc__
        else:
            self._run_own(module)
        vars(module).update({name: getattr(ours, name) for name in names})
        if hasattr(module, "__all__"):
            module.__all__ = [*dict.fromkeys([*module.__all__, *names])]

    def _run_own(self, module):
        """Run the course's file in the module; if it fails, leave the module as it was."""
        kept = dict(vars(module))
        try:
            self.own.loader.exec_module(module)
        except Exception as error:
            vars(module).clear()
            vars(module).update(kept)
            warnings.warn(
                f"{self.own.origin} fails ({type(error).__name__}: {error}): {module.__name__} has "
                f"the names of {self.ours} alone",
                ImportWarning,
                stacklevel=2,
            )
