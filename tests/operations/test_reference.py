"""The reference against definitions spelled out in loops, known values and numerical gradients."""

import ast
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from fastfc import reference
from fastfc.reference import layer_utils, layers
from fastfc.verifying import tolerance
from tests.support.checkers import for_checkers_alone

U = tolerance.unit(np.float64)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


SHARED = (
    *("archives.py", "arguments.py", "arrays.py", "clipping.py", "files.py", "foreign.py"),
    *("locks.py", "networks", "optional.py", "preprocessing.py", "tensor_files.py", "update_rules"),
)
# What a network reaches for when it is asked to write a file of another kind.
ASKED_FOR = {"interop", "safetensors"}


def inside(tree, node):
    """Return what may be imported there: within a function what is asked for, else nothing."""
    functions = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))
    return ASKED_FOR if any(node in ast.walk(each) for each in functions) else set()


def test_imports_numpy_alone():
    """And what it shares with the fast modules, which does too: nothing here can reach the core."""
    here = Path(reference.__file__).parent
    shared = [here.parent / name for name in SHARED]
    paths = [path for path in shared if path.is_file()]
    paths += [path for folder in (here, *shared) for path in folder.glob("*.py")]
    assert len(paths) > 10
    for path in paths:
        package = path.parent.relative_to(here.parent).parts
        tree = ast.parse(path.read_text())
        skipped = for_checkers_alone(tree)
        for node in ast.walk(tree):
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                names = {name.name.split(".")[0] for name in node.names}
                assert names - inside(tree, node) <= {"numpy", *sys.stdlib_module_names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] in sys.stdlib_module_names
            elif isinstance(node, ast.ImportFrom) and node.level > len(package):
                names = [node.module] if node.module else [alias.name for alias in node.names]
                rooms = {name.split(".")[0] for name in names} - inside(tree, node)
                assert rooms <= {name.removesuffix(".py") for name in SHARED}


# --- definitions in loops ---------------------------------------------------------------------


def test_affine_in_loops(rng):
    x, w, b = rng.normal(size=(4, 2, 3)), rng.normal(size=(6, 5)), rng.normal(size=5)
    dout = rng.normal(size=(4, 5))
    out, cache = layers.affine_forward(x, w, b)
    dx, dw, db = layers.affine_backward(dout, cache)
    rows = x.reshape(4, 6)
    for n in range(4):
        for m in range(5):
            expected = math.fsum([*(rows[n, d] * w[d, m] for d in range(6)), b[m]])
            assert out[n, m] == pytest.approx(expected, abs=100 * U)
    for n in range(4):
        for d in range(6):
            expected = math.fsum(dout[n, m] * w[d, m] for m in range(5))
            assert dx.reshape(4, 6)[n, d] == pytest.approx(expected, abs=100 * U)
    for d in range(6):
        for m in range(5):
            expected = math.fsum(rows[n, d] * dout[n, m] for n in range(4))
            assert dw[d, m] == pytest.approx(expected, abs=100 * U)
    for m in range(5):
        assert db[m] == pytest.approx(math.fsum(dout[:, m]), abs=100 * U)
    assert dx.shape == x.shape


def test_relu_by_element():
    x = np.array([-np.inf, -1.5, -0.0, 0.0, 2.5, np.inf, np.nan])
    out, cache = layers.relu_forward(x)
    assert cache is x
    np.testing.assert_array_equal(out, [0, 0, 0, 0, 2.5, np.inf, np.nan])
    assert list(np.signbit(out[:4])) == [False, False, True, False]
    dx = layers.relu_backward(np.full(7, 3.0), x)
    np.testing.assert_array_equal(dx, [0, 0, 3, 3, 3, 3, 0])
    with np.errstate(invalid="ignore"):
        assert np.isnan(layers.relu_backward([np.inf], [-1.0])[0])


