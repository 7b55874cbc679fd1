"""Trackers write a run's figures, once each and where they belong."""

import copy
import pickle
import sys

import numpy as np
import pytest

from fastfc import fc_net, trackers
from fastfc.solver import Solver
from fastfc.trackers import CSV
from fastfc.trackers.tracker import Tracker, settings_of
from tests.support import runs
from tests.support.stranger import Stranger, indices


class Noting(Tracker):
    """Keeps what it is given to write."""

    def __init__(self, every=1):
        super().__init__(every)
        self.calls, self.rows = [], []

    def _begin(self, run, again):
        self.calls.append(("begin", again))

    def _write(self, rows):
        self.calls.append(("write", len(rows)))
        self.rows += rows

    def _end(self, reason):
        self.calls.append(("end", reason))


def solver(tracker, **settings):
    settings = {"num_epochs": 2, "batch_size": 5, "verbose": False, **settings}
    return Solver(Stranger((1, 2, 5)), indices(), callbacks=tracker, **settings)


def estimator(tracker, **options):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from fastfc.estimators import FCClassifier

    options = {"max_iter": 3, "lr_schedule": "cosine", "tol": 0, "random_state": 0, **options}
    return FCClassifier((4,), batch_size=25, callbacks=tracker, **options)


X = np.random.default_rng(0).normal(size=(100, 3))
Y = np.arange(100) % 2


