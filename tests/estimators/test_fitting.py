"""How estimators are fitted: validation sets, streams, weights, randomness, what goes wrong."""

import copy
import pickle
import signal
import threading
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score, log_loss, make_scorer

from fastfc.estimators import FCClassifier, FCRegressor, minibatch
from fastfc.fc_net import FullyConnectedNet

X, y = load_digits(return_X_y=True)
X = X / 16
X_reg, y_reg = make_regression(300, 8, noise=2, random_state=0)
y_reg = y_reg / y_reg.std()


def same_weights(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a.coefs_, b.coefs_, strict=True)) and all(
        np.array_equal(v, w) for v, w in zip(a.intercepts_, b.intercepts_, strict=True)
    )


# epochs together


@pytest.fixture
def whole_fits(monkeypatch):
    """No clock ends a call of the core."""
    monkeypatch.setattr(minibatch, "EPOCHS_SECONDS", 1e6)


class Looks:
    def __init__(self):
        self.epochs = 0

    def on_epoch(self, fit):
        self.epochs += 1


def assert_same_with_looks(**settings):
    """Fit with and without somebody who looks after each epoch; return how many there were."""
    results = []
    for looks in (None, Looks()):
        random_state = np.random.RandomState(3)
        est = FCClassifier((20,), callbacks=looks, random_state=random_state, **settings)
        est.fit(X[:330], y[:330])
        state = random_state.get_state()
        numbers = (est.loss_curve_, est.n_iter_, est.t_, est.best_loss_, est.loss_, state[2])
        results.append((est, numbers, state[1]))
    (alone, numbers, key), (seen, expected, expected_key) = results
    assert same_weights(alone, seen)
    assert numbers == expected
    assert np.array_equal(key, expected_key)
    assert looks.epochs == seen.n_iter_
    return seen.n_iter_


def test_epochs_in_one_call_are_those_of_many(whole_fits):
    assert assert_same_with_looks(max_iter=30) == 30
    assert assert_same_with_looks(max_iter=7, n_iter_no_change=np.inf, batch_size=33) == 7
    assert assert_same_with_looks(max_iter=9, shuffle=False, dropout=0.5) == 9
    for policy in ("constant", "invscaling", "adaptive"):
        options = {"learning_rate": policy, "learning_rate_init": 0.5, "n_iter_no_change": 2}
        assert assert_same_with_looks(solver="sgd", max_iter=60, tol=0.01, **options) > 3


def test_a_fit_ends_within_epochs_in_one_call(whole_fits):
    """Where it is the loss that ends it, the last of them is the one that does."""
    given = {"max_iter": 200, "learning_rate_init": 0.02, "tol": 0.05}
    ended = [assert_same_with_looks(n_iter_no_change=n, **given) for n in (1, 2, 5)]
    assert ended == sorted(set(ended))
    assert ended[-1] < 200


@pytest.mark.parametrize("most", [0, 1, 3, 4])
def test_epochs_in_one_call_that_end_early(most, monkeypatch, whole_fits):
    """The core may take no step of the second epoch on, or some."""
    together = []

    def some(net, X, y, rule, configs, order, size, losses, *, epsilons, **options):
        if order.ndim == 2:
            together.append(len(order))
            if most == 0:
                return None
            order, epsilons = order.ravel()[: most * size], epsilons[:most]
        return own(net, X, y, rule, configs, order, size, losses, epsilons=epsilons, **options)

    expected = FCClassifier((20,), max_iter=6, batch_size=110, random_state=0).fit(X[:330], y[:330])
    own = FullyConnectedNet.__fastfc_train_epoch__
    monkeypatch.setattr(FullyConnectedNet, "__fastfc_train_epoch__", some)
    est = FCClassifier((20,), max_iter=6, batch_size=110, random_state=0).fit(X[:330], y[:330])
    assert together
    assert same_weights(est, expected)
    assert est.loss_curve_ == expected.loss_curve_


# validation sets


