"""Checks of dropout, whose mask may be drawn in any way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .running import TOLERANCE, difference

if TYPE_CHECKING:
    from typing import Any

    from .._types import Array
    from .running import Checker

_SHAPE = (80, 125)  # so many that shares of kept elements tell their probabilities apart
_LIKELY = 6  # standard deviations: one right mask in 5e8 lies further off


def check(checker: Checker) -> None:
    """Check what the student has of ``dropout_forward`` and ``dropout_backward``."""
    if not checker.has("dropout_forward", "dropout_backward"):
        return
    generator = np.random.RandomState(2)
    np.random.seed(2)
    for shape, p in ((_SHAPE, 0.3), (_SHAPE, 0.8), ((20, 10, 10, 5), 0.6)):
        x = 1 + generator.rand(*shape)
        _train(checker, generator, x, p)
        _test(checker, generator, x, p)
    if checker.has("dropout_forward"):
        _seeds(checker, 1 + generator.rand(*_SHAPE))
        _nothing_dropped(checker, 1 + generator.rand(4, 5))
    _numerically(checker, generator)


def _param(checker: Checker, p: float, **more: object) -> dict[str, Any]:
    """Return a dropout_param, as courses of this convention have it."""
    return {"mode": "train", "p": p, **more}


def _kept(checker: Checker, p: float) -> float:
    """Return the probability of keeping."""
    return 1 - p if checker.convention == "drop" else p


def _forward(checker: Checker, case: str, x: Array, param: dict[str, Any]) -> dict[str, Any] | None:
    """Return the student's results by name, None where there are none."""
    returned, value = checker.call("dropout_forward", case, x, dict(param))
    return checker.results("dropout_forward", case, value, ("out", "cache")) if returned else None


def _train(checker: Checker, generator: np.random.RandomState, x: Array, p: float) -> None:
    k, meaning = _kept(checker, p), "dropping" if checker.convention == "drop" else "keeping"
    case = f"train, x {x.shape}, p {p} of {meaning}"
    param = _param(checker, p, seed=7)
    ratio, cache = None, None
    if "dropout_forward" in checker.functions:
        results = _forward(checker, case, x, param)
        if results is not None:
            out, cache = results["out"], results["cache"]
            if not isinstance(out, np.ndarray) or out.shape != x.shape or out.dtype != x.dtype:
                checker.compare("dropout_forward", "out", case, out, x)
            else:
                ratio = out / x
                error, message = _mask(ratio, p, k)
                checker.add(
                    "dropout_forward", "out", case, not message, error=error, message=message
                )
    if checker.has("dropout_backward"):
        _backward(checker, generator, case, x, k, ratio, cache, param)


def _mask(ratio: Array, p: float, k: float) -> tuple[float, str]:
    """Return the error of a mask's numbers, and what is wrong with it or ''."""
    kept = ratio != 0
    share, numbers = kept.mean(), ratio[kept]
    if not np.isfinite(ratio).all():
        return np.nan, "it has numbers that are not finite"
    if share == 0:
        return np.nan, "everything is dropped"
    r = float(np.median(numbers))
    if np.abs(numbers - r).max() > TOLERANCE * abs(r):
        return np.nan, "kept elements are not multiplied by one number"
    flat = kept.reshape(len(kept), -1)
    if 0 < share < 1 and (flat == flat[0]).all():
        return np.nan, "all examples have the same mask"
    if 0 < share < 1 and (flat == flat[:, :1]).all():
        return np.nan, "whole examples are dropped, expected each element for itself"
    other = 1 - k
    name = "p" if k == p else "1 - p"
    other_name = "1 - p" if k == p else "p"
    said = {
        (k, k): "",
        (other, other): f"p is taken as the probability of {'dropping' if k == p else 'keeping'}",
        (k, 1.0): f"kept elements are not scaled by 1 / {_in_brackets(name)}: it is not inverted",
        (k, 1 / k): f"kept elements are multiplied by {name}, expected divided by it",
        (k, other): f"kept elements are divided by {other_name}, expected by {name}",
        (k, k * k): f"kept elements are divided by {name} twice",
        (other, k): "the mask is the wrong way round: it drops what is to be kept",
        (other, 1.0): "the mask is the wrong way round, and kept elements are not scaled: "
        f"p is taken as the probability of {'dropping' if k == p else 'keeping'}",
    }
    for (probability, divisor), message in said.items():
        deviation = np.sqrt(probability * (1 - probability) / ratio.size)
        if abs(share - probability) < _LIKELY * deviation and abs(r * divisor - 1) < TOLERANCE:
            return abs(r * divisor - 1), message
    if share == 1:
        return np.nan, "nothing is dropped"
    return np.nan, (
        f"a share of {share:.2f} is kept and multiplied by {r:.4g}, "
        f"expected {k:.2g} and {1 / k:.4g}"
    )


def _in_brackets(name: str) -> str:
    return f"({name})" if " " in name else name