def test_batchnorm_in_loops(rng):
    x, gamma, beta = rng.normal(3, 2, size=(5, 3)), rng.normal(size=3), rng.normal(size=3)
    bn_param = {
        "mode": "train",
        "eps": 1e-3,
        "momentum": 0.75,
        "running_mean": np.array([1.0, 2.0, 3.0]),
        "running_var": np.array([4.0, 5.0, 6.0]),
    }
    out, cache = layers.batchnorm_forward(x, gamma, beta, bn_param)
    for d in range(3):
        mean = math.fsum(x[:, d]) / 5
        var = math.fsum((value - mean) ** 2 for value in x[:, d]) / 5
        assert bn_param["running_mean"][d] == pytest.approx(0.75 * (d + 1) + 0.25 * mean)
        assert bn_param["running_var"][d] == pytest.approx(0.75 * (d + 4) + 0.25 * var)
        assert cache["rstd"][d] == pytest.approx(1 / math.sqrt(var + 1e-3))
        for n in range(5):
            normalized = (x[n, d] - mean) / math.sqrt(var + 1e-3)
            assert out[n, d] == pytest.approx(gamma[d] * normalized + beta[d], abs=100 * U)

    bn_param["mode"] = "test"
    out, cache = layers.batchnorm_forward(x, gamma, beta, bn_param)
    assert cache is None
    mean, var = bn_param["running_mean"], bn_param["running_var"]
    for d in range(3):
        for n in range(5):
            normalized = (x[n, d] - mean[d]) / math.sqrt(var[d] + 1e-3)
            assert out[n, d] == pytest.approx(gamma[d] * normalized + beta[d], abs=100 * U)


def test_batchnorm_output_has_mean_beta_and_deviation_gamma(rng):
    x = rng.normal(10, 5, size=(200, 4))
    gamma, beta = np.array([1.0, 2.0, 3.0, 4.0]), np.array([11.0, 12.0, 13.0, 14.0])
    out, _ = layers.batchnorm_forward(x, gamma, beta, {"mode": "train", "eps": 0})
    np.testing.assert_allclose(out.mean(axis=0), beta, rtol=1e-13)
    np.testing.assert_allclose(out.std(axis=0), gamma, rtol=1e-13)


def test_layernorm_in_loops(rng):
    x, gamma, beta = rng.normal(3, 2, size=(5, 3)), rng.normal(size=3), rng.normal(size=3)
    out, cache = layers.layernorm_forward(x, gamma, beta, {"eps": 1e-3})
    for n in range(5):
        mean = math.fsum(x[n]) / 3
        var = math.fsum((value - mean) ** 2 for value in x[n]) / 3
        assert cache["rstd"][n] == pytest.approx(1 / math.sqrt(var + 1e-3))
        for d in range(3):
            normalized = (x[n, d] - mean) / math.sqrt(var + 1e-3)
            assert out[n, d] == pytest.approx(gamma[d] * normalized + beta[d], abs=100 * U)


def test_layernorm_is_batchnorm_of_the_transpose(rng):
    """Where gamma and beta do nothing the two differ in the axis alone."""
    x, dout = rng.normal(3, 2, size=(2, 6, 4))
    out, cache = layers.layernorm_forward(x, np.ones(4), np.zeros(4), {})
    other, other_cache = layers.batchnorm_forward(x.T, np.ones(6), np.zeros(6), {"mode": "train"})
    np.testing.assert_allclose(out, other.T, rtol=0, atol=100 * U)
    dx = layers.layernorm_backward(dout, cache)[0]
    other_dx = layers.batchnorm_backward(dout.T, other_cache)[0]
    np.testing.assert_allclose(dx, other_dx.T, rtol=0, atol=100 * U)


def test_dropout_is_numpys_stream():
    x = np.random.RandomState(1).randn(30, 20) + 10
    np.random.seed(5)
    out, (_, mask) = layers.dropout_forward(x, {"mode": "train", "p": 0.3})
    after = np.random.rand()
    np.random.seed(5)
    kept = np.random.rand(30, 20) < 0.3
    np.testing.assert_array_equal(mask, kept / 0.3)
    np.testing.assert_array_equal(out, np.where(kept, x * (1 / 0.3), 0))
    assert after == np.random.rand()


