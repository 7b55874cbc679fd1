import os
import signal
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from fastfc import _core

# The installed fastfc is what is tested (above); `tests` and `benchmarks` stand beside its source.
sys.path.append(str(Path(__file__).parents[1]))

from tests.support import cases, runs

# The same examples at every run, no clock, and fixtures that hold for all examples of a test.
hypothesis.settings.register_profile(
    "fastfc",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("fastfc")

# A shell starts a job in the background deaf to Ctrl-C, and its children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def instruction_sets():
    """Return all that this machine runs, or the one that FASTFC_ISA forces."""
    forced = os.environ.get("FASTFC_ISA")
    return (forced,) if forced else _core.available_isas()


@pytest.fixture(params=instruction_sets())
def isa(request):
    """Run the test once under each instruction set."""
    before = _core.isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


@pytest.fixture(params=cases.DTYPES, ids=lambda dtype: dtype.__name__)
def dtype(request):
    """Run the test once in each dtype that is computed in its own precision."""
    return request.param


@pytest.fixture(autouse=True)
def poisoned_outputs():
    """Fill every fresh output with NaN before a kernel runs, so that an unwritten element shows."""
    _core._poison(True)
    yield
    _core._poison(False)


@pytest.fixture(autouse=True)
def own_random_stream():
    """Give NumPy's global generator back as it was."""
    generator, state = np.random.get_bit_generator(), np.random.get_state()
    np.random.seed(0)
    yield
    np.random.set_bit_generator(generator)
    np.random.set_state(state)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return what an uninterrupted run leaves behind, by network, dtype and settings."""
    known = {}

    def run(kind="fused", dtype=np.float32, **settings):
        key = kind, dtype, *map(str, settings.items())
        if key not in known:
            solver = runs.solver(kind, dtype, **settings)
            solver.train()
            known[key] = runs.left(solver, tmp_path_factory.mktemp("whole"))
        return known[key]

    return run
