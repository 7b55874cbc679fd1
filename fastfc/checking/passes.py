"""Checks of the layers that are a forward and a backward pass without chance."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from ..reference import layer_utils as reference
from . import mistakes
from .running import TOLERANCE, difference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import SimpleNamespace
    from typing import Any

    from .._types import Array
    from .mistakes import Mistakes
    from .running import Checker

# Sizes differ within a case and are not 2, so that a factor tells which of them it is.
_AFFINE = [((4, 5), 3), ((1, 3), 6), ((3, 2, 4), 5), ((6, 3, 2, 2), 1), ((5, 1), 4)]
_RELU = [(4, 5), (1, 7), (3, 2, 3)]
_BATCHNORM = [
    # shape, scale of x, bn_param
    ((7, 4), 2.0, {}),
    ((3, 5), 1.0, {"eps": 0.1, "momentum": 0.7}),
    ((5, 1), 1.0, {"momentum": 0.6}),
    ((6, 3), 3e-3, {}),  # where eps counts
]
_LAYERNORM = [
    ((4, 5), 2.0, {}),
    ((1, 7), 1.0, {}),
    ((3, 4), 1.0, {"eps": 0.1}),
    ((5, 3), 3e-3, {}),
]


def check(checker: Checker) -> None:
    """Check what the student has of affine, ReLU, the normalisations and the joined layers."""
    if checker.has("affine_forward", "affine_backward"):
        generator = np.random.RandomState(0)
        for x_shape, M in _AFFINE:
            _affine(checker, generator, x_shape, M)
    if checker.has("relu_forward", "relu_backward"):
        generator = np.random.RandomState(0)
        for x_shape in _RELU:
            _relu(checker, generator, x_shape)
    for kind, cases in (("batchnorm", _BATCHNORM), ("layernorm", _LAYERNORM)):
        if checker.has(f"{kind}_forward", f"{kind}_backward", f"{kind}_backward_alt"):
            generator = np.random.RandomState(0)
            for x_shape, scale, param in cases:
                _norm(checker, generator, kind, x_shape, scale, param)
    if checker.has("batchnorm_forward"):
        generator = np.random.RandomState(1)
        for x_shape, scale, param in _BATCHNORM:
            _batchnorm_test(checker, generator, x_shape, scale, param)
    for name in _JOINED:
        if checker.has(f"{name}_forward", f"{name}_backward"):
            generator = np.random.RandomState(0)
            for x_shape, M in (((4, 2, 3), 5), ((3, 4), 6), ((5, 1), 7)):
                _joined(checker, generator, name, x_shape, M)


def _affine(
    checker: Checker, generator: np.random.RandomState, x_shape: tuple[int, ...], M: int
) -> None:
    D = int(np.prod(x_shape[1:]))
    x, w, b = generator.randn(*x_shape), generator.randn(D, M), 1 + generator.rand(M)
    case = f"x {x_shape}, w {(D, M)}"
    _both(
        checker,
        "affine",
        case,
        {"x": x, "w": w, "b": b},
        lambda: (),
        mistakes.affine(x, w, b),
        lambda dout: mistakes.affine_backward(x, w, dout),
        {"N": x_shape[0], "D": D, "M": M},
        generator,
        api_cache=(x, w, b),
    )


def _relu(checker: Checker, generator: np.random.RandomState, x_shape: tuple[int, ...]) -> None:
    x = generator.randn(*x_shape)
    x += np.sign(x) * 0.1  # away from 0, where either side is right
    x.flat[0], x.flat[1] = 1.5, -0.7
    _both(
        checker,
        "relu",
        f"x {x_shape}",
        {"x": x},
        lambda: (),
        mistakes.relu(x),
        lambda dout: mistakes.relu_backward(x, dout),
        {},
        generator,
        api_cache=x,
    )


def _norm(
    checker: Checker,
    generator: np.random.RandomState,
    kind: str,
    x_shape: tuple[int, ...],
    scale: float,
    given: dict[str, Any],
) -> None:
    """Check a normalisation; batch normalisation in training mode, its running statistics too."""
    N, D = x_shape
    x = scale * generator.randn(N, D) + np.linspace(1, 2, D) * scale
    gamma, beta = 0.5 + generator.rand(D), generator.randn(D)
    before: dict[str, Any] = {}
    said = "".join(f", {key} {value}" for key, value in given.items())
    case = f"x {x_shape}{said}" if scale > 0.1 else f"x {x_shape} of size {scale:g}"
    if kind == "batchnorm":
        before = {"mode": "train"}
        case = f"train, {case}"
        if given:
            running = {"running_mean": generator.randn(D), "running_var": 1 + generator.rand(D)}
            before |= running
            case = f"{case}, running statistics given"
    param = {**before, **given}
    axis = 0 if kind == "batchnorm" else 1
    n = mistakes.normalisation(x, gamma, beta, given.get("eps", 1e-5), axis, param)
    used = _both(
        checker,
        kind,
        case,
        {"x": x, "gamma": gamma, "beta": beta},
        lambda: (copy.deepcopy(param),),
        mistakes.norm_forward(n),
        lambda dout: mistakes.norm_backward(n, dout),
        {"N": N, "D": D},
        generator,
        h=1e-5 * min(scale, 1),
        backwards=(f"{kind}_backward", f"{kind}_backward_alt"),
    )
    if kind == "batchnorm" and used is not None:
        expected = copy.deepcopy(param)
        reference.batchnorm_forward(x, gamma, beta, expected)
        for key in ("running_mean", "running_var"):
            _running(checker, case, key, used[0], expected[key], n, param)


def _running(
    checker: Checker,
    case: str,
    key: str,
    used: Any,
    expected: Array,
    n: SimpleNamespace,
    param: dict[str, Any],
) -> None:
    if not isinstance(used, dict) or key not in used:
        checker.wrong("batchnorm_forward", key, case, "is not stored in bn_param")
        return
    found = used[key]
    if np.shape(found) == (1, len(expected)):  # a row, which serves as well
        found = np.asarray(found)[0]
    checker.compare(
        "batchnorm_forward", key, case, found, expected, mistakes.running(n, key, param)
    )


def _batchnorm_test(
    checker: Checker,
    generator: np.random.RandomState,
    x_shape: tuple[int, ...],
    scale: float,
    given: dict[str, Any],
) -> None:
    N, D = x_shape
    x = scale * generator.randn(N, D) + scale
    gamma, beta = 0.5 + generator.rand(D), generator.randn(D)
    param = {
        "mode": "test",
        "running_mean": generator.randn(D),
        "running_var": scale**2 * (1 + generator.rand(D)),
        **given,
    }
    said = "".join(f", {key} {value}" for key, value in given.items())
    case = f"test, x {x_shape}{said}" if scale > 0.1 else f"test, x {x_shape} of size {scale:g}"
    used = copy.deepcopy(param)
    returned, value = checker.call("batchnorm_forward", case, x, gamma, beta, used)
    results = returned and checker.results("batchnorm_forward", case, value, ("out", "cache"))
    if not results:
        return
    expected, _ = reference.batchnorm_forward(x, gamma, beta, copy.deepcopy(param))
    n = mistakes.normalisation(x, gamma, beta, given.get("eps", 1e-5), 0, param)
    checker.compare(
        "batchnorm_forward", "out", case, results["out"], expected, mistakes.norm_test(n, param)
    )
    for key in ("running_mean", "running_var"):
        found = used.get(key)
        moved = found is None or difference(np.asarray(found, float), param[key]) > TOLERANCE
        message = "changes at test time" if moved else ""
        checker.add("batchnorm_forward", key, case, not moved, message=message)


_JOINED = {
    "affine_relu": (),
    "affine_batchnorm_relu": ("bn",),
    "affine_bn_relu": ("bn",),
    "affine_ln_relu": ("ln",),
}


def _joined(
    checker: Checker, generator: np.random.RandomState, name: str, x_shape: tuple[int, ...], M: int
) -> None:
    D = int(np.prod(x_shape[1:]))
    inputs: dict[str, Array] = {
        "x": generator.randn(*x_shape),
        "w": generator.randn(D, M),
        "b": 0.3 + generator.rand(M),
    }
    param = {"mode": "train"} if "bn" in _JOINED[name] else {}
    if _JOINED[name]:
        inputs |= {"gamma": 0.5 + generator.rand(M), "beta": generator.rand(M)}
    _both(
        checker,
        name,
        f"x {x_shape}, w {(D, M)}",
        inputs,
        lambda: (dict(param),) if _JOINED[name] else (),
        mistakes.joined(name, inputs, param),
        lambda dout: {},
        {"N": x_shape[0]},
        generator,
    )


def _both(
    checker: Checker,
    kind: str,
    case: str,
    inputs: dict[str, Array],
    params: Callable[[], tuple[Any, ...]],
    forward_mistakes: Mistakes,
    backward_mistakes: Callable[[Array], Mapping[str, Mistakes]],
    sizes: Mapping[str, float],
    generator: np.random.RandomState,
    api_cache: object = None,
    h: float = 1e-5,
    backwards: tuple[str, ...] | None = None,
) -> tuple[Any, ...] | None:
    """Check a forward pass and the backward passes to it; return what was given after the inputs.

    Parameters
    ----------
    params : callable
        Returns, anew each time, what follows the inputs, say (bn_param,).
    api_cache : object, optional
        The cache, where the courses say what it is; else it comes from the student's forward pass.
    """
    forward, arrays = f"{kind}_forward", list(inputs.values())
    given = params()
    expected, reference_cache = getattr(reference, forward)(*arrays, *params())
    dout = generator.randn(*expected.shape)
    out_right, cache, has_cache, used = None, None, False, None
    if forward in checker.functions:
        returned, value = checker.call(forward, case, *arrays, *given, mistakes=forward_mistakes)
        results = checker.results(forward, case, value, ("out", "cache")) if returned else None
        out_right = False
        if results is not None:
            out_right = checker.compare(
                forward, "out", case, results["out"], expected, forward_mistakes, sizes
            )
            cache, has_cache, used = results["cache"], results["cache"] is not None, given
    backwards = backwards or (f"{kind}_backward",)
    for backward in backwards:
        if not checker.has(backward):
            continue
        own = cache if has_cache else api_cache
        if own is None:
            why = "fails or keeps no cache" if forward in checker.functions else "is not there"
            checker.wrong(backward, "call", case, f"cannot be checked: {forward} {why}")
            continue
        names = [f"d{name}" for name in inputs]
        known = backward_mistakes(dout)
        of_all = [pair for pairs in known.values() for pair in pairs]
        returned, value = checker.call(backward, case, dout, own, mistakes=of_all)
        results = checker.results(backward, case, value, names) if returned else None
        if results is None:
            continue
        gradients = getattr(reference, f"{kind}_backward")(dout, reference_cache)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        wanted = dict(zip(names, gradients, strict=True))
        run = checker.quiet if out_right or (has_cache and out_right is False) else _reference
        for i, name in enumerate(names):

            def output(value: Array, i: int = i, run: Callable[..., Any] = run) -> Any:
                return run(forward, *arrays[:i], value, *arrays[i + 1 :], *params())[0]

            others = {key: array for key, array in wanted.items() if key != name}
            right = checker.compare(
                backward,
                name,
                case,
                results[name],
                wanted[name],
                known.get(name, ()),
                sizes,
                others,
            )
            numerical = checker.numerical(output, arrays[i], dout, h if i == 0 else 1e-5)
            if right and numerical is not None and out_right is not False:
                checker.compare_numerically(backward, name, case, results[name], numerical)
            elif not right and out_right is False and numerical is not None:
                _explain_by_forward(checker, backward, forward, name, results[name], numerical)
    return used


def _explain_by_forward(
    checker: Checker, backward: str, forward: str, name: str, found: Any, numerical: Array
) -> None:
    """Say so where a gradient is that of the student's own forward pass, which is wrong."""
    try:
        found = np.asarray(found, float)
    except (TypeError, ValueError):
        return
    if difference(found, numerical) < 1e-5:
        checker.explain(
            backward, name, f"it is the gradient of your {forward}, which is wrong: mend that first"
        )


def _reference(name: str, *args: object) -> Any:
    return getattr(reference, name)(*args)
