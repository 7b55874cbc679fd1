"""Whole passes: by one call of the core the same bits as layer by layer, which are verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from ..fc_net import FullyConnectedNet
from ..networks.fully_connected import FullyConnectedNet as OverLayers
from ..solver import Solver
from . import cases, tolerance

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Hidden layers, what follows them, the update rule: each pass of the core, and odd sizes.
NETWORKS: tuple[tuple[list[int], dict[str, Any], str], ...] = (
    ([33, 7], {"normalization": "batchnorm", "dropout": 0.5}, "adam"),
    ([33, 7], {"normalization": "layernorm", "dropout": 0.8, "rng": "philox"}, "adamw"),
    ([100], {"activation": "gelu", "reg": 0.1}, "sgd_momentum"),
    ([17, 5], {"activation": "tanh", "label_smoothing": 0.1}, "sgd_nesterov_momentum"),
    ([64], {"activation": "leaky_relu", "normalization": "batchnorm"}, "rmsprop"),
    ([], {"loss": "huber"}, "sgd"),
    ([20], {"activation": "silu", "loss": "poisson"}, "adam"),
    ([20], {"activation": "logistic", "loss": "logistic"}, "adam"),
)
INPUTS, OUTPUTS, BATCH = 60, 10, 37


class Composed(FullyConnectedNet):
    """The same network, layer by layer through `fastfc.layers` and `fastfc.optim`."""

    def _data_loss(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        return OverLayers._data_loss(self, X, y, sample_weight)

    def _test_scores(self, X: Any) -> Any:
        return OverLayers._test_scores(self, X)

    def __fastfc_train_step__(self, *args: Any, **options: Any) -> None:
        return None


def _trained(kind: type[FullyConnectedNet], network: Any, dtype: Any) -> dict[str, Any]:
    """Return what a network has after some steps, and its scores."""
    hidden, options, rule = network
    rng = np.random.RandomState(3)
    X = rng.randint(256, size=(3 * BATCH, INPUTS)).astype(np.uint8)
    y: Any = rng.randint(OUTPUTS, size=len(X))
    if "loss" in options:
        y = rng.rand(len(X), OUTPUTS)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    np.random.seed(7)
    model = kind(hidden, INPUTS, OUTPUTS, dtype=dtype, weight_scale="he", **options)
    solver = Solver(
        model,
        data,
        update_rule=rule,
        normalize=(127.5, 64.0),
        clip_norm=1.0,
        batch_size=BATCH,
        num_epochs=3,
        verbose=False,
    )
    solver.train()
    scores = model.loss((X[:BATCH] - 127.5) / 64.0)
    return {"losses": np.array(solver.loss_history), "scores": scores, **model.params}


def _passes(dtype: Any) -> int:
    """Train by whole steps and layer by layer."""
    for network in NETWORKS:
        found, expected = (_trained(kind, network, dtype) for kind in (FullyConnectedNet, Composed))
        for name, value in expected.items():
            tolerance.assert_close(found[name], value, 0.0, f"{network}: {name}")
    return len(NETWORKS)


def _predictors(dtype: Any) -> int:
    """Compare the scores of packed weights with those of a pass."""
    for hidden, options, _ in NETWORKS:
        np.random.seed(7)
        model = FullyConnectedNet(
            hidden, INPUTS, OUTPUTS, dtype=dtype, weight_scale="he", **options
        )
        X = cases.normal((BATCH, INPUTS), dtype, "first")
        y = cases.normal((BATCH, OUTPUTS), np.float64, "first") > 0
        model.loss(X, y if "loss" in options else cases.labels(BATCH, OUTPUTS))  # statistics
        folded = model.normalization == "batchnorm"
        for N in (1, 3, BATCH):
            X = cases.normal((N, INPUTS), dtype, "verify")
            bound = tolerance.network_scores(model, X) if folded else 0.0
            expected = model.loss(X)
            tolerance.assert_close(model.predictor()(X), expected, bound, f"{hidden}, {options}")
    return 3 * len(NETWORKS)


def _philox(dtype: Any) -> int:
    """Compare the counter-based masks with the reference's."""
    from ..layers import dropout_forward
    from ..reference import layers as reference

    count = 0
    for n in cases.LENGTHS:
        x = cases.normal((n, 3), dtype, "philox")
        for p in (0.3, 0.5, 0.9):
            count += 1
            param = {"mode": "train", "p": p, "rng": "philox", "seed": 5}
            found, expected = (
                f(x, dict(param))[0] for f in (dropout_forward, reference.dropout_forward)
            )
            tolerance.assert_close(found, expected, 0.0, f"{n} x 3, p {p}")
    return count


def _rows(dtype: Any) -> int:
    """Compare rows of data of every type with NumPy's."""
    sources = ("f4", "f8", "u1", "i2", "i8")
    for source in sources:
        for width in cases.LENGTHS:
            x = np.abs(cases.normal((9, width), np.float64, source, scale=100.0)).astype(source)
            found = _core.gather(x, [3, 0, 8, 3], dtype)
            expected = x[[3, 0, 8, 3]].astype(dtype)
            tolerance.assert_close(found, expected, 0.0, f"{source}, {width} features")
    return len(sources) * len(cases.LENGTHS)


def _norms(dtype: Any) -> int:
    """Compare sums of squares with those of NumPy in float64."""
    for n in cases.LENGTHS:
        x = cases.normal(n, dtype, "norm")
        expected = np.sum(x.astype(np.float64) ** 2)
        bound = 2 * tolerance.gamma(n + 2, np.float64) * expected
        found = np.float64(_core.sum_of_squares(x))
        tolerance.assert_close(found, expected, bound, f"{n} numbers")
    return len(cases.LENGTHS)


CHECKS: dict[str, Callable[[Any], int]] = {
    "training steps": _passes,
    "predictors": _predictors,
    "dropout_forward philox": _philox,
    "rows of data": _rows,
    "sums of squares": _norms,
}