def test_rows_are_the_historys():
    tracker = Noting()
    run = solver(tracker)
    run.train()
    steps = len(run.loss_history)
    assert tracker.calls == [
        ("begin", False),
        ("write", steps // 2),
        ("write", steps // 2),
        ("end", "finished"),
    ]
    history = run.history
    assert [row.step for row in tracker.rows] == history.pop("iteration").tolist()
    for i, row in enumerate(tracker.rows):
        expected = {name: column[i] for name, column in history.items()}
        assert row.figures == {k: v for k, v in expected.items() if not np.isnan(v)}
    times = [row.time for row in tracker.rows]
    assert times == sorted(times)


def test_of_many_steps_some_are_written():
    """The first, the last, every third, and those after which there was a scoring."""
    tracker = Noting(every=3)
    run = solver(tracker, max_steps=7)
    run.train()
    steps = [row.step for row in tracker.rows]
    scored = (np.flatnonzero(~np.isnan(run.history["val_acc"])) + 1).tolist()
    assert steps == sorted({1, 3, 6, 7, *scored})
    assert len(run.loss_history) == 7


def test_training_goes_on():
    tracker = Noting()
    run = solver(tracker)
    run.train()
    run.train()
    assert [row.step for row in tracker.rows] == list(range(1, len(run.loss_history) + 1))
    assert [call for call in tracker.calls if call[0] != "write"] == [
        ("begin", False),
        ("end", "finished"),
        ("begin", True),
        ("end", "finished"),
    ]


def test_another_run_begins_anew():
    tracker = Noting()
    for _ in range(2):
        solver(tracker).train()
    assert [call for call in tracker.calls if call[0] == "begin"] == [("begin", False)] * 2
    half = len(tracker.rows) // 2
    assert [row.step for row in tracker.rows[half:]] == list(range(1, half + 1))


def test_an_exception_ends_the_run_and_its_steps_are_there():
    class Failing:
        def on_epoch(self, solver):
            raise RuntimeError("mine")

    tracker = Noting()
    run = solver([Failing(), tracker])
    with pytest.raises(RuntimeError, match="mine"):
        run.train()
    assert tracker.calls[-1] == ("end", "error")
    assert len(tracker.rows) == len(run.loss_history) > 1


def test_a_run_without_a_step_is_none():
    tracker = Noting()
    solver(tracker, num_epochs=0).train()
    assert tracker.calls == []


def test_steps_are_taken_many_at_once():
    """A tracker looks when an epoch ends, and so slows no step down."""
    calls = []

    class Counting(fc_net.FullyConnectedNet):
        def __fastfc_train_steps__(self, *args, **kwargs):
            spent = super().__fastfc_train_steps__(*args, **kwargs)
            calls.append(0 if spent is None else len(spent))
            return spent

    np.random.seed(0)
    data = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}
    tracker = Noting()
    run = Solver(
        Counting([4], input_dim=3, num_classes=2),
        data,
        batch_size=10,
        num_epochs=2,
        callbacks=tracker,
        verbose=False,
    )
    run.train()
    assert len(tracker.rows) == 20
    assert max(calls) > 1


def test_estimators():
    tracker = Noting()
    est = estimator(tracker).fit(X, Y, X_val=X, y_val=Y)
    assert [row.step for row in tracker.rows] == list(range(1, 13))
    assert [row.figures["epoch"] for row in tracker.rows] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    scores = [row.figures["val_acc"] for row in tracker.rows if "val_acc" in row.figures]
    assert scores == est.validation_scores_
    losses = np.array([row.figures["loss"] for row in tracker.rows]).reshape(3, 4)
    np.testing.assert_allclose(losses.mean(axis=1), est.loss_curve_)
    rates = [row.figures["learning_rate"] for row in tracker.rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.001 > rates[1]
    assert tracker.calls[-1] == ("end", "max_iter")


@pytest.mark.parametrize("schedule", [None, "cosine", lambda step, fit: 1 / (1 + step)])
def test_learning_rates_of_estimators(schedule):
    """As the Solver's history has them: of the step, its schedule's factor included."""
    tracker = Noting()
    options = {"solver": "sgd", "learning_rate": "adaptive" if schedule is None else "constant"}
    est = estimator(tracker, lr_schedule=schedule, **options, n_iter_no_change=100)
    with pytest.warns() if schedule is None else pytest.MonkeyPatch.context():
        est.fit(X, Y)
    rates = [row.figures["learning_rate"] for row in tracker.rows]
    if callable(schedule):
        np.testing.assert_allclose(rates, [0.001 / (1 + step) for step in range(12)])
    elif schedule is None:
        assert rates == [0.001] * 12
    else:
        assert rates[0] == 0.001 > rates[-1]


def test_streams():
    tracker = Noting()
    est = estimator(tracker)
    for _ in range(3):
        est.partial_fit(X, Y, classes=[0, 1])
    assert [row.step for row in tracker.rows] == list(range(1, 13))
    assert [again for word, again in tracker.calls if word == "begin"] == [False, True, True]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_begin_anew(copied, tmp_path):
    """As searches and pickled estimators make them."""
    tracker = CSV(tmp_path / "run.csv")
    run = solver(tracker)
    run.train()
    again = copied(tracker)
    assert (again.path, again.every) == (tracker.path, 1)
    other = solver(again)
    other.train()
    assert (tmp_path / "run.csv").read_text() == other.history.csv()


@pytest.mark.parametrize("value", [0, 1.5, "3", None])
def test_every_is_a_count(value, tmp_path):
    with pytest.raises(ValueError, match=r"^every is .*, expected an integer of at least 1"):
        CSV(tmp_path / "run.csv", every=value)


def test_settings():
    run = runs.solver(clip_norm=1.0, lr_schedule="cosine")
    found = settings_of(run)
    assert found["update_rule"] == run.update_rule.__name__
    assert found["model"] == repr(run.model)
    assert found["batch_size"] == run.batch_size
    assert found["clip_norm"] == 1.0
    assert '"name": "cosine"' in found["lr_schedule"]
    assert "early_stopping" not in found
    assert all(isinstance(value, str | int | float) for value in found.values())


def test_settings_of_estimators():
    tracker, found = Noting(), []
    tracker._begin = lambda run, again: found.append(settings_of(run))
    estimator(tracker).fit(X, Y)
    assert found[0]["estimator"] == "FCClassifier"
    assert found[0]["hidden_layer_sizes"] == "[4]"
    assert "callbacks" not in found[0]


# --- CSV --------------------------------------------------------------------------------------


def test_csv_is_the_history(tmp_path):
    run = solver(CSV(tmp_path / "run.csv"))
    run.train()
    run.train()
    assert (tmp_path / "run.csv").read_text() == run.history.csv()


def test_csv_is_there_after_each_epoch(tmp_path):
    found = []

    class Reading:
        def on_epoch(self, solver):
            found.append((tmp_path / "run.csv").read_text() == solver.history.csv())

    solver([CSV(tmp_path / "run.csv"), Reading()]).train()
    assert found == [True, True]


def test_csv_of_a_stream(tmp_path):
    est = estimator(CSV(tmp_path / "run.csv"))
    for _ in range(2):
        est.partial_fit(X, Y, classes=[0, 1])
    lines = (tmp_path / "run.csv").read_text().splitlines()
    assert lines[0].startswith("iteration,epoch,loss")
    assert [line.split(",")[0] for line in lines[1:]] == [str(i) for i in range(1, 9)]


def test_csv_where_no_file_can_be(tmp_path):
    with pytest.raises(FileNotFoundError):
        solver(CSV(tmp_path / "none" / "run.csv")).train()


# --- the room ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "package"), [("TensorBoard", "tensorboard"), ("MLflow", "mlflow"), ("WandB", "wandb")]
)
def test_a_missing_extra_is_named(monkeypatch, name, package):
    for module in [m for m in sys.modules if m.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"fastfc.trackers.{package}_tracker", raising=False)
    with pytest.raises(ImportError) as caught:
        getattr(trackers, name)
    assert str(caught.value) == (
        f"fastfc.trackers.{name} needs {package}: pip install fastfc[{package}]"
    )


def test_what_the_room_has():
    assert {"CSV", "MLflow", "TensorBoard", "WandB"} <= set(dir(trackers))
    with pytest.raises(AttributeError, match=r"^module 'fastfc.trackers' has no attribute 'Csv'$"):
        trackers.Csv  # noqa: B018
