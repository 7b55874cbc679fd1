"""Trackers against the real libraries, without a network: each reads what was written for it."""

import json
import sys
import types

import numpy as np
import pytest

from tests.support import runs


def trained(tracker, **settings):
    np.random.seed(2)
    run = runs.solver(callbacks=tracker, **settings)
    run.train()
    return run


def expected(run, every=1):
    """Return, by name, the (step, value) pairs that a tracker writes of a run."""
    history = run.history
    steps = history.pop("iteration")
    scored = ~np.isnan(history["val_acc"])
    kept = (steps == 1) | (steps % every == 0) | scored | (steps == steps[-1])
    found = {}
    for name, column in history.items():
        keep = kept & ~np.isnan(column)
        found[name] = list(zip(steps[keep].tolist(), column[keep].tolist(), strict=True))
    return found


# --- TensorBoard ------------------------------------------------------------------------------


@pytest.fixture
def tensorboard(monkeypatch):
    """TensorBoard as it is where TensorFlow is not installed: it would load it, for its files."""
    pytest.importorskip("tensorboard", reason="the extra [tensorboard] is not installed")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))


def test_tensorboard_reads_the_file(tensorboard, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from fastfc.trackers import TensorBoard

    run = trained(TensorBoard(tmp_path / "run", every=3))
    found = EventAccumulator(str(tmp_path / "run"), {"tensors": 0, "scalars": 0})
    found.Reload()
    figures = expected(run, 3)
    figures.pop("seconds")
    assert set(found.Tags()["tensors"]) | set(found.Tags()["scalars"]) == set(figures)


def scalars(folder):
    """Return what the page shows of the run first: what its data provider gives as scalars."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext

    multiplexer = EventMultiplexer(tensor_size_guidance={"scalars": 0})  # all of them
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    of = {"experiment_id": "", "plugin_name": "scalars"}
    listed = provider.list_scalars(RequestContext(), **of)["first"]
    read = provider.read_scalars(RequestContext(), **of, downsample=10_000)["first"]
    assert listed.keys() == read.keys()
    return read


def test_tensorboards_page_shows_scalars(tensorboard, tmp_path):
    from fastfc.trackers import TensorBoard

    run = trained(TensorBoard(tmp_path / "first", every=1))
    read = scalars(tmp_path)
    figures = expected(run)
    figures.pop("seconds")
    assert set(read) == set(figures)
    for name, pairs in figures.items():
        assert [point.step for point in read[name]] == [step for step, _ in pairs]
        np.testing.assert_allclose([point.value for point in read[name]], [v for _, v in pairs])
    times = [point.wall_time for point in read["loss"]]
    assert times == sorted(times)


def test_tensorboard_goes_on(tensorboard, tmp_path):
    """In the same folder, where the page takes both files for one run."""
    from fastfc.trackers import TensorBoard

    run = trained(TensorBoard(tmp_path / "first", every=1))
    run.train()
    steps = [point.step for point in scalars(tmp_path)["loss"]]
    assert steps == list(range(1, len(run.loss_history) + 1))


# --- MLflow -----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    """The address of a store in a file."""
    pytest.importorskip("mlflow", reason="the extra [mlflow] is not installed")
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.mark.filterwarnings("default")  # of the library's own
def test_mlflow(store):
    from mlflow import MlflowClient

    from fastfc.trackers import MLflow

    tracker = MLflow("digits", store, run_name="first", every=2)
    run = trained(tracker)
    client = MlflowClient(store)
    found = client.get_run(tracker.run_id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "first"
    assert client.get_experiment(found.info.experiment_id).name == "digits"
    assert found.data.tags["stop_reason"] == "finished"
    assert found.data.params["batch_size"] == str(run.batch_size)
    assert found.data.params["model"] == repr(run.model)
    for name, pairs in expected(run, 2).items():
        metrics = client.get_metric_history(tracker.run_id, name)
        assert [(metric.step, metric.value) for metric in metrics] == pairs

    run.train()  # goes on with that run
    assert [info.info.run_id for info in client.search_runs(["1"])] == [tracker.run_id]
    last = max(metric.step for metric in client.get_metric_history(tracker.run_id, "loss"))
    assert last == len(run.loss_history)

    class Failing:
        def on_epoch(self, solver):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        trained([tracker, Failing()])
    assert client.get_run(tracker.run_id).info.status == "FAILED"


@pytest.mark.filterwarnings("default")
def test_mlflow_of_a_folder(store, tmp_path):
    """Which it refuses since 3.17, and says so."""
    import mlflow

    from fastfc.trackers import MLflow

    version = tuple(map(int, mlflow.__version__.split(".")[:2]))
    if version < (3, 17):
        pytest.skip("this MLflow writes into folders")
    with pytest.raises(Exception, match="sqlite"):
        trained(MLflow("digits", str(tmp_path / "runs")))


# --- Weights & Biases -------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_wandb(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra [wandb] is not installed")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "own"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    from fastfc.trackers import WandB

    tracker = WandB("digits", every=2, dir=str(tmp_path), name="first")
    run = trained(tracker)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    rows, config, exit_code = read_wandb(file)
    found = {name: [] for name in expected(run)}
    for step, figures in rows:
        for name in found.keys() & figures.keys():
            found[name].append((step, figures[name]))
    assert found == expected(run, 2)
    assert config["batch_size"] == run.batch_size
    assert exit_code == 0


def wandb_records(data):
    """Generate the records of a run's own file: LevelDB's log format behind a head of 7 bytes."""
    at, block, parts = 7, 32768, []
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts.append(data[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def read_wandb(path):
    """Return what a run's own file has: (step, figures) of each row, settings, how it ended."""
    from wandb.proto import wandb_internal_pb2

    rows, config, exit_code = [], {}, None
    for data in wandb_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = record.history.item
            found = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items
            }
            rows.append((found.pop("_step", record.history.step.num), found))
        elif kind == "run":
            for item in record.run.config.update:
                config[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "exit":
            exit_code = record.exit.exit_code
    return rows, config, exit_code
