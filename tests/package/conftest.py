"""What the tests of install_as share, and those of the command line."""

import sys

import numpy as np
import pytest

import fastfc

PACKAGES = ("nndl", "utils", "cs231n", "mycourse", "plain", "src")


@pytest.fixture
def given_back():
    """Whatever a test installs is gone after it, and nothing else of sys.modules changes."""
    finders, modules = list(sys.meta_path), dict(sys.modules)
    yield
    fastfc.uninstall()
    assert sys.meta_path == finders
    ours = {name for name in sys.modules if name.partition(".")[0] in PACKAGES}
    for name in ours:
        del sys.modules[name]
    assert {n: m for n, m in modules.items() if n.partition(".")[0] in PACKAGES} == {}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the notebook's folder, found by imports."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


@pytest.fixture
def printed_line(capsys):
    """Return a function that returns the one line that was printed."""

    def line():
        out, err = capsys.readouterr()
        assert err == ""
        assert out.count("\n") == 1
        assert out.endswith("\n")
        return out

    return line


@pytest.fixture
def empty_folder(monkeypatch, tmp_path):
    """Work in an empty folder without data sets around, and leave NumPy's generator as it was."""
    monkeypatch.delenv("FASTFC_DATA", raising=False)
    folder = tmp_path / "elsewhere" / "work"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    state = np.random.get_state()
    yield folder
    np.random.set_state(state)
