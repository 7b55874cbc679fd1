"""Networks from elsewhere, step by step, as fastfc's.

fastfc's are {affine - [normalisation] - activation - [dropout]} x (L - 1) - affine, with one
normalisation, activation and dropout for all hidden layers.  A network that follows that pattern is
taken as it is.  Of others, in eval mode,

- a batch normalisation is x * scale + shift, and goes into the affine layer before or behind it;
- two affine layers without anything between them are one;
- dropout is nothing;

and what is left has to follow the pattern.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import quiet
from ..fc_net import FullyConnectedNet
from ..networks.initial_weights import UNDRAWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .._types import Array


@dataclasses.dataclass
class Affine:
    """x @ W + b, of W (D, M) and b (M,); like all arrays here in float64.

    ``place`` is in every step what messages call it: where it stands and what it is there.
    """

    place: str
    W: Array
    b: Array


@dataclasses.dataclass
class Norm:
    """A normalisation of M features, over the batch where it has running statistics.

    ``momentum`` is fastfc's, of the old value; None where the old and the new are weighted in
    another way.
    """

    place: str
    gamma: Array
    beta: Array
    eps: float
    mean: Array | None = None
    var: Array | None = None
    momentum: float | None = None

    @property
    def kind(self) -> str:
        """What networks call it."""
        return "layernorm" if self.mean is None else "batchnorm"

    @property
    def goes_on(self) -> bool:
        """Whether fastfc's would train on as it does."""
        return self.mean is None or self.momentum is not None


@dataclasses.dataclass
class Activation:
    """An activation by its name in fastfc."""

    place: str
    name: str


@dataclasses.dataclass
class Dropout:
    """Dropout of units with probability p."""

    place: str
    p: float


Step = Affine | Norm | Activation | Dropout


@dataclasses.dataclass
class _Layer:
    """An affine layer and what follows it, in the pattern's order."""

    affine: Affine
    norm: Norm | None = None
    activation: Activation | None = None
    dropout: Dropout | None = None

    @property
    def kind(self) -> str | None:
        """The normalisation's."""
        return None if self.norm is None else self.norm.kind


def build_network(
    operation: str,
    steps: Iterable[Step],
    dtype: type[np.floating[Any]],
    *,
    loss: str = "softmax",
    loss_param: float | None = None,
) -> FullyConnectedNet:
    """Return the network that computes what these steps do.

    Where only its scores are the same, and training would go another way, there is a UserWarning
    that names what has been folded.

    Parameters
    ----------
    operation : str
        Who asks, for messages.
    steps : iterable of Step
    dtype : type
        Of the network.
    loss, loss_param
        Of the network.

    Returns
    -------
    FullyConnectedNet
        Nothing is drawn from ``np.random``.

    Raises
    ------
    ValueError
        No network of fastfc's computes that, and which step is why.

    Examples
    --------
    >>> first, last = Affine("a", np.ones((3, 2)), np.zeros(2)), Affine("b", np.eye(2), np.ones(2))
    >>> net = build_network("f", [first, Activation("c", "tanh"), last], np.float64)
    >>> net, net.loss([[0, 0, 0]])
    (<FullyConnectedNet: 3-2-2, tanh, float64>, array([[1., 1.]]))
    """
    folding = _Folding(operation)
    layers = folding.join_affine(folding.read_layers(steps))
    folding.unify(layers)
    if folding.notes:
        warnings.warn(
            f"{operation}: {'; '.join(folding.notes)}: the scores are the same, training on would "
            "go another way",
            stacklevel=3,
        )
    return _construct(layers, dtype, loss, loss_param)


