"""The Solver, mostly over a stranger's model: a few lines with params and loss."""

import numpy as np
import pytest

from fastfc import optim
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference import fc_net as reference
from fastfc.reference import optim as reference_optim
from fastfc.solver import Solver
from tests.support.stranger import Stranger, indices


def blobs(seed=0, n=60, classes=3):
    """Return images of classes that can be told apart."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % classes
    X = rng.randn(n, 2, 4) + 3 * rng.randn(classes, 2, 4)[y]
    return {
        "X_train": X[: n // 2],
        "y_train": y[: n // 2],
        "X_val": X[n // 2 :],
        "y_val": y[n // 2 :],
    }


# --- draws and printed lines ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_train", "batch_size", "num_train_samples", "num_val_samples"),
    [
        (25, 10, 1000, None),
        (25, 10, 7, 4),
        (25, 10, 25, 10),
        (5, 10, None, 3),
        (240, 100, 150, None),
    ],
)
def test_draws_from_np_random(n_train, batch_size, num_train_samples, num_val_samples):
    """What the model sees, and in what order, told once more."""
    data = indices(n_train)
    expected = []

    def score(first, n, samples):
        chosen = np.arange(n)
        if samples is not None and n > samples:
            chosen = np.random.choice(n, samples)
        expected.extend((first + chosen[i : i + 100]).tolist() for i in range(0, len(chosen), 100))

    def score_both():
        score(0, n_train, num_train_samples)
        score(1000, 10, num_val_samples)

    np.random.seed(17)
    for step in range(3 * max(n_train // batch_size, 1)):
        expected.append(np.random.choice(n_train, batch_size).tolist())
        if step == 0 or (step + 1) % max(n_train // batch_size, 1) == 0:
            score_both()
    after = np.random.rand()

    np.random.seed(17)
    model = Stranger()
    solver = Solver(
        model,
        data,
        num_epochs=3,
        batch_size=batch_size,
        num_train_samples=num_train_samples,
        num_val_samples=num_val_samples,
        verbose=False,
    )
    solver.train()
    assert model.seen == expected
    assert after == np.random.rand()


def test_printed_lines(capsys):
    solver = Solver(Stranger([1, 2, 5]), indices(), num_epochs=2, batch_size=10, print_every=3)
    solver.train()
    assert capsys.readouterr().out.splitlines() == [
        "(Iteration 1 / 4) loss: 1.500000",
        "(Epoch 0 / 2) train acc: 1.000000; val_acc: 0.100000",
        "(Epoch 1 / 2) train acc: 1.000000; val_acc: 0.200000",
        "(Iteration 4 / 4) loss: 8.500000",
        "(Epoch 2 / 2) train acc: 1.000000; val_acc: 0.500000",
    ]
    Solver(Stranger(), indices(), num_epochs=2, verbose=False).train()
    assert capsys.readouterr().out == ""


def test_one_step_per_epoch_is_scored_once(capsys):
    solver = Solver(Stranger([3]), indices(), num_epochs=2)
    solver.train()
    assert capsys.readouterr().out.splitlines() == [
        "(Iteration 1 / 2) loss: 1.500000",
        "(Epoch 1 / 2) train acc: 1.000000; val_acc: 0.300000",
        "(Epoch 2 / 2) train acc: 1.000000; val_acc: 0.300000",
    ]
    assert len(solver.loss_history) == 2


def test_defaults():
    solver = Solver(
        Stranger(),
        indices(),
    )
    assert (solver.batch_size, solver.num_epochs, solver.print_every) == (100, 10, 10)
    assert (solver.num_train_samples, solver.num_val_samples) == (1000, None)
    assert (solver.lr_decay, solver.verbose, solver.checkpoint_name) == (1, True, None)
    assert solver.update_rule == optim.sgd
    assert (solver.epoch, solver.best_val_acc, solver.best_params) == (0, 0, {})
    assert solver.loss_history == solver.train_acc_history == solver.val_acc_history == []


# --- updates ----------------------------------------------------------------------------------


def test_each_parameter_has_its_own_config():
    config = {"learning_rate": 0.25}
    model = Stranger()
    solver = Solver(model, indices(), update_rule="adam", optim_config=config, verbose=False)
    assert solver.optim_configs == {"w": config, "b": config}
    assert solver.optim_configs["w"] is not solver.optim_configs["b"]
    solver._step()
    assert config == {"learning_rate": 0.25}
    assert solver.optim_configs["w"]["t"] == 1
    assert solver.optim_configs["w"]["v"].shape == (3,)
    np.testing.assert_allclose(model.params["w"], -0.25)
    np.testing.assert_allclose(model.params["b"], 0.75)
    solver._reset()
    assert solver.optim_configs == {"w": config, "b": config}
    assert solver.loss_history == []


def test_lr_decay_at_the_end_of_each_epoch():
    """Without a learning rate of the user's own, the rule's default decays."""
    model = Stranger()
    solver = Solver(model, indices(), num_epochs=2, batch_size=10, lr_decay=0.5, verbose=False)
    solver.train()
    assert solver.epoch == 2
    assert {c["learning_rate"] for c in solver.optim_configs.values()} == {1e-2 / 4}
    solver = Solver(Stranger(), indices(), optim_config={"learning_rate": 8.0}, lr_decay=0.5)
    rates = []
    step = solver._step

    def noting():
        rates.append(solver.optim_configs["w"]["learning_rate"])
        step()

    solver._step, solver.num_epochs, solver.batch_size, solver.verbose = noting, 3, 10, False
    solver.train()
    assert rates == [8, 8, 4, 4, 2, 2]


@pytest.mark.parametrize("package", [optim, reference_optim])
@pytest.mark.parametrize("config", [{}, {"weight_decay": 0.5}])
def test_adamw_decays_matrices_only(package, config):
    """By name, as fastfc's function and as the reference's."""
    model = FullyConnectedNet([4], 8, 3, use_batchnorm=True)
    rule = "adamw" if package is optim else package.adamw
    solver = Solver(model, blobs(), update_rule=rule, optim_config=config, batch_size=5)
    assert config.get("weight_decay") in (None, 0.5)  # the user's own stays as it is
    for _ in range(3):
        solver._step()
    decays = {name: c["weight_decay"] for name, c in solver.optim_configs.items()}
    matrices = config.get("weight_decay", 0.01)
    vectors = dict.fromkeys(["b1", "b2", "gamma1", "beta1"], 0)
    assert decays == {"W1": matrices, "W2": matrices, **vectors}
    solver.optim_configs["b1"]["weight_decay"] = 0.1
    solver._step()
    assert solver.optim_configs["b1"]["weight_decay"] == 0.1


def test_callable_update_rule():
    """A rule of the user's own needs no learning rate in its config."""

    def rule(w, dw, config):
        return w - dw, {"steps": config.get("steps", 0) + 1}

    model = Stranger()
    solver = Solver(model, indices(), update_rule=rule, num_epochs=3, lr_decay=0.5, verbose=False)
    solver.train()
    assert solver.optim_configs["w"] == {"steps": 3}


