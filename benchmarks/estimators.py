"""The estimators against scikit-learn's: fitting, predicting many rows and one, and their scores.

Contestants have equal settings and start from equal seeds: so many epochs of the same network, Adam
on minibatches of 200, no early stop.  skorch is PyTorch behind scikit-learn's API; scikit-learn's
histogram gradient boosting, by its own defaults, is another kind of model, for orientation.  Tables
are synthetic, of a function that another network computes.  With $FASTFC_DATA there is MNIST too.

Rows whose name begins with ``scores`` are about data sets that come with scikit-learn (with
$FASTFC_DATA also ``covtype.npz`` and ``california.npz``, of arrays X and y, if they are there): the
score on a third of the rows after a fit of each of five seeds, by MLPClassifier's or MLPRegressor's
defaults, by fastfc's class with the same settings, and by its preset.
"""

import dataclasses
import functools
import os
import pathlib
import statistics
import time
import warnings

import numpy as np

from benchmarks import harness
from fastfc.data import load_mnist
from tests.support import cases

SEEDS, QUICK_SEEDS = 5, 2
SCORES = "scores "  # so begin the names of rows about scores
SCORE, ERROR = "test score", "standard error"  # quantities
OURS = ("preset",)
FEW = 10_000  # rows below which trees are of no interest
WIDE = 100  # columns above which they take minutes
TURNS, ENOUGH = 40, 2.0  # of short fits more are timed: at most so many, and so many seconds each
MANY = 10_000  # rows that are predicted in one call
TEST_SHARE = 3  # one row of so many is for scores


