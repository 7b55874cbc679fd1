"""Losses of scores and targets: logistic, and those of regression."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc import layers
from fastfc.reference import layers as reference
from fastfc.verifying import operations, tolerance
from tests.support import cases

NAMES = ("logistic", "squared_error", "absolute_error", "huber", "quantile", "poisson")
LOSSES = [operations.find(f"{name}_loss") for name in NAMES]
SMOOTHED = operations.find("logistic_loss weighted")
PACKAGES = pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])


@pytest.fixture(params=LOSSES, ids=str)
def loss(request):
    return request.param


@pytest.mark.parametrize("shape", cases.LOSS, ids=str)
def test_equals_reference(isa, dtype, loss, shape):
    loss.check(loss.arguments(shape, dtype))


@pytest.mark.parametrize("shape", [(1, 1), (13, 1), (200, 1), (130, 3)], ids=str)
def test_few_scores(isa, dtype, loss, shape):
    loss.check(loss.arguments(shape, dtype))


@given(n=st.integers(1, 40), m=st.integers(1, 40), scale=st.floats(1e-6, 5))
def test_any_shape_and_scale(isa, dtype, loss, n, m, scale):
    x, y, *more = loss.arguments((n, m), dtype)
    loss.check([(x * scale).astype(dtype), y, *more])


@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
def test_special_scores(isa, dtype, loss, value):
    x, y, *more = loss.arguments((7, 19), dtype)
    x[3, 4] = value
    loss.check([x, y, *more])
    x[3] = value
    loss.check([x, y, *more])


@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
def test_special_targets(isa, dtype, loss, value):
    x, y, *more = loss.arguments((7, 19), dtype)
    y[3, 4] = value
    allowed = {"logistic_loss": 0 <= value <= 1, "poisson_loss": value >= 0}
    if allowed.get(loss.function, True):
        loss.check([x, y, *more])
        return
    for package in (operations.FAST, operations.REFERENCE):
        with pytest.raises(ValueError, match=rf"{loss.function}: y\[3, 4\] is .*, expected a num"):
            loss.callable(package)(x, y, *more)


@PACKAGES
def test_values_in_loops(package):
    x, y = cases.normal((6, 4), float, "x", scale=3), cases.generator("y").random((6, 4))
    y[0, 0] = 0
    formulas = {
        "squared_error": lambda x, y: (x - y) ** 2 / 2,
        "absolute_error": lambda x, y: abs(x - y),
        "huber": lambda x, y: (x - y) ** 2 / 2 if abs(x - y) < 0.7 else 0.7 * (abs(x - y) - 0.35),
        "quantile": lambda x, y: max(0.3 * (y - x), 0.7 * (x - y)),
        "poisson": lambda x, y: math.exp(x) - y * x + (y * math.log(y) - y if y else 0),
        "logistic": lambda x, y: (
            -y * math.log(1 / (1 + math.exp(-x))) - (1 - y) * math.log(1 / (1 + math.exp(x)))
        ),
    }
    for name, more in (("huber", [0.7]), ("quantile", [0.3]), *((n, []) for n in formulas)):
        if name in ("huber", "quantile") and not more:
            continue
        losses = [formulas[name](*pair) for pair in zip(x.flat, y.flat, strict=True)]
        got, _ = operations.find(f"{name}_loss").callable(package)(x, y, *more)
        assert got == pytest.approx(math.fsum(losses) / 6, rel=1e-13)


@PACKAGES
@pytest.mark.parametrize("shape", [(5, 4), (9, 1), (17, 3)], ids=str)
def test_numerical_gradient(isa, package, loss, shape):
    x, y, *more = loss.arguments(shape, np.float64)
    function = loss.callable(package)
    bound = loss.bound(x, y, *more)["loss"]
    tolerance.assert_gradient(
        function(x, y, *more)[1],
        lambda x: np.array(function(x, y, *more)[0]),
        x,
        np.array(1.0),
        bound,
    )


def test_smoothed_labels_are_between(isa, dtype):
    x, y = operations.find("logistic_loss").arguments((30, 3), dtype)
    for smoothing in (0.25, 1.0):
        SMOOTHED.check([x, y, smoothing])
        got = layers.logistic_loss(x, y, smoothing)
        expected = layers.logistic_loss(x, (1 - smoothing) * y + smoothing / 2)
        bound = tolerance.logistic_loss(x, y, smoothing)
        tolerance.assert_close(got[0], expected[0], bound["loss"])
        tolerance.assert_close(got[1], expected[1], bound["dx"])


@PACKAGES
def test_logistic_keeps_digits_of_what_is_nearly_right(isa, dtype, package):
    """Of scores far on the right side loss and gradient are exp(-|x|), not 0."""
    logistic = operations.find("logistic_loss").callable(package)
    for size in (20.0, 40.0, 80.0):
        x, y = np.array([[size], [-size]], dtype), [1, 0]
        loss, dx = logistic(x, y)
        assert loss == pytest.approx(math.exp(-size), rel=1e-5)
        assert dx.ravel() == pytest.approx([-math.exp(-size) / 2, math.exp(-size) / 2], rel=1e-5)
    loss, dx = logistic(np.array([[1e4], [-1e4]], dtype), [0, 1])
    assert loss == 1e4
    np.testing.assert_array_equal(dx, [[0.5], [-0.5]])


@PACKAGES
def test_poisson_of_a_perfect_fit_is_0(isa, dtype, package):
    y = np.array([1, 2, 30, 1e3, 1e5], dtype)
    loss, dx = operations.find("poisson_loss").callable(package)(np.log(y)[:, np.newaxis], y)
    eps = float(np.finfo(dtype).eps)
    assert abs(loss) < 20 * eps * (y * np.log(y)).sum()
    assert (np.abs(dx.ravel()) < 20 * eps * y * np.log(3 * y)).all()
    loss, dx = operations.find("poisson_loss").callable(package)(np.array([[-200.0]], dtype), [0])
    assert loss == pytest.approx(0, abs=1e-80)
    assert dx == loss


def test_exponential_of_rates_over_its_range(isa, dtype):
    """Up to where it overflows, and there it is infinite."""
    end = np.log(np.finfo(dtype).max)
    x = np.linspace(-end - 20, end + 3, 4099).astype(dtype)[:, np.newaxis]
    operations.find("poisson_loss").check([x, np.zeros_like(x)])
    last = np.nextafter(end.astype(dtype), dtype(0))
    assert np.isfinite(layers.poisson_loss([[last], [0]], [0, 0])[0])
    assert layers.poisson_loss(np.array([[end + 1]], dtype), [0])[0] == np.inf


@PACKAGES
def test_slopes_at_the_target_are_0(isa, dtype, package):
    x = np.array([[2.0], [-0.0], [np.nan], [3.0]], dtype)
    for name in ("absolute_error", "quantile"):
        function = operations.find(f"{name}_loss").callable(package)
        _, dx = function(x, [2.0, 0.0, 0.0, 2.0])
        np.testing.assert_array_equal(dx[:3], [[0], [0], [np.nan]])
        assert dx[3] == (0.25 if name == "absolute_error" else 0.125)


@PACKAGES
def test_one_score_takes_a_row_of_targets(dtype, loss, package):
    x, y, *more = loss.arguments((9, 1), dtype)
    function = loss.callable(package)
    expected = function(x, y, *more)
    for targets in (y.ravel(), y.ravel().tolist(), y.astype(np.float64)):
        got = function(x, targets, *more)
        assert got[0] == expected[0]
        np.testing.assert_array_equal(got[1], expected[1])
        assert got[1].dtype == dtype  # the scores decide


@PACKAGES
def test_targets_of_other_types(package):
    for code in ("?", "i1", "u8", "f2", ">f4"):
        y = np.array([0, 1, 1, 0]).astype(code)
        loss, dx = operations.find("logistic_loss").callable(package)(np.zeros((4, 1), "f4"), y)
        assert loss.dtype == dx.dtype == np.float32
        np.testing.assert_array_equal(dx.ravel(), [0.125, -0.125, -0.125, 0.125])


ones = np.ones


@PACKAGES
@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (ones((3, 4)), ones(3), ValueError, r"y has shape \(3,\), expected \(3, 4\) to match x"),
        (ones((3, 4)), ones((4, 3)), ValueError, r"y has shape \(4, 3\), expected \(3, 4\)"),
        (ones((3, 1)), ones(4), ValueError, r"y has shape \(4(, 1)?,?\), expected \(3,"),
        (ones((3, 4)), ones((3, 4), complex), TypeError, "y has dtype complex128, expected"),
        (ones((3, 4)), [["a"] * 4] * 3, TypeError, "y has dtype <U1, expected"),
        (ones((3, 4)), None, TypeError, "y has dtype object, expected"),
        (ones(4), ones(4), ValueError, r"x has shape \(4,\), expected \(N, C\)"),
        (ones((0, 4)), ones((0, 4)), ValueError, r"x has shape \(0, 4\), expected \(N, C\)"),
        (ones((3, 4), complex), ones((3, 4)), TypeError, "x has dtype complex128"),
    ],
)
def test_errors(package, loss, x, y, error, message):
    with pytest.raises(error, match=f"{loss.function}: {message}"):
        loss.callable(package)(x, y)


@PACKAGES
@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("logistic", [0, 2], r"y\[1(, 0)?\] is 2.*, expected a number from 0 to 1"),
        ("logistic", [[0.5], [-0.5]], r"y\[1, 0\] is -0.5, expected a number from 0 to 1"),
        ("logistic", [np.nan, 0], r"y\[0(, 0)?\] is nan, expected a number from 0 to 1"),
        ("poisson", [0, -1], r"y\[1(, 0)?\] is -1.*, expected a number of at least 0"),
    ],
)
def test_targets_out_of_range(package, name, y, message):
    with pytest.raises(ValueError, match=f"{name}_loss: {message}"):
        operations.find(f"{name}_loss").callable(package)(np.zeros((2, 1)), y)


@pytest.mark.parametrize("module", [layers, reference])
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        *(("huber", value, ValueError) for value in (0, -1, np.nan, np.inf)),
        *(("quantile", value, ValueError) for value in (0, 1, -0.5, np.nan)),
        *(("logistic", value, ValueError) for value in (-0.1, 1.5, np.nan)),
        *((name, value, TypeError) for name in ("huber", "quantile") for value in ("1", None, [1])),
    ],
)
def test_errors_of_parameters(module, name, value, error):
    word = {"huber": "delta", "quantile": "level", "logistic": "label_smoothing"}[name]
    with pytest.raises(error, match=rf"{name}_loss: {word} is .*, expected a .*number"):
        getattr(module, f"{name}_loss")(np.zeros((2, 1)), [0, 1], value)
