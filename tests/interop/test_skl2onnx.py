"""Pipelines that skl2onnx converts: scikit-learn's MLPs read, fastfc's estimators written."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fastfc import interop
from fastfc.estimators import FCClassifier, FCRegressor
from tests.support import cases

to_onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed").to_onnx

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("registered"),
]

N, D = 60, 5
X = 3 * cases.normal((N, D), np.float64, "X") + 7
SCORES = X @ cases.normal((D, 3), np.float64, "w")
HIGH = np.greater(SCORES, np.median(SCORES, axis=0))
CLASSES = {
    "binary": HIGH[:, 0].astype(int),
    "three": SCORES.argmax(axis=1),
    "texts": np.array(["ant", "bee", "cow"])[SCORES.argmax(axis=1)],
    "two texts": np.array(["yes", "no"])[HIGH[:, 0].astype(int)],
    "booleans": HIGH[:, 0],
    "multilabel": HIGH.astype(int),
}
TARGETS = {"one": SCORES[:, 0], "three": SCORES}
SMALL = {"hidden_layer_sizes": (8, 6), "max_iter": 5, "random_state": 0}
DTYPES = [np.float32, np.float64]


@pytest.fixture(scope="module")
def registered():
    interop.register_skl2onnx()
    interop.register_skl2onnx()  # once more changes nothing


def convert(pipeline, dtype, path, **options):
    """Write a pipeline's graph and return it."""
    options = {id(pipeline): options} if options else None
    model = to_onnx(pipeline, X[:1].astype(dtype), options=options)
    path.write_bytes(model.SerializeToString())
    return model


def run(model, x):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: x})


def assert_close(found, wanted, dtype):
    assert np.shape(found) == np.shape(wanted)
    bound = 1e-5 if dtype == np.float32 else 1e-9
    assert np.abs(found - wanted).max() <= bound * max(np.abs(wanted).max(), 1)


# --- read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("kind", ["binary", "three", "texts", "multilabel"])
def test_classifiers_are_read(kind, zipmap, dtype, tmp_path):
    activation = "relu" if zipmap else "tanh"
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(activation=activation, **SMALL))
    pipeline.fit(X, CLASSES[kind])
    convert(pipeline, dtype, tmp_path / "net.onnx", zipmap=zipmap)
    found = interop.from_onnx(tmp_path / "net.onnx")(X)
    assert_close(found, pipeline.predict_proba(X), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("scaler", [StandardScaler, MinMaxScaler])
def test_regressors_are_read(scaler, kind, dtype, tmp_path):
    """Of several outputs too, which skl2onnx puts into one column."""
    pipeline = make_pipeline(scaler(), MLPRegressor(activation="logistic", **SMALL))
    pipeline.fit(X, TARGETS[kind])
    model = convert(pipeline, dtype, tmp_path / "net.onnx")
    wanted = pipeline.predict(X).reshape(N, -1)
    assert_close(interop.from_onnx(tmp_path / "net.onnx")(X), wanted, dtype)
    if kind == "three":
        assert run(model, X.astype(dtype))[0].shape == (3 * N, 1)


def test_integers_are_read(tmp_path):
    whole = np.round(X).astype(np.int64)
    regressor = MLPRegressor(**SMALL).fit(whole, TARGETS["one"])
    model = to_onnx(regressor, whole[:1])
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    found = interop.from_onnx(tmp_path / "net.onnx")(whole)
    assert_close(found[:, 0], regressor.predict(whole), np.float32)


# --- written ----------------------------------------------------------------------------------

SETTINGS = {
    "plain": {},
    "batchnorm": {"normalization": "batchnorm", "activation": "gelu", "dropout": 0.1},
    "layernorm": {"normalization": "layernorm", "activation": "silu"},
    "leaky": {"activation": "leaky_relu"},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", CLASSES)
def test_classifiers_are_written(kind, settings, dtype, tmp_path):
    pipeline = make_pipeline(StandardScaler(), FCClassifier(**SMALL, **SETTINGS[settings]))
    pipeline.fit(X, CLASSES[kind])
    model = convert(pipeline, dtype, tmp_path / "net.onnx", zipmap=False)
    wanted = pipeline.predict_proba(X)
    assert_close(interop.from_onnx(tmp_path / "net.onnx")(X), wanted, dtype)
    labels, probabilities = run(model, X.astype(dtype))
    gelu = settings == "batchnorm"  # which onnxruntime has in float32 alone
    assert_close(probabilities, wanted, np.float32 if gelu else dtype)
    sure = np.abs(wanted - 0.5).min(axis=1) > 1e-3
    np.testing.assert_array_equal(labels[sure], pipeline.predict(X)[sure])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("kind", TARGETS)
def test_regressors_are_written(kind, loss, dtype, tmp_path):
    """Each example has a row of its own."""
    y = np.abs(TARGETS[kind])
    pipeline = make_pipeline(StandardScaler(), FCRegressor(loss=loss, **SMALL)).fit(X, y)
    model = convert(pipeline, dtype, tmp_path / "net.onnx")
    wanted = pipeline.predict(X).reshape(N, -1)
    assert_close(run(model, X.astype(dtype))[0], wanted, dtype)
    assert_close(interop.from_onnx(tmp_path / "net.onnx")(X), wanted, dtype)


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_older_operators(opset, tmp_path):
    options = {"normalization": "layernorm", "activation": "gelu"}
    classifier = FCClassifier(**SMALL, **options).fit(X, CLASSES["three"])
    x = X.astype(np.float32)
    model = to_onnx(classifier, x[:1], target_opset={"": opset, "ai.onnx.ml": 3})
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    wanted = classifier.predict_proba(X)
    assert_close(interop.from_onnx(tmp_path / "net.onnx")(x), wanted, np.float32)
    names = [[row[c] for c in classifier.classes_] for row in run(model, x)[1]]
    assert_close(np.array(names), wanted, np.float32)


def test_integers_are_written():
    whole = np.round(X).astype(np.int64)
    regressor = FCRegressor(**SMALL).fit(whole, TARGETS["one"])
    found = run(to_onnx(regressor, whole[:1]), whole)[0]
    assert_close(found[:, 0], regressor.predict(whole), np.float32)


def test_weights_that_were_set_are_written():
    regressor = FCRegressor(**SMALL).fit(X, TARGETS["one"])
    regressor.coefs_ = [2 * W for W in regressor.coefs_]
    found = run(to_onnx(regressor, X[:1]), X)[0]
    assert_close(found[:, 0], regressor.predict(X), np.float64)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(N), "FCClassifier has been fitted to one class, expected at least two"),
        (CLASSES["three"] + 0.5, r"has the classes \[0.5, .*2.5\], expected integers or texts"),
    ],
)
def test_what_is_not_written(y, message):
    if "0.5" in message:
        y = CLASSES["three"]  # scikit-learn takes no such labels itself
    classifier = FCClassifier(**SMALL).fit(X, y)
    if "0.5" in message:
        classifier.classes_ = classifier.classes_ + 0.5
    with pytest.raises(ValueError, match=message):
        to_onnx(classifier, X[:1], options={id(classifier): {"zipmap": False}})
