"""What is served to a course, by what its own text says."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
from typing import TYPE_CHECKING

from ..arguments import shown
from . import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType
    from typing import Any

MODULES = {
    name: f"fastfc.{name}"
    for name in (
        "layers",
        "layer_utils",
        "fc_net",
        "optim",
        "solver",
        "gradient_check",
        "data_utils",
        "layer_tests",
    )
}
MODULES["classifiers.fc_net"] = "fastfc.fc_net"


@functools.cache
def holders(package: str) -> tuple[str, ...]:
    """Return the packages that served modules need: the course's own, else empty ones."""
    parts = package.split(".")
    above = [".".join(parts[:i]) for i in range(1, len(parts))]
    return (*above, package, f"{package}.classifiers")


@dataclasses.dataclass
class Course:
    """A package that fastfc answers to.

    Attributes
    ----------
    package : str
    own : frozenset of str
        The modules, as in MODULES, of which the course has a file of its own.
    kept : frozenset of str
        Those that are not served.
    homes : dict of str
        And, of all packages that were installed together, the full names of the kept ones.
    convention : {'keep', 'drop'}
        What dropout's p is the probability of.
    order : {'nndl', 'cs231n'}
        Whose order TwoLayerNet's arguments have.
    notes : tuple of str
        What the user should know of it.
    given : dict
        Of each module that was loaded the names that fastfc gave it.
    """

    package: str
    own: frozenset[str] = dataclasses.field(compare=False)
    kept: frozenset[str]
    homes: dict[str, str]
    convention: str
    order: str
    notes: tuple[str, ...] = dataclasses.field(compare=False)
    given: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict, compare=False)

    @classmethod
    def of(
        cls, packages: Sequence[str], keep: Iterable[str], convention: str | None
    ) -> list[Course]:
        """Return the courses of some packages that are installed together."""
        own = {package: _own_modules(package) for package in packages}
        kept = _kept(packages, keep, own)
        homes: dict[str, str] = {}
        for package in packages:
            for module in kept[package] & own[package]:
                homes.setdefault(module.rpartition(".")[2], f"{package}.{module}")
        said: dict[str, list[str]] = {package: [] for package in packages}
        conventions = {}
        for package in packages:
            if convention is None and "layers" in own[package]:
                conventions[package], why = texts.dropout_convention(f"{package}.layers")
                said[package] += [why] if why else []
        elsewhere = convention or next(iter(conventions.values()), "keep")
        if "layers" in homes or "layer_utils" in homes:
            layers = " and ".join(homes[m] for m in ("layers", "layer_utils") if m in homes)
            said[packages[0]].append(f"fastfc's networks and layer_tests call {layers}")
        courses = []
        for package in packages:
            order = texts.two_layer_order(package)
            if order == "cs231n" and "fc_net" not in kept[package]:
                said[package].append(
                    f"{package}'s TwoLayerNet is (input_dim, hidden_dim, num_classes, "
                    "weight_scale, reg)"
                )
            courses.append(
                cls(
                    package,
                    own[package],
                    kept[package],
                    homes,
                    conventions.get(package, elsewhere),
                    order,
                    tuple(said[package]),
                )
            )
        return courses

    def served(self) -> list[str]:
        """Return the modules that are served, as in MODULES."""
        return [module for module in MODULES if module not in self.kept]

    @staticmethod
    def line(courses: Sequence[Course], convention: str | None = None) -> str:
        """Return the line that says what is replaced and how to keep it, beside a convention."""
        served = [f"{c.package}.{m}" for c in courses for m in c.served()]
        replaced = [f"{c.package}.{m}" for c in courses for m in c.served() if m in c.own]
        stays = [f"{c.package}.{m}" for c in courses for m in MODULES if m in c.kept & c.own]
        does = f"replaces your {', '.join(replaced)}" if replaced else f"serves {', '.join(served)}"
        if stays:
            does += f" and leaves {', '.join(stays)} to you"
        parts = [f"fastfc {does}", *(note for c in courses for note in c.notes)]
        if replaced or not stays:  # else all that there is to keep is kept
            packages = ", ".join(_quoted(c.package) for c in courses)
            also = f", dropout_convention={_quoted(convention)}" if convention else ""
            names = [name.rpartition(".")[2] for name in replaced or ["layers"]]
            kept = dict.fromkeys(name.rpartition(".")[2] for name in stays)
            wanted = [*kept, "layers" if "layers" in names else names[0]]
            parts.append(
                f"to keep a file of your own: fastfc.install_as({packages}, "
                f"keep=[{', '.join(map(_quoted, wanted))}]{also})"
            )
        return "; ".join(parts)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _own_modules(package: str) -> frozenset[str]:
    """Return the modules of which the course has its own, imported or not."""
    return frozenset(
        module
        for module in MODULES
        if texts.find(f"{package}.{module}") is not None
        or _in_memory(sys.modules.get(f"{package}.{module}"))
    )


