"""Every operation: how it is called, on what, what it returns, and how exact that must be."""

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import cases, tolerance

FAST, REFERENCE = "fastfc", "fastfc.reference"


def _named(*names: Any) -> Any:
    """Name the members of a result; a single name stands for the whole result."""

    def outputs(result: Any, args: Any) -> Any:
        return dict(zip(names, result if len(names) > 1 else [result], strict=True))

    return outputs


def _first(result: Any, args: Any) -> Any:
    return {"out": result[0]}


def _bitwise(*names: Any) -> Any:
    return lambda *args: dict.fromkeys(names, 0.0)


@dataclass(frozen=True)
class Operation:
    """A function of the public interface.

    Attributes
    ----------
    module, function
        Where it is found, in `fastfc` and in `fastfc.reference` alike.
    shapes : list
        What `arguments` accepts.
    benchmark : list
        The shapes that are timed; empty for what takes as long as another one.
    arguments : callable
        (shape, dtype) -> list of positional arguments.
    outputs : callable
        (result, args) -> dict of arrays; looks into `args` for what the call left there.
    bound : callable
        (*args) -> dict of largest allowed differences between two implementations.
    traffic : callable
        (shape) -> (elements read and written at least, arithmetic operations of the products).
    same_everywhere : tuple of str
        The outputs that differ from the reference's by rounding, but are the same bits under every
        instruction set, as all are whose bound is zero.
    label : str
        Distinguishes operations of one function.
    """

    module: str
    function: str
    shapes: list[Any]
    benchmark: list[Any]
    arguments: Callable[..., Any]
    outputs: Callable[..., Any]
    bound: Callable[..., Any]
    traffic: Callable[..., Any]
    same_everywhere: tuple[str, ...] = ()
    label: str = ""

    def __str__(self) -> Any:
        return f"{self.function} {self.label}".strip()

    def callable(self, package: Any) -> Any:
        """Return the function of one of the two packages."""
        return getattr(importlib.import_module(f"{package}.{self.module}"), self.function)

    def run(self, package: Any, args: Any) -> Any:
        """Call it on a copy of the arguments, from one random state; return the outputs by name."""
        args = copy.deepcopy(args)
        np.random.seed(0)
        with np.errstate(all="ignore"):
            return self.outputs(self.callable(package)(*args), args)

    def check(self, args: Any) -> None:
        """Assert that the fast and the reference implementation agree."""
        fast, reference = self.run(FAST, args), self.run(REFERENCE, args)
        with np.errstate(all="ignore"):
            bound = self.bound(*args)
        assert fast.keys() == reference.keys() == bound.keys()
        for name, expected in reference.items():
            tolerance.assert_close(fast[name], expected, bound[name], f"{self}: {name}")


# --- arguments --------------------------------------------------------------------------------


def _affine_forward(shape: Any, dtype: Any) -> Any:
    x_shape, m = shape
    d = int(np.prod(x_shape[1:]))
    return [cases.normal(s, dtype, "affine", i) for i, s in enumerate([x_shape, (d, m), (m,)])]


def _affine_backward(shape: Any, dtype: Any) -> Any:
    x, w, b = _affine_forward(shape, dtype)
    return [cases.normal((shape[0][0], shape[1]), dtype, "dout"), (x, w, b)]


def _one(shape: Any, dtype: Any) -> Any:
    return [cases.normal(shape, dtype, "x")]


def _two(shape: Any, dtype: Any) -> Any:
    return [cases.normal(shape, dtype, "dout"), cases.normal(shape, dtype, "x")]


def _wide(shape: Any, dtype: Any) -> Any:
    return [cases.normal(shape, dtype, "x", scale=3.0)]


def _wide_backward(function: Any = None) -> Any:
    """Arguments of a backward pass: of x, or of a function of it."""

    def arguments(shape: Any, dtype: Any) -> Any:
        x = cases.normal(shape, np.float64, "x", scale=3.0)
        cache = x if function is None else function(x)
        return [cases.normal(shape, dtype, "dout"), np.asarray(cache).astype(dtype)]

    return arguments


def _uneven(shape: Any, dtype: Any) -> Any:
    """Numbers whose last axis has means and scales of its own, some means far from zero."""
    means = cases.normal(shape[-1], np.float64, "means", scale=10.0)
    scales = np.exp(cases.normal(shape[-1], np.float64, "scales"))
    return (cases.normal(shape, np.float64, "x") * scales + means).astype(dtype)


