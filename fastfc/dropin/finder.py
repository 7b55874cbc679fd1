"""Finds and loads the served modules, and gives back what was there before."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import warnings
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, cast

from .course import MODULES, holders, names_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from .._types import UpdateRule
    from .course import Course


def under(package: str) -> dict[str, ModuleType]:
    """Return what sys.modules holds of a package, itself included."""
    return {
        name: module
        for name, module in sys.modules.items()
        if name == package or name.startswith(f"{package}.")
    }


class Before:
    """What was imported of a package, and beside it, before fastfc answered to its name."""

    def __init__(self, package: str) -> None:
        self.top = package.partition(".")[0]
        self.modules = under(self.top)
        self.attributes = {name: dict(vars(module)) for name, module in self.modules.items()}

    def restore(self) -> None:
        """Have sys.modules and the packages' attributes as they were."""
        now = under(self.top)
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

    def _give_back(self, name: str, attribute: str) -> None:
        """Set or delete a module's attribute, as it was."""
        given = vars(self.modules[name])
        if attribute in self.attributes[name]:
            given[attribute] = self.attributes[name][attribute]
        else:
            given.pop(attribute, None)


class _Finder:
    """Finds served modules, and the packages that hold them; for other names it says None."""

    def __init__(self) -> None:
        self.courses: dict[str, Course] = {}
        self.before: dict[str, Before] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for course in self.courses.values():
            if name in holders(course.package):
                return self._holder(name, path, target)
            if name.startswith(f"{course.package}."):
                module = name[len(course.package) + 1 :]
                if module in course.served():
                    return self._served(course, module, path, target)
        return None

    def _holder(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec:
        """Return the spec of a package that holds served modules: the course's, else an empty one.

        A plain module becomes a package.
        """
        own = self._find_own(name, path, target)
        if own is None:
            return ModuleSpec(name, _EmptyPackage(), is_package=True)
        if own.submodule_search_locations is None:
            own.submodule_search_locations = []
        return own

    def _served(
        self, course: Course, module: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec:
        """Return the spec of a served module; its file is the course's, so that edits are seen."""
        name = f"{course.package}.{module}"
        own = self._find_own(name, path, target)
        origin = importlib.import_module(MODULES[module]).__file__
        if own is not None and own.has_location:
            origin = own.origin
        # only a reload says which module it is for
        loader = _Served(course, module, own, reloading=target is not None)
        spec = ModuleSpec(name, loader, origin=origin)
        spec.has_location = True
        if own is not None:
            spec.submodule_search_locations = own.submodule_search_locations
        return spec

    def _find_own(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        """Return the spec of the course's own module, or None."""
        for other in sys.meta_path:
            if other is not self and hasattr(other, "find_spec"):
                spec = other.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


finder = _Finder()


class _EmptyPackage(Loader):
    """Loads a package that no folder stands for."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Served(_EmptyPackage):
    """Loads the course's own file, if there is one, and over it the names of fastfc's module."""

    def __init__(
        self, course: Course, module: str, own: ModuleSpec | None, reloading: bool
    ) -> None:
        self.course, self.module, self.own, self.reloading = course, module, own, reloading

    def exec_module(self, module: ModuleType) -> None:
        ours = importlib.import_module(MODULES[self.module])
        if self.own is None or self.own.loader is None:
            module.__doc__ = ours.__doc__
        else:
            self._run_own(module, self.own.loader, self.own.origin)
        names = names_for(self.course, self.module, dict(vars(module)))
        self.course.given[self.module] = names
        vars(module).update(names)
        listed = getattr(module, "__all__", None)
        if listed is not None:
            vars(module)["__all__"] = [*dict.fromkeys([*listed, *names])]

    def _run_own(self, module: ModuleType, loader: Loader, origin: str | None) -> None:
        """Run the course's file in the module; if it fails, leave the module as it was.

        At the first import fastfc's names are of use without it, say where a course of Python 2
        cannot run any more.  At a reload somebody is editing the file, and waits for the error.
        """
        kept = dict(vars(module))
        try:
            loader.exec_module(module)
        except Exception as error:
            vars(module).clear()
            vars(module).update(kept)
            if self.reloading:
                raise
            warnings.warn(
                "a file of the course fails to run, so that the module has fastfc's names alone: "
                f"{module.__name__}, {origin}: {type(error).__name__}: {error}",
                UserWarning,
                stacklevel=3,
            )


def rule(name: str) -> UpdateRule | None:
    """Return the update rule of this name that a course has and fastfc has not given it, or None.

    Such are rules that fastfc does not have, those that were put in the place of fastfc's, and all
    of a module ``optim`` that is kept.

    Raises
    ------
    ValueError
        The course's ``optim`` is kept, and has none of this name.
    """
    if name.startswith("_"):
        return None
    kept = []
    for course in finder.courses.values():
        full = f"{course.package}.optim"
        given = course.given.get("optim", {})
        if full not in sys.modules and "optim" in course.own:
            importlib.import_module(full)
        kept += [full] if "optim" in course.kept else []
        found = vars(sys.modules[full]).get(name) if full in sys.modules else None
        if found is None or found is given.get(name) or inspect.ismodule(found):
            continue
        if callable(found):
            return cast("UpdateRule", found)
    if kept:  # fastfc's own would pass for the student's
        raise ValueError(
            f'Invalid update_rule "{name}": {" and ".join(kept)}, which you keep, has none'
        )
    return None


def own_module(name: str) -> ModuleType | None:
    """Import the course's own module of a served name, as if there were no fastfc.

    Returns
    -------
    module or None
        None if the course has none of this name.
    """
    course = next((c for c in finder.courses.values() if name.startswith(f"{c.package}.")), None)
    if course is None:
        return None
    before = finder.before[course.package].modules.get(name)
    if name[len(course.package) + 1 :] not in course.own:
        return before
    with without_fastfc():
        return importlib.import_module(name)


@contextlib.contextmanager
def without_fastfc(*others: str) -> Iterator[None]:
    """Have nothing of the courses, nor of other packages, imported for a while, and no finder."""
    tops = dict.fromkeys([*others, *(c.package.partition(".")[0] for c in finder.courses.values())])
    modules: dict[str, ModuleType] = {}
    finders = list(sys.meta_path)
    for top in tops:
        modules |= under(top)
    for name in modules:
        del sys.modules[name]
    sys.meta_path[:] = [other for other in finders if other is not finder]
    try:
        yield
    finally:
        for name in [name for top in tops for name in under(top)]:
            del sys.modules[name]
        sys.modules.update(modules)
        sys.meta_path[:] = finders
