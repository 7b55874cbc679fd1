"""Where fastfc and PyTorch train alike, and the four places where they do not.

docs/interop.md has these, with the figures that were measured.
"""

import numpy as np
import pytest

from fastfc import fc_net, interop, layers
from fastfc.optim import adam
from tests.support import cases

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
from_torch, to_torch = interop.from_torch, interop.to_torch

N, STEPS = 50, 100


def data(dtype, n=N):
    """Examples without a row of zeros."""
    return cases.normal((n, 20), dtype, "X"), cases.labels(n, 10)


def start(dtype, normalization="batchnorm", **arguments):
    np.random.seed(3)
    arguments = {"weight_scale": "he", **arguments}
    net = fc_net.FullyConnectedNet(
        [30, 30], 20, 10, dtype=dtype, normalization=normalization, **arguments
    )
    if normalization == "batchnorm":  # as PyTorch begins
        for bn_param in net.bn_params:
            bn_param |= {"running_mean": np.zeros(30, dtype), "running_var": np.ones(30, dtype)}
    return net


def train_here(net, X, y, steps=STEPS, learning_rate=1e-3):
    """Return the losses of so many steps of Adam over all examples."""
    losses, configs = [], {name: {"learning_rate": learning_rate} for name in net.params}
    for _ in range(steps):
        loss, grads = net.loss(X, y)
        losses.append(float(loss))
        for name, grad in grads.items():
            net.params[name], configs[name] = adam(net.params[name], grad, configs[name])
    return np.array(losses)


def train_there(module, X, y, steps=STEPS, learning_rate=1e-3):
    X, y, losses = torch.from_numpy(X), torch.from_numpy(y), []
    optimizer = torch.optim.Adam(module.train().parameters(), learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    module.eval()
    return np.array(losses)


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_same_losses(dtype, normalization, activation):
    net = start(dtype, normalization, activation=activation)
    module, (X, y) = to_torch(net), data(dtype)
    ours, theirs = train_here(net, X, y), train_there(module, X, y)
    assert ours[-1] < ours[0] / 2
    np.testing.assert_allclose(theirs, ours, rtol=1e-6 if dtype is np.float32 else 1e-13)


def test_and_back():
    """A module that has been trained goes on here as it would have there."""
    net = start(np.float64)
    module, (X, y) = to_torch(net), data(np.float64)
    train_there(module, X, y, steps=10)
    again = from_torch(module)
    np.testing.assert_allclose(
        train_here(again, X, y, steps=20), train_there(module, X, y, steps=20), rtol=1e-13
    )


# --- the differences --------------------------------------------------------------------------


def test_running_variances_are_unbiased_there():
    """What each step adds is N / (N - 1) times as much."""
    net = start(np.float64)
    module, (X, y) = to_torch(net), data(np.float64)
    train_here(net, X, y, steps=20)
    train_there(module, X, y, steps=20)
    norms = [layer for layer in module if isinstance(layer, nn.BatchNorm1d)]
    for bn_param, norm in zip(net.bn_params, norms, strict=True):
        begun = 0.9**20 * 1.0
        np.testing.assert_allclose(
            norm.running_var.numpy() - begun,
            (bn_param["running_var"] - begun) * N / (N - 1),
            rtol=1e-10,
        )
        np.testing.assert_allclose(norm.running_mean.numpy(), bn_param["running_mean"], atol=1e-12)


def test_so_scores_differ_after_training_on():
    """Of a network of equal parameters, and by no more than that."""
    net = start(np.float64)
    module, (X, y) = to_torch(net), data(np.float64)
    train_here(net, X, y)
    train_there(module, X, y)
    ours, theirs = net.loss(X), module(torch.from_numpy(X)).detach().numpy()
    difference = np.abs(ours - theirs).max()
    assert 0.001 * np.abs(ours).max() < difference < 0.05 * np.abs(ours).max()
    translated = from_torch(module, batch_size=N)  # near: what the running averages began with
    assert np.abs(translated.loss(X) - ours).max() < 0.01 * difference


def test_batch_size_translates():
    net = start(np.float64)
    X, y = data(np.float64)
    train_here(net, X, y, steps=5)
    module = to_torch(net, batch_size=N)
    for bn_param, norm in zip(net.bn_params, [module[2], module[5]], strict=True):
        expected = bn_param["running_var"] * N / (N - 1)
        np.testing.assert_allclose(norm.running_var.numpy(), expected, rtol=1e-15)
    again = from_torch(module, batch_size=N)
    for found, expected in zip(again.bn_params, net.bn_params, strict=True):
        np.testing.assert_allclose(found["running_var"], expected["running_var"], rtol=1e-15)


def test_an_untrained_network_begins_with_another_variance():
    """0 here, 1 there; what is exported is what is here, so that the scores are the same."""
    np.random.seed(3)
    net = fc_net.FullyConnectedNet([30], 20, 10, normalization="batchnorm")
    module = to_torch(net)
    assert (module[2].running_var == 0).all()
    assert (nn.BatchNorm1d(30).running_var == 1).all()
    X = data(np.float32)[0]
    scores = net.loss(X)
    largest = np.abs(scores).max()
    np.testing.assert_allclose(
        module(torch.from_numpy(X)).detach().numpy(), scores, rtol=0, atol=1e-6 * largest
    )
    assert (net.bn_params[0]["running_var"] == 0).all()


def test_a_batch_of_one_is_trained_here_alone():
    net = start(np.float32)
    module, (X, y) = to_torch(net), data(np.float32, n=1)
    loss, _ = net.loss(X, y)
    assert np.isfinite(loss)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        module.train()(torch.from_numpy(X))


def test_an_output_of_exactly_0_passes_its_gradient_here():
    zero = torch.zeros(1, requires_grad=True)
    torch.relu(zero).backward()
    assert zero.grad.item() == 0
    assert layers.relu_backward(np.ones(1), np.zeros(1)) == 1


def test_a_row_of_zeros_therefore_trains_another_network():
    """Biases begin at 0: the first layer gives exactly 0 for it."""
    net = start(np.float64, None)
    module, (X, y) = to_torch(net), data(np.float64)
    X[0] = 0
    ours, theirs = train_here(net, X, y, steps=3), train_there(module, X, y, steps=3)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-13)
    assert abs(ours[2] - theirs[2]) > 1e-7