def _batchnorm(mode: Any) -> Any:
    def arguments(shape: Any, dtype: Any) -> Any:
        d = shape[1]
        x = _uneven(shape, dtype)
        bn_param = {
            "mode": mode,
            "eps": 1e-4,
            "momentum": 0.8,
            "running_mean": cases.normal(d, dtype, "running mean"),
            "running_var": np.exp(cases.normal(d, np.float64, "running var")).astype(dtype),
        }
        return [x, cases.normal(d, dtype, "gamma"), cases.normal(d, dtype, "beta"), bn_param]

    return arguments


def _batchnorm_outputs(result: Any, args: Any) -> Any:
    out, cache = result
    running = {name: args[3][name] for name in ("running_mean", "running_var")}
    return {"out": out, **(cache or {}), **running}


def _batchnorm_backward(shape: Any, dtype: Any) -> Any:
    cache = {
        "x_normalized": cases.normal(shape, dtype, "x_normalized"),
        "rstd": np.exp(cases.normal(shape[1], np.float64, "rstd")).astype(dtype),
        "gamma": cases.normal(shape[1], dtype, "gamma"),
    }
    return [cases.normal(shape, dtype, "dout"), cache]


def _layernorm_forward(shape: Any, dtype: Any) -> Any:
    n, d = shape
    x = np.ascontiguousarray(_uneven((d, n), dtype).T)
    return [x, cases.normal(d, dtype, "gamma"), cases.normal(d, dtype, "beta"), {"eps": 1e-4}]


def _layernorm_outputs(result: Any, args: Any) -> Any:
    out, cache = result
    return {"out": out, "x_normalized": cache["x_normalized"], "rstd": cache["rstd"]}


def _layernorm_backward(shape: Any, dtype: Any) -> Any:
    dout, cache = _batchnorm_backward(shape, dtype)
    rstd = np.exp(cases.normal(shape[0], np.float64, "rstd")).astype(dtype)
    return [dout, {**cache, "rstd": rstd}]


def _dropout_forward(**options: Any) -> Any:
    def arguments(shape: Any, dtype: Any) -> Any:
        return [cases.normal(shape, dtype, "x"), {"mode": "train", "p": 0.6, **options}]

    return arguments


def _dropout_outputs(result: Any, args: Any) -> Any:
    out, (_, mask) = result
    return {"out": out, "mask": mask}


def _dropout_backward(shape: Any, dtype: Any) -> Any:
    kept = np.asarray(cases.generator(shape, "mask").random(shape) < 0.6)
    mask = kept.astype(dtype) / np.asarray(0.6, dtype)
    return [cases.normal(shape, dtype, "dout"), ({"mode": "train", "p": 0.6}, np.asarray(mask))]


def _loss(shape: Any, dtype: Any) -> Any:
    # Scores as wide as trained networks give them.
    return [cases.normal(shape, dtype, "scores", scale=5.0), cases.labels(*shape)]


def _target_loss(*more: Any, weighted: Any = False, wide: Any = 5.0) -> Any:
    """Arguments of a loss of targets, which are in [0, 1], and of scores that are so wide."""

    def arguments(shape: Any, dtype: Any) -> Any:
        x = cases.normal(shape, dtype, "scores", scale=wide)
        y = np.asarray(cases.generator(shape, "targets").random(shape)).astype(dtype)
        y[y < 0.2] = 0
        return [x, y, *more, *([cases.weights(shape[0])] if weighted else [])]

    return arguments


def _weighted(*more: Any) -> Any:
    """Arguments of a loss of labels, with weights."""
    return lambda shape, dtype: [*_loss(shape, dtype), *more, cases.weights(shape[0])]


def _rule(state: Any, **config: Any) -> Any:
    """Arguments of an update rule: constants, and state drawn for each name."""

    def arguments(shape: Any, dtype: Any) -> Any:
        w, dw = cases.normal(shape, dtype, "w"), cases.normal(shape, dtype, "dw")
        drawn = {s: np.abs(cases.normal(shape, dtype, s)) for s in state}
        return [w, dw, {**copy.deepcopy(config), **drawn}]

    return arguments


def _rule_outputs(*state: Any) -> Any:
    def outputs(result: Any, args: Any) -> Any:
        next_w, config = result
        return {"next_w": next_w, **{s: config[s] for s in state}}

    return outputs


