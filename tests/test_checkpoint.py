"""Checkpoints: a run in several parts is the run in one, in every bit; bad files change nothing."""

import errno
import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastfc
from fastfc import optim
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training import CheckpointError, checkpoint, latest_checkpoint, read_checkpoint
from tests import runs
from tests.same import assert_same
from tests.stranger import Stranger, indices

KINDS = tuple(runs.NETWORKS)


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """Return the path of a checkpoint within an epoch."""
    folder = tmp_path_factory.mktemp("some")
    runs.solver(checkpoint_name=folder / "run", max_steps=9).train()
    return folder / "run_step_9.npz"


# --- a run in two parts -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", range(1, runs.STEPS))
def test_resumed_equals_uninterrupted(tmp_path, whole, kind, steps):
    first = runs.solver(kind, checkpoint_name=tmp_path / "run", max_steps=steps)
    first.train()
    second = runs.resumed(first.checkpoint_path, kind, max_steps=None)
    assert len(second.loss_history) == steps
    second.train()
    assert second.stop_reason == "finished"
    assert_same(runs.left(second, tmp_path), whole(kind))


@pytest.mark.parametrize("rule", optim.__all__)
def test_every_rule_and_dtype(tmp_path, whole, rule, dtype):
    settings = {"update_rule": rule, "optim_config": {}}
    first = runs.solver("fused", dtype, checkpoint_name=tmp_path / "a", max_steps=8, **settings)
    first.train()
    second = runs.resumed(first.checkpoint_path, "fused", dtype, max_steps=None)
    second.train()
    assert_same(runs.left(second, tmp_path), whole("fused", dtype, **settings))


def test_the_same_solver_goes_on_after_a_stop(tmp_path, whole):
    solver = runs.solver(max_steps=5)
    while solver.stop_reason != "finished":
        solver.train()
        assert solver.model.params is solver.best_params
    assert_same(runs.left(solver, tmp_path), whole())


def test_a_stopped_solver_saves_what_to_go_on_from(tmp_path, whole):
    solver = runs.solver(max_steps=8)
    solver.train()
    solver.save(tmp_path / "a.npz")
    again = runs.resumed(tmp_path / "a.npz", max_steps=None)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


def test_a_second_call_in_two_parts(tmp_path):
    expected = runs.solver(early_stopping={"patience": 3})
    expected.train()
    expected.train()
    first = runs.solver(checkpoint_name=tmp_path / "run", early_stopping={"patience": 3})
    first.train()
    first.save(tmp_path / "between.npz")
    between = runs.resumed(tmp_path / "between.npz", max_steps=8)
    assert between.model.params is between.best_params
    between.train()
    last = runs.resumed(between.checkpoint_path, max_steps=None)
    last.train()
    assert last.stop_reason == expected.stop_reason
    assert_same(runs.left(last, tmp_path), runs.left(expected, tmp_path))


def test_the_last_checkpoint_resumes_to_the_end_and_beyond(tmp_path, whole):
    solver = runs.solver(checkpoint_name=tmp_path / "run")
    solver.train()
    path = tmp_path / f"run_epoch_{runs.EPOCHS}.npz"
    again = runs.resumed(path)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())
    longer = runs.resumed(path, num_epochs=runs.EPOCHS + 2)
    longer.train()
    assert longer.epoch == runs.EPOCHS + 2
    assert_same(runs.left(longer, tmp_path), whole(num_epochs=runs.EPOCHS + 2))


def test_printed_lines_go_on(tmp_path, capsys):
    runs.solver(verbose=True, print_every=2).train()
    expected = capsys.readouterr().out
    first = runs.solver(verbose=True, print_every=2, checkpoint_name=tmp_path / "run", max_steps=9)
    first.train()
    runs.resumed(first.checkpoint_path, max_steps=None).train()
    assert capsys.readouterr().out == expected


def test_resume_leaves_histories_of_their_types(tmp_path):
    model = Stranger([1, 2, 3, 3])
    solver = Solver(model, indices(), num_epochs=4, verbose=False, batch_size=10)
    solver.train()
    solver.save(tmp_path / "a.npz")
    again = Solver.resume(tmp_path / "a.npz", Stranger(), indices())
    assert_same(again.loss_history, solver.loss_history)
    assert_same(again.val_acc_history, solver.val_acc_history)
    assert_same(again.best_val_acc, solver.best_val_acc)
    assert_same(again.optim_configs, solver.optim_configs)


