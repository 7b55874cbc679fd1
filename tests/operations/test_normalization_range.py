"""Batch and layer normalisation of numbers whose squares their dtype cannot hold."""

import warnings

import numpy as np
import pytest

from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.verifying import operations, tolerance
from tests.support import cases
from tests.support.composed import Composed
from tests.support.same import assert_same

PACKAGES = [operations.FAST, operations.REFERENCE]
BEYOND = "the variance of a feature is beyond the largest number of its dtype"
# Deviations of x.  Squares overflow from 2e19 and 1e154 on; the sum of x does with the last.
LARGE = {"float32": [1e17, 1e19, 2e19, 1e30, 5e37], "float64": [1e150, 1e154, 1e160, 1e300, 2e307]}


def forward_of(kind, package):
    name = "batchnorm_forward train" if kind == "batchnorm" else "layernorm_forward"
    forward = operations.find(name).callable(package)

    def call(x, gamma, beta, param):
        """Over the first axis, for either kind."""
        if kind == "batchnorm":
            return forward(x, gamma, beta, param)
        out, cache = forward(np.ascontiguousarray(x.T), gamma, beta, param)
        return out.T, {**cache, "x_normalized": cache["x_normalized"].T}

    return call


def exact(x, eps):
    """(x - mean) * rstd and rstd over the first axis, in the widest float there is."""
    wide = x.astype(np.longdouble)
    deviations = wide - wide.mean(axis=0)
    rstd = 1 / np.sqrt(np.square(deviations).mean(axis=0) + np.longdouble(eps))
    return deviations * rstd, rstd


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 4096, reason="no wider float")
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("mean", [0, 3])
def test_large_numbers(isa, dtype, package, kind, step, mean):
    """Outputs are as exact as those of the same numbers divided by a power of two."""
    scale = LARGE[np.dtype(dtype).name][step]
    n, d = 40, 19
    x = ((cases.normal((n, d), np.float64, "large") + mean) * scale).astype(dtype)
    assert np.isfinite(x).all()
    gamma = np.ones(d if kind == "batchnorm" else n, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out, cache = forward_of(kind, package)(x, gamma, 0 * gamma, {"mode": "train"})
    normal, rstd = exact(x, 1e-5)
    # eps is nothing here, so the bound is that of numbers near 1.
    near_one = np.ldexp(x, -int(np.log2(scale)))
    param = {"mode": "train", "eps": 0.0}
    bound = tolerance.batchnorm_forward(near_one, dtype(1), dtype(0), param)
    np.testing.assert_array_less(np.abs(out - normal), bound["out"] / 2)
    np.testing.assert_array_less(np.abs(cache["x_normalized"] - normal), bound["x_normalized"] / 2)
    relative = tolerance.gamma(tolerance.summed(n) + 20, dtype)
    np.testing.assert_array_less(np.abs(cache["rstd"] / rstd - 1), relative + (scale > 4e37))


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", ["batchnorm", "layernorm"])
def test_one_large_feature_leaves_the_others_their_bits(isa, dtype, package, kind):
    scale = LARGE[np.dtype(dtype).name][3]
    x = cases.normal((30, 19), dtype, "beside")
    gamma = np.ones(19 if kind == "batchnorm" else 30, dtype)
    forward = forward_of(kind, package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, _ = forward(x, gamma, 0 * gamma, {"mode": "train"})
        x[:, 7] *= dtype(scale)
        got, _ = forward(x, gamma, 0 * gamma, {"mode": "train"})
    others = np.arange(19) != 7
    np.testing.assert_array_equal(got[:, others], expected[:, others])
    assert got[:, 7].std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("eps", [0.0, 1e-300, 1e-30, 1e-5])
def test_small_numbers(isa, dtype, package, kind, eps):
    """Where eps is greater than the variance it decides; else the deviation is 1, as of any x."""
    scale = 1e-30 if dtype == np.float32 else 1e-200
    x = (cases.normal((40, 19), np.float64, "small") * scale).astype(dtype)
    gamma = np.ones(19 if kind == "batchnorm" else 40, dtype)
    out, cache = forward_of(kind, package)(x, gamma, 0 * gamma, {"mode": "train", "eps": eps})
    wide = x.astype(np.longdouble)
    # The dtype's own eps: what is below its denormals is 0.
    normal, rstd = exact(wide, dtype(eps))
    error = tolerance.gamma(tolerance.summed(40) + 20, dtype)
    np.testing.assert_allclose(out.astype(float), normal.astype(float), rtol=0, atol=8 * error)
    np.testing.assert_allclose(cache["rstd"].astype(float), rstd.astype(float), rtol=error)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", ["batchnorm", "layernorm"])
def test_constant_large_feature(isa, dtype, package, kind):
    """No variance: the output is beta, and eps decides rstd, however large the number."""
    for value in LARGE[np.dtype(dtype).name]:
        x = np.full((32, 5), 2.0 ** int(np.log2(value)), dtype)  # sums are exact
        gamma = np.ones(5 if kind == "batchnorm" else 32, dtype)
        out, cache = forward_of(kind, package)(x, gamma, 2 * gamma, {"mode": "train"})
        np.testing.assert_array_equal(out, np.full_like(x, 2))
        np.testing.assert_allclose(cache["rstd"], 1e-5**-0.5, rtol=1e-6)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("kind", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("step", range(4))
def test_backward(isa, dtype, package, kind, step):
    """dx shrinks as x grows: x times 2^k has 2^-k times the gradient, bit for bit."""
    k = int(np.log2(LARGE[np.dtype(dtype).name][step]))
    x, dout = cases.normal((20, 30), dtype, "x"), cases.normal((20, 30), dtype, "dout")
    gamma, beta = cases.normal(30, dtype, "gamma"), np.zeros(30, dtype)
    name = "batchnorm_forward train" if kind == "batchnorm" else "layernorm_forward"
    forward = operations.find(name).callable(package)
    backward = operations.find(f"{kind}_backward").callable(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, cache = forward(x, gamma, beta, {"mode": "train", "eps": 0.0})
        _, large = forward(np.ldexp(x, k), gamma, beta, {"mode": "train", "eps": 0.0})
    expected, got = backward(dout, cache), backward(dout, large)
    # The recovered statistics are computed in another way: summed with fewer roundings.
    error = tolerance.gamma(tolerance.summed(30) + 20, dtype)
    for one, other in zip(expected[1:], got[1:], strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=40 * error)
    np.testing.assert_allclose(np.ldexp(got[0], k), expected[0], rtol=0, atol=100 * error)
    assert np.abs(got[0]).min() > 0


@pytest.mark.parametrize("package", PACKAGES)
def test_running_averages_keep_out_what_the_dtype_cannot_hold(isa, dtype, package):
    """Said once, for that feature alone; the next batch is averaged as ever."""
    scale = LARGE[np.dtype(dtype).name][3]
    forward = operations.find("batchnorm_forward train").callable(package)
    gamma, beta = np.ones(3, dtype), np.zeros(3, dtype)
    batches = [cases.normal((16, 3), dtype, "batch", i) for i in range(3)]
    spoiled = batches[1].copy()
    spoiled[4, 1] = scale
    param, twin = {"mode": "train"}, {"mode": "train"}
    forward(batches[0], gamma, beta, param)
    before = {name: param[name].copy() for name in ("running_mean", "running_var")}
    forward(batches[0], gamma, beta, twin)
    with pytest.warns(RuntimeWarning, match=BEYOND) as record:
        out, _ = forward(spoiled, gamma, beta, param)
    assert len(record) == 1
    assert np.isfinite(out).all()
    forward(batches[1], gamma, beta, twin)
    for name, value in before.items():
        assert param[name][1] == value[1]
        np.testing.assert_array_equal(param[name][[0, 2]], twin[name][[0, 2]])
    forward(batches[2], gamma, beta, param)
    assert np.isfinite(param["running_var"]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forward(batches[2], gamma, beta, {**param, "mode": "test"})


@pytest.mark.parametrize("package", PACKAGES)
def test_a_variance_that_the_dtype_holds_is_averaged(isa, package):
    """Its squares overflow all the same: 40 of them are 1.6e39, their mean is 4e37."""
    forward = operations.find("batchnorm_forward train").callable(package)
    x = np.tile(np.array([[-6.4e18], [6.4e18]], np.float32), (20, 1))
    param = {"mode": "train", "momentum": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forward(x, np.ones(1, np.float32), np.zeros(1, np.float32), param)
    np.testing.assert_allclose(param["running_var"], 6.4e18**2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("N", [5, 150])
@pytest.mark.parametrize("step", [2, 3])
def test_the_fused_step_is_the_composed_one(isa, dtype, kind, N, step):
    scale = LARGE[np.dtype(dtype).name][step]
    rng = np.random.RandomState(0)
    X, y = rng.randn(N, 12).astype(dtype), rng.randint(3, size=N)
    X[3, 5] = scale
    X[4, 5] = -scale
    results = []
    for network in (Composed, FullyConnectedNet):
        np.random.seed(1)
        model = network([33, 20], 12, 3, normalization=kind, dtype=dtype, weight_scale=0.3)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            loss, grads = model.loss(X, y)
            scores = model.loss(X)
        results.append([loss, grads, scores, model.bn_params, [str(w.message) for w in said]])
    assert np.isfinite(results[0][0])
    assert_same(results[1][:-1], results[0][:-1])
    assert set(results[0][-1]) == set(results[1][-1])
    if step == 3:
        assert (kind == "batchnorm") == any(BEYOND in message for message in results[1][-1])


def test_one_outlier_among_the_examples():
    """A step over it is wasted, the next ones train; the averages hold no infinity."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 5)).astype(np.float32)
    y = X[:, :3].argmax(1)
    X[7, 0] = 1e30
    data = {"X_train": X, "y_train": y, "X_val": X[:60], "y_val": y[:60]}
    np.random.seed(1)
    model = FullyConnectedNet([16], 5, 3, weight_scale=0.3, normalization="batchnorm")
    solver = Solver(
        model,
        data,
        update_rule="adam",
        optim_config={"learning_rate": 1e-2},
        num_epochs=30,
        batch_size=50,
        verbose=False,
    )
    with pytest.warns(RuntimeWarning, match=BEYOND):
        solver.train()
    assert np.isfinite(model.bn_params[0]["running_var"]).all()
    assert solver.val_acc_history[-1] > 0.8
