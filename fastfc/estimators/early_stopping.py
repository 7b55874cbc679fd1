"""The validation set of a fit: where it comes from, its scores, the best weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

if TYPE_CHECKING:
    from typing import Any

    from .._types import AnyArray, Labels


class Validation(NamedTuple):
    """A validation set.

    ``given`` is X as it was passed, for scorers; ``X`` and ``targets`` are as the network takes
    them, ``y`` as scorers do.
    """

    given: Any
    X: Any
    y: Any
    targets: AnyArray
    sample_weight: AnyArray | None


def split_rows(
    count: int,
    stratify: AnyArray | None,
    fraction: float,
    random_state: np.random.RandomState,
) -> tuple[Labels, Labels]:
    """Return the rows to train on and those to validate with, as scikit-learn draws them.

    Raises
    ------
    ValueError
        One of them would be too small.

    Examples
    --------
    >>> train, validation = split_rows(10, None, 0.2, np.random.RandomState(0))
    >>> len(train), sorted(validation.tolist())
    (8, [2, 8])
    """
    parts: Any = train_test_split(
        np.arange(count), random_state=random_state, test_size=fraction, stratify=stratify
    )
    rows, held_out = parts
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return rows, held_out


def take_validation(
    X: Any, matrix: Any, y: AnyArray, targets: AnyArray, weights: AnyArray | None, rows: Labels
) -> Validation:
    """Return the validation set of these rows of the data; a frame keeps its columns' names."""
    held = matrix[rows]
    return Validation(
        _safe_indexing(X, rows) if hasattr(X, "columns") else held,
        held,
        y[rows],
        targets[rows],
        None if weights is None else weights[rows],
    )


class Monitor:
    """Scores a validation set and keeps the best weights.

    Parameters
    ----------
    estimator : FCClassifier or FCRegressor
        Being fitted; its ``validation_scores_``, ``validation_loss_curve_`` and
        ``best_validation_score_`` are kept up.  Its weights are the best until one scores better.
    validation : Validation
    metric : {'score', 'loss'}, str or callable
        What a score is: the estimator's own, the negative loss, or scikit-learn's scorer.
    """

    def __init__(self, estimator: Any, validation: Validation, metric: Any) -> None:
        self._estimator = estimator
        self._validation = validation
        self._metric = metric
        self._scorer: Any = None
        if metric not in ("score", "loss"):
            self._scorer = check_scoring(estimator, scoring=metric)
        self.best = estimator._network.state()
        self._was_best = estimator.best_validation_score_

    def is_worse(self, tol: float) -> bool:
        """Return whether the last score is not better by ``tol`` than the best one before it."""
        worse: bool = self._estimator.validation_scores_[-1] < self._was_best + tol
        return worse

    def look(self) -> float:
        """Score the validation set; return the score, NaN where a prediction is not finite."""
        estimator, held = self._estimator, self._validation
        scores = estimator._network.scores(held.X)
        loss = estimator._loss_of(scores, held.targets, held.sample_weight)
        estimator.validation_loss_curve_.append(loss)
        if self._scorer is not None:
            weights = {} if held.sample_weight is None else {"sample_weight": held.sample_weight}
            score = float(self._scorer(estimator, held.given, held.y, **weights))
        elif not np.isfinite(scores).all():
            score = float("nan")
        elif self._metric == "loss":
            score = -loss
        else:
            score = estimator._score_of(scores, held.targets, held.sample_weight)
        estimator.validation_scores_.append(score)
        self._was_best = estimator.best_validation_score_
        if score > self._was_best:
            estimator.best_validation_score_ = score
            self.best = estimator._network.state()
        return score
