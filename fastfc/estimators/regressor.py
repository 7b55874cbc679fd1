"""A regressor of scikit-learn's kind."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from .. import _core, losses
from .base import FCBase

if TYPE_CHECKING:
    from typing import Any, ClassVar

    from typing_extensions import Self

    from .._types import AnyArray, Array
    from .settings import Settings

__all__ = ["FCRegressor"]

# The parameter of each loss that has one.
PARAMETERS = {"huber": "delta", "quantile": "level"}


class FCRegressor(RegressorMixin, FCBase):
    """DOC"""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FCBase._parameter_constraints,
        "loss": [
            StrOptions(
                {"squared_error", "absolute_error", "huber", "quantile", "poisson"}
            )
        ],
        "loss_param": [Real, None],
    }

    def __init__(
        self,
        loss: str = "squared_error",
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
        loss_param: float | None = None,
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
        self.loss = loss
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
        self.loss_param = loss_param
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
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _targets_of(self, y: AnyArray) -> AnyArray:
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(
                f"y has the value {y.min()}, expected counts, of at least 0: loss is 'poisson'"
            )
        return y

    def _count_outputs(self, targets: AnyArray) -> int:
        return 1 if targets.ndim == 1 else targets.shape[1]

    def _network_loss(self, settings: Settings) -> tuple[str, str]:
        return settings.loss, "exp" if settings.loss == "poisson" else "identity"

    def _loss_of(self, scores: Array, targets: AnyArray, sample_weight: AnyArray | None) -> float:
        options = {}
        if self.loss in PARAMETERS and self.loss_param is not None:
            options[PARAMETERS[self.loss]] = self.loss_param
        loss: Any = getattr(losses, f"{self.loss}_loss")
        return float(loss(scores, targets, **options, sample_weight=sample_weight)[0])

    def _score_of(self, scores: Array, targets: AnyArray, sample_weight: AnyArray | None) -> float:
        found = _core.respond(scores.copy(), self.out_activation_)
        if not np.isfinite(found).all():
            return float("nan")
        return float(r2_score(targets, found, sample_weight=sample_weight))

    @available_if(lambda self: self._takes_steps())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """DOC"""
        with self._all_or_nothing():
            return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), True)

    def predict(self, X: Any) -> Array:
        """Return the prediction for every example.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.

        Returns
        -------
        ndarray, shape (N,) or (N, M)
            As y was; of the network's dtype.
        """
        outputs = self._respond(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
