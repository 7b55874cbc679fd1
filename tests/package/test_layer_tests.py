"""The notebooks' quick checks: quiet about np.random, loud about a wrong layer."""

import numpy as np
import pytest

from fastfc import layer_tests
from fastfc.reference import fc_net, layer_utils, layers

TESTS = [name for name in layer_tests.__all__ if name.endswith("_test")]

# The test that notices, the function, and what is wrong with it.
WRONG = [
    ("affine_forward_test", "affine_forward", lambda out: (out[0] * (1 + 1e-10), out[1])),
    ("affine_forward_test", "affine_forward", lambda out: (out[0] * np.nan, out[1])),
    ("affine_backward_test", "affine_backward", lambda g: (g[0] * (1 + 1e-6), *g[1:])),
    ("affine_backward_test", "affine_backward", lambda g: (g[0], g[1] * np.nan, g[2])),
    ("affine_backward_test", "affine_backward", lambda g: (*g[:2], g[2][::-1])),
    ("relu_forward_test", "relu_forward", lambda out: (np.abs(out[1]), out[1])),
    ("relu_backward_test", "relu_backward", lambda dx: dx + 1e-6),
    ("affine_relu_test", "affine_relu_backward", lambda g: (g[0], g[1] + 1e-6, g[2])),
    ("affine_relu_test", "affine_relu_forward", lambda out: (out[0] * 2, out[1])),
]


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("package", ["fast", "reference"])
def test_prints_and_raises_nothing(name, package, monkeypatch, capsys):
    """Whatever correct layers they call."""
    if package == "reference":
        for module in (layers, layer_utils, fc_net):
            for function in vars(layer_tests).keys() & set(module.__all__):
                monkeypatch.setattr(layer_tests, function, getattr(module, function))
    assert getattr(layer_tests, name)() is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("expected:")
    bound = float(lines[0].split()[-2])
    errors = [float(line.split()[-1]) for line in lines if line.startswith("  ")]
    assert errors
    assert max(errors) < 0.1 * bound


@pytest.mark.parametrize(("name", "function", "wrong"), WRONG)
def test_an_error_is_printed_and_raised(name, function, wrong, monkeypatch, capsys):
    right = getattr(layer_tests, function)
    monkeypatch.setattr(layer_tests, function, lambda *args: wrong(right(*args)))
    with pytest.raises(AssertionError, match=r"is off by .*, expected below 1e-"):
        getattr(layer_tests, name)()
    assert "relative errors below" in capsys.readouterr().out


def test_a_wrong_shape_is_noticed(monkeypatch):
    """Also one that NumPy would stretch."""
    right = layer_tests.affine_backward
    wrong = lambda *args: (*right(*args)[:2], right(*args)[2][np.newaxis])  # noqa: E731
    monkeypatch.setattr(layer_tests, "affine_backward", wrong)
    with pytest.raises(AssertionError, match=r"db has shape \(1, 5\), expected \(5,\)"):
        layer_tests.affine_backward_test()


def test_a_wrong_network_is_noticed(monkeypatch):
    class Wrong(layer_tests.FullyConnectedNet):
        def loss(self, X, y=None):
            loss, grads = super().loss(X, y)
            return loss, {**grads, "W2": grads["W2"] + self.reg * 1e-3}

    monkeypatch.setattr(layer_tests, "FullyConnectedNet", Wrong)
    with pytest.raises(AssertionError, match=r"reg = 0\.5.*W2 is off by"):
        layer_tests.fc_net_test()


def test_numbers_are_their_own():
    """Only a network's constructor draws from np.random, its weights."""
    np.random.seed(3)
    for name in TESTS:
        getattr(layer_tests, name)()
    after = np.random.rand()
    np.random.seed(3)
    np.random.randn(2 * (5 * 6 + 6 * 7 + 7 * 4))
    assert np.random.rand() == after


def test_rel_error():
    assert layer_tests.rel_error(np.array([1.0, -2.0]), np.array([1.0, 2.0])) == 1
    assert layer_tests.rel_error([0.0], [1e-9]) == pytest.approx(0.1)
    assert layer_tests.rel_error(3.0, 3.0) == 0
    assert np.isnan(layer_tests.rel_error([np.nan], [1.0]))
