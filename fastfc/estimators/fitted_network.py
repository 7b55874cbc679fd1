"""The network of an estimator: how it is built, its scores, and the weights that people see."""

from __future__ import annotations

import contextlib
import copy
import operator
from typing import TYPE_CHECKING, cast

import numpy as np

from .. import _core
from ..fc_net import FullyConnectedNet
from ..networks.initial_weights import UNDRAWN
from .batches import dense_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .._types import Array, Params, Predictor
    from .settings import Settings


class FittedNetwork:
    """The network of an estimator, which is trained in place.

    Parameters
    ----------
    settings : Settings
        Of the estimator.
    loss : str
        The network's.
    sizes : sequence of int
        Inputs, units of each hidden layer, outputs.
    params : dict of ndarray
        The first weights and biases.
    output : {'identity', 'logistic', 'softmax', 'exp'}
        What an estimator returns of the scores.
    dropout_state : MT19937
        What dropout's masks are drawn by.

    Attributes
    ----------
    net : FullyConnectedNet
    sizes : list of int
    training : bool
        Whether the parameters are about to change: then nothing is kept of them.
    """

    def __init__(
        self,
        settings: Settings,
        loss: str,
        sizes: Sequence[int],
        params: Params,
        output: str,
        dropout_state: np.random.MT19937 | None,
    ) -> None:
        self.sizes = list(sizes)
        self.output = output
        self.training = False
        self.dropout_state = dropout_state
        undrawn: Any = UNDRAWN
        self.net = FullyConnectedNet(
            list(sizes[1:-1]),
            input_dim=sizes[0],
            num_classes=sizes[-1],
            dropout=settings.dropout,
            dropout_convention="drop",
            rng="philox",
            normalization=settings.normalization,
            dtype=params["W1"].dtype.type,
            activation=settings.activation,
            loss=loss,
            loss_param=settings.loss_param,
            label_smoothing=settings.label_smoothing,
            weight_scale=undrawn,
        )
        self.net.params.update(
            {name: owned(params[name]) for name in self.net.params if name in params}
        )
        if self.net.use_dropout and dropout_state is not None:
            self.net.dropout_param["generator"] = dropout_state
        self._forget()

    def _forget(self) -> None:
        """Forget what has been made of the parameters."""
        self._predictor: Predictor | None = None
        self._hidden: Predictor | None = None
        self._shown: list[list[Array]] = []
        self.respond: _core.Response | None = None

    def show_weights(self) -> list[list[Array]]:
        """Return the weights of all layers, and the biases: views that nobody can write to."""
        self._forget()
        self._shown = [
            [_read_only(self.net.params[f"{kind}{i}"]) for i in range(1, self.net.num_layers + 1)]
            for kind in "Wb"
        ]
        return [list(arrays) for arrays in self._shown]

    def shows(self, coefs: Sequence[Array], intercepts: Sequence[Array]) -> bool:
        """Return whether these are the arrays that `show_weights` has returned last."""
        return (
            len(self._shown) == 2
            and len(coefs) == len(intercepts) == len(self._shown[0])
            and all(map(operator.is_, coefs, self._shown[0]))
            and all(map(operator.is_, intercepts, self._shown[1]))
        )

    def take_weights(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
        """Take over weights and biases that somebody has set.

        Raises
        ------
        ValueError
            They are not of the network's shapes.
        """
        taken: Params = {}
        for i, arrays in enumerate(zip(coefs, intercepts, strict=True), start=1):
            for kind, name, value in zip("Wb", ("coefs_", "intercepts_"), arrays, strict=True):
                here = self.net.params[f"{kind}{i}"]
                array = np.array(value, here.dtype)
                if array.shape != here.shape:
                    raise ValueError(
                        f"{name}[{i - 1}] has shape {array.shape}, expected {here.shape}"
                    )
                taken[f"{kind}{i}"] = array
        if len(taken) != 2 * self.net.num_layers:
            raise ValueError(
                f"coefs_ has {len(coefs)} arrays, expected {self.net.num_layers}, one a layer"
            )
        self.net.params.update(taken)
        self._forget()

    def scores(self, X: Any) -> Array:
        """Return the scores of examples, of an array or a CSR matrix in the network's dtype."""
        scores = np.empty((X.shape[0], self._width(self.net.num_layers)), self.net.dtype)
        forward: Any = self.net.loss if self.training else self.predictor()
        for rows, part in dense_parts(X):
            scores[rows] = forward(part)
        return scores

    def hidden(self, X: Any) -> Array:
        """Return the output of the last hidden layer, of examples as `scores` takes them."""
        out = np.empty((X.shape[0], self._width(self.net.num_layers - 1)), self.net.dtype)
        predictor = self._hidden or self._hidden_predictor()
        if not self.training:
            self._hidden = predictor
        for rows, part in dense_parts(X):
            out[rows] = predictor(part)
        return out

    def predictor(self) -> Predictor:
        """Return the network's predictor, which is kept until the parameters change."""
        if self._predictor is not None:
            return self._predictor
        predictor: Any = self.net.predictor()
        if self._shown:
            self.respond = _core.Response(predictor, self.output, *self._shown)
        self._predictor = predictor
        return cast("Predictor", predictor)

    def _hidden_predictor(self) -> Predictor:
        """Return the predictor of the network whose output layer is the identity."""
        last, width = self.net.num_layers, self._width(self.net.num_layers - 1)
        twin = copy.copy(self.net)  # whose memory between calls is not copied
        identity = {f"W{last}": np.eye(width), f"b{last}": np.zeros(width)}
        twin.params = self.net.params | {
            name: value.astype(self.net.dtype) for name, value in identity.items()
        }
        return twin.predictor()

    def _width(self, layer: int) -> int:
        """Return the outputs of a layer; layer 0 is the input."""
        return self.sizes[layer]

    @contextlib.contextmanager
    def in_float64(self) -> Iterator[None]:
        """Compute in float64 for a while; the parameters are rounded to the dtype afterwards."""
        dtype = self.net.dtype
        self._convert(np.float64)
        try:
            yield
        finally:
            self._convert(dtype)

    def _convert(self, dtype: type[np.floating[Any]]) -> None:
        """Let the network be one of another dtype."""
        if self.net.dtype is dtype:
            return
        twin = copy.copy(self.net)
        twin.dtype = dtype
        with np.errstate(over="ignore"):
            twin.params = {name: value.astype(dtype) for name, value in twin.params.items()}
            twin.bn_params = [
                {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in found.items()}
                for found in twin.bn_params
            ]
        self.net = twin
        self._forget()

    def state(self) -> dict[str, Any]:
        """Return what training changes, in arrays of its own: `restore` takes it back."""
        return {
            "params": {name: value.copy() for name, value in self.net.params.items()},
            "bn_params": copy.deepcopy(self.net.bn_params),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned, which it then owns."""
        self.net.params, self.net.bn_params = state["params"], state["bn_params"]
        self._forget()

    def is_finite(self) -> bool:
        """Return whether every parameter is."""
        return all(np.isfinite(value).all() for value in self.net.params.values())

    def __getstate__(self) -> dict[str, Any]:
        made = ("_predictor", "_hidden", "_shown", "respond")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def owned(array: Array) -> Array:
    """Return an array that may be written to: a copy of one that is mapped from a file.

    Examples
    --------
    >>> owned(np.broadcast_to(0.0, (2,))).flags.writeable
    True
    """
    plain = type(array) is np.ndarray and array.flags.writeable
    return array if plain else np.array(array)


def owned_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dictionary of one's own, whose arrays may be written to.

    Examples
    --------
    >>> owned_values({"t": 3})
    {'t': 3}
    """
    return {k: owned(v) if isinstance(v, np.ndarray) else v for k, v in config.items()}


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
