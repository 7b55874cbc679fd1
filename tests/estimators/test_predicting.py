"""What estimators return, of what kinds of X, and in which precision."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import is_classifier, is_regressor
from sklearn.datasets import load_digits, make_multilabel_classification, make_regression
from sklearn.exceptions import NotFittedError

from fastfc.estimators import FCClassifier, FCRegressor
from fastfc.estimators.base import FCBase

X, y = load_digits(return_X_y=True)
X = X / 16
X_reg, y_reg = make_regression(300, 8, n_targets=2, noise=2, random_state=0)
y_reg = y_reg / y_reg.std()


@pytest.fixture(scope="module")
def classifier():
    return FCClassifier(max_iter=20, random_state=0).fit(X, y)


def test_kinds():
    assert is_classifier(FCClassifier())
    assert is_regressor(FCRegressor())


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_a_row_is_the_same_alone_and_among_others(kind, dtype):
    if kind == "multilabel":
        data = make_multilabel_classification(200, n_features=64, random_state=0)
    else:
        data = X[y < 2], y[y < 2]
        data = data if kind == "binary" else (X, y)
    rows = data[0].astype(dtype)
    est = FCClassifier(max_iter=5, random_state=0).fit(rows, data[1])
    together = est.predict_proba(rows)
    assert together.dtype == dtype
    alone = np.vstack([est.predict_proba(rows[i : i + 1]) for i in range(50)])
    assert np.array_equal(alone, together[:50])
    again = pickle.loads(pickle.dumps(est)).predict_proba(rows)
    assert np.array_equal(again, together)
    listed = est.predict_proba(rows[:3].tolist())  # through scikit-learn's checks
    np.testing.assert_allclose(listed, together[:3], rtol=1e-5)


def test_probabilities_are_those_of_the_network(classifier):
    net = classifier._network.net
    np.testing.assert_allclose(classifier.predict_proba(X), net.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, rtol=1e-12)


def test_the_smaller_of_two_probabilities_is_exact():
    est = FCClassifier(hidden_layer_sizes=[], max_iter=1).fit(X[y < 2], y[y < 2])
    est.coefs_, est.intercepts_ = [np.zeros((64, 1))], [np.array([50.0])]
    np.testing.assert_allclose(est.predict_proba(X[:1])[0, 0], np.exp(-50), rtol=1e-15)
    np.testing.assert_allclose(est.predict_log_proba(X[:1])[0, 0], -50, rtol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_refused(classifier, bad):
    row = X[:1].copy()
    row[0, 7] = bad
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        classifier.predict_proba(row)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "transform"])
def test_wrong_rows_are_refused(classifier, method):
    with pytest.raises(ValueError, match="X has 63 features, but FCClassifier is expecting 64"):
        getattr(classifier, method)(X[:1, :63])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        getattr(classifier, method)(X[0])
    with pytest.raises(NotFittedError):
        getattr(FCClassifier(), method)(X[:1])


def test_transform_is_the_last_hidden_layer():
    est = FCClassifier(
        hidden_layer_sizes=(12, 7), activation="tanh", max_iter=5, random_state=0
    ).fit(X, y)
    hidden = est.transform(X)
    expected = np.tanh(
        np.tanh(X @ est.coefs_[0] + est.intercepts_[0]) @ est.coefs_[1] + est.intercepts_[1]
    )
    np.testing.assert_allclose(hidden, expected, rtol=1e-10, atol=1e-13)
    assert list(est.get_feature_names_out()) == [f"fcclassifier{i}" for i in range(7)]
    linear = FCClassifier(hidden_layer_sizes=[], max_iter=2).fit(X, y)
    assert np.array_equal(linear.transform(X), X)


@pytest.mark.parametrize("estimator", [FCClassifier, FCRegressor])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_matrices(estimator, solver, container, monkeypatch):
    monkeypatch.setattr("fastfc.estimators.batches.PART_BYTES", 1 << 13)  # several parts
    data = (X[:200], y[:200]) if estimator is FCClassifier else (X_reg[:200], y_reg[:200])
    given = {"max_iter": 4, "batch_size": 30, "random_state": 0, "solver": solver}
    dense = estimator(**given).fit(*data)
    thin = estimator(**given).fit(container(data[0]), data[1])
    for a, b in zip(dense.coefs_, thin.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        dense.transform(data[0]), thin.transform(container(data[0])), rtol=1e-9, atol=1e-12
    )
    stopped = estimator(early_stopping=True, max_iter=3, random_state=0)
    assert len(stopped.fit(container(data[0]), data[1]).validation_scores_) == 3


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library, reason=f"{library} is not installed")
    names = [f"pixel {i}" for i in range(64)]
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate(names)})
    labels = frames.Series([f"digit {label}" for label in y])
    given = {"max_iter": 3, "random_state": 0, "early_stopping": True}
    given["early_stopping_metric"] = "accuracy"  # whose scorer sees the names
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "X does not have valid feature names")
        est = FCClassifier(**given).fit(frame, labels)
        chosen = est.predict(frame)
    assert list(est.feature_names_in_) == names
    assert set(chosen) <= {f"digit {i}" for i in range(10)}
    plain = FCClassifier(**given).fit(X, y)
    assert np.array_equal(plain.predict_proba(X), est.predict_proba(frame))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        est.predict(X[:1])


def test_string_labels_and_multilabel():
    words = np.array(["zero", "one", "two"], dtype=object)
    rows = y < 3
    est = FCClassifier(max_iter=30, random_state=0).fit(X[rows], words[y[rows]])
    assert list(est.classes_) == ["one", "two", "zero"]
    assert est.score(X[rows], words[y[rows]]) > 0.9
    data, labels = make_multilabel_classification(200, random_state=0)
    several = FCClassifier(max_iter=100, learning_rate_init=0.01, random_state=0)
    several.fit(data, labels)
    assert several.predict(data).shape == labels.shape
    assert several.out_activation_ == "logistic"
    thin = FCClassifier(max_iter=5, random_state=0).fit(data, sparse.csr_array(labels))
    assert sparse.issparse(thin.predict(data))


def test_several_targets():
    est = FCRegressor(max_iter=100, learning_rate_init=0.01, random_state=0).fit(X_reg, y_reg)
    assert est.predict(X_reg).shape == (300, 2)
    assert est.score(X_reg, y_reg) > 0.8
    one = FCRegressor(max_iter=3).fit(X_reg, y_reg[:, 0])
    assert one.predict(X_reg).shape == (300,)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_arithmetic_follows_the_dtype(solver):
    given = {"max_iter": 3, "random_state": 0, "solver": solver}
    for dtype in (np.float32, np.float64):
        est = FCRegressor(**given).fit(X_reg.astype(dtype), y_reg)
        assert est.predict(X_reg.astype(dtype)).dtype == dtype
        assert {a.dtype for a in est.coefs_ + est.intercepts_} == {np.dtype(dtype)}
        est.predict(X_reg)
    forced = FCRegressor(dtype="float32", **given).fit(X_reg, y_reg)
    assert forced.coefs_[0].dtype == np.float32
    assert FCRegressor(**given).fit(X_reg.astype(int), y_reg).coefs_[0].dtype == np.float64


def test_weights_may_be_replaced_but_not_edited(classifier):
    est = pickle.loads(pickle.dumps(classifier))
    with pytest.raises(ValueError, match="read-only"):
        est.coefs_[0][0, 0] = 1
    before = est.predict_proba(X[:1])
    est.coefs_[1] = 2 * est.coefs_[1]
    after = est.predict_proba(X[:1])
    assert not np.array_equal(before, after)
    est.coefs_, est.intercepts_ = classifier.coefs_, classifier.intercepts_
    assert np.array_equal(est.predict_proba(X[:1]), before)
    est.partial_fit(X, y)
    est.coefs_ = [np.ones((3, 3))] * 2
    with pytest.raises(ValueError, match=r"coefs_\[0\] has shape \(3, 3\), expected \(64, 100\)"):
        est.predict(X)


def test_predicting_changes_nothing(classifier):
    before = dict(vars(classifier))
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        getattr(classifier, method)(X)
    assert vars(classifier) == before


def test_texts():
    assert repr(FCClassifier()) == "FCClassifier()"
    assert repr(FCRegressor("huber", dropout=0.1)) == "FCRegressor(dropout=0.1, loss='huber')"
    assert "FCClassifier" in FCClassifier(dropout=0.1)._repr_html_()


def test_every_parameter_is_documented():
    for estimator in (FCClassifier, FCRegressor):
        text = estimator.__doc__
        for name in estimator().get_params():
            assert f"{name} :" in text or f"{name}, " in text or f", {name} :" in text, name
        constrained = set(estimator._parameter_constraints)
        assert constrained == set(estimator().get_params())
    assert FCBase.fit.__doc__
