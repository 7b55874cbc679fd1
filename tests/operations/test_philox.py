"""dropout_param['rng'] = 'philox': the generator, its stream, its key."""

import copy

import numpy as np
import pytest

import fastfc
from fastfc import layers
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference import layers as reference
from fastfc.reference import philox
from fastfc.reference.fc_net import FullyConnectedNet as PLAIN
from tests.support.same import assert_same
from tests.support.streams import PROBABILITIES, states_equal

SIZES = [0, 1, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 1023, 1024, 1025, 2500]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_published_vectors(counter, key, expected):
    """The known answers of Random123, the authors' own library."""
    np.testing.assert_array_equal(
        philox.philox4x32([words(counter)], words(key))[0], words(expected)
    )


@pytest.mark.parametrize("p", [*PROBABILITIES, 0.0], ids=repr)
@pytest.mark.parametrize("convention", ["keep", "drop"])
def test_equals_reference(isa, dtype, p, convention):
    kept = p if convention == "keep" else 1 - p
    if dtype(kept) == 0:
        pytest.skip("the scale has no value in this dtype")
    for size in SIZES:
        x = np.linspace(-1, 1, size, dtype=dtype)
        param = {"mode": "train", "p": p, "rng": "philox", "seed": 2**63 + 12345 + size}
        param["convention"] = convention
        with np.errstate(all="ignore"):
            out, (given, mask) = layers.dropout_forward(x, param)
            expected, (_, expected_mask) = reference.dropout_forward(x, param)
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(mask, expected_mask)
        assert out.dtype == mask.dtype == dtype
        assert given is param


def test_a_word_against_its_own_value(isa):
    """Kept when the word is below the threshold: not when it is equal."""
    for at, word in enumerate(philox.stream(5, 40)):
        for threshold, kept in ((int(word), False), (int(word) + 1, True)):
            param = {"mode": "train", "p": threshold / 2**32, "rng": "philox", "seed": 5}
            for module in (layers, reference):
                _, (_, mask) = module.dropout_forward(np.ones(40), param)
                assert (mask[at] != 0) == kept
                _, (_, other) = module.dropout_forward(np.ones(40), {**param, "convention": "drop"})
                np.testing.assert_array_equal(other != 0, mask == 0)


def test_p_is_rounded_up(isa):
    """The smallest p keeps what p = 2**-32 keeps; p = 1 keeps all."""
    for p in (2.0**-40, 2.0**-32):
        param = {"mode": "train", "p": p, "rng": "philox", "seed": 3}
        _, (_, mask) = layers.dropout_forward(np.ones(10_000), param)
        np.testing.assert_array_equal(mask != 0, philox.stream(3, 10_000) == 0)
    out, _ = layers.dropout_forward(
        np.ones(10_000), {"mode": "train", "p": 1.0, "rng": "philox", "seed": 3}
    )
    np.testing.assert_array_equal(out, 1)


@pytest.mark.parametrize("module", [layers, reference])
def test_a_seed_leaves_numpys_generator_alone(module):
    before = np.random.get_state()
    for mode in ("train", "test"):
        module.dropout_forward(np.ones(50), {"mode": mode, "p": 0.5, "rng": "philox", "seed": 1})
    module.dropout_forward(np.ones(50), {"mode": "test", "p": 0.5, "rng": "philox"})
    assert states_equal(np.random.get_state(), before)


@pytest.mark.parametrize("module", [layers, reference])
def test_without_a_seed_one_draw_is_the_key(module):
    x = np.ones(1000)
    np.random.seed(4)
    masks = [
        module.dropout_forward(x, {"mode": "train", "p": 0.5, "rng": "philox"})[1][1] != 0
        for _ in range(2)
    ]
    after = np.random.get_state()
    np.random.seed(4)
    for mask in masks:
        key = int(np.random.randint(2**64, dtype=np.uint64))
        np.testing.assert_array_equal(mask, philox.stream(key, x.size) < 2**31)
    assert states_equal(np.random.get_state(), after)
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize("module", [layers, reference])
def test_numpy_by_name_is_the_default(module):
    x = np.ones(100)
    named = module.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": 1, "rng": "numpy"})[0]
    np.testing.assert_array_equal(
        named, module.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": 1})[0]
    )


