"""Estimators in what people put them into: pipelines, searches, workers, pickles."""

import copy
import multiprocessing
import pickle

import joblib
import numpy as np
import pytest
import scipy.stats
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import fastfc
from fastfc.estimators import FCClassifier, FCRegressor
from tests.estimators.workers import fit_and_count

X, y = load_iris(return_X_y=True)
X_reg, y_reg = load_diabetes(return_X_y=True)
SMALL = {"hidden_layer_sizes": 10, "max_iter": 60, "learning_rate_init": 0.02, "random_state": 0}


def test_pipeline():
    pipe = make_pipeline(StandardScaler(), FCClassifier(**SMALL)).fit(X, y)
    assert pipe.score(X, y) > 0.9
    assert pipe.predict_proba(X).shape == (150, 3)
    assert pipe.transform(X).shape == (150, 10)
    middle = make_pipeline(StandardScaler(), FCClassifier(**SMALL), FCClassifier(**SMALL))
    assert middle.fit(X, y).score(X, y) > 0.9


def test_pipeline_transforms_the_validation_set():
    class Watched(FCClassifier):
        def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
            self.seen_ = X_val
            return super().fit(X, y, sample_weight, X_val=X_val, y_val=y_val)

    with sklearn.config_context(enable_metadata_routing=True):
        est = Watched(early_stopping=True, **SMALL).set_fit_request(X_val=True, y_val=True)
        pipe = Pipeline([("scale", StandardScaler()), ("net", est)], transform_input=["X_val"])
        pipe.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
        np.testing.assert_allclose(pipe[-1].seen_, pipe[0].transform(X[1::2]))
        assert pipe[-1].best_validation_score_ == pipe.score(X[1::2], y[1::2])


def test_column_transformer():
    columns = ColumnTransformer([("scaled", StandardScaler(), [0, 1])], remainder="passthrough")
    assert make_pipeline(columns, FCClassifier(**SMALL)).fit(X, y).score(X, y) > 0.8
    hidden = ColumnTransformer([("net", FCClassifier(**SMALL), [0, 2])])
    assert hidden.fit_transform(X, y).shape == (150, 10)


def test_grid_search_in_two_workers():
    search = GridSearchCV(
        FCClassifier(**SMALL),
        {"hidden_layer_sizes": [(3,), (10, 5)], "dropout": [0, 0.1]},
        n_jobs=2,
        cv=3,
    ).fit(X, y)
    assert search.best_score_ > 0.8
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(X).shape == y.shape


@pytest.mark.parametrize(
    "sizes", [[(5,), (10,), (20, 10)], scipy.stats.randint(5, 30)], ids=["list", "distribution"]
)
def test_halving_search_of_layer_sizes(sizes):
    search = HalvingRandomSearchCV(
        FCClassifier(**SMALL),
        {"hidden_layer_sizes": sizes, "alpha": scipy.stats.loguniform(1e-6, 1e-1)},
        resource="max_iter",
        max_resources=60,
        min_resources=10,
        cv=3,
        random_state=0,
        n_candidates=4,
    ).fit(X, y)
    assert search.best_score_ > 0.7
    assert search.best_estimator_.hidden_layer_sizes == search.best_params_["hidden_layer_sizes"]


def test_cross_validation():
    assert (
        cross_val_score(make_pipeline(StandardScaler(), FCClassifier(**SMALL)), X, y).mean() > 0.9
    )
    scores = cross_validate(
        FCRegressor(solver="lbfgs", random_state=0, max_iter=200, alpha=10), X_reg, y_reg, cv=3
    )
    assert (scores["test_score"] > 0.3).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(method):
    est = CalibratedClassifierCV(FCClassifier(**SMALL), method=method, cv=3).fit(X, y)
    assert est.predict_proba(X).shape == (150, 3)
    assert est.score(X, y) > 0.8


def test_permutation_importance():
    est = FCClassifier(**SMALL).fit(X, y)
    found = permutation_importance(est, X, y, n_repeats=5, random_state=0)
    assert found.importances_mean.argmax() in (2, 3)


