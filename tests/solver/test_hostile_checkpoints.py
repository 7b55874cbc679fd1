"""Checkpoints from strangers: an error with the path or a sound run, little memory, nothing taken.

`tests/solver/test_runs_of_a_name.py` has the paths that a file may name.
"""

import contextlib
import copy
import io
import json
import warnings
import zipfile
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training import CheckpointError, latest_checkpoint, read_checkpoint
from tests.support import memory, runs
from tests.support.npz import npy_header, read_entries, reads_or_names, tampered, write_entries
from tests.support.process import in_new_process
from tests.support.same import assert_same

OLD = Path(__file__).with_name("old_epoch_4.npz")
SETTINGS = {"lr_schedule": {"name": "plateau", "patience": 2}, "checkpoint_every": 4}


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """Return the path of a checkpoint within an epoch, under a schedule with a state."""
    folder = tmp_path_factory.mktemp("some")
    runs.solver(checkpoint_name=folder / "run", max_steps=9, **SETTINGS).train()
    return folder / "run_step_9.npz"


@pytest.fixture
def refused():
    """Check that a file is refused, by name, and that model and stream are left alone."""

    def check(path, message=None):
        model = runs.network()
        params, before = model.params, copy.deepcopy(model.params)
        bn_params = copy.deepcopy(model.bn_params)
        np.random.seed(8)
        stream = np.random.get_state(legacy=False)
        with pytest.raises(CheckpointError, match=message) as caught:
            Solver.resume(path, model, runs.data())
        assert str(caught.value).startswith(f"{path}: ")
        assert model.params is params
        assert_same(model.params, before)
        assert_same(model.bn_params, bn_params)
        assert_same(np.random.get_state(legacy=False), stream)

    return check


def at(*keys):
    """Return a change of a state: the value at these keys."""

    def change(value):
        def apply(state, arrays):
            for key in keys[:-1]:
                state = state[key]
            state[keys[-1]] = value

        return apply

    return change


