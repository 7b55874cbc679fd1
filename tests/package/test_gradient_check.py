import random
from types import SimpleNamespace

import numpy as np
import pytest

from fastfc.gradient_check import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    eval_numerical_gradient_blobs,
    eval_numerical_gradient_net,
    grad_check_sparse,
)

H = 1e-5
U = 2.0**-53


def layouts():
    base = np.random.RandomState(0).randn(4, 6)
    return {
        "contiguous": base.copy(),
        "fortran": np.asfortranarray(base),
        "transposed": base.copy().T,
        "strided": base.copy()[::2, 1:5],
        "backwards": base.copy()[::-1, ::-1],
    }


@pytest.mark.parametrize("layout", layouts())
def test_gradient_in_any_layout(layout):
    """A parabola has no truncation error: what is left is the rounding of f, divided by 2 h."""
    x = layouts()[layout]
    before = x.copy()
    gradient = eval_numerical_gradient(lambda x: np.sum(x**2), x, verbose=False)
    rounding = x.size * np.sum(x**2) * U / H
    np.testing.assert_allclose(gradient, 2 * x, rtol=0, atol=rounding)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("layout", layouts())
def test_gradient_of_an_array(layout):
    x = layouts()[layout]
    before, df = x.copy(), np.random.RandomState(1).randn(*x.shape)
    gradient = eval_numerical_gradient_array(lambda x: x**2, x, df)
    rounding = 4 * np.max(x**2) * np.max(np.abs(df)) * U / H
    np.testing.assert_allclose(gradient, 2 * x * df, rtol=0, atol=rounding)
    np.testing.assert_array_equal(x, before)


def test_central_difference_with_the_given_step():
    """(x + h)^3 - (x - h)^3 = 2 h (3 x^2 + h^2): exact in these numbers."""
    gradient = eval_numerical_gradient(lambda x: x[0] ** 3, np.array([2.0]), False, h=0.5)
    assert gradient[0] == 12.25


def test_function_that_returns_its_argument():
    """The result of f may be the very array that is edited."""
    x = np.array([1.0, 2.0])
    gradient = eval_numerical_gradient_array(lambda x: x, x, np.array([3.0, 5.0]))
    np.testing.assert_allclose(gradient, [3, 5], rtol=0, atol=10 * U / H)


def test_zero_dimensional_and_empty():
    assert eval_numerical_gradient(lambda x: x * 4, np.array(1.0), False, h=0.5) == 4
    assert eval_numerical_gradient(lambda x: 0.0, np.ones((0, 3)), False).shape == (0, 3)


def test_float32():
    """The step is rounded to x's spacing: an error of 2^-24 of x against h."""
    x = np.array([1.0, 0.5], np.float32)
    gradient = eval_numerical_gradient(lambda x: float(3 * x.sum(dtype=float)), x, False, h=1e-2)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, 3, rtol=2.0**-23 / 1e-2)
    np.testing.assert_array_equal(x, np.array([1.0, 0.5], np.float32))


def test_verbose_prints_every_element(capsys):
    eval_numerical_gradient(lambda x: 2 * x.sum(), np.ones((2, 1)), h=0.5)
    assert capsys.readouterr().out == "(0, 0) 2.0\n(1, 0) 2.0\n"
    eval_numerical_gradient(lambda x: 2 * x.sum(), np.ones(2), verbose=False)
    assert capsys.readouterr().out == ""


class Trouble(Exception):
    pass


def failing(calls):
    """Return a function that raises at the given call."""
    count = iter(range(100))

    def f(x):
        if next(count) == calls:
            raise Trouble
        return np.sum(x)

    return f


@pytest.mark.parametrize("calls", [0, 1, 4])
@pytest.mark.parametrize(
    "check",
    [
        lambda f, x: eval_numerical_gradient(f, x, verbose=False),
        lambda f, x: eval_numerical_gradient_array(f, x, np.ones(())),
        lambda f, x: grad_check_sparse(f, x, np.ones(x.shape)),
        lambda f, x: eval_numerical_gradient_blobs(
            lambda blob, out: f(blob.vals),
            [SimpleNamespace(vals=x)],
            SimpleNamespace(vals=1.0, diffs=1.0),
        ),
    ],
)
def test_x_is_restored_when_f_raises(check, calls):
    x = np.arange(6.0).reshape(2, 3)
    with pytest.raises(Trouble):
        check(failing(calls), x)
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("x", [[1.0, 2.0], 3.0, np.arange(3), np.ones(2) * 1j], ids=str)
def test_x_must_be_an_array_of_floats(x):
    for check in (
        lambda: eval_numerical_gradient(np.sum, x),
        lambda: eval_numerical_gradient_array(np.sum, x, 1.0),
        lambda: grad_check_sparse(np.sum, x, 1.0),
        lambda: eval_numerical_gradient_blobs(None, [SimpleNamespace(vals=x)], None),
    ):
        with pytest.raises(TypeError, match=r"x is of type .*, expected a NumPy array of floats"):
            check()


def test_blobs_and_net():
    a = SimpleNamespace(vals=np.array([1.0, 2.0]))
    b = SimpleNamespace(vals=np.array([[3.0], [4.0]]))
    out = SimpleNamespace(vals=None, diffs=np.array([[1.0, 2.0], [3.0, 4.0]]))

    def product(a, b, out):
        out.vals = a.vals * b.vals

    class Product:
        def forward(self):
            product(a, b, out)

    for da, db in (
        eval_numerical_gradient_blobs(product, (a, b), out, h=0.5),
        eval_numerical_gradient_net(Product(), [a, b], out, h=0.5),
    ):
        np.testing.assert_array_equal(da, [1 * 3 + 3 * 4, 2 * 3 + 4 * 4])
        np.testing.assert_array_equal(db, [[1 * 1 + 2 * 2], [3 * 1 + 4 * 2]])


def test_sparse_prints_each_check(capsys):
    x = np.ones((3, 2))
    random.seed(1)
    grad_check_sparse(lambda x: 2 * x.sum(), x, np.full((3, 2), 3.0), num_checks=4, h=0.5)
    line = "numerical: 2.000000 analytic: 3.000000, relative error: 2.000000e-01\n"
    assert capsys.readouterr().out == 4 * line
    np.testing.assert_array_equal(x, 1)


def test_sparse_draws_from_pythons_random(capsys):
    seen = []
    random.seed(4)
    expected = [(random.randrange(3), random.randrange(5)) for _ in range(10)]

    def f(x):
        seen.append(tuple(int(i) for i in np.argwhere(x)[0]))
        return 0.0

    random.seed(4)
    grad_check_sparse(f, np.zeros((3, 5)), np.zeros((3, 5)))
    assert seen == [index for index in expected for _ in range(2)]
    assert capsys.readouterr().out.count("relative error: 0.000000e+00") == 10
