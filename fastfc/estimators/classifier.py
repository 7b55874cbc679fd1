"""A classifier of scikit-learn's kind."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from .. import _core
from ..losses import logistic_loss, softmax_loss
from .base import FCBase

if TYPE_CHECKING:
    from typing import Any, ClassVar

    from typing_extensions import Self

    from .._types import AnyArray, Array
    from .settings import Settings

__all__ = ["FCClassifier"]


class FCClassifier(ClassifierMixin, FCBase):
    """DOC"""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FCBase._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "label_smoothing": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        normalization: str | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        lr_schedule: Any = None,
        early_stopping_metric: Any = "score",
        dtype: Any = None,
        n_threads: int | None = None,
        callbacks: Any = None,
        progress: bool = False,
        preset: str | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.normalization = normalization
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.lr_schedule = lr_schedule
        self.early_stopping_metric = early_stopping_metric
        self.dtype = dtype
        self.n_threads = n_threads
        self.callbacks = callbacks
        self.progress = progress
        self.preset = preset

    def _validate(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _check_labels(self, y: AnyArray, incremental: bool) -> None:
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
            return
        classes = unique_labels(y)
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {classes}"
            )
        self._check_known("y", classes)

    def _check_known(self, name: str, classes: AnyArray) -> None:
        """Raise ValueError unless all of these are classes that have been learnt."""
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`{name}` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes_}. '{name}' has {classes}."
            )

    def _kind(self) -> str:
        """Return what the labels are: binary, multiclass, or multilabel-indicator."""
        kind: str = self._label_binarizer.y_type_
        return kind

    def _targets_of(self, y: AnyArray) -> AnyArray:
        if self._kind() == "multiclass":
            return np.searchsorted(self.classes_, y).astype(np.int64)
        targets: AnyArray = self._label_binarizer.transform(y)
        return (targets.ravel() if self._kind() == "binary" else targets).astype(np.int64)

    def _count_outputs(self, targets: AnyArray) -> int:
        if self._kind() == "multiclass":
            return len(self.classes_)
        return 1 if targets.ndim == 1 else targets.shape[1]

    def _network_loss(self, settings: Settings) -> tuple[str, str]:
        return ("softmax", "softmax") if self._kind() == "multiclass" else ("logistic", "logistic")

    def _stratifies(self, targets: AnyArray) -> bool:
        return self.n_outputs_ == 1  # as scikit-learn's, which neither stratifies many classes

    def _loss_of(self, scores: Array, targets: AnyArray, sample_weight: AnyArray | None) -> float:
        loss = softmax_loss if self._kind() == "multiclass" else logistic_loss
        return float(loss(scores, targets, sample_weight=sample_weight)[0])

    def _score_of(self, scores: Array, targets: AnyArray, sample_weight: AnyArray | None) -> float:
        found = self._choose(_core.respond(scores.copy(), self.out_activation_))
        right = found == targets
        right = right.all(axis=1) if right.ndim == 2 else right
        return float(np.average(right, weights=sample_weight))

    def _choose(self, probabilities: Array) -> AnyArray:
        """Return the targets that are most probable."""
        if self._kind() == "multilabel-indicator":
            return (probabilities > 0.5).astype(np.int64)
        if self._kind() == "binary":
            return (probabilities[:, 1] > 0.5).astype(np.int64) * (len(self.classes_) > 1)
        return probabilities.argmax(axis=1)

    def _row_weights(
        self, y: AnyArray, sample_weight: AnyArray | None, incremental: bool
    ) -> AnyArray | None:
        if self.class_weight is None:
            return sample_weight
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight is 'balanced', expected a dict: partial_fit sees a part of a stream, "
                "and cannot know the classes' shares; "
                "sklearn.utils.class_weight.compute_class_weight computes them"
            )
        weights = compute_sample_weight(self.class_weight, y)
        return weights if sample_weight is None else weights * sample_weight

    @available_if(lambda self: self._takes_steps())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """DOC"""
        with self._all_or_nothing():
            if _check_partial_fit_first_call(self, classes):
                known = y if type_of_target(y).startswith("multilabel") else classes
                self._label_binarizer = LabelBinarizer().fit(known)
            return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), True)

    def predict(self, X: Any) -> AnyArray:
        """Return the most probable class of every example.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.

        Returns
        -------
        ndarray, shape (N,) or, of multilabel data, (N, M)
        """
        chosen = self._choose(self._respond(X))
        if self._kind() == "multilabel-indicator":
            labels: AnyArray = self._label_binarizer.inverse_transform(chosen)
            return labels
        return self.classes_[chosen]

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of every class for every example.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.

        Returns
        -------
        ndarray, shape (N, C)
            In the order of ``classes_``.  The rows of multilabel data do not sum to 1: each is the
            probability of one label.
        """
        return self._respond(X)

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of `predict_proba`, finite where those vanish.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.

        Returns
        -------
        ndarray, shape (N, C)
        """
        scores = self._scores(X)
        if self._kind() == "multiclass":
            scores -= scores.max(axis=1, keepdims=True)
            return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        if self._kind() == "binary":
            return -np.logaddexp(0, np.hstack([scores, -scores]), dtype=scores.dtype)
        return -np.logaddexp(0, -scores, dtype=scores.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
