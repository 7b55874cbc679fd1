"""What is served in the place of fastfc's own: in a course's order, convention, or over its layers.

All of it behaves as fastfc's own, and is pickled as such.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.util
from typing import TYPE_CHECKING, cast

import numpy as np

from .. import fc_net, layer_tests, layers
from ..networks import fully_connected
from ..networks.joined_layers import JOINED, JoinedLayers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, SupportsIndex

    from typing_extensions import Self

    from .._types import (
        Array,
        ArrayLike,
        DropoutCache,
        Layers,
        NetworkLayers,
        Params,
        ReadParam,
        Scalar,
    )
    from .course import Course


def replacements(course: Course) -> dict[str, Any]:
    """Return what stands in the place of fastfc's names, None for those that are left out."""
    homes = course.homes
    instead: dict[str, Any] = {}
    if course.convention == "drop":
        instead["dropout_forward"] = dropout_forward_that_drops
    if "layers" in homes or "layer_utils" in homes:
        over = _OwnLayers(homes.get("layers"), homes.get("layer_utils"))
        if "layers" in homes:
            own = vars(importlib.import_module(homes["layers"]))
            instead |= {name: own.get(name) for name in layers.__all__}
        instead |= {name: getattr(over, name) for name in JOINED}
    for kind in ("FullyConnectedNet", "TwoLayerNet"):
        instead[kind] = network(
            kind, course.convention, course.order, homes.get("layers"), homes.get("layer_utils")
        )
    return instead


def tests_of(course: Course) -> dict[str, Any]:
    """Return the names of `fastfc.layer_tests`, which test the course's own layers."""
    spec = importlib.util.find_spec(layer_tests.__name__)
    assert spec is not None  # it has been imported
    assert spec.loader is not None
    own = importlib.util.module_from_spec(spec)  # a second one, with names of its own
    spec.loader.exec_module(own)
    instead = replacements(course)
    if "fc_net" in course.homes:
        home = importlib.import_module(course.homes["fc_net"])
        instead["FullyConnectedNet"] = home.FullyConnectedNet
    for name in vars(layer_tests).keys() & instead.keys():
        setattr(own, name, instead[name] or functools.partial(_absent, name))
    return {name: getattr(own, name) for name in layer_tests.__all__}


def _absent(name: str, *args: object, **kwargs: object) -> NoReturn:
    raise NameError(f"{name} is not in the layers that were kept")


@functools.wraps(layers.dropout_forward)
def dropout_forward_that_drops(
    x: ArrayLike, dropout_param: ReadParam
) -> tuple[Array, DropoutCache]:
    """As `fastfc.layers.dropout_forward`, with the convention 'drop' where none is given."""
    if "convention" in dropout_param:
        return layers.dropout_forward(x, dropout_param)
    out, (_, mask) = layers.dropout_forward(x, {**dropout_param, "convention": "drop"})
    return out, (dropout_param, mask)


