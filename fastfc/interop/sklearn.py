"""Networks as scikit-learn's MLPs, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arguments import shown
from ..locks import lock_of
from ..networks.fully_connected import FullyConnectedNet as AnyNet
from ..networks.predictor import fold, freeze, read_layers
from ..optional import missing_package
from .steps import Activation, Affine, Dropout, Norm, build_network

try:
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import LabelBinarizer, StandardScaler
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise missing_package("fastfc.interop.sklearn", "scikit-learn", "sklearn", error) from error

from ..estimators import FCClassifier, FCRegressor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._types import AnyArray
    from ..fc_net import FullyConnectedNet
    from ..networks.predictor import Layer
    from .steps import Step

__all__ = ["from_sklearn", "to_sklearn"]

# Losses by what an MLP makes of scores.
_LOSSES = {
    "softmax": "softmax",
    "logistic": "logistic",
    "identity": "squared_error",
    "exp": "poisson",
}
_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")  # that MLPs have


def from_sklearn(estimator: Any) -> FullyConnectedNet:
    """Return the network of a fitted estimator.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, FCClassifier or FCRegressor
        Or a Pipeline of a StandardScaler and one of these: the scaler becomes the network's
        ``preprocessing``, which its methods never apply.  It stays as it is, and shares no memory
        with the network.

    Returns
    -------
    FullyConnectedNet
        In the dtype of its weights.  The loss is that of its targets: ``'softmax'`` of classes,
        the k-th being ``estimator.classes_[k]``, ``'logistic'`` of two classes, with one score, and
        of multilabel data, the regressor's own, ``'squared_error'`` or ``'poisson'`` of an
        MLPRegressor.  ``reg`` is 0: theirs depends on the size of a batch.  Nothing is drawn from
        ``np.random``.

    Raises
    ------
    TypeError
        It is another estimator.
    NotFittedError
        It has not been fitted.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from fastfc.interop import from_sklearn
    >>> X = np.arange(10.0)[:, np.newaxis]
    >>> mlp = MLPRegressor(hidden_layer_sizes=[4], solver="lbfgs", random_state=0).fit(X, X[:, 0])
    >>> net = from_sklearn(mlp)
    >>> net
    <FullyConnectedNet: 1-4-1, squared_error, float64>
    >>> np.allclose(net.predict(X), mlp.predict(X))
    True
    """
    if isinstance(estimator, Pipeline):
        scaler, inner = _take_apart(estimator)
        net = from_sklearn(inner)
        check_is_fitted(scaler)
        net.preprocessing = {
            "kind": "normalize",
            "mean": scaler.mean_.tolist() if scaler.with_mean else 0.0,
            "std": scaler.scale_.tolist() if scaler.with_std else 1.0,
        }
        return net
    if isinstance(estimator, (FCClassifier, FCRegressor)):
        check_is_fitted(estimator)
        return _copy_network(estimator)
    if not isinstance(estimator, (MLPClassifier, MLPRegressor)):
        raise TypeError(
            f"from_sklearn: estimator is {shown(estimator)}, expected an MLPClassifier, "
            "MLPRegressor, FCClassifier or FCRegressor"
        )
    check_is_fitted(estimator)
    steps: list[Step] = []
    for i, (W, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        if i > 0 and estimator.activation != "identity":
            steps.append(Activation(f"activation {i - 1}", estimator.activation))
        steps.append(Affine(f"coefs_[{i}]", W.astype(np.float64), b.astype(np.float64)))
    dtype = np.float32 if estimator.coefs_[0].dtype == np.float32 else np.float64
    loss = _LOSSES[estimator.out_activation_]
    return build_network("from_sklearn", steps, dtype, loss=loss)


def _take_apart(pipeline: Any) -> tuple[Any, Any]:
    """Return a pipeline's scaler and its last step."""
    steps = [step for _, step in pipeline.steps if step is not None and step != "passthrough"]
    if len(steps) != 2 or not isinstance(steps[0], StandardScaler):
        names = ", ".join(type(step).__name__ for step in steps)
        raise TypeError(
            f"from_sklearn: estimator is a Pipeline of {names}, expected of StandardScaler and an "
            "MLP: pass its last step alone"
        )
    return steps[0], steps[1]