def test_tied_parameters_stay_tied(tmp_path):
    model = Stranger()
    model.params["w"] = model.params["b"] = np.ones(3)
    Solver(model, indices(), verbose=False).save(tmp_path / "a.npz")
    other = Stranger()
    other.params["b"] = np.ones(3)
    Solver.resume(tmp_path / "a.npz", other, indices())
    assert other.params["w"] is other.params["b"]


# --- a run that is killed ---------------------------------------------------------------------


def process(*argv):
    folders = [Path(fastfc.__file__).parents[1], Path(__file__).parents[1]]
    path = os.pathsep.join(map(str, folders))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    argv = [sys.executable, "-m", "tests.runs", *map(str, argv)]
    return subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE)


def end_of(tmp_path):
    return runs.content(read_checkpoint(tmp_path / "end.npz"))


@pytest.mark.parametrize("kind", KINDS)
def test_killed_after_any_step(tmp_path, whole, kind):
    at = sorted(random.Random(kind).sample(range(3, runs.STEPS), 6))
    for iteration in at:
        with process(kind, tmp_path, iteration) as killed:
            assert killed.wait(60) == -signal.SIGKILL, killed.stderr.read().decode()
    with process(kind, tmp_path, 0) as last:
        assert last.wait(60) == 0, last.stderr.read().decode()
    assert_same(end_of(tmp_path), whole(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment(tmp_path, whole, kind):
    """Also while a checkpoint is being written: the files that are there are whole."""
    chance = random.Random(f"moments {kind}")
    for _ in range(4):
        before = set(tmp_path.glob("run_*.npz"))
        with process(kind, tmp_path, 0) as killed:
            while killed.poll() is None and set(tmp_path.glob("run_*.npz")) == before:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            killed.kill()
        if (tmp_path / "end.npz").exists():
            break
        for path in tmp_path.glob("run_*.npz"):
            read_checkpoint(path)
    with process(kind, tmp_path, 0) as last:
        assert last.wait(60) == 0, last.stderr.read().decode()
    assert_same(end_of(tmp_path), whole(kind))


# --- which files ------------------------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_for_each_epoch(tmp_path):
    seen = []

    class Noting:
        def on_checkpoint(self, solver):
            seen.append((Path(solver.checkpoint_path).name, solver.epoch))

    runs.solver(checkpoint_name=tmp_path / "run", callbacks=Noting()).train()
    assert seen == [(f"run_epoch_{k}.npz", k) for k in range(1, runs.EPOCHS + 1)]
    assert names(tmp_path) == [name for name, _ in seen]


def test_files_within_epochs_and_the_last_ones_kept(tmp_path):
    seen = []

    class Noting:
        def on_checkpoint(self, solver):
            seen.append(names(tmp_path))

    (tmp_path / "run_epoch_1.npz.txt").write_text("somebody else's")
    (tmp_path / "other_epoch_1.npz").write_text("somebody else's")
    (tmp_path / "run_epoch_9.npz").write_text("another run's")
    others = names(tmp_path)
    settings = {"checkpoint_name": tmp_path / "run", "checkpoint_every": 4, "keep_last": 2}
    runs.solver(callbacks=Noting(), max_steps=14, **settings).train()
    own = [[name for name in there if name not in others] for there in seen]
    assert own == [
        ["run_step_4.npz"],
        ["run_epoch_1.npz", "run_step_4.npz"],
        ["run_epoch_1.npz", "run_step_8.npz"],
        ["run_epoch_2.npz", "run_step_8.npz"],  # of step 12: the epoch's name
        ["run_epoch_2.npz", "run_step_14.npz"],
    ]
    assert set(others) < set(names(tmp_path))
    seen.clear()
    runs.resumed(tmp_path / "run_step_14.npz", callbacks=Noting(), max_steps=None).train()
    own = [[name for name in there if name not in others] for there in seen]
    assert own[0] == ["run_step_14.npz", "run_step_16.npz"]  # the first part's are deleted too
    assert own[-1] == ["run_epoch_4.npz", "run_step_20.npz"]


def test_a_file_that_was_not_written_does_not_count_as_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", Failing(os.replace, works=1))
    solver = runs.solver(checkpoint_name=tmp_path / "run", keep_last=2)
    with pytest.raises(OSError, match="No space left"):
        solver.train()
    monkeypatch.undo()
    solver.max_steps = runs.STEPS_PER_EPOCH
    solver.train()
    assert names(tmp_path) == ["run_epoch_1.npz", "run_epoch_3.npz"]


def test_a_file_written_again_is_kept(tmp_path):
    solver = runs.solver(checkpoint_name=tmp_path / "run", keep_last=runs.EPOCHS + 1)
    solver.train()
    solver._reset()
    solver.train()
    assert names(tmp_path) == [f"run_epoch_{k}.npz" for k in range(1, runs.EPOCHS + 1)]


def test_files_by_time(tmp_path, monkeypatch):
    clock = iter(np.arange(0, 10000, 0.25))
    monkeypatch.setattr(time, "perf_counter", clock.__next__)
    runs.solver(checkpoint_name=tmp_path / "run", checkpoint_every="1s").train()
    steps = sum(name.startswith("run_step") for name in names(tmp_path))
    assert 3 < steps < runs.STEPS - runs.EPOCHS


def test_latest_checkpoint(tmp_path):
    assert latest_checkpoint(tmp_path / "run") is None
    runs.solver(checkpoint_name=tmp_path / "run", checkpoint_every=5, max_steps=21).train()
    (tmp_path / "run_epoch_30.npz.txt").write_text("no checkpoint")
    assert latest_checkpoint(str(tmp_path / "run")) == tmp_path / "run_step_21.npz"
    (tmp_path / "run_step_21.npz").unlink()
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run_step_20.npz"


def test_files_are_plain_arrays(some):
    with np.load(some, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    head = json.loads(arrays["fastfc_checkpoint"].tobytes())
    assert (head["format"], head["version"]) == ("fastfc checkpoint", checkpoint.VERSION)
    assert (head["fastfc"], head["numpy"]) == (fastfc.__version__, np.__version__)
    assert head["state"]["settings"]["optim_config"] == {"learning_rate": 0.01}
    assert arrays["params/W1"].shape == (12, 9)
    assert arrays["optim_configs/gamma2/v"].dtype == np.float32
    assert all(array.dtype.kind in "biuf" for array in arrays.values())


# --- bad files --------------------------------------------------------------------------------


@pytest.fixture
def refused():
    """Check that a file is refused, by name, and that model and stream are left alone."""

    def check(path, message, model=None, data=None, **settings):
        model = runs.network() if model is None else model
        params = model.params
        before = {name: np.copy(value) for name, value in params.items()}
        bn_params = [dict(bn_param) for bn_param in getattr(model, "bn_params", [])]
        stream = np.random.get_state(legacy=False)
        with pytest.raises(CheckpointError, match=message) as caught:
            Solver.resume(path, model, runs.data() if data is None else data, **settings)
        assert str(caught.value).startswith(f"{path}: ")
        assert model.params is params
        assert_same(dict(params), before)
        assert_same(list(getattr(model, "bn_params", [])), bn_params)
        assert_same(np.random.get_state(legacy=False), stream)

    return check


def test_truncated(tmp_path, some, refused):
    whole = some.read_bytes()
    path = tmp_path / "cut.npz"
    for length in {*range(0, len(whole), 997), *range(40), *range(len(whole) - 40, len(whole))}:
        path.write_bytes(whole[:length])
        refused(path, "truncated")


def test_damaged(tmp_path, some, refused):
    """Every changed byte is either noticed or in none of the content."""
    whole = bytearray(some.read_bytes())
    path = tmp_path / "damaged.npz"
    expected = read_checkpoint(some)
    noticed = 0
    for at in range(0, len(whole), 211):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            state = read_checkpoint(path)
        except CheckpointError:
            noticed += 1
        else:
            assert_same(state, expected)
    assert noticed > len(whole) / 211 * 0.5
    path.write_bytes(whole[:3000] + b"?" + whole[3001:])
    refused(path, "damaged")


def test_damaged_shape_is_noticed_before_its_memory_is_asked_for(tmp_path, some, refused):
    shape, other = b"'shape': (12, 9), }            ", b"'shape': (999999999999, 99), }  "
    content = some.read_bytes()
    assert shape in content
    path = tmp_path / "damaged.npz"
    path.write_bytes(content.replace(shape, other[: len(shape)]))
    refused(path, "damaged.*the sum of .* is wrong")


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def head(**changes):
    values = {"format": "fastfc checkpoint", "version": 1, "fastfc": "0", "state": {}, **changes}
    return archive(fastfc_checkpoint=np.frombuffer(json.dumps(values).encode(), np.uint8))


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated, or no checkpoint: expected a .npz file"),
        (b"PK\3\4", "truncated, or no checkpoint"),
        (pickle.dumps({"model": 1}), "truncated, or no checkpoint"),
        (npy(np.eye(3)), "truncated, or no checkpoint"),
        (archive(), "no checkpoint of fastfc, expected an entry fastfc_checkpoint; it has none"),
        (archive(W1=np.eye(2), b1=np.ones(2)), "fastfc_checkpoint; it has W1, b1"),
        (archive(fastfc_checkpoint=np.eye(2)), "damaged"),
        (archive(fastfc_checkpoint=np.array([{"a": 1}], object)), "damaged.*allow_pickle"),
        (head(format="else"), "its format is 'else'"),
        (head(version=2, fastfc="9.1"), "format 2, expected at most 1: it was written by .* 9.1"),
        (head(version=None), "damaged"),
        (head(), "its iteration is NoneType, expected int"),
        (head(state=[]), "its iteration is NoneType"),
        (head(state={"iteration": {"$array": "away"}}), "damaged"),
        (head(state={"iteration": {"$pickle": "x"}}), "damaged.*pickle is unknown"),
    ],
)
def test_foreign(tmp_path, refused, content, message):
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    refused(path, message)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"away\.npz"):
        runs.resumed(tmp_path / "away.npz")


