"""The layers in plain NumPy: one function forward, one backward; the losses with them.

Letters: N batch, D inputs, M outputs, C classes.  Every function computes in float32 if all its
arrays are float32 and in float64 otherwise; Python's own numbers fit themselves to either.
"""

from __future__ import annotations

import math
import warnings
from collections import abc
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import shown
from ..arrays import VARIANCE_BEYOND, as_number, as_real, expect_shape, quiet
from . import philox
from .losses import (
    absolute_error_loss,
    huber_loss,
    logistic_loss,
    poisson_loss,
    quantile_loss,
    softmax_loss,
    squared_error_loss,
    svm_loss,
)

if TYPE_CHECKING:
    from typing import Any

    from .._types import (
        AffineCache,
        AffineGradients,
        Array,
        ArrayLike,
        BatchnormCache,
        DropoutCache,
        LayerParam,
        NormalizationCache,
        NormalizationGradients,
        ReadParam,
    )

__all__ = [
    "absolute_error_loss",
    "affine_backward",
    "affine_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "dropout_backward",
    "dropout_forward",
    "gelu_backward",
    "gelu_forward",
    "huber_loss",
    "layernorm_backward",
    "layernorm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "logistic_loss",
    "np",  # a star import brings np along, as it does from the original
    "poisson_loss",
    "quantile_loss",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softmax_loss",
    "squared_error_loss",
    "svm_loss",
    "tanh_backward",
    "tanh_forward",
]


def _value(operation: str, mapping_name: str, mapping: ReadParam, key: str) -> Any:
    """Return a value that the mapping must have."""
    if key not in mapping:
        raise ValueError(f"{operation}: {mapping_name} has no key {key!r}")
    return mapping[key]


def _mode(operation: str, mapping_name: str, mapping: ReadParam, what: str) -> str:
    """Return the mode, which the mapping must have."""
    mode = _value(operation, mapping_name, mapping, "mode")
    if not isinstance(mode, str) or mode not in ("train", "test"):
        text = mode if isinstance(mode, str) else shown(mode)
        raise ValueError(f'Invalid {what} mode "{text}"')
    return mode


def _expect_row(operation: str, name: str, array: Array, length: int, partner: str) -> None:
    """Raise ValueError unless ``array`` broadcasts to one row of ``length`` numbers."""
    if array.shape not in [(length,), (1, length), ()]:
        expect_shape(operation, name, array, (length,), partner)


def _expect_broadcast(operation: str, name: str, array: Array, x: Array) -> None:
    """Raise ValueError unless ``array`` broadcasts against x (N, D) without changing its shape."""
    N, D = x.shape
    if array.shape not in [(), (1,), (D,), (1, 1), (1, D), (N, 1), (N, D)]:
        raise ValueError(
            f"{operation}: {name} has shape {array.shape}, expected {(D,)}, or one that broadcasts "
            f"to {(N, D)}, to match x of shape {(N, D)}"
        )


def _sum_rows(x: Array) -> Array:
    """Return x.sum(axis=0), added pairwise: NumPy does so along contiguous elements only."""
    sums: Array = np.ascontiguousarray(x.T).sum(axis=1)
    return sums


