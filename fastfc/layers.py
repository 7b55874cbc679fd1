"""Layers, forward and backward, computed by the C core; the losses with them.

Letters: N batch, D inputs, M outputs, C classes.  Every function takes arrays of any layout and
real dtype, computes in float32 if all its arrays are float32 and in float64 otherwise, and
returns that dtype.  :mod:`fastfc.reference.layers` says the same in plain NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _core
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
    from ._types import (
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


def affine_forward(x: ArrayLike, w: ArrayLike, b: ArrayLike) -> tuple[Array, AffineCache]:
    """Affine (fully connected) layer, x w + b.

    Parameters
    ----------
    x : array_like, shape (N, d_1, ..., d_k)
        Input; each ``x[i]`` is read as one row of D = d_1 * ... * d_k numbers.
    w : array_like, shape (D, M)
        Weights.
    b : array_like, shape (M,), (1, M) or ()
        Biases.

    Returns
    -------
    out : ndarray, shape (N, M)
    cache : tuple
        ``(x, w, b)``, the objects passed in.

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of w or b does not fit.

    See Also
    --------
    affine_backward : its gradient.

    Examples
    --------
    >>> out, cache = affine_forward([[1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], [10.0, 20.0])
    >>> out
    array([[11., 22.]])
    """
    return _core.affine_forward(x, w, b)


def affine_backward(dout: ArrayLike, cache: AffineCache) -> AffineGradients:
    """Gradient of ``affine_forward``.

    Parameters
    ----------
    dout : array_like, shape (N, M)
        Gradient of the loss with respect to ``out``.
    cache : tuple
        ``(x, w, b)`` from ``affine_forward``.

    Returns
    -------
    dx : ndarray, shape of x
        ``dout w^T``.
    dw : ndarray, shape (D, M)
        ``x^T dout``.
    db : ndarray, shape (M,)
        The sum of dout over the batch.

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout does not fit the cache.

    Examples
    --------
    >>> out, cache = affine_forward([[1.0, 2.0]], [[3.0], [4.0]], [0.0])
    >>> dx, dw, db = affine_backward([[10.0]], cache)
    >>> dx, db
    (array([[30., 40.]]), array([10.]))
    """
    return _core.affine_backward(dout, cache)


def relu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Rectified linear unit, max(x, 0) (Nair & Hinton 2010).

    Parameters
    ----------
    x : array_like, any shape
        Input.  NaN stays NaN.

    Returns
    -------
    out : ndarray, shape of x
    cache : array_like
        ``x`` itself.

    Raises
    ------
    TypeError
        x is not real.

    Examples
    --------
    >>> out, cache = relu_forward([-1.0, 0.0, 2.0])
    >>> out
    array([0., 0., 2.])
    """
    return _core.relu_forward(x)


def relu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Gradient of ``relu_forward``: dout where x >= 0, zero where x is negative.

    Parameters
    ----------
    dout : array_like, shape of x
        Gradient of the loss with respect to ``out``.
    cache : array_like
        ``x`` from ``relu_forward``.

    Returns
    -------
    dx : ndarray, shape of x
        ``dout * (x >= 0)``, a product: infinite dout gives NaN where x is negative.

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout is not that of x.

    Examples
    --------
    >>> relu_backward([5.0, 5.0, 5.0], [-1.0, 0.0, 2.0])
    array([0., 5., 5.])
    """
    return _core.relu_backward(dout, cache)


def sigmoid_forward(x: ArrayLike) -> tuple[Array, Array]:
    """Logistic function, 1 / (1 + exp(-x)).

    Parameters
    ----------
    x : array_like, any shape
        Input.  NaN stays NaN.

    Returns
    -------
    out : ndarray, shape of x
    cache : ndarray
        ``out`` itself.

    Raises
    ------
    TypeError
        x is not real.

    See Also
    --------
    sigmoid_backward : its gradient.

    Examples
    --------
    >>> sigmoid_forward([-2.0, 0.0, 2.0])[0].round(3)
    array([0.119, 0.5  , 0.881])
    """
    return _core.sigmoid_forward(x)


def sigmoid_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Gradient of ``sigmoid_forward``, dout out (1 - out).

    Parameters
    ----------
    dout : array_like, shape of x
        Gradient of the loss with respect to ``out``.
    cache : array_like
        ``out`` from ``sigmoid_forward``.

    Returns
    -------
    dx : ndarray, shape of x

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout is not that of out.

    Examples
    --------
    >>> sigmoid_backward([1.0, 1.0], [0.5, 0.9]).round(3)
    array([0.25, 0.09])
    """
    return _core.sigmoid_backward(dout, cache)


def tanh_forward(x: ArrayLike) -> tuple[Array, Array]:
    """Hyperbolic tangent, tanh(x).

    Parameters
    ----------
    x : array_like, any shape
        Input.  NaN stays NaN.

    Returns
    -------
    out : ndarray, shape of x
    cache : ndarray
        ``out`` itself.

    Raises
    ------
    TypeError
        x is not real.

    See Also
    --------
    tanh_backward : its gradient.

    Examples
    --------
    >>> tanh_forward([-2.0, 0.0, 2.0])[0].round(3)
    array([-0.964,  0.   ,  0.964])
    """
    return _core.tanh_forward(x)


def tanh_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Gradient of ``tanh_forward``, dout (1 - out^2).

    Parameters
    ----------
    dout : array_like, shape of x
        Gradient of the loss with respect to ``out``.
    cache : array_like
        ``out`` from ``tanh_forward``.

    Returns
    -------
    dx : ndarray, shape of x

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout is not that of out.

    Examples
    --------
    >>> tanh_backward([1.0, 1.0], [0.0, 0.9]).round(3)
    array([1.  , 0.19])
    """
    return _core.tanh_backward(dout, cache)


def leaky_relu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Leaky rectified linear unit, x, times 0.01 where it is negative (Maas et al. 2013).

    Parameters
    ----------
    x : array_like, any shape
        Input.  NaN stays NaN.

    Returns
    -------
    out : ndarray, shape of x
    cache : array_like
        ``x`` itself.

    Raises
    ------
    TypeError
        x is not real.

    See Also
    --------
    leaky_relu_backward : its gradient.

    Examples
    --------
    >>> leaky_relu_forward([-2.0, 0.0, 2.0])[0]
    array([-0.02,  0.  ,  2.  ])
    """
    return _core.leaky_relu_forward(x)


def leaky_relu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Gradient of ``leaky_relu_forward``, dout, times 0.01 unless x >= 0.

    Parameters
    ----------
    dout : array_like, shape of x
        Gradient of the loss with respect to ``out``.
    cache : array_like
        ``x`` from ``leaky_relu_forward``.

    Returns
    -------
    dx : ndarray, shape of x

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout is not that of x.

    Examples
    --------
    >>> leaky_relu_backward([1.0, 1.0], [-2.0, 2.0])
    array([0.01, 1.  ])
    """
    return _core.leaky_relu_backward(dout, cache)


def silu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Sigmoid linear unit or swish, x / (1 + exp(-x)) (Elfwing et al. 2018).

    Parameters
    ----------
    x : array_like, any shape
        Input.  NaN stays NaN.  At -inf the output is the limit, -0.

    Returns
    -------
    out : ndarray, shape of x
    cache : array_like
        ``x`` itself.

    Raises
    ------
    TypeError
        x is not real.

    See Also
    --------
    silu_backward : its gradient.

    Examples
    --------
    >>> silu_forward([-2.0, 0.0, 2.0])[0].round(3)
    array([-0.238,  0.   ,  1.762])
    """
    return _core.silu_forward(x)


def silu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Gradient of ``silu_forward``, dout times the slope.

    Parameters
    ----------
    dout : array_like, shape of x
        Gradient of the loss with respect to ``out``.
    cache : array_like
        ``x`` from ``silu_forward``.

    Returns
    -------
    dx : ndarray, shape of x

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout is not that of x.

    Examples
    --------
    >>> silu_backward([1.0, 1.0], [-2.0, 2.0]).round(3)
    array([-0.091,  1.091])
    """
    return _core.silu_backward(dout, cache)


def gelu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]:
    """Gaussian error linear unit, x Phi(x) (Hendrycks & Gimpel 2016).

    Parameters
    ----------
    x : array_like, any shape
        Input.  NaN stays NaN.  At -inf the output is the limit, -0.
        Phi is the normal distribution's function, not an approximation to it.

    Returns
    -------
    out : ndarray, shape of x
    cache : array_like
        ``x`` itself.

    Raises
    ------
    TypeError
        x is not real.

    See Also
    --------
    gelu_backward : its gradient.

    Examples
    --------
    >>> gelu_forward([-2.0, 0.0, 2.0])[0].round(3)
    array([-0.046,  0.   ,  1.954])
    """
    return _core.gelu_forward(x)


def gelu_backward(dout: ArrayLike, cache: ArrayLike) -> Array:
    """Gradient of ``gelu_forward``, dout times the slope Phi(x) + x phi(x).

    Parameters
    ----------
    dout : array_like, shape of x
        Gradient of the loss with respect to ``out``.
    cache : array_like
        ``x`` from ``gelu_forward``.

    Returns
    -------
    dx : ndarray, shape of x

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout is not that of x.

    Examples
    --------
    >>> gelu_backward([1.0, 1.0], [-2.0, 2.0]).round(3)
    array([-0.085,  1.085])
    """
    return _core.gelu_backward(dout, cache)


def batchnorm_forward(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, bn_param: LayerParam
) -> tuple[Array, BatchnormCache]:
    """Batch normalisation per feature (Ioffe & Szegedy 2015).

    out = gamma * x_normalized + beta, x_normalized = (x - mean) / sqrt(var + eps).
    In mode ``'train'`` mean and var are those of the batch, var biased, and the running ones
    move towards them: running = momentum * running + (1 - momentum) * batch.  In mode ``'test'``
    the running ones are used.

    Parameters
    ----------
    x : array_like, shape (N, D)
        Input.
    gamma, beta : array_like, shape (D,)
        Scale and shift; any other shape that broadcasts to (N, D) will do: (), (1, D), (N, 1) and
        (N, D), say.
    bn_param : dict
        ``mode``, ``'train'`` or ``'test'``; ``eps``, finite and at least 0, default 1e-5;
        ``momentum``, from 0 to 1, default 0.9;
        ``running_mean`` and ``running_var``, shape (D,), default zeros, stored back; training makes
        new arrays.

    Returns
    -------
    out : ndarray, shape (N, D)
    cache : dict or None
        ``x_normalized``, ``rstd`` = 1 / sqrt(var + eps) and ``gamma``; None in mode ``'test'``.
        ``beta_shape`` too where that is not (D,).

    Raises
    ------
    TypeError
        An array is not real, or eps or momentum is not a number.
    ValueError
        The mode is unknown, eps or momentum is out of range, a shape does not fit, or a training
        batch is empty.

    Warns
    -----
    RuntimeWarning
        A feature's variance is beyond the largest number of its dtype (float32: deviations of
        1.8e19 and more).  ``out`` is right, but the running averages could not hold it: they stay
        as they were for that feature, so that one such batch does not spoil them.

    Examples
    --------
    >>> bn_param = {"mode": "train"}
    >>> out, cache = batchnorm_forward([[1.0], [3.0]], [2.0], [5.0], bn_param)
    >>> out.round(3)
    array([[3.],
           [7.]])
    >>> bn_param["running_mean"]
    array([0.2])
    """
    return _core.batchnorm_forward(x, gamma, beta, bn_param)


def batchnorm_backward(dout: ArrayLike, cache: BatchnormCache) -> NormalizationGradients:
    """Gradient of ``batchnorm_forward`` in mode ``'train'``; also ``batchnorm_backward_alt``.

    Parameters
    ----------
    dout : array_like, shape (N, D)
        Gradient of the loss with respect to ``out``.
    cache : dict
        From ``batchnorm_forward``.

    Returns
    -------
    dx : ndarray, shape (N, D)
        ``gamma * rstd * (dout - mean(dout) - x_normalized * mean(dout * x_normalized))``, the
        means over the batch.
    dgamma, dbeta : ndarray, shapes of gamma and beta

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The cache is None, or the shape of dout does not fit it.

    Examples
    --------
    >>> out, cache = batchnorm_forward([[1.0], [3.0]], [2.0], [5.0], {"mode": "train"})
    >>> dx, dgamma, dbeta = batchnorm_backward([[1.0], [2.0]], cache)
    >>> dgamma.round(3), dbeta
    (array([1.]), array([3.]))
    """
    return _core.batchnorm_backward(dout, cache)


batchnorm_backward_alt = batchnorm_backward


def layernorm_forward(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, ln_param: ReadParam
) -> tuple[Array, NormalizationCache]:
    """Layer normalisation per example (Ba, Kiros & Hinton 2016).

    out = gamma * x_normalized + beta, x_normalized = (x - mean) / sqrt(var + eps), where mean and
    var, biased, are those of each row: the same in training and testing.

    Parameters
    ----------
    x : array_like, shape (N, D)
        Input, D >= 1.
    gamma, beta : array_like, shape (D,)
        Scale and shift; any other shape that broadcasts to (N, D) will do: (), (1, D), (N, 1) and
        (N, D), say.  Group normalisation is that of rows (N * groups, D) with such a gamma and
        beta.
    ln_param : dict
        ``eps``, finite and at least 0, default 1e-5.

    Returns
    -------
    out : ndarray, shape (N, D)
    cache : dict
        ``x_normalized``, ``rstd`` = 1 / sqrt(var + eps), shape (N,), and ``gamma``; ``beta_shape``
        too where that is not (D,).

    Raises
    ------
    TypeError
        An array is not real, ln_param is no dict, or eps is not a number.
    ValueError
        eps is out of range, a shape does not fit, or there is no feature.

    Examples
    --------
    >>> out, cache = layernorm_forward([[1.0, 3.0]], [2.0, 2.0], [5.0, 5.0], {})
    >>> out.round(3)
    array([[3., 7.]])
    """
    return _core.layernorm_forward(x, gamma, beta, ln_param)


def layernorm_backward(dout: ArrayLike, cache: NormalizationCache) -> NormalizationGradients:
    """Gradient of ``layernorm_forward``.

    Parameters
    ----------
    dout : array_like, shape (N, D)
        Gradient of the loss with respect to ``out``.
    cache : dict
        From ``layernorm_forward``.

    Returns
    -------
    dx : ndarray, shape (N, D)
        ``rstd * (g - mean(g) - x_normalized * mean(g * x_normalized))`` with g = gamma * dout, the
        means over each row.
    dgamma, dbeta : ndarray, shapes of gamma and beta

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout does not fit the cache.

    Examples
    --------
    >>> out, cache = layernorm_forward([[1.0, 3.0]], [2.0, 2.0], [5.0, 5.0], {})
    >>> dx, dgamma, dbeta = layernorm_backward([[10.0, 20.0]], cache)
    >>> dgamma.round(3), dbeta
    (array([-10.,  20.]), array([10., 20.]))
    """
    return _core.layernorm_backward(dout, cache)


def dropout_forward(x: ArrayLike, dropout_param: ReadParam) -> tuple[Array, DropoutCache]:
    """Inverted dropout: keeps each element with probability p, scaled by 1/p.

    The mask is the one that ``np.random.rand(*x.shape) < p`` would draw, and NumPy's global
    generator is left where NumPy would leave it (Srivastava et al. 2014).

    Parameters
    ----------
    x : array_like, any shape
        Input.
    dropout_param : dict
        ``p``, the probability of *keeping* an element, in (0, 1]; ``mode``, ``'train'`` or
        ``'test'``, which passes x through; ``seed``, optional, reseeds ``np.random`` at every
        call; ``rng``, ``'numpy'`` unless given, or ``'philox'``: element i is then kept when word
        i of a Philox4x32-10 stream (Salmon et al. 2011) is below ``ceil(p * 2**32)``. The
        stream's key is ``seed``, an integer in [0, 2**64), and ``np.random`` is left alone; or,
        without a seed, one ``np.random.randint(2**64, dtype=np.uint64)`` for each call in mode
        ``'train'``.  ``convention``, ``'keep'`` unless given, or ``'drop'``: p is then the
        probability of *dropping* an element, in [0, 1), kept are those that 'keep' would drop,
        ``np.random.rand(*x.shape) >= p``, and they are scaled by 1/(1 - p).

    Returns
    -------
    out : ndarray, shape of x
    cache : tuple
        ``(dropout_param, mask)``; the mask holds 0 and 1/p, or 1/(1 - p) in the convention
        ``'drop'``, and is None in mode ``'test'``.

    Raises
    ------
    TypeError
        x is not real.
    ValueError
        p is out of range, the mode, convention or rng is unknown, or a seed is out of range.

    Examples
    --------
    >>> out, (_, mask) = dropout_forward(np.ones(6), {"mode": "train", "p": 0.5, "seed": 1})
    >>> out
    array([2., 0., 2., 2., 2., 2.])
    """
    return _core.dropout_forward(x, dropout_param)


def dropout_backward(dout: ArrayLike, cache: DropoutCache) -> Array:
    """Gradient of ``dropout_forward``.

    Parameters
    ----------
    dout : array_like, shape of x
        Gradient of the loss with respect to ``out``.
    cache : tuple
        From ``dropout_forward``.

    Returns
    -------
    dx : ndarray, shape of x
        ``dout * mask``; in mode ``'test'`` dout.

    Raises
    ------
    TypeError
        An array is not real.
    ValueError
        The shape of dout is not that of x, or the mode is unknown.

    Examples
    --------
    >>> out, cache = dropout_forward(np.ones(3), {"mode": "train", "p": 0.5, "seed": 1})
    >>> dropout_backward([10.0, 20.0, 30.0], cache)
    array([20.,  0., 60.])
    """
    return _core.dropout_backward(dout, cache)
