import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc.layers import relu_backward, relu_forward
from fastfc.verifying import operations, tolerance
from tests.support import cases

FORWARD, BACKWARD = operations.find("relu_forward"), operations.find("relu_backward")


@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
def test_equals_reference(isa, dtype, shape):
    FORWARD.check(FORWARD.arguments(shape, dtype))
    BACKWARD.check(BACKWARD.arguments(shape, dtype))


def test_every_pair_of_special_values(isa, dtype):
    values = cases.specials(dtype)
    dout, x = np.meshgrid(values, values)
    FORWARD.check([x])
    BACKWARD.check([dout, x])


@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, min_side=0, max_side=20))
def test_any_values(isa, dtype, data, shape):
    x, dout = data.draw(st.tuples(hnp.arrays(dtype, shape), hnp.arrays(dtype, shape)))
    FORWARD.check([x])
    BACKWARD.check([dout, x])


def test_zero_passes_the_gradient_and_nan_stays(isa, dtype):
    x = np.array([-1, -0.0, 0, 2, np.nan], dtype)
    out, cache = relu_forward(x)
    assert cache is x
    np.testing.assert_array_equal(out, [0, 0, 0, 2, np.nan])
    np.testing.assert_array_equal(np.signbit(out[:3]), [False, True, False])
    np.testing.assert_array_equal(relu_backward(np.ones(5, dtype), x), [0, 1, 1, 1, 0])


def test_output_is_not_the_input(isa, dtype):
    x = np.ones((3, 3), dtype)
    out, _ = relu_forward(x)
    assert not np.shares_memory(out, x)
    assert not np.shares_memory(relu_backward(x, x), x)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_numerical_gradient(isa, package):
    dout, x = BACKWARD.arguments((7, 13), np.float64)
    x += 0.1 * np.sign(x)  # no difference quotient reaches across the kink
    tolerance.assert_gradient(
        BACKWARD.callable(package)(dout, x),
        lambda x: FORWARD.callable(package)(x)[0],
        x,
        dout,
        tolerance.unit(np.float64) * np.abs(x),
    )


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_errors(package):
    forward, backward = FORWARD.callable(package), BACKWARD.callable(package)
    with pytest.raises(TypeError, match="relu_forward: x has dtype complex128"):
        forward(np.ones(3, complex))
    with pytest.raises(TypeError, match=r"relu_backward: (x|cache) has dtype object"):
        backward(np.ones(3), np.ones(3, object))
    with pytest.raises(ValueError, match=r"dout has shape \(4,\), expected \(3,\)"):
        backward(np.ones(4), np.ones(3))
    with pytest.raises(ValueError, match=r"dout has shape \(3, 1\), expected \(3,\)"):
        backward(np.ones((3, 1)), np.ones(3))
