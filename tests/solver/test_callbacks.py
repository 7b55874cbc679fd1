"""Watching a run: callbacks, history, the progress bar."""

import csv
import io
import json
import re

import numpy as np
import pytest

from fastfc.solver import Solver
from fastfc.training import Callback, History
from tests.support import runs
from tests.support.same import assert_same
from tests.support.stranger import Stranger, indices


class Noting(Callback):
    """Notes every event: the step, and what has been reached."""

    def __init__(self):
        self.events = []

    def on_step(self, solver):
        self.events.append(("step", len(solver.loss_history), len(solver.val_acc_history)))

    def on_epoch(self, solver):
        self.events.append(("epoch", solver.epoch, len(solver.val_acc_history)))

    def on_checkpoint(self, solver):
        self.events.append(("checkpoint", solver.checkpoint_path[-11:]))

    def on_stop(self, solver):
        self.events.append(("stop", solver.stop_reason))


EVENTS = [
    ("step", 1, 1),
    ("step", 2, 1 + 1),
    ("epoch", 1, 2),
    ("checkpoint", "epoch_1.npz"),
    ("step", 3, 2),
    ("step", 4, 3),
    ("epoch", 2, 3),
    ("checkpoint", "epoch_2.npz"),
    ("stop", "finished"),
]


def solver(correct=(1, 2, 5), **settings):
    settings = {"num_epochs": 2, "batch_size": 10, "verbose": False, **settings}
    return Solver(Stranger(correct), indices(), **settings)


def test_order_of_events(tmp_path):
    one, other = Noting(), Noting()
    solver(callbacks=one, checkpoint_name=tmp_path / "run").train()
    assert one.events == EVENTS
    one.events.clear()
    solver(callbacks=[one, other], checkpoint_name=tmp_path / "other").train()
    assert one.events == other.events == EVENTS


def test_any_object_with_one_of_the_methods():
    class Epochs:
        seen = 0

        def on_epoch(self, solver):
            self.seen += 1

    callback = Epochs()
    solver(callbacks=(callback, Callback())).train()
    assert callback.seen == 2


def test_errors_of_callbacks_end_the_run_and_the_others_are_told():
    class Failing:
        def on_step(self, solver):
            raise RuntimeError("mine")

    noting = Noting()
    run = solver(callbacks=[noting, Failing()])
    with pytest.raises(RuntimeError, match="mine"):
        run.train()
    assert noting.events == [("step", 1, 1), ("stop", "error")]


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (3, "callbacks is 3, expected an object with any of the methods on_step, on_epoch, on_c"),
        ([Callback(), object()], r"callbacks\[1\] is <object"),
        (Callback, "callbacks is <class"),
        ([None], r"callbacks\[0\] is None"),
    ],
)
def test_errors_of_settings(callbacks, message):
    with pytest.raises(TypeError, match=message):
        solver(callbacks=callbacks)


def test_callbacks_change_neither_draws_nor_results(tmp_path):
    plain, watched = runs.solver(), runs.solver(callbacks=Noting())
    np.random.seed(2)
    plain.train()
    expected = runs.left(plain, tmp_path)
    np.random.seed(2)
    watched.train()
    assert_same(runs.left(watched, tmp_path), expected)


def test_what_a_callback_changes_is_in_the_checkpoint(tmp_path):
    class Halving:
        def on_epoch(self, solver):
            for config in solver.optim_configs.values():
                config["learning_rate"] /= 2

    run = solver(callbacks=Halving(), checkpoint_name=tmp_path / "run")
    run.train()
    again = Solver.resume(tmp_path / "run_epoch_1.npz", Stranger(), indices())
    assert again.optim_configs["w"]["learning_rate"] == 1e-2 / 2


# --- history ----------------------------------------------------------------------------------


def test_history():
    run = solver(lr_decay=0.5)
    assert {name: len(column) for name, column in run.history.items()} == dict.fromkeys(
        ["iteration", "epoch", "loss", "learning_rate", "seconds", "train_acc", "val_acc"], 0
    )
    run.train()
    history = run.history
    assert isinstance(history, dict)
    assert_same(history["iteration"], np.array([1, 2, 3, 4]))
    assert_same(history["epoch"], np.array([0, 1, 1, 2]))
    assert_same(history["loss"], np.array(run.loss_history))
    assert_same(history["learning_rate"], np.array([0.01, 0.01, 0.005, 0.005]))
    assert_same(history["train_acc"], np.array([1, 1, np.nan, 1]))
    assert_same(history["val_acc"], np.array([0.1, 0.2, np.nan, 0.5]))
    assert (np.diff(history["seconds"]) > 0).all()
    assert history["seconds"][0] > 0


def test_history_of_two_calls_and_of_a_resumed_run(tmp_path):
    run = solver(checkpoint_name=tmp_path / "run")
    run.train()
    run.train()
    history = run.history
    assert_same(history["epoch"], np.array([0, 1, 1, 2, 2, 3, 3, 4]))
    np.testing.assert_array_equal(np.isnan(history["val_acc"]), [0, 0, 1, 0] * 2)
    again = Solver.resume(tmp_path / "run_epoch_3.npz", Stranger(), indices())
    again.train()
    seconds = again.history["seconds"]
    np.testing.assert_array_equal(seconds[:6], history["seconds"][:6])
    assert (np.diff(seconds) > 0).all()
    assert_same(again.history["epoch"], history["epoch"])


