import collections
import copy
import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc import layers
from fastfc.arguments import shown
from fastfc.layers import batchnorm_backward, batchnorm_forward
from fastfc.reference import layers as reference
from fastfc.verifying import operations, tolerance
from tests.support import cases

TRAIN = operations.find("batchnorm_forward train")
TEST = operations.find("batchnorm_forward test")
BACKWARD = operations.find("batchnorm_backward")


@pytest.mark.parametrize("shape", cases.BATCHNORM, ids=str)
def test_equals_reference(isa, dtype, shape):
    TRAIN.check(TRAIN.arguments(shape, dtype))
    TEST.check(TEST.arguments(shape, dtype))
    BACKWARD.check(BACKWARD.arguments(shape, dtype))


@given(
    n=st.integers(1, 60),
    d=st.integers(0, 40),
    mean=st.floats(-1e4, 1e4),
    scale=st.floats(1e-3, 1e3),
    eps=st.floats(1e-8, 1),
    momentum=st.floats(0, 1),
)
def test_any_shape_and_scale(isa, dtype, n, d, mean, scale, eps, momentum):
    """Among them means far larger than the deviation, where one pass would lose the variance."""
    for operation in (TRAIN, TEST):
        x, gamma, beta, bn_param = operation.arguments((n, d), dtype)
        x = (x * scale + mean).astype(dtype)
        operation.check([x, gamma, beta, {**bn_param, "eps": eps, "momentum": momentum}])