def test_given_validation_set_ends_the_fit_and_best_weights_stay():
    est = FCClassifier(
        early_stopping=True,
        max_iter=60,
        n_iter_no_change=4,
        learning_rate_init=0.01,
        random_state=0,
    )
    est.fit(X[:600], y[:600], X_val=X[600:900], y_val=y[600:900])
    assert est.n_iter_ < 60
    assert len(est.validation_scores_) == len(est.validation_loss_curve_) == est.n_iter_
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert est.score(X[600:900], y[600:900]) == est.best_validation_score_
    # that is not the last score, so weights have gone back
    assert est.validation_scores_[-1] <= est.best_validation_score_


def test_given_validation_set_without_early_stopping_changes_nothing():
    plain = FCClassifier(max_iter=5, random_state=0).fit(X[:600], y[:600])
    seen = FCClassifier(max_iter=5, random_state=0)
    seen.fit(X[:600], y[:600], X_val=X[600:], y_val=y[600:])
    assert same_weights(plain, seen)
    assert plain.validation_loss_curve_ is None
    expected = log_loss(y[600:], seen.predict_proba(X[600:]))
    assert seen.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    assert seen.validation_scores_[-1] == seen.score(X[600:], y[600:])


def test_weights_of_the_validation_set():
    weight = np.random.RandomState(0).uniform(size=len(X) - 600)
    est = FCClassifier(max_iter=2, random_state=0)
    est.fit(X[:600], y[:600], X_val=X[600:], y_val=y[600:], sample_weight_val=weight)
    assert est.validation_scores_[-1] == pytest.approx(est.score(X[600:], y[600:], weight))
    expected = log_loss(y[600:], est.predict_proba(X[600:]), sample_weight=weight)
    assert est.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("loss", lambda est: -log_loss(y[600:], est.predict_proba(X[600:]))),
        ("neg_log_loss", lambda est: -log_loss(y[600:], est.predict_proba(X[600:]))),
        (
            make_scorer(balanced_accuracy_score),
            lambda est: balanced_accuracy_score(y[600:], est.predict(X[600:])),
        ),
    ],
    ids=["loss", "name", "scorer"],
)
def test_early_stopping_metric(metric, value):
    est = FCClassifier(
        early_stopping=True, early_stopping_metric=metric, max_iter=8, random_state=0
    )
    est.fit(X[:600], y[:600], X_val=X[600:], y_val=y[600:])
    assert est.best_validation_score_ == pytest.approx(value(est), rel=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": X[:5]}, "X_val is given and y_val is not"),
        ({"y_val": y[:5]}, "y_val is given and X_val is not"),
        ({"sample_weight_val": y[:5]}, "sample_weight_val is given and X_val is not"),
        ({"X_val": X[:5, :9], "y_val": y[:5]}, "X has 9 features"),
        ({"X_val": X[:5], "y_val": y[:5] + 9}, "`y_val` has classes not in `self.classes_`"),
        (
            {"X_val": X[:5], "y_val": y[:5], "sample_weight_val": np.ones(4)},
            "inconsistent numbers of samples|sample_weight.shape",
        ),
    ],
)
def test_bad_validation_sets(given, message):
    with pytest.raises(ValueError, match=message):
        FCClassifier(max_iter=1).fit(X[:100], y[:100], **given)


# streams


def test_stream_keeps_the_optimisers_state():
    """partial_fit of all data is an epoch of fit, and the next one goes on."""
    order = {"shuffle": False, "random_state": 0, "learning_rate_init": 0.01}
    fitted = FCClassifier(max_iter=3, **order).fit(X[:400], y[:400])
    stream = FCClassifier(**order)
    for _ in range(3):
        stream.partial_fit(X[:400], y[:400], classes=np.arange(10))
    assert same_weights(fitted, stream)
    assert stream.t_ == fitted.t_
    assert stream.n_iter_ == 1


def test_pickled_streams_go_on():
    first = FCClassifier(random_state=0, dropout=0.3, normalization="batchnorm", momentum=0.8)
    first.partial_fit(X[:300], y[:300], classes=np.arange(10))
    second = pickle.loads(pickle.dumps(first))
    third = copy.deepcopy(first)
    for est in (first, second, third):
        est.partial_fit(X[300:600], y[300:600])
    assert same_weights(first, second)
    assert same_weights(first, third)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))


