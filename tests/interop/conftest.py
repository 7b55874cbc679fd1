"""What the tests of other libraries share."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _one_thread():
    """On a busy machine PyTorch's threads wait for each other, longer than they compute."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
