"""Checks of the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..gradient_check import eval_numerical_gradient
from ..reference import layers as reference
from . import mistakes

if TYPE_CHECKING:
    from .._types import Array
    from .running import Checker


def check(checker: Checker) -> None:
    """Check what the student has of ``softmax_loss`` and ``svm_loss``."""
    generator = np.random.RandomState(1)
    if checker.has("softmax_loss"):
        for N, C in ((5, 4), (1, 3), (3, 2), (7, 10)):
            _loss(checker, generator, "softmax", f"x {(N, C)}", 2 * generator.randn(N, C))
        x = generator.randn(4, 3)
        _loss(checker, generator, "softmax", "x (4, 3), scores of 1000", x + 1000)
        # exp takes these as they are, but not less the greatest of all
        rows = np.array([300.0, -600.0, 0.0, -500.0])[:, np.newaxis]
        _loss(checker, generator, "softmax", "x (4, 3), rows far apart", x + rows)
    if checker.has("svm_loss"):
        for N, C in ((5, 4), (1, 3), (3, 2), (7, 10)):
            _loss(checker, generator, "svm", f"x {(N, C)}", 2 * generator.randn(N, C))


def _loss(
    checker: Checker, generator: np.random.RandomState, kind: str, case: str, x: Array
) -> None:
    name, (N, C) = f"{kind}_loss", x.shape
    y = generator.randint(C, size=N)
    expected, expected_dx = getattr(reference, name)(x, y)
    returned, value = checker.call(name, case, x, y)
    results = checker.results(name, case, value, ("loss", "dx")) if returned else None
    if results is None:
        return
    wrong_loss, wrong_dx = getattr(mistakes, kind)(x, y)
    sizes = {"N": N, "C": C, "N C": N * C}
    checker.compare(name, "loss", case, results["loss"], expected, wrong_loss, sizes)
    right = checker.compare(name, "dx", case, results["dx"], expected_dx, wrong_dx, sizes)
    if right:
        numerical = eval_numerical_gradient(
            lambda x: getattr(reference, name)(x, y)[0], x.copy(), verbose=False
        )
        checker.compare_numerically(name, "dx", case, results["dx"], numerical)
