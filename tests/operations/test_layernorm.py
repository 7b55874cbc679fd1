import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc import layers
from fastfc.arguments import shown
from fastfc.layers import layernorm_backward, layernorm_forward
from fastfc.reference import layers as reference
from fastfc.verifying import operations, tolerance
from tests.support import cases

FORWARD = operations.find("layernorm_forward")
BACKWARD = operations.find("layernorm_backward")


@pytest.mark.parametrize("shape", cases.LAYERNORM, ids=str)
def test_equals_reference(isa, dtype, shape):
    FORWARD.check(FORWARD.arguments(shape, dtype))
    BACKWARD.check(BACKWARD.arguments(shape, dtype))


@given(
    n=st.integers(0, 40),
    d=st.integers(1, 60),
    mean=st.floats(-1e4, 1e4),
    scale=st.floats(1e-3, 1e3),
    eps=st.floats(1e-8, 1),
)
def test_any_shape_and_scale(isa, dtype, n, d, mean, scale, eps):
    """Among them means far larger than the deviation, where one pass would lose the variance."""
    x, gamma, beta, _ = FORWARD.arguments((n, d), dtype)
    FORWARD.check([(x * scale + mean).astype(dtype), gamma, beta, {"eps": eps}])


@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
@pytest.mark.parametrize("argument", range(3))
def test_special_values(isa, dtype, argument, value):
    """One special element reaches its own example, or of gamma and beta its own feature."""
    arguments = FORWARD.arguments((19, 37), dtype)
    array = arguments[argument]
    array.flat[array.size // 2] = value
    FORWARD.check(arguments)


@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
def test_special_values_backward(isa, dtype, value):
    for name in ("dout", "x_normalized", "rstd", "gamma"):
        dout, cache = BACKWARD.arguments((19, 37), dtype)
        array = {"dout": dout, **cache}[name]
        array.flat[array.size // 2] = value
        BACKWARD.check([dout, cache])


@pytest.mark.parametrize("value", [0, 1, 0.1, -1e3, 1e6])
def test_constant_example(isa, dtype, value):
    """Without variance the output is beta, up to what the rounding of the mean leaves."""
    _, gamma, beta, ln_param = FORWARD.arguments((8, 19), dtype)
    FORWARD.check([np.full((8, 19), value, dtype), gamma, beta, ln_param])


@pytest.mark.parametrize("d", [1, 33, 1000])
def test_an_example_does_not_depend_on_the_others(isa, dtype, d):
    """However many rows are taken at a time, each has the bits that it has alone."""
    x, gamma, beta, ln_param = FORWARD.arguments((61, d), dtype)
    dout = BACKWARD.arguments((61, d), dtype)[0]
    out, cache = layernorm_forward(x, gamma, beta, ln_param)
    dx = layernorm_backward(dout, cache)[0]
    for i in range(61):
        alone, own_cache = layernorm_forward(x[i : i + 1], gamma, beta, ln_param)
        assert alone.tobytes() == out[i].tobytes()
        assert layernorm_backward(dout[i : i + 1], own_cache)[0].tobytes() == dx[i].tobytes()


def test_defaults_and_other_keys(isa, dtype):
    x, gamma, beta, _ = FORWARD.arguments((6, 4), dtype)
    ln_param = {"mode": "whatever", "mine": 7}
    out, _ = layernorm_forward(x, gamma, beta, ln_param)
    np.testing.assert_array_equal(out, layernorm_forward(x, gamma, beta, {"eps": 1e-5})[0])
    assert ln_param == {"mode": "whatever", "mine": 7}
    FORWARD.check([x, gamma, beta, {}])


def test_empty_batch(isa, dtype):
    """No example, no sum: the gradients of gamma and beta are zero."""
    dx, dgamma, dbeta = layernorm_backward(*BACKWARD.arguments((0, 5), dtype))
    assert dx.shape == (0, 5)
    np.testing.assert_array_equal([dgamma, dbeta], np.zeros((2, 5)))


@pytest.mark.parametrize("shape", [(20, 100_003), (3, 300_007)], ids=str)
def test_more_features_than_the_workspace_has_sums_for(isa, dtype, shape):
    BACKWARD.check(BACKWARD.arguments(shape, dtype))


def test_caches_are_interchangeable(isa, dtype):
    arguments = FORWARD.arguments((13, 17), dtype)
    dout, _ = BACKWARD.arguments((13, 17), dtype)
    caches = [module.layernorm_forward(*arguments)[1] for module in (layers, reference)]
    assert caches[0].keys() == caches[1].keys()
    for cache in caches:
        BACKWARD.check([dout, cache])


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize("shape", [(5, 4), (9, 2), (3, 17)], ids=str)
def test_numerical_gradient(isa, package, shape):
    x, gamma, beta, ln_param = FORWARD.arguments(shape, np.float64)
    dout, _ = BACKWARD.arguments(shape, np.float64)

    def forward(_):
        return FORWARD.callable(package)(x, gamma, beta, ln_param)[0]

    _, cache = FORWARD.callable(package)(x, gamma, beta, ln_param)
    bound = tolerance.layernorm_forward(x, gamma, beta, ln_param)["out"]
    gradients = BACKWARD.callable(package)(dout, cache)
    for gradient, variable in zip(gradients, (x, gamma, beta), strict=True):
        tolerance.assert_gradient(gradient, forward, variable, dout, bound)


ones = np.ones


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": ones(4)}, ValueError, r"layernorm_forward: x has shape \(4,\), expected \(N, D\)"),
        ({"x": ones((2, 4, 1))}, ValueError, r"x has shape \(2, 4, 1\), expected \(N, D\)"),
        ({"x": ones((6, 0))}, ValueError, r"x has shape \(6, 0\), .* D at least 1"),
        ({"gamma": ones(3)}, ValueError, r"gamma has shape \(3,\), expected \(4,\)"),
        ({"gamma": ones(6)}, ValueError, r"gamma has shape \(6,\), expected \(4,\)"),
        ({"beta": ones((4, 1))}, ValueError, r"beta has shape \(4, 1\), expected \(4,\)"),
        ({"x": ones((6, 4), complex)}, TypeError, "layernorm_forward: x has dtype complex128"),
        ({"gamma": ones(4, object)}, TypeError, "gamma has dtype object"),
        ({"ln_param": None}, TypeError, "layernorm_forward: ln_param is None, expected a dict"),
        ({"ln_param": "train"}, TypeError, "ln_param is 'train', expected a dict"),
        *[
            (
                {"ln_param": {"eps": value}},
                error,
                re.escape(f"ln_param['eps'] is {shown(value)}, {what}"),
            )
            for value, error, what in cases.NOT_EPS
        ],
    ],
)
def test_forward_errors(package, change, error, message):
    names = ("x", "gamma", "beta", "ln_param")
    arguments = dict(zip(names, FORWARD.arguments((6, 4), np.float64), strict=True))
    with pytest.raises(error, match=message):
        FORWARD.callable(package)(**{**arguments, **change})


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_backward_errors(package):
    backward = BACKWARD.callable(package)
    dout, cache = BACKWARD.arguments((6, 4), np.float64)
    with pytest.raises(TypeError, match="layernorm_backward: cache is None, expected a dict"):
        backward(dout, None)
    with pytest.raises(ValueError, match=r"dout has shape \(6, 3\), expected \(6, 4\)"):
        backward(dout[:, :3], cache)
    with pytest.raises(TypeError, match="dout has dtype complex128"):
        backward(dout.astype(complex), cache)
    empty = {**cache, "x_normalized": np.ones((6, 0)), "gamma": np.ones(0)}
    with pytest.raises(ValueError, match=r"x_normalized.* has shape \(6, 0\), .* D at least 1"):
        backward(np.ones((6, 0)), empty)