class _Folding:
    """What becomes of steps that do not follow the pattern, and notes of it."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.notes: list[str] = []

    def refuse(self, place: str, reason: str) -> ValueError:
        return ValueError(f"{self.operation}: {place}: {reason}")

    def read_layers(self, steps: Iterable[Step]) -> list[_Layer]:
        """Return the layers, the last without anything behind it."""
        layers: list[_Layer] = []
        before: list[Norm] = []  # batch normalisations that the next affine layer takes in
        for step in steps:
            if isinstance(step, Affine):
                self._check_width(step.place, len(step.W), layers, before)
                for norm in reversed(before):
                    self._fold_before(norm, step)
                before = []
                layers.append(_Layer(step))
            elif isinstance(step, Norm):
                self._check_width(step.place, len(step.gamma), layers, before)
                self._place_norm(step, layers, before)
            elif isinstance(step, Activation):
                self._place_activation(step, layers, before)
            else:
                self._place_dropout(step, layers)
        if not layers:
            raise ValueError(f"{self.operation}: there is no affine layer, expected one at least")
        self._end(layers[-1])
        return layers

    def _check_width(
        self, place: str, width: int, layers: Sequence[_Layer], before: Sequence[Norm]
    ) -> None:
        """Raise ValueError unless a step takes as many features as there are."""
        there = len(layers[-1].affine.b) if layers else width
        there = len(before[-1].gamma) if before else there
        if width != there:
            raise self.refuse(place, f"it takes {width} features, {there} come")

    def _place_norm(self, norm: Norm, layers: Sequence[_Layer], before: list[Norm]) -> None:
        """Give a layer its normalisation, or fold it."""
        last = layers[-1] if layers else None
        if last is None or last.activation is not None:
            if norm.kind == "layernorm":
                raise self.refuse(norm.place, "expected between an affine layer and its activation")
            before.append(norm)
        elif last.norm is None:
            last.norm = norm
        elif last.norm.kind == "batchnorm":
            self._fold_behind(last)
            last.norm = norm
        elif norm.kind == "batchnorm":
            scale, shift = self._scale_of(norm, last.norm.place)
            last.norm.gamma = last.norm.gamma * scale
            last.norm.beta = last.norm.beta * scale + shift
        else:
            raise self.refuse(norm.place, f"expected one normalisation, there is {last.norm.place}")
        if last is not None and last.activation is None and last.dropout is not None:
            self._leave_out(last)  # it stood before the normalisation

    def _place_activation(
        self, step: Activation, layers: Sequence[_Layer], before: Sequence[Norm]
    ) -> None:
        """Give a layer its activation."""
        if not layers:
            raise self.refuse(step.place, "expected an affine layer before it")
        last = layers[-1]
        if last.activation is not None:
            there = before[-1].place if before else last.activation.place
            raise self.refuse(step.place, f"expected an affine layer after {there}")
        last.activation = step
        if last.dropout is not None:
            self._leave_out(last)  # it stood before the activation

    def _place_dropout(self, step: Dropout, layers: Sequence[_Layer]) -> None:
        """Give a layer its dropout, or leave it out."""
        if step.p == 0:
            return
        if layers and layers[-1].dropout is None and step.p < 1:
            layers[-1].dropout = step
        else:
            self.notes.append(f"{step.place} is left out")

    def _end(self, last: _Layer) -> None:
        """Leave nothing behind the last affine layer."""
        if last.activation is not None:
            raise self.refuse(
                last.activation.place,
                "expected nothing behind the last affine layer, which gives the scores: leave it "
                "off",
            )
        if last.norm is not None and last.norm.kind == "layernorm":
            raise self.refuse(last.norm.place, "expected an activation and an affine layer behind")
        self._fold_behind(last)
        self._leave_out(last)

    @quiet
    def join_affine(self, layers: list[_Layer]) -> list[_Layer]:
        """Return the layers, those without activation joined to the next where others have one."""
        if all(layer.activation is None for layer in layers):
            return layers
        joined: list[_Layer] = []
        for layer in reversed(layers):
            if not joined or layer.activation is not None:
                joined.insert(0, layer)
                continue
            if layer.norm is not None and layer.norm.kind == "layernorm":
                raise self.refuse(layer.norm.place, "expected an activation behind it, as others")
            self._fold_behind(layer)
            self._leave_out(layer)
            first, second = layer.affine, joined[0].affine
            self.notes.append(f"{first.place} is multiplied into {second.place}")
            joined[0].affine = self._finite(
                Affine(second.place, first.W @ second.W, first.b @ second.W + second.b)
            )
        return joined

    def unify(self, layers: Sequence[_Layer]) -> None:
        """Let all hidden layers have one normalisation, activation and dropout."""
        hidden = layers[:-1]
        names = [layer.activation for layer in hidden if layer.activation is not None]
        for other in names:
            if other.name != names[0].name:
                raise self.refuse(
                    other.place,
                    f"expected {names[0].name}, as {names[0].place}: all hidden layers of a "
                    "network have one activation",
                )
        norms = [layer.norm for layer in hidden if layer.norm is not None]
        if len({layer.kind for layer in hidden}) > 1 or not all(norm.goes_on for norm in norms):
            for layer in hidden:
                if layer.kind == "batchnorm":
                    self._fold_behind(layer)
        norms = [layer.norm for layer in hidden if layer.norm is not None]
        if norms and len(norms) < len(hidden):
            raise self.refuse(
                norms[0].place,
                "expected in every hidden layer or in none: all of a network have the same",
            )
        if len({layer.dropout and layer.dropout.p for layer in hidden}) > 1:
            for layer in hidden:
                self._leave_out(layer)

    def _leave_out(self, layer: _Layer) -> None:
        """Take a layer's dropout away."""
        if layer.dropout is not None:
            self.notes.append(f"{layer.dropout.place} is left out")
            layer.dropout = None

    @quiet
    def _scale_of(self, norm: Norm, into: str) -> tuple[Array, Array]:
        """Return what a batch normalisation multiplies by and adds."""
        assert norm.mean is not None
        assert norm.var is not None
        scale = norm.gamma / np.sqrt(norm.var + norm.eps)
        shift = norm.beta - norm.mean * scale
        if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
            raise self.refuse(norm.place, "expected running statistics that give finite numbers")
        self.notes.append(f"{norm.place} is folded into {into}")
        return scale, shift

    @quiet
    def _fold_behind(self, layer: _Layer) -> None:
        """Fold a layer's batch normalisation into its weights."""
        if layer.norm is None:
            return
        affine = layer.affine
        scale, shift = self._scale_of(layer.norm, affine.place)
        layer.affine = self._finite(
            Affine(affine.place, affine.W * scale, affine.b * scale + shift)
        )
        layer.norm = None

    @quiet
    def _fold_before(self, norm: Norm, affine: Affine) -> None:
        """Fold a batch normalisation into the weights behind it."""
        scale, shift = self._scale_of(norm, affine.place)
        affine.b = affine.b + shift @ affine.W
        affine.W = scale[:, np.newaxis] * affine.W
        self._finite(affine)

    def _finite(self, affine: Affine) -> Affine:
        """Return it if its numbers are finite."""
        if not (np.isfinite(affine.W).all() and np.isfinite(affine.b).all()):
            raise self.refuse(affine.place, "what is folded into it overflows, expected numbers")
        return affine


