"""What `FCClassifier` and `FCRegressor` share: parameters, fitting, and what follows from it."""

from __future__ import annotations

import contextlib
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
)

from .. import _core
from .batches import as_matrix, dense
from .early_stopping import Monitor, Validation, split_rows, take_validation
from .fitted_network import FittedNetwork, owned_values
from .initial_weights import draw_params
from .lbfgs import fit_lbfgs
from .minibatch import Data, MinibatchFit, batch_rows
from .optimizer import Optimizer
from .presets import PRESETS
from .random_state import as_random_state
from .reading import adopt_data, read_data
from .settings import STOCHASTIC_SOLVERS, Settings, check_params, settle
from .worker_threads import threads_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

    from typing_extensions import Self

    from .._types import AnyArray, Array, Params

MOST_LOSSES = 1000  # that a stream of partial_fit keeps in its curves: it has no end


class FCBase(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What the estimators share.

    A subclass has the parameters, and what depends on the targets: the functions below that raise
    NotImplementedError.
    """

    coefs_: list[Array]
    intercepts_: list[Array]
    _network: FittedNetwork
    _optimizer: Optimizer
    solver: str
    n_threads: int | None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [
            StrOptions({"identity", "logistic", "tanh", "relu", "leaky_relu", "silu", "gelu"})
        ],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "normalization": [StrOptions({"batchnorm", "layernorm"}), None],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "lr_schedule": [str, dict, callable, None],
        "early_stopping_metric": [str, callable],
        "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "callbacks": "no_validation",  # by fastfc.training, whose callbacks they are
        "progress": ["boolean"],
        "preset": [StrOptions(set(PRESETS)), None],
    }

    def _validate_params(self) -> None:
        """Check the parameters one by one: what scikit-learn calls first."""
        check_params(self)

    def _validate(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray]:
        """Return X, an array or a sparse matrix, and y, an array; say what is wrong."""
        raise NotImplementedError

    def _check_labels(self, y: AnyArray, incremental: bool) -> None:
        """Learn the classes of y, or check that it has no others."""

    def _check_known(self, name: str, y: AnyArray) -> None:
        """Raise ValueError where y has other classes than those that have been learnt."""

    def _targets_of(self, y: AnyArray) -> AnyArray:
        """Return y as the network's loss takes it."""
        raise NotImplementedError

    def _count_outputs(self, targets: AnyArray) -> int:
        """Return the outputs that such targets need."""
        raise NotImplementedError

    def _network_loss(self, settings: Settings) -> tuple[str, str]:
        """Return the network's loss, and what becomes of its scores."""
        raise NotImplementedError

    def _loss_of(self, scores: Array, targets: AnyArray, sample_weight: AnyArray | None) -> float:
        """Return the loss of scores, without regularisation."""
        raise NotImplementedError

    def _score_of(self, scores: Array, targets: AnyArray, sample_weight: AnyArray | None) -> float:
        """Return what `score` would."""
        raise NotImplementedError

    def _stratifies(self, targets: AnyArray) -> bool:
        """Return whether a validation set has each class's share of these targets."""
        return False

    def _row_weights(
        self, y: AnyArray, sample_weight: AnyArray | None, incremental: bool
    ) -> AnyArray | None:
        """Return the weights of the examples in the loss, None where all are 1."""
        return sample_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit the network to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.
        y : array-like, shape (N,) or (N, M)
            Targets.
        sample_weight : array-like, shape (N,), optional
            Weights of the examples in the loss, of at least 0.  Batch normalisation's statistics
            are not weighted.
        X_val, y_val : array-like, optional
            A validation set, in place of one that ``early_stopping`` sets aside.  Without
            ``early_stopping`` it is scored after each epoch, and changes nothing.
        sample_weight_val : array-like, optional
            Weights of its examples.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            A parameter or array is not what is expected, or the weights have become infinite or
            NaN.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=False)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, held_out: tuple[Any, Any, Any], incremental: bool
    ) -> Self:
        """Fit, or with ``incremental`` train for one epoch more."""
        settings = settle(self)
        if incremental and settings.early_stopping and held_out[0] is None:
            raise ValueError(
                "partial_fit does not support early_stopping=True without a validation set, "
                "expected X_val and y_val: a part of a stream has no examples to spare"
            )
        first = not hasattr(self, "coefs_") or (not settings.warm_start and not incremental)
        given = X
        X, y = self._validate(X, y, reset=first)
        self._check_labels(y, incremental)
        targets = self._targets_of(y)
        if sample_weight is not None:
            sample_weight = _weights("sample_weight", sample_weight, X)
        weights = self._row_weights(y, sample_weight, incremental)
        random_state = as_random_state(settings.random_state)
        self.n_outputs_ = self._count_outputs(targets)
        sizes = [X.shape[1], *settings.hidden_layer_sizes, self.n_outputs_]
        if first:
            dtype = X.dtype.type if settings.dtype is None else np.dtype(settings.dtype).type
            self._begin(settings, sizes, random_state, dtype)
        else:
            self._go_on(settings, sizes, random_state)
        with threads_of(settings.n_threads):
            if settings.solver == "lbfgs":
                self._fit_lbfgs(settings, X, targets, weights)
            else:
                X = as_matrix(X, self._network.net.dtype)
                if targets.dtype.kind == "f":  # once, not at each call of the core
                    targets = targets.astype(self._network.net.dtype, copy=False)
                data = Data(X, targets, weights, np.arange(len(targets)))
                validation = self._given_validation(*held_out)
                if validation is None and settings.early_stopping:
                    data, validation = self._hold_out(settings, given, y, data, random_state)
                self._fit_minibatches(settings, data, validation, random_state, incremental)
        self.coefs_, self.intercepts_ = self._network.show_weights()
        if not self._network.is_finite():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed: scale it, as StandardScaler does, or lower "
                "learning_rate_init."
            )
        return self

    def _begin(
        self,
        settings: Settings,
        sizes: list[int],
        random_state: np.random.RandomState,
        dtype: type[np.floating[Any]],
    ) -> None:
        """Draw a network, and forget what earlier fits have left."""
        params = draw_params(random_state, sizes, settings.activation, dtype, settings.start)
        self._network = self._build(settings, sizes, params, _dropout_state(settings, random_state))
        self._begin_curves(settings)

    def _go_on(
        self, settings: Settings, sizes: list[int], random_state: np.random.RandomState
    ) -> None:
        """Let the network be what the parameters say now, with its weights as they are."""
        before: FittedNetwork | None = self.__dict__.get("_network")
        if before is None:  # somebody has set coefs_ of an estimator that has not been fitted
            params = {f"W{i}": np.array(W) for i, W in enumerate(self.coefs_, start=1)}
            params |= {f"b{i}": np.array(b) for i, b in enumerate(self.intercepts_, start=1)}
            found = [len(params["W1"]), *map(np.size, self.intercepts_)]
            self._begin_curves(settings)
        else:
            self._take_weights()
            params, found = before.net.params, before.sizes
        if found != sizes:
            raise ValueError(
                f"the layers have the sizes {found}, expected {sizes}: warm_start and partial_fit "
                "go on with the network of the first fit"
            )
        dropout_state = None if before is None else before.dropout_state
        if dropout_state is None:
            dropout_state = _dropout_state(settings, random_state)
        if settings.solver == "sgd":  # which updates in place, where a fit may yet fail
            params = {name: value.copy() for name, value in params.items()}
        self._network = self._build(settings, sizes, params, dropout_state)
        if before is not None and settings.normalization == before.net.normalization:
            self._network.net.bn_params = [owned_values(found) for found in before.net.bn_params]

    def _build(
        self,
        settings: Settings,
        sizes: list[int],
        params: Params,
        dropout_state: np.random.MT19937 | None,
    ) -> FittedNetwork:
        """Return a network of these parameters; say what its outputs are."""
        self.n_layers_ = len(sizes)
        loss, self.out_activation_ = self._network_loss(settings)
        return FittedNetwork(settings, loss, sizes, params, self.out_activation_, dropout_state)

    def _begin_curves(self, settings: Settings) -> None:
        """Set the attributes that a fit adds to."""
        self.n_iter_ = 0
        self.t_ = 0
        if settings.solver in STOCHASTIC_SOLVERS:
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            self.best_loss_ = None if settings.early_stopping else np.inf
            self.validation_scores_: list[float] | None = None
            self.validation_loss_curve_: list[float] | None = None
            self.best_validation_score_: float | None = None

    def _go_on_curves(self, settings: Settings, validated: bool) -> None:
        """Have the attributes that this fit adds to, in lists of its own."""
        if not hasattr(self, "loss_curve_"):  # the fit before was another solver's
            self._begin_curves(settings)
        self.loss_curve_ = list(self.loss_curve_)
        if self.best_loss_ is None and not settings.early_stopping:
            self.best_loss_ = np.inf
        if validated:
            self.validation_scores_ = list(self.validation_scores_ or [])
            self.validation_loss_curve_ = list(self.validation_loss_curve_ or [])
            if self.best_validation_score_ is None:
                self.best_validation_score_ = -np.inf

    def _fit_minibatches(
        self,
        settings: Settings,
        data: Data,
        validation: Validation | None,
        random_state: np.random.RandomState,
        incremental: bool,
    ) -> None:
        """Train by sgd or adam."""
        self._go_on_curves(settings, validation is not None)
        optimizer: Optimizer | None = self.__dict__.get("_optimizer") if incremental else None
        if optimizer is None:
            count = len(data.rows)
            steps = -(-count // batch_rows(settings.batch_size, count)) * settings.max_iter
            self._optimizer = Optimizer(settings, self._network.net.params, steps)
        else:
            self._optimizer = optimizer.twin()
        self.coefs_, self.intercepts_ = self._network.show_weights()
        monitor = None
        if validation is not None:
            monitor = Monitor(self, validation, settings.early_stopping_metric)
        MinibatchFit(self, settings, data, monitor, random_state, incremental).run()
        if incremental:
            for curve in (self.loss_curve_, self.validation_scores_, self.validation_loss_curve_):
                if curve is not None:
                    del curve[:-MOST_LOSSES]

    def _fit_lbfgs(
        self, settings: Settings, X: Any, targets: AnyArray, weights: AnyArray | None
    ) -> None:
        """Train by L-BFGS, in float64 unless ``dtype`` says something else."""
        network = self._network
        network.training = True
        with network.in_float64() if settings.dtype is None else contextlib.nullcontext():
            X = as_matrix(X, network.net.dtype)
            fit_lbfgs(self, settings, Data(X, targets, weights, np.arange(len(targets))))
        network.training = False

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave everything as it was where training fails."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _takes_steps(self) -> bool:
        """Return whether the solver has a `partial_fit`."""
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not "
                "stochastic."
            )
        return True

    def _given_validation(
        self, X_val: Any, y_val: Any, sample_weight_val: Any
    ) -> Validation | None:
        """Return the validation set that was passed, if there is one."""
        for name, value, other, missing in (
            ("X_val", X_val, "y_val", y_val),
            ("y_val", y_val, "X_val", X_val),
            ("sample_weight_val", sample_weight_val, "X_val", X_val),
        ):
            if value is not None and missing is None:
                raise ValueError(f"{name} is given and {other} is not, expected both")
        if X_val is None:
            return None
        y_val = adopt_data("y_val", y_val)
        X, y = self._validate(X_val, y_val, reset=False)
        self._check_known("y_val", y)
        targets = self._targets_of(y)
        if self._count_outputs(targets) != self.n_outputs_:
            raise ValueError(
                f"y_val has {self._count_outputs(targets)} outputs, expected {self.n_outputs_}, "
                "those of y"
            )
        if sample_weight_val is not None:
            sample_weight_val = _weights("sample_weight_val", sample_weight_val, X)
        weights = self._row_weights(y, sample_weight_val, incremental=False)
        return Validation(X_val, as_matrix(X, self._network.net.dtype), y_val, targets, weights)

    def _hold_out(
        self,
        settings: Settings,
        given: Any,
        y: AnyArray,
        data: Data,
        random_state: np.random.RandomState,
    ) -> tuple[Data, Validation]:
        """Return what is left of the data, and the validation set that is taken of it."""
        stratify = None
        if self._stratifies(data.targets):
            stratify = data.targets.astype(bool).reshape(-1, 1)
        rows, held = split_rows(
            len(data.targets), stratify, settings.validation_fraction, random_state
        )
        validation = take_validation(given, data.X, y, data.targets, data.sample_weight, held)
        return data._replace(rows=rows), validation

    def _take_weights(self) -> None:
        """Take over coefs_ and intercepts_ if somebody has set them."""
        if not self._network.shows(self.coefs_, self.intercepts_):
            self._network.take_weights(self.coefs_, self.intercepts_)
            self.coefs_, self.intercepts_ = self._network.show_weights()

    def _respond(self, X: Any) -> Array:
        """Return the outputs, after the output activation, of X as people pass it."""
        network: FittedNetwork | None = self.__dict__.get("_network")
        if network is not None and network.respond is not None:
            outputs = network.respond(X, self.__dict__)  # of a few plain rows
            if outputs is not None:
                return outputs
        return _core.respond(self._scores(X), self.out_activation_)

    def _scores(self, X: Any) -> Array:
        """Return the scores of X as people pass it."""
        X = self._check_X(X)
        with threads_of(self.n_threads):
            return self._network.scores(X)

    def _check_X(self, X: Any) -> Any:
        """Return X as the network takes it, if the estimator has been fitted to such examples."""
        check_is_fitted(self)
        X = read_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        if not self._network.training:
            self._take_weights()
        return as_matrix(X, self._network.net.dtype)

    def transform(self, X: Any) -> Array:
        """Return the outputs of the last hidden layer, as features.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.

        Returns
        -------
        ndarray, shape (N, H)
            X itself where there is no hidden layer.
        """
        X = self._check_X(X)
        if self.n_layers_ == 2:
            hidden: Array = dense(X)
            return hidden
        with threads_of(self.n_threads):
            return self._network.hidden(X)

    @property
    def _n_features_out(self) -> int:
        """The number of features that `transform` returns."""
        return self._network.sizes[-2]

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        network = self.__dict__.get("_network")
        if network is not None and network.shows(self.coefs_, self.intercepts_):
            state = {k: v for k, v in state.items() if k not in ("coefs_", "intercepts_")}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_network" in self.__dict__ and "coefs_" not in self.__dict__:
            self.coefs_, self.intercepts_ = self._network.show_weights()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _weights(name: str, sample_weight: Any, X: Any) -> AnyArray:
    """Return the weights of the examples X."""
    given = adopt_data(name, sample_weight)
    weights: AnyArray = _check_sample_weight(given, X, ensure_non_negative=True)
    return weights


def _dropout_state(
    settings: Settings, random_state: np.random.RandomState
) -> np.random.MT19937 | None:
    """Return what dropout's masks are drawn by, None without dropout."""
    if settings.dropout == 0:
        return None
    return np.random.MT19937(random_state.randint(2**31 - 1))