def _in_memory(module: ModuleType | None) -> bool:
    """Whether this is a module that no file stands for, as notebooks may make them."""
    return module is not None and getattr(module, "__spec__", None) is None


def _kept(
    packages: Sequence[str], keep: Iterable[str], own: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Return for each package the modules that are to be kept."""
    kept: dict[str, set[str]] = {package: set() for package in packages}
    for name in keep:
        wanted = name
        found = []
        for package in packages:
            if isinstance(name, str) and name.startswith(f"{package}."):
                wanted, found = name[len(package) + 1 :], [package]
        if wanted not in MODULES:
            raise ValueError(
                f"install_as: keep has {shown(name)}, expected a list of {', '.join(MODULES)}"
            )
        modules = {wanted}
        if wanted.endswith("fc_net"):  # two names of one module
            modules = {"fc_net", "classifiers.fc_net"}
        found = [p for p in found or packages if modules & own[p]]
        if not found:
            raise ValueError(
                f"install_as: keep has {name!r}, but there is no such file in "
                f"{' or '.join(packages)}: start Python in the folder that holds it, or add that "
                "folder to sys.path before"
            )
        for package in found:
            kept[package] |= modules
    if any("layers" in modules for modules in kept.values()):
        for modules in kept.values():  # nobody asks for fastfc's under another name
            modules.add("layers")
    return {package: frozenset(modules) for package, modules in kept.items()}


def names_for(course: Course, module: str, own: Mapping[str, object]) -> dict[str, Any]:
    """Return the names that a served module has from fastfc, over the course's own."""
    ours = importlib.import_module(MODULES[module])
    public = getattr(ours, "__all__", None)
    public = public or [name for name in vars(ours) if name[0] != "_"]
    if module == "layer_tests" and {"layers", "layer_utils", "fc_net"} & course.homes.keys():
        from .networks import tests_of

        return tests_of(course)
    names = {name: getattr(ours, name) for name in public}
    if module in ("layers", "layer_utils", "fc_net", "classifiers.fc_net"):
        from .networks import replacements

        instead = replacements(course)
        names = {name: instead.get(name, value) for name, value in names.items()}
        names = {name: value for name, value in names.items() if value is not None}
    if module == "data_utils":
        names = {
            name: value
            for name, value in names.items()
            if not _other_parameters(own.get(name), value)
        }
    return names


def _other_parameters(own: Any, ours: Any) -> bool:
    """Whether a function of the course has parameters, or defaults, that fastfc's has not."""
    if not inspect.isfunction(own):
        return False
    theirs, mine = (
        list(map(_parameter, inspect.signature(function).parameters.values()))
        for function in (own, ours)
    )
    return theirs != mine[: len(theirs)]


def _parameter(parameter: inspect.Parameter) -> tuple[str, object, str]:
    return parameter.name, parameter.kind, repr(parameter.default)