def _backward(
    checker: Checker,
    generator: np.random.RandomState,
    case: str,
    x: Array,
    k: float,
    ratio: Array | None,
    cache: Any,
    param: dict[str, Any],
) -> None:
    if cache is None:  # the courses say what it is
        np.random.seed(3)
        mask = (np.random.rand(*x.shape) < k) / k
        cache, ratio = (dict(param), mask), mask
    if ratio is None:
        checker.wrong(
            "dropout_backward", "call", case, "cannot be checked: dropout_forward is wrong"
        )
        return
    dout = generator.randn(*x.shape)
    returned, dx = checker.call("dropout_backward", case, dout, cache)
    if not returned:
        return
    kept = ratio != 0
    mistakes = [
        ("the mask is not applied", lambda: dout),
        ("the mask is not scaled, as it is in the forward pass", lambda: dout * kept),
        ("the mask is scaled twice", lambda: dout * ratio / k),
        ("kept elements are scaled, but not in the forward pass", lambda: dout * kept / k),
        ("it is scaled, but not masked", lambda: dout / k),
        ("it is multiplied by the probability, without the mask", lambda: dout * k),
        ("it is the mask alone, without dout", lambda: ratio),
        ("the mask is the wrong way round", lambda: dout * ~kept),
        ("the mask is the wrong way round", lambda: dout * ~kept / k),
        ("dout is multiplied by the output", lambda: dout * ratio * x),
    ]
    checker.compare("dropout_backward", "dx", case, dx, dout * ratio, mistakes)


def _test(checker: Checker, generator: np.random.RandomState, x: Array, p: float) -> None:
    k, case = _kept(checker, p), f"test, x {x.shape}, p {p}"
    param = _param(checker, p, mode="test")
    mistakes = [
        ("it is scaled at test time", lambda: x * k),
        ("it is scaled at test time", lambda: x / k),
        ("it is scaled at test time", lambda: x * (1 - k)),
        ("it is scaled at test time", lambda: x / (1 - k)),
    ]
    results = None
    if "dropout_forward" in checker.functions:
        results = _forward(checker, case, x, param)
        if results is not None:
            out = results["out"]
            if isinstance(out, np.ndarray) and out.shape == x.shape and (out == 0).any():
                mistakes = [("elements are dropped at test time", lambda: out)]
            checker.compare("dropout_forward", "out", case, out, x, mistakes)
    if checker.has("dropout_backward"):
        cache = results["cache"] if results and results["cache"] is not None else (param, None)
        dout = generator.randn(*x.shape)
        returned, dx = checker.call("dropout_backward", case, dout, cache)
        if returned:
            scaled = [("it is scaled at test time", lambda: dout * k)]
            scaled += [("it is scaled at test time", lambda: dout / k)]
            checker.compare("dropout_backward", "dx", case, dx, dout, scaled)


def _outs(checker: Checker, x: Array, params: list[dict[str, Any]]) -> list[Array] | None:
    """Return the student's outputs for some dropout_params, or None."""
    try:
        outs = [checker.quiet("dropout_forward", x, dict(param))[0] for param in params]
        return [np.asarray(out, float) for out in outs]
    except (Exception, SystemExit):
        return None  # which is a row already


def _seeds(checker: Checker, x: Array) -> None:
    seeded, free = _param(checker, 0.5, seed=5), _param(checker, 0.5)
    outs = _outs(checker, x, [seeded, seeded, free, free])
    if outs is None or any(out.shape != x.shape for out in outs):
        return
    same = np.array_equal(outs[0], outs[1])
    checker.add(
        "dropout_forward",
        "seed",
        "train, seed given",
        same,
        message="" if same else "two calls with one seed differ: is dropout_param['seed'] used?",
    )
    differ = not np.array_equal(outs[2], outs[3])
    checker.add(
        "dropout_forward",
        "seed",
        "train, no seed",
        differ,
        message="" if differ else "two calls without a seed draw the same mask",
    )


def _nothing_dropped(checker: Checker, x: Array) -> None:
    p = 0.0 if checker.convention == "drop" else 1.0
    case = f"train, x {x.shape}, p {p}"
    results = _forward(checker, case, x, _param(checker, p))
    if results is not None:
        other = "keeping" if checker.convention == "drop" else "dropping"
        mistakes = [(f"p is taken as the probability of {other}", lambda: np.zeros_like(x))]
        mistakes += [(mistakes[0][0], lambda: np.full_like(x, np.nan))]
        checker.compare("dropout_forward", "out", case, results["out"], x, mistakes)


def _numerically(checker: Checker, generator: np.random.RandomState) -> None:
    """Compare with the numerical gradient, which the same seed makes possible."""
    if not checker.has("dropout_backward") or "dropout_forward" not in checker.functions:
        return
    x, dout = generator.randn(4, 5) + 10, generator.randn(4, 5)
    param = _param(checker, 0.6, seed=11)
    try:
        out, cache = checker.quiet("dropout_forward", x, dict(param))
        dx = np.asarray(checker.quiet("dropout_backward", dout, cache), float)
        again = checker.quiet("dropout_forward", x, dict(param))[0]
        if difference(np.asarray(out, float), np.asarray(again, float)) > 0:
            return  # without a seed there is no derivative
    except (Exception, SystemExit):
        return
    numerical = checker.numerical(
        lambda x: checker.quiet("dropout_forward", x, dict(param))[0], x, dout
    )
    if numerical is not None and dx.shape == x.shape:
        checker.compare_numerically("dropout_backward", "dx", "train, x (4, 5)", dx, numerical)
