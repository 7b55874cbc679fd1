"""Where in a network the first number arises that is not finite."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

import numpy as np

from .joined_layers import JoinedLayers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._types import Array, Layers, NetworkLayers


class WatchedLayers(JoinedLayers):
    """Layers that note where the first output arises that is not finite."""

    def __init__(self, layers: NetworkLayers) -> None:
        super().__init__(cast("Layers", self))  # the joined layers' parts are watched too
        self._watched = layers
        self._number = 0
        self.first: str | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return functools.partial(self._forward, name.removesuffix("_forward"))

    def _forward(self, operation: str, *args: object) -> tuple[Array, object]:
        self._number += operation == "affine"
        out, cache = getattr(self._watched, f"{operation}_forward")(*args)
        if self.first is None and not np.isfinite(out).all():
            self.first = f"layer {self._number}: {operation}"
        return out, cache
