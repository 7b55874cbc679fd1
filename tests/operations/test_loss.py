import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc.verifying import operations, tolerance
from tests.support import cases

LOSSES = [operations.find(name) for name in ("svm_loss", "softmax_loss", "softmax_loss smoothed")]


@pytest.fixture(params=LOSSES, ids=str)
def loss(request):
    return request.param


@pytest.mark.parametrize("shape", cases.LOSS, ids=str)
def test_equals_reference(isa, dtype, loss, shape):
    loss.check(loss.arguments(shape, dtype))


@given(n=st.integers(1, 40), c=st.integers(1, 40), scale=st.floats(1e-6, 1e4))
def test_any_shape_and_scale(isa, dtype, loss, n, c, scale):
    x, y, *more = loss.arguments((n, c), dtype)
    loss.check([(x * scale).astype(dtype), y, *more])


@pytest.mark.parametrize("value", cases.SPECIALS.values(), ids=cases.SPECIALS)
@pytest.mark.parametrize("at_label", [False, True])
def test_special_values(isa, dtype, loss, value, at_label):
    x, y, *more = loss.arguments((7, 19), dtype)
    x[3, y[3] if at_label else y[3] - 1] = value
    loss.check([x, y, *more])
    x[3] = value
    loss.check([x, y, *more])


@pytest.mark.parametrize("scores", [[-1e4, 0, 1e4], [700, -700, 0], [88, 89, 0], [-104, 0, -103]])
def test_extreme_scores(isa, dtype, loss, scores):
    """Exponentials at the ends of the range; every loss stays finite."""
    for label in range(3):
        x, y = np.array([scores, scores], dtype), np.array([label, label])
        more = loss.arguments((1, 1), dtype)[2:]
        loss.check([x, y, *more])
        value, dx = loss.callable(operations.FAST)(x, y, *more)
        assert np.isfinite(value)
        assert np.isfinite(dx).all()


def test_exponential_is_exact_over_its_range(isa, dtype):
    """Two classes, one score below the other by every amount down to where nothing is left.

    The difference is exact here, so that only the exponential, the sum of two, a reciprocal and two
    products are rounded. N is a power of two.
    """
    steps = cases.generator("steps").uniform(0, 110 if dtype == np.float32 else 750, 4096)
    x = np.stack([np.zeros(4096), -steps], axis=1).astype(dtype)
    _, dx = operations.find("softmax_loss").callable(operations.FAST)(x, np.zeros(4096, int))
    power = np.exp(x[:, 1].astype(np.longdouble))
    exact = power / (1 + power)
    bound = tolerance.gamma(tolerance.FUNCTION + 4, dtype) * exact
    off = np.abs(dx[:, 1].astype(np.longdouble) * 4096 - exact)
    # Denormal results: one each of the exponential and the product, and of dx itself 4096.
    assert (off <= bound + tolerance.underflow(4 + 4096, dtype)).all()


def test_margin_exactly_zero_is_not_counted(isa, dtype):
    svm = operations.find("svm_loss")
    x, y = np.array([[3, 2, 2.5], [0, -1, -1]], dtype), np.array([0, 0])
    value, dx = svm.callable(operations.FAST)(x, y)
    assert value == 0.25
    np.testing.assert_array_equal(dx, [[-0.5, 0, 0.5], [0, 0, 0]])
    svm.check([x, y])


def test_integer_scores_with_ties(isa, dtype, loss):
    x = cases.generator("ties").integers(-3, 4, (50, 10)).astype(dtype)
    loss.check([x, cases.labels(50, 10), *loss.arguments((1, 1), dtype)[2:]])


