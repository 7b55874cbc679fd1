import numpy as np
import pytest


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
