"""A course's own import lines, served by fastfc.

A finder in front of ``sys.meta_path`` answers for the modules of a course that fastfc has, and
leaves all others of the package to those behind it.  A served module has fastfc's names and, below
them, those of the course's own file of that name, if there is one: what fastfc does not have, say
convolutions, is still the course's, and calls fastfc's layers.
"""

from __future__ import annotations

import importlib
import keyword
import sys
from typing import TYPE_CHECKING

from ..arguments import shown
from .course import MODULES, Course, holders
from .finder import Before, finder, under

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["install_as", "installed", "uninstall"]

_REFUSED = {"fastfc": "is fastfc itself", "numpy": "is no course"}


def install_as(
    *names: str, keep: str | Iterable[str] | None = (), dropout_convention: str | None = None
) -> None:
    """Let fastfc answer to the names of a course's packages: one line at the top of a notebook.

    From then on ``from nndl.layers import *``, ``from utils.solver import Solver``,
    ``import cs231n.optim``, ``from cs231n.classifiers.fc_net import *`` and so on give fastfc's
    functions and classes; `installed` lists the modules.  What the course ships beside them is
    still found in the course's own folder, which need not exist.  One line is printed: which files
    of the course are replaced, and how to keep one.

    Layers of your own that are to be tested must be kept, or compared by `fastfc.check`: a notebook
    that imports them through fastfc tests fastfc's.

    Of the course's own text this depends on: functions of ``data_utils`` with parameters that
    fastfc's do not have stay the course's; rules of ``optim`` that fastfc does not have, or that
    were replaced there, are found by the Solver; ``TwoLayerNet`` takes its arguments in the
    course's order, ``cs231n``'s where there is no text; and dropout's ``p`` is the probability
    that ``dropout_forward`` says.

    Modules of these names that are imported already are replaced; names taken out of them before,
    by ``from ... import``, stay what they are until that line is run again.

    Parameters
    ----------
    *names : str
        Packages, ``'nndl'``, ``'utils'``, ``'cs231n'``, ``'src.utils'`` or any other: each gets all
        modules.  A name that is installed already is served anew if the arguments below differ.
    keep : list of str
        Modules that stay the course's own: ``'layers'``, ``'optim'``, ``'classifiers.fc_net'`` and
        so on, with or without the package.  With ``'layers'``, and with ``'layer_utils'``,
        fastfc's networks and ``layer_tests`` call the course's.
    dropout_convention : {'keep', 'drop'}, optional
        What ``p`` is the probability of where nothing else says it, in ``dropout_forward`` and in
        networks.  By default it is read in the course's ``layers.py``, and is ``'keep'`` where that
        does not say it.

    Raises
    ------
    TypeError
        There is no name, or one is not a str.
    ValueError
        A name cannot be that of a package, or is ``'fastfc'`` or ``'numpy'``; there is no module to
        keep of that name; or the convention is another one.

    Warns
    -----
    UserWarning
        Later, when a served module is imported and the course's own file of it fails to run: the
        module then has fastfc's names alone.  Reloading such a file raises its error instead.

    See Also
    --------
    uninstall : takes it back.
    fastfc.check : compares layers of your own with the reference.

    Examples
    --------
    >>> import fastfc
    >>> fastfc.install_as("nndl", "utils")
    fastfc serves nndl.layers, ...; to keep ...: fastfc.install_as("nndl", "utils", keep=["layers"])
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
    if dropout_convention not in (None, "keep", "drop"):
        raise ValueError(
            f"install_as: dropout_convention is {shown(dropout_convention)}, expected 'keep' or "
            "'drop'"
        )
    names = tuple(dict.fromkeys(names))
    keep = (keep,) if isinstance(keep, str) else keep or ()
    courses = Course.of(names, keep, dropout_convention)
    present = {name: finder.courses[name] for name in names if name in finder.courses}
    changed = [course for course in courses if present.get(course.package) != course]
    for course in courses:
        if course.package in present:  # files may have come since
            present[course.package].own |= course.own
    if sys.meta_path[0] is not finder:
        _leave()
        sys.meta_path.insert(0, finder)
    try:
        for course in changed:
            if course.package in finder.before:
                finder.before.pop(course.package).restore()
            finder.before[course.package] = Before(course.package)
            finder.courses[course.package] = course
        for course in changed:
            _replace_imported(course)
    except BaseException:
        for course in changed:
            finder.before.pop(course.package).restore()
            del finder.courses[course.package]
        if not finder.before:
            _leave()
        raise
    print(Course.line(courses, dropout_convention))


def uninstall() -> None:
    """Take back every `install_as`: the course's names are again what they were.

    Modules that were replaced stand in ``sys.modules`` and in their packages again.  Those imported
    since, the course's own among them, are forgotten, so that the next import finds them without
    fastfc.  Names that a notebook holds stay what they are.

    Examples
    --------
    >>> import fastfc
    >>> fastfc.install_as("nndl")
    fastfc serves nndl.layers, ...
    >>> fastfc.uninstall()
    >>> fastfc.installed()
    {}
    """
    _leave()
    while finder.before:
        name, before = finder.before.popitem()
        del finder.courses[name]
        before.restore()


def installed() -> dict[str, str]:
    """Say which modules are served, and by what.

    Returns
    -------
    dict of str
        The course's name of a module -> the name of fastfc's; empty without `install_as`.  Modules
        that are kept are not in it.

    Examples
    --------
    >>> import fastfc
    >>> fastfc.install_as("cs231n")
    fastfc serves cs231n.layers, ...
    >>> fastfc.installed()["cs231n.classifiers.fc_net"]
    'fastfc.fc_net'
    >>> fastfc.uninstall()
    """
    return {
        f"{course.package}.{module}": MODULES[module]
        for course in finder.courses.values()
        for module in course.served()
    }


def _check(name: str) -> None:
    """Raise an error unless a package may have this name."""
    if not isinstance(name, str):
        raise TypeError(f"install_as: name is {shown(name)}, expected a str, say 'nndl'")
    *above, last = name.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in (*above, last)):
        raise ValueError(
            f"install_as: name is {name!r}, expected an identifier, or some joined by dots: the "
            "package of a course's imports, say 'nndl'"
        )
    if above and last in MODULES:
        raise ValueError(
            f"install_as: name is {name!r}, expected an identifier, or some joined by dots: the "
            f"package that holds this module, {'.'.join(above)!r}"
        )
    top = name.partition(".")[0]
    if top in _REFUSED:
        raise ValueError(
            f"install_as: name is {name!r}, which {_REFUSED[top]}; expected the package of "
            "a course, say 'nndl'"
        )


def _leave() -> None:
    """Take the finder out of sys.meta_path."""
    sys.meta_path[:] = [other for other in sys.meta_path if other is not finder]


def _replace_imported(course: Course) -> None:
    """Import again, through the finder, those of the served modules that are imported already."""
    for holder in holders(course.package):
        module = sys.modules.get(holder)
        if module is not None and not hasattr(module, "__path__"):
            module.__path__ = []  # a plain module, which from now on has submodules
    loaded = under(course.package)
    names = [name for m in course.served() if (name := f"{course.package}.{m}") in loaded]
    for name in names:
        del sys.modules[name]
    for name in names:
        importlib.import_module(name)
