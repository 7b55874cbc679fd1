"""What the tests of estimators share."""

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

collect_ignore = []


def pytest_collection_modifyitems(items):
    """Let what scikit-learn warns of be, as its own tests do: too few epochs, foremost."""
    for item in items:
        if "tests/estimators" in str(item.path).replace("\\", "/"):
            item.add_marker(pytest.mark.filterwarnings("ignore::UserWarning"), append=False)
            item.add_marker(pytest.mark.filterwarnings("ignore::FutureWarning"), append=False)
