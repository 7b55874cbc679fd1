"""What an ONNX graph computes, on the C kernels."""

from __future__ import annotations

import functools
import json
import math
from typing import TYPE_CHECKING

import numpy as np

from ... import _core, layers
from ...arguments import check_dense, check_features
from ...arrays import quiet
from ...networks.arguments import ACTIVATIONS
from ...networks.predictor import check_call, fold
from .assemble import build_network, read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..._types import AnyArray, Array, ArrayLike
    from ...fc_net import FullyConnectedNet
    from .steps import Step

    Call = Callable[[Array], Array]

_ARITHMETIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}


class OnnxNetwork:
    """The function that a graph computes; see `fastfc.interop.from_onnx`, which makes it.

    It shares nothing with the file and does not change, so many threads may call it at once; it can
    be copied and pickled.

    Attributes
    ----------
    input_name, output_name : str
        The graph's names of them.
    input_shape : tuple of int or None
        Of examples, as the graph has it; None is any number, as the first one is.
    input_dim, num_outputs : int
        Numbers of an example, and of what is returned for it.
    dtype : numpy.dtype
        Of what is returned.
    metadata : dict of str
        What else the file says, by its keys.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        input_name: str,
        input_shape: tuple[int | None, ...],
        input_dtype: np.dtype[Any],
        output_name: str,
        metadata: dict[str, str],
    ) -> None:
        self.input_name, self.output_name = input_name, output_name
        self.input_shape, self.metadata = input_shape, metadata
        self._input_dtype = input_dtype
        self._steps = list(steps)
        first = next(step for step in steps if step.kind == "affine")
        self.input_dim = int(first.settings["W"].shape[0])
        self.num_outputs = int(next(s.width for s in reversed(steps) if s.width is not None))
        self.dtype = steps[-1].dtype
        self._check_constants()
        self._calls = _compile(self._steps)

    def __call__(self, x: ArrayLike) -> Array:
        """Return what the graph computes of examples.

        Parameters
        ----------
        x : array_like, shape (N, d_1, ..., d_k)
            Examples of input_dim numbers, converted to the dtype of the graph's input.

        Returns
        -------
        ndarray, shape (N, num_outputs)

        Raises
        ------
        TypeError
            x is not real, or of floats where the graph takes integers.
        ValueError
            Its shape does not fit.
        """
        check_dense("x", x)
        examples = np.asarray(x)
        kinds = "fiub" if self._input_dtype.kind == "f" else "iub"
        if examples.dtype.kind not in kinds:
            raise TypeError(f"x has dtype {examples.dtype}, expected {self._input_dtype}")
        check_features("x", examples.shape, self.input_dim)
        with np.errstate(all="ignore"):
            examples = examples.astype(self._input_dtype, copy=False)
        out = examples.reshape(len(examples), self.input_dim)
        for call in self._calls:
            out = call(out)
        return out

    def network(self) -> FullyConnectedNet:
        """Return a network that has these scores, where the graph is one of fastfc's pattern.

        That is {affine - [normalisation] - activation} x (L - 1) - affine, with one activation and
        one normalisation in all layers; before it at most the normalisation of examples, which
        becomes its ``preprocessing``, and behind it what makes probabilities of scores, which says
        what its loss is.  Batch normalisations of some layers are folded into the weights.

        Returns
        -------
        FullyConnectedNet

        Raises
        ------
        ValueError
            The graph is another one; the message says where.
        """
        try:
            said = json.loads(self.metadata.get("fastfc_network", "{}"))
        except (ValueError, RecursionError):
            said = {}
        return build_network(self._steps, said if isinstance(said, dict) else {})

    def __repr__(self) -> str:
        """Say its sizes, its steps and its dtype."""
        kinds = [step.kind for step in self._steps]
        if len(kinds) > 12:
            kinds[6:-5] = ["..."]
        return f"<OnnxNetwork: {self.input_dim} to {self.num_outputs}, {' - '.join(kinds)}>"

    def _check_constants(self) -> None:
        """Raise ValueError where a constant before the first layer is not of its inputs' number."""
        known = [size for size in self.input_shape[1:] if size is not None]
        if len(known) == len(self.input_shape) - 1 and math.prod(known) != self.input_dim:
            raise ValueError(
                f"its input has shape {self.input_shape}, its first layer {self.input_dim} inputs"
            )
        for step in self._steps:
            if step.kind == "affine":
                return
            for value in step.settings.values():
                if isinstance(value, np.ndarray) and value.size not in (1, self.input_dim):
                    raise ValueError(
                        f"{step.place}: it has {value.size} constants, expected {self.input_dim}, "
                        "one for each input of the first layer"
                    )


def _compile(steps: Sequence[Step]) -> list[Call]:
    """Return the calls that do the steps: those between affine layers in one."""
    calls: list[Call] = []
    i = 0
    while i < len(steps):
        run = read_run(steps, i)
        if run.layers:
            folded = [fold(layer) for layer in run.layers]
            predictor = _core.Predictor(folded, steps[i].dtype, check_call)
            calls.append(functools.partial(_predict, predictor))
            i = run.end
        else:
            calls.append(_call_of(steps[i]))
            i += 1
    return calls


def _call_of(step: Step) -> Call:
    """Return the call that does a step which is no affine layer."""
    kind, settings = step.kind, step.settings
    if kind in _ARITHMETIC or kind == "rsub":
        return functools.partial(_compute, kind, settings["by"])
    if kind == "cast":
        return functools.partial(_cast, step.dtype)
    if kind == "batchnorm":
        gamma, beta, mean, var = (settings[name] for name in ("gamma", "beta", "mean", "var"))
        param = {"eps": settings["eps"], "running_mean": mean, "running_var": var}
        return functools.partial(_batchnorm, gamma, beta, param)
    if kind == "layernorm":
        param = {"eps": settings["eps"]}
        return functools.partial(_layernorm, settings["gamma"], settings["beta"], param)
    if kind == "two classes":
        return _pair
    if kind in ("softmax", "exp"):
        return functools.partial(_respond, kind)
    return functools.partial(_activate, str(ACTIVATIONS[kind]))


def _predict(predictor: _core.Predictor, x: Array) -> Array:
    scores: Array = predictor(np.require(x, predictor.dtype, ["C", "A"]))
    return scores


@quiet
def _compute(kind: str, by: AnyArray, x: Array) -> Array:
    made: Array = np.subtract(by, x) if kind == "rsub" else _ARITHMETIC[kind](x, by)
    return made


@quiet
def _cast(dtype: np.dtype[Any], x: AnyArray) -> Array:
    made: Array = x.astype(dtype)
    return made


def _batchnorm(gamma: Array, beta: Array, param: dict[str, Any], x: Array) -> Array:
    return layers.batchnorm_forward(x, gamma, beta, {"mode": "test", **param})[0]


def _layernorm(gamma: Array, beta: Array, param: dict[str, Any], x: Array) -> Array:
    return layers.layernorm_forward(x, gamma, beta, param)[0]


def _activate(name: str, x: Array) -> Array:
    out: Array = getattr(layers, f"{name}_forward")(x)[0]
    return out


def _respond(kind: str, x: Array) -> Array:
    return _core.respond(np.array(x, order="C"), kind)


@quiet
def _pair(p: Array) -> Array:
    return np.concatenate([1 - p, p], axis=1)