def test_set_output():
    pytest.importorskip("pandas", reason="pandas is not installed")
    est = FCClassifier(**SMALL).fit(X, y).set_output(transform="pandas")
    frame = est.transform(X)
    assert list(frame.columns) == [f"fcclassifier{i}" for i in range(10)]
    assert np.array_equal(frame.to_numpy(), est.set_output(transform="default").transform(X))


def test_routing_of_weights():
    weight = np.random.RandomState(0).uniform(size=150)
    with sklearn.config_context(enable_metadata_routing=True):
        est = FCClassifier(**SMALL).set_fit_request(sample_weight=True)
        est = est.set_score_request(sample_weight=True)
        folds = list(StratifiedKFold(3).split(X, y))
        routed = cross_validate(
            est, X, y, params={"sample_weight": weight}, cv=folds, return_estimator=True
        )
        plain = cross_validate(
            FCClassifier(**SMALL).set_fit_request(sample_weight=False),
            X,
            y,
            cv=folds,
            return_estimator=True,
        )
    a, b = routed["estimator"][0], plain["estimator"][0]
    assert not np.array_equal(a.coefs_[0], b.coefs_[0])
    rows = folds[0][0]
    own = FCClassifier(**SMALL).fit(X[rows], y[rows], sample_weight=weight[rows])
    assert np.array_equal(own.coefs_[0], a.coefs_[0])


def test_clone():
    est = FCClassifier(preset="modern", class_weight={0: 2.0}, callbacks=[], **SMALL).fit(X, y)
    twin = clone(est)
    assert twin.get_params() == est.get_params()
    assert not hasattr(twin, "coefs_")


@pytest.mark.parametrize(
    "given", [{}, {"dropout": 0.2, "normalization": "batchnorm"}, {"solver": "lbfgs"}]
)
def test_copies(given, tmp_path):
    est = FCClassifier(**SMALL, **given).fit(X, y)
    joblib.dump(est, tmp_path / "est.joblib")
    twins = [
        pickle.loads(pickle.dumps(est)),
        copy.deepcopy(est),
        joblib.load(tmp_path / "est.joblib"),
        joblib.load(tmp_path / "est.joblib", mmap_mode="r"),
    ]
    for twin in twins:
        assert np.array_equal(twin.predict_proba(X), est.predict_proba(X))
        assert np.array_equal(twin.transform(X), est.transform(X))
        assert twin.get_params() == est.get_params()
        if given.get("solver") != "lbfgs":
            assert twin.partial_fit(X, y).n_iter_ == 1


@pytest.fixture
def four_threads():
    before = fastfc.get_num_threads()
    fastfc.set_num_threads(4)
    yield
    fastfc.set_num_threads(before)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_a_worker_gets_one_thread_unless_told_otherwise(backend, four_threads, monkeypatch):
    for name in ("FASTFC_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    _, expected = fit_and_count(X, y)
    cores = joblib.cpu_count()
    with joblib.parallel_backend(backend, n_jobs=max(cores, 2)):
        found = joblib.Parallel()(joblib.delayed(fit_and_count)(X, y) for _ in range(4))
        told = joblib.Parallel()(joblib.delayed(fit_and_count)(X, y, n_threads=3) for _ in range(2))
    for threads, probabilities in found:
        assert threads == [1, 1]
        assert np.array_equal(probabilities, expected)
    assert all(threads == [3, 3] for threads, _ in told)
    assert fit_and_count(X, y)[0] == [4, 4]  # here it is as it was


def test_fits_at_once_in_threads_are_those_of_one_after_the_other():
    given = {**SMALL, "dropout": 0.3}
    alone = [FCClassifier(**{**given, "random_state": i}).fit(X, y) for i in range(4)]

    def fit(i):
        return FCClassifier(**{**given, "random_state": i}).fit(X, y)

    together = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(fit)(i) for i in range(4)
    )
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a.coefs_[0], b.coefs_[0])


def test_forked_children_predict():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no fork")
    est = FCClassifier(**SMALL).fit(X, y)
    expected = est.predict_proba(X)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert np.array_equal(pool.apply(est.predict_proba, (X,)), expected)