def _copy_network(estimator: Any) -> FullyConnectedNet:
    """Return a network as that of an estimator of fastfc's, with memory of its own."""
    estimator._take_weights()
    net = estimator._network.net
    loss = {"loss": net.loss_name, "loss_param": net.loss_param}
    twin = build_network("from_sklearn", list(_steps_of(net)), net.dtype, **loss)
    twin.label_smoothing = net.label_smoothing
    return twin


def _steps_of(net: AnyNet) -> Iterator[Step]:
    """Generate the steps of an estimator's network, whose dropout has the convention 'drop'."""
    layers = read_layers(freeze(net, "from_sklearn"))
    for i, layer in enumerate(layers):
        yield Affine(f"layer {i}", layer.W.astype(np.float64), layer.b.astype(np.float64))
        if layer is layers[-1]:
            return
        if layer.gamma is not None and layer.beta is not None:
            gamma, beta = layer.gamma.astype(np.float64), layer.beta.astype(np.float64)
            norm = Norm(f"normalisation {i}", gamma, beta, layer.eps)
            if layer.mean is not None and layer.var is not None:
                norm.mean, norm.var = layer.mean.astype(np.float64), layer.var.astype(np.float64)
                norm.momentum = net.bn_params[i].get("momentum", 0.9)
            yield norm
        if layer.activation != "identity":
            yield Activation(f"activation {i}", layer.activation)
        if net.use_dropout:
            yield Dropout(f"dropout {i}", net.dropout_param["p"])


def to_sklearn(model: Any, *, classes: Any = None) -> Any:
    """Return a network as a fitted MLP of scikit-learn.

    Batch normalisation is folded into the weights, and dropout is left out: what the MLP predicts
    is what the network does.  It can be trained on, by ``partial_fit`` or ``warm_start=True``.

    Parameters
    ----------
    model : FullyConnectedNet, FCClassifier or FCRegressor
        Which stays as it is, and shares no memory with the MLP.
    classes : array_like, optional
        The label of each score, or for the loss ``'logistic'`` with one score of 0 and 1; by
        default 0, 1, and so on, and of an estimator its own ``classes_``.

    Returns
    -------
    MLPClassifier
        For the losses ``'softmax'`` and ``'logistic'``.  Of two classes it has one output, the
        difference of the two scores.
    MLPRegressor
        For the others, with the loss ``'poisson'`` or else ``'squared_error'``, the ones that it
        has.

    Raises
    ------
    TypeError
        It is no network or estimator of fastfc's.
    ValueError
        Its activation is none that MLPs have, it has layer normalisation, or ``classes`` does not
        fit.

    Examples
    --------
    >>> from fastfc import FullyConnectedNet
    >>> from fastfc.interop import to_sklearn
    >>> net = FullyConnectedNet([4], input_dim=2, num_classes=3, dtype=np.float64)
    >>> mlp = to_sklearn(net, classes=["red", "green", "blue"])
    >>> mlp
    MLPClassifier(hidden_layer_sizes=(4,))
    >>> net.params["b2"][1] = 1
    >>> to_sklearn(net, classes=["red", "green", "blue"]).predict([[0, 0]])
    array(['green'], dtype='<U5')
    """
    if isinstance(model, (FCClassifier, FCRegressor)):
        check_is_fitted(model)
        if isinstance(model, FCClassifier) and model._kind() != "multilabel-indicator":
            classes = model.classes_ if classes is None else classes
        model = _copy_network(model)
    if not isinstance(model, AnyNet):
        raise TypeError(f"to_sklearn: model is {shown(model)}, expected a network of fastfc")
    if model.activation not in _ACTIVATIONS:
        raise ValueError(
            f"to_sklearn: activation is {model.activation!r}, expected one that MLPs of "
            f"scikit-learn have: {', '.join(_ACTIVATIONS)}"
        )
    with lock_of(model):
        layers = [fold(layer) for layer in read_layers(freeze(model, "to_sklearn"))]
    if any(layer.gamma is not None for layer in layers):
        raise ValueError(
            f"to_sklearn: normalization is {model.normalization!r}, expected none, or batch "
            "normalisation whose numbers are finite: scikit-learn's MLPs have none"
        )
    if model.loss_name not in ("softmax", "logistic"):
        if classes is not None:
            raise ValueError(
                f"to_sklearn: classes is {shown(classes)}, expected None: the loss "
                f"{model.loss_name!r} is of no classes"
            )
        loss = "poisson" if model.loss_name == "poisson" else "squared_error"
        regressor = MLPRegressor(loss=loss, **_settings(model, layers))
        regressor.out_activation_ = "exp" if loss == "poisson" else "identity"
        return _fill(regressor, layers)
    return _classifier(model, layers, classes)