@pytest.mark.parametrize("module", [layers, reference])
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"rng": "mt"}, ValueError, "rng.* is 'mt', expected 'numpy' or 'philox'"),
        ({"rng": None}, ValueError, "rng.* is None"),
        ({"rng": "philox", "seed": -1}, ValueError, r"seed.* is -1, expected an integer in"),
        ({"rng": "philox", "seed": 2**64}, ValueError, "seed.* is 18446744073709551616"),
        ({"rng": "philox", "seed": 0.5}, TypeError, r"seed.* is 0.5, expected an integer in"),
    ],
)
@pytest.mark.parametrize("mode", ["train", "test"])
def test_errors_leave_everything_alone(module, given, error, message, mode):
    param = {"mode": mode, "p": 0.5, **given}
    kept, before = copy.deepcopy(param), np.random.get_state()
    with pytest.raises(error, match=message):
        module.dropout_forward(np.ones(3), param)
    assert param == kept
    assert states_equal(np.random.get_state(), before)


def test_share_kept(isa):
    """Within 5 deviations of p."""
    for p in (0.1, 0.5, 0.9):
        param = {"mode": "train", "p": p, "rng": "philox", "seed": 7}
        _, (_, mask) = layers.dropout_forward(np.ones(250_000), param)
        assert abs((mask != 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / mask.size)


# --- networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [FullyConnectedNet, PLAIN])
def test_a_network_given_the_option(isa, network):
    """Its draws are one key for each layer."""
    np.random.seed(0)
    model = network([5, 4], input_dim=6, num_classes=3, dropout=0.5, rng="philox")
    assert model.dropout_param == {"mode": "train", "p": 0.5, "rng": "philox"}
    X, y = np.random.randn(7, 6), np.arange(7) % 3
    np.random.seed(1)
    model.loss(X, y)
    after = np.random.get_state()
    np.random.seed(1)
    for _ in range(2):
        np.random.randint(2**64, dtype=np.uint64)
    assert states_equal(np.random.get_state(), after)


class Composed(FullyConnectedNet):
    """The same network, layer by layer."""

    def _data_loss(self, X, y):
        return PLAIN._data_loss(self, X, y)


@pytest.mark.parametrize("seed", [None, 2**64 - 1])
@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize(("p", "convention"), [(0.3, "keep"), (0.3, "drop")])
@pytest.mark.parametrize("hidden", [[33, 7], [300, 130]], ids=str)
def test_the_core_draws_as_the_layers_do(isa, dtype, seed, normalization, p, convention, hidden):
    """All masks at once, on any number of threads."""
    X, y = np.random.randn(90, 20), np.arange(90) % 10
    options = {"dropout": p, "dropout_convention": convention, "seed": seed, "dtype": dtype}
    options |= {"normalization": normalization, "rng": "philox", "input_dim": 20}
    before = fastfc.get_num_threads()
    left = []
    try:
        for network, threads in ((Composed, 1), *((FullyConnectedNet, n) for n in (1, 2, 5))):
            fastfc.set_num_threads(threads)
            np.random.seed(3)
            model = network(hidden, **options)
            left.append([model.loss(X, y), model.loss(X, y), np.random.rand()])
    finally:
        fastfc.set_num_threads(before)
    for found in left[1:]:
        assert_same(found, left[0])
    first, second = (loss for loss, _ in left[0][:2])
    assert (first == second) == (seed is not None)


@pytest.mark.parametrize("network", [FullyConnectedNet, PLAIN])
def test_a_seed_that_is_no_key(network):
    model = network([5], input_dim=6, num_classes=3, dropout=0.5, rng="philox")
    model.dropout_param["seed"] = -1
    before = np.random.get_state()
    with pytest.raises(ValueError, match=r"dropout_param\['seed'\] is -1"):
        model.loss(np.ones((2, 6)), np.array([0, 1]))
    assert states_equal(np.random.get_state(), before)
