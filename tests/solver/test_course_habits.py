"""What models and Solvers in the courses' manner do, and ours must leave alone or live with."""

import collections
import copy

import numpy as np
import pytest

from fastfc import fc_net, optim
from fastfc.solver import Solver
from tests.support import runs
from tests.support.stranger import Stranger, indices
from tests.support.strangers import StrangeModel, clusters


def trained(model, data=None, **settings):
    settings = {"num_epochs": 2, "batch_size": 25, "verbose": False, **settings}
    np.random.seed(1)
    solver = Solver(model, data or clusters(), **settings)
    solver.train()
    return solver


def stranger(**attributes):
    np.random.seed(4)
    model = StrangeModel(6, 4)
    vars(model).update(attributes)
    return model


# --- attributes of the model that are its own business ----------------------------------------


@pytest.mark.parametrize(
    "bn_params",
    [
        {"mode": "train", "running_mean": np.zeros(3)},
        {"bn1": {"running_mean": np.zeros(3)}},
        [np.zeros(3), np.ones(3)],
        [("mode", "train")],
        [None],
        None,
        0.9,
        "batchnorm",
        np.zeros(4),
        np.zeros((2, 2)),
        [{1: 2, "running_mean": None, "running_kind": "exponential", "running_var": np.ones(2)}],
        ({"running_mean": np.zeros(2)},),
        [],
    ],
    ids=repr,
)
def test_bn_params_of_any_kind_are_left_alone(bn_params, tmp_path):
    model = stranger(bn_params=copy.deepcopy(bn_params))
    solver = trained(model, checkpoint_name=tmp_path / "run", clip_norm=1.0, update_rule="adam")
    assert repr(model.bn_params) == repr(bn_params)
    assert (
        solver.loss_history == trained(stranger(), clip_norm=1.0, update_rule="adam").loss_history
    )
    again = stranger(bn_params=copy.deepcopy(bn_params))
    Solver.resume(tmp_path / "run_epoch_1.npz", again, clusters()).train()
    assert repr(again.bn_params) == repr(bn_params)


def test_bn_params_may_come_with_the_first_pass():
    class Late(StrangeModel):
        def loss(self, X, y=None):
            self.bn_params = getattr(self, "bn_params", []) or [{"running_mean": np.zeros(3)}]
            return super().loss(X, y)

    np.random.seed(4)
    assert trained(Late(6, 4)).loss_history == trained(stranger()).loss_history


class OwnStep(StrangeModel):
    """Has methods that are called as ours are, with parameters of their own."""

    def train_step(self, batch, lr):
        raise AssertionError("nobody asked for this")

    def step(self):
        raise AssertionError("nobody asked for this")


def test_a_train_step_of_the_models_own_is_not_called():
    np.random.seed(4)
    assert trained(OwnStep(6, 4)).loss_history == trained(stranger()).loss_history


def test_a_train_step_of_a_subclass_of_our_network_is_not_called():
    class Mine(fc_net.FullyConnectedNet):
        def train_step(self, batch):
            raise AssertionError("nobody asked for this")

    losses = []
    for network in (Mine, fc_net.FullyConnectedNet):
        np.random.seed(4)
        model = network([5], 12, 3)
        losses.append(trained(model, runs.data(), update_rule="adam").loss_history)
    assert losses[0] == losses[1]


def test_a_rule_of_the_users_own_called_adamw_is_left_alone():
    def adamw(w, dw, config):
        assert config.setdefault("weight_decay", 0.5) == 0.5
        return w - 0.01 * dw, config

    solver = trained(stranger(), update_rule=adamw)
    assert {config["weight_decay"] for config in solver.optim_configs.values()} == {0.5}


# --- losses -----------------------------------------------------------------------------------


class Tensor:
    """What another library's number of one element looks like, which holds on to a graph."""

    def __init__(self, value, size=1):
        self.value, self.shape = value, (size,)

    def item(self):
        if self.shape != (1,):
            raise RuntimeError("only one element tensors can be converted")
        return self.value


@pytest.mark.parametrize(
    ("wrap", "kind"),
    [
        (np.array, np.float64),
        (lambda loss: np.array([loss]), np.float64),
        (lambda loss: np.array([[loss]], np.float32), np.float32),
        (float, float),
        (Tensor, np.float64),
        (lambda loss: 3, int),
    ],
)
def test_losses_of_one_element_are_numbers(wrap, kind, capsys, tmp_path):
    model = stranger()
    original = model.loss

    def loss(X, y=None):
        if y is None:
            return original(X)
        value, grads = original(X, y)
        return wrap(value), grads

    model.loss = loss
    solver = trained(model, verbose=True, print_every=1, checkpoint_name=tmp_path / "run")
    assert {type(value) for value in solver.loss_history} == {kind}
    assert capsys.readouterr().out.count("(Iteration") == len(solver.loss_history) == 12
    assert solver.history["loss"].shape == (12,)
    if kind is not int:
        expected = trained(stranger()).loss_history
        np.testing.assert_allclose(solver.loss_history, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "loss", [np.zeros(3), np.zeros((0,)), None, "0.5", 1j, np.array([1j]), Tensor(1.0, 2), [0.5]]
)
def test_losses_that_are_no_numbers(loss):
    model = stranger(loss=lambda X, y=None: (loss, {}))
    with pytest.raises(TypeError, match=r"model.loss returned a .* as loss, expected a real numb"):
        trained(model)


# --- subclasses and loops of the courses ------------------------------------------------------


class Pickler(Solver):
    """Saves as the courses' Solvers do: without arguments, whenever its train loop says so."""

    def _save_checkpoint(self):
        self.saved = [*getattr(self, "saved", []), (self.epoch, len(self.loss_history))]