@pytest.mark.parametrize("operation", [TRAIN, TEST], ids=str)
@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
@pytest.mark.parametrize("argument", range(3))
def test_special_values(isa, dtype, operation, argument, value):
    """One special element reaches its own feature and no other."""
    arguments = operation.arguments((9, 19), dtype)
    array = arguments[argument]
    array.flat[array.size // 2] = value
    operation.check(arguments)


@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
def test_special_values_backward(isa, dtype, value):
    for name in ("dout", "x_normalized", "rstd", "gamma"):
        dout, cache = BACKWARD.arguments((9, 19), dtype)
        array = {"dout": dout, **cache}[name]
        array.flat[array.size // 2] = value
        BACKWARD.check([dout, cache])


@pytest.mark.parametrize("value", [0, 1, 0.1, -1e3, 1e6])
def test_constant_feature(isa, dtype, value):
    """Without variance the output is beta, up to what the rounding of the mean leaves."""
    _, gamma, beta, bn_param = TRAIN.arguments((8, 5), dtype)
    TRAIN.check([np.full((8, 5), value, dtype), gamma, beta, bn_param])


def test_defaults(isa, dtype):
    x, gamma, beta, _ = TRAIN.arguments((6, 4), dtype)
    fast, slow = {"mode": "train"}, {"mode": "train"}
    out, cache = batchnorm_forward(x, gamma, beta, fast)
    reference.batchnorm_forward(x, gamma, beta, slow)
    explicit = {
        "mode": "train",
        "eps": 1e-5,
        "momentum": 0.9,
        "running_mean": np.zeros(4, dtype),
        "running_var": np.zeros(4, dtype),
    }
    expected, expected_cache = batchnorm_forward(x, gamma, beta, explicit)
    np.testing.assert_array_equal(out, expected)
    for name in cache:
        np.testing.assert_array_equal(cache[name], expected_cache[name])
    assert fast.keys() == slow.keys()
    for name in ("running_mean", "running_var"):
        assert fast[name].dtype == slow[name].dtype == dtype
        np.testing.assert_array_equal(fast[name], explicit[name])


@pytest.mark.parametrize("mode", ["train", "test"])
def test_running_averages_are_stored_and_other_keys_survive(isa, mode):
    x, gamma, beta, bn_param = TRAIN.arguments((6, 4), np.float64)
    bn_param = {**bn_param, "mode": mode, "mine": 7}
    before = copy.deepcopy(bn_param)
    mean, var = bn_param["running_mean"], bn_param["running_var"]
    batchnorm_forward(x, gamma, beta, bn_param)
    np.testing.assert_array_equal(mean, before["running_mean"])
    np.testing.assert_array_equal(var, before["running_var"])
    # training stores new arrays, testing the very ones that it used, as the original does
    assert (bn_param["running_mean"] is mean) == (mode == "test")
    assert (bn_param["running_var"] is var) == (mode == "test")
    assert bn_param["mine"] == 7
    assert bn_param.keys() == before.keys()


def test_empty_batch_in_test_mode(isa, dtype):
    TEST.check(TEST.arguments((0, 5), dtype))


def test_mode_test_keeps_no_cache(isa):
    x, gamma, beta, bn_param = TEST.arguments((6, 4), np.float64)
    assert batchnorm_forward(x, gamma, beta, bn_param)[1] is None


def test_caches_are_interchangeable(isa, dtype):
    x, gamma, beta, bn_param = TRAIN.arguments((13, 17), dtype)
    dout, _ = BACKWARD.arguments((13, 17), dtype)
    caches = [
        module.batchnorm_forward(x, gamma, beta, dict(bn_param))[1]
        for module in (layers, reference)
    ]
    assert caches[0].keys() == caches[1].keys()
    for cache in caches:
        BACKWARD.check([dout, cache])


def test_alternative_backward_is_the_same(isa, dtype):
    dout, cache = BACKWARD.arguments((13, 17), dtype)
    for module in (layers, reference):
        results = module.batchnorm_backward(dout, cache), module.batchnorm_backward_alt(dout, cache)
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other)


def test_cache_outlives_changes_of_its_inputs(isa):
    """An update of gamma in place between forward and backward: as in the reference, it shows."""
    results = []
    for module in (layers, reference):
        x, gamma, beta, bn_param = TRAIN.arguments((6, 4), np.float64)
        _, cache = module.batchnorm_forward(x, gamma, beta, bn_param)
        x[...] = np.nan
        bn_param["running_mean"][...] = np.nan
        results.append(module.batchnorm_backward(np.ones((6, 4)), cache))
    assert all(np.isfinite(part).all() for result in results for part in result)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize("shape", [(5, 4), (2, 9), (17, 3)], ids=str)
def test_numerical_gradient(isa, package, shape):
    x, gamma, beta, bn_param = TRAIN.arguments(shape, np.float64)
    dout, _ = BACKWARD.arguments(shape, np.float64)

    def forward(_):
        return TRAIN.callable(package)(x, gamma, beta, dict(bn_param))[0]

    _, cache = TRAIN.callable(package)(x, gamma, beta, dict(bn_param))
    bound = tolerance.batchnorm_forward(x, gamma, beta, bn_param)["out"]
    gradients = BACKWARD.callable(package)(dout, cache)
    for gradient, variable in zip(gradients, (x, gamma, beta), strict=True):
        tolerance.assert_gradient(gradient, forward, variable, dout, bound)


ones = np.ones


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mode": "tset"}, ValueError, 'Invalid forward batchnorm mode "tset"'),
        ({"mode": None}, ValueError, 'Invalid forward batchnorm mode "None"'),
        ({"x": ones(4)}, ValueError, r"batchnorm_forward: x has shape \(4,\), expected \(N, D\)"),
        ({"x": ones((2, 4, 1))}, ValueError, r"x has shape \(2, 4, 1\), expected \(N, D\)"),
        ({"x": ones((0, 4))}, ValueError, "batchnorm_forward: x "),
        ({"gamma": ones(3)}, ValueError, r"gamma has shape \(3,\), expected \(4,\)"),
        ({"beta": ones((4, 1))}, ValueError, r"beta has shape \(4, 1\), expected \(4,\)"),
        (
            {"running_mean": ones(5)},
            ValueError,
            r"running_mean.* has shape \(5,\), expected \(4,\)",
        ),
        ({"running_var": ones(5)}, ValueError, r"running_var.* has shape \(5,\), expected \(4,\)"),
        ({"x": ones((6, 4), complex)}, TypeError, "batchnorm_forward: x has dtype complex128"),
        ({"gamma": ones(4, object)}, TypeError, "gamma has dtype object"),
        ({"running_mean": ones(4, complex)}, TypeError, r"running_mean.* has dtype complex128"),
        *[
            ({name: value}, error, re.escape(f"bn_param[{name!r}] is {shown(value)}, {what}"))
            for name, wrong in (("eps", cases.NOT_EPS), ("momentum", cases.NOT_MOMENTUM))
            for value, error, what in wrong
        ],
    ],
)
def test_forward_errors_store_nothing(package, change, error, message):
    x, gamma, beta, bn_param = TRAIN.arguments((6, 4), np.float64)
    arguments = {"x": x, "gamma": gamma, "beta": beta}
    for name, value in change.items():
        (arguments if name in arguments else bn_param)[name] = value
    before = dict(bn_param)
    with pytest.raises(error, match=message):
        TRAIN.callable(package)(**arguments, bn_param=bn_param)
    assert bn_param.keys() == before.keys()
    assert all(bn_param[name] is before[name] for name in before)