ARRAY = {"$array": "params/W1"}
CHANGES = {
    "a scalar of no bytes": at("best_val_acc")({"$scalar": ["<f8", ""]}),
    "a scalar of a wild character": at("best_val_acc")({"$scalar": ["<U1", "ffffffff"]}),
    "a scalar of objects": at("best_val_acc")({"$scalar": ["O", "00" * 8]}),
    "best_val_acc a list": at("best_val_acc")([1]),
    "best_val_acc that no float is": at("best_val_acc")(10**400),
    "best_params of None": at("best_params", "W1")(None),
    "best_params of another shape": at("best_params", "W1")({"$array": "params/b1"}),
    "best_params without one": lambda s, a: s["best_params"].pop("W1"),
    "params a list": at("params", "b1")([0.0] * 9),
    "params of text": at("params", "W1")("W1"),
    "an epoch of 10**400": at("epoch")(10**400),
    "an epoch of true": at("epoch")(True),
    "more epochs than steps": at("epoch")(10),
    "more steps than losses": at("iteration")(10**12),
    "a call without step": at("call")({}),
    "a call of -5 steps": at("call", "step")(-5),
    "a call of 10**30 steps": at("call", "step")(10**30),
    "scorings of text": at("call", "scorings")("0"),
    "rates without base": at("rates")({}),
    "a base of text": at("rates", "base")("0.1"),
    "a base of nan": at("rates", "base", "W1")(float("nan")),
    "a base for nobody": at("rates", "base", "W9")(0.1),
    "a plateau's state of nothing": at("rates", "schedule")(None),
    "a plateau's state of text": at("rates", "schedule", "reduced")("1"),
    "fitted of numbers": at("rates", "fitted")(3),
    "statistics of 5": at("bn_running")([5, 5]),
    "statistics too few": lambda s, a: s["bn_running"].pop(),
    "statistics of lists": at("bn_running")([[], []]),
    "a mean of a tuple": at("bn_running", 0, "running_mean")({"$tuple": [1, [2]]}),
    "a mean of another shape": at("bn_running", 0, "running_mean")(ARRAY),
    "another statistic": at("bn_running", 0, "running_median")({"$array": "params/b1"}),
    "a mode among the statistics": at("bn_running", 0, "mode")("test"),
    "best statistics too many": lambda s, a: s["best_bn_params"].append({}),
    "best statistics of None": at("best_bn_params", 1, "running_var")(None),
    "an optimiser for nobody": at("optim_configs", "W9")({}),
    "an optimiser of a list": at("optim_configs", "W1")([]),
    "Adam's state of another shape": at("optim_configs", "W1", "v")({"$array": "params/b1"}),
    "Adam's state of another dtype": lambda s, a: a.update(
        {"optim_configs/W1/v": a["optim_configs/W1/v"].astype(np.float64)}
    ),
    "Adam's state of long doubles": lambda s, a: a.update(
        {"optim_configs/W1/v": a["optim_configs/W1/v"].astype(np.longdouble)}
    ),
    "a mean of long doubles": lambda s, a: a.update(
        {"bn_running/0/running_mean": np.zeros(9, np.longdouble)}
    ),
    "a mean of complex numbers": lambda s, a: a.update(
        {"bn_running/0/running_mean": np.zeros(9, complex)}
    ),
    "a mean of text": lambda s, a: a.update({"bn_running/0/running_mean": np.full(9, "0")}),
    "best parameters of another dtype": lambda s, a: a.update(
        {"best_params/W1": a["best_params/W1"].astype(np.float64)}
    ),
    "Adam's state of None": at("optim_configs", "W1", "a")(None),
    "a learning rate of None": at("optim_configs", "W1", "learning_rate")(None),
    "a learning rate of 10**400": at("optim_configs", "W1", "learning_rate")(10**400),
    "losses of text": at("loss_history")(["x"] * 9),
    "losses of nothing": at("loss_history")([[]] * 9),
    "accuracies of objects": at("val_acc_history")([{}]),
    "a log without clocks": lambda s, a: s["log"].pop("seconds"),
    "a log of text": at("log", "seconds")("now"),
    "a log of a matrix": at("log", "scored")(ARRAY),
    "a log of epochs beyond all": at("log", "epochs")({"$array": "params/W2"}),
    "the generator's key too short": at("random", "state", "key")({"$array": "params/b1"}),
    "the generator's key of text": at("random", "state", "key")("key"),
    "no generator's state": at("random", "state")([]),
    "a gauss of text": at("random", "gauss")("x"),
    "another generator": at("random", "bit_generator")("PCG64"),
    "a generator of nothing": at("random")({}),
    "a setting that is none": at("settings", "zzz")(1),
    "a setting that is in no file": at("settings", "callbacks")(None),
    "epochs of text": at("settings", "num_epochs")("9"),
    "a batch of text": at("settings", "batch_size")("9"),
    "an unknown rule": at("settings", "update_rule")("adagrad"),
    "a rule of a list": at("settings", "update_rule")(["adam"]),
    "a config of text": at("settings", "optim_config")("x"),
    "a decay of text": at("settings", "lr_decay")("0.9"),
    "an unknown schedule": at("settings", "lr_schedule")({"name": "x"}),
    "a schedule of a number": at("settings", "lr_schedule")(5),
    "a schedule's patience of text": at("settings", "lr_schedule", "patience")("5"),
    "normalize of one": at("settings", "normalize")([1]),
    "normalize of text": at("settings", "normalize")({"$tuple": ["0", "1"]}),
    "an interval of zero": at("settings", "checkpoint_every")(0),
    "a progress that is nothing": at("settings", "early_stopping")({"patience": None}),
    "settings missing": at("settings")({}),
    "outside a list": at("outside")([]),
    "outside what is none": at("outside")({"zzz": "x"}),
    "data of nothing": at("data")({}),
    "data of an array": at("data", "y_train has the CRC-32")(ARRAY),
    "a list of a matrix": at("loss_history")({"$floats": "params/W1"}),
    "a list of rows": at("loss_history")({"$scalars": "params/W1"}),
    "a list twice": lambda s, a: s.update(train_acc_history=s["val_acc_history"]),
    "an array that is not there": at("params", "W1")({"$array": "away"}),
    "an array of a number": at("params", "W1")({"$array": 5}),
    "a tag that is none": at("params", "W1")({"$pickle": "x"}),
    "a dict of lists as keys": at("params")({"$dict": [[[1], 2]]}),
    "a dict of one thing": at("params")({"$dict": [1]}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_kind_is_refused_and_nothing_taken(tmp_path, some, refused, what):
    refused(tampered(some, tmp_path / "evil.npz", CHANGES[what]))


@pytest.mark.parametrize("position", [-1, 625, 700, 10**8, 2**31, 10**30, "5", None, 1.0])
def test_positions_of_the_generator(tmp_path, some, refused, position):
    """Beyond its block it would read what is not its own, or never end."""
    change = at("random", "state", "pos")(position)
    refused(tampered(some, tmp_path / "evil.npz", change))


@pytest.mark.parametrize("position", [0, 1, 623, 624])
def test_positions_that_are_sound(tmp_path, some, position):
    change = at("random", "state", "pos")(position)
    runs.resumed(tampered(some, tmp_path / "good.npz", change))
    assert np.random.get_state()[2] == position
    np.random.rand()


def test_positions_of_philox(tmp_path):
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.Philox(1))
        solver = Solver(runs.network(), runs.data(), verbose=False)
        solver.save(tmp_path / "a.npz")
        Solver.resume(tmp_path / "a.npz", runs.network(), runs.data())
        for position in (-1, 5, 1000):
            path = tampered(
                tmp_path / "a.npz", tmp_path / "evil.npz", at("random", "buffer_pos")(position)
            )
            with pytest.raises(CheckpointError, match=r"evil\.npz: .*position is"):
                Solver.resume(path, runs.network(), runs.data())
    finally:
        np.random.set_bit_generator(before)


# --- any value anywhere -----------------------------------------------------------------------

ODD = st.sampled_from(
    [
        *(None, True, -1, 2**31, 2**63, 2**70, 10**400, 1e300, float("nan"), float("-inf")),
        *("", "x", [], {}, [[]], [None], {"$array": "params/W1"}, {"$array": "params/b1"}),
        *({"$floats": "x"}, {"$scalars": "loss_history"}, {"$tuple": []}, {"$dict": [[1, 2]]}),
        *({"$scalar": ["<f4", "00000000"]}, {"$scalar": ["<U9", "ff" * 36]}),
    ]
)


def places(value, here=()):
    """Yield the keys of everything in nested lists and dicts."""
    if here:
        yield here
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items if isinstance(value, (dict, list)) else ():
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*here, key))
        else:
            yield (*here, key)


