"""The layers and losses in plain NumPy: one function forward, one backward.

Letters: N batch, D inputs, M outputs, C classes.  Every function computes in float32 if all its
arrays are float32 and in float64 otherwise; Python's own numbers fit themselves to either.
"""

import math
import numbers

import numpy as np

from . import philox

__all__ = [
    "affine_backward",
    "affine_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "dropout_backward",
    "dropout_forward",
    "layernorm_backward",
    "layernorm_forward",
    "np",  # a star import brings np along, as it does from the original
    "relu_backward",
    "relu_forward",
    "softmax_loss",
    "svm_loss",
]


def as_real(operation, **arrays):
    """Return the arrays, as a list, in the dtype in which ``operation`` computes."""
    converted = {name: np.asarray(value) for name, value in arrays.items()}
    for name, array in converted.items():
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise TypeError(
                f"{operation}: {name} has dtype {array.dtype}, expected real numbers of at most "
                "64 bits"
            )
    types = {
        array.dtype.type
        for name, array in converted.items()
        if type(arrays[name]) not in (int, float)
    }
    dtype = np.float32 if types == {np.float32} else np.float64
    return [array.astype(dtype, copy=False) for array in converted.values()]


def _value(operation, mapping_name, mapping, key):
    """Return a value that the mapping must have."""
    if key not in mapping:
        raise ValueError(f"{operation}: {mapping_name} has no key {key!r}")
    return mapping[key]


def _expect_shape(operation, name, array, expected, partner):
    """Raise ValueError unless ``array`` has the expected shape, which matches ``partner``'s."""
    if array.shape != expected:
        raise ValueError(
            f"{operation}: {name} has shape {array.shape}, expected {expected} to match {partner}"
        )


def _expect_row(operation, name, array, length, partner):
    """Raise ValueError unless ``array`` broadcasts to one row of ``length`` numbers."""
    if array.shape not in [(length,), (1, length), ()]:
        _expect_shape(operation, name, array, (length,), partner)


def _affine_sizes(operation, x, w):
    """Return N, D and M of an affine layer."""
    if x.ndim == 0:
        raise ValueError(f"{operation}: x has shape (), expected (N, d_1, ..., d_k)")
    N, D = x.shape[0], math.prod(x.shape[1:])
    if w.ndim != 2 or w.shape[0] != D:
        raise ValueError(
            f"{operation}: w has shape {w.shape}, expected ({D}, M) to match x of shape {x.shape}"
        )
    return N, D, w.shape[1]


def affine_forward(x, w, b):
    """Return out = x w + b and the cache (x, w, b); each x[i] is read as one row of D numbers."""
    cache = (x, w, b)
    x, w, b = as_real("affine_forward", x=x, w=w, b=b)
    N, D, M = _affine_sizes("affine_forward", x, w)
    _expect_row("affine_forward", "b", b, M, f"w of shape {w.shape}")
    return x.reshape(N, D) @ w + b, cache


def affine_backward(dout, cache):
    """Return dx = dout w^T, dw = x^T dout and db, the sum of dout over the batch."""
    x, w, _ = cache
    dout, x, w = as_real("affine_backward", dout=dout, x=x, w=w)
    N, D, M = _affine_sizes("affine_backward", x, w)
    _expect_shape("affine_backward", "dout", dout, (N, M), f"x of shape {x.shape}")
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(N, D).T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


def relu_forward(x):
    """Return x with its negative elements set to 0, and the cache x; NaN stays NaN."""
    cache = x
    (x,) = as_real("relu_forward", x=x)
    return np.where(x < 0, x.dtype.type(0), x), cache


def relu_backward(dout, cache):
    """Return dout * (x >= 0): the gradient passes where x is 0."""
    dout, x = as_real("relu_backward", dout=dout, x=cache)
    _expect_shape("relu_backward", "dout", dout, x.shape, f"x of shape {x.shape}")
    return dout * (x >= 0)