def test_pickles_stay_bounded():
    est = FCClassifier(hidden_layer_sizes=2, random_state=0)
    sizes = {}
    for i in range(1, 10_001):
        est.partial_fit(X[:4], y[:4], classes=np.arange(10))
        if i in (2000, 10_000):
            sizes[i] = len(pickle.dumps(est))
    assert sizes[10_000] <= sizes[2000] + 64  # numbers grow by a digit
    assert len(est.loss_curve_) == 1000


def test_a_pickle_has_the_weights_once():
    est = FCClassifier(solver="lbfgs", max_iter=2, hidden_layer_sizes=400).fit(X, y)
    numbers = sum(a.nbytes for a in [*est.coefs_, *est.intercepts_])
    assert len(pickle.dumps(est)) < 1.3 * numbers


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("fault", ["nan", "inf", "label", "weight", "diverges"])
def test_nothing_learnt_is_lost_when_partial_fit_fails(solver, fault):
    given = {"solver": solver, "momentum": 0, "random_state": 0, "dropout": 0.2}
    est, twin = (FCClassifier(**given) for _ in range(2))
    for one in (est, twin):
        one.partial_fit(X[:300], y[:300], classes=np.arange(10))
    before = pickle.dumps(est)
    bad_X, bad_y, weight = X[:50].copy(), y[:50].copy(), np.ones(50)
    if fault in ("nan", "inf"):
        bad_X[7, 3] = float(fault)
    elif fault == "label":
        bad_y[7] = 77
    elif fault == "weight":
        weight[7] = -1
    else:
        bad_X[:] = np.finfo(np.float64).max
    with pytest.raises(ValueError, match=r"NaN|infinity|classes not in|egative|non-finite"):
        est.partial_fit(bad_X, bad_y, weight)
    assert len(pickle.dumps(est)) == len(before)
    assert same_weights(est, twin)
    for one in (est, twin):
        one.partial_fit(X[300:600], y[300:600])
    if fault != "diverges":  # which has drawn masks
        assert same_weights(est, twin)


def test_a_first_partial_fit_that_fails_leaves_nothing():
    est = FCClassifier()
    with pytest.raises(ValueError, match="NaN"):
        est.partial_fit(np.full((4, 2), np.nan), [0, 1, 0, 1], classes=[0, 1])
    assert not [name for name in vars(est) if name.endswith("_")]


def test_stream_scores_a_given_validation_set_alone():
    est = FCClassifier(early_stopping=True, random_state=0)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        est.partial_fit(X[:300], y[:300], classes=np.arange(10))
    for _ in range(3):
        est.partial_fit(X[:300], y[:300], None, np.arange(10), X_val=X[900:], y_val=y[900:])
    assert len(est.validation_scores_) == 3
    assert est.validation_scores_[-1] == est.score(X[900:], y[900:])
    assert est.best_validation_score_ == max(est.validation_scores_)


# weights


@pytest.mark.parametrize("given", [{}, {"solver": "sgd"}, {"solver": "lbfgs"}])
@pytest.mark.parametrize("estimator", [FCClassifier, FCRegressor])
def test_weights_are_repetitions(estimator, given):
    """rtol 1e-7 in float64, in one batch, rows of weight 0 included."""
    data = (X[:60], y[:60]) if estimator is FCClassifier else (X_reg[:60], y_reg[:60])
    weight = np.random.RandomState(0).randint(0, 4, 60)
    weight[:10] = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    if estimator is FCClassifier:
        weight[np.unique(y[:60], return_index=True)[1]] = 1  # each class has one
    repeated = [np.repeat(a, weight, axis=0) for a in data]
    given = {"max_iter": 20, "random_state": 0, "hidden_layer_sizes": 10, **given}
    weighted = estimator(**given).fit(*data, sample_weight=weight)
    plain = estimator(**given).fit(*repeated)
    method = "predict_proba" if estimator is FCClassifier else "predict"
    np.testing.assert_allclose(
        getattr(weighted, method)(data[0]), getattr(plain, method)(data[0]), rtol=1e-7
    )