def test_step_may_be_overridden():
    class Clipped(Solver):
        def _step(self):
            super()._step()
            self.model.params["w"] = np.maximum(self.model.params["w"], -0.015)

    model = Stranger()
    Clipped(model, indices(), num_epochs=4, verbose=False).train()
    np.testing.assert_array_equal(model.params["w"], -0.01)  # the best: that of the first step
    model = Stranger([1, 2, 3, 4])
    Clipped(model, indices(), num_epochs=4, verbose=False).train()
    np.testing.assert_array_equal(model.params["w"], -0.015)


# --- accuracy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 10, 100])
def test_check_accuracy(batch_size):
    model = Stranger([4])
    data = indices()
    solver = Solver(model, data)
    accuracy = solver.check_accuracy(data["X_val"], data["y_val"], batch_size=batch_size)
    assert accuracy == 0.4
    assert model.seen == [
        list(range(1000 + i, 1000 + min(i + batch_size, 10))) for i in range(0, 10, batch_size)
    ]


# --- the best parameters ----------------------------------------------------------------------


def test_best_parameters_are_kept_and_put_back():
    model = Stranger([1, 6, 2, 6])
    solver = Solver(model, indices(), num_epochs=4, verbose=False)
    solver.train()
    assert solver.val_acc_history == [0.1, 0.6, 0.2, 0.6]
    assert solver.best_val_acc == 0.6
    assert model.params is solver.best_params
    np.testing.assert_allclose(model.params["w"], -0.02)  # of the second step, not the fourth


def test_a_model_that_is_never_right_keeps_its_first_parameters():
    model = Stranger([0])
    solver = Solver(model, indices(), num_epochs=3, verbose=False)
    solver.train()
    assert solver.best_val_acc == 0
    np.testing.assert_allclose(model.params["w"], -0.01)


def test_training_on_does_not_touch_the_best():
    """sgd works in place, and the model holds the best parameters themselves."""
    model = Stranger([5, 1])
    solver = Solver(model, indices(), num_epochs=1, verbose=False)
    solver.train()
    best = solver.best_params
    solver.train()
    np.testing.assert_allclose(best["w"], -0.01)
    assert model.params is best
    assert solver.epoch == 2
    assert len(solver.loss_history) == 2


