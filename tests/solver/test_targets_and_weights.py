"""A Solver of networks with losses of targets, and with weights of examples."""

import numpy as np
import pytest

from fastfc import fc_net, losses
from fastfc.reference import fc_net as reference
from fastfc.solver import Solver
from fastfc.training.steps import MOST_STEPS
from tests.support.losses import LOSSES, labels_or_targets, weights
from tests.support.same import assert_same

NETS = pytest.mark.parametrize("nets", [fc_net, reference], ids=["fast", "reference"])
TARGETS = [loss for loss in LOSSES if loss["loss"] != "softmax"]
COUNT, D, SCORES = 80, 6, 2


def data_of(loss, scores=SCORES, weighted=False):
    X = np.random.RandomState(1).randn(COUNT, D)
    y = labels_or_targets(loss, COUNT, scores)
    data = {"X_train": X, "y_train": y, "X_val": X[:30], "y_val": y[:30]}
    if weighted:
        data |= {"w_train": weights(COUNT), "w_val": weights(COUNT)[:30]}
    return data


def solver(loss, nets=fc_net, make=Solver, weighted=False, changes=None, scores=SCORES, **options):
    np.random.seed(0)
    model = nets.FullyConnectedNet([8], D, scores, weight_scale="glorot", dtype=np.float64, **loss)
    options = {
        "update_rule": "adam",
        "batch_size": 16,
        "num_epochs": 3,
        "verbose": False,
        **options,
    }
    return make(model, {**data_of(loss["loss"], scores, weighted), **(changes or {})}, **options)


class Singly(Solver):
    """Has a step of its own, which must be called for each."""

    def _step(self):
        super()._step()


class Composed(Solver):
    """Whose steps are composed of the network's loss and the rule."""

    def _fused_step(self, batch_mask):
        return None