def test_cache_of_batch_normalisation_is_refused():
    """Its rstd is one for each feature; ours one for each example."""
    dout, _ = BACKWARD.arguments((6, 4), np.float64)
    _, cache = layers.batchnorm_forward(dout, ones(4), ones(4), {"mode": "train"})
    with pytest.raises(ValueError, match=r"cache\['rstd'\] has shape \(4,\), expected \(6,\)"):
        layernorm_backward(dout, cache)


def test_output_dtype_of_one_float64_argument(isa):
    x, gamma, beta, ln_param = FORWARD.arguments((6, 4), np.float32)
    FORWARD.check([x, gamma.astype(np.float64), beta, ln_param])
    dout, cache = BACKWARD.arguments((6, 4), np.float32)
    out = layernorm_backward(dout.astype(np.float64), cache)
    assert {a.dtype for a in out} == {np.dtype(np.float64)}


def test_scale_and_shift_may_be_a_row_or_a_number(isa):
    x, gamma, _, ln_param = FORWARD.arguments((6, 4), np.float64)
    for scale, shift in [(gamma[np.newaxis], 0.5), (2, gamma[np.newaxis])]:
        full = np.broadcast_to(scale, (1, 4))[0], np.broadcast_to(shift, (1, 4))[0]
        for module in (layers, reference):
            out, cache = module.layernorm_forward(x, scale, shift, ln_param)
            expected, _ = module.layernorm_forward(x, *full, ln_param)
            np.testing.assert_array_equal(out, expected)
            shapes = [a.shape for a in module.layernorm_backward(x, cache)]
            assert shapes == [(6, 4), np.shape(scale), np.shape(shift)]