def test_mode_is_required():
    x, gamma, beta, _ = TRAIN.arguments((6, 4), np.float64)
    with pytest.raises((KeyError, ValueError), match="mode"):
        batchnorm_forward(x, gamma, beta, {})


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_backward_errors(package):
    backward = BACKWARD.callable(package)
    dout, cache = BACKWARD.arguments((6, 4), np.float64)
    with pytest.raises(ValueError, match="batchnorm_backward: cache is"):
        backward(dout, None)
    with pytest.raises(ValueError, match=r"dout has shape \(6, 3\), expected \(6, 4\)"):
        backward(dout[:, :3], cache)
    with pytest.raises(TypeError, match="dout has dtype complex128"):
        backward(dout.astype(complex), cache)


def test_output_dtype_of_one_float64_argument(isa):
    x, gamma, beta, bn_param = TRAIN.arguments((6, 4), np.float32)
    TRAIN.check([x, gamma.astype(np.float64), beta, bn_param])
    TEST.check([x, gamma, beta.astype(np.float64), {**bn_param, "mode": "test"}])
    dout, cache = BACKWARD.arguments((6, 4), np.float32)
    out = batchnorm_backward(dout.astype(np.float64), cache)
    assert {a.dtype for a in out} == {np.dtype(np.float64)}


@pytest.mark.parametrize("mode", ["train", "test"])
def test_scale_and_shift_may_be_a_row_or_a_number(isa, mode):
    x, gamma, _, bn_param = TRAIN.arguments((6, 4), np.float64)
    bn_param = {**bn_param, "mode": mode}
    for scale, shift in [(gamma[np.newaxis], 0.5), (2, gamma[np.newaxis])]:
        full = np.broadcast_to(scale, (1, 4))[0], np.broadcast_to(shift, (1, 4))[0]
        for forward in (batchnorm_forward, reference.batchnorm_forward):
            out = forward(x, scale, shift, dict(bn_param))[0]
            np.testing.assert_array_equal(out, forward(x, *full, dict(bn_param))[0])


class Refusing(collections.UserDict):
    """Takes no running variance."""

    def __setitem__(self, key, value):
        if key == "running_var":
            raise KeyError(key)
        super().__setitem__(key, value)


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("given", [{}, {"running_mean": np.ones(3)}])
def test_both_running_averages_are_stored_or_neither(mode, given):
    bn_param = Refusing({"mode": mode, **given})
    before = dict(bn_param)
    with pytest.raises(KeyError):
        batchnorm_forward(np.eye(4, 3), 1, 0, bn_param)
    assert bn_param.keys() == before.keys()
    assert all(bn_param[key] is before[key] for key in before)