def _sum_to_shape(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Return the gradient (N, D) of what was broadcast from ``shape``, in that shape."""
    if len(shape) == 2 and shape[0] != 1:
        return gradient if shape[1] == gradient.shape[1] else gradient.sum(axis=1, keepdims=True)
    row = _sum_rows(gradient)
    return np.reshape(row if shape and shape[-1] == row.size else row.sum(), shape)


def _eps(operation: str, name: str, mapping: ReadParam) -> float:
    eps = as_number(operation, f"{name}['eps']", mapping.get("eps", 1e-5))
    if not 0 <= eps < math.inf:
        raise ValueError(
            f"{operation}: {name}['eps'] is {shown(mapping['eps'])}, expected a finite number of "
            "at least 0"
        )
    return eps


def _momentum(bn_param: ReadParam) -> float:
    momentum = as_number("batchnorm_forward", "bn_param['momentum']", bn_param.get("momentum", 0.9))
    if not 0 <= momentum <= 1:
        raise ValueError(
            f"batchnorm_forward: bn_param['momentum'] is {shown(bn_param['momentum'])}, expected "
            "a number from 0 to 1"
        )
    return momentum


def _normalize(x: Array, eps: float) -> tuple[Array, Array, Array, Array]:
    """Return (x - mean) * rstd, mean, var and rstd of each row of x.

    All is computed from numbers near 1, x divided by powers of two, which rounds nothing: squares
    neither overflow nor vanish.  var is infinite where it is beyond the dtype; nothing else is.
    """
    with np.errstate(all="ignore"):
        shift = np.frexp(np.abs(x).max(axis=1))[1]
        scaled = np.ldexp(x, -shift[:, np.newaxis])
        mean = scaled.mean(axis=1)
        deviations = scaled - mean[:, np.newaxis]
        size = np.maximum(np.abs(deviations).max(axis=1), np.ldexp(math.sqrt(eps), -shift))
        further = np.frexp(size)[1]
        both = shift + further
        deviations = np.ldexp(deviations, -further[:, np.newaxis])
        var = np.square(deviations).mean(axis=1)
        rstd = 1 / np.sqrt(var + np.ldexp(eps, -2 * both).astype(x.dtype))
        normalized = deviations * rstd[:, np.newaxis]
        return normalized, np.ldexp(mean, shift), np.ldexp(var, 2 * both), np.ldexp(rstd, -both)


def _affine_sizes(operation: str, x: Array, w: Array) -> tuple[int, int, int]:
    """Return N, D and M of an affine layer."""
    if x.ndim == 0:
        raise ValueError(f"{operation}: x has shape (), expected (N, d_1, ..., d_k)")
    N, D = x.shape[0], math.prod(x.shape[1:])
    if w.ndim != 2 or w.shape[0] != D:
        raise ValueError(
            f"{operation}: w has shape {w.shape}, expected ({D}, M) to match x of shape {x.shape}"
        )
    return N, D, w.shape[1]


@quiet
def affine_forward(x: ArrayLike, w: ArrayLike, b: ArrayLike) -> tuple[Array, AffineCache]:
    """Return out = x w + b and the cache (x, w, b); each x[i] is read as one row of D numbers."""
    cache = (x, w, b)
    x, w, b = as_real("affine_forward", x=x, w=w, b=b)
    N, D, M = _affine_sizes("affine_forward", x, w)
    _expect_row("affine_forward", "b", b, M, f"w of shape {w.shape}")
    return x.reshape(N, D) @ w + b, cache


@quiet
def affine_backward(dout: ArrayLike, cache: AffineCache) -> AffineGradients:
    """Return dx = dout w^T, dw = x^T dout and db, the sum of dout over the batch."""
    x, w, _ = cache
    dout, x, w = as_real("affine_backward", dout=dout, x=x, w=w)
    N, D, M = _affine_sizes("affine_backward", x, w)
    expect_shape("affine_backward", "dout", dout, (N, M), f"x of shape {x.shape}")
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(N, D).T @ dout
    db = _sum_rows(dout)
    return dx, dw, db


@quiet
def relu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Return x with its negative elements set to 0, and the cache x; NaN stays NaN."""
    cache = x
    (x,) = as_real("relu_forward", x=x)
    return np.where(x < 0, x.dtype.type(0), x), cache


@quiet
def relu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Return dout * (x >= 0): the gradient passes where x is 0."""
    dout, x = _with_cache("relu_backward", dout, cache, "x")
    return dout * (x >= 0)


@quiet
def sigmoid_forward(x: ArrayLike) -> tuple[Array, Array]:
    """Return 1 / (1 + exp(-x)), of negative x as exp(x) / (1 + exp(x)), and as the cache too."""
    (x,) = as_real("sigmoid_forward", x=x)
    out = _sigmoid(x)
    return out, out


@quiet
def sigmoid_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Return dout * (out * (1 - out))."""
    dout, out = _with_cache("sigmoid_backward", dout, cache, "out")
    return dout * (out * (1 - out))


@quiet
def tanh_forward(x: ArrayLike) -> tuple[Array, Array]:
    """Return tanh(x), and as the cache too."""
    (x,) = as_real("tanh_forward", x=x)
    out = np.asarray(np.tanh(x))
    return out, out


@quiet
def tanh_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Return dout * (1 - out^2), of two factors, which cancel less."""
    dout, out = _with_cache("tanh_backward", dout, cache, "out")
    return dout * ((1 - out) * (1 + out))


@quiet
def leaky_relu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Return x with its negative elements times 0.01, and the cache x."""
    cache = x
    (x,) = as_real("leaky_relu_forward", x=x)
    return np.where(x < 0, x.dtype.type(0.01) * x, x), cache


@quiet
def leaky_relu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Return dout, times 0.01 unless x >= 0."""
    dout, x = _with_cache("leaky_relu_backward", dout, cache, "x")
    return dout * np.where(x >= 0, x.dtype.type(1), x.dtype.type(0.01))


@quiet
def silu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Return x / (1 + exp(-x)), at -inf its limit, and the cache x."""
    cache = x
    (x,) = as_real("silu_forward", x=x)
    return np.maximum(x, np.finfo(x.dtype).min) * _sigmoid(x), cache


@quiet
def silu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Return dout times the slope s(x) (1 + x s(-x)), where s is the sigmoid."""
    dout, x = _with_cache("silu_backward", dout, cache, "x")
    z = np.clip(x, -_FURTHEST, _FURTHEST)
    return dout * (_sigmoid(z) * (1 + z * _sigmoid(-z)))


@quiet
def gelu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Return x Phi(x), at -inf its limit, and the cache x."""
    cache = x
    (x,) = as_real("gelu_forward", x=x)
    return np.maximum(x, np.finfo(x.dtype).min) * _normal(x), cache


@quiet
def gelu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Return dout times the slope Phi(x) + x phi(x)."""
    dout, x = _with_cache("gelu_backward", dout, cache, "x")
    z = np.clip(x, -_FURTHEST, _FURTHEST)
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return dout * (_normal(z) + z * density)


_FURTHEST = 1000  # slopes are those at the ends from here on, in either dtype


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    sigmoid: Array = np.where(x < 0, small, x.dtype.type(1)) / (1 + small)
    return sigmoid


def _normal(x: Array) -> Array:
    """Return Phi(x), the normal distribution's function, rounded from float64 to x's dtype."""
    erfc = np.frompyfunc(math.erfc, 1, 1)
    return np.asarray(0.5 * erfc(-math.sqrt(0.5) * x.astype(np.float64))).astype(x.dtype)


def _with_cache(
    operation: str, dout: ArrayLike, cache: ArrayLike, name: str
) -> tuple[Array, Array]:
    """Return dout and what the cache is, of one shape."""
    dout, array = as_real(operation, **{"dout": dout, name: cache})
    expect_shape(operation, "dout", dout, array.shape, f"{name} of shape {array.shape}")
    return dout, array


def _cache(x_normalized: Array, rstd: Array, gamma: Array, beta: Array) -> NormalizationCache:
    """Return what the backward pass needs: beside these the shape of beta, unless it is (D,)."""
    cache: NormalizationCache = {"x_normalized": x_normalized, "rstd": rstd, "gamma": gamma}
    if beta.shape != x_normalized.shape[1:]:
        cache["beta_shape"] = beta.shape
    return cache


@quiet
def batchnorm_forward(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, bn_param: LayerParam
) -> tuple[Array, BatchnormCache]:
    """Return gamma * x_normalized + beta and the cache (Ioffe & Szegedy 2015, algorithm 1).

    Training normalises by the batch's mean and biased variance and updates the running ones in
    ``bn_param``; testing normalises by the running ones and keeps no cache.
    """
    mode = _mode("batchnorm_forward", "bn_param", bn_param, "forward batchnorm")
    eps, momentum = _eps("batchnorm_forward", "bn_param", bn_param), _momentum(bn_param)

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
    for name, array in [("gamma", gamma), ("beta", beta)]:
        _expect_broadcast("batchnorm_forward", name, array, x)
    for name, array in [("running_mean", running_mean), ("running_var", running_var)]:
        _expect_row("batchnorm_forward", name, array, D, f"x of shape {x.shape}")
    running_mean = running_mean.astype(x.dtype, copy=False)
    running_var = running_var.astype(x.dtype, copy=False)

    if mode == "train":
        if N == 0:
            raise ValueError("batchnorm_forward: x has no rows, training mode needs at least one")
        x_normalized, mean, var, rstd = _normalize(np.ascontiguousarray(x.T), eps)
        x_normalized = np.ascontiguousarray(x_normalized.T)
        beyond = np.isinf(var)
        if beyond.any():
            warnings.warn(VARIANCE_BEYOND, RuntimeWarning, stacklevel=2)
        averages = [
            momentum * old + (1 - momentum) * new
            for old, new in ((running_mean, mean), (running_var, var))
        ]
        running_mean = np.where(beyond, running_mean, averages[0])
        running_var = np.where(beyond, running_var, averages[1])
        cache = _cache(x_normalized, rstd, gamma, beta)
    else:
        x_normalized = (x - running_mean) * (1 / np.sqrt(running_var + eps))
        cache = None
    out = gamma * x_normalized + beta

    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


@quiet
def batchnorm_backward(dout: ArrayLike, cache: BatchnormCache) -> NormalizationGradients:
    """Return dx, dgamma and dbeta of batch normalisation in training mode.

    The mean and the variance depend on x too; gathered, the three paths give
    dx = rstd * (g - mean(g) - x_normalized * mean(g * x_normalized)) with g = gamma * dout, where
    gamma, if there is one for each feature, is a factor of all.
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
    expect_shape("batchnorm_backward", "dout", dout, (N, D), f"x of shape {(N, D)}")
    _expect_broadcast("batchnorm_backward", "cache['gamma']", gamma, x_normalized)
    per_feature = gamma.ndim < 2 or gamma.shape[0] == 1
    g, scale = (dout, gamma * rstd) if per_feature else (gamma * dout, rstd)
    shift, slope = _sum_rows(g) / N, _sum_rows(g * x_normalized) / N
    dx = scale * (g - shift - x_normalized * slope)
    dgamma = _sum_to_shape(dout * x_normalized, gamma.shape)
    return dx, dgamma, _sum_to_shape(dout, cache.get("beta_shape", (D,)))


# CS231n asks for the backward pass twice, step by step and simplified: this is the simplified one.
batchnorm_backward_alt = batchnorm_backward


@quiet
def layernorm_forward(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, ln_param: ReadParam
) -> tuple[Array, NormalizationCache]:
    """Return gamma * x_normalized + beta and the cache (Ba, Kiros & Hinton 2016).

    Every row is normalised by its own mean and biased variance, in training and testing alike.
    """
    if not isinstance(ln_param, abc.Mapping):
        raise TypeError(f"layernorm_forward: ln_param is {shown(ln_param)}, expected a dict")
    eps = _eps("layernorm_forward", "ln_param", ln_param)
    x, gamma, beta = as_real("layernorm_forward", x=x, gamma=gamma, beta=beta)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"layernorm_forward: x has shape {x.shape}, expected (N, D) with D at least 1"
        )
    for name, array in [("gamma", gamma), ("beta", beta)]:
        _expect_broadcast("layernorm_forward", name, array, x)

    x_normalized, _, _, rstd = _normalize(np.ascontiguousarray(x), eps)
    return gamma * x_normalized + beta, _cache(x_normalized, rstd, gamma, beta)


