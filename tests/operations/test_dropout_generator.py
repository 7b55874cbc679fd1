"""dropout_param['generator']: a bit generator of one's own draws the masks."""

import copy

import numpy as np
import pytest

from fastfc import layers
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference import layers as reference
from fastfc.reference.fc_net import FullyConnectedNet as PLAIN
from tests.support.streams import states_equal


@pytest.mark.parametrize("rng", ["numpy", "philox"])
@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64])
def test_masks_are_the_generators(rng, kind, dtype):
    generator = kind(7)
    x = np.ones((13, 9), dtype)
    param = {"mode": "train", "p": 0.4, "rng": rng, "generator": generator}
    twin = {**param, "generator": copy.deepcopy(generator)}
    before = np.random.get_state()
    for _ in range(3):
        out = layers.dropout_forward(x, param)[0]
        np.testing.assert_array_equal(out, reference.dropout_forward(x, twin)[0])
    assert states_equal(np.random.get_state(), before)
    if rng == "numpy":
        draws = np.random.RandomState(kind(7))
        kept = draws.rand(13, 9) < 0.4
        first = layers.dropout_forward(x, {**param, "generator": kind(7)})[0]
        np.testing.assert_array_equal(first > 0, kept)


def test_it_begins_as_the_global_one_would():
    x = np.ones(50)
    np.random.seed(3)
    expected = layers.dropout_forward(x, {"mode": "train", "p": 0.5})[0]
    param = {"mode": "train", "p": 0.5, "generator": np.random.RandomState(3)._bit_generator}
    np.testing.assert_array_equal(layers.dropout_forward(x, param)[0], expected)


def test_it_must_be_one():
    for library in (layers, reference):
        with pytest.raises(TypeError, match=r"dropout_param\['generator'\] is 5, expected a bit"):
            library.dropout_forward(np.ones(3), {"mode": "train", "p": 0.5, "generator": 5})


@pytest.mark.parametrize("rng", ["numpy", "philox"])
def test_steps_of_a_network_are_the_same_singly_and_many_in_a_call(rng):
    """And those of the reference, as far as losses say; np.random is left alone."""
    X, y = np.random.randn(40, 6), np.random.randint(3, size=40)
    order = np.random.permutation(40)
    nets = [
        cls([8, 7], input_dim=6, num_classes=3, dropout=0.5, rng=rng, dtype=np.float64)
        for cls in (FullyConnectedNet, FullyConnectedNet, PLAIN)
    ]
    for net in nets:
        net.params = {name: value.copy() for name, value in nets[0].params.items()}
        net.dropout_param["generator"] = np.random.MT19937(5)
    before = np.random.get_state()
    together, singly, plain = [], [], []
    configs = [{name: {"learning_rate": 0.1} for name in nets[0].params} for _ in nets]
    spent = nets[0].__fastfc_train_epoch__(X, y, "sgd", configs[0], order, 8, together)
    assert len(spent) == 5
    for start in range(0, 40, 8):
        rows = order[start : start + 8]
        singly.append(nets[1].train_step(X, y, "sgd", configs[1], rows=rows))
        loss, grads = nets[2].loss(X[rows], y[rows])
        plain.append(loss)
        for name, value in nets[2].params.items():
            value -= 0.1 * grads[name]
    assert together == singly
    np.testing.assert_allclose(together, plain, rtol=1e-12)
    assert states_equal(np.random.get_state(), before)
