"""The assignment's notebook, from its first cell to its last, on both packages."""

import os
import warnings

import numpy as np
import pytest

from fastfc import fc_net, optim
from fastfc.data_utils import get_CIFAR10_data
from fastfc.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array
from fastfc.reference import fc_net as reference
from fastfc.reference import optim as reference_optim
from fastfc.solver import Solver

BACKENDS = {"reference": (reference, reference_optim), "fast": (fc_net, optim)}


@pytest.fixture(params=BACKENDS)
def nets(request):
    return BACKENDS[request.param][0]


def rel_error(x, y):
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))


@pytest.mark.parametrize("p", [0.3, 0.6, 0.75])
def test_dropout_forward(nets, p):
    """The mean is kept and 1 - p of the units are zero, within five standard deviations."""
    np.random.seed(231)
    x = np.random.randn(500, 500) + 10
    out, _ = nets.dropout_forward(x, {"mode": "train", "p": p})
    out_test, _ = nets.dropout_forward(x, {"mode": "test", "p": p})
    deviation = np.sqrt(p * (1 - p) / x.size)
    assert abs((out == 0).mean() - (1 - p)) < 5 * deviation
    assert abs(out.mean() - x.mean()) < 5 * deviation / p * np.sqrt((x**2).mean())
    np.testing.assert_array_equal(out_test, x)


CHECKED = {
    # dropout: loss and largest gradient error that the notebook printed
    0: (2.3051948273987857, 1.51e-5),
    0.25: (2.3126468345657742, 3.57e-8),
    0.5: (2.302437587710995, 4.35e-7),
}


def test_gradient_checks(nets):
    """The cells in their order: each leaves the stream where the next one's figures begin."""
    x = np.random.randn(10, 10) + 10
    dout = np.random.randn(10, 10)
    dropout_param = {"mode": "train", "p": 0.8, "seed": 123}
    _, cache = nets.dropout_forward(x, dropout_param)
    dx = nets.dropout_backward(dout, cache)
    dx_num = eval_numerical_gradient_array(
        lambda x: nets.dropout_forward(x, dropout_param)[0], x, dout
    )
    assert rel_error(dx, dx_num) < 1e-9

    X = np.random.randn(2, 15)
    y = np.random.randint(10, size=2)
    for dropout, (expected, worst) in CHECKED.items():
        net = nets.FullyConnectedNet(
            [20, 30],
            input_dim=15,
            num_classes=10,
            weight_scale=5e-2,
            dtype=np.float64,
            dropout=dropout,
            seed=123,
        )
        loss, grads = net.loss(X, y)
        assert loss == pytest.approx(expected, rel=0, abs=1e-12)
        for name, value in net.params.items():
            numerical = eval_numerical_gradient(
                lambda _, net=net: net.loss(X, y)[0], value, verbose=False
            )
            # The printed errors are rounding of the loss in a difference over 2e-5: their order
            # is fixed by the gradients' size, their digits are not.
            assert rel_error(numerical, grads[name]) < 10 * worst, (dropout, name)


def synthetic_images():
    """Return images of CIFAR-10's shape and contrast: ten faint patterns under noise."""
    rng = np.random.RandomState(1)
    patterns = rng.randn(10, 3, 8, 8).repeat(4, axis=2).repeat(4, axis=3)
    y = rng.randint(10, size=700)
    X = 4 * patterns[y] + 60 * rng.randn(700, 3, 32, 32)
    return {"X_train": X[:500], "y_train": y[:500], "X_val": X[500:], "y_val": y[500:]}


@pytest.fixture(scope="module")
def cifar10():
    if not os.environ.get("FASTFC_DATA"):
        pytest.skip("CIFAR-10 is not here: FASTFC_DATA does not say where")
    try:
        with warnings.catch_warnings():  # a copy with other MD5 sums than the official one will do
            warnings.simplefilter("ignore", UserWarning)
            return get_CIFAR10_data()
    except FileNotFoundError as error:
        pytest.skip(f"CIFAR-10 is not here: {error}")


@pytest.fixture(params=["synthetic", "cifar10"])
def small_data(request):
    if request.param == "synthetic":
        return synthetic_images()
    data = request.getfixturevalue("cifar10")
    few = {name: data[name][:500] for name in ("X_train", "y_train")}
    return {**few, "X_val": data["X_val"], "y_val": data["y_val"]}


@pytest.mark.parametrize("dropout", [0, 0.6])
def test_dropout_as_a_regularizer(small_data, dropout):
    """The same seed under both packages gives the same 125 losses and the same accuracies."""
    solvers = {}
    for name, (nets, rules) in BACKENDS.items():
        np.random.seed(0)
        model = nets.FullyConnectedNet([100, 100, 100], dropout=dropout, dtype=np.float64)
        solvers[name] = Solver(
            model,
            small_data,
            num_epochs=25,
            batch_size=100,
            update_rule=rules.adam,
            optim_config={"learning_rate": 5e-4},
            verbose=False,
        )
        solvers[name].train()
    fast, slow = solvers["fast"], solvers["reference"]
    assert len(fast.loss_history) == 125
    np.testing.assert_allclose(fast.loss_history, slow.loss_history, rtol=0, atol=1e-8)
    assert fast.train_acc_history == slow.train_acc_history
    assert fast.val_acc_history == slow.val_acc_history
    assert fast.loss_history[-1] < fast.loss_history[0]
    assert fast.train_acc_history[-1] > 0.7


@pytest.mark.parametrize("backend", BACKENDS)
def test_final_network(cifar10, backend):
    nets, rules = BACKENDS[backend]
    np.random.seed(0)
    model = nets.FullyConnectedNet(
        [100, 100, 100], weight_scale=0.01, use_batchnorm=True, dropout=0.9
    )
    solver = Solver(
        model,
        cifar10,
        num_epochs=10,
        batch_size=100,
        update_rule=rules.adam,
        optim_config={"learning_rate": 5e-4},
        lr_decay=0.9,
        verbose=False,
    )
    solver.train()
    predicted = np.argmax(model.loss(cifar10["X_val"]), axis=1)
    accuracy = np.mean(predicted == cifar10["y_val"])
    assert accuracy == solver.best_val_acc
    assert accuracy >= 0.55
