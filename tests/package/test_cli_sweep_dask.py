"""``fastfc sweep --dask``: a scheduler and two workers on this machine."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest

pytest.importorskip("distributed", reason="clusters are Dask's, of the extra dask")

from distributed import Client, get_worker
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from fastfc import _core
from fastfc.cli import main, sweeping
from fastfc.cli.sweeping import on_dask
from fastfc.estimators import FCClassifier

pytestmark = [
    pytest.mark.usefixtures("empty_folder"),
    pytest.mark.filterwarnings("default"),  # Dask's own
]

GRID = """
epochs = 4
num_train_samples = 50
hidden = [16]
batch_size = 200
[sweep]
method = "grid"
[grid]
learning_rate = [0.001, 0.002, 0.004, 0.008]
dropout = [0.5, 0.9]
"""


class Cluster:
    """A scheduler and workers, processes of this machine that share no folder."""

    def __init__(self, path):
        self.file = str(path / "scheduler.json")
        self._path, self._workers = path, 0
        self._env = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        self.processes = []
        self.start("scheduler", "--port", "0", "--no-show")
        self.wait(lambda: os.path.exists(self.file))

    def start(self, what, *options):
        path = self._path / f"{what}{len(self.processes)}"
        path.mkdir()
        argv = [sys.executable, "-m", "dask", what, "--scheduler-file", self.file, *options]
        argv += ["--host", "127.0.0.1", "--no-dashboard"]
        argv += ["--local-directory", str(path)] * (what == "worker")
        with open(path / "log", "w") as log:
            process = subprocess.Popen(
                argv, cwd=path, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)

    def add_worker(self, *options):
        self._workers += 1
        self.start("worker", *options)

    @staticmethod
    def wait(is_there):
        while not is_there():
            time.sleep(0.02)

    @contextlib.contextmanager
    def client(self):
        with Client(scheduler_file=self.file, set_as_default=False) as client:
            client.wait_for_workers(self._workers)
            yield client

    def close(self):
        for process in self.processes:  # and a nanny's worker
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    found.add_worker("--nthreads", "3")
    found.add_worker("--nthreads", "1")
    with found.client():
        pass
    yield found
    found.close()


def write(text):
    with open("sweep.toml", "w") as file:
        file.write(text)


def sweep(capsys, *argv, status=0):
    returned = main(["sweep", "sweep.toml", *argv])
    out, err = capsys.readouterr()
    assert returned == status, err
    return out, [line for line in err.splitlines() if line.startswith(("sweep: ", "fastfc: "))]


def rows_of(out):
    with open(f"{out}/results.json") as file:
        rows = json.load(file)
    for row in rows:
        del row["seconds"]
    return rows


def ended(lines):
    """Return the candidates of which it is said that they have ended."""
    return [line.split()[4] for line in lines if " of " in line and "rung" not in line]


def test_a_cluster_finds_what_this_machine_finds(capsys, cluster):
    write(GRID)
    sweep(capsys, "--out", "here")
    _, lines = sweep(capsys, "--out", "there", "--dask", cluster.file)
    rows = rows_of("there")
    assert rows == rows_of("here")
    assert sorted(ended(lines)) == sorted(row["run"] for row in rows)
    run = rows[0]["run"]
    assert sorted(os.listdir(f"here/{run}")) == sorted(os.listdir(f"there/{run}"))
    with open(f"there/{run}/summary.json") as file:
        summary = json.load(file)
    assert summary["out"] == os.path.abspath(f"there/{run}")
    assert os.path.exists(summary["checkpoint"])
    # a run's folder as any other
    assert main(["train", "--resume", f"there/{run}", "--epochs", "5", "--quiet"]) == 0
    _, lines = sweep(capsys, "--out", "there", "--dask", cluster.file)
    assert ended(lines) == []


@pytest.mark.parametrize("victim", ["worker", "nanny"])
def test_a_worker_that_is_killed_midway_loses_nothing(capsys, cluster, monkeypatch, victim):
    """What it had is done by the other one: every candidate has one result, the same as ever."""
    write(GRID)
    sweep(capsys, "--out", "here")
    marker = os.path.abspath("killed")
    killed = []

    def wait(version, task, *more):
        """Train, all but the first candidate once a worker has been killed."""
        from fastfc.cli.sweeping.on_dask import _train_there

        while task.candidate.number > 1 and not os.path.exists(marker):
            time.sleep(0.01)
        return _train_there(version, task, *more)

    def say(text, say=sweeping._say):
        say(text)
        if not killed and " of " in text:
            try:
                with cluster.client() as client:
                    pids = client.run({"worker": os.getpid, "nanny": os.getppid}[victim])
                    busy = [worker for worker, tasks in client.processing().items() if tasks]
                    killed.append(busy[0])
                    os.kill(pids[busy[0]], signal.SIGKILL)
            finally:
                os.mkdir(marker)

    monkeypatch.setattr(on_dask, "_train_there", wait)
    monkeypatch.setattr(sweeping, "_say", say)
    _, lines = sweep(capsys, "--out", "there", "--dask", cluster.file)
    assert len(killed) == 1
    if victim == "nanny":  # nobody has started another one
        cluster.start("worker", "--nthreads", "1")
    rows = rows_of("there")
    assert rows == rows_of("here")
    assert sorted(ended(lines)) == sorted(row["run"] for row in rows)


def test_a_candidate_that_kills_its_workers_fails_alone(capsys, cluster, monkeypatch):
    write(GRID)

    def kill(version, task, *more):
        from fastfc.cli.sweeping.on_dask import _train_there  # as it is on the worker

        if task.candidate.number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return _train_there(version, task, *more)

    with monkeypatch.context() as patch:
        patch.setattr(on_dask, "_train_there", kill)
        out, lines = sweep(capsys, "--out", "s", "--dask", cluster.file, status=2)
    *others, last = rows_of("s")
    assert last["candidate"] == 3
    assert last["stop_reason"] == "failed"
    assert len(others) == 7
    assert all(row["val"] is not None for row in others)
    assert f"{last['run']} no result: every worker has died with it" in "\n".join(lines)
    assert lines[-1].startswith("fastfc: 1 candidates have no result")
    assert len(out.splitlines()) == 9
    _, lines = sweep(capsys, "--out", "s", "--dask", cluster.file)  # tried again
    assert ended(lines) == [last["run"]]


def test_halving_on_a_cluster(capsys, cluster):
    text = GRID.replace('"grid"', '"halving"\nfactor = 2').replace(
        "200", '200\nlr_schedule="cosine"'
    )
    write(text)
    sweep(capsys, "--out", "here")
    sweep(capsys, "--out", "there", "--dask", cluster.file)
    assert rows_of("there") == rows_of("here")


def test_workers_have_the_threads_that_are_asked_for(capsys, cluster, monkeypatch):
    """One candidate at a time on a worker, with all its threads: OMP_NUM_THREADS is 1 there."""
    write(GRID)

    def spy(version, task, *more):
        from fastfc.cli import running
        from fastfc.cli.sweeping.on_dask import _train_there

        found = []

        def counted(*_):
            found.append(_core.set_own_threads(1))
            _core.set_own_threads(found[-1])
            return {}

        pauses, running._pauses = running._pauses, counted
        try:
            wrong, files = _train_there(version, task, *more)
        finally:
            running._pauses = pauses
        told = [get_worker().state.nthreads, os.environ["OMP_NUM_THREADS"], *found]
        return wrong, {**files, "threads.json": json.dumps(told).encode()}

    monkeypatch.setattr(on_dask, "_train_there", spy)
    for more, expected in ((), {(3, "1", 3), (1, "1", 1)}), (("--threads", "2"), {2}):
        sweep(capsys, "--out", "s", "--dask", cluster.file, *more)
        found = set()
        for run in os.listdir("s"):
            if os.path.isdir(f"s/{run}"):
                with open(f"s/{run}/threads.json") as file:
                    found.add(tuple(json.load(file)))
        assert found <= expected if not more else {each[2] for each in found} == expected
        shutil.rmtree("s")


def test_what_is_wrong_on_a_worker_ends_the_sweep(capsys, cluster):
    write(GRID.replace("[sweep]", "data = 'missing.npz'\n[sweep]"))
    _, lines = sweep(capsys, "--out", "s", "--dask", cluster.file, status=2)
    assert f"{os.path.abspath('missing.npz')}: no such file" in lines[-1]
    assert "(on the worker tcp://" in lines[-1]


def test_another_version_on_a_worker(capsys, cluster, monkeypatch):
    write(GRID)
    monkeypatch.setattr(on_dask, "__version__", "0.0")
    _, lines = sweep(capsys, "--out", "s", "--dask", cluster.file, status=2)
    assert ", expected 0.0" in lines[-1]


def test_where_there_is_no_scheduler(capsys, monkeypatch):
    write(GRID)
    monkeypatch.setattr(on_dask, "TIMEOUT", 0.2)
    for address, expected in {
        "tcp://127.0.0.1:1": "no scheduler answers there",
        "missing.json": "no such file, expected a scheduler's file or address",
    }.items():
        _, lines = sweep(capsys, "--out", "s", "--dask", address, status=2)
        assert lines[-1].startswith(f"fastfc: --dask {address}: {expected}")
    _, lines = sweep(capsys, "--out", "s", "--dask", "x", "--jobs", "2", status=2)
    assert "--jobs is for this machine" in lines[-1]


def test_ctrl_c_takes_back_what_has_not_begun(capsys, cluster, monkeypatch):
    write(GRID)
    sweep(capsys, "--out", "here")

    def say(text, say=sweeping._say):
        say(text)
        if "2 of 8" in text:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "_say", say)
        sweep(capsys, "--out", "there", "--dask", cluster.file, status=130)
    with cluster.client() as client:
        cluster.wait(lambda: not any(client.processing().values()))
    _, lines = sweep(capsys, "--out", "there", "--dask", cluster.file)
    assert lines[0] == "sweep: 8 candidates, 2 done already"
    assert rows_of("there") == rows_of("here")


def test_workers_that_come_late_and_a_scheduler_that_goes(capsys, tmp_path, monkeypatch):
    write(GRID)
    with contextlib.closing(Cluster(tmp_path)) as cluster:
        worker = threading.Thread(target=cluster.add_worker)

        def count(self, count=on_dask._Workers.__call__):
            found = count(self)
            if worker.ident is None:
                worker.start()
            return found

        def say(text, say=sweeping._say):
            say(text)
            if "1 of 8" in text:
                cluster.processes[0].kill()

        with monkeypatch.context() as patch:
            patch.setattr(on_dask._Workers, "__call__", count)
            patch.setattr(sweeping, "_say", say)
            _, lines = sweep(capsys, "--out", "s", "--dask", cluster.file, status=2)
        worker.join()
    assert lines[1] == "sweep: the cluster has no workers: waiting for them"
    assert lines[-1].endswith("the scheduler has gone: the same command goes on with another")
    _, lines = sweep(capsys, "--out", "s")  # or on this machine
    assert lines[0] == "sweep: 8 candidates, 1 done already"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_searches_of_scikit_learn(cluster):
    X = np.random.RandomState(0).normal(size=(120, 6)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    estimator = FCClassifier(hidden_layer_sizes=(8,), max_iter=5, random_state=0)
    rates = {"learning_rate_init": [1e-3, 1e-1]}
    searches = [
        GridSearchCV(estimator, rates, cv=2),
        RandomizedSearchCV(estimator, rates, n_iter=2, cv=2, random_state=0),
    ]
    here = [clone(search).fit(X, y) for search in searches]
    with Client(scheduler_file=cluster.file), joblib.parallel_config(backend="dask"):
        there = [search.fit(X, y) for search in searches]
    for one, other in zip(here, there, strict=True):
        scores = [search.cv_results_["mean_test_score"].tolist() for search in (one, other)]
        assert scores[0] == scores[1]
        assert one.best_params_ == other.best_params_
