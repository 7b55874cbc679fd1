"""How far two correct computations of the same numbers may lie apart.

Nothing here is a guess. In a sum of n terms, in whatever order and with or without fused
multiply-adds, the computed result differs from the exact one by at most

    gamma_n * sum |term|,    gamma_n = n u / (1 - n u),    u = eps / 2

(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1 and section 3.5), and by
one smallest denormal for each product that underflows. Every function below gives that bound for
one operation, element by element, its count of roundings beside it. Both the fast and the
reference result may err by it, in opposite directions: they may differ by twice the bound.

Bounds are computed in float64 from the operation's own arguments. A bound of zero says: bit for
bit.
"""

import math
from typing import Any

import numpy as np

from ..gradient_check import eval_numerical_gradient_array

# Exponential and logarithm are taken to be within 4 units in the last place, the error that vector
# libraries of the more accurate kind (glibc's libmvec) allow themselves; in units of u that is 8.
FUNCTION = 8


def computed_dtype(*arrays: Any) -> Any:
    """float32 if everything is float32, else float64."""
    single = all(np.asarray(a).dtype.type is np.float32 for a in arrays)
    return np.float32 if single else np.float64


def unit(dtype: Any) -> Any:
    """The unit roundoff u: the relative error of one rounding."""
    return float(np.finfo(dtype).eps) / 2


def gamma(n: Any, dtype: Any) -> Any:
    """The relative error of n roundings in a row."""
    nu = n * unit(dtype)
    assert nu < 0.5, "too many roundings for a first-order bound"
    return nu / (1 - nu)


