import numpy as np
import pytest

import fastfc
from fastfc import _core
from tests.support import cases

SOURCES = ("f4", "f8", "u1", "i2", "i8", "f2", "?", ">f8")


def rows(shape, source):
    """Data with every special value that the dtype has, and some that float32 has not."""
    x = cases.normal(shape, np.float64, source, scale=100)
    if np.dtype(source).kind == "f" and x.size:
        special = cases.specials(np.float64)
        x.flat[:: max(1, x.size // 40)] = np.resize(special, len(x.flat[:: max(1, x.size // 40)]))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(x).astype(source) if np.dtype(source).kind == "u" else x.astype(source)


def check(x, index, dtype):
    with np.errstate(over="ignore"):
        expected = x[np.asarray(index)].astype(dtype)
    got = _core.gather(x, index, dtype)
    assert got.dtype == dtype
    assert got.shape == expected.shape
    assert got.flags.c_contiguous
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("width", cases.LENGTHS)
def test_same_bits_as_numpy(isa, dtype, source, width):
    check(rows((9, width), source), [3, 0, 8, 3, -1, -9], dtype)


@pytest.mark.parametrize("source", ["f4", "f8", "u1"])
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_any_number_of_threads(dtype, source, threads):
    before = fastfc.get_num_threads()
    fastfc.set_num_threads(threads)
    try:
        index = cases.labels(150, 200, "rows")
        check(rows((200, 3, 32, 32), source), index, dtype)
    finally:
        fastfc.set_num_threads(before)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2, 3), (4, 0), (4, 3, 0, 2), (4, *[1] * 31)])
def test_shapes(dtype, shape):
    check(rows(shape, "f4"), [1, 3, 1], dtype)
    check(rows(shape, "u1"), np.array([], int), dtype)


def test_no_rows(dtype):
    x = np.ones((0, 3), np.float32)
    check(x, np.array([], int), dtype)
    with pytest.raises(IndexError, match=r"index\[0\] is 0"):
        _core.gather(x, [0], dtype)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x[::2],
        lambda x: x[::-1],
        lambda x: x[:, ::2],
        lambda x: x[:, ::-1],
        lambda x: x[:, 2:5],
        lambda x: x.transpose(0, 2, 1),
        lambda x: x.T,
        np.asfortranarray,
        lambda x: np.broadcast_to(x[0], x.shape),
        lambda x: np.frombuffer(b"\0" + x.tobytes(), "u1")[1:].view(x.dtype).reshape(x.shape),
    ],
)
@pytest.mark.parametrize("source", ["f4", "f8"])
def test_layouts(dtype, source, layout):
    x = layout(rows((8, 6, 7), source))
    check(x, [1, 0, -1, 2], dtype)


@pytest.mark.parametrize("index_dtype", ["i1", "u1", "i4", "u4", "i8", "u8", ">i4"])
def test_index_dtypes(dtype, index_dtype):
    check(rows((100, 5), "f4"), np.array([99, 0, 50], index_dtype), dtype)
    check(rows((100, 5), "f4"), np.array([9, 8, 7, 6], index_dtype)[::-2], dtype)


def test_index_stays(dtype):
    index = np.array([-1, -2])
    _core.gather(np.ones((3, 2)), index, dtype)
    assert index.tolist() == [-1, -2]


@pytest.mark.parametrize("wrong", [5, -6, 2**62, -(2**63)])
def test_row_out_of_range(dtype, wrong):
    message = rf"gather: index\[1\] is {wrong}, expected a row of X from -5 to 4"
    with pytest.raises(IndexError, match=message):
        _core.gather(np.ones((5, 2)), np.array([0, wrong, 0]), dtype)


def test_unsigned_row_out_of_range():
    with pytest.raises(IndexError, match=rf"index\[0\] is {2**64 - 1}"):
        _core.gather(np.ones((5, 2)), np.array([2**64 - 1], np.uint64), np.float32)


@pytest.mark.parametrize("index", [[0.0], [True, False], ["a"], [None], [1j]])
def test_index_is_no_integer(index):
    with pytest.raises(TypeError, match="gather: index has dtype"):
        _core.gather(np.ones((2, 2)), index, np.float32)


@pytest.mark.parametrize("index", [0, [[0]]])
def test_index_is_not_1d(index):
    with pytest.raises(ValueError, match="gather: index has shape"):
        _core.gather(np.ones((2, 2)), index, np.float32)


def test_wrong_arrays_and_dtypes():
    with pytest.raises(TypeError, match="gather: X is list"):
        _core.gather([[1.0]], [0], np.float32)
    with pytest.raises(ValueError, match="gather: X has shape"):
        _core.gather(np.ones(()), [0], np.float32)
    for dtype in (np.int32, np.float16, np.complex64):
        with pytest.raises(TypeError, match="gather: dtype is"):
            _core.gather(np.ones((1, 1)), [0], dtype)