def test_dropout_seed_reseeds_in_both_modes():
    for mode in ("train", "test"):
        np.random.seed(1)
        layers.dropout_forward(np.ones(3), {"mode": mode, "p": 0.5, "seed": 123})
        after = np.random.rand()
        np.random.seed(123)
        if mode == "train":
            np.random.rand(3)
        assert after == np.random.rand()


def test_dropout_test_mode_and_keeping_all():
    x = np.arange(6.0).reshape(2, 3)
    param = {"mode": "test", "p": 0.3, "mine": 1}
    out, cache = layers.dropout_forward(x, param)
    np.testing.assert_array_equal(out, x)
    assert cache == (param, None)
    assert cache[0] is param
    np.testing.assert_array_equal(layers.dropout_backward(x, cache), x)
    out, _ = layers.dropout_forward(x, {"mode": "train", "p": 1})
    np.testing.assert_array_equal(out, x)


def test_losses_in_loops(rng):
    x, y = rng.normal(size=(6, 4)), np.array([0, 3, 1, 1, 2, 0])
    hinges, entropies = [], []
    for scores, label in zip(x, y, strict=True):
        hinges += [max(0, scores[j] - scores[label] + 1) for j in range(4) if j != label]
        entropies.append(
            -math.log(math.exp(scores[label]) / math.fsum(math.exp(s) for s in scores))
        )
    assert layers.svm_loss(x, y)[0] == pytest.approx(math.fsum(hinges) / 6, rel=100 * U)
    assert layers.softmax_loss(x, y)[0] == pytest.approx(math.fsum(entropies) / 6, rel=100 * U)

    targets = np.full((6, 4), 0.3 / 4)
    targets[range(6), y] = 0.7 + 0.3 / 4
    smoothed = [
        -q * math.log(math.exp(scores[j]) / math.fsum(math.exp(s) for s in scores))
        for scores, row in zip(x, targets, strict=True)
        for j, q in enumerate(row)
    ]
    assert layers.softmax_loss(x, y, 0.3)[0] == pytest.approx(math.fsum(smoothed) / 6, rel=100 * U)


def test_softmax_is_finite_on_huge_scores():
    x = np.array([[0.0, 1e4, -1e4], [1e308, 0.0, 0.0]])
    loss, dx = layers.softmax_loss(x, [0, 0])
    assert loss == 5000
    np.testing.assert_array_equal(dx, [[-0.5, 0.5, 0], [0, 0, 0]])


# --- numerical gradients ----------------------------------------------------------------------

X, W, B = np.random.RandomState(2).randn(5, 2, 3), np.random.RandomState(3).randn(6, 4), np.ones(4)
GAMMA, BETA = np.linspace(-1, 2, 4), np.linspace(1, 2, 4)
DROPOUT = {"mode": "train", "p": 0.6, "seed": 3}
HIDDEN = X.reshape(5, 6) @ W


def normalize(x, gamma, beta):
    return layers.batchnorm_forward(x, gamma, beta, {"mode": "train"})


def normalized_affine(x, w, b, gamma, beta):
    bn_param = {"mode": "train"}
    return layer_utils.affine_batchnorm_relu_forward(x, w, b, gamma, beta, bn_param)


def layer_normalize(x, gamma, beta):
    return layers.layernorm_forward(x, gamma, beta, {})


def layer_normalized_affine(x, w, b, gamma, beta):
    return layer_utils.affine_ln_relu_forward(x, w, b, gamma, beta, {})