@given(smoothing=st.floats(0, 1), n=st.integers(1, 9), c=st.integers(1, 40))
def test_any_smoothing(isa, dtype, smoothing, n, c):
    softmax = operations.find("softmax_loss")
    softmax.check([*softmax.arguments((n, c), dtype), smoothing])


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_no_smoothing_is_the_same_bits(isa, dtype, package):
    softmax = operations.find("softmax_loss")
    x, y = softmax.arguments((7, 19), dtype)
    x[2, :3] = -np.inf, np.inf, np.nan
    x[3, y[3] - 1] = -np.inf
    function = softmax.callable(package)
    with np.errstate(all="ignore"):
        expected = function(x, y)
        for smoothing in (0, 0.0, np.float32(0)):
            loss, dx = function(x, y, label_smoothing=smoothing)
            assert (type(loss), dx.dtype) == (dtype, dtype)
            np.testing.assert_array_equal(loss, expected[0])
            assert dx.tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_smoothed_labels_are_a_mean_of_labels(isa, package):
    """Every class in turn as the label, weighted: the definition. Each is off by its own bound."""
    softmax = operations.find("softmax_loss smoothed")
    x, y = softmax.arguments((6, 5), np.float64)[:2]
    function = softmax.callable(package)
    for smoothing in (1e-3, 0.25, 1.0):
        loss, dx = function(x, y, smoothing)
        labelled = [function(x, np.full(6, c)) for c in range(5)]
        plain = function(x, y)
        uniform = [np.mean([part[i] for part in labelled], axis=0) for i in (0, 1)]
        expected = [(1 - smoothing) * plain[i] + smoothing * uniform[i] for i in (0, 1)]
        bound = softmax.bound(x, y, smoothing)
        tolerance.assert_close(loss, np.float64(expected[0]), 2 * bound["loss"])
        tolerance.assert_close(dx, expected[1], 2 * bound["dx"])


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize(
    ("smoothing", "error"),
    [(-0.1, ValueError), (1.5, ValueError), (np.nan, ValueError), ("0.1", TypeError)],
)
def test_errors_of_label_smoothing(package, smoothing, error):
    softmax = operations.find("softmax_loss")
    with pytest.raises(error, match=r"softmax_loss: label_smoothing is .*, expected a number"):
        softmax.callable(package)(*softmax.arguments((3, 4), np.float64), smoothing)


@pytest.mark.parametrize("label_type", ["i1", "u1", "i2", "i4", "u4", "i8", "u8", ">i4", ">i8"])
def test_label_types(isa, loss, label_type):
    x, y, *more = loss.arguments((7, 10), np.float64)
    expected, expected_dx = loss.callable(operations.FAST)(x, y, *more)
    value, dx = loss.callable(operations.FAST)(x, y.astype(label_type), *more)
    assert value == expected
    np.testing.assert_array_equal(dx, expected_dx)


def test_strided_and_listed_labels(isa, loss):
    x, y, *more = loss.arguments((7, 10), np.float64)
    expected, _ = loss.callable(operations.FAST)(x, y, *more)
    for layout in cases.LAYOUTS.values():
        assert loss.callable(operations.FAST)(x, layout(y), *more)[0] == expected
    assert loss.callable(operations.FAST)(x, y.tolist(), *more)[0] == expected


def test_loss_is_a_scalar_of_the_computed_dtype(isa, dtype, loss):
    value, dx = loss.callable(operations.FAST)(*loss.arguments((7, 10), dtype))
    assert type(value) is dtype
    assert dx.dtype == dtype


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize("shape", [(5, 4), (1, 9), (17, 3)], ids=str)
def test_numerical_gradient(isa, package, loss, shape):
    x, y, *more = loss.arguments(shape, np.float64)
    x /= 5
    function = loss.callable(package)
    bound = loss.bound(x, y, *more)["loss"]
    tolerance.assert_gradient(
        function(x, y, *more)[1],
        lambda x: np.array(function(x, y, *more)[0]),
        x,
        np.array(1.0),
        bound,
    )


ones = np.ones


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (ones((3, 4)), [0, 4, 1], ValueError, r"y.* 4, expected"),
        (ones((3, 4)), [0, -1, 1], ValueError, r"y.* -1, expected"),
        (
            ones((3, 4)),
            np.array([0, 2**63, 1], np.uint64),
            ValueError,
            r"y.* 9223372036854775808, expected",
        ),
        (ones((3, 4)), [0, 1], ValueError, r"y has shape \(2,\), expected \(3,\)"),
        (ones((3, 4)), [[0], [1], [2]], ValueError, r"y has shape \(3, 1\), expected \(3,\)"),
        (ones((3, 4)), [0.0, 1.0, 2.0], TypeError, "y has dtype float64, expected integer"),
        (ones((3, 4)), [True, False, True], TypeError, "y has dtype bool, expected integer"),
        (ones(4), [0], ValueError, r"x has shape \(4,\), expected \(N, C\)"),
        (ones((0, 4)), np.zeros(0, int), ValueError, r"x has shape \(0, 4\), expected \(N, C\)"),
        (ones((3, 0)), [0, 0, 0], ValueError, r"x has shape \(3, 0\), expected \(N, C\)"),
        (ones((3, 4), complex), [0, 1, 2], TypeError, "x has dtype complex128"),
    ],
)
def test_errors(package, loss, x, y, error, message):
    with pytest.raises(error, match=f"{loss.function}: {message}"):
        loss.callable(package)(x, y)
