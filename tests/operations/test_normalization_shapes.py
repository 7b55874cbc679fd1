"""gamma and beta of every shape that NumPy broadcasts to x's, as in group normalisation."""

import itertools

import numpy as np
import pytest

from fastfc.verifying import operations, tolerance
from tests.support import cases

PACKAGES = [operations.FAST, operations.REFERENCE]
KINDS = ["batchnorm train", "batchnorm test", "layernorm"]
N, D = 6, 5
SHAPES = [(), (1,), (D,), (1, 1), (1, D), (N, 1), (N, D)]


def forward_of(kind, package):
    name = "layernorm_forward" if kind == "layernorm" else kind.replace(" ", "_forward ")
    return operations.find(name).callable(package)


def backward_of(kind, package):
    return operations.find(f"{kind.split()[0]}_backward").callable(package)


def arguments(kind, shapes, dtype, n=N, d=D):
    name = "layernorm_forward" if kind == "layernorm" else kind.replace(" ", "_forward ")
    x, _, _, param = operations.find(name).arguments((n, d), dtype)
    gamma, beta = (cases.normal(s, dtype, "shape", i) for i, s in enumerate(shapes))
    return x, gamma, beta, param


def summed_back(full, shape):
    """The gradient of what NumPy broadcast from `shape`, by its definition."""
    extra = full.ndim - len(shape)
    axes = (*range(extra), *(extra + i for i, size in enumerate(shape) if size == 1))
    return full.sum(axis=axes).reshape(shape)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shapes", list(itertools.product(SHAPES, repeat=2)), ids=str)
def test_formula(isa, dtype, package, kind, shapes):
    x, gamma, beta, param = arguments(kind, shapes, dtype)
    out, cache = forward_of(kind, package)(x, gamma, beta, dict(param))
    ones, zeros = np.ones(D, dtype), np.zeros(D, dtype)
    normal, plain = forward_of(kind, package)(x, ones, zeros, dict(param))
    assert out.shape == x.shape
    assert out.dtype == dtype
    assert out.flags.c_contiguous
    u = tolerance.unit(dtype)
    full = gamma.astype(float) * normal + beta
    assert (np.abs(out - full) <= 2 * u * (np.abs(gamma * normal) + np.abs(full))).all()
    if kind == "batchnorm test":
        assert cache is None
        return
    np.testing.assert_array_equal(cache["x_normalized"], plain["x_normalized"])
    dout = cases.normal((N, D), dtype, "dout")
    dx, dgamma, dbeta = backward_of(kind, package)(dout, cache)
    assert (dgamma.shape, dbeta.shape) == shapes
    assert (dgamma.dtype, dbeta.dtype) == (dtype, dtype)
    hat = cache["x_normalized"].astype(float)
    for got, terms in ((dgamma, dout * hat), (dbeta, dout.astype(float))):
        bound = tolerance.gamma(N * D + 1, dtype) * summed_back(np.abs(terms), got.shape)
        assert (np.abs(got - summed_back(terms, got.shape)) <= bound).all()
    # The gradient of the normalisation itself, of gamma * dout.
    expected, *_ = backward_of(kind, operations.REFERENCE)(
        gamma.astype(float) * dout, {**{k: v.astype(float) for k, v in plain.items()}}
    )
    rstd = plain["rstd"].astype(float)[(slice(None), None) if kind == "layernorm" else ...]
    size = rstd * (1 + np.abs(hat).max()) ** 2 * np.abs(gamma * dout).sum()
    assert (np.abs(dx - expected) <= tolerance.gamma(D + N + 12, dtype) * size).all()


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", ["batchnorm train", "layernorm"])
@pytest.mark.parametrize(
    "shapes", [((N, 1), (N, D)), ((N, D), (1,)), ((), (N, 1)), ((1, D), ())], ids=str
)
def test_numerical_gradient(isa, package, kind, shapes):
    x, gamma, beta, param = arguments(kind, shapes, np.float64)
    dout = cases.normal((N, D), np.float64, "dout")

    def forward(_):
        return forward_of(kind, package)(x, gamma, beta, dict(param))[0]

    _, cache = forward_of(kind, package)(x, gamma, beta, dict(param))
    bound = (tolerance.layernorm_forward if kind == "layernorm" else tolerance.batchnorm_forward)(
        x, gamma, beta, param
    )["out"]
    gradients = backward_of(kind, package)(dout, cache)
    for gradient, variable in zip(gradients, (x, gamma, beta), strict=True):
        tolerance.assert_gradient(gradient, forward, variable, dout, bound)