def _product_traffic(forward: Any) -> Any:
    def traffic(shape: Any) -> Any:
        n, m = shape[0][0], shape[1]
        d = int(np.prod(shape[0][1:]))
        once, flops = n * d + d * m + n * m, 2 * n * d * m
        return (once, flops) if forward else (2 * once, 2 * flops)

    return traffic


def _arrays(count: Any) -> Any:
    """So many passes over arrays of the given shape, and no product."""
    return lambda shape: (count * int(np.prod(shape)), 0)


# --- the table --------------------------------------------------------------------------------

_affine = ("layers", cases.AFFINE, cases.BENCHMARK_AFFINE)
_elementwise = ("layers", cases.ELEMENTWISE, cases.BENCHMARK)
_normalised = ("layers", cases.BATCHNORM, cases.BENCHMARK)
_layer_normalised = ("layers", cases.LAYERNORM, cases.BENCHMARK)
_losses = ("layers", cases.LOSS, cases.BENCHMARK)
_weighted_losses: tuple[str, list[Any], list[Any]] = ("layers", cases.LOSS, [])
_updates = ("optim", cases.ELEMENTWISE, [*cases.BENCHMARK, (3072, 100)])


def _operation(group: Any, function: Any, *rest: Any, **named: Any) -> Any:
    module, shapes, benchmark = group
    return Operation(module, function, shapes, benchmark, *rest, **named)


