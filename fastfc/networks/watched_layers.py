"""Where in a network the first number arises that is not finite."""

import functools

import numpy as np

from .joined_layers import JoinedLayers


class WatchedLayers(JoinedLayers):
    """Layers that note where the first output arises that is not finite."""

    def __init__(self, layers):
        super().__init__(self)  # the joined layers' parts are watched too
        self._watched = layers
        self._number = 0
        self.first = None

    def __getattr__(self, name):
        return functools.partial(self._forward, name.removesuffix("_forward"))

    def _forward(self, operation, *args):
        self._number += operation == "affine"
        out, cache = getattr(self._watched, f"{operation}_forward")(*args)
        if self.first is None and not np.isfinite(out).all():
            self.first = f"layer {self._number}: {operation}"
        return out, cache
