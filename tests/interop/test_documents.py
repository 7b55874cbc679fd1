"""docs/interop.md gives what it says, with the libraries that it is about."""

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"


def test_examples_give_what_they_say():
    for name in ("onnx", "safetensors", "skl2onnx", "sklearn", "torch"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testfile(str(PAGE), module_relative=False, optionflags=options)
    assert found.failed == 0
    assert found.attempted > 0
