"""What ``fastfc gradcheck`` computes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastfc import fc_net
from fastfc.cli.arguments import NETWORK_ARGUMENTS, usage_error
from fastfc.networks.losses import LOSSES

if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

# A step to both sides, and its errors: of the order STEP^2 by the loss's curvature, which the
# difference from a step of twice the length tells, and by rounding, which STEP divides.
STEP = 1e-5
ROUNDING = 1e-15


def check_gradients(options: SimpleNamespace) -> list[dict[str, Any]]:
    """Return a row for each parameter: how many elements were checked, the largest error, if right.

    Errors are differences as a part of the parameter's largest gradient, or of 1e-3.
    """
    rng = np.random.RandomState(options.seed)
    model = _network(options)
    loss = LOSSES[options.loss]
    X = rng.randn(options.batch, options.inputs)
    y: Any = rng.randint(options.outputs, size=options.batch)
    if not loss.labelled:
        y = rng.rand(options.batch, options.outputs)

    def value() -> float:
        return float(model.loss(X, y)[0])

    _, grads = model.loss(X, y)
    rows = []
    for name, parameter in model.params.items():
        w = np.array(parameter)
        model.params[name] = w
        gradient = np.array(grads[name]).reshape(w.shape)
        scale = max(float(np.abs(gradient).max(initial=0.0)), 1e-3)
        chosen = rng.permutation(w.size)[: options.elements]
        worst, ok = 0.0, True
        for i in map(int, chosen):
            near, far = (_slope(value, w, i, h) for h in (STEP, 2 * STEP))
            found = float(gradient.flat[i])
            allowed = abs(far - near) + ROUNDING * (abs(value()) + 1) / STEP * 50
            error = abs(found - near)
            ok = ok and error <= allowed  # false for NaN
            worst = max(worst, error / scale) if error == error else math.nan
        rows.append(
            {
                "parameter": name,
                "shape": list(w.shape),
                "checked": len(chosen),
                "error": worst,
                "ok": ok,
            }
        )
    return rows


def _slope(value: Any, w: Any, i: int, h: float) -> float:
    """Return the slope of the value by the i-th number of w, which is put back."""
    here = w.flat[i]
    try:
        w.flat[i] = here + h
        above = value()
        w.flat[i] = here - h
        below = value()
    finally:
        w.flat[i] = here
    return float((above - below) / (2 * h))


def _network(options: SimpleNamespace) -> Any:
    """Return the network, whose dropout draws the same mask each time."""
    found = {name: value for name, value in vars(options).items() if name in NETWORK_ARGUMENTS}
    found["seed"] = options.dropout_seed or 0
    found["normalization"] = None if options.normalization == "none" else options.normalization
    found |= {"input_dim": options.inputs, "num_classes": options.outputs, "dtype": np.float64}
    networks: Any = fc_net
    if options.backend == "reference":
        from fastfc import reference

        networks = reference.fc_net
    np.random.seed(options.seed)
    try:
        model = networks.FullyConnectedNet(**found)
    except ValueError as error:
        raise usage_error(error, "--hidden is too large") from error
    for name, value in model.params.items():  # away from where ReLUs bend, gammas from 1
        model.params[name] = value + 0.1 * np.random.randn(*np.shape(value))
    return model
