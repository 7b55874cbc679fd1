"""Activations but ReLU: the fast ones, the reference, and what both are of."""

import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc.verifying import operations, tolerance
from tests.support import cases

KINDS = ["sigmoid", "tanh", "leaky_relu", "silu", "gelu"]
OF_OUT = {"sigmoid", "tanh"}  # whose cache is out

FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x)),
    "tanh": math.tanh,
    "leaky_relu": lambda x: x if x >= 0 else 0.01 * x,
    "silu": lambda x: x * FUNCTIONS["sigmoid"](x),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=[operations.FAST, operations.REFERENCE])
def package(request):
    return request.param


def pair(kind):
    return operations.find(f"{kind}_forward"), operations.find(f"{kind}_backward")


@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
def test_equals_reference(isa, dtype, kind, shape):
    for operation in pair(kind):
        operation.check(operation.arguments(shape, dtype))


def test_every_pair_of_special_values(isa, dtype, kind):
    forward, backward = pair(kind)
    values = cases.specials(dtype)
    dout, x = np.meshgrid(values, values)
    forward.check([x])
    backward.check([dout, x])


def test_any_range(isa, dtype, kind):
    """Arguments of every size, where functions overflow and where they vanish."""
    forward, backward = pair(kind)
    info = np.finfo(dtype)
    x = np.ldexp(cases.normal(2000, dtype, "x"), np.arange(2000) % 30 - 15)
    ends = -math.log(info.smallest_subnormal) * np.linspace(0.5, 1.2, 500)
    x = np.concatenate([x, ends, -ends, np.sqrt(2 * ends), -np.sqrt(2 * ends)]).astype(dtype)
    forward.check([x])
    if kind not in OF_OUT:
        backward.check([np.ones_like(x), x])
        backward.check([cases.normal(x.shape, dtype, "dout"), x])


@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, min_side=0, max_side=20))
def test_any_values(isa, dtype, kind, data, shape):
    forward, backward = pair(kind)
    x, dout = data.draw(st.tuples(hnp.arrays(dtype, shape), hnp.arrays(dtype, shape)))
    forward.check([x])
    backward.check([dout, x])


def test_is_the_function(package, isa, dtype, kind):
    x = np.linspace(-12, 12, 97).astype(dtype)
    out, _ = pair(kind)[0].callable(package)(x)
    expected = np.array([FUNCTIONS[kind](float(v)) for v in x])
    # the functions themselves, and x^2 times the roundings of two arguments of erfc
    rtol = 20 * tolerance.unit(dtype) + 4 * 12**2 * tolerance.unit(np.float64)
    np.testing.assert_allclose(out, expected, rtol=rtol)


def test_at_the_ends(package, isa, dtype, kind):
    """NaN stays, infinities give the limits, zeros keep their sign where the function is odd."""
    forward, backward = (operation.callable(package) for operation in pair(kind))
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    with np.errstate(all="ignore"):
        out, cache = forward(x)
        slope = backward(np.ones_like(x), cache)
    below = {"sigmoid": 0, "tanh": -1, "leaky_relu": -np.inf}.get(kind, -0.0)
    above = 1 if kind in OF_OUT else np.inf
    at_0 = 0.5 if kind == "sigmoid" else 0.0
    np.testing.assert_array_equal(out, [np.nan, above, below, at_0, at_0])
    assert list(np.signbit(out[3:])) == [False, kind != "sigmoid"]
    assert np.signbit(out[2]) == (kind != "sigmoid")
    ends = {"leaky_relu": [1, 0.01], "silu": [1, 0], "gelu": [1, 0]}.get(kind, [0, 0])
    at_0 = {"sigmoid": 0.25, "silu": 0.5, "gelu": 0.5}.get(kind, 1)
    nan = dtype(0.01) if kind == "leaky_relu" else np.nan
    rtol = 4 * tolerance.unit(dtype) if kind == "gelu" else 0  # Phi(0) is computed
    np.testing.assert_allclose(slope, np.array([nan, *ends, at_0, at_0], dtype), rtol=rtol)


def test_cache(package, kind):
    x = cases.normal((3, 4), np.float32, "x")
    out, cache = pair(kind)[0].callable(package)(x)
    assert cache is (out if kind in OF_OUT else x)
    assert not np.shares_memory(out, x)


def test_numerical_gradient(package, isa, kind):
    forward, backward = (operation.callable(package) for operation in pair(kind))
    dout, x = pair("gelu")[1].arguments((7, 13), np.float64)
    x = 0.3 * x + 0.1 * np.sign(x)  # no difference quotient reaches across leaky ReLU's kink
    out, cache = forward(x)
    # both values of a difference err by a function's roundings
    bound = tolerance.gamma(tolerance.FUNCTION + 4, np.float64) * (np.abs(out) + np.abs(x))
    tolerance.assert_gradient(backward(dout, cache), lambda x: forward(x)[0], x, dout, bound)


def test_errors(package, kind):
    forward, backward = (operation.callable(package) for operation in pair(kind))
    with pytest.raises(TypeError, match=f"{kind}_forward: x has dtype complex128"):
        forward(np.ones(3, complex))
    with pytest.raises(TypeError, match=rf"{kind}_backward: (x|out|cache) has dtype object"):
        backward(np.ones(3), np.ones(3, object))
    with pytest.raises(ValueError, match=r"_backward: dout has shape \(4,\), expected \(3,\)"):
        backward(np.ones(4), np.ones(3))
    with pytest.raises(ValueError, match=r"dout has shape \(3, 1\), expected \(3,\)"):
        backward(np.ones((3, 1)), np.ones(3))