def left(made):
    made.train()
    histories = [made.loss_history, made.train_acc_history, made.val_acc_history]
    return [*histories, made.model.params, made.best_params, np.random.get_state()[1:3]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_many_steps_single_steps_and_composed_ones(loss, weighted):
    taken = []

    class Counting(Solver):
        def _many_steps(self, most, seconds):
            taken.append(super()._many_steps(most, seconds))
            return taken[-1]

    expected = left(solver(loss, make=Singly, weighted=weighted))
    assert_same(left(solver(loss, make=Counting, weighted=weighted)), expected)
    assert 1 < max(taken) <= MOST_STEPS
    assert_same(left(solver(loss, make=Composed, weighted=weighted)), expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_runs_over_the_reference(loss, weighted):
    fast = solver(loss, fc_net, weighted=weighted)
    fast.train()
    plain = solver(loss, reference, weighted=weighted)
    plain.train()
    np.testing.assert_allclose(fast.loss_history, plain.loss_history, rtol=1e-9)
    np.testing.assert_allclose(fast.val_acc_history, plain.val_acc_history, rtol=1e-9)


@NETS
@pytest.mark.parametrize("loss", ["squared_error", "huber", "poisson", "logistic"])
def test_learns(nets, loss):
    rng = np.random.RandomState(0)
    X = rng.randn(400, D)
    y = np.abs(X[:, :1]) + 0.1
    y = y > 0.8 if loss == "logistic" else y
    changes = {"X_train": X[:300], "y_train": y[:300], "X_val": X[300:], "y_val": y[300:]}
    made = solver(
        {"loss": loss},
        nets,
        changes=changes,
        scores=1,
        num_epochs=60,
        optim_config={"learning_rate": 0.01},
    )
    made.train()
    assert made.best_val_acc > 0.85
    best = made.check_accuracy(X[300:], y[300:])
    assert best == pytest.approx(made.best_val_acc)


def test_r_squared():
    """Of the squared error and one score."""
    made = solver({"loss": "squared_error"}, scores=1)
    X, y = made.X_val, made.y_val[:, 0]
    for w in (np.ones(30), weights(COUNT)[:30]):
        predicted = made.model.predict(X)
        mean = np.average(y, weights=w)
        expected = 1 - (w * (y - predicted) ** 2).sum() / (w * (y - mean) ** 2).sum()
        assert made.check_accuracy(X, y, sample_weight=w) == pytest.approx(expected)
    assert made.check_accuracy(X, y) == pytest.approx(made.check_accuracy(X, y, batch_size=7))


@pytest.mark.parametrize("loss", [loss for loss in TARGETS if loss["loss"] != "logistic"], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_best_constant_explains_nothing_and_targets_all(loss, weighted):
    network = solver(loss).model
    y = labels_or_targets(loss["loss"], COUNT, SCORES) + 0.25
    w = weights(COUNT) if weighted else None
    function = getattr(losses, f"{loss['loss']}_loss")
    more = [value for name, value in loss.items() if name != "loss"]
    right = np.log(y) if loss["loss"] == "poisson" else y
    assert network.__fastfc_score__(right, y, w) == pytest.approx(1)
    grid = np.linspace(right.min(), right.max(), 201)
    constants = np.array(
        [
            grid[np.argmin([function(np.full((COUNT, 1), c), column, *more, w)[0] for c in grid])]
            for column in y.T
        ]
    )
    best = network.__fastfc_score__(np.broadcast_to(constants, y.shape), y, w)
    assert -0.02 < best < (0.1 if loss["loss"] == "huber" else 1e-3)
    constant = np.full_like(y, 2.5)
    scores = np.log(constant) if loss["loss"] == "poisson" else constant
    assert network.__fastfc_score__(scores + 1, constant, w) == 0


def test_accuracy_of_several_labels():
    """Right is an example whose labels are all right."""
    made = solver({"loss": "logistic"})
    scores = made.model.loss(made.X_val)
    y = (scores > 0).astype(float)
    assert made.check_accuracy(made.X_val, y) == 1
    y[3, 0], y[7], y[9, 1] = 1 - y[3, 0], 1 - y[7], 1 - y[9, 1]
    assert made.check_accuracy(made.X_val, y) == 0.9
    w = np.ones(30)
    w[[3, 7]] = 0
    assert made.check_accuracy(made.X_val, y, sample_weight=w) == pytest.approx(27 / 28)


def test_weighted_accuracy_of_classes():
    made = solver({"loss": "softmax"}, weighted=True)
    right = made.model.predict(made.X_val) == made.y_val
    w = made.w_val
    assert made.check_accuracy(made.X_val, made.y_val) == right.mean()
    got = made.check_accuracy(made.X_val, made.y_val, sample_weight=w)
    assert got == pytest.approx((w * right).sum() / w.sum())
    made.train()
    assert (
        made.val_acc_history[-1] == made.check_accuracy(made.X_val, made.y_val, sample_weight=w)
        or made.best_val_acc > made.val_acc_history[-1]
    )


def test_printed_words(capsys):
    solver({"loss": "huber"}, verbose=True, num_epochs=1).train()
    assert "train score: " in (out := capsys.readouterr().out)
    assert "val_score: " in out
    for loss in ("softmax", "logistic"):
        solver({"loss": loss}, verbose=True, num_epochs=1).train()
        assert "train acc: " in (out := capsys.readouterr().out)
        assert "val_acc: " in out


def test_targets_are_checked():
    for loss, changes, error, message in (
        ("huber", {"y_train": np.ones(COUNT)}, ValueError, r"y_train has shape \(80,\), expected"),
        ("huber", {"y_val": np.ones((29, 2))}, ValueError, r"y_val has shape \(29, 2\), expected"),
        ("huber", {"y_val": np.ones((30, 2)) * 1j}, TypeError, "y_val has dtype complex128, expec"),
        ("huber", {"y_val": [["a", "b"]] * 30}, TypeError, "y_val has dtype <U1, expected real"),
        (
            "squared_error",
            {"y_train": np.full((COUNT, 2), np.nan)},
            ValueError,
            r"y_train\[0, 0\] is nan, expected real numbers for the loss 'squared_error'",
        ),
        (
            "poisson",
            {"y_val": np.full((30, 2), -1)},
            ValueError,
            r"y_val\[0, 0\] is -1, expected finite numbers of at least 0 for the loss 'poisson'",
        ),
        (
            "logistic",
            {"y_train": np.full((COUNT, 2), 2)},
            ValueError,
            r"y_train\[0, 0\] is 2, expected numbers from 0 to 1 for the loss 'logistic'",
        ),
    ):
        with pytest.raises(error, match=f"^{message}"):
            solver({"loss": loss}, changes=changes)
    made = solver({"loss": "huber"}, changes={"y_train": np.ones((COUNT, 2), int)})
    assert made.y_train.dtype == np.float64
    with pytest.raises(ValueError, match=r"^y has shape \(30,\), expected \(30, 2\)"):
        made.check_accuracy(made.X_val, np.ones(30))


@pytest.mark.parametrize("name", ["w_train", "w_val"])
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(7), ValueError, r"has shape \(7,\), expected \(\d+,\) to match the \d+ examples"),
        (-1, ValueError, r"\[0\] is -1.0, expected finite numbers of at least 0"),
        (np.inf, ValueError, r"\[0\] is inf, expected finite numbers of at least 0"),
        (0, ValueError, r"has the sum 0.0, expected a finite sum above 0"),
        ("a", TypeError, "has dtype <U1, expected real numbers"),
    ],
)
def test_weights_are_checked(name, weights, error, message):
    count = COUNT if name == "w_train" else 30
    given = weights if np.ndim(weights) else np.full(count, weights)
    with pytest.raises(error, match=f"^{name} ?{message}"):
        solver({"loss": "softmax"}, changes={name: given})


def test_weights_of_none_are_none():
    made = solver({"loss": "softmax"}, changes={"w_train": None})
    assert made.w_train is made.w_val is None


def test_models_of_ones_own_get_weights():
    class Model:
        def __init__(self):
            self.params, self.seen = {"w": np.zeros((D, 2))}, []

        def loss(self, X, y=None, sample_weight=None):
            scores = X @ self.params["w"]
            if y is None:
                return scores
            self.seen.append(sample_weight)
            loss, dscores = losses.softmax_loss(scores, y, sample_weight=sample_weight)
            return loss, {"w": X.T @ dscores}

    model = Model()
    options = {"batch_size": 5, "num_epochs": 1, "verbose": False}
    Solver(model, data_of("softmax", weighted=True), **options).train()
    assert all(w.shape == (5,) for w in model.seen)
    assert set(np.concatenate(model.seen)) <= set(weights(COUNT))


@pytest.mark.parametrize("loss", [{"loss": "huber"}, {"loss": "softmax"}], ids=str)
def test_resumed_is_uninterrupted(loss, tmp_path):
    whole = solver(loss, weighted=True, num_epochs=4)
    expected = left(whole)
    part = solver(
        loss, weighted=True, num_epochs=4, max_steps=7, checkpoint_name=str(tmp_path / "run")
    )
    part.train()
    model = fc_net.FullyConnectedNet.load(part.checkpoint_path, which="latest")
    data = data_of(loss["loss"], weighted=True)
    again = Solver.resume(part.checkpoint_path, model, data, max_steps=None)
    assert_same(left(again)[:1], expected[:1])
    assert_same(again.model.params, whole.model.params)