def test_other_models(some, refused):
    refused(
        some,
        r"model\.params has .*'W1': \(\(12, 9\), 'float64'\).*expected .*\(\(12, 9\), 'float32'\)",
        runs.network(dtype=np.float64),
    )
    refused(some, r"gamma1.*None.*expected.*\(\(9,\)", runs.network(use_batchnorm=False))
    wider = FullyConnectedNet([9, 8], input_dim=12, num_classes=3, use_batchnorm=True)
    refused(some, r"\{'W2': \(\(9, 8\), .*expected \{'W2': \(\(9, 7\)", wider)
    fewer = runs.network()
    fewer.bn_params = fewer.bn_params[:1]
    refused(some, r"len\(model\.bn_params\) is 1, expected 2", fewer)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("y_train", lambda y: y[::-1], "data: y_train has the CRC-32"),
        ("y_val", lambda y: y.astype(np.int32), "y_val has dtype int32, expected int64"),
        ("X_train", lambda X: X + 1, "X_train has in some rows the CRC-32"),
        ("X_val", lambda X: X.astype(float), "X_val has dtype float64, expected float32"),
        (
            "X_val",
            lambda X: X.reshape(20, 12),
            r"X_val has shape \[20, 12\], expected \[20, 2, 6\]",
        ),
    ],
)
def test_other_data(some, refused, name, change, message):
    data = runs.data()
    refused(some, message, data={**data, name: change(data[name])})


