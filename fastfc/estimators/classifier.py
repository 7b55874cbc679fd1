"""A classifier of scikit-learn's kind."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, cast

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from .. import _core
from ..losses import logistic_loss, softmax_loss
from .base import FCBase
from .reading import adopt_data, read_data

if TYPE_CHECKING:
    from typing import Any, ClassVar

    from typing_extensions import Self

    from .._types import AnyArray, Array
    from .settings import Settings

__all__ = ["FCClassifier"]

_EXAMPLES = 4  # of a class on average, with which scikit-learn warns of nothing


class FCClassifier(ClassifierMixin, FCBase):
    """A fully connected network as a classifier of scikit-learn's kind, on the C core.

    Takes what ``sklearn.neural_network.MLPClassifier`` takes, under the same names and with the
    same meaning and defaults, and more.  From the same ``random_state`` both learn the same
    weights, up to rounding.

    Parameters
    ----------
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
    class_weight : dict, 'balanced', list of dict or None, default=None
        Weights of the classes in the loss, as `compute_sample_weight` of scikit-learn takes them;
        they multiply ``sample_weight``, in a validation set too.
    label_smoothing : float, default=0.0
        Share of each label's weight that the loss spreads evenly over all classes; of multilabel
        data, over yes and no.
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
    classes_ : ndarray
        The labels, in the order of `predict_proba`.
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
        What becomes of the scores: 'softmax', or 'logistic' for two
        classes and multilabel data.

    Notes
    -----
    The loss of an example is the cross-entropy; of multilabel data its sum over the labels.  It is
    computed from the scores, and grows without bound where scikit-learn's, which clips
    probabilities, does not.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastfc.estimators import FCClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = FCClassifier(solver="lbfgs", tol=0.01, random_state=0).fit(X, y)
    >>> classifier.predict(X[[0, 50, 100]])
    array([0, 1, 2])
    >>> classifier.predict_proba(X[:2]).shape
    (2, 3)
    """

    classes_: AnyArray

    _parameter_constraints: ClassVar[dict[str, Any]] = {
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
        X, y = read_data(
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
            self._label_binarizer = _binarizer_of(y)
            self.classes_ = self._label_binarizer.classes_
            return
        classes = unique_labels(y)
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {classes}"
            )
        self._check_known("y", y)

    def _check_known(self, name: str, y: AnyArray) -> None:
        classes = unique_labels(y)
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
        if self._kind() == "binary" and y.ndim == 1:
            return np.searchsorted(self.classes_, y).astype(np.uint8)
        targets: AnyArray = self._label_binarizer.transform(y)
        return (targets.ravel() if self._kind() == "binary" else targets).astype(np.uint8)

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
            return np.asarray(probabilities > 0.5, np.uint8)
        if self._kind() == "binary":
            return np.asarray((probabilities[:, 1] > 0.5) & (len(self.classes_) > 1), np.intp)
        chosen: AnyArray = probabilities.argmax(axis=1)
        return chosen

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
        weights: AnyArray = compute_sample_weight(self.class_weight, y)
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
        classes : array-like, optional
            All classes there are; needed at the first call.
        X_val, y_val, sample_weight_val : array-like, optional
            A validation set, which is scored after the epoch.  Under ``early_stopping`` it is
            needed: a stream does not end, nor does it fall back to the best weights, but
            ``validation_scores_`` and ``best_validation_score_`` are there.

        Returns
        -------
        self
        """
        with self._all_or_nothing():
            y = adopt_data("y", y)
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
            labels: Any = self._label_binarizer.inverse_transform(chosen)  # sparse if y was
            return cast("AnyArray", labels)
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
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (N, D)
            Examples.

        Returns
        -------
        ndarray, shape (N, C)
        """
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self._respond(X))
        return logarithms

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of examples whose class is predicted.

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
            Of multilabel data all labels must be right.
        """
        if sample_weight is not None:
            sample_weight = adopt_data("sample_weight", sample_weight)
        score: float = super().score(X, adopt_data("y", y), sample_weight)
        return score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _binarizer_of(y: Any) -> LabelBinarizer:
    """Return ``LabelBinarizer().fit(y)``, which finds out twice what plain integers are."""
    if type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biu":
        classes = np.unique(y)
        if _EXAMPLES * len(classes) <= len(y):
            binarizer = LabelBinarizer()
            binarizer.y_type_ = "multiclass" if len(classes) > 2 else "binary"
            binarizer.classes_, binarizer.sparse_input_ = classes, False
            return binarizer
    return LabelBinarizer().fit(y)
