import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc.layers import affine_backward, affine_forward
from fastfc.verifying import operations, tolerance
from tests.support import cases

FORWARD, BACKWARD = operations.find("affine_forward"), operations.find("affine_backward")


@pytest.mark.parametrize("shape", cases.AFFINE, ids=str)
def test_equals_reference(isa, dtype, shape):
    FORWARD.check(FORWARD.arguments(shape, dtype))
    BACKWARD.check(BACKWARD.arguments(shape, dtype))


@given(
    n=st.integers(0, 40),
    inner=st.lists(st.integers(0, 9), max_size=3),
    m=st.integers(0, 70),
    spread=st.floats(0, 2),
)
def test_any_shape_and_scale(isa, dtype, n, inner, m, spread):
    """Factors over several orders of magnitude: large terms cancel beside small ones."""
    dout, (x, w, b) = BACKWARD.arguments(((n, *inner), m), np.float64)
    for i, array in enumerate((dout, x, w, b)):
        array *= 10 ** cases.normal(array.shape, np.float64, "spread", i, scale=spread)
    dout, x, w, b = (a.astype(dtype) for a in (dout, x, w, b))
    FORWARD.check([x, w, b])
    BACKWARD.check([dout, (x, w, b)])


@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
@pytest.mark.parametrize("argument", ["x", "w", "b", "dout"])
def test_special_values(isa, dtype, argument, value):
    """One special element: it reaches its own row and column of the results and no other."""
    dout, (x, w, b) = BACKWARD.arguments(((19, 37), 21), dtype)
    array = {"x": x, "w": w, "b": b, "dout": dout}[argument]
    array.flat[array.size // 3] = value
    w.flat[5] = 0  # meets an infinity of x in one place
    FORWARD.check([x, w, b])
    BACKWARD.check([dout, (x, w, b)])


# Where x is mostly zeros, products as large as these leave them out.
LARGE = [((200, 784), 100), ((37, 300), 131), ((3, 700), 515), ((5, 2600), 97), ((300, 70), 73)]


def mostly_zeros(shape, dtype, share=0.2):
    """An array, of whose elements a share is not zero, and none in every fifth column."""
    x = cases.normal(shape, dtype, "zeros")
    x[cases.generator("zeros", shape).random(shape) > share] = 0
    x[:, ::5] = 0
    return x


@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_zeros_left_out(isa, dtype, shape):
    dout, (x, w, b) = BACKWARD.arguments(shape, dtype)
    for share in (0.2, 0.01, 0):
        x = mostly_zeros(x.shape, dtype, share)
        FORWARD.check([x, w, b])
        BACKWARD.check([dout, (x, w, b)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_zeros_that_meet_special_values(isa, dtype, shape, value):
    """Nothing is left out then, and the other columns are the same to the bit."""
    dout, (x, w, b) = BACKWARD.arguments(shape, dtype)
    x = mostly_zeros(x.shape, dtype)
    out, _ = affine_forward(x, w, b)
    _, dw, _ = affine_backward(dout, (x, w, b))
    w[5, 7] = dout[1, 7] = value  # column 5 of x is zeros
    special, _ = affine_forward(x, w, b)
    _, special_dw, _ = affine_backward(dout, (x, w, b))
    for got, expected in ((special, out), (special_dw, dw)):
        assert np.isnan(got[:, 7]).any()
        assert np.delete(got, 7, axis=1).tobytes() == np.delete(expected, 7, axis=1).tobytes()
    assert np.isnan(special[:, 7]).all()
    FORWARD.check([x, w, b])
    BACKWARD.check([dout, (x, w, b)])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values_among_zeros(isa, dtype, value):
    dout, (x, w, b) = BACKWARD.arguments(((200, 784), 100), dtype)
    x = mostly_zeros(x.shape, dtype)
    x[3, 5], x[199, 783] = value, -value
    FORWARD.check([x, w, b])
    BACKWARD.check([dout, (x, w, b)])


def test_denormal_products(isa, dtype):
    tiny = np.finfo(dtype).tiny
    dout, (x, w, b) = BACKWARD.arguments(((9, 33), 17), dtype)
    FORWARD.check([x * tiny, w / 64, b * 0])
    BACKWARD.check([dout * tiny, (x / 64, w / 64, b)])


@pytest.mark.parametrize("bias", [0, 0.5, np.float64(2), "0-d", "row"], ids=str)
def test_bias_forms(isa, dtype, bias):
    x, w, _ = FORWARD.arguments(((5, 7), 3), dtype)
    bias = {"0-d": np.array(0.5, dtype), "row": np.arange(3, dtype=dtype)[np.newaxis]}.get(
        bias, bias
    )
    FORWARD.check([x, w, bias])
    BACKWARD.check([np.ones((5, 3), dtype), (x, w, bias)])


def test_mixed_dtypes_are_computed_in_float64(isa):
    x, w, b = FORWARD.arguments(((5, 7), 3), np.float32)
    FORWARD.check([x, w.astype(np.float64), b])
    FORWARD.check([(x * 9).astype(int), w, b])
    BACKWARD.check([np.ones((5, 3)), (x, w, b)])


def test_cache_is_what_was_passed(isa):
    x, w, b = [[1, 2], [3, 4]], np.eye(2), np.zeros(2)
    out, cache = affine_forward(x, w, b)
    assert cache[0] is x
    assert cache[1] is w
    assert cache[2] is b
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize("shape", [((4, 2, 3), 5), ((1, 17), 9), ((9,), 3)], ids=str)
def test_numerical_gradient(isa, package, shape):
    dout, (x, w, b) = BACKWARD.arguments(shape, np.float64)
    gradients = BACKWARD.callable(package)(dout, (x, w, b))
    bound = tolerance.affine_forward(x, w, b)["out"]
    for gradient, variable in zip(gradients, (x, w, b), strict=True):
        tolerance.assert_gradient(
            gradient, lambda _: FORWARD.callable(package)(x, w, b)[0], variable, dout, bound
        )


ones = np.ones


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            [ones((8, 3, 4, 4)), ones((20, 5)), ones(5)],
            ValueError,
            r"w has shape \(20, 5\), expected \(48, M\) to match x of shape \(8, 3, 4, 4\)",
        ),
        ([ones((8, 3)), ones(3), ones(5)], ValueError, r"w has shape \(3,\), expected \(3, M\)"),
        ([ones((8, 3)), ones((3, 5)), ones(4)], ValueError, r"b has shape \(4,\), expected \(5,\)"),
        (
            [ones((8, 3)), ones((3, 5)), ones((5, 1))],
            ValueError,
            r"b has shape \(5, 1\), expected \(5,\)",
        ),
        ([np.array(1.0), ones((1, 5)), ones(5)], ValueError, r"x has shape \(\), expected \(N, "),
        ([ones((8, 3), complex), ones((3, 5)), ones(5)], TypeError, "x has dtype complex128"),
        ([ones((8, 3)), ones((3, 5), object), ones(5)], TypeError, "w has dtype object"),
        ([ones((8, 3)), ones((3, 5)), np.array(["a"] * 5)], TypeError, "b has dtype <U1"),
        ([None, ones((3, 5)), ones(5)], TypeError, "x has dtype object"),
    ],
)
@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_forward_errors(package, arguments, error, message):
    with pytest.raises(error, match=f"affine_forward: {message}"):
        FORWARD.callable(package)(*arguments)


def test_backward_errors():
    cache = (ones((8, 3)), ones((3, 5)), ones(5))
    with pytest.raises(ValueError, match=r"dout has shape \(8, 4\), expected \(8, 5\)"):
        affine_backward(ones((8, 4)), cache)
    with pytest.raises(ValueError, match=r"dout has shape \(8,\), expected \(8, 5\)"):
        affine_backward(ones(8), cache)
    with pytest.raises(ValueError, match=r"w has shape \(4, 5\), expected \(3, M\)"):
        affine_backward(ones((8, 5)), (ones((8, 3)), ones((4, 5)), ones(5)))
    with pytest.raises(TypeError, match="dout has dtype complex128"):
        affine_backward(ones((8, 5), complex), cache)
