"""The same first weights and batches give scikit-learn's losses and weights, up to rounding.

Bounds: a pass over a layer of D inputs rounds each sum D times, and u = 2**-53 each; the losses'
gradients are of order 1, so a step moves a weight by some D u more or less than scikit-learn's.
Steps add up, and 50 of them through layers of at most 64 inputs are 50 * 64 * u = 4e-13.  What a
step's error does to the steps after it grows by a factor that stays below 100 in these runs, whose
learning rates are those at which training converges: 1e-10, as a share of the greatest weight.
"""

import copy

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_multilabel_classification, make_regression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state

from fastfc.estimators import FCClassifier, FCRegressor
from fastfc.estimators.random_state import as_random_state

RTOL = 1e-10


def digits(classes):
    X, y = load_digits(n_class=classes, return_X_y=True)
    return X[:320] / 16, y[:320]


def regression(targets):
    X, y = make_regression(320, 10, n_targets=targets, noise=3, random_state=0)
    return X, y / y.std()


DATA = {
    "multiclass": (FCClassifier, MLPClassifier, digits(10)),
    "binary": (FCClassifier, MLPClassifier, digits(2)),
    "multilabel": (
        FCClassifier,
        MLPClassifier,
        make_multilabel_classification(320, random_state=0),
    ),
    "regression": (FCRegressor, MLPRegressor, regression(1)),
}
SOLVERS = {
    "sgd": {"solver": "sgd", "momentum": 0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2},
    "adam": {"solver": "adam"},
    "adam, early stopping": {"solver": "adam", "early_stopping": True},
    "lbfgs": {"solver": "lbfgs"},
}


def greatest(arrays):
    return max(np.abs(array).max() for array in arrays)


def assert_same_fit(ours, theirs):
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert ours.out_activation_ == theirs.out_activation_
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=RTOL)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        if getattr(theirs, name, None) is not None:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=RTOL)
    for name in ("coefs_", "intercepts_"):
        arrays = getattr(theirs, name)
        for mine, array in zip(getattr(ours, name), arrays, strict=True):
            np.testing.assert_allclose(mine, array, atol=RTOL * greatest(arrays))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_fifty_steps(data, solver, weighted):
    """10 epochs of 5 batches, the last of them smaller."""
    ours, theirs, (X, y) = DATA[data]
    weight = np.random.RandomState(1).uniform(0.1, 2, len(X)) if weighted else None
    given = {"max_iter": 10, "batch_size": 70, "random_state": 3, **SOLVERS[solver]}
    assert_same_fit(
        ours(**given).fit(X, y, sample_weight=weight),
        theirs(**given).fit(X, y, sample_weight=weight),
    )


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("data", DATA)
def test_activations(data, activation):
    ours, theirs, (X, y) = DATA[data]
    given = {"max_iter": 10, "batch_size": 70, "random_state": 3, "activation": activation}
    given["hidden_layer_sizes"] = (20, 10)
    assert_same_fit(ours(**given).fit(X, y), theirs(**given).fit(X, y))


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_poisson(solver):
    X, y = regression(1)
    y = np.round(np.exp(y))
    given = {"loss": "poisson", "max_iter": 10, "random_state": 3, "solver": solver}
    assert_same_fit(FCRegressor(**given).fit(X, y), MLPRegressor(**given).fit(X, y))


def test_several_outputs_learn_the_same_and_report_their_sum():
    X, y = regression(3)
    given = {"max_iter": 10, "batch_size": 70, "random_state": 3, "alpha": 0}
    ours, theirs = FCRegressor(**given).fit(X, y), MLPRegressor(**given).fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_, 3 * np.array(theirs.loss_curve_), rtol=RTOL)
    for mine, array in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(mine, array, atol=RTOL * greatest(theirs.coefs_))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_streams(solver):
    X, y = digits(10)
    given = {"random_state": 3, "solver": solver}
    ours, theirs = FCClassifier(**given), MLPClassifier(**given)
    for start in range(0, 320, 40):
        rows = slice(start, start + 40)
        for estimator in (ours, theirs):
            estimator.partial_fit(X[rows], y[rows], classes=np.arange(10))
    assert_same_fit(ours, theirs)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_warm_starts(solver):
    X, y = digits(10)
    given = {"random_state": 3, "solver": solver, "warm_start": True, "max_iter": 4}
    ours, theirs = FCClassifier(**given), MLPClassifier(**given)
    for _ in range(3):
        assert_same_fit(ours.fit(X, y), theirs.fit(X, y))


def test_predictions():
    for ours, theirs, (X, y) in DATA.values():
        given = {"max_iter": 10, "random_state": 3}
        mine, their = ours(**given).fit(X, y), theirs(**given).fit(X, y)
        np.testing.assert_allclose(mine.predict(X), their.predict(X), rtol=1e-9)
        np.testing.assert_allclose(mine.score(X, y), their.score(X, y), rtol=1e-9)
        for method in ("predict_proba", "predict_log_proba"):
            if hasattr(their, method):
                np.testing.assert_allclose(
                    getattr(mine, method)(X), getattr(their, method)(X), rtol=1e-9
                )


@pytest.mark.parametrize(
    ("ours", "theirs"), [(FCClassifier, MLPClassifier), (FCRegressor, MLPRegressor)]
)
def test_every_parameter_of_theirs_has_its_place_and_default(ours, theirs):
    import inspect

    mine = list(inspect.signature(ours).parameters.values())
    their = list(inspect.signature(theirs).parameters.values())
    for a, b in zip(mine, their, strict=False):
        assert (a.name, a.kind, a.default) == (b.name, b.kind, b.default)
    assert all(p.kind is p.KEYWORD_ONLY for p in mine[len(their) :])


def test_no_decision_function():
    assert not hasattr(FCClassifier(), "decision_function")


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool, np.float64, "U3"])
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_classes_are_those_of_sklearn(dtype, classes):
    y = (np.arange(40) % classes * 3).astype(dtype)
    rows = np.linspace(-1, 1, 80).reshape(40, 2)
    ours = FCClassifier((2,), max_iter=1).fit(rows, y)
    expected = LabelBinarizer().fit(y)
    assert np.array_equal(ours.classes_, expected.classes_)
    assert ours.classes_.dtype == expected.classes_.dtype
    assert ours._kind() == expected.y_type_
    assert ours.n_outputs_ == expected.transform(y).shape[1]


@pytest.mark.parametrize("value", [0, 2**32 - 1, np.int64(5), np.random.RandomState(3)])
def test_random_state_is_that_of_sklearn(value):
    expected = check_random_state(copy.deepcopy(value)).get_state()
    found = as_random_state(value).get_state()
    assert np.array_equal(found[1], expected[1])
    assert found[2:] == expected[2:]


def test_defaults_of_a_subclass_are_checked():
    class Negative(FCClassifier):
        def __init__(self, alpha=-1.0):
            super().__init__(alpha=alpha)

    for _ in range(2):
        with pytest.raises(ValueError, match="The 'alpha' parameter of Negative must be a float"):
            Negative().fit([[0.0], [1.0]], [0, 1])
