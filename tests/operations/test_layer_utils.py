import numpy as np
import pytest

from fastfc import layer_utils, layers
from fastfc.reference import layer_utils as reference_utils
from fastfc.reference import layers as reference_layers
from fastfc.verifying import tolerance

BACKENDS = {
    "reference": (reference_utils, reference_layers),
    "fast": (layer_utils, layers),
}


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


@pytest.fixture
def inputs():
    rng = np.random.default_rng(5)
    x, w, b = rng.normal(size=(6, 2, 3)), rng.normal(size=(6, 4)), rng.normal(size=4)
    return x, w, b, rng.normal(size=4), rng.normal(size=4), rng.normal(size=(6, 4))


def test_affine_relu_is_the_composition(backend, inputs):
    utils, layers = backend
    x, w, b, _, _, dout = inputs
    out, cache = utils.affine_relu_forward(x, w, b)
    hidden, fc_cache = layers.affine_forward(x, w, b)
    np.testing.assert_array_equal(out, layers.relu_forward(hidden)[0])
    gradients = utils.affine_relu_backward(dout, cache)
    expected = layers.affine_backward(layers.relu_backward(dout, hidden), fc_cache)
    for got, want in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["affine_batchnorm_relu", "affine_bn_relu"])
def test_affine_batchnorm_relu_is_the_composition(backend, inputs, name):
    utils, layers = backend
    x, w, b, gamma, beta, dout = inputs
    bn_param, expected_param = {"mode": "train"}, {"mode": "train"}
    out, cache = getattr(utils, f"{name}_forward")(x, w, b, gamma, beta, bn_param)
    hidden, fc_cache = layers.affine_forward(x, w, b)
    normalized, bn_cache = layers.batchnorm_forward(hidden, gamma, beta, expected_param)
    np.testing.assert_array_equal(out, layers.relu_forward(normalized)[0])
    np.testing.assert_array_equal(bn_param["running_mean"], expected_param["running_mean"])

    gradients = getattr(utils, f"{name}_backward")(dout, cache)
    dhidden, dgamma, dbeta = layers.batchnorm_backward(
        layers.relu_backward(dout, normalized), bn_cache
    )
    expected = (*layers.affine_backward(dhidden, fc_cache), dgamma, dbeta)
    for got, want in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_affine_ln_relu_is_the_composition(backend, inputs):
    utils, layers = backend
    x, w, b, gamma, beta, dout = inputs
    out, cache = utils.affine_ln_relu_forward(x, w, b, gamma, beta, {"eps": 0.1})
    hidden, fc_cache = layers.affine_forward(x, w, b)
    normalized, ln_cache = layers.layernorm_forward(hidden, gamma, beta, {"eps": 0.1})
    np.testing.assert_array_equal(out, layers.relu_forward(normalized)[0])

    gradients = utils.affine_ln_relu_backward(dout, cache)
    dhidden, dgamma, dbeta = layers.layernorm_backward(
        layers.relu_backward(dout, normalized), ln_cache
    )
    expected = (*layers.affine_backward(dhidden, fc_cache), dgamma, dbeta)
    for got, want in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_affine_batchnorm_relu_in_test_mode(backend, inputs):
    utils, _ = backend
    x, w, b, gamma, beta, dout = inputs
    bn_param = {"mode": "test", "running_mean": np.ones(4), "running_var": np.full(4, 4.0)}
    out, cache = utils.affine_bn_relu_forward(x, w, b, gamma, beta, bn_param)
    hidden = x.reshape(6, 6) @ w + b
    expected = np.maximum(gamma * (hidden - 1) / np.sqrt(4 + 1e-5) + beta, 0)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="batchnorm_backward: cache"):
        utils.affine_bn_relu_backward(dout, cache)


def test_gradient(backend, inputs):
    utils, _ = backend
    *arrays, dout = inputs

    def forward(_):
        return utils.affine_batchnorm_relu_forward(*arrays, {"mode": "train"})[0]

    _, cache = utils.affine_batchnorm_relu_forward(*arrays, {"mode": "train"})
    gradients = utils.affine_batchnorm_relu_backward(dout, cache)
    # Sums of 6 products, then of 6 rows, and a dozen roundings, on numbers of a size below 10.
    bound = tolerance.gamma(40, np.float64) * 10
    for array, gradient in zip(arrays, gradients, strict=True):
        tolerance.assert_gradient(gradient, forward, array, dout, bound)


@pytest.mark.parametrize("package", ["fastfc", "fastfc.reference"])
def test_star_import_brings_the_layers(package):
    names = {}
    exec(f"from {package}.layer_utils import *", names)
    single = ("affine", "relu", "batchnorm", "layernorm", "dropout")
    joined = ("relu", "batchnorm_relu", "bn_relu", "ln_relu")
    expected = [f"{name}_{d}" for name in single for d in DIRECTIONS]
    expected += [f"affine_{name}_{d}" for name in joined for d in DIRECTIONS]
    assert {*expected, "batchnorm_backward_alt", "svm_loss", "softmax_loss", "np"} <= names.keys()


DIRECTIONS = ("forward", "backward")
