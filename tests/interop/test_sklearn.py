"""Networks as scikit-learn's MLPs and back: the same predictions."""

import warnings

import numpy as np
import pytest

from fastfc import fc_net, interop
from tests.support import cases

neural_network = pytest.importorskip("sklearn.neural_network", reason="no scikit-learn here")
exceptions = pytest.importorskip("sklearn.exceptions")
linear_model = pytest.importorskip("sklearn.linear_model")
estimators = pytest.importorskip("fastfc.estimators")

MLPClassifier, MLPRegressor = neural_network.MLPClassifier, neural_network.MLPRegressor
make_pipeline = pytest.importorskip("sklearn.pipeline").make_pipeline
StandardScaler = pytest.importorskip("sklearn.preprocessing").StandardScaler
FCClassifier, FCRegressor = estimators.FCClassifier, estimators.FCRegressor
from_sklearn, to_sklearn = interop.from_sklearn, interop.to_sklearn

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
X = cases.normal((60, 6), np.float64, "X")
LABELS = {
    "three": np.array(["red", "green", "blue"])[cases.labels(60, 3)],
    "two": np.array(["no", "yes"])[cases.labels(60, 2)],
    "many at once": np.eye(4, dtype=int)[cases.labels(60, 4)]
    | np.eye(4, dtype=int)[cases.labels(60, 3)],
}
TARGETS = {"one": X[:, 0] ** 2, "several": X[:, :2] ** 2}


def fitted(cls, y, dtype=np.float64, **arguments):
    arguments = {"hidden_layer_sizes": (9, 8), "max_iter": 5, "random_state": 0, **arguments}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        return cls(**arguments).fit(X.astype(dtype), y)


def close(found, expected, dtype=np.float64):
    expected = np.asarray(expected)
    assert np.asarray(found).shape == expected.shape
    precision = {np.float32: 1e-6, np.float64: 1e-14}[dtype]
    np.testing.assert_allclose(found, expected, rtol=0, atol=precision * np.abs(expected).max())


def check_classifier(net, estimator, dtype=np.float64):
    """A network has the classes' numbers, and of two classes the probability of the second."""
    rows = X.astype(dtype)
    probabilities = estimator.predict_proba(rows)
    predicted = estimator.predict(rows)
    if net.loss_name == "softmax":
        close(net.predict_proba(rows), probabilities, dtype)
        np.testing.assert_array_equal(estimator.classes_[net.predict(rows)], predicted)
    elif predicted.ndim == 1:
        close(net.predict_proba(rows)[:, 0], probabilities[:, 1], dtype)
        np.testing.assert_array_equal(estimator.classes_[net.predict(rows)], predicted)
    else:
        close(net.predict_proba(rows), probabilities, dtype)
        np.testing.assert_array_equal(net.predict(rows), predicted)


# --- from scikit-learn ------------------------------------------------------------------------


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_classifiers(labels, activation, dtype):
    mlp = fitted(MLPClassifier, LABELS[labels], dtype, activation=activation)
    net = from_sklearn(mlp)
    assert type(net) is fc_net.FullyConnectedNet
    assert net.dtype is dtype
    assert net.loss_name == ("softmax" if labels == "three" else "logistic")
    check_classifier(net, mlp, dtype)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("hidden", [(9, 8), (), (1,)])
def test_regressors(targets, loss, hidden):
    mlp = fitted(MLPRegressor, TARGETS[targets], loss=loss, hidden_layer_sizes=hidden)
    net = from_sklearn(mlp)
    assert net.loss_name == loss
    close(net.predict(X), mlp.predict(X))


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
def test_classifiers_of_fastfc(labels, normalization, tmp_path):
    """Whose network can be saved then."""
    arguments = {"normalization": normalization, "dropout": 0.25, "activation": "gelu"}
    mine = fitted(FCClassifier, LABELS[labels], label_smoothing=0.1, **arguments)
    net = from_sklearn(mine)
    assert (net.normalization, net.activation, net.dropout_param["p"]) == (
        normalization,
        "gelu",
        0.25,
    )
    assert net.label_smoothing == 0.1
    check_classifier(net, mine)
    net.save(tmp_path / "net.npz")
    check_classifier(fc_net.FullyConnectedNet.load(tmp_path / "net.npz"), mine)