class _OwnLayers:
    """The course's own layers, looked up when they are called, so that edits are seen.

    Parameters
    ----------
    layers, layer_utils : str or None
        Names of the modules; fastfc's layers stand in for None.
    """

    def __init__(self, layers: str | None, layer_utils: str | None) -> None:
        self._homes = [name for name in (layer_utils, layers) if name is not None]
        self._whole = layers is not None
        self._joined = JoinedLayers(cast("Layers", self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        for home in self._homes:
            found = getattr(importlib.import_module(home), name, None)
            if found is not None:
                return _two_arguments(found) if name == "softmax_loss" else found
        if name in JOINED:
            return getattr(self._joined, name)
        if self._whole:
            raise AttributeError(
                f"{' and '.join(self._homes)}, which you keep, has no {name}, which fastfc's "
                "network calls"
            )
        return getattr(layers, name)


def _two_arguments(softmax_loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loss that is called with label_smoothing only where there is some."""

    @functools.wraps(softmax_loss)
    def loss(x: ArrayLike, y: ArrayLike, label_smoothing: float = 0.0, **weights: Any) -> Any:
        smoothing = (label_smoothing,) if label_smoothing else ()
        return softmax_loss(x, y, *smoothing, **weights)

    return loss


@functools.cache
def network(
    kind: str,
    convention: str = "keep",
    order: str = "nndl",
    own_layers: str | None = None,
    own_layer_utils: str | None = None,
) -> type[fully_connected.FullyConnectedNet]:
    """Return the class that is served under the name of a network.

    Parameters
    ----------
    kind : {'FullyConnectedNet', 'TwoLayerNet'}
    convention : {'keep', 'drop'}
        The default of ``dropout_convention``.
    order : {'nndl', 'cs231n'}
        In which TwoLayerNet takes its arguments by position.
    own_layers, own_layer_utils : str or None
        Names of modules whose layers it calls.
    """
    over = own_layers or own_layer_utils
    base: type[fully_connected.FullyConnectedNet] = getattr(
        fully_connected if over else fc_net, kind
    )
    if kind == "FullyConnectedNet":
        order = "nndl"  # which is CS231n's too
    if not over and convention == "keep" and order == "nndl":
        return base

    class Network(_Served, base):  # type: ignore[misc, valid-type]  # a base that is chosen here
        __doc__ = getattr(fc_net, kind).__doc__
        _key = (kind, convention, order, own_layers, own_layer_utils)
        __init__ = _constructor(base, convention, order)
        if over:
            _layers = cast("NetworkLayers", _OwnLayers(own_layers, own_layer_utils))

            def _sum_of_squares(self, W: Array) -> Scalar:
                squares: Scalar = np.sum(W * W)
                return squares

            def _data_loss(
                self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
            ) -> tuple[Scalar, Params]:
                loss, grads = base._data_loss(self, X, y, sample_weight)
                return self.dtype(loss), {name: self._cast(name, g) for name, g in grads.items()}

            def _test_scores(self, X: ArrayLike) -> Array:
                scores: Array = self._cast("scores", base._test_scores(self, X))
                return scores

    Network.__name__ = Network.__qualname__ = kind
    made: type[fully_connected.FullyConnectedNet] = Network
    return made


class _Served:
    """Copies stay of their class; a pickle has fastfc's public one, or makes the class again."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        key = type(self).__dict__.get("_key")
        if key is None:  # a subclass of the user's own
            return super().__reduce_ex__(protocol)
        if any(key[3:]):
            return _again, key, _state(self)
        return object.__new__, (getattr(fc_net, key[0]),), _state(self)

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(_state(self))
        return twin

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = memo[id(self)] = object.__new__(type(self))
        twin.__dict__.update(copy.deepcopy(_state(self), memo))
        return twin


def _state(network: object) -> dict[str, object]:
    """Return what a copy needs: attributes, but for the memory between the layers and the lock."""
    return {k: v for k, v in vars(network).items() if k not in ("_memory", "_lock")}


def _again(*key: Any) -> fully_connected.FullyConnectedNet:
    """Return an empty network over the course's layers, for pickles."""
    made = network(*key)
    return made.__new__(made)


def _constructor(base: Any, convention: str, order: str) -> Callable[..., None]:
    """Return the constructor of a class over ``base``."""
    make = _in_cs231ns_order if order == "cs231n" else _in_own_order
    return make(base, convention)


def _in_cs231ns_order(base: Any, convention: str) -> Callable[..., None]:
    def __init__(
        self: Any,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        **options: Any,
    ) -> None:
        base.__init__(
            self,
            input_dim,
            options.pop("hidden_dims", hidden_dim),
            num_classes,
            weight_scale=weight_scale,
            reg=reg,
            **{"dropout_convention": convention, **options},
        )

    return __init__


def _in_own_order(base: Any, convention: str) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        if "dropout_keep_ratio" in options:  # which says itself what it is
            options.setdefault("dropout_convention", "keep")
        base.__init__(self, *args, **{"dropout_convention": convention, **options})

    vars(__init__)["__wrapped__"] = base.__init__  # for its signature
    return __init__
