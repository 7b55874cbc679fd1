"""Dropout of some rows of an array: by rows of its mask; the generator is left as by all."""

import numpy as np
import pytest

from fastfc import _core
from fastfc.reference import layers as reference
from tests.support.same import assert_same
from tests.support.streams import states_equal

PARTS = [(0, 0), (0, 1), (0, 7), (1, 2), (3, 7), (6, 7), (7, 7), (2, 5)]  # of seven rows


def whole(row, dtype, param):
    """Return x, and what the reference makes of all of it, as (out, mask)."""
    x = np.linspace(-1, 1, 7 * int(np.prod(row)), dtype=dtype).reshape(7, *row)
    out, (_, mask) = reference.dropout_forward(x, param)
    return x, out, mask


@pytest.mark.parametrize("row", [(1,), (3,), (13, 5), (311,), (312,), (625,)], ids=str)
@pytest.mark.parametrize("rng", ["numpy", "philox"])
@pytest.mark.parametrize("convention", ["keep", "drop"])
def test_equals_rows_of_the_whole(isa, dtype, row, rng, convention):
    for skipped, p in ((0, 0.5), (1, 0.3), (623, 0.9)):
        np.random.seed(5)
        np.random.bytes(4 * skipped)
        start = np.random.get_state()
        param = {"mode": "train", "p": p, "rng": rng, "convention": convention}
        x, out, mask = whole(row, dtype, param)
        end = np.random.get_state()
        for first, last in PARTS:
            np.random.set_state(start)
            part, (given, own) = _core.dropout_rows(x[first:last], param, first, 7)
            assert_same(part, out[first:last])
            assert_same(own, mask[first:last])
            assert given is param
            assert states_equal(np.random.get_state(), end)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64])
def test_a_generator_of_ones_own(kind):
    for first, last in PARTS:
        own, other = kind(3), kind(3)
        param = {"mode": "train", "p": 0.4, "generator": own}
        x, out, _ = whole((9,), np.float64, {**param, "generator": other})
        part, _ = _core.dropout_rows(x[first:last], param, first, 7)
        assert_same(part, out[first:last])
        assert own.random_raw() == other.random_raw()


def test_a_seed_begins_anew():
    for rng in ("numpy", "philox"):
        param = {"mode": "train", "p": 0.4, "seed": 8, "rng": rng}
        x, out, _ = whole((9,), np.float64, param)
        assert_same(_core.dropout_rows(x[2:5], param, 2, 7)[0], out[2:5])


def test_nothing_is_drawn_in_test_mode():
    before = np.random.get_state()
    x = np.ones((2, 3))
    out, (_, mask) = _core.dropout_rows(x, {"mode": "test", "p": 0.4}, 1, 7)
    assert_same(out, x)
    assert mask is None
    assert states_equal(np.random.get_state(), before)


@pytest.mark.parametrize("rng", ["numpy", "philox"])
@pytest.mark.parametrize(
    ("first", "size"), [(-1, 7), (6, 7), (0, 1), (2**62, 2**62 + 2), (0, 2**62), (0, -1)]
)
def test_rows_have_a_place(rng, first, size):
    param = {"mode": "train", "p": 0.4, "rng": rng, "seed": 1}
    with pytest.raises(ValueError, match=r"dropout_rows: (first|size) is"):
        _core.dropout_rows(np.ones((2, 3)), param, first, size)
    with pytest.raises(ValueError, match=r"x has shape \(\), expected \(n, d_1"):
        _core.dropout_rows(np.float64(1), param, 0, 7)
