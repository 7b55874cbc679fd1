"""The Solver's minibatches are np.random.randint's, draw for draw."""

import contextlib

import numpy as np
import pytest

from fastfc import _core

COUNTS = [1, 2, 3, 5, 100, 128, 49000, 65536, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**40]


@contextlib.contextmanager
def bit_generator(replacement):
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(replacement)
    try:
        yield
    finally:
        np.random.set_bit_generator(before)


def drawn(draw, count, size):
    """What is drawn twice over, with a normal number drawn between, and the double after it."""
    first = draw(count, size)
    np.random.randn()  # keeps a second one
    return first, draw(count, size), np.random.rand(), np.random.randn()


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64, np.random.Philox])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", [0, 1, 7, 700])
def test_same_draws_and_state(kind, count, size):
    with bit_generator(kind(count + size)):
        expected = drawn(lambda n, k: np.random.randint(n, size=k), count, size)
    with bit_generator(kind(count + size)):
        got = drawn(_core.random_rows, count, size)
    for one, other in zip(got[:2], expected[:2], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert got[2:] == expected[2:]


def test_seeded():
    np.random.seed(5)
    expected = np.random.randint(49000, size=100)
    np.random.seed(5)
    np.testing.assert_array_equal(_core.random_rows(49000, 100), expected)


@pytest.mark.parametrize(("count", "size"), [(0, 3), (-1, 3), (4, -1), ("x", 3), (4, 2.5)])
def test_what_randint_refuses(count, size):
    for draw in (_core.random_rows, lambda n, k: np.random.randint(n, size=k)):
        with pytest.raises((TypeError, ValueError)):
            draw(count, size)


def test_whatever_else_counts_go_to_randint():
    np.random.seed(6)
    expected = np.random.randint(7.0, size=(2, 3)), np.random.randint(np.int64(9), size=4)
    np.random.seed(6)
    got = _core.random_rows(7.0, (2, 3)), _core.random_rows(np.int64(9), 4)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