def test_other_generator(some, refused):
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        refused(some, "np.random runs PCG64, expected MT19937")
    finally:
        np.random.set_bit_generator(before)


def test_a_generator_that_is_not_the_usual_one(tmp_path):
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(1))
        Solver(Stranger(), indices(), verbose=False).save(tmp_path / "a.npz")
        expected = np.random.rand(3)
        np.random.rand(7)
        Solver.resume(tmp_path / "a.npz", Stranger(), indices())
        np.testing.assert_array_equal(np.random.rand(3), expected)
    finally:
        np.random.set_bit_generator(before)


# --- settings ---------------------------------------------------------------------------------


def halved(w, dw, config):
    """Stand for a rule of somebody's own."""
    return w - config["learning_rate"] * dw / 2, config


def test_a_callable_rule_is_given_again(tmp_path, refused, whole):
    first = runs.solver(update_rule=halved, checkpoint_name=tmp_path / "run", max_steps=8)
    first.train()
    path = first.checkpoint_path
    refused(path, "update_rule was <function halved.* give it again, resume.*update_rule=")
    second = runs.resumed(path, update_rule=halved, max_steps=None)
    second.train()
    assert_same(runs.left(second, tmp_path), whole(update_rule=halved))


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 20), ("update_rule", "sgd"), ("update_rule", halved), ("optim_config", {})],
)
def test_what_cannot_change(some, refused, name, value):
    refused(some, f"{name} is .*, expected .* which cannot change", **{name: value})