def test_batches_without_weight_are_left_out():
    weight = np.ones(100)
    weight[40:60] = 0
    given = {"batch_size": 20, "shuffle": False, "random_state": 0, "max_iter": 3}
    kept = np.r_[:40, 60:100]
    a = FCRegressor(**given).fit(X_reg[:100], y_reg[:100], sample_weight=weight)
    b = FCRegressor(**given).fit(X_reg[kept], y_reg[kept], sample_weight=weight[kept])
    assert same_weights(a, b)
    assert a.loss_ == b.loss_


def test_class_weights_multiply_the_examples():
    classes = {label: 1.0 + label for label in range(10)}
    given = {"max_iter": 3, "random_state": 0}
    a = FCClassifier(class_weight=classes, **given).fit(X, y)
    b = FCClassifier(**given).fit(X, y, sample_weight=1.0 + y)
    assert same_weights(a, b)
    rare = np.r_[np.flatnonzero(y != 3), np.flatnonzero(y == 3)[:4]]
    balanced = FCClassifier(class_weight="balanced", **given).fit(X[rare], y[rare])
    plain = FCClassifier(**given).fit(X[rare], y[rare])
    found = [(est.predict(X[y == 3]) == 3).mean() for est in (balanced, plain)]
    assert found[0] > found[1]
    with pytest.raises(ValueError, match="class_weight is 'balanced', expected a dict"):
        FCClassifier(class_weight="balanced").partial_fit(X, y, classes=np.arange(10))


def test_label_smoothing_keeps_probabilities_apart_from_certainty():
    for rows in (slice(None), y < 2):  # softmax and logistic
        smoothed, plain = (
            FCClassifier(solver="lbfgs", label_smoothing=s, max_iter=60, alpha=0, random_state=0)
            .fit(X[rows][:300], y[rows][:300])
            .predict_proba(X[rows][:300])
            .max()
            for s in (0.2, 0.0)
        )
        assert smoothed < 0.97 < plain


def test_weight_decay_is_of_adamw_and_of_pytorchs_sgd():
    rows = X_reg[:100], y_reg[:100]
    given = {"max_iter": 4, "random_state": 0, "batch_size": 100}
    a = FCRegressor(solver="sgd", weight_decay=0.02, **given).fit(*rows)
    b = FCRegressor(solver="sgd", alpha=2.0, **given).fit(*rows)  # over 100 examples
    for mine, other in zip(a.coefs_, b.coefs_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-15)
    decayed = FCRegressor(weight_decay=0.5, learning_rate_init=0.1, **given).fit(*rows)
    plain = FCRegressor(alpha=0, learning_rate_init=0.1, **given).fit(*rows)
    assert np.linalg.norm(decayed.coefs_[0]) < np.linalg.norm(plain.coefs_[0])


def test_clip_norm_bounds_a_step():
    given = {"solver": "sgd", "momentum": 0, "learning_rate_init": 1.0, "max_iter": 1, "alpha": 0}
    given |= {"batch_size": 300, "random_state": 0}
    before = FCRegressor(**{**given, "learning_rate_init": 1e-30}).fit(X_reg, 100 * y_reg)
    after = FCRegressor(**given, clip_norm=0.25).fit(X_reg, 100 * y_reg)
    moved = [
        a - b
        for a, b in zip(
            after.coefs_ + after.intercepts_, before.coefs_ + before.intercepts_, strict=True
        )
    ]
    assert np.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "poisson"])
def test_losses_of_the_regressor(loss):
    target = np.exp(y_reg) if loss == "poisson" else y_reg
    est = FCRegressor(loss, max_iter=100, learning_rate_init=0.01, random_state=0)
    est.fit(X_reg, target)
    assert est.score(X_reg, target) > 0.5
    assert est.out_activation_ == ("exp" if loss == "poisson" else "identity")


def test_quantiles_lie_where_they_should():
    given = {"loss": "quantile", "max_iter": 200, "learning_rate_init": 0.01, "random_state": 0}
    low, high = (
        FCRegressor(loss_param=level, **given).fit(X_reg, y_reg).predict(X_reg)
        for level in (0.1, 0.9)
    )
    assert (y_reg < low).mean() < 0.3
    assert (y_reg > high).mean() < 0.3