@quiet
def layernorm_backward(dout: ArrayLike, cache: NormalizationCache) -> NormalizationGradients:
    """Return dx, dgamma and dbeta of layer normalisation.

    A row's mean and variance depend on its x too; gathered, the three paths give, with
    g = gamma * dout and means over the row's features,
    dx = rstd * (g - mean(g) - x_normalized * mean(g * x_normalized)).
    """
    if not isinstance(cache, dict):
        raise TypeError(f"layernorm_backward: cache is {shown(cache)}, expected a dict")
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
    expect_shape("layernorm_backward", "dout", dout, (N, D), f"x of shape {(N, D)}")
    _expect_broadcast("layernorm_backward", "cache['gamma']", gamma, x_normalized)
    g = np.multiply(gamma, dout, order="C")  # NumPy sums pairwise along contiguous elements only
    shift = g.mean(axis=1, keepdims=True)
    slope = np.multiply(g, x_normalized, order="C").mean(axis=1, keepdims=True)
    dx = rstd[:, np.newaxis] * (g - shift - x_normalized * slope)
    dgamma = _sum_to_shape(dout * x_normalized, gamma.shape)
    return dx, dgamma, _sum_to_shape(dout, cache.get("beta_shape", (D,)))


@quiet
def dropout_forward(x: ArrayLike, dropout_param: ReadParam) -> tuple[Array, DropoutCache]:
    """Keep each element with probability p, scaled by 1/p (inverted dropout; Srivastava 2014).

    In the convention 'drop' it is dropped with probability p, and scaled by 1/(1 - p).
    """
    p = _value("dropout_forward", "dropout_param", dropout_param, "p")
    p = as_number("dropout_forward", "dropout_param['p']", p)
    mode = _mode("dropout_forward", "dropout_param", dropout_param, "forward dropout")
    convention = dropout_param.get("convention", "keep")
    if not isinstance(convention, str) or convention not in ("keep", "drop"):
        raise ValueError(
            f"dropout_forward: convention is {shown(convention)}, expected 'keep' or 'drop'"
        )
    drop = convention == "drop"
    if drop and not 0 <= p < 1:
        raise ValueError(
            f"dropout_forward: p is {p}, expected a probability of dropping, in [0, 1)"
        )
    if not drop and not 0 < p <= 1:
        raise ValueError(f"dropout_forward: p is {p}, expected a probability of keeping, in (0, 1]")
    (x,) = as_real("dropout_forward", x=x)
    rng = dropout_param.get("rng", "numpy")
    if not isinstance(rng, str) or rng not in ("numpy", "philox"):
        raise ValueError(f"dropout_forward: rng is {shown(rng)}, expected 'numpy' or 'philox'")
    if rng == "philox":
        key = philox.key_of(dropout_param, drawn=mode == "train")
    elif "seed" in dropout_param:
        try:
            np.random.seed(dropout_param["seed"])
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"dropout_forward: dropout_param['seed'] is {shown(dropout_param['seed'])}, "
                "expected an integer in [0, 2**32)"
            ) from None
    if mode == "test":
        return x, (dropout_param, None)
    if rng == "philox":
        below = (philox.stream(key, x.size) < np.ceil(p * 2**32)).reshape(x.shape)
    else:
        below = np.asarray(philox.generator_of(dropout_param).rand(*x.shape) < p)
    kept, scale = (~below, 1 - p) if drop else (below, p)
    mask = kept.astype(x.dtype) / scale
    return x * mask, (dropout_param, mask)


@quiet
def dropout_backward(dout: ArrayLike, cache: DropoutCache) -> Array:
    """Return dout * mask, the mask of the forward pass; in test mode dout."""
    dropout_param, mask = cache
    mode = _mode("dropout_backward", "dropout_param", dropout_param, "backward dropout")
    if mode == "test":
        (dout,) = as_real("dropout_backward", dout=dout)
        return dout
    if mask is None:
        raise ValueError("dropout_backward: cache has no mask, its forward pass ran in mode 'test'")
    dout, mask = as_real("dropout_backward", dout=dout, mask=mask)
    expect_shape("dropout_backward", "dout", dout, mask.shape, f"the mask of shape {mask.shape}")
    return dout * mask