def batchnorm_forward(x, gamma, beta, bn_param):
    """Return gamma * x_normalized + beta and the cache (Ioffe & Szegedy 2015, algorithm 1).

    Training normalises by the batch's mean and biased variance and updates the running ones in
    ``bn_param``; testing normalises by the running ones and keeps no cache.
    """
    mode = _value("batchnorm_forward", "bn_param", bn_param, "mode")
    if mode not in ("train", "test"):
        raise ValueError(f'Invalid forward batchnorm mode "{mode}"')
    eps = float(bn_param.get("eps", 1e-5))
    momentum = float(bn_param.get("momentum", 0.9))

    x, gamma, beta = as_real("batchnorm_forward", x=x, gamma=gamma, beta=beta)
    if x.ndim != 2:
        raise ValueError(f"batchnorm_forward: x has shape {x.shape}, expected (N, D)")
    N, D = x.shape
    zeros = np.zeros(D, x.dtype)
    running_mean, running_var = as_real(
        "batchnorm_forward",
        running_mean=bn_param.get("running_mean", zeros),
        running_var=bn_param.get("running_var", zeros),
    )
    for name, array in [
        ("gamma", gamma),
        ("beta", beta),
        ("running_mean", running_mean),
        ("running_var", running_var),
    ]:
        _expect_row("batchnorm_forward", name, array, D, f"x of shape {x.shape}")
    running_mean = running_mean.astype(x.dtype, copy=False)
    running_var = running_var.astype(x.dtype, copy=False)

    if mode == "train":
        if N == 0:
            raise ValueError("batchnorm_forward: x has no rows, training mode needs at least one")
        mean, var = x.mean(axis=0), x.var(axis=0)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
    else:
        mean, var = running_mean, running_var

    rstd = 1 / np.sqrt(var + eps)
    x_normalized = (x - mean) * rstd
    out = gamma * x_normalized + beta
    cache = None
    if mode == "train":
        cache = {"x_normalized": x_normalized, "rstd": rstd, "gamma": gamma}

    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    """Return dx, dgamma and dbeta of batch normalisation in training mode.

    The mean and the variance depend on x too; gathered, the three paths give
    dx = gamma * rstd * (dout - mean(dout) - x_normalized * mean(dout * x_normalized)).
    """
    if cache is None:
        raise ValueError(
            "batchnorm_backward: cache is None, batchnorm_forward keeps one in mode 'train' only"
        )
    dout, x_normalized, rstd, gamma = as_real(
        "batchnorm_backward",
        dout=dout,
        x_normalized=cache["x_normalized"],
        rstd=cache["rstd"],
        gamma=cache["gamma"],
    )
    N, D = x_normalized.shape
    _expect_shape("batchnorm_backward", "dout", dout, (N, D), f"x of shape {(N, D)}")
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_normalized).sum(axis=0)
    dx = gamma * rstd * (dout - dbeta / N - x_normalized * (dgamma / N))
    return dx, dgamma, dbeta


# CS231n asks for the backward pass twice, step by step and simplified: this is the simplified one.
batchnorm_backward_alt = batchnorm_backward


def layernorm_forward(x, gamma, beta, ln_param):
    """Return gamma * x_normalized + beta and the cache (Ba, Kiros & Hinton 2016).

    Every row is normalised by its own mean and biased variance, in training and testing alike.
    """
    if not isinstance(ln_param, dict):
        raise TypeError(f"layernorm_forward: ln_param is {ln_param!r}, expected a dict")
    eps = float(ln_param.get("eps", 1e-5))
    x, gamma, beta = as_real("layernorm_forward", x=x, gamma=gamma, beta=beta)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"layernorm_forward: x has shape {x.shape}, expected (N, D) with D at least 1"
        )
    for name, array in [("gamma", gamma), ("beta", beta)]:
        _expect_row("layernorm_forward", name, array, x.shape[1], f"x of shape {x.shape}")

    mean, var = x.mean(axis=1), x.var(axis=1)
    rstd = 1 / np.sqrt(var + eps)
    x_normalized = (x - mean[:, np.newaxis]) * rstd[:, np.newaxis]
    out = gamma * x_normalized + beta
    return out, {"x_normalized": x_normalized, "rstd": rstd, "gamma": gamma}


def layernorm_backward(dout, cache):
    """Return dx, dgamma and dbeta of layer normalisation.

    A row's mean and variance depend on its x too; gathered, the three paths give, with
    g = gamma * dout and means over the row's features,
    dx = rstd * (g - mean(g) - x_normalized * mean(g * x_normalized)).
    """
    if not isinstance(cache, dict):
        raise TypeError(f"layernorm_backward: cache is {cache!r}, expected a dict")
    dout, x_normalized, rstd, gamma = as_real(
        "layernorm_backward",
        dout=dout,
        x_normalized=cache["x_normalized"],
        rstd=cache["rstd"],
        gamma=cache["gamma"],
    )
    N, D = x_normalized.shape
    if D == 0:
        raise ValueError(
            f"layernorm_backward: x_normalized has shape {(N, D)}, "
            "expected (N, D) with D at least 1"
        )
    _expect_shape("layernorm_backward", "dout", dout, (N, D), f"x of shape {(N, D)}")
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_normalized).sum(axis=0)
    g = gamma * dout
    shift = g.mean(axis=1, keepdims=True)
    slope = (g * x_normalized).mean(axis=1, keepdims=True)
    dx = rstd[:, np.newaxis] * (g - shift - x_normalized * slope)
    return dx, dgamma, dbeta