@pytest.mark.parametrize("activation", ["leaky_relu", "silu", "gelu"])
def test_activations_beyond_theirs(activation):
    est = FCClassifier(activation=activation, max_iter=30, random_state=0).fit(X, y)
    assert est.score(X, y) > 0.95


# randomness


@pytest.mark.parametrize("given", [{}, {"dropout": 0.3}, {"normalization": "batchnorm"}])
def test_a_run_is_the_same_for_any_number_of_threads(given):
    given = {"max_iter": 3, "random_state": 5, "hidden_layer_sizes": (128, 64), **given}
    one = FCClassifier(n_threads=1, **given).fit(X, y)
    np.random.rand(17)
    many = FCClassifier(n_threads=4, **given).fit(X, y)
    assert same_weights(one, many)
    assert one.loss_curve_ == many.loss_curve_
    assert np.array_equal(one.predict_proba(X), many.predict_proba(X))


@pytest.mark.parametrize("given", [{}, {"dropout": 0.3}])
def test_no_random_state_is_one_draw_of_the_global_generator(given):
    np.random.seed(3)
    FCRegressor(max_iter=2, **given).fit(X_reg, y_reg)
    after = np.random.rand()
    np.random.seed(3)
    seed = np.random.randint(2**31 - 1)
    assert np.random.rand() == after
    np.random.seed(3)
    a = FCRegressor(max_iter=2, **given).fit(X_reg, y_reg)
    b = FCRegressor(max_iter=2, random_state=seed, **given).fit(X_reg, y_reg)
    assert same_weights(a, b)


def test_an_integer_leaves_the_global_generator_alone():
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    FCRegressor(max_iter=2, dropout=0.5, random_state=1, early_stopping=True).fit(X_reg, y_reg)
    assert np.random.rand() == expected


def test_dropout_draws_new_masks_in_each_epoch_of_a_stream():
    est = FCRegressor(
        solver="sgd", learning_rate_init=1e-300, dropout=0.5, shuffle=False, random_state=0
    )
    for _ in range(5):
        est.partial_fit(X_reg, y_reg)
    assert len(set(est.loss_curve_)) == 5


# batches


def test_the_last_row_is_in_the_batch_before_under_batchnorm():
    seen = []

    class Sizes:
        def on_step(self, fit):
            seen.append(len(fit.loss_history))

    given = {"batch_size": 20, "max_iter": 1, "random_state": 0, "callbacks": Sizes()}
    FCRegressor(normalization="batchnorm", **given).fit(X_reg[:101], y_reg[:101])
    assert len(seen) == 5
    seen.clear()
    FCRegressor(**given).fit(X_reg[:101], y_reg[:101])
    assert len(seen) == 6


# ends