@dataclasses.dataclass(frozen=True)
class Task:
    """Data and the settings under which they are fitted."""

    name: str
    X: np.ndarray
    y: np.ndarray
    hidden: tuple
    epochs: int

    @property
    def classifies(self):
        """Whether y has labels."""
        return self.y.dtype.kind in "iu"

    @property
    def shape(self):
        """N: D-H-M, examples first."""
        outputs = len(np.unique(self.y)) if self.classifies else 1
        sizes = [self.X.shape[1], *self.hidden, 1 if outputs == 2 else outputs]
        return f"{len(self.X)}: " + "-".join(map(str, sizes))

    def split(self):
        """Return X and y to fit, then those to score."""
        order = cases.generator("split", len(self.X)).permutation(len(self.X))
        test, train = np.split(order, [len(order) // TEST_SHARE])
        return self.X[train], self.y[train], self.X[test], self.y[test]


def contestants(run):
    """Return the names of the table's columns."""
    theirs = ["sklearn", "hist"] if "sklearn" in run.peers else []
    return ["fastfc", "preset", *theirs, *(["skorch"] if "torch" in run.peers else [])]


def rows(run):
    """Yield three rows for each task and number of threads, then the scores."""
    for task in tasks(run.quick):
        for count in harness.thread_counts():
            with harness.threads(count):
                yield from _task_rows(run, task, count)
    for task in scored_tasks(run.quick):
        yield _score_row(run, task)


def tasks(quick=False):
    """Yield what is fitted for its time."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    X = (digits.data / 16).astype(np.float32)
    yield Task("digits", X, digits.target, (100,), 2 if quick else 20)
    if os.environ.get("FASTFC_DATA") and not quick:
        # as scikit-learn's own example has it, pixels from 0 to 1; and without their zeros
        for name, subtract_mean in (("mnist", False), ("mnist, mean subtracted", True)):
            mnist = load_mnist(os.environ["FASTFC_DATA"], subtract_mean=subtract_mean)
            images = mnist["X_train"].reshape(len(mnist["X_train"]), -1)
            yield Task(name, images.astype(np.float32), mnist["y_train"], (100,), 3)
    few = 500 if quick else 1
    yield table("table", 100_000 // few, 50, 10, (100,), 3)
    yield table("long table", 1_000_000 // few, 20, 0, (64, 64), 1)


def table(name, N, D, C, hidden, epochs):
    """Return a synthetic table: of C classes, or with C = 0 a number for each row."""
    random = cases.generator(name, N)
    X = random.standard_normal((N, D)).astype(np.float32)
    units = np.tanh(X @ random.standard_normal((D, 32)) / np.sqrt(D))
    scores = units @ random.standard_normal((32, max(C, 1)))
    scores += random.standard_normal(scores.shape) / 4
    y = scores.argmax(axis=1) if C else scores[:, 0]
    return Task(name, X, y, hidden, epochs)


def scored_tasks(quick=False):
    """Yield what is fitted for its score."""
    from sklearn import datasets

    yield _numbers("digits", datasets.load_digits())
    yield _numbers("wine", datasets.load_wine())
    if quick:
        return
    yield _numbers("breast cancer", datasets.load_breast_cancer())
    yield _numbers("diabetes", datasets.load_diabetes())
    for name in ("covtype", "california"):
        path = pathlib.Path(os.environ.get("FASTFC_DATA", ".")) / f"{name}.npz"
        if path.exists():
            with np.load(path) as arrays:
                yield Task(name, arrays["X"], arrays["y"], (100,), 0)


def _numbers(name, bunch):
    return Task(name, bunch.data, bunch.target, (100,), 0)


# --- contestants ----------------------------------------------------------------------------------


def makers(run, task, **settings):
    """Return by name what makes an unfitted estimator of a seed."""
    from sklearn import ensemble, neural_network

    from fastfc import estimators

    kind = "Classifier" if task.classifies else "Regressor"
    ours = getattr(estimators, f"FC{kind}")
    all_of = {
        "fastfc": functools.partial(ours, **settings),
        "preset": functools.partial(ours, preset="modern", **settings),
        "sklearn": functools.partial(getattr(neural_network, f"MLP{kind}"), **settings),
        "hist": getattr(ensemble, f"HistGradientBoosting{kind}"),
    }
    if "torch" in run.peers:
        from benchmarks import peer_skorch

        all_of["skorch"] = functools.partial(peer_skorch.estimator, task, **settings)
    if len(task.X) < FEW or task.X.shape[1] > WIDE:
        del all_of["hist"]
    return {name: make for name, make in all_of.items() if name in contestants(run)}


def fit(make, X, y, seed=0):
    """Return an estimator that is fitted, without a word about too few epochs."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make(random_state=seed).fit(X, y)


# --- rows -----------------------------------------------------------------------------------------


def _task_rows(run, task, threads):
    X, _, X_test, _ = task.split()
    made = makers(
        run,
        task,
        hidden_layer_sizes=task.hidden,
        max_iter=task.epochs,
        n_iter_no_change=1000,
        tol=0,
    )
    row = functools.partial(_described, run, task, threads)
    fitted, timings, scores = _fit_by_turns(run, made, task.split())
    yield {**row("fit", timings, len(X) * task.epochs), **_of_scores(task, scores)}

    many = X_test[:MANY]
    calls = {name: functools.partial(model.predict, many) for name, model in fitted.items()}
    yield row("predict", harness.measure(calls, run.quick), len(many))
    method = "predict_proba" if task.classifies else "predict"
    calls = {
        name: functools.partial(getattr(model, method), X_test[:1])
        for name, model in fitted.items()
    }
    yield row(f"{method}, one row,", harness.measure(calls, run.quick), 1)


def _described(run, task, threads, what, timings, amount):
    rate = ("Mrow/s", amount * 1e3)  # rates are given in units of 1e9
    return harness.described(
        run, "estimators", f"{what} {task.name}", task.shape, task.X.dtype, timings, rate, threads
    )


def _score_row(run, task):
    """Return the row of a data set: seconds of a fit, and the scores of all seeds."""
    X, *_ = task.split()
    made = makers(run, task)
    made = {name: make for name, make in made.items() if name in ("fastfc", "preset", "sklearn")}
    made = {name: functools.partial(_standardised, task, make) for name, make in made.items()}
    _, timings, scores = _fit_by_turns(run, made, task.split())
    row = _described(run, task, harness.thread_counts()[-1], SCORES.strip(), timings, len(X))
    return {**row, **_of_scores(task, scores)}


def _fit_by_turns(run, made, split):
    """Return the last estimators, their times as `harness.summary` has them, and all scores.

    Each seed is scored once; where fits are short, they are timed again.
    """
    X, y, X_test, y_test = split
    fitted, samples, scores = {}, {name: [] for name in made}, {name: [] for name in made}
    seeds = QUICK_SEEDS if run.quick else SEEDS
    for turn in range(seeds if run.quick else TURNS):
        if turn >= seeds and max(map(sum, samples.values())) > ENOUGH:
            break
        for name, make in made.items():
            if not run.quick:
                harness.pause()
            start = time.perf_counter()
            fitted[name] = fit(make, X, y, turn % seeds)
            samples[name].append(time.perf_counter() - start)
            if turn < seeds:
                scores[name].append(fitted[name].score(X_test, y_test))
    return fitted, {name: harness.summary(values) for name, values in samples.items()}, scores


def _of_scores(task, scores):
    """Return what a row says of the scores: their means and the standard errors of these."""
    unit, readings, notes = "accuracy" if task.classifies else "R^2", [], []
    for name, values in scores.items():
        mean, error = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
        readings.append(harness.Reading(name, SCORE, mean, unit, len(values)))
        readings.append(harness.Reading(name, ERROR, error, unit, len(values)))
        notes.append(f"{name} {mean:.4f} +- {error:.4f}")
    return {"readings": readings, "note": f"{unit} {', '.join(notes)}"}


def _standardised(task, make, random_state):
    """Return an estimator behind standardised columns, and for numbers a standardised target."""
    from sklearn import compose, pipeline, preprocessing

    model = make(random_state=random_state)
    if not task.classifies:
        model = compose.TransformedTargetRegressor(
            model, transformer=preprocessing.StandardScaler()
        )
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)