def test_regressors_of_fastfc():
    for loss, parameter in (("huber", 2.0), ("poisson", None), ("squared_error", None)):
        mine = fitted(FCRegressor, TARGETS["one"], loss=loss, loss_param=parameter)
        net = from_sklearn(mine)
        assert (net.loss_name, net.loss_param) == (loss, parameter)
        close(net.predict(X), mine.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("cls", [MLPRegressor, FCRegressor])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"with_mean": False}, {"with_std": False}, {"with_mean": False, "with_std": False}],
)
def test_a_scaler_becomes_the_preprocessing(cls, arguments, tmp_path):
    """And a file keeps it."""
    raw = 3 + 5 * X
    raw[:, 2] = 4  # whose standard deviation is 0
    mlp = cls(hidden_layer_sizes=[5], max_iter=3, random_state=0)
    model = make_pipeline(StandardScaler(**arguments), mlp).fit(raw, TARGETS["one"])
    from_sklearn(model).save(tmp_path / "net.npz")
    net = fc_net.FullyConnectedNet.load(tmp_path / "net.npz")
    assert net.preprocessing["kind"] == "normalize"
    scaled = (raw - net.preprocessing["mean"]) / net.preprocessing["std"]
    close(net.predict(scaled), model.predict(raw))


def test_other_pipelines():
    pipeline = make_pipeline(StandardScaler(), StandardScaler(), MLPRegressor())
    with pytest.raises(
        TypeError, match="Pipeline of StandardScaler, StandardScaler, MLPRegressor, "
    ):
        from_sklearn(pipeline)
    with pytest.raises(exceptions.NotFittedError):
        from_sklearn(make_pipeline(StandardScaler(), MLPRegressor()))


def test_weights_that_somebody_has_set():
    for cls in (MLPRegressor, FCRegressor):
        mlp = fitted(cls, TARGETS["one"])
        mlp.intercepts_[-1] = mlp.intercepts_[-1] + 5
        close(from_sklearn(mlp).predict(X), mlp.predict(X))


def test_nothing_is_shared_or_drawn():
    for cls in (MLPClassifier, FCClassifier):
        mlp = fitted(cls, LABELS["three"])
        state, before = np.random.get_state()[1].copy(), mlp.predict_proba(X)
        net = from_sklearn(mlp)
        assert (np.random.get_state()[1] == state).all()
        for value in net.params.values():
            value += 1
        np.testing.assert_array_equal(mlp.predict_proba(X), before)


def test_what_is_no_mlp():
    with pytest.raises(TypeError, match="from_sklearn: estimator is LogisticReg"):
        from_sklearn(linear_model.LogisticRegression())
    for cls in (MLPClassifier, MLPRegressor, FCClassifier, FCRegressor):
        with pytest.raises(
            exceptions.NotFittedError, match=f"This {cls.__name__} instance is not fitted"
        ):
            from_sklearn(cls())
    with pytest.raises(exceptions.NotFittedError):
        to_sklearn(FCClassifier())


# --- to scikit-learn --------------------------------------------------------------------------


def network(loss, outputs, dtype=np.float64, **arguments):
    net = fc_net.FullyConnectedNet(
        [9, 8], 6, outputs, dtype=dtype, weight_scale=0.7, loss=loss, **arguments
    )
    y = cases.labels(60, outputs) if loss == "softmax" else np.ones((60, outputs))
    net.loss(X, y)
    return net


@pytest.mark.parametrize("normalization", [None, "batchnorm"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("loss", "outputs"), [("softmax", 3), ("softmax", 2), ("logistic", 1), ("logistic", 4)]
)
def test_to_classifiers(loss, outputs, activation, normalization, dtype):
    arguments = {"activation": activation, "normalization": normalization, "dropout": 0.5}
    net = network(loss, outputs, dtype, **arguments)
    mlp = to_sklearn(net)
    assert isinstance(mlp, MLPClassifier)
    assert mlp.get_params()["activation"] == activation
    assert mlp.get_params()["hidden_layer_sizes"] == (9, 8)
    rows = X.astype(dtype)
    expected = net.predict_proba(rows)
    if loss == "logistic" and outputs == 1:
        expected = np.hstack([1 - expected, expected])
    found = mlp.predict_proba(rows)
    np.testing.assert_allclose(found, expected, atol=2e-6 if dtype is np.float32 else 1e-14)
    np.testing.assert_array_equal(mlp.predict(rows), net.predict(rows))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("squared_error", "squared_error"), ("huber", "squared_error"), ("poisson", "poisson")],
)
@pytest.mark.parametrize("outputs", [1, 3])
def test_to_regressors(loss, expected, outputs):
    net = network(loss, outputs)
    mlp = to_sklearn(net)
    assert isinstance(mlp, MLPRegressor)
    assert mlp.loss == expected
    close(mlp.predict(X), net.predict(X))