def test_schedules_and_callbacks_see_the_fit():
    events = []

    class Watch:
        def on_epoch(self, fit):
            rates = {c["learning_rate"] for c in fit.optim_configs.values()}
            events.append((fit.epoch, rates.pop(), fit.estimator.predict(X_reg[:3]).shape))
            if fit.epoch == 4:
                fit.stop("enough")

        def on_stop(self, fit):
            events.append(fit.stop_reason)

    schedule = {"name": "step", "every": 6, "factor": 0.5}
    est = FCRegressor(
        lr_schedule=schedule, batch_size=100, callbacks=[Watch()], learning_rate_init=0.4
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a fit that is ended has nothing to warn of
        est.fit(X_reg, y_reg)
    rates = [0.4, 0.4, 0.2, 0.2]
    assert events == [*((i + 1, rates[i], (3,)) for i in range(4)), "enough"]
    assert est.n_iter_ == 4


def test_a_function_as_schedule_is_asked_at_each_step():
    steps = []
    FCRegressor(
        lr_schedule=lambda step, fit: steps.append(step) or 1.0, max_iter=2, batch_size=100
    ).fit(X_reg, y_reg)
    assert sorted(set(steps)) == list(range(6))


def test_plateau_needs_something_to_look_at():
    with pytest.raises(ValueError, match="there is no validation set"):
        FCRegressor(lr_schedule="plateau").fit(X_reg, y_reg)
    FCRegressor(lr_schedule="plateau", early_stopping=True, max_iter=3).fit(X_reg, y_reg)


def test_a_bar_when_asked(capsys):
    FCRegressor(max_iter=3, progress=True).fit(X_reg, y_reg)
    assert "loss=" in capsys.readouterr().err
    FCRegressor(max_iter=3).fit(X_reg, y_reg)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_ends_a_fit_with_a_usable_estimator(solver, early_stopping):
    est = FCClassifier(
        solver=solver,
        early_stopping=early_stopping,
        max_iter=10**6,
        max_fun=10**9,
        n_iter_no_change=np.inf,
        tol=0,
        random_state=0,
        hidden_layer_sizes=(300, 300),
    )
    timer = threading.Timer(0.7, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        est.fit(X, y)
    timer.join()
    assert est.predict(X).shape == y.shape
    assert np.isfinite(getattr(est, "loss_", 0.0))  # there is none before the first epoch
    assert est.n_iter_ >= 0


def test_divergence_says_scikit_learns_sentence_and_what_to_do():
    huge = np.finfo(np.float64).max * np.random.RandomState(0).uniform(size=(10, 2))
    with pytest.raises(
        ValueError,
        match=r"Solver produced non-finite parameter weights\. The input"
        " data may contain large values and need to be preprocessed",
    ) as error:
        FCRegressor().fit(huge, np.arange(10.0))
    assert "StandardScaler" in str(error.value)


def test_too_few_epochs_are_said():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        FCRegressor(max_iter=2).fit(X_reg, y_reg)


def test_verbose(capsys):
    FCClassifier(max_iter=2, verbose=True, early_stopping=True).fit(X, y)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in printed[::2]] == ["Iteration 1", "Iteration 2"]
    assert all(line.startswith("Validation score: ") for line in printed[1::2])


# parameters


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alpha": 0.1, "weight_decay": 0.1}, "weight_decay is 0.1 and alpha is 0.1, expected one"),
        (
            {"learning_rate": "adaptive", "lr_schedule": "cosine"},
            "lr_schedule is 'cosine' and learning_rate is 'adaptive', expected one",
        ),
        ({"solver": "lbfgs", "dropout": 0.1}, "solver is 'lbfgs' and dropout is 0.1"),
        ({"solver": "lbfgs", "clip_norm": 1}, "solver is 'lbfgs' and clip_norm is 1"),
        ({"dropout": 1.0}, "The 'dropout' parameter of FCRegressor must be a float in the range"),
        ({"activation": "swish"}, "The 'activation' parameter of FCRegressor must be a str among"),
        ({"preset": "old"}, "The 'preset' parameter of FCRegressor must be a str among"),
        ({"hidden_layer_sizes": [5, 0]}, r"hidden_layer_sizes must be > 0, got \[5, 0\]"),
        ({"dtype": np.int64}, "dtype"),
        ({"loss": "huber", "loss_param": -1}, "loss_param is -1"),
        ({"lr_schedule": "cosin"}, "did you mean 'cosine'"),
        ({"callbacks": 3}, "callbacks is 3, expected an object with any of the methods"),
    ],
)
def test_bad_parameters(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        FCRegressor(**given).fit(X_reg, y_reg)


def test_poisson_needs_counts():
    with pytest.raises(ValueError, match="at least 0: loss is 'poisson'"):
        FCRegressor("poisson").fit(X_reg, y_reg)


def test_warm_start_of_other_sizes_is_refused():
    est = FCRegressor(warm_start=True, max_iter=2).fit(X_reg, y_reg)
    with pytest.raises(ValueError, match=r"sizes \[8, 100, 1\], expected \[8, 7, 1\]"):
        est.set_params(hidden_layer_sizes=7).fit(X_reg, y_reg)


def test_preset():
    est = FCClassifier(preset="modern", random_state=0).fit(X, y)
    assert est.score(X, y) > 0.98
    assert est.get_params()["dropout"] == 0.0  # parameters stay what they were
    assert len(est.validation_scores_) == est.n_iter_
    own = FCClassifier(preset="modern", max_iter=3, random_state=0).fit(X, y)
    assert own.n_iter_ == 3