def _construct(
    layers: Sequence[_Layer], dtype: type[np.floating[Any]], loss: str, loss_param: float | None
) -> FullyConnectedNet:
    """Return the network of layers that follow the pattern."""
    first, *rest = layers
    undrawn: Any = UNDRAWN
    hidden = first if rest else _Layer(first.affine)
    net = FullyConnectedNet(
        [len(layer.affine.b) for layer in layers[:-1]],
        input_dim=len(first.affine.W),
        num_classes=len(layers[-1].affine.b),
        dropout=hidden.dropout.p if hidden.dropout else 0,
        dropout_convention="drop",
        normalization=hidden.kind,
        dtype=dtype,
        activation=hidden.activation.name if hidden.activation else "identity" if rest else "relu",
        loss=loss,
        loss_param=loss_param,
        weight_scale=undrawn,
    )
    net._arguments["weight_scale"] = 1e-2  # of files: the constructor's own
    for i, layer in enumerate(layers, start=1):
        net.params[f"W{i}"] = np.array(layer.affine.W, dtype, order="C")
        net.params[f"b{i}"] = np.array(layer.affine.b, dtype)
        if layer.norm is not None:
            net.params[f"gamma{i}"] = np.array(layer.norm.gamma, dtype)
            net.params[f"beta{i}"] = np.array(layer.norm.beta, dtype)
            net.bn_params[i - 1] |= _layer_param(layer.norm, dtype)
    return net


def _layer_param(norm: Norm, dtype: type[np.floating[Any]]) -> dict[str, Any]:
    """Return what a normalisation's entry of bn_params has."""
    if norm.mean is None:
        return {"eps": norm.eps}
    return {
        "eps": norm.eps,
        "momentum": norm.momentum,
        "running_mean": np.array(norm.mean, dtype),
        "running_var": np.array(norm.var, dtype),
    }