@pytest.fixture(scope="module")
def everything(some):
    head = json.loads(np.load(some)["fastfc_checkpoint"].tobytes())
    return list(places(head))


@hypothesis.settings(max_examples=400)
@hypothesis.given(data=st.data())
def test_any_value_anywhere(tmp_path, some, everything, data):
    """It is refused and nothing is taken, or the run it makes trains or says why it does not."""
    keys, value = data.draw(st.sampled_from(everything)), data.draw(ODD)
    path = tampered(some, tmp_path / "run_step_9.npz", at(*keys)(value), whole_head=True)
    model = runs.network()
    before = copy.deepcopy((model.params, model.bn_params, np.random.get_state(legacy=False)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert latest_checkpoint(tmp_path / "run") in (path, None)
        solver, refusal = None, None
        try:
            solver = Solver.resume(path, model, runs.data(), max_steps=2, verbose=False)
        except CheckpointError as error:
            refusal = str(error)
        if solver is None:
            assert refusal.startswith(f"{path}: ")
            assert_same((model.params, model.bn_params, np.random.get_state(legacy=False)), before)
            return
        solver.checkpoint_name, solver._saver = None, None
        with contextlib.suppress(FloatingPointError, ValueError, OverflowError, MemoryError):
            solver.train()


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.integers(0, 10**9), st.integers(0, 255), st.integers(1, 40))
def test_any_bytes_anywhere(tmp_path, some, where, byte, length):
    content = bytearray(some.read_bytes())
    where %= len(content)
    content[where : where + length] = bytes([byte]) * len(content[where : where + length])
    path = tmp_path / "evil.npz"
    path.write_bytes(content)
    for read in (read_checkpoint, FullyConnectedNet.load):
        assert reads_or_names(read, path)


# --- memory -----------------------------------------------------------------------------------

MEGABYTE = 1 << 20


def replaced_entry(some, path, name, content, compression=zipfile.ZIP_STORED):
    write_entries(path, {**read_entries(some), name: content}, compression)
    return path


def test_a_statistic_of_elements_without_bytes(tmp_path, some, refused):
    """10**11 of them take no byte in the file and hours to copy."""
    content = npy_header((99999999999,), "|V0")
    path = replaced_entry(some, tmp_path / "evil.npz", "bn_running/0/running_mean", content)
    refused(path, "elements have no bytes")


@pytest.mark.parametrize("shape", [(2**45, 0), (0, 2**62, 2**62), (1,) * 70, (2**63,), (10**30, 0)])
def test_shapes_that_are_none(tmp_path, some, refused, shape):
    content = npy_header(shape, "<f4")
    for name in ("bn_running/0/running_mean", "params/W1", "loss_history", "optim_configs/W1/v"):
        refused(replaced_entry(some, tmp_path / "evil.npz", name, content))


@pytest.mark.parametrize("name", ["loss_history", "log/seconds", "params/W1", "more"])
def test_compressed_entries(tmp_path, some, refused, name):
    """50 KB would become 50 MB, and a list of them a gigabyte and more."""
    content = npy_header((50 * MEGABYTE,), "|u1"), 50 * MEGABYTE
    path = replaced_entry(some, tmp_path / "evil.npz", name, content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 150_000
    with memory.at_most(8 * MEGABYTE):
        refused(path, "truncated|compressed, expected not at all")
        with pytest.raises(ValueError, match=r"evil\.npz"):
            FullyConnectedNet.load(path)


def test_many_lists_of_one_array(tmp_path, some, refused):
    def change(state, arrays):
        arrays["a"] = np.zeros(100_000)
        state["more"] = [{"$floats": "a"}] * 1000

    path = tampered(some, tmp_path / "evil.npz", change)
    with memory.at_most(16 * MEGABYTE):
        refused(path, "damaged")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000], ids=len)
