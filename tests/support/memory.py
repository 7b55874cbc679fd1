"""How much memory a call takes at most, NumPy's arrays included."""

import contextlib
import tracemalloc


@contextlib.contextmanager
def at_most(limit):
    """Check that the block never has more than so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes, expected less than {limit:,}"
