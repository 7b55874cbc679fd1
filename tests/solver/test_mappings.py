"""Mappings of any kind as params, as configs, and as what layers are called with."""

import collections

import numpy as np
import pytest

from fastfc import fc_net, layers, optim, reference
from fastfc.solver import Solver
from tests.solver.test_copies import Unhashable
from tests.support import runs
from tests.support.same import assert_same
from tests.support.strangers import StrangeModel, clusters


class Plain(collections.abc.MutableMapping):
    """The least that is a mutable mapping."""

    def __init__(self, items):
        self.items_ = dict(items)

    def __getitem__(self, key):
        return self.items_[key]

    def __setitem__(self, key, value):
        self.items_[key] = value

    def __delitem__(self, key):
        del self.items_[key]

    def __iter__(self):
        return iter(self.items_)

    def __len__(self):
        return len(self.items_)


class Subclass(dict):
    """A dict that is not one exactly."""


KINDS = {
    "dict": dict,
    "OrderedDict": collections.OrderedDict,
    "defaultdict": lambda items: collections.defaultdict(list, items),
    "UserDict": collections.UserDict,
    "subclass": Subclass,
    "plain": Plain,
}
PACKAGES = {
    "fast": (fc_net, optim, layers),
    "reference": (reference.fc_net, reference.optim, reference.layers),
}
OPTIONS = {
    "batchnorm": {"use_batchnorm": True, "dropout": 0.8},
    "layernorm": {"normalization": "layernorm", "dropout": 0.8, "rng": "philox"},
    "plain": {},
}


def trained(package, kind, where, options, rule="adam"):
    nets, rules, _ = PACKAGES[package]
    make = KINDS[kind]
    np.random.seed(3)
    model = nets.FullyConnectedNet([9, 7], 12, 3, weight_scale=0.1, **OPTIONS[options])
    config = {"learning_rate": 0.01}
    if where == "params":
        model.params = make(model.params)
    if where == "dropout_param":
        model.dropout_param = make(model.dropout_param)
    if where == "bn_params":
        model.bn_params = [make(bn_param) for bn_param in model.bn_params]
    if where == "optim_config":
        config = make(config)
    solver = Solver(
        model,
        runs.data(),
        update_rule=getattr(rules, rule),
        optim_config=config,
        lr_decay=0.9,
        batch_size=21,
        num_epochs=2,
        verbose=False,
    )
    if where == "optim_configs":
        solver.optim_configs = make({n: make(c) for n, c in solver.optim_configs.items()})
    solver.train()
    scores = model.loss(runs.data()["X_val"])
    configs = {name: dict(config) for name, config in solver.optim_configs.items()}
    return solver.loss_history, solver.val_acc_history, dict(model.params), configs, scores


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    "where", ["params", "dropout_param", "bn_params", "optim_config", "optim_configs"]
)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dict"])
@pytest.mark.parametrize("package", PACKAGES)
def test_training_with_any_mapping(package, kind, where, options):
    assert_same(trained(package, kind, where, options), trained(package, "dict", where, options))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("mode", ["train", "test"])
def test_layers_take_any_mapping(package, kind, mode):
    _, _, ops = PACKAGES[package]
    make = KINDS[kind]
    x, row = np.random.RandomState(0).randn(6, 4), np.ones(4)
    for name, param in (
        ("batchnorm", {"mode": mode, "running_mean": row, "running_var": row}),
        ("batchnorm", {"mode": mode}),
        ("layernorm", {"eps": 1e-3}),
        ("dropout", {"mode": mode, "p": 0.5, "seed": 3}),
        ("dropout", {"mode": mode, "p": 0.5, "seed": 3, "rng": "philox"}),
    ):
        arguments = (x,) if name == "dropout" else (x, row, row)
        results = []
        for given in (make(param), dict(param)):
            out, cache = getattr(ops, f"{name}_forward")(*arguments, given)
            grads = None
            if cache is not None:
                grads = getattr(ops, f"{name}_backward")(x, cache)
            results.append((out, grads, dict(given)))
        assert_same(results[0], results[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("package", PACKAGES)
def test_networks_of_any_mapping_are_saved(package, kind, tmp_path):
    nets, _, _ = PACKAGES[package]
    make = KINDS[kind]
    model = nets.FullyConnectedNet([9, 7], 12, 3, use_batchnorm=True, dropout=0.8)
    data = runs.data()
    model.loss(data["X_train"], data["y_train"])
    expected = model.loss(data["X_val"])
    model.params = make(model.params)
    model.dropout_param = make(model.dropout_param)
    model.bn_params = [make(bn_param) for bn_param in model.bn_params]
    model.save(tmp_path / "net.npz")
    again = nets.FullyConnectedNet.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.loss(data["X_val"]), expected)


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("package", PACKAGES)
def test_rules_take_any_mapping(package, kind, rule):
    _, rules, _ = PACKAGES[package]
    results = []
    for make in (KINDS[kind], dict):
        w, config = np.ones(3), make({"learning_rate": 0.5})
        given = config
        for _ in range(2):
            w, config = getattr(rules, rule)(w, np.arange(3.0), config)
        assert config is given
        results.append((w, dict(config)))
    assert_same(results[0], results[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_strangers_model_may_have_any_mapping(kind, tmp_path):
    results = []
    for make in (KINDS[kind], dict):
        np.random.seed(4)
        model = StrangeModel(6, 4)
        model.params = make(model.params)
        name = tmp_path / f"run{len(results)}"
        config = make({"learning_rate": 0.1})
        solver = Solver(model, clusters(), optim_config=config, checkpoint_name=name, verbose=False)
        solver.train()
        np.random.seed(5)
        again = StrangeModel(6, 4)
        again.params = make(again.params)
        resumed = Solver.resume(f"{name}_epoch_4.npz", again, clusters())
        resumed.train()
        assert resumed.loss_history == solver.loss_history
        results.append((solver.loss_history, dict(model.params), dict(again.params)))
    assert_same(results[0], results[1])


@pytest.mark.parametrize("package", PACKAGES)
def test_rules_need_no_hash(package, tmp_path):
    nets, _, _ = PACKAGES[package]
    np.random.seed(4)
    model = nets.FullyConnectedNet([5], 12, 3)
    settings = {"update_rule": Unhashable(), "checkpoint_name": tmp_path / "run", "num_epochs": 2}
    solver = Solver(model, runs.data(), verbose=False, **settings)
    solver.train()
    assert solver.stop_reason == "finished"
    path = tmp_path / "run_epoch_1.npz"
    again = Solver.resume(path, model, runs.data(), update_rule=Unhashable())
    again.train()
    assert again.loss_history == solver.loss_history