def test_a_head_without_end(tmp_path, some, refused, text):
    content = io.BytesIO()
    np.save(content, np.frombuffer(text.encode(), np.uint8))
    path = tmp_path / "evil.npz"
    refused(replaced_entry(some, path, "fastfc_checkpoint", content.getvalue()), "damaged")


def test_entries_that_lie_on_each_other(tmp_path, some, refused):
    """A directory with a thousand entries for the same megabyte."""
    path = tmp_path / "evil.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy_header((MEGABYTE,), "|u1") + bytes(MEGABYTE))
        for i in range(1000):
            twin = copy.copy(archive.infolist()[0])
            twin.filename = f"a{i}.npy"
            archive.filelist.append(twin)
    with memory.at_most(8 * MEGABYTE):
        refused(path)


LIMITED = """
import resource, sys
from fastfc.training import CheckpointError, read_checkpoint, latest_checkpoint
from fastfc.fc_net import FullyConnectedNet
before = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (before + (64 << 20),) * 2)
for read in (read_checkpoint, FullyConnectedNet.load):
    try:
        read(PATH)
    except ValueError as error:
        print(str(error).startswith(PATH + ": "))
"""


def test_under_a_limit_of_the_system(tmp_path, some):
    """Also what the tracer of Python's allocations does not see, as the zip library's buffers."""
    content = npy_header((2**33,), "|u1"), 100 * MEGABYTE
    path = replaced_entry(some, tmp_path / "evil.npz", "more", content, zipfile.ZIP_DEFLATED)
    code = LIMITED.replace("PATH", repr(str(path)))
    assert in_new_process(code) == (0, "True\nTrue\n")


# --- files of the code before -----------------------------------------------------------------


def test_a_checkpoint_of_the_first_format(tmp_path):
    """Without identity, without network, with names of files inside and lengths of schedules."""
    path = tmp_path / "run_epoch_4.npz"
    path.write_bytes(OLD.read_bytes())
    assert latest_checkpoint(tmp_path / "run") == path
    again = runs.resumed(path)
    state = read_checkpoint(path)
    assert_same(again.model.params, state["params"])
    assert_same(again.loss_history, state["loss_history"])
    assert_same(np.random.get_state(legacy=False), state["random"])
    again.train()
    assert again.stop_reason == "finished"
    with pytest.raises(ValueError, match=r"epoch_4\.npz: a checkpoint that has no network's conf"):
        FullyConnectedNet.load(path)
    with pytest.warns(UserWarning, match="lr_schedule was made for the length of the run so far"):
        longer = runs.resumed(path, num_epochs=6)
    assert longer.lr_schedule["total_steps"] == 6 * runs.STEPS_PER_EPOCH
    longer.train()
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run_epoch_6.npz"