def _classifier(model: AnyNet, layers: list[Layer], classes: Any) -> Any:
    """Return a network's MLPClassifier."""
    outputs = len(layers[-1].b)
    multilabel = model.loss_name == "logistic" and outputs > 1
    count = 2 if model.loss_name == "logistic" and not multilabel else outputs
    labels = np.arange(count) if classes is None else np.asarray(classes)
    if labels.shape != (count,) or len(np.unique(labels)) != count or count < 2:
        raise ValueError(
            f"to_sklearn: classes is {shown(classes)}, expected {count} labels, each once, and at "
            "least 2"
        )
    if multilabel and (classes is not None and (labels != np.arange(count)).any()):
        raise ValueError(
            f"to_sklearn: classes is {shown(classes)}, expected None: each score is of a label of "
            "its own"
        )
    mlp = MLPClassifier(**_settings(model, layers))
    mlp._label_binarizer = LabelBinarizer().fit(np.eye(count, dtype=int) if multilabel else labels)
    mlp.classes_ = mlp._label_binarizer.classes_
    mlp.out_activation_ = "softmax" if count > 2 and not multilabel else "logistic"
    if not multilabel:
        layers = [*layers[:-1], _ordered(layers[-1], np.argsort(labels))]
    return _fill(mlp, layers)


def _ordered(last: Layer, order: AnyArray) -> Layer:
    """Return the output layer of classes in another order; of two classes with one score."""
    W, b = last.W, last.b
    if W.shape[1] == 1:  # of the second of two classes
        sign = 1 if order[1] == 1 else -1
        return last._replace(W=sign * W, b=sign * b)
    W, b = W[:, order], b[order]
    if W.shape[1] == 2:
        wide, bias = W.astype(np.float64), b.astype(np.float64)
        W = (wide[:, 1:] - wide[:, :1]).astype(W.dtype)
        b = (bias[1:] - bias[:1]).astype(b.dtype)
    return last._replace(W=W, b=b)


def _settings(model: AnyNet, layers: list[Layer]) -> dict[str, Any]:
    """Return what an MLP is constructed with."""
    settings: dict[str, Any] = {"hidden_layer_sizes": tuple(len(layer.b) for layer in layers[:-1])}
    if model.activation != "relu":
        settings["activation"] = model.activation
    return settings


def _fill(mlp: Any, layers: list[Layer]) -> Any:
    """Give an MLP what fitting would."""
    mlp.coefs_ = [np.array(layer.W, order="C") for layer in layers]
    mlp.intercepts_ = [np.array(layer.b) for layer in layers]
    mlp.n_features_in_ = len(layers[0].W)
    mlp.n_layers_, mlp.n_outputs_ = len(layers) + 1, len(layers[-1].b)
    mlp.n_iter_, mlp.t_, mlp._no_improvement_count = 0, 0, 0
    mlp.loss_curve_, mlp.loss_, mlp.best_loss_ = [], np.inf, np.inf
    mlp.validation_scores_ = mlp.best_validation_score_ = None
    return mlp
