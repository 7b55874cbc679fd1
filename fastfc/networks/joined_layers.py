"""Layers that usually follow one another, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..arguments import shown

if TYPE_CHECKING:
    from typing import Any

    from .._types import (
        AffineBatchnormReluCache,
        AffineGradients,
        AffineLayernormReluCache,
        AffineReluCache,
        Array,
        ArrayLike,
        JoinedGradients,
        LayerParam,
        Layers,
        ReadParam,
    )

JOINED = [
    "affine_batchnorm_relu_backward",
    "affine_batchnorm_relu_forward",
    "affine_bn_relu_backward",
    "affine_bn_relu_forward",
    "affine_ln_relu_backward",
    "affine_ln_relu_forward",
    "affine_relu_backward",
    "affine_relu_forward",
]


def _split(name: str, cache: Any, count: int) -> tuple[Any, ...]:
    """Return the caches of the layers in a joined layer's."""
    try:
        parts = tuple(cache)
    except TypeError:
        parts = ()
    if len(parts) != count:
        raise ValueError(
            f"{name}_backward: cache is {shown(cache)}, expected what {name}_forward returns"
        )
    return parts


class JoinedLayers:
    """An affine layer joined with what follows it, over a module of layers.

    A module ``layer_utils`` offers the methods for its package's ``layers``, as functions.

    Parameters
    ----------
    layers : module
        Offers ``affine_forward``, ``relu_forward`` and so on.
    """

    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def affine_relu_forward(
        self, x: ArrayLike, w: ArrayLike, b: ArrayLike
    ) -> tuple[Array, AffineReluCache]:
        """Affine layer, then ReLU.

        Parameters
        ----------
        x : array_like, shape (N, d_1, ..., d_k)
            Input; each ``x[i]`` is read as one row of D = d_1 * ... * d_k numbers.
        w : array_like, shape (D, M)
            Weights.
        b : array_like, shape (M,)
            Biases.

        Returns
        -------
        out : ndarray, shape (N, M)
            ``max(x w + b, 0)``; float32 if all inputs are float32, else float64.
        cache : tuple
            What ``affine_relu_backward`` needs.

        Raises
        ------
        TypeError, ValueError
            As ``affine_forward``.

        Examples
        --------
        >>> from fastfc.layer_utils import affine_relu_backward, affine_relu_forward
        >>> out, cache = affine_relu_forward([[1.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]], [0.5, 0.5])
        >>> out
        array([[3.5, 0. ]])
        >>> dx, dw, db = affine_relu_backward([[1.0, 1.0]], cache)
        >>> dx
        array([[1., 1.]])
        """
        hidden, fc_cache = self._layers.affine_forward(x, w, b)
        out, relu_cache = self._layers.relu_forward(hidden)
        return out, (fc_cache, relu_cache)

    def affine_relu_backward(self, dout: ArrayLike, cache: AffineReluCache) -> AffineGradients:
        """Gradient of ``affine_relu_forward``.

        Parameters
        ----------
        dout : array_like, shape (N, M)
            Gradient of the loss with respect to ``out``.
        cache : tuple
            From ``affine_relu_forward``.

        Returns
        -------
        dx : ndarray, shape of x
        dw : ndarray, shape (D, M)
        db : ndarray, shape (M,)

        Raises
        ------
        TypeError, ValueError
            As ``relu_backward``.

        Examples
        --------
        >>> from fastfc.layer_utils import affine_relu_backward, affine_relu_forward
        >>> out, cache = affine_relu_forward([[1.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]], [0.5, 0.5])
        >>> dx, dw, db = affine_relu_backward([[10.0, 10.0]], cache)
        >>> dw, db
        (array([[10.,  0.],
               [20.,  0.]]), array([10.,  0.]))
        """
        fc_cache, relu_cache = _split("affine_relu", cache, 2)
        dhidden = self._layers.relu_backward(dout, relu_cache)
        return self._layers.affine_backward(dhidden, fc_cache)

    def affine_batchnorm_relu_forward(
        self,
        x: ArrayLike,
        w: ArrayLike,
        b: ArrayLike,
        gamma: ArrayLike,
        beta: ArrayLike,
        bn_param: LayerParam,
    ) -> tuple[Array, AffineBatchnormReluCache]:
        """Affine layer, then batch normalisation, then ReLU; also ``affine_bn_relu_forward``.

        Parameters
        ----------
        x, w, b : array_like
            As for ``affine_relu_forward``.
        gamma, beta : array_like, shape (M,)
            Scale and shift of the batch normalisation.
        bn_param : dict
            As for ``batchnorm_forward``, which updates it.

        Returns
        -------
        out : ndarray, shape (N, M)
        cache : tuple
            What ``affine_batchnorm_relu_backward`` needs.

        Raises
        ------
        TypeError, ValueError
            As ``affine_forward`` and ``batchnorm_forward``.

        Examples
        --------
        >>> from fastfc.layer_utils import affine_batchnorm_relu_forward
        >>> x, w, b = [[1.0], [3.0]], [[1.0]], [0.0]
        >>> out, cache = affine_batchnorm_relu_forward(x, w, b, [1.0], [0.0], {"mode": "train"})
        >>> out.round(3)
        array([[0.],
               [1.]])
        """
        hidden, fc_cache = self._layers.affine_forward(x, w, b)
        normalized, bn_cache = self._layers.batchnorm_forward(hidden, gamma, beta, bn_param)
        out, relu_cache = self._layers.relu_forward(normalized)
        return out, (fc_cache, bn_cache, relu_cache)

    def affine_batchnorm_relu_backward(
        self, dout: ArrayLike, cache: AffineBatchnormReluCache
    ) -> JoinedGradients:
        """Gradient of ``affine_batchnorm_relu_forward``; also ``affine_bn_relu_backward``.

        Parameters
        ----------
        dout : array_like, shape (N, M)
            Gradient of the loss with respect to ``out``.
        cache : tuple
            From ``affine_batchnorm_relu_forward`` in training mode.

        Returns
        -------
        dx : ndarray, shape of x
        dw : ndarray, shape (D, M)
        db, dgamma, dbeta : ndarray, shape (M,)

        Raises
        ------
        TypeError, ValueError
            As ``relu_backward`` and ``batchnorm_backward``.

        Examples
        --------
        >>> from fastfc.layer_utils import affine_bn_relu_backward, affine_bn_relu_forward
        >>> x, w, b = [[1.0], [3.0]], [[1.0]], [0.0]
        >>> out, cache = affine_bn_relu_forward(x, w, b, [1.0], [0.0], {"mode": "train"})
        >>> dx, dw, db, dgamma, dbeta = affine_bn_relu_backward([[10.0], [20.0]], cache)
        >>> dgamma.round(3), dbeta
        (array([20.]), array([20.]))
        """
        fc_cache, bn_cache, relu_cache = _split("affine_batchnorm_relu", cache, 3)
        dnormalized = self._layers.relu_backward(dout, relu_cache)
        dhidden, dgamma, dbeta = self._layers.batchnorm_backward(dnormalized, bn_cache)
        dx, dw, db = self._layers.affine_backward(dhidden, fc_cache)
        return dx, dw, db, dgamma, dbeta

    affine_bn_relu_forward = affine_batchnorm_relu_forward
    affine_bn_relu_backward = affine_batchnorm_relu_backward

    def affine_ln_relu_forward(
        self,
        x: ArrayLike,
        w: ArrayLike,
        b: ArrayLike,
        gamma: ArrayLike,
        beta: ArrayLike,
        ln_param: ReadParam,
    ) -> tuple[Array, AffineLayernormReluCache]:
        """Affine layer, then layer normalisation, then ReLU.

        Parameters
        ----------
        x, w, b : array_like
            As for ``affine_relu_forward``.
        gamma, beta : array_like, shape (M,)
            Scale and shift of the layer normalisation.
        ln_param : dict
            As for ``layernorm_forward``.

        Returns
        -------
        out : ndarray, shape (N, M)
        cache : tuple
            What ``affine_ln_relu_backward`` needs.

        Raises
        ------
        TypeError, ValueError
            As ``affine_forward`` and ``layernorm_forward``.

        Examples
        --------
        >>> from fastfc.layer_utils import affine_ln_relu_forward
        >>> x, w, b = [[1.0]], [[1.0, 3.0]], [0.0, 0.0]
        >>> out, cache = affine_ln_relu_forward(x, w, b, [1.0, 1.0], [0.0, 0.0], {})
        >>> out.round(3)
        array([[0., 1.]])
        """
        hidden, fc_cache = self._layers.affine_forward(x, w, b)
        normalized, ln_cache = self._layers.layernorm_forward(hidden, gamma, beta, ln_param)
        out, relu_cache = self._layers.relu_forward(normalized)
        return out, (fc_cache, ln_cache, relu_cache)

    def affine_ln_relu_backward(
        self, dout: ArrayLike, cache: AffineLayernormReluCache
    ) -> JoinedGradients:
        """Gradient of ``affine_ln_relu_forward``.

        Parameters
        ----------
        dout : array_like, shape (N, M)
            Gradient of the loss with respect to ``out``.
        cache : tuple
            From ``affine_ln_relu_forward``.

        Returns
        -------
        dx : ndarray, shape of x
        dw : ndarray, shape (D, M)
        db, dgamma, dbeta : ndarray, shape (M,)

        Raises
        ------
        TypeError, ValueError
            As ``relu_backward`` and ``layernorm_backward``.

        Examples
        --------
        >>> from fastfc.layer_utils import affine_ln_relu_backward, affine_ln_relu_forward
        >>> x, w, b = [[1.0]], [[1.0, 3.0]], [0.0, 0.0]
        >>> out, cache = affine_ln_relu_forward(x, w, b, [1.0, 1.0], [0.0, 0.0], {})
        >>> dx, dw, db, dgamma, dbeta = affine_ln_relu_backward([[10.0, 20.0]], cache)
        >>> dgamma.round(3), dbeta
        (array([ 0., 20.]), array([ 0., 20.]))
        """
        fc_cache, ln_cache, relu_cache = _split("affine_ln_relu", cache, 3)
        dnormalized = self._layers.relu_backward(dout, relu_cache)
        dhidden, dgamma, dbeta = self._layers.layernorm_backward(dnormalized, ln_cache)
        dx, dw, db = self._layers.affine_backward(dhidden, fc_cache)
        return dx, dw, db, dgamma, dbeta