def summed(n: Any) -> Any:
    """The most roundings that a term of a sum of n goes through, in fast and reference results.

    Both add blocks of 128 terms, the last one shorter, and these pairwise (Higham, section 4.2):
    127 additions in a block, or n - 1 where all is one; and ceil(log2(blocks)) more. The fast ones
    are in rows, or in vectors of L lanes, 128 L terms a block: ceil(log2(blocks)) + log2(L) is then
    no more than in rows. NumPy's blocks of a contiguous sum have eight lanes.
    """
    blocks = -(-n // 128)
    return min(n, 128) + math.ceil(math.log2(max(blocks, 1)))


def underflow(n: Any, dtype: Any) -> Any:
    """The absolute error of n products that become denormal or zero."""
    return n * float(np.finfo(dtype).smallest_subnormal)


def _exact(*arrays: Any) -> Any:
    return [np.asarray(a).astype(np.float64) for a in arrays]


def _product(a: Any, b: Any, extra: Any, dtype: Any) -> Any:
    """|a| @ |b| under the roundings of a sum over the inner axis, and `extra` more."""
    n = a.shape[1] + extra
    return gamma(n, dtype) * (np.abs(a) @ np.abs(b)) + underflow(n, dtype)


def affine_forward(x: Any, w: Any, b: Any) -> Any:
    """D products and their sum: D roundings on the longest path; 1 for the bias."""
    plain = isinstance(b, int | float) and not isinstance(b, np.generic)  # has no dtype
    dtype = computed_dtype(x, w) if plain else computed_dtype(x, w, b)
    x, w, b = _exact(x, w, b)
    x = x.reshape(x.shape[0], w.shape[0])
    bias = gamma(x.shape[1] + 1, dtype) * np.abs(b)
    return {"out": 2 * (_product(x, w, 1, dtype) + bias)}


def affine_backward(dout: Any, cache: Any) -> Any:
    """Sums over M for dx, over N for dw, both products; for db one of rows."""
    x, w, _ = cache
    dtype = computed_dtype(dout, x, w)
    dout, x, w = _exact(dout, x, w)
    flat = x.reshape(x.shape[0], w.shape[0])
    db = gamma(summed(len(dout)), dtype) * np.abs(dout).sum(axis=0) + underflow(1, dtype)
    return {
        "dx": 2 * _product(dout, w.T, 0, dtype).reshape(x.shape),
        "dw": 2 * _product(flat.T, dout, 0, dtype),
        "db": 2 * db,
    }


def sigmoid_forward(x: Any) -> Any:
    """An exponential, the sum with 1, the quotient."""
    dtype = computed_dtype(x)
    (x,) = _exact(x)
    return {"out": 2 * (gamma(FUNCTION + 2, dtype) * _logistic(x) + underflow(2, dtype))}


def tanh_forward(x: Any) -> Any:
    """A function by itself."""
    dtype = computed_dtype(x)
    return {"out": 2 * (gamma(FUNCTION, dtype) * np.abs(np.tanh(*_exact(x))) + underflow(1, dtype))}


def silu_forward(x: Any) -> Any:
    """The sigmoid's, and a product: where the exponential is denormal, with its error."""
    dtype = computed_dtype(x)
    x = np.maximum(_exact(x)[0], -_FURTHEST)
    relative = gamma(FUNCTION + 3, dtype) * np.abs(x) * _logistic(x)
    return {"out": 2 * (relative + underflow(2, dtype) * (1 + np.minimum(np.abs(x), _FURTHEST)))}


def silu_backward(dout: Any, x: Any) -> Any:
    """Two sigmoids, two products and a sum with 1; the product with dout."""
    dtype = computed_dtype(dout, x)
    dout, x = _exact(dout, x)
    x = np.clip(x, -_FURTHEST, _FURTHEST)
    slope = _logistic(x) * (1 + np.abs(x) * _logistic(-x))
    tiny = underflow(4, dtype) * (1 + np.abs(x)) * (1 + np.abs(dout))
    return {"dx": 2 * (gamma(2 * (FUNCTION + 2) + 4, dtype) * np.abs(dout) * slope + tiny)}


def gelu_forward(x: Any) -> Any:
    """Phi, its cast and a product; in float64 the argument of erfc, a product with the root of 1/2,
    errs by 2 roundings, and Phi by 1 + x^2 times as much.
    """
    dtype = computed_dtype(x)
    x = np.maximum(_exact(x)[0], -_FURTHEST)
    terms = np.abs(x) * _normal(x)
    relative = gamma(FUNCTION + 2, dtype) + gamma(2, np.float64) * (1 + x**2)
    size = np.minimum(np.abs(x), _FURTHEST)
    return {
        "out": 2 * (np.where(terms > 0, relative, 0) * terms + underflow(2, dtype) * (1 + size))
    }


def gelu_backward(dout: Any, x: Any) -> Any:
    """Phi as above. The density: the exponential, whose argument x^2 / 2 errs by a rounding, the
    root of 2 pi cast, the quotient, and the product with x. The sum; the product with dout.
    """
    dtype = computed_dtype(dout, x)
    dout, x = _exact(dout, x)
    x = np.clip(x, -_FURTHEST, _FURTHEST)
    normal_error = gamma(FUNCTION + 3, dtype) + gamma(2, np.float64) * (1 + x**2)
    density_error = gamma(FUNCTION + 5, dtype) + gamma(1, dtype) * x**2 / 2
    density = np.abs(x) * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    tiny = underflow(4, dtype) * (1 + np.abs(x)) * (1 + np.abs(dout))
    return {"dx": 2 * (np.abs(dout) * (normal_error * _normal(x) + density_error * density) + tiny)}


_FURTHEST = 1000.0  # where activations are at their ends in either dtype


def _logistic(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def _normal(x: Any) -> Any:
    return np.asarray(np.frompyfunc(math.erfc, 1, 1)(-x / math.sqrt(2)) * 0.5).astype(np.float64)


def _normalised(x: Any, eps: Any, dtype: Any) -> Any:
    """Mean, var, rstd and x_normalized over the first axis, each with one computation's error."""
    n, u = len(x), unit(dtype)
    mean, var = x.mean(axis=0), x.var(axis=0)
    rstd = 1 / np.sqrt(var + eps)
    normal = (x - mean) * rstd
    # Sum of N, 1 / N and the product with it.
    mean_error = gamma(summed(n) + 2, dtype) * np.abs(x).mean(axis=0) + underflow(n, dtype)
    # Sum of N squares of differences: difference (twice, squared), square, 1 / N, product. An error
    # d of the mean enters as d * d, for the exact differences sum to zero.
    var_error = gamma(summed(n) + 5, dtype) * var + mean_error**2 + underflow(n, dtype)
    # var + eps and eps cast: 2; half of it all through the root; root and quotient: 2.
    rstd_error = 0.5 * (var_error / (var + eps) + 2 * u) + 2 * u  # relative
    # Difference, product; or quotient.
    normal_error = rstd * mean_error * (1 + rstd_error)
    normal_error = normal_error + np.abs(normal) * (rstd_error + gamma(3, dtype))
    return (mean, mean_error), (var, var_error), (rstd, rstd * rstd_error), (normal, normal_error)


def _scaled_error(normal: Any, normal_error: Any, scale: Any, shift: Any, dtype: Any) -> Any:
    """The error of scale * normal + shift: product and sum."""
    error = np.abs(scale) * normal_error * (1 + gamma(2, dtype))
    return error + gamma(2, dtype) * (np.abs(scale * normal) + np.abs(shift))


def batchnorm_forward(x: Any, scale: Any, shift: Any, bn_param: Any) -> Any:
    """Bounds for either mode; `scale` and `shift` are gamma and beta."""
    dtype = computed_dtype(x, scale, shift)
    x, scale, shift = _exact(x, scale, shift)
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    (mean_before,) = _exact(bn_param.get("running_mean", np.zeros(x.shape[1])))
    (var_before,) = _exact(bn_param.get("running_var", np.zeros(x.shape[1])))
    if bn_param["mode"] == "test":
        # eps cast, var + eps, root, quotient; x - mean, two products, the sum; two more for the
        # form scale * x + shift, whose terms are the larger ones bounded here.
        rstd = 1 / np.sqrt(var_before + eps)
        terms = np.abs(scale) * rstd * (np.abs(x) + np.abs(mean_before)) + np.abs(shift)
        return {"out": 2 * gamma(10, dtype) * terms, "running_mean": 0.0, "running_var": 0.0}

    (mean, mean_error), (var, var_error), rstd, normal = _normalised(x, eps, dtype)

    # (1 - momentum) cast, momentum cast, products, sum: 3 on either path.
    def averaged(before: Any, now: Any, error: Any) -> Any:
        terms = np.abs(momentum * before) + np.abs((1 - momentum) * now)
        return gamma(3, dtype) * terms + (1 - momentum) * error + underflow(2, dtype)

    return {
        "out": 2 * _scaled_error(normal[0], normal[1], scale, shift, dtype),
        "x_normalized": 2 * normal[1],
        "rstd": 2 * rstd[1],
        "gamma": 0.0,
        "running_mean": 2 * averaged(mean_before, mean, mean_error),
        "running_var": 2 * averaged(var_before, var, var_error),
    }


def network_scores(model: Any, X: Any) -> Any:
    """Scores of a network, not layer-normalised, by layers or with batch normalisation folded in.

    A hidden layer is gamma * (x @ W + b - mean) * rstd + beta = x @ (W * scale) + shift. By layers:
    D + 1 roundings of the product, 10 of batch normalisation. Folded: var + eps, root, quotient,
    product, cast of W * scale, 5, and D + 1; of shift 2 more, for a difference and a sum. So D + 11
    on either path, of the same terms. W * scale may be denormal, which its products with x magnify.

    An error of x goes through |W| and scale to the next layer; ReLU does not enlarge it.
    """
    dtype = model.dtype
    (x,) = _exact(X)
    error = np.zeros_like(x)
    for i in range(1, model.num_layers + 1):
        W, b = _exact(model.params[f"W{i}"], model.params[f"b{i}"])
        scale, mean, shift = 1.0, 0.0, 0.0
        if model.normalization and i < model.num_layers:
            bn_param = model.bn_params[i - 1]
            mean, var = _exact(bn_param["running_mean"], bn_param["running_var"])
            scale, shift = _exact(model.params[f"gamma{i}"], model.params[f"beta{i}"])
            scale = scale / np.sqrt(var + bn_param.get("eps", 1e-5))
        size, n = np.abs(x) + error, len(W) + 11
        terms = np.abs(scale) * (size @ np.abs(W) + np.abs(b) + np.abs(mean)) + np.abs(shift)
        tiny = underflow(n, dtype) * (1 + np.abs(scale)) + underflow(1, dtype) * size.sum(
            axis=1, keepdims=True
        )
        error = np.abs(scale) * (error @ np.abs(W)) + gamma(n, dtype) * terms + tiny
        x = np.maximum(scale * (x @ W + b - mean) + shift, 0)
    return 2 * error


def batchnorm_backward(dout: Any, cache: Any) -> Any:
    """dbeta: a sum of N. dgamma: the same of products. dx: both, 1 / N and 7 more."""
    normal, rstd, scale = cache["x_normalized"], cache["rstd"], cache["gamma"]
    dtype = computed_dtype(dout, normal, rstd, scale)
    dout, normal, rstd, scale = _exact(dout, normal, rstd, scale)
    n = max(len(dout), 1)
    dbeta = np.abs(dout).sum(axis=0)
    dgamma = np.abs(dout * normal).sum(axis=0)
    # scale * rstd, 1 / N, dbeta * that, dgamma * that, product with normal, difference twice, and
    # the last product.
    terms = np.abs(dout) + dbeta / n + np.abs(normal) * dgamma / n
    tiny = underflow(n + 8, dtype) * (1 + np.abs(scale * rstd)) * (1 + np.abs(normal))
    return {
        "dx": 2 * (gamma(summed(n) + 8, dtype) * np.abs(scale * rstd) * terms + tiny),
        "dgamma": 2 * (gamma(summed(n), dtype) * dgamma + underflow(n, dtype)),
        "dbeta": 2 * (gamma(summed(n), dtype) * dbeta + underflow(1, dtype)),
    }


def layernorm_forward(x: Any, scale: Any, shift: Any, ln_param: Any) -> Any:
    """As batch normalisation's training, over the rows of x."""
    dtype = computed_dtype(x, scale, shift)
    x, scale, shift = _exact(x, scale, shift)
    _, _, (_, rstd_error), normal = _normalised(x.T, ln_param.get("eps", 1e-5), dtype)
    normal = [part.T for part in normal]
    return {
        "out": 2 * _scaled_error(normal[0], normal[1], scale, shift, dtype),
        "x_normalized": 2 * normal[1],
        "rstd": 2 * rstd_error,
    }


def layernorm_backward(dout: Any, cache: Any) -> Any:
    """dbeta: a sum of N. dgamma: the same of products. dx: sums of D, 1 / D and 7 more.

    The sum of N is one of sums of ranges of rows, whose number shape decides, and the first range's
    is added last: up to 128 roundings in a block of rows, 128 in one of ranges, their logarithms,
    and 1. (No test has so many rows that are too wide for blocks.)
    """
    normal, rstd, scale = cache["x_normalized"], cache["rstd"], cache["gamma"]
    dtype = computed_dtype(dout, normal, rstd, scale)
    dout, normal, rstd, scale = _exact(dout, normal, rstd, scale)
    n, d = normal.shape
    rstd = rstd[:, np.newaxis]
    g = np.abs(scale * dout)
    shift, slope = g.mean(axis=1, keepdims=True), (g * np.abs(normal)).mean(axis=1, keepdims=True)
    # scale * dout, product with normal, 1 / D and the product with it, slope * normal, difference
    # twice, and the product with rstd.
    terms = g + shift + np.abs(normal) * slope
    # What underflows is magnified by rstd, in the slope by a normal first and last.
    greatest = np.abs(normal).max(axis=1, keepdims=True)
    tiny = underflow(d + 8, dtype) * (1 + np.abs(rstd)) * (1 + greatest) ** 2
    rows = min(n, summed(n) + 128 + 2)
    dgamma, dbeta = np.abs(dout * normal).sum(axis=0), np.abs(dout).sum(axis=0)
    return {
        "dx": 2 * (gamma(summed(d) + 8, dtype) * np.abs(rstd) * terms + tiny),
        "dgamma": 2 * (gamma(rows, dtype) * dgamma + underflow(n, dtype)),
        "dbeta": 2 * (gamma(rows, dtype) * dbeta + underflow(1, dtype)),
    }


def _shares(sample_weight: Any, n: Any) -> Any:
    """Each example's share of a mean over n."""
    if sample_weight is None:
        return np.full(n, 1 / n)
    weights = np.asarray(sample_weight).astype(np.float64)
    return weights / weights.sum()


def softmax_loss(x: Any, y: Any, label_smoothing: Any = 0.0, sample_weight: Any = None) -> Any:
    """Rows: difference, exponential, sum of C, logarithm. Loss: a sum of N of them, and 1 / N.

    With smoothed labels a row's loss is a mean of those of the label and of all classes, none of
    them negative. With weights the product with one, and their sum, which 1 / N stands for: s(N) +
    2.
    """
    dtype = computed_dtype(x)
    (x,) = _exact(x)
    n, classes = x.shape
    u, rows = unit(dtype), np.arange(n)
    shifted = x - x.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(axis=1, keepdims=True)
    p, log = powers / total, np.log(total)
    # A rounded argument s of exp is a relative error |s| u of its value; where exp gives 0, none.
    size = np.abs(np.where(p > 0, shifted, 0))
    total_error = gamma(summed(classes) + FUNCTION, dtype) + u * (p * size).sum(
        axis=1, keepdims=True
    )
    log_error = total_error + FUNCTION * u * log
    loss = (log[:, 0] - shifted[rows, y], size[rows, y])
    if label_smoothing:
        # The mean of C, 1 / C; then 1 - s, s / C or s cast, the product and the sum.
        ours, others = 1 - label_smoothing, label_smoothing
        size_of_all = np.where(p > 0, size, np.abs(shifted)).mean(axis=1)
        loss = (
            ours * loss[0] + others * (log - shifted).mean(axis=1),
            ours * loss[1] + others * size_of_all,
        )
        extra = summed(classes) + 6
    else:
        extra = 0
    shares = _shares(sample_weight, n)
    more = 0 if sample_weight is None else summed(n) + 2
    loss_error = (
        log_error[:, 0] + u * loss[1] + gamma(summed(n) + 2 + extra + more, dtype) * np.abs(loss[0])
    )
    # Either exp(s) / total or exp(s - log total), then minus 1 at the label, then / N or * (1 / N).
    p_error = p * (total_error + log_error + u * (2 * size + log + FUNCTION + 1))
    targets = np.full(x.shape, label_smoothing / classes)
    targets[rows, y] += 1 - label_smoothing
    dx = np.abs(p - targets)
    # Targets: 1 - s, s / C, their casts, sum and difference in either order; 0 and 1 are exact.
    dx_error = p_error + gamma(3 + more, dtype) * dx + (gamma(5, dtype) * targets if extra else 0)
    dx_error = dx_error * shares[:, np.newaxis] + underflow(FUNCTION, dtype)
    return {"loss": 2 * (loss_error * shares).sum(), "dx": 2 * dx_error}


def svm_loss(x: Any, y: Any, sample_weight: Any = None) -> Any:
    """Margins: 2 roundings. Loss: a sum of N * C of them, or of N sums of C, and 1 / N.

    With weights the product with one, and their sum, which 1 / N stands for: s(N) + 2.

    The gradient counts positive margins. Where rounding may move a margin across zero the count may
    differ by one; nowhere else.
    """
    dtype = computed_dtype(x)
    (x,) = _exact(x)
    n, classes = x.shape
    rows = np.arange(n)
    right = x[rows, y][:, np.newaxis]
    margin = x - right + 1
    error = gamma(2, dtype) * (np.abs(x) + np.abs(right) + 1)
    error[np.isneginf(margin)] = 0  # counts as nothing, however rounded
    doubtful = (np.abs(margin) <= error) & (margin != 0)
    positive = margin > 0
    for mask in (doubtful, positive, error):
        mask[rows, y] = 0
    counted = np.where(positive, margin, 0)
    dx = positive.astype(np.float64)
    dx[rows, y] = -positive.sum(axis=1)
    doubt = doubtful.astype(np.float64)
    doubt[rows, y] = doubtful.sum(axis=1)
    terms = max(summed(n * classes), summed(n) + summed(classes))
    shares = _shares(sample_weight, n)[:, np.newaxis]
    more = 0 if sample_weight is None else summed(n) + 2
    loss_error = (shares * (gamma(terms + 2 + more, dtype) * counted + error)).sum()
    # 1 / N and the product with it, or a quotient.
    return {
        "loss": 2 * loss_error,
        "dx": (2 * gamma(2 + more, dtype) * np.abs(dx) + doubt) * shares,
    }


def _target_loss(
    x: Any, sample_weight: Any, terms: Any, terms_error: Any, slopes: Any, slopes_error: Any
) -> Any:
    """A loss of targets from the sizes and errors of its elements' losses and slopes.

    Loss: a sum of N * M, or of N sums of M; the product with a weight, the sum of weights, and the
    quotient. dx: 1 / N, of a sum of weights, and the product with it, or a quotient.
    """
    dtype, (n, scores) = computed_dtype(x), np.shape(x)
    shares = _shares(sample_weight, n)[:, np.newaxis]
    more = summed(n) + 2
    roundings = max(summed(n * scores), summed(n) + summed(scores)) + more + 2
    loss_error = shares * (terms_error + gamma(roundings, dtype) * np.abs(terms))
    dx_error = shares * (slopes_error + gamma(2 + more, dtype) * np.abs(slopes))
    return {
        "loss": 2 * (loss_error.sum() + underflow(4, dtype)),
        "dx": 2 * (dx_error + underflow(4, dtype)),
    }


def _residual(x: Any, y: Any) -> Any:
    """x - y, where y has the dtype of x, in float64; its own error is one rounding."""
    dtype = computed_dtype(x)
    return _exact(x)[0] - _exact(np.reshape(y, np.shape(x)).astype(dtype))[0]


def squared_error_loss(x: Any, y: Any, sample_weight: Any = None) -> Any:
    """Difference, twice in the square; two products. The slope: the difference."""
    dtype, r = computed_dtype(x), _residual(x, y)
    terms = 0.5 * r * r
    terms_error = gamma(4, dtype) * terms + underflow(2, dtype)
    return _target_loss(x, sample_weight, terms, terms_error, r, unit(dtype) * np.abs(r))


def absolute_error_loss(x: Any, y: Any, sample_weight: Any = None) -> Any:
    """The difference, whose sign is exact."""
    dtype, r = computed_dtype(x), _residual(x, y)
    return _target_loss(x, sample_weight, r, unit(dtype) * np.abs(r), np.sign(r), 0)


def huber_loss(x: Any, y: Any, delta: Any = 1.0, sample_weight: Any = None) -> Any:
    """As the squared error; or difference, half of delta, difference, product: 4.

    Where rounding decides which of the two it is, they differ by no more.
    """
    dtype, r = computed_dtype(x), _residual(x, y)
    d = float(dtype(delta))
    far = np.abs(r) > d
    terms = np.where(far, d * (np.abs(r) + 0.5 * d), 0.5 * r * r)
    slopes = np.clip(r, -d, d)
    terms_error = gamma(6, dtype) * terms + underflow(2, dtype)
    return _target_loss(x, sample_weight, terms, terms_error, slopes, gamma(2, dtype) * abs(slopes))


def quantile_loss(x: Any, y: Any, level: Any = 0.5, sample_weight: Any = None) -> Any:
    """Difference, whose sign is exact, and product; the level's casts are the same in both."""
    dtype, r = computed_dtype(x), _residual(x, y)
    slopes = np.where(r > 0, 1 - level, np.where(r < 0, -level, 0))
    terms_error = gamma(3, dtype) * np.abs(slopes * r) + underflow(2, dtype)
    return _target_loss(
        x, sample_weight, slopes * r, terms_error, slopes, unit(dtype) * abs(slopes)
    )


def poisson_loss(x: Any, y: Any, sample_weight: Any = None) -> Any:
    """The exponential; product and difference. What does not depend on x is computed in float64:
    logarithm, product, difference. The slope: exponential and difference.
    """
    dtype = computed_dtype(x)
    x_, y_ = _exact(x, np.reshape(y, np.shape(x)).astype(dtype))
    rates = np.exp(x_)
    saturated = np.where(y_ > 0, y_ * np.abs(np.log(np.where(y_ > 0, y_, 1))) + y_, 0)
    terms = rates + np.abs(y_ * x_) + saturated
    rates_error = FUNCTION * unit(dtype) * rates + underflow(FUNCTION, dtype)
    terms_error = rates_error + gamma(2, dtype) * terms
    terms_error = terms_error + gamma(FUNCTION + 3, np.float64) * saturated
    slopes_error = rates_error + unit(dtype) * np.abs(rates - y_)
    return _target_loss(x, sample_weight, terms, terms_error, rates - y_, slopes_error)


def logistic_loss(x: Any, y: Any, label_smoothing: Any = 0.0, sample_weight: Any = None) -> Any:
    """e: an exponential. p = e / (1 + e): 2 more. Its loss: a logarithm of 1 + e and a product.

    Targets: 1 - s and s / 2 cast, product, sum: 4, without smoothing none; 1 - z is one more.
    """
    dtype = computed_dtype(x)
    u = unit(dtype)
    x_, y_ = _exact(x, np.reshape(y, np.shape(x)).astype(dtype))
    z = (1 - label_smoothing) * y_ + label_smoothing / 2
    z_error = gamma(4, dtype) * z if label_smoothing else 0
    rest_error = z_error + u * (1 - z)
    e = np.exp(-np.abs(x_))
    p = e / (1 + e)
    kept = np.where(x_ >= 0, 1 - z, z)
    kept_error = np.where(x_ >= 0, rest_error, z_error)
    size = np.where(np.isfinite(x_), np.abs(x_), 0)
    terms = np.log1p(e) + size * kept
    terms_error = 2 * FUNCTION * u * np.log1p(e) + size * kept_error + gamma(2, dtype) * terms
    terms_error = terms_error + underflow(FUNCTION, dtype)
    slopes_error = kept_error + (FUNCTION + 2) * u * p + underflow(FUNCTION, dtype) + u * (kept + p)
    return _target_loss(x, sample_weight, terms, terms_error, kept - p, slopes_error)


def sgd(w: Any, dw: Any, config: Any) -> Any:
    """lr cast, product, difference."""
    dtype = w.dtype
    w, step = _exact(w, config["learning_rate"] * dw.astype(np.float64))
    return {"next_w": 2 * (gamma(3, dtype) * (np.abs(w) + np.abs(step)) + underflow(1, dtype))}


def sgd_momentum(w: Any, dw: Any, config: Any) -> Any:
    """Velocity: constants cast, products, sum: 3. One more for w."""
    dtype = w.dtype
    w, dw, v = _exact(w, dw, config["velocity"])
    terms = np.abs(config["momentum"] * v) + np.abs(config["learning_rate"] * dw)
    return {
        "next_w": 2 * (gamma(4, dtype) * (np.abs(w) + terms) + underflow(2, dtype)),
        "velocity": 2 * (gamma(3, dtype) * terms + underflow(2, dtype)),
    }


def sgd_nesterov_momentum(w: Any, dw: Any, config: Any) -> Any:
    """Velocity as above: 3. Difference of velocities, mu cast, product, two sums: 5 more."""
    dtype, mu = w.dtype, config["momentum"]
    w, dw, v = _exact(w, dw, config["velocity"])
    terms = np.abs(mu * v) + np.abs(config["learning_rate"] * dw)
    all_terms = np.abs(w) + (1 + mu) * terms + mu * np.abs(v)
    return {
        "next_w": 2 * (gamma(8, dtype) * all_terms + underflow(4, dtype)),
        "velocity": 2 * (gamma(3, dtype) * terms + underflow(2, dtype)),
    }


def rmsprop(w: Any, dw: Any, config: Any) -> Any:
    """Mean square: cast, square, product, sum: 4, halved by the root. Then root, eps cast, sum,
    lr cast, product, quotient: 6. Then the difference; and one for the squares that underflow.
    """
    dtype, rho = w.dtype, config["decay_rate"]
    w, dw, a = _exact(w, dw, config["a"])
    a = rho * a + (1 - rho) * dw**2
    step = config["learning_rate"] * np.abs(dw) / (np.sqrt(a) + config["epsilon"])
    return {
        "next_w": 2 * (gamma(1, dtype) * np.abs(w) + gamma(11, dtype) * step + underflow(2, dtype)),
        "a": 2 * (gamma(4, dtype) * a + underflow(2, dtype)),
    }


def adam(w: Any, dw: Any, config: Any, more: Any = 0) -> Any:
    """Moments: 3 and 4 (halved by the root). Corrections: cast and quotient, twice: 4, one pair of
    them halved. Root, eps cast, sum, lr cast, product, quotient: 6. The difference: 1.

    1 - beta ** t is itself computed in float64, where its cancellation costs u / (1 - beta ** t).
    `more` roundings of the step are another rule's.
    """
    dtype, t = w.dtype, config["t"] + 1
    beta1, beta2 = config["beta1"], config["beta2"]
    w, dw, v, a = _exact(w, dw, config["v"], config["a"])
    v = beta1 * np.abs(v) + (1 - beta1) * np.abs(dw)
    a = beta2 * a + (1 - beta2) * dw**2
    correction1, correction2 = 1 - beta1**t, 1 - beta2**t
    cancelled = 2 * unit(np.float64) * (1 / correction1 + 0.5 / correction2)
    step = config["learning_rate"] * v / correction1
    step = step / (np.sqrt(a / correction2) + config["epsilon"])
    step_error = gamma(1, dtype) * np.abs(w) + (gamma(16 + more, dtype) + cancelled) * step
    return {
        "next_w": 2 * (step_error + underflow(2, dtype)),
        "v": 2 * (gamma(3, dtype) * v + underflow(2, dtype)),
        "a": 2 * (gamma(4, dtype) * a + underflow(2, dtype)),
        "t": 0.0,
    }


def adamw(w: Any, dw: Any, config: Any) -> Any:
    """As adam, and the step's sum with the decay. The decay: lr * weight_decay, cast, product, that
    sum, the difference: 5.
    """
    bound, dtype = adam(w, dw, config, more=1), w.dtype
    decay = config["learning_rate"] * config["weight_decay"] * np.abs(w.astype(np.float64))
    bound["next_w"] += 2 * (gamma(5, dtype) * decay + underflow(1, dtype))
    return bound


def assert_close(got: Any, expected: Any, bound: Any, name: Any = "result") -> None:
    """Assert that every element is within its bound of the expected one.

    NaN and infinities must stand in the same places. Where the bound is zero the two must be the
    same bits, the sign of zero included.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{name}: shape {got.shape}, expected {expected.shape}"
    assert got.dtype == expected.dtype, f"{name}: {got.dtype}, expected {expected.dtype}"
    finite = np.isfinite(expected)
    bound = np.broadcast_to(np.asarray(bound, np.float64), expected.shape)
    with np.errstate(all="ignore"):
        off = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    exact = ~finite | (bound == 0)
    same = (got == expected) & (np.signbit(got) == np.signbit(expected))
    same |= np.isnan(got) & np.isnan(expected)
    bad = np.where(exact, ~same, ~(off <= bound))
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    raise AssertionError(
        f"{name}: {bad.sum()} of {bad.size} elements are off; the first at {first}: "
        f"got {got[first]!r}, expected {expected[first]!r}, "
        f"off by {off[first]:.3g}, allowed {bound[first]:.3g}"
    )


def assert_gradient(gradient: Any, f: Any, x: Any, df: Any, bound: Any, h: Any = 1e-5) -> None:
    """Assert that `gradient` is the derivative of sum(df * f(x)) by x, all in float64.

    A central difference errs by its truncation c h^2, of which the difference of the results for
    2 h and for h is three times, and by the errors of the two values of f, which `bound` limits
    (for two evaluations together) and the division by 2 h magnifies. The steps themselves are
    rounded: u |x| / h.
    """
    near = eval_numerical_gradient_array(f, x, df, h)
    far = eval_numerical_gradient_array(f, x, df, 2 * h)
    noise = np.sum(np.abs(df) * bound) / (2 * h)
    steps = unit(np.float64) * np.abs(x) / h * np.abs(gradient)
    assert_close(gradient, near, np.abs(far - near) + 2 * noise + steps, "gradient")


def share(got: Any, expected: Any, bound: Any) -> float:
    """Return the largest difference as a part of its bound; 0 where all bits must agree."""
    bound = np.broadcast_to(np.asarray(bound, np.float64), np.shape(expected))
    bounded = np.isfinite(expected) & (bound > 0)
    if not bounded.any():
        return 0.0
    off = np.abs(np.asarray(got, np.float64) - np.asarray(expected, np.float64))
    return float((off[bounded] / bound[bounded]).max())
