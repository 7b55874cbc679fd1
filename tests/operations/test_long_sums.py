"""Sums over many examples, features or classes lose no more than a pairwise one.

The third opinion is exact: math.fsum rounds once.
"""

import math

import numpy as np
import pytest

import fastfc
from fastfc import _core, layers
from fastfc.verifying import operations, tolerance
from tests.support import cases

PACKAGES = [operations.FAST, operations.REFERENCE]
# One block, two, three, and many; the last are not all whole.
LENGTHS = [128, 129, 257, 1000, 70001]


def exact(x):
    """The sum of each column, rounded once."""
    return np.array([math.fsum(column) for column in x.T.tolist()])


def far_from_zero(shape, dtype):
    """Numbers in [250, 320], whose running sum, one after the other, drifts."""
    return cases.generator(shape, "far").uniform(250, 320, shape).astype(dtype)


def assert_sum(got, terms, dtype, more=0):
    """That ``got`` errs by no more than the sums of blocks, and ``more`` roundings, may."""
    bound = tolerance.gamma(tolerance.summed(len(terms)) + more, dtype)
    assert (np.abs(got - exact(terms)) <= bound * exact(np.abs(terms))).all()


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("n", LENGTHS)
def test_gradient_of_the_bias(isa, dtype, package, n):
    dout = far_from_zero((n, 5), dtype)
    cache = np.zeros((n, 1), dtype), np.zeros((1, 5), dtype), np.zeros(5, dtype)
    backward = operations.find("affine_backward").callable(package)
    assert_sum(backward(dout, cache)[2], dout, dtype)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("n", LENGTHS)
def test_batch_normalisation(isa, dtype, package, n):
    x, gamma, beta = far_from_zero((n, 5), dtype), np.ones(5, dtype), np.zeros(5, dtype)
    bn_param = {"mode": "train", "momentum": 0.0}
    forward = operations.find("batchnorm_forward train").callable(package)
    backward = operations.find("batchnorm_backward").callable(package)
    _, cache = forward(x, gamma, beta, bn_param)
    assert_sum(bn_param["running_mean"] * float(n), x, dtype, more=2)
    deviations = x.astype(float) - exact(x) / n
    mean_error = tolerance.gamma(tolerance.summed(n) + 2, dtype) * np.abs(x).mean(axis=0)
    bound = tolerance.gamma(tolerance.summed(n) + 5, dtype) * exact(deviations**2)
    var_off = np.abs(bn_param["running_var"].astype(float) * n - exact(deviations**2))
    assert (var_off <= bound + n * mean_error**2).all()
    cache = {**cache, "x_normalized": x}
    _, dgamma, dbeta = backward(x, cache)
    assert_sum(dbeta, x, dtype)
    assert_sum(dgamma, x.astype(float) ** 2, dtype, more=1)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("shape", [*((n, 5) for n in LENGTHS), (40_000, 1), (700, 300)], ids=str)
def test_layer_normalisation_over_the_batch(isa, dtype, package, shape):
    n, d = shape
    x = far_from_zero(shape, dtype)
    cache = {"x_normalized": x, "rstd": np.ones(n, dtype), "gamma": np.ones(d, dtype)}
    _, dgamma, dbeta = operations.find("layernorm_backward").callable(package)(x, cache)
    assert_sum(dbeta, x, dtype, more=130)  # of ranges of rows: see tolerance.layernorm_backward
    assert_sum(dgamma, x.astype(float) ** 2, dtype, more=131)


@pytest.mark.parametrize(("d", "rows", "start"), [(70_000, 160, 0), (40_000, 416, 256)])
def test_layer_normalisation_of_wide_rows_over_the_batch(d, rows, start):
    """Rows of which scratch memory holds none, or a few: 2**24 + 1 + 1 + ... stops at 2**24.

    Each range of rows, as backward_ranges_of in csrc/ops/layernorm.c cuts them, has a great number
    first in a block of 128, after which are zeros, and then ones.
    """
    ranges = 1 + 2**18 // d
    x = np.zeros((ranges * rows, d), np.float32)
    columns = [0, 1, d - 1]
    for at in range(0, len(x), rows):
        x[at + start, columns] = 2**12
        x[at + start + 128 : at + rows, columns] = 1
    ones = np.ones(len(x), np.float32), np.ones(d, np.float32)
    cache = {"x_normalized": x, "rstd": ones[0], "gamma": ones[1]}
    _, dgamma, dbeta = layers.layernorm_backward(x, cache)
    np.testing.assert_array_equal(dgamma[columns], exact(x[:, columns].astype(float) ** 2))
    np.testing.assert_array_equal(dbeta[columns], exact(x[:, columns]))


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("d", LENGTHS)
def test_layer_normalisation_over_the_features(isa, dtype, package, d):
    """Of its sums the variance shows: its error is that of rstd, twice."""
    x = far_from_zero((3, d), dtype)
    forward = operations.find("layernorm_forward").callable(package)
    _, cache = forward(x, np.ones(d, dtype), np.zeros(d, dtype), {"eps": 0.0})
    bound = tolerance.layernorm_forward(x, dtype(1), dtype(0), {"eps": 0.0})["rstd"] / 2
    deviations = x.astype(float).T - exact(x.T) / d
    np.testing.assert_array_less(np.abs(cache["rstd"] - np.sqrt(d / exact(deviations**2))), bound)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("n", [1000, 70001])