OPERATIONS = {
    "affine": (layers.affine_forward, layers.affine_backward, (X, W, B)),
    "relu": (layers.relu_forward, layers.relu_backward, (HIDDEN,)),
    "sigmoid": (layers.sigmoid_forward, layers.sigmoid_backward, (HIDDEN,)),
    "tanh": (layers.tanh_forward, layers.tanh_backward, (HIDDEN,)),
    "leaky_relu": (layers.leaky_relu_forward, layers.leaky_relu_backward, (HIDDEN,)),
    "silu": (layers.silu_forward, layers.silu_backward, (HIDDEN,)),
    "gelu": (layers.gelu_forward, layers.gelu_backward, (HIDDEN,)),
    "batchnorm": (normalize, layers.batchnorm_backward, (HIDDEN, GAMMA, BETA)),
    "layernorm": (layer_normalize, layers.layernorm_backward, (HIDDEN, GAMMA, BETA)),
    "dropout": (
        lambda x: layers.dropout_forward(x, DROPOUT),
        layers.dropout_backward,
        (HIDDEN,),
    ),
    "affine_relu": (
        layer_utils.affine_relu_forward,
        layer_utils.affine_relu_backward,
        (X, W, B),
    ),
    "affine_batchnorm_relu": (
        normalized_affine,
        layer_utils.affine_batchnorm_relu_backward,
        (X, W, B, GAMMA, BETA),
    ),
    "affine_ln_relu": (
        layer_normalized_affine,
        layer_utils.affine_ln_relu_backward,
        (X, W, B, GAMMA, BETA),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradient(name):
    forward, backward, inputs = OPERATIONS[name]
    inputs = [array.copy() for array in inputs]
    out, cache = forward(*inputs)
    dout = np.random.RandomState(4).randn(*out.shape)
    gradients = backward(dout, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    # Sums of 6 products, then of 5 rows, and a dozen roundings, on numbers of a size below 10.
    bound = tolerance.gamma(40, np.float64) * 10
    for array, gradient in zip(inputs, gradients, strict=True):
        assert gradient.shape == array.shape
        tolerance.assert_gradient(gradient, lambda _: forward(*inputs)[0], array, dout, bound)


def smoothed_loss(x, y):
    return layers.softmax_loss(x, y, label_smoothing=0.2)


@pytest.mark.parametrize("loss", [layers.svm_loss, layers.softmax_loss, smoothed_loss])
def test_loss_gradient(loss, rng):
    x, y = rng.normal(size=(6, 5)) * 3, np.array([0, 1, 2, 3, 4, 0])
    value, dx = loss(x, y)
    bound = tolerance.gamma(40, np.float64) * value
    tolerance.assert_gradient(dx, lambda x: loss(x, y)[0], x, 1.0, bound)


# --- dtypes and errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        ([np.float32, np.float32, np.float32], np.float32),
        ([np.float32, np.float64, np.float32], np.float64),
        ([np.float32, np.float32, np.int64], np.float64),
        ([np.float16, np.float32, np.float32], np.float64),
        ([bool, np.int8, np.uint64], np.float64),
        ([">f4", "<f4", "f4"], np.float32),
    ],
)
def test_dtype_computed_in(given, computed):
    x, w, b = (np.ones(s).astype(t) for s, t in zip([(2, 3), (3, 4), 4], given, strict=True))
    out, cache = layers.affine_forward(x, w, b)
    assert out.dtype == computed
    dx, dw, _ = layers.affine_backward(out, cache)
    assert dx.dtype == dw.dtype == computed


def test_plain_numbers_fit_themselves_to_the_arrays():
    x, w = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    assert layers.affine_forward(x, w, 0)[0].dtype == np.float32
    assert layers.affine_forward(x, w, 0.5)[0].dtype == np.float32
    assert layers.affine_forward(x, w, np.float64(0))[0].dtype == np.float64


def ones(*shape):
    return np.ones(shape)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: layers.affine_forward(ones(8, 3, 4), ones(10, 2), ones(2)),
            ValueError,
            r"affine_forward: w has shape \(10, 2\), expected \(12, M\) to match x of shape",
        ),
        (
            lambda: layers.affine_forward(ones(8, 3), ones(3, 2), ones(3)),
            ValueError,
            "affine_forward: b has shape",
        ),
        (
            lambda: layers.affine_forward(ones(8, 3), ones(3, 2) * 1j, ones(2)),
            TypeError,
            "affine_forward: w has dtype complex128",
        ),
        (
            lambda: layers.relu_forward(np.ones(2, np.longdouble)),
            TypeError,
            "relu_forward: x has dtype",
        ),
        (
            lambda: layers.relu_backward(ones(2), ones(3)),
            ValueError,
            r"relu_backward: dout has shape \(2,\), expected \(3,\)",
        ),
        (
            lambda: layers.batchnorm_forward(ones(2, 3), ones(3), ones(3), {"mode": "tset"}),
            ValueError,
            'Invalid forward batchnorm mode "tset"',
        ),
        (
            lambda: layers.batchnorm_forward(ones(2, 3), ones(3), ones(3), {}),
            ValueError,
            "bn_param has no key 'mode'",
        ),
        (
            lambda: layers.batchnorm_forward(ones(0, 3), ones(3), ones(3), {"mode": "train"}),
            ValueError,
            "batchnorm_forward: x has no rows",
        ),
        (
            lambda: layers.batchnorm_backward(ones(2, 3), None),
            ValueError,
            "batchnorm_backward: cache is None",
        ),
        (
            lambda: layers.layernorm_forward(ones(2, 0), ones(0), ones(0), {}),
            ValueError,
            r"layernorm_forward: x has shape \(2, 0\), expected \(N, D\) with D at least 1",
        ),
        (
            lambda: layers.layernorm_forward(ones(2, 3), ones(3), ones(3), None),
            TypeError,
            "layernorm_forward: ln_param is None, expected a dict",
        ),
        (
            lambda: layers.dropout_forward(ones(2), {"mode": "train", "p": 0}),
            ValueError,
            "dropout_forward: p is 0.0, expected a probability of keeping",
        ),
        (
            lambda: layers.dropout_forward(ones(2), {"mode": "test", "p": 1.5}),
            ValueError,
            "dropout_forward: p is 1.5",
        ),
        (
            lambda: layers.dropout_forward(ones(2), {"mode": "x", "p": 0.5}),
            ValueError,
            'Invalid forward dropout mode "x"',
        ),
        (
            lambda: layers.dropout_backward(ones(2), ({"mode": "train", "p": 0.5}, None)),
            ValueError,
            "dropout_backward: cache has no mask",
        ),
        (
            lambda: layers.softmax_loss(ones(2, 3), [0, -1]),
            ValueError,
            r"softmax_loss: y\[1\] is -1, expected a label from 0 to 2",
        ),
        (
            lambda: layers.svm_loss(ones(2, 3), [0, 3]),
            ValueError,
            r"svm_loss: y\[1\] is 3, expected a label from 0 to 2",
        ),
        (lambda: layers.svm_loss(ones(2, 3), [0.0, 1.0]), TypeError, "y has dtype float64"),
        (lambda: layers.svm_loss(ones(2, 3), [0]), ValueError, r"y has shape \(1,\), expected"),
        (lambda: layers.softmax_loss(ones(0, 3), []), ValueError, r"x has shape \(0, 3\)"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_failed_batchnorm_stores_nothing():
    bn_param = {"mode": "train", "running_mean": np.zeros(4)}
    with pytest.raises(ValueError, match="running_mean has shape"):
        layers.batchnorm_forward(ones(2, 3), ones(3), ones(3), bn_param)
    assert list(bn_param) == ["mode", "running_mean"]


def test_failed_dropout_draws_nothing():
    np.random.seed(1)
    with pytest.raises(TypeError, match="x has dtype"):
        layers.dropout_forward(ones(3) * 1j, {"mode": "train", "p": 0.5, "seed": 9})
    after = np.random.rand()
    np.random.seed(1)
    assert after == np.random.rand()