def test_the_same_settings_again_and_others(some):
    same = {"batch_size": 21, "update_rule": optim.adam, "optim_config": {"learning_rate": 0.01}}
    solver = runs.resumed(some, **same, num_epochs=9, print_every=3, verbose=True)
    assert (solver.num_epochs, solver.print_every, solver.lr_decay) == (9, 3, 0.9)
    with pytest.raises(ValueError, match='Unrecognized arguments "epochs"'):
        runs.resumed(some, epochs=3)


def test_state_that_no_file_can_hold(tmp_path):
    def rule(w, dw, config):
        return w, {"noise": np.random.default_rng()}

    settings = {"update_rule": rule, "num_epochs": 1, "verbose": False}
    solver = Solver(Stranger(), indices(), checkpoint_name=tmp_path / "run", **settings)
    with pytest.raises(TypeError, match="optim_configs/w/noise is a Generator, which a checkpoint"):
        solver.train()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint_name": "away/run"}, "checkpoint_name is 'away/run', expected a name in a fo"),
        ({"checkpoint_name": ""}, "checkpoint_name is ''"),
        ({"checkpoint_every": 3}, "checkpoint_every is 3, expected None without checkpoint_name"),
        ({"keep_last": 3}, "keep_last is 3, expected None without checkpoint_name"),
        ({"checkpoint_name": "run", "keep_last": 0}, "keep_last is 0, expected an integer of at"),
        *(
            ({"checkpoint_name": "run", "checkpoint_every": every}, "expected a number of steps")
            for every in (0, -1, 30.0, "30", "0s", "3 days", "s", True)
        ),
    ],
)
def test_errors_of_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Solver(Stranger(), indices(), **settings)


# --- a disk that fails ------------------------------------------------------------------------


class Failing:
    """Stands for a function of the system that works so many times, then fails."""

    def __init__(self, function, works):
        self.function, self.works = function, works

    def __call__(self, *args):
        self.works -= 1
        if self.works < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.function(*args)


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_full_disk_leaves_the_old_checkpoints(tmp_path, monkeypatch, name, whole):
    monkeypatch.setattr(os, name, Failing(getattr(os, name), works=2))
    solver = runs.solver(checkpoint_name=tmp_path / "run", keep_last=1)
    with pytest.raises(OSError, match="No space left"):
        solver.train()
    monkeypatch.undo()
    assert solver.stop_reason == "error"
    old = "run_epoch_2.npz" if name == "replace" else "run_epoch_1.npz"
    assert names(tmp_path) == [old]
    left = (tmp_path / old).read_bytes()
    solver.train()  # with room on the disk again
    assert_same(runs.left(solver, tmp_path), whole())
    (tmp_path / old).write_bytes(left)
    again = runs.resumed(tmp_path / old)
    again.train()
    assert_same(runs.left(again, tmp_path), whole())


def test_bytes_before_name_before_return(tmp_path, monkeypatch):
    seen = []

    def noting(name):
        function = getattr(os, name)

        def call(first, *rest):
            what = first if name == "replace" else os.readlink(f"/proc/self/fd/{first}")
            seen.append((name, Path(what).name))
            return function(first, *rest)

        monkeypatch.setattr(os, name, call)

    noting("fsync")
    noting("replace")
    runs.solver().save(tmp_path / "a.npz")
    assert seen == [("fsync", "a.npz.tmp"), ("replace", "a.npz.tmp"), ("fsync", tmp_path.name)]


@pytest.mark.parametrize("room", [0, 100, 3000, 9000])
def test_full_disk_within_a_file(tmp_path, monkeypatch, room):
    solver = runs.solver(checkpoint_name=tmp_path / "run", max_steps=1)
    solver.save(tmp_path / "mine.npz")
    before = (tmp_path / "mine.npz").read_bytes()
    savez = np.savez

    def full(file, **arrays):
        whole = io.BytesIO()
        savez(whole, **arrays)
        file.write(whole.getvalue()[:room])
        raise OSError(errno.ENOSPC, "No space left on device")

    solver.train()
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        solver.save(tmp_path / "mine.npz")
    assert (tmp_path / "mine.npz").read_bytes() == before
    assert names(tmp_path) == ["mine.npz", "run_step_1.npz"]