def test_history_knows_what_steps_outside_train_lack():
    run = solver()
    run._step()
    run.train()
    run._step()
    history = run.history
    assert_same(history["loss"], np.array(run.loss_history))
    np.testing.assert_array_equal(np.isnan(history["seconds"]), [1, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(np.isnan(history["val_acc"]), [1, 0, 0, 1, 0, 1])
    run.loss_history.clear()  # as for want of memory
    run.train()
    assert len(run.history["loss"]) == 4


def test_history_without_learning_rate():
    run = solver(update_rule=lambda w, dw, config: (w - dw, config))
    run.train()
    assert np.isnan(run.history["learning_rate"]).all()


def test_history_in_files(tmp_path):
    run = runs.solver()
    run.train()
    history = run.history
    history.to_csv(tmp_path / "h.csv")
    history.to_json(tmp_path / "h.json")
    with open(tmp_path / "h.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = json.loads((tmp_path / "h.json").read_text())
    assert list(columns) == list(rows[0]) == list(history)
    for name, column in history.items():
        from_csv = [float(row[name] or "nan") for row in rows]
        from_json = [np.nan if value is None else value for value in columns[name]]
        np.testing.assert_array_equal(np.array(from_csv, column.dtype), column)
        np.testing.assert_array_equal(np.array(from_json, column.dtype), column)
    assert not list(tmp_path.glob("*.tmp"))
    again = History.from_csv(tmp_path / "h.csv")
    assert list(again) == list(history)
    for name, column in history.items():
        assert again[name].dtype == (np.int64 if name in ("iteration", "epoch") else np.float64)
        np.testing.assert_array_equal(again[name], column)


def test_history_of_no_steps_in_a_file(tmp_path):
    runs.solver().history.to_csv(tmp_path / "h.csv")
    again = History.from_csv(tmp_path / "h.csv")
    assert {name: column.shape for name, column in again.items()} == dict.fromkeys(again, (0,))
    assert "val_acc" in again


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"its columns are \[''\]"),
        (b"a,b\n1,2\n", r"its columns are \['a', 'b'\]"),
        (b"loss,loss\n1,2\n", "its columns are"),
        (b"loss,epoch\n1\n2\n", "its rows have 1 fields, expected 2"),
        (b"loss,epoch\n1,2\n1\n", "the number of columns changed"),
        (b"loss,epoch\n1,\n", "steps or epochs are no whole numbers"),
        (b"loss,epoch\nx,2\n", "could not convert"),
        (b"loss\n\xff\n", "can't decode"),
    ],
)
def test_a_file_that_is_no_history(text, message, tmp_path):
    (tmp_path / "h.csv").write_bytes(text)
    with pytest.raises(ValueError, match=rf"h\.csv: no history of a run: .*{message}"):
        History.from_csv(tmp_path / "h.csv")


def test_history_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    (tmp_path / "h.json").write_text("old")
    history = History(loss=np.array([1.0]), name=np.array([object()]))
    with pytest.raises(TypeError):
        history.to_json(tmp_path / "h.json")
    assert (tmp_path / "h.json").read_text() == "old"
    History(loss=np.array([np.inf, 1])).to_json(tmp_path / "h.json")
    assert (tmp_path / "h.json").read_text() == '{"loss": [null, 1.0]}'


# --- the progress bar -------------------------------------------------------------------------


def test_progress(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    run = runs.solver(verbose=True, print_every=5)
    run.train()
    lines = capsys.readouterr().out
    expected = runs.left(run, tmp_path)
    run = runs.solver(verbose=True, print_every=5, progress=True)
    run.train()
    out, err = capsys.readouterr()
    assert out == lines
    assert_same(runs.left(run, tmp_path), expected)
    last = err.rstrip().split("\r")[-1]
    assert re.search(r"100%.* 504/504 \[00:00<00:00, .*ex/s, loss=\d\.\d{4}, val_acc=\d\.", last)
    run.verbose = False
    run.save(tmp_path / "end.npz")
    again = runs.resumed(tmp_path / "end.npz", num_epochs=1)
    again.progress = True
    again.train()
    assert "126/126" in capsys.readouterr().err


def test_progress_bar_goes_on_and_ends_with_an_error(capsys, tmp_path):
    run = runs.solver(max_steps=12, progress=True)
    run.train()
    capsys.readouterr()
    run.train()
    _, first, *_, last = capsys.readouterr().err.rstrip().split("\r")
    assert "| 252/504 " in first
    assert "| 504/504 " in last

    class Failing:
        def on_step(self, solver):
            raise RuntimeError

    run = runs.solver(progress=True, callbacks=Failing())
    with pytest.raises(RuntimeError):
        run.train()
    assert capsys.readouterr().err.endswith("\n")
    assert run._say is print


def test_output_of_the_bar_is_not_stdout(capsys):
    runs.solver(progress=True).train()
    assert capsys.readouterr().out == ""


def test_csv_is_exact():
    values = [0.1, 1 / 3, 1e-300]
    text = History(a=np.array(values)).csv()
    rows = list(csv.reader(io.StringIO(text)))[1:]
    assert [float(row[0]) for row in rows] == values
