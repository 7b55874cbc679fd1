"""Networks out of checkpoints: the best parameters or the latest."""

import numpy as np
import pytest

from fastfc import fc_net
from fastfc import reference as reference_package
from fastfc.solver import Solver
from tests.support import runs
from tests.support.npz import tampered
from tests.support.same import assert_same
from tests.support.stranger import Stranger, indices

CLASSES = {
    "fast": fc_net.FullyConnectedNet,
    "reference": reference_package.fc_net.FullyConnectedNet,
}


def state_of(network):
    statistics = [
        {name: value for name, value in bn_param.items() if name.startswith("running_")}
        for bn_param in network.bn_params
    ]
    return dict(network.params), statistics


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("kind", runs.NETWORKS)
def test_best_and_latest(tmp_path, kind, cls):
    solver = runs.solver(
        kind, checkpoint_name=tmp_path / "run", optim_config={"learning_rate": 0.3}
    )
    solver.train()
    path = tmp_path / "run_epoch_4.npz"
    resumed = runs.resumed(path, kind)
    stream = np.random.get_state(legacy=False)
    latest, best = cls.load(path, which="latest"), cls.load(path)
    assert_same(np.random.get_state(legacy=False), stream)
    assert type(best) is cls
    assert_same(state_of(latest), state_of(resumed.model))
    assert_same(state_of(best), (solver.best_params, solver.best_bn_params))
    assert not np.array_equal(best.params["W1"], latest.params["W1"])
    X = runs.data()["X_val"]
    if cls is CLASSES["fast"] and kind == "fused":
        assert best.loss(X).tobytes() == solver.model.loss(X).tobytes()
    for name in ("reg", "dtype", "normalization", "use_dropout", "dropout_param"):
        assert getattr(best, name) == getattr(solver.model, name)
    assert_same(state_of(cls.load(path, which="best")), state_of(best))
    latest.save(tmp_path / "net.npz")
    assert_same(state_of(cls.load(tmp_path / "net.npz", which="latest")), state_of(latest))


def test_a_run_that_has_not_been_scored(tmp_path):
    solver = runs.solver()
    solver.save(tmp_path / "a.npz")
    network = fc_net.FullyConnectedNet.load(tmp_path / "a.npz")
    assert_same(network.params, dict(solver.model.params))


def test_tied_parameters(tmp_path):
    model = fc_net.FullyConnectedNet([4, 4, 4, 4], input_dim=4, num_classes=4)
    for i in range(2, 6):
        model.params[f"W{i}"] = model.params["W1"]
    data = {"X_train": np.eye(4), "y_train": np.arange(4)}
    data |= {"X_val": data["X_train"], "y_val": data["y_train"]}
    Solver(model, data, verbose=False).save(tmp_path / "a.npz")
    again = fc_net.FullyConnectedNet.load(tmp_path / "a.npz")
    assert_same(again.params, model.params)


def test_models_that_do_not_say_how_they_are_built(tmp_path):
    Solver(Stranger(), indices(), verbose=False).save(tmp_path / "a.npz")
    network = runs.network()
    network.dropout_param["seed"] = object()  # no file can hold it
    solver = Solver(network, runs.data(), verbose=False, checkpoint_name=tmp_path / "run")
    solver.save(tmp_path / "b.npz")
    for name in ("a.npz", "b.npz"):
        with pytest.raises(
            ValueError, match=rf"{name}: a checkpoint that has no network's configu"
        ):
            fc_net.FullyConnectedNet.load(tmp_path / name)


def test_another_class(tmp_path):
    data = {"X_train": np.eye(4), "y_train": np.arange(4)}
    data |= {"X_val": data["X_train"], "y_val": data["y_train"]}
    Solver(fc_net.TwoLayerNet(4, 3, 4), data, verbose=False).save(tmp_path / "two.npz")
    assert type(fc_net.TwoLayerNet.load(tmp_path / "two.npz")) is fc_net.TwoLayerNet
    runs.solver().save(tmp_path / "more.npz")
    with pytest.raises(
        ValueError, match=r"more\.npz: it holds a FullyConnectedNet, expected a Two"
    ):
        fc_net.TwoLayerNet.load(tmp_path / "more.npz")


@pytest.mark.parametrize("which", ["worst", None, 1, ["best"]])
def test_which_is_something_else(tmp_path, which):
    runs.solver().save(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"which is .*, expected 'best' or 'latest'"):
        fc_net.FullyConnectedNet.load(tmp_path / "a.npz", which=which)


@pytest.mark.parametrize(
    "change",
    [
        lambda states: states.clear(),
        lambda states: states.update(latest=[], best=[]),
        lambda states: states["best"].update({"params/W1": "away"}),
        lambda states: states["best"].update({"params/W1": ["W1"]}),
        lambda states: states["best"].update({"params/W1": "params/b1"}),
        lambda states: states["best"].update({"params/W9": "params/b1"}),
        lambda states: states["best"].pop("params/b1"),
        lambda states: states["best"].update({"bn_params/0/running_mean": "params/W1"}),
    ],
)
def test_tampered_names_of_entries(tmp_path, change):
    import json

    runs.solver(checkpoint_name=tmp_path / "run", max_steps=2).train()

    def rename(state, arrays):
        found = json.loads(arrays["fastfc_network"].tobytes())
        change(found["states"])
        arrays["fastfc_network"] = np.frombuffer(json.dumps(found).encode(), np.uint8)

    path = tampered(tmp_path / "run_step_2.npz", tmp_path / "evil.npz", rename)
    with pytest.raises(ValueError, match=r"evil\.npz: "):
        fc_net.FullyConnectedNet.load(path)
