"""How a Solver looks at examples: as the model gets them, and how well it predicts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..data.rows import check_normalization, read_rows
from .attributes import Attributes
from .notices import warn_of_labels, warn_of_nan
from .splits import as_weights, check_scoring, model_loss, takes_targets
from .state import copy_arrays, running_statistics

if TYPE_CHECKING:
    from typing import Any

    from .._types import AnyArray, Array, Examples, Labels, Normalization
    from ..distributed import Team
    from .shards import Cut


class Scored(Attributes):
    """The part of a Solver that reads examples and counts accuracies."""

    _scoring = False  # by all ranks together: whoever calls check_accuracy is one of them

    if TYPE_CHECKING:  # of the Solver

        def _bn_params(self) -> list[dict[str, Any]]: ...

    def _examples(self, X: Examples, rows: Labels | slice) -> AnyArray:
        """Return rows of X as the model gets them."""
        if self.normalize is None:
            return read_rows(X, rows)
        return read_rows(X, rows, self.normalize[0].dtype, self.normalize)

    def _normalization(self, normalize: Normalization) -> tuple[Array, Array]:
        """Return mean and standard deviation of every feature, in the model's dtype."""
        example, other = self.X_train.shape[1:], self.X_val.shape[1:]
        if math.prod(other) != math.prod(example):
            raise ValueError(
                f"X_val has examples of shape {other}, expected {example}, as X_train's, "
                "to normalize both"
            )
        dtype = getattr(self.model, "dtype", np.float64)
        dtype = dtype if dtype in (np.float32, np.float64) else np.float64
        return check_normalization(normalize, example, dtype)

    def check_accuracy(
        self,
        X: Examples,
        y: AnyArray,
        num_samples: int | None = None,
        batch_size: int = 100,
        sample_weight: AnyArray | None = None,
    ) -> float:
        """Return the fraction of examples that the model classifies as labelled.

        Of a network of fastfc's whose loss is logistic, an example is right where all its scores
        are on their targets' side of 0.  Of the other losses of targets it is the share of the loss
        that the network explains, at most 1: 1 - loss / (the loss of the best constant), which for
        one score and the squared error is R^2.

        Parameters
        ----------
        X : array, shape (N, d_1, ..., d_k)
            Examples as in ``data``: not normalized yet, and not necessarily in memory.
        y : array_like, shape (N,)
            Labels, or targets, as in ``data``.
        num_samples : int, optional
            If there are more examples, so many are drawn with replacement.
        batch_size : int
            Examples per call of the model, which bounds the memory in use.
        sample_weight : array_like, shape (N,), optional
            Weights of the examples.

        Returns
        -------
        float

        Raises
        ------
        TypeError
            X or y is no array of examples or labels.
        ValueError
            y is not of shape (N,), or num_samples or batch_size is no integer of at least 1.

        Warns
        -----
        UserWarning
            The labels of a network of fastfc's run from 1 on, not from 0.

        Examples
        --------
        >>> import numpy as np
        >>> from types import SimpleNamespace
        >>> from fastfc.solver import Solver
        >>> model = SimpleNamespace(params={}, loss=lambda X, y=None: X)
        >>> X, y = np.eye(2), np.array([0, 0])
        >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
        >>> Solver(model, data).check_accuracy(X, y)
        np.float64(0.5)
        """
        X, y = check_scoring(self.model, X, y, num_samples, batch_size)
        weights = as_weights("sample_weight", sample_weight, "X", X.shape[0])
        warn_of_labels(self, y)
        mask = None
        if num_samples is not None and X.shape[0] > num_samples:
            mask = np.random.choice(X.shape[0], num_samples)
            y = y[mask]
            weights = None if weights is None else weights[mask]
        count = X.shape[0] if mask is None else len(mask)
        batches = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
        found: Any = {}
        team = self._team if self._scoring else None
        for i, rows in enumerate(batches):
            if team is None or i % team.size == team.rank:
                found[i] = self._found(X, rows if mask is None else mask[rows])
        if team is not None:
            found = {
                k: v for part in team.collect_objects(found, "scores") for k, v in part.items()
            }
        found = [found[i] for i in range(len(batches))]
        if takes_targets(self.model):
            model: Any = self.model
            score: float = model.__fastfc_score__(np.concatenate(found), y, weights)
            return score
        right = np.hstack(found) == y
        if weights is None:
            accuracy: float = np.mean(right)
            return accuracy
        with np.errstate(all="ignore"):  # NaN where the weights of what was drawn are all 0
            weighted: float = (weights * right).sum() / weights.sum()
        return weighted

    def _found(self, X: Examples, rows: Labels | slice) -> AnyArray:
        """Return what the model makes of some rows: classes, or scores where it has targets."""
        batch = self._examples(X, rows)
        scores = self.model.loss(batch)
        warn_of_nan(self, X, batch, scores)
        found: AnyArray = scores if takes_targets(self.model) else np.argmax(scores, 1)
        return found

    def _accuracy_of_shards(
        self, team: Team, cut: Cut, split: str, num_samples: int | None, batch_size: int = 100
    ) -> float:
        """Return what `check_accuracy` would of the rows of all ranks, each scoring its own."""
        X, y, weights = (getattr(self, f"{kind}_{split}") for kind in "Xyw")
        rows: Labels = np.arange(len(y))
        if num_samples is not None and cut.total > num_samples:
            rows, _ = cut.deal(np.sort(np.random.choice(cut.total, num_samples)))
        y = y[rows]
        weights = None if weights is None else weights[rows]
        found = [
            self._found(X, rows[start : start + batch_size])
            for start in range(0, len(rows), batch_size)
        ]
        if takes_targets(self.model):
            parts = team.collect_objects((found, y, weights), "scores")
            model: Any = self.model
            score: float = model.__fastfc_score__(
                np.concatenate([scores for part in parts for scores in part[0]]),
                np.concatenate([part[1] for part in parts]),
                None if weights is None else np.concatenate([part[2] for part in parts]),
            )
            return score
        right = np.concatenate([np.empty(0, int), *found]) == y
        each = np.ones(len(y)) if weights is None else weights
        counted, total = team.add(np.array([(each * right).sum(), each.sum()]), "accuracies")
        with np.errstate(all="ignore"):  # NaN where the weights of what was drawn are all 0
            accuracy: float = counted / total
        return accuracy

    def _accuracy(self, split: str, num_samples: int | None) -> float:
        """Return the accuracy on a split of the data, weighted if the data are."""
        if split in self._cuts and self._team is not None:
            return self._accuracy_of_shards(self._team, self._cuts[split], split, num_samples)
        X, y, weights = (getattr(self, f"{kind}_{split}") for kind in "Xyw")
        options = {} if weights is None else {"sample_weight": weights}
        return self.check_accuracy(X, y, num_samples, **options)

    def _score(self) -> None:
        """Note and print both accuracies; keep the parameters if they are the best so far."""
        self._scoring = True
        try:
            train_acc = self._accuracy("train", self.num_train_samples)
            val_acc = self._accuracy("val", self.num_val_samples)
        finally:
            self._scoring = False
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        self._log.scored.append(len(self.loss_history))
        if self.verbose:
            loss = model_loss(self.model)
            counts = loss is None or loss.output in ("softmax", "logistic")
            word = "acc" if counts else "score"
            self._say(
                f"(Epoch {self.epoch} / {self.num_epochs}) "
                f"train {word}: {train_acc:f}; val_{word}: {val_acc:f}"
            )
        if val_acc > self.best_val_acc or not self.best_params:
            self.best_val_acc = val_acc
            self.best_params = copy_arrays(self.model.params)
            statistics = running_statistics(self._bn_params())
            self.best_bn_params = [copy_arrays(found) for found in statistics]
