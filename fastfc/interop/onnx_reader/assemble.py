"""Layers and networks of what a graph computes, step by step."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...arrays import quiet
from ...networks.arguments import ACTIVATIONS
from ...networks.losses import LOSSES, check_loss
from ...networks.predictor import Layer
from ...preprocessing import check_preprocessing
from .. import steps as interop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._types import AnyArray
    from ...fc_net import FullyConnectedNet
    from .steps import Step

_NORMS = ("batchnorm", "layernorm")
_LOSS_OF = {"softmax": "softmax", "logistic": "logistic", "exp": "poisson"}


class Run(NamedTuple):
    """Layers that follow one another, the last of them affine alone; and the step behind it."""

    layers: list[Layer]
    end: int


def read_run(steps: Sequence[Step], start: int) -> Run:
    """Return the layers that begin with a step, none where that is not affine."""
    layers: list[Layer] = []
    i = end = start
    while i < len(steps) and steps[i].kind == "affine":
        layer = Layer(steps[i].settings["W"], steps[i].settings["b"], activation="identity")
        layers.append(layer)
        i = end = i + 1
        if i < len(steps) and steps[i].kind in _NORMS:
            names = ("gamma", "beta", "mean", "var")
            found: dict[str, Any] = {name: steps[i].settings.get(name) for name in names}
            layer = layer._replace(**found, eps=steps[i].settings["eps"])
            i += 1
        if i < len(steps) and steps[i].kind in ACTIVATIONS:
            layer = layer._replace(activation=steps[i].kind)
            i += 1
        if i < len(steps) and steps[i].kind == "affine":
            layers[-1] = layer
    return Run(layers, end)


@quiet
def build_network(steps: Sequence[Step], said: dict[str, Any]) -> FullyConnectedNet:
    """Return the network that steps are, see `function.OnnxNetwork.network`.

    Parameters
    ----------
    steps : sequence of Step
    said : dict
        What the file says of its network: the loss is taken, and a preprocessing that is not in
        the graph.
    """
    start, preprocessing = _read_preprocessing(steps)
    end = 1 + max(i for i, step in enumerate(steps) if step.kind == "affine" or step.kind in _NORMS)
    loss, param = _read_loss(steps[end:], said)
    dtype = steps[end - 1].dtype.type
    layers = [_as_interop(step) for step in steps[start:end]]
    network = interop.build_network("network", layers, dtype, loss=loss, loss_param=param)
    sizes = network.params["W1"].shape[0], network.params[f"W{network.num_layers}"].shape[1]
    if preprocessing is None:  # not in the graph, but perhaps in what the file says
        with contextlib.suppress(ValueError):
            network.preprocessing = check_preprocessing(said.get("preprocessing"), *sizes)
        return network
    try:
        network.preprocessing = check_preprocessing(preprocessing, *sizes)
    except ValueError as error:
        raise ValueError(f"network: {steps[0].place}: {error}") from None
    return network


def _as_interop(step: Step) -> interop.Step:
    """Return a step as networks of all libraries are made of."""
    if step.kind == "affine" or step.kind in _NORMS:
        wide: dict[str, Any] = {
            name: value.astype(np.float64) if isinstance(value, np.ndarray) else value
            for name, value in step.settings.items()
        }
        made = interop.Affine if step.kind == "affine" else interop.Norm
        return made(step.place, **wide)
    if step.kind in ACTIVATIONS:
        return interop.Activation(step.place, step.kind)
    raise ValueError(
        f"network: {step.place}: it is {step.kind} between layers, expected affine layers, "
        "normalisations and activations alone"
    )


def _read_preprocessing(steps: Sequence[Step]) -> tuple[int, dict[str, Any] | None]:
    """Return where the layers begin, and how examples are normalised before them."""
    start = 1 if steps[0].kind == "cast" else 0
    found: dict[str, AnyArray] = {}
    for kind, name in (("sub", "mean"), ("div", "std"), ("mul", "std")):
        if start < len(steps) and steps[start].kind == kind and name not in found:
            by = steps[start].settings["by"]
            found[name] = 1 / by.astype(np.float64) if kind == "mul" else by
            start += 1
    if steps[start].kind == "cast":
        start += 1
    if not found:
        return start, None
    mean, std = (found.get(name, np.array(default)) for name, default in (("mean", 0), ("std", 1)))
    return start, {"kind": "normalize", "mean": mean.tolist(), "std": std.tolist()}


def _read_loss(rest: Sequence[Step], said: dict[str, Any]) -> tuple[str, float | None]:
    """Return the loss, by what follows the layers and by what the file says."""
    kinds = [step.kind for step in rest]
    if kinds == ["logistic", "two classes"]:
        kinds = ["logistic"]
    if kinds and (len(kinds) > 1 or kinds[0] not in _LOSS_OF):
        raise ValueError(
            f"network: {rest[0].place}: it is {kinds[0]} behind the last affine layer, expected at "
            "most what makes probabilities of scores"
        )
    arguments = said.get("arguments")
    name, param = "softmax", None
    if isinstance(arguments, dict):
        name, param = arguments.get("loss", name), arguments.get("loss_param")
    try:
        name, param = check_loss(name, param, 0.0)
    except ValueError:
        name, param = "softmax", None
    if kinds and LOSSES[name].output != kinds[0]:
        return _LOSS_OF[kinds[0]], None
    return name, param
