"""A library that is missing is named, with the extra that brings it; nothing else needs it."""

import pytest

import fastfc.interop
from tests.support.process import in_new_process

MISSING = {
    "from_torch": (
        "torch",
        "needs PyTorch: pip install fastfc[torch]",
    ),
    "to_torch": ("torch", "needs PyTorch: pip install fastfc[torch]"),
    "from_sklearn": ("sklearn", "needs scikit-learn: pip install fastfc[sklearn]"),
    "to_sklearn": ("sklearn", "needs scikit-learn: pip install fastfc[sklearn]"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_named(name):
    package, message = MISSING[name]
    code = f"""if True:
        import sys
        sys.modules[{package!r}] = None
        import fastfc.interop
        try:
            from fastfc.interop import {name}
        except ImportError as error:
            print(error)
    """
    status, output = in_new_process(code)
    assert status == 0, output
    assert output.count("\n") == 1
    assert output.endswith(message + "\n")


def test_the_package_imports_none():
    code = (
        "import sys, fastfc.interop;"
        "print([name for name in ('onnx', 'sklearn', 'torch') if name in sys.modules])"
    )
    assert in_new_process(code) == (0, "[]\n")


def test_what_it_has():
    assert set(fastfc.interop.__all__) <= set(dir(fastfc.interop))
    with pytest.raises(
        AttributeError, match=r"^module 'fastfc\.interop' has no attribute 'to_tor'"
    ):
        fastfc.interop.to_tor  # noqa: B018