@pytest.mark.parametrize("kind", ["batchnorm train", "layernorm"])
def test_caches_are_interchangeable(isa, dtype, kind):
    dout = cases.normal((N, D), dtype, "dout")
    for shapes in itertools.product(SHAPES, repeat=2):
        x, gamma, beta, param = arguments(kind, shapes, dtype)
        caches = [forward_of(kind, p)(x, gamma, beta, dict(param))[1] for p in PACKAGES]
        assert caches[0].keys() == caches[1].keys()
        for cache in caches:
            fast, reference = (backward_of(kind, p)(dout, cache) for p in PACKAGES)
            assert [a.shape for a in fast] == [a.shape for a in reference]
            for one, other in zip(fast, reference, strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=1e4 * tolerance.unit(dtype))


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 5), (5, 1), (5, 5), (0, 5)])
def test_sizes_of_one_and_square(isa, package, kind, n, d):
    """Where one shape may be read in two ways NumPy's counts: (D,) is a row."""
    for shape in {(), (1,), (d,), (1, 1), (1, d), (n, 1), (n, d)}:
        if n == 0 and kind == "batchnorm train":
            continue
        x, gamma, beta, param = arguments(kind, (shape, shape), np.float64, n, d)
        out, cache = forward_of(kind, package)(x, gamma, beta, dict(param))
        normal, _ = forward_of(kind, package)(x, np.ones(d), np.zeros(d), dict(param))
        np.testing.assert_allclose(out, gamma * normal + beta, rtol=1e-14, atol=1e-14)
        if cache is not None:
            gradients = backward_of(kind, package)(np.ones((n, d)), cache)
            assert [a.shape for a in gradients] == [(n, d), shape, shape]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(N,), (D, 1), (N, D + 1), (N + 1, D), (2, 1), (0,), (1, N, D), (1, 1, 1)], ids=str
)
@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_shapes_that_would_change_the_outputs(package, kind, shape, name):
    x, _, _, param = arguments(kind, ((), ()), np.float64)
    values = {"gamma": np.ones(D), "beta": np.zeros(D), name: np.ones(shape)}
    with pytest.raises(
        ValueError,
        match=rf"{name} has shape .*, expected \(5,\), or one that broadcasts to \(6, 5\)",
    ):
        forward_of(kind, package)(x, values["gamma"], values["beta"], param)


@pytest.mark.parametrize("package", PACKAGES)
def test_group_normalisation(isa, package):
    """Over layer normalisation, as CS231n's course has it, gamma one for each channel."""
    n, c, h, w, groups = 2, 6, 3, 4, 3
    rng = np.random.RandomState(0)
    x, gamma, beta = rng.randn(n, c, h, w), rng.randn(1, c, 1, 1), rng.randn(1, c, 1, 1)
    rows = x.reshape(n * groups, -1)
    full = [np.broadcast_to(a, x.shape).reshape(rows.shape) for a in (gamma, beta)]
    forward = operations.find("layernorm_forward").callable(package)
    backward = operations.find("layernorm_backward").callable(package)
    out, cache = forward(rows, *full, {"eps": 1e-5})
    grouped = x.reshape(n, groups, -1)
    mean, var = grouped.mean(axis=2, keepdims=True), grouped.var(axis=2, keepdims=True)
    expected = gamma * ((grouped - mean) / np.sqrt(var + 1e-5)).reshape(x.shape) + beta
    np.testing.assert_allclose(out.reshape(x.shape), expected, rtol=1e-12, atol=1e-12)
    dout = rng.randn(*x.shape)
    _, _, dbeta = backward(dout.reshape(rows.shape), cache)
    total = dbeta.reshape(x.shape).sum(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(total, dout.sum(axis=(0, 2, 3), keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("layout", cases.LAYOUTS)
def test_layouts(isa, layout):
    arrange = cases.LAYOUTS[layout]
    x, gamma, beta, param = arguments("layernorm", ((N, D), (N, 1)), np.float64)
    for package in PACKAGES:
        expected, _ = forward_of("layernorm", package)(x, gamma, beta, param)
        got, _ = forward_of("layernorm", package)(*map(arrange, (x, gamma, beta)), param)
        np.testing.assert_array_equal(got, expected)
