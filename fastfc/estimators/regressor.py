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

from .. import _core, losses
from .base import FCBase
from .reading import adopt_data, read_data

if TYPE_CHECKING:
    from typing import Any, ClassVar

    from typing_extensions import Self

    from .._types import AnyArray, Array
    from .settings import Settings

__all__ = ["FCRegressor"]

# The parameter of each loss that has one.
PARAMETERS = {"huber": "delta", "quantile": "level"}


class FCRegressor(RegressorMixin, FCBase):
    """A fully connected network as a regressor of scikit-learn's kind, on the C core.

    Takes what ``sklearn.neural_network.MLPRegressor`` takes, under the same names and with the same
    meaning and defaults, and more.  From the same ``random_state`` both learn the same weights, up
    to rounding.

    Parameters
    ----------
    loss : str, default='squared_error'
        'squared_error', 'absolute_error', 'huber', 'quantile' or 'poisson'.  The first is half
        the squared error, the last half the deviance: there the network's outputs are
        exponentials, and y is at least 0.
    hidden_layer_sizes : array_like of int or int, default=(100,)
        Units of each hidden layer; a number is one layer, none a linear model.
    activation : str, default='relu'
        Of the hidden layers: 'identity', 'logistic', 'tanh', 'relu', 'leaky_relu', 'silu' or
        'gelu'.  ``leaky_relu`` has the slope 0.01, ``silu`` is x / (1 + exp(-x)),
        ``gelu`` x times the normal distribution function.
    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        ``lbfgs`` is SciPy's L-BFGS-B over the gradients of all examples, in float64 unless
        ``dtype`` says something else; the others train by minibatches.
    alpha : float, default=0.0001
        Strength of the L2 regularisation: alpha / 2 times the sum of the squared weights, biases
        excepted, over the weight sum of the batch, is part of the loss.
    batch_size : int or 'auto', default='auto'
        Examples of a minibatch; 'auto' is min(200, N).  The last, smaller one is used too; where it
        would show one example alone to a batch normalisation, it is one with the batch before.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        For sgd: ``invscaling`` divides ``learning_rate_init`` by (t + 1) ** power_t after each
        epoch, where t counts examples; ``adaptive`` divides it by 5 where the fit would end, until
        it is 1e-6.
    learning_rate_init : float, default=0.001
        For sgd and adam.
    power_t : float, default=0.5
        See ``learning_rate``.
    max_iter : int, default=200
        Epochs, of lbfgs iterations, at most.
    shuffle : bool, default=True
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None, default=None
        Draws the first weights, the validation set, the order of the examples and dropout's masks:
        the first three as scikit-learn's estimators of the same ``random_state`` do.  None is one
        draw of NumPy's global generator.  With an int a fit is the same bit for bit, on any number
        of threads of one instruction set.
    tol : float, default=1e-4
        Of sgd and adam: how much better the loss, or under early stopping the score, has to be
        within ``n_iter_no_change`` epochs; of lbfgs: a gradient's greatest element at the end.
    verbose : bool or int, default=False
        Whether to print each epoch's loss, and score.
    warm_start : bool, default=False
        Whether `fit` goes on with the weights as they are.
    momentum : float, default=0.9
        Of sgd.
    nesterovs_momentum : bool, default=True
        Of sgd, whether it is Nesterov's.
    early_stopping : bool, default=False
        Whether the score of a validation set, in place of the loss, says when to end; the weights
        are those of the best score then.
    validation_fraction : float, default=0.1
        Share of the examples that early stopping sets aside, unless `fit` is given a validation
        set.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of adam's moments.
    epsilon : float, default=1e-8
        Of adam.
    n_iter_no_change : int or inf, default=10
        See ``tol``.
    max_fun : int, default=15000
        Evaluations of the loss by lbfgs, at most.
    dropout : float, default=0.0
        Probability of *dropping* a unit of a hidden layer, in [0, 1).
    normalization : {'batchnorm', 'layernorm'} or None, default=None
        Between each hidden layer and its activation.
    loss_param : float or None, default=None
        Of ``huber`` the greatest error that is squared, default 1; of ``quantile`` the level, in
        (0, 1), default 0.5.
    weight_decay : float or None, default=None
        In place of ``alpha``: a decay that does not depend on the size of a batch.  For adam it is
        decoupled, as in AdamW; for sgd half of it times the sum of the squared weights is part of
        the loss, as ``weight_decay`` is in PyTorch.  Setting both is an error.
    clip_norm : float or None, default=None
        Norm to which the gradients of a step are scaled where theirs together is greater.
    lr_schedule : str, dict, callable or None, default=None
        Factor on ``learning_rate_init``, step by step, as the Solver's: ``'step'``,
        ``'exponential'``, ``'cosine'``, ``'plateau'``, a dict of such a name and its parameters, or
        a function of the step and the fit.  Lengths that are not given are those of ``max_iter``
        epochs.  Setting ``learning_rate`` too is an error.
    early_stopping_metric : {'score', 'loss'}, str or callable, default='score'
        What is compared under early stopping: what `score` returns, the negative loss, or a scorer
        of scikit-learn's.
    dtype : {'float32', 'float64'} or None, default=None
        In which the network computes; None is X's own, float64 for integers.
    n_threads : int or None, default=None
        Threads to use, in `fit` and in what predicts.  None is one in a worker of joblib's or
        multiprocessing's, and elsewhere what `fastfc.get_num_threads` says.
    callbacks : object, list of object or None, default=None
        With any of the methods ``on_step``, ``on_epoch``, ``on_stop``, which are called with the
        fit: it has what callbacks read of a Solver, ``estimator`` and ``stop()``.  Of sgd and adam.
    progress : bool, default=False
        Whether to draw a bar on stderr.  Of sgd and adam.
    preset : {'modern'} or None, default=None
        Other defaults: ``'modern'`` sets what one would choose today, of the parameters that are
        left at theirs, see docs/estimators.md.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights (inputs, outputs) and biases of each layer.  The arrays are read-only; they may be
        replaced by others.
    loss_ : float
        The loss of the last epoch, the mean over its steps; of lbfgs that at the end.
    best_loss_ : float or None
        The least so far; None under early stopping.  This and the curves are of sgd and adam.
    loss_curve_ : list of float
        The loss of each epoch; of a stream the last 1000.
    validation_scores_, validation_loss_curve_ : list of float or None
        Score and loss of the validation set after each epoch; None if there is none.
    best_validation_score_ : float or None
        The greatest score.
    t_ : int
        Examples seen in all fits that belong together.
    n_iter_ : int
        Epochs, of lbfgs iterations, of the last call.
    n_layers_, n_outputs_ : int
        Layers, input and output included; outputs.
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        Their names, where X has some.
    out_activation_ : str
        What becomes of the scores: 'identity', or 'exp' for the loss 'poisson'.

    Notes
    -----
    The loss of an example is the sum over its outputs, and so are the gradients.  scikit-learn's
    gradients are those too, but the squared error that it reports, and compares with ``tol``, is
    the mean over the outputs.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastfc.estimators import FCRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FCRegressor(preset="modern", random_state=0).fit(X, y)
    >>> regressor.predict(X[:3]).shape
    (3,)
    >>> regressor.score(X, y) > 0.4
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FCBase._parameter_constraints,
        "loss": [StrOptions({"squared_error", "absolute_error", "huber", "quantile", "poisson"})],
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
        X, y = read_data(
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
        return y if y.dtype.kind == "f" else y.astype(np.float64)

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
        """Train for one epoch more, and keep the state of the optimiser: for streams.

        Where it fails, everything stays as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.
        y : array-like, shape (N,) or (N, M)
            Targets.
        sample_weight : array-like, shape (N,), optional
            As for `fit`.
        X_val, y_val, sample_weight_val : array-like, optional
            A validation set, which is scored after the epoch.  Under ``early_stopping`` it is
            needed: a stream does not end, nor does it fall back to the best weights, but
            ``validation_scores_`` and ``best_validation_score_`` are there.

        Returns
        -------
        self
        """
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

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2, the coefficient of determination.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.
        y : array-like, shape (N,) or (N, M)
            Targets.
        sample_weight : array-like, shape (N,), optional
            Weights of the examples.

        Returns
        -------
        float
            At most 1; of several targets their mean.
        """
        if sample_weight is not None:
            sample_weight = adopt_data("sample_weight", sample_weight)
        score: float = super().score(X, adopt_data("y", y), sample_weight)
        return score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # scikit-learn's check of several outputs has negative targets
        tags.target_tags.multi_output = self.loss != "poisson"
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
