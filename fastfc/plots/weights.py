"""Weights as pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import shown
from ..arrays import to_array
from .figures import one_axes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from matplotlib.axes import Axes

    from .._types import AnyArray, Array, ArrayLike

GAP = 1  # pixels between two images


def weights(model: Any, shape: Sequence[int], *, most: int = 100, ax: Axes | None = None) -> Axes:
    """Draw the weights into each unit of the first hidden layer as an image, side by side.

    Parameters
    ----------
    model : network or array_like, shape (D, M)
        A network, whose W1 is drawn, or the weights.
    shape : (H, W) or (C, H, W)
        Of an example, C * H * W = D: grey images, or with C = 3 red, green and blue.
    most : int
        Units that are drawn, the first ones.
    ax : matplotlib Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    matplotlib Axes
        Each image has a scale of its own, from its least weight to its greatest.

    Raises
    ------
    ValueError
        shape is another one, or not that of D numbers.

    Examples
    --------
    >>> from fastfc import plots
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> axes = plots.weights(FullyConnectedNet([4], input_dim=3 * 8 * 8), (3, 8, 8))
    >>> axes.images[0].get_array().shape  # two images across and two down
    (17, 17, 3)
    """
    source: ArrayLike = model.params["W1"] if hasattr(model, "params") else model
    w = np.asarray(to_array("weights", source), np.float64)
    sizes = tuple(int(size) for size in shape)
    channels, height, width = (
        (1, *sizes) if len(sizes) == 2 else sizes if len(sizes) == 3 else (0,) * 3
    )
    if channels not in (1, 3) or min(height, width) < 1:
        raise ValueError(f"shape is {shown(shape)}, expected (H, W), (1, H, W) or (3, H, W)")
    if w.ndim != 2 or w.shape[0] != math.prod(sizes):
        raise ValueError(
            f"weights have shape {w.shape}, expected ({math.prod(sizes)}, M) for {sizes}"
        )
    images = w.T[:most].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    axes = one_axes(ax)
    axes.imshow(mosaic(images), cmap="gray", interpolation="nearest", vmin=0, vmax=1)
    axes.set_axis_off()
    return axes


def mosaic(images: Array, blank: float = 1.0) -> AnyArray:
    """Return images (M, H, W, C) as one, about square, each from 0 to 1; the rest is blank, white.

    Examples
    --------
    >>> mosaic(np.array([[[[3.0], [7.0]]], [[[1.0], [1.0]]]]))
    array([[0. , 1. , 1. , 0.5, 0.5]])
    """
    M, height, width, channels = images.shape
    across = max(math.ceil(math.sqrt(M)), 1)
    down = max(math.ceil(M / across), 1)
    shape = down * (height + GAP) - GAP, across * (width + GAP) - GAP, channels
    joined = np.full(shape, blank)
    for i, image in enumerate(images):
        top, left = i // across * (height + GAP), i % across * (width + GAP)
        low, high = image.min(), image.max()
        scaled = (image - low) / (high - low) if high > low else np.full_like(image, 0.5)
        joined[top : top + height, left : left + width] = scaled
    return joined.squeeze(axis=2) if channels == 1 else joined