@pytest.mark.parametrize("name", [None, "run"])
def test_save_checkpoint_may_be_overridden(tmp_path, name):
    settings = {"checkpoint_name": tmp_path / name} if name else {}
    solver = Pickler(Stranger(), indices(), num_epochs=3, batch_size=10, verbose=False, **settings)
    solver.train()
    assert solver.saved == [(1, 2), (2, 4), (3, 6)]
    assert list(tmp_path.iterdir()) == []


class Reset(Solver):
    """Its bookkeeping is set up as in the courses, which know nothing else."""

    def _reset(self):
        self.epoch = 0
        self.best_val_acc = 0
        self.best_params = {}
        self.loss_history = []
        self.train_acc_history = []
        self.val_acc_history = []
        self.optim_configs = {}
        for name in self.model.params:
            self.optim_configs[name] = dict(self.optim_config.items())


@pytest.mark.parametrize("schedule", [None, "cosine"])
def test_reset_may_be_overridden(schedule):
    left = []
    for kind in (Reset, Solver):
        np.random.seed(11)
        settings = {"lr_schedule": schedule, "num_epochs": 3, "batch_size": 21, "verbose": False}
        config = {"learning_rate": 0.01}
        solver = kind(
            runs.network(), runs.data(), update_rule="adam", optim_config=config, **settings
        )
        solver.train()
        left.append((solver.loss_history, solver.val_acc_history, solver.stop_reason))
    assert left[0] == left[1]


class Looped(Solver):
    """Its training loop is written as the courses' are."""

    def train(self):
        per_epoch = max(self.X_train.shape[0] // self.batch_size, 1)
        steps = self.num_epochs * per_epoch
        for t in range(steps):
            self._step()
            if self.verbose and t % self.print_every == 0:
                print(f"(Iteration {t + 1} / {steps}) loss: {self.loss_history[-1]:f}")
            epoch_end = (t + 1) % per_epoch == 0
            if epoch_end:
                self.epoch += 1
                for config in self.optim_configs.values():
                    config["learning_rate"] *= self.lr_decay
            if epoch_end or t in (0, steps - 1):
                examples = self.num_train_samples
                train = self.check_accuracy(self.X_train, self.y_train, num_samples=examples)
                val = self.check_accuracy(self.X_val, self.y_val, num_samples=self.num_val_samples)
                self.train_acc_history.append(train)
                self.val_acc_history.append(val)
                self._save_checkpoint()
                if val > self.best_val_acc:
                    self.best_val_acc = val
                    self.best_params = {k: v.copy() for k, v in self.model.params.items()}
        self.model.params = self.best_params


@pytest.mark.parametrize("rule", optim.__all__)
def test_copied_loops_train_as_ours(tmp_path, rule):
    left = []
    for kind in (Looped, Solver):
        np.random.seed(11)
        model = fc_net.FullyConnectedNet([9], 12, 3, weight_scale=0.1, use_batchnorm=True)
        name = tmp_path / kind.__name__
        settings = {"update_rule": rule, "lr_decay": 0.9, "num_epochs": 3, "batch_size": 21}
        solver = kind(model, runs.data(), checkpoint_name=name, verbose=False, **settings)
        solver.train()
        left.append((solver.loss_history, solver.val_acc_history, solver.best_val_acc))
    assert left[0] == left[1]
    names = {path.name for path in tmp_path.iterdir()}
    ours = {f"Solver_epoch_{k}.npz" for k in (1, 2, 3)}
    theirs = {f"Looped_epoch_{k}.npz" for k in (1, 2, 3)} | {"Looped_step_1.npz"}
    assert names == ours | theirs


def test_checkpoints_of_copied_loops_are_resumed(tmp_path):
    solver = runs_looped(tmp_path)
    solver.train()
    again = Solver.resume(tmp_path / "run_epoch_2.npz", runs.network(), runs.data())
    again.train()
    assert again.loss_history == solver.loss_history
    assert again.val_acc_history == solver.val_acc_history


def runs_looped(folder):
    np.random.seed(11)
    settings = {"update_rule": "adam", "num_epochs": 3, "batch_size": 21}
    name = folder / "run"
    return Looped(runs.network(), runs.data(), checkpoint_name=name, verbose=False, **settings)


@pytest.mark.parametrize("print_every", [0, None, -1, "never"])
def test_nobody_asks_for_print_every_without_verbose(print_every, capsys):
    solver = trained(stranger(), print_every=print_every, num_epochs=1)
    assert capsys.readouterr().out == ""
    assert len(solver.loss_history) == 6


@pytest.mark.parametrize("print_every", [0, None, -1, "never", float("nan")])
def test_print_every_that_cannot_be_counted(print_every):
    message = f"print_every is {print_every!r}, expected a number above 0"
    with pytest.raises(ValueError, match=message):
        Solver(Stranger(), indices(), print_every=print_every)


def test_verbose_may_be_switched_on_later(capsys):
    solver = Solver(Stranger(), indices(), print_every=None, num_epochs=1, verbose=False)
    solver.verbose = True
    solver.train()
    assert capsys.readouterr().out.startswith("(Epoch 1 / 1) train acc: ")


def test_adam_counts_from_either_start():
    """A config without t starts at 0, some copies of the course at 1: both may be given."""
    counts = collections.Counter()
    for t in (None, 0, 1):
        config = {} if t is None else {"t": t}
        solver = trained(stranger(), update_rule="adam", optim_config=config, num_epochs=1)
        counts[solver.optim_configs["weights"]["t"]] += 1
    assert counts == {6: 2, 7: 1}
