"""Weights of examples, in every loss."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc.verifying import operations, tolerance
from tests.support import cases

WEIGHTED = [op for op in operations.OPERATIONS if op.label == "weighted"]
PACKAGES = pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])


@pytest.fixture(params=WEIGHTED, ids=str)
def loss(request):
    return request.param


def unweighted(loss, args):
    """The same without weights."""
    return loss.run(operations.FAST, args[:-1])


@pytest.mark.parametrize("shape", cases.LOSS, ids=str)
def test_equals_reference(isa, dtype, loss, shape):
    loss.check(loss.arguments(shape, dtype))


@given(n=st.integers(1, 300), m=st.integers(1, 9), size=st.floats(1e-3, 1e3))
def test_any_shape_and_size(isa, dtype, loss, n, m, size):
    *args, weights = loss.arguments((n, m), dtype)
    loss.check([*args, weights * size])


def same(a, b):
    return all(np.asarray(a[name]).tobytes() == np.asarray(b[name]).tobytes() for name in a)


@pytest.mark.parametrize("shape", [(1, 3), (7, 19), (300, 4), (129, 1)], ids=str)
def test_weights_of_1_are_none(isa, dtype, loss, shape):
    *args, weights = loss.arguments(shape, dtype)
    got = loss.run(operations.FAST, [*args, np.ones_like(weights)])
    assert same(got, unweighted(loss, [*args, weights]))


def test_only_ratios_count(isa, dtype, loss):
    *args, weights = loss.arguments((50, 4), dtype)
    got = loss.run(operations.FAST, [*args, weights])
    assert same(got, loss.run(operations.FAST, [*args, 2.0**90 * weights]))
    assert same(got, loss.run(operations.FAST, [*args, weights.astype(np.float32) / 2**30]))


@PACKAGES
def test_whole_weights_are_repetitions(isa, loss, package):
    *args, _ = loss.arguments((20, 5), np.float64)
    times = cases.generator("times").integers(0, 4, 20)
    repeated = [np.repeat(a, times, axis=0) if isinstance(a, np.ndarray) else a for a in args]
    got = loss.run(package, [*args, times])
    expected = loss.run(package, repeated)
    bound = loss.bound(*args, times)
    tolerance.assert_close(got["loss"], expected["loss"], bound["loss"])
    first = np.cumsum(times) - times
    for i in np.flatnonzero(times):
        tolerance.assert_close(got["dx"][i], times[i] * expected["dx"][first[i]], bound["dx"][i])


@PACKAGES
def test_a_weight_of_0_leaves_an_example_out(isa, dtype, loss, package):
    *args, weights = loss.arguments((9, 4), dtype)
    weights[:] = 1
    weights[[2, 5]] = 0
    kept = [i for i in range(9) if i not in (2, 5)]
    part = [a[kept] if isinstance(a, np.ndarray) else a for a in args]
    args[0][2] += 7
    got, expected = loss.run(package, [*args, weights]), loss.run(package, part)
    bound = loss.bound(*part)
    tolerance.assert_close(got["loss"], expected["loss"], bound["loss"])
    tolerance.assert_close(got["dx"][kept], expected["dx"], bound["dx"])
    assert not got["dx"][[2, 5]].any()


@PACKAGES
@pytest.mark.parametrize("shape", [(5, 4), (17, 1)], ids=str)
def test_numerical_gradient(isa, package, loss, shape):
    x, *more = loss.arguments(shape, np.float64)
    function = loss.callable(package)
    bound = loss.bound(x, *more)["loss"]
    tolerance.assert_gradient(
        function(x, *more)[1],
        lambda x: np.array(function(x, *more)[0]),
        x,
        np.array(1.0),
        bound,
    )


@pytest.mark.parametrize("n", [1000, 70001])
def test_long_sums(isa, dtype, loss, n):
    """All examples are the same, so the mean is the loss of one."""
    x, y, *more = loss.arguments((1, 3), np.float64)
    x = np.repeat(x.astype(dtype), n, axis=0)
    y = np.repeat(y.astype(dtype) if y.dtype.kind == "f" else y, n, axis=0)
    weights = cases.weights(n)
    one = loss.callable(operations.FAST)(x[:1].astype(np.float64), y[:1], *more[:-1])[0]
    for package in (operations.FAST, operations.REFERENCE):
        got = loss.callable(package)(x, y, *more[:-1], weights)[0]
        assert abs(float(got) - float(one)) <= loss.bound(x, y, *more[:-1], weights)["loss"]


@PACKAGES
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, -1, 1], ValueError, r"sample_weight\[1\] is -1.*, expected a finite number of at le"),
        ([1, 1, np.nan], ValueError, r"sample_weight\[2\] is nan, expected a finite number"),
        ([np.inf, 1, 1], ValueError, r"sample_weight\[0\] is inf, expected a finite number"),
        ([0, 0, 0.0], ValueError, r"sample_weight has the sum 0.*, expected a finite sum above 0"),
        ([1e308] * 3, ValueError, "sample_weight has the sum inf, expected a finite sum above 0"),
        ([1, 1], ValueError, r"sample_weight has shape \(2,\), expected \(3,\)"),
        (1.0, ValueError, r"sample_weight has shape \(\), expected \(3,\)"),
        ([[1], [1], [1]], ValueError, r"sample_weight has shape \(3, 1\), expected \(3,\)"),
        (["a"] * 3, TypeError, "sample_weight has dtype <U1, expected"),
        ([1j] * 3, TypeError, "sample_weight has dtype complex128, expected"),
    ],
)
def test_errors(package, loss, weights, error, message):
    *args, _ = loss.arguments((3, 4), np.float64)
    with pytest.raises(error, match=f"{loss.function}: {message}"):
        loss.callable(package)(*args, weights)
    with pytest.raises(error, match=f"{loss.function}: {message}"):
        loss.callable(package)(*args, sample_weight=weights)