def dropout_forward(x, dropout_param):
    """Keep each element with probability p, scaled by 1/p (inverted dropout; Srivastava 2014)."""
    p = float(_value("dropout_forward", "dropout_param", dropout_param, "p"))
    mode = _value("dropout_forward", "dropout_param", dropout_param, "mode")
    if mode not in ("train", "test"):
        raise ValueError(f'Invalid forward dropout mode "{mode}"')
    if not 0 < p <= 1:
        raise ValueError(f"dropout_forward: p is {p}, expected a probability of keeping, in (0, 1]")
    (x,) = as_real("dropout_forward", x=x)
    rng = dropout_param.get("rng", "numpy")
    if rng not in ("numpy", "philox"):
        raise ValueError(f"dropout_forward: rng is {rng!r}, expected 'numpy' or 'philox'")
    if rng == "philox":
        key = philox.key_of(dropout_param, drawn=mode == "train")
    elif "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode == "test":
        return x, (dropout_param, None)
    if rng == "philox":
        kept = (philox.stream(key, x.size) < np.ceil(p * 2**32)).reshape(x.shape)
    else:
        kept = np.asarray(np.random.rand(*x.shape) < p)
    mask = kept.astype(x.dtype) / p
    return x * mask, (dropout_param, mask)


def dropout_backward(dout, cache):
    """Return dout * mask, the mask of the forward pass; in test mode dout."""
    dropout_param, mask = cache
    mode = _value("dropout_backward", "dropout_param", dropout_param, "mode")
    if mode not in ("train", "test"):
        raise ValueError(f'Invalid backward dropout mode "{mode}"')
    if mode == "test":
        (dout,) = as_real("dropout_backward", dout=dout)
        return dout
    if mask is None:
        raise ValueError("dropout_backward: cache has no mask, its forward pass ran in mode 'test'")
    dout, mask = as_real("dropout_backward", dout=dout, mask=mask)
    _expect_shape("dropout_backward", "dout", dout, mask.shape, f"the mask of shape {mask.shape}")
    return dout * mask


def _as_scores(operation, x, y):
    """Return the scores x in the dtype computed in, and the labels y, checked against them."""
    (x,) = as_real(operation, x=x)
    y = np.asarray(y)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(
            f"{operation}: x has shape {x.shape}, expected (N, C) with N and C at least 1"
        )
    N, C = x.shape
    if y.dtype.kind not in "iu":
        raise TypeError(f"{operation}: y has dtype {y.dtype}, expected integers")
    _expect_shape(operation, "y", y, (N,), f"x of shape {x.shape}")
    if y.min() < 0 or y.max() >= C:
        wrong = y[(y < 0) | (y >= C)][0]
        raise ValueError(f"{operation}: y has the label {wrong}, expected labels in [0, {C})")
    return x, y


def svm_loss(x, y):
    """Return the multiclass hinge loss, margin 1, and its gradient (Weston & Watkins 1999)."""
    x, y = _as_scores("svm_loss", x, y)
    N = x.shape[0]
    rows = np.arange(N)
    margins = np.maximum(0, x - x[rows, y][:, np.newaxis] + 1)
    margins[rows, y] = 0
    loss = margins.sum() / N
    dx = (margins > 0).astype(x.dtype)
    dx[rows, y] -= dx.sum(axis=1)
    return loss, dx / N


def softmax_loss(x, y, label_smoothing=0.0):
    """Return the cross-entropy of softmax(x) and its gradient, by log-sum-exp.

    log softmax(x)_j = x_j - max - log sum_k exp(x_k - max): no probability is ever rounded to 0
    before its logarithm is taken.  The targets are (1 - label_smoothing) onehot(y) +
    label_smoothing / C (Szegedy et al. 2016).
    """
    x, y = _as_scores("softmax_loss", x, y)
    if not isinstance(label_smoothing, numbers.Real):
        raise TypeError(f"softmax_loss: label_smoothing is {label_smoothing!r}, expected a number")
    label_smoothing = float(label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"softmax_loss: label_smoothing is {label_smoothing}, expected a number in [0, 1]"
        )
    N, C = x.shape
    rows = np.arange(N)
    shifted = x - x.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_probabilities[rows, y].sum() / N
    dx = np.exp(log_probabilities)
    dx[rows, y] -= 1 - label_smoothing
    if label_smoothing > 0:
        uniform = -log_probabilities.mean(axis=1).sum() / N
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform
        dx -= label_smoothing / C
    return loss, dx / N
