import doctest
import importlib
import pkgutil

import pytest

import fastfc

MODULES = [
    module.name
    for module in pkgutil.walk_packages(fastfc.__path__, "fastfc.")
    if not module.name.endswith(("_core", "__main__"))
]


def with_its_extra(look_up, *names):
    """Return what is looked up; skip the test where an extra is missing that it says it needs."""
    try:
        return look_up(*names)
    except ImportError as error:
        if "pip install fastfc[" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ["fastfc", *MODULES])
def test_examples_of_the_docstrings(name):
    module = with_its_extra(importlib.import_module, name)
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=options).failed == 0


@pytest.mark.parametrize("name", ["fastfc", *MODULES])
def test_every_public_function_has_an_example(name):
    module, without = with_its_extra(importlib.import_module, name), set()
    for public in getattr(module, "__all__", []):
        thing = with_its_extra(getattr, module, public)
        # the reference's functions are exemplified under their names in fastfc itself
        own = callable(thing) and not thing.__module__.startswith("fastfc.reference")
        if own and ">>>" not in (thing.__doc__ or ""):
            without.add(f"{thing.__module__}.{public}")
    assert without == set()