def test_losses(isa, dtype, package, n):
    """All examples are the same, so the mean is the loss of one."""
    x = np.repeat(np.array([[0.1, 0.7]], dtype), n, axis=0)
    y = np.zeros(n, int)
    for name in ("softmax_loss", "svm_loss"):
        operation = operations.find(name)
        one, _ = operation.callable(operations.FAST)(x[:1].astype(np.float64), y[:1])
        bound = operation.bound(x, y)["loss"]
        assert abs(float(operation.callable(package)(x, y)[0]) - float(one)) <= bound


def test_many_classes(isa, dtype):
    for name in ("softmax_loss", "softmax_loss smoothed", "svm_loss"):
        operation = operations.find(name)
        operation.check(operation.arguments((3, 70001), dtype))


@pytest.mark.parametrize("n", [1_000, 3_000_001])
def test_sum_of_squares(isa, dtype, n):
    x = far_from_zero(n, dtype)
    expected = math.fsum(np.square(x, dtype=np.float64).tolist())
    # A square's rounding; 64 parts are added one after the other.
    bound = tolerance.gamma(tolerance.summed(n) + 65, np.float64) * expected
    assert abs(_core.sum_of_squares(x) - expected) <= bound


@pytest.mark.parametrize("package", PACKAGES)
def test_more_ones_than_float32_counts_one_by_one(package):
    """2**24 + 1 is no float32: a running sum of ones stops at 2**24."""
    n = 2**24 + 2**10
    x = np.ones((n, 1), np.float32)
    cache = np.zeros((n, 1), np.float32), np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    assert operations.find("affine_backward").callable(package)(x, cache)[2] == n
    bn_param = {"mode": "train", "momentum": 0.0}
    forward = operations.find("batchnorm_forward train").callable(package)
    out, _ = forward(x, x[0], 0 * x[0], bn_param)
    assert bn_param["running_mean"] == 1
    assert not out.any()


@pytest.mark.parametrize("function", ["affine", "batchnorm", "layernorm", "softmax"])
def test_same_bits_for_any_number_of_threads_and_whatever_stands_beside(isa, dtype, function):
    """A feature's sums do not depend on which features are summed with it, nor on threads."""
    x = far_from_zero((5000, 300), dtype)
    rstd = np.ones(5000 if function == "layernorm" else 300, dtype)

    def sums(columns):
        part, d = np.ascontiguousarray(x[:, columns]), len(range(300)[columns])
        if function == "affine":
            cache = np.zeros((5000, 1), dtype), np.zeros((1, d), dtype), np.zeros(d, dtype)
            return operations.find("affine_backward").callable(operations.FAST)(part, cache)[2:]
        if function == "softmax":
            labels = np.zeros(5000, int)
            return operations.find("softmax_loss").callable(operations.FAST)(part, labels)
        cache = {"x_normalized": part, "rstd": rstd, "gamma": np.ones(300, dtype)}
        if function == "batchnorm":
            cache = {**cache, "rstd": rstd[columns], "gamma": rstd[columns]}
        backward = operations.find(f"{function}_backward").callable(operations.FAST)
        return backward(part, cache)[1:]

    before = fastfc.get_num_threads()
    try:
        expected = sums(slice(None))
        for threads in (2, 3, 5):
            fastfc.set_num_threads(threads)
            for got, one in zip(sums(slice(None)), expected, strict=True):
                assert np.asarray(got).tobytes() == np.asarray(one).tobytes()
        if function in ("affine", "batchnorm"):
            for columns in (slice(7), slice(130, 171)):
                for got, one in zip(sums(columns), expected, strict=True):
                    np.testing.assert_array_equal(got, one[columns])
    finally:
        fastfc.set_num_threads(before)