OPERATIONS = [
    _operation(
        _affine,
        "affine_forward",
        _affine_forward,
        _first,
        tolerance.affine_forward,
        _product_traffic(forward=True),
    ),
    _operation(
        _affine,
        "affine_backward",
        _affine_backward,
        _named("dx", "dw", "db"),
        tolerance.affine_backward,
        _product_traffic(forward=False),
        same_everywhere=("db",),
    ),
    _operation(_elementwise, "relu_forward", _one, _first, _bitwise("out"), _arrays(2)),
    _operation(_elementwise, "relu_backward", _two, _named("dx"), _bitwise("dx"), _arrays(3)),
    _operation(
        _elementwise, "sigmoid_forward", _wide, _first, tolerance.sigmoid_forward, _arrays(2)
    ),
    _operation(
        _elementwise,
        "sigmoid_backward",
        _wide_backward(lambda x: 1 / (1 + np.exp(-x))),
        _named("dx"),
        _bitwise("dx"),
        _arrays(3),
    ),
    _operation(_elementwise, "tanh_forward", _wide, _first, tolerance.tanh_forward, _arrays(2)),
    _operation(
        _elementwise,
        "tanh_backward",
        _wide_backward(np.tanh),
        _named("dx"),
        _bitwise("dx"),
        _arrays(3),
    ),
    _operation(_elementwise, "leaky_relu_forward", _wide, _first, _bitwise("out"), _arrays(2)),
    _operation(
        _elementwise,
        "leaky_relu_backward",
        _wide_backward(),
        _named("dx"),
        _bitwise("dx"),
        _arrays(3),
    ),
    _operation(_elementwise, "silu_forward", _wide, _first, tolerance.silu_forward, _arrays(2)),
    _operation(
        _elementwise,
        "silu_backward",
        _wide_backward(),
        _named("dx"),
        tolerance.silu_backward,
        _arrays(3),
    ),
    _operation(_elementwise, "gelu_forward", _wide, _first, tolerance.gelu_forward, _arrays(2)),
    _operation(
        _elementwise,
        "gelu_backward",
        _wide_backward(),
        _named("dx"),
        tolerance.gelu_backward,
        _arrays(3),
    ),
    _operation(
        _normalised,
        "batchnorm_forward",
        _batchnorm("train"),
        _batchnorm_outputs,
        tolerance.batchnorm_forward,
        _arrays(3),
        label="train",
    ),
    _operation(
        _normalised,
        "batchnorm_forward",
        _batchnorm("test"),
        _batchnorm_outputs,
        tolerance.batchnorm_forward,
        _arrays(2),
        label="test",
    ),
    _operation(
        _normalised,
        "batchnorm_backward",
        _batchnorm_backward,
        _named("dx", "dgamma", "dbeta"),
        tolerance.batchnorm_backward,
        _arrays(3),
        same_everywhere=("dbeta",),
    ),
    _operation(
        _layer_normalised,
        "layernorm_forward",
        _layernorm_forward,
        _layernorm_outputs,
        tolerance.layernorm_forward,
        _arrays(3),
    ),
    _operation(
        _layer_normalised,
        "layernorm_backward",
        _layernorm_backward,
        _named("dx", "dgamma", "dbeta"),
        tolerance.layernorm_backward,
        _arrays(3),
        same_everywhere=("dbeta",),
    ),
    _operation(
        _elementwise,
        "dropout_forward",
        _dropout_forward(),
        _dropout_outputs,
        _bitwise("out", "mask"),
        _arrays(3),
    ),
    _operation(
        ("layers", cases.ELEMENTWISE, []),
        "dropout_forward",
        _dropout_forward(convention="drop"),
        _dropout_outputs,
        _bitwise("out", "mask"),
        _arrays(3),
        label="drop",
    ),
    _operation(
        _elementwise,
        "dropout_backward",
        _dropout_backward,
        _named("dx"),
        _bitwise("dx"),
        _arrays(3),
    ),
    _operation(
        _losses,
        "svm_loss",
        _loss,
        _named("loss", "dx"),
        tolerance.svm_loss,
        _arrays(2),
        same_everywhere=("dx",),
    ),
    _operation(
        _losses, "softmax_loss", _loss, _named("loss", "dx"), tolerance.softmax_loss, _arrays(2)
    ),
    _operation(
        _losses,
        "softmax_loss",
        lambda shape, dtype: [*_loss(shape, dtype), 0.1],
        _named("loss", "dx"),
        tolerance.softmax_loss,
        _arrays(2),
        label="smoothed",
    ),
    _operation(
        _weighted_losses,
        "svm_loss",
        _weighted(),
        _named("loss", "dx"),
        tolerance.svm_loss,
        _arrays(2),
        same_everywhere=("dx",),
        label="weighted",
    ),
    _operation(
        _weighted_losses,
        "softmax_loss",
        _weighted(0.1),
        _named("loss", "dx"),
        tolerance.softmax_loss,
        _arrays(2),
        label="weighted",
    ),
    *(
        _operation(
            _weighted_losses if label else _losses,
            f"{name}_loss",
            _target_loss(*more, weighted=bool(label), wide=wide),
            _named("loss", "dx"),
            getattr(tolerance, f"{name}_loss"),
            _arrays(3),
            same_everywhere=same,
            label=label,
        )
        for label in ("", "weighted")
        for name, more, wide, same in (
            ("logistic", (0.1,) if label else (), 5.0, ()),
            ("squared_error", (), 5.0, ("dx",)),
            ("absolute_error", (), 5.0, ("dx",)),
            ("huber", (0.7,), 5.0, ("dx",)),
            ("quantile", (0.3,), 5.0, ("dx",)),
            ("poisson", (), 2.0, ()),
        )
    ),
    _operation(
        _updates,
        "sgd",
        _rule([], learning_rate=1e-2),
        _rule_outputs(),
        tolerance.sgd,
        _arrays(3),
        same_everywhere=("next_w",),
    ),
    _operation(
        _updates,
        "sgd_momentum",
        _rule(["velocity"], learning_rate=1e-2, momentum=0.9),
        _rule_outputs("velocity"),
        tolerance.sgd_momentum,
        _arrays(5),
        same_everywhere=("next_w", "velocity"),
    ),
    _operation(
        _updates,
        "sgd_nesterov_momentum",
        _rule(["velocity"], learning_rate=1e-2, momentum=0.9),
        _rule_outputs("velocity"),
        tolerance.sgd_nesterov_momentum,
        _arrays(5),
        same_everywhere=("next_w", "velocity"),
    ),
    _operation(
        _updates,
        "rmsprop",
        _rule(["a"], learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8),
        _rule_outputs("a"),
        tolerance.rmsprop,
        _arrays(5),
    ),
    _operation(
        _updates,
        "adam",
        _rule(["v", "a"], learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, t=6),
        _rule_outputs("v", "a", "t"),
        tolerance.adam,
        _arrays(7),
    ),
    _operation(
        _updates,
        "adamw",
        _rule(
            ["v", "a"],
            learning_rate=1e-3,
            beta1=0.9,
            beta2=0.999,
            epsilon=1e-8,
            weight_decay=0.1,
            t=6,
        ),
        _rule_outputs("v", "a", "t"),
        tolerance.adamw,
        _arrays(7),
    ),
]


def find(name: Any) -> Any:
    """Return the operation that prints as `name`."""
    return next(op for op in OPERATIONS if str(op) == name)


def parameters(*names: Any) -> Any:
    """Return (operation, shape) for each of its shapes, for pytest.mark.parametrize."""
    return [(find(name), shape) for name in names for shape in find(name).shapes]
