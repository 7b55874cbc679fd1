"""Checkpoint files: plain arrays; bad ones are refused and change nothing."""

import io
import json
import pickle

import numpy as np
import pytest

import fastfc
from fastfc import optim
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training import CheckpointError, checkpoint, read_checkpoint
from tests.support import runs
from tests.support.same import assert_same
from tests.support.stranger import Stranger, indices


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """Return the path of a checkpoint within an epoch."""
    folder = tmp_path_factory.mktemp("some")
    runs.solver(checkpoint_name=folder / "run", max_steps=9).train()
    return folder / "run_step_9.npz"


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
    refused(path, "damaged.*Bad CRC-32 for file")


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
        (
            archive(fastfc_checkpoint=np.array([{"a": 1}], object)),
            "damaged.*Object arrays cannot be loaded",
        ),
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


def test_a_callable_schedule_is_given_again(tmp_path, refused, whole):
    schedule = [1, 0.5, 0.25].__getitem__
    settings = {"lr_schedule": lambda step, _: schedule(step % 3)}
    first = runs.solver(checkpoint_name=tmp_path / "run", max_steps=8, **settings)
    first.train()
    path = first.checkpoint_path
    refused(path, "lr_schedule was <function .* give it again, resume.*lr_schedule=")
    second = runs.resumed(path, max_steps=None, **settings)
    second.train()
    assert_same(runs.left(second, tmp_path), whole(**settings))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 20),
        ("update_rule", "sgd"),
        ("update_rule", halved),
        ("optim_config", {}),
    ],
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
    assert not list(tmp_path.iterdir())


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
