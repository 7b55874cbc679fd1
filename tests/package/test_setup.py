"""setup.py, where a Mac's Python is for two architectures: the wheel is of one, and named so."""

import os
import platform
import runpy
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

SETUP = Path(__file__).parents[2] / "setup.py"


def set_up(monkeypatch, of_python, **environment):
    """Run setup.py on an Apple processor, by a Python for `of_python`; return what it sets."""
    monkeypatch.setitem(sys.modules, "setuptools", SimpleNamespace(setup=lambda **_: None))
    monkeypatch.setattr(sysconfig, "get_platform", lambda: of_python)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(os, "environ", environment)
    runpy.run_path(str(SETUP))
    return environment


@pytest.mark.parametrize(
    ("environment", "architecture"),
    [({}, "arm64"), ({"ARCHFLAGS": "-arch x86_64"}, "x86_64")],
    ids=["this processor's", "as asked"],
)
def test_a_wheel_of_one_architecture_is_named_by_it(monkeypatch, environment, architecture):
    assert set_up(monkeypatch, "macosx-10.13-universal2", **environment) == {
        "ARCHFLAGS": f"-arch {architecture}",
        "_PYTHON_HOST_PLATFORM": f"macosx-10.13-{architecture}",
    }


@pytest.mark.parametrize(
    ("of_python", "environment"),
    [
        ("macosx-10.13-universal2", {"ARCHFLAGS": "-arch arm64 -arch x86_64"}),  # CMake refuses it
        ("macosx-11.0-arm64", {}),
        ("linux-x86_64", {}),
    ],
)
def test_what_is_of_one_architecture_or_asked_for_two_stays(monkeypatch, of_python, environment):
    assert set_up(monkeypatch, of_python, **environment) == environment