@pytest.mark.parametrize("labels", [["red", "green", "blue"], [3, 1, 2], ["a", "b", "c"]])
def test_labels(labels):
    """The k-th score is of the k-th label, in whichever order scikit-learn has them."""
    net = network("softmax", 3)
    mlp = to_sklearn(net, classes=labels)
    np.testing.assert_array_equal(mlp.predict(X), np.array(labels)[net.predict(X)])
    assert mlp.classes_.tolist() == sorted(labels)


@pytest.mark.parametrize(("loss", "outputs"), [("softmax", 2), ("logistic", 1)])
@pytest.mark.parametrize("labels", [["yes", "no"], ["no", "yes"]])
def test_two_labels(loss, outputs, labels):
    net = network(loss, outputs)
    mlp = to_sklearn(net, classes=labels)
    np.testing.assert_array_equal(mlp.predict(X), np.array(labels)[net.predict(X)])


@pytest.mark.parametrize("labels", LABELS)
def test_there_and_back(labels):
    mlp = fitted(MLPClassifier, LABELS[labels])
    classes = None if labels == "many at once" else mlp.classes_
    again = to_sklearn(from_sklearn(mlp), classes=classes)
    np.testing.assert_array_equal(again.predict_proba(X), mlp.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), mlp.predict(X))
    for name in ("coefs_", "intercepts_"):
        for found, expected in zip(getattr(again, name), getattr(mlp, name), strict=True):
            np.testing.assert_array_equal(found, expected)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(again, name) == getattr(mlp, name), name


@pytest.mark.parametrize("labels", LABELS)
def test_estimators_of_fastfc(labels):
    mine = fitted(FCClassifier, LABELS[labels], normalization="batchnorm", dropout=0.25)
    mlp = to_sklearn(mine)
    np.testing.assert_array_equal(mlp.predict(X), mine.predict(X))
    np.testing.assert_allclose(mlp.predict_proba(X), mine.predict_proba(X), atol=1e-13)
    mine = fitted(FCRegressor, TARGETS["several"])
    close(to_sklearn(mine).predict(X), mine.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("labels", LABELS)
def test_it_can_be_trained_on(labels):
    y = LABELS[labels]
    mlp = to_sklearn(
        from_sklearn(fitted(MLPClassifier, y)), classes=None if y.ndim == 2 else np.unique(y)
    )
    before = mlp.coefs_[0].copy()
    mlp.partial_fit(X, y)
    assert (mlp.coefs_[0] != before).any()
    assert mlp.n_iter_ == 1
    mlp.set_params(warm_start=True, max_iter=50, learning_rate_init=0.01).fit(X, y)
    assert mlp.loss_ < mlp.loss_curve_[0]
    mlp = to_sklearn(network("squared_error", 1)).partial_fit(X, TARGETS["one"])
    assert np.isfinite(mlp.predict(X)).all()


def test_the_network_stays_as_it_is():
    net = network("softmax", 3, normalization="batchnorm")
    before = net.loss(X)
    mlp = to_sklearn(net)
    for value in (*mlp.coefs_, *mlp.intercepts_):
        value += 1
    np.testing.assert_array_equal(net.loss(X), before)


@pytest.mark.parametrize(
    ("model", "arguments", "error", "message"),
    [
        (lambda: 3, {}, TypeError, "model is 3, expected a network"),
        (
            lambda: network("softmax", 3, activation="gelu"),
            {},
            ValueError,
            "activation is 'gelu', expected one that MLPs of scikit-learn have: identity, ",
        ),
        (
            lambda: network("softmax", 3, normalization="layernorm"),
            {},
            ValueError,
            "normalization is 'layernorm', expected none",
        ),
        (lambda: network("softmax", 3), {"classes": [1, 2]}, ValueError, "expected 3 labels"),
        (lambda: network("softmax", 3), {"classes": [1, 2, 2]}, ValueError, "expected 3 labels"),
        (lambda: network("softmax", 1), {}, ValueError, "expected 1 labels, each once, and at le"),
        (lambda: network("logistic", 1), {"classes": [1]}, ValueError, "expected 2 labels"),
        (lambda: network("logistic", 3), {"classes": [3, 1, 2]}, ValueError, "expected None: each"),
        (lambda: network("huber", 1), {"classes": [1]}, ValueError, "expected None: the loss 'hub"),
    ],
)
def test_what_is_refused(model, arguments, error, message):
    with pytest.raises(error, match=f"^to_sklearn: .*{message}"):
        to_sklearn(model(), **arguments)
