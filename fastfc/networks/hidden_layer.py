"""A hidden layer of a network, over a module of layers: affine - [normalisation] - activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .arguments import ACTIVATIONS, HIDDEN_LAYERS

if TYPE_CHECKING:
    from typing import Any

    from .._types import Array, NetworkLayers


def hidden_forward(
    layers: NetworkLayers, normalization: str | None, activation: str, x: Array, *arguments: Any
) -> tuple[Array, Any]:
    """Return a hidden layer's output and its cache.

    Parameters
    ----------
    layers : module
    normalization, activation
        As networks have them.
    x : ndarray, shape (N, d_1, ..., d_k)
    *arguments
        w and b; with normalisation gamma, beta and its dictionary.
    """
    if activation == "relu":  # joined layers may be a course's own
        joined = getattr(layers, f"{HIDDEN_LAYERS[normalization]}_forward")
        result: tuple[Array, Any] = joined(x, *arguments)
        return result
    w, b, *rest = arguments
    out, fc_cache = layers.affine_forward(x, w, b)
    caches: list[Any] = [fc_cache]
    if normalization:
        out, cache = getattr(layers, f"{normalization}_forward")(out, *rest)
        caches.append(cache)
    name = ACTIVATIONS[activation]
    if name is not None:
        out, cache = getattr(layers, f"{name}_forward")(out)
        caches.append(cache)
    return out, caches


def hidden_backward(
    layers: NetworkLayers, normalization: str | None, activation: str, dout: Array, cache: Any
) -> tuple[Array, ...]:
    """Return dx, dw, db, and with normalisation dgamma and dbeta."""
    if activation == "relu":
        joined = getattr(layers, f"{HIDDEN_LAYERS[normalization]}_backward")
        gradients: tuple[Array, ...] = joined(dout, cache)
        return gradients
    fc_cache, *caches = cache
    rest: list[Array] = []
    name = ACTIVATIONS[activation]
    if name is not None:
        dout = getattr(layers, f"{name}_backward")(dout, caches.pop())
    if normalization:
        dout, *rest = getattr(layers, f"{normalization}_backward")(dout, caches.pop())
    return (*layers.affine_backward(dout, fc_cache), *rest)