def test_no_epochs_change_nothing():
    model = Stranger()
    before = model.params
    Solver(model, indices(), num_epochs=0).train()
    assert model.params is before


@pytest.mark.parametrize("package", [reference.FullyConnectedNet, FullyConnectedNet])
def test_best_statistics_of_batchnorm_travel_with_the_parameters(package):
    """The scores after training are those that reached the best accuracy."""
    np.random.seed(6)
    data = blobs(seed=3)
    model = package([12, 7], 8, 3, use_batchnorm=True, weight_scale=0.3, dtype=np.float64)
    wrong = data["y_val"].copy()
    solver = Solver(
        model,
        data,
        optim_config={"learning_rate": 0.3},
        batch_size=5,
        num_epochs=6,
        verbose=False,
    )
    # From the third epoch on every prediction is called wrong, so the best one is earlier.
    check, scores = solver.check_accuracy, []

    def checking(X, y, num_samples=None, batch_size=100):
        if X is data["X_val"]:
            scores.append(model.loss(X))
            if len(scores) > 3:
                y = wrong - 5
        return check(X, y, num_samples, batch_size)

    solver.check_accuracy = checking
    solver.train()
    best = int(np.argmax(solver.val_acc_history))
    assert best < 3 < len(scores)
    np.testing.assert_array_equal(model.loss(data["X_val"]), scores[best])
    assert not np.array_equal(scores[best], scores[-1])
    for bn_param, kept in zip(model.bn_params, solver.best_bn_params, strict=True):
        assert set(kept) == {"running_mean", "running_var"}
        assert not np.shares_memory(bn_param["running_mean"], kept["running_mean"])
        np.testing.assert_array_equal(bn_param["running_mean"], kept["running_mean"])


def test_learns():
    np.random.seed(0)
    model = FullyConnectedNet([20], 8, 3, weight_scale=0.1, use_batchnorm=True, dropout=0.8)
    solver = Solver(
        model,
        blobs(),
        update_rule="adam",
        optim_config={"learning_rate": 1e-2},
        batch_size=10,
        num_epochs=30,
        verbose=False,
    )
    solver.train()
    assert solver.best_val_acc > 0.9
    assert solver.loss_history[-1] < solver.loss_history[0] / 4
    assert {v.dtype for v in model.params.values()} == {np.dtype(np.float32)}


# --- interruptions ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interruption_keeps_what_was_reached(error):
    model = Stranger([4, 2])
    solver = Solver(model, indices(), num_epochs=9, verbose=False)
    step = solver._step

    def failing():
        if len(solver.loss_history) == 3:
            raise error
        step()

    solver._step = failing
    with pytest.raises(error):
        solver.train()
    assert len(solver.loss_history) == 3
    assert solver.val_acc_history == [0.4, 0.2, 0.2]
    np.testing.assert_allclose(solver.best_params["w"], -0.01)
    np.testing.assert_allclose(model.params["w"], -0.03)
    solver._step = step
    solver.train()
    assert len(solver.loss_history) == 12


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": 1}, 'Unrecognized arguments "x"'),
        ({"x": 1, "learning_rate": 2}, 'Unrecognized arguments "x", "learning_rate"'),
        ({"update_rule": "sgdm"}, 'Invalid update_rule "sgdm"'),
        ({"update_rule": "UpdateRules"}, 'Invalid update_rule "UpdateRules"'),
        ({"batch_size": 0}, "batch_size is 0, expected an integer of at least 1"),
        ({"batch_size": 10.5}, "batch_size is 10.5"),
        ({"num_epochs": -1}, "num_epochs is -1"),
        ({"print_every": 0}, "print_every is 0"),
        ({"num_train_samples": 0}, "num_train_samples is 0"),
        ({"num_val_samples": "all"}, "num_val_samples is 'all'"),
    ],
)
def test_errors_of_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Solver(Stranger(), indices(), **arguments)


@pytest.mark.parametrize("key", ["X_train", "y_train", "X_val", "y_val"])
def test_missing_data(key):
    data = indices()
    del data[key]
    with pytest.raises(ValueError, match=f'data has no "{key}", expected X_train, y_train, X_val'):
        Solver(Stranger(), data)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y_train": np.zeros(24, int)}, ValueError, r"y_train has shape \(24,\), expected \(25,"),
        ({"y_val": np.zeros((10, 1), int)}, ValueError, r"y_val has shape \(10, 1\), expected"),
        ({"X_val": np.ones((0, 1)), "y_val": []}, ValueError, "y_val has shape .* at least one"),
        ({"X_train": [[1], [2]]}, TypeError, "X_train is a list, expected an array"),
    ],
)
def test_data_that_do_not_fit(change, error, message):
    with pytest.raises(error, match=message):
        Solver(Stranger(), {**indices(), **change})
