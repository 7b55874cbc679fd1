"""p as the probability of dropping: dropout_param['convention'] = 'drop', and the networks' own."""

import copy

import numpy as np
import pytest

from fastfc import fc_net, layers
from fastfc.reference import fc_net as reference_nets
from fastfc.reference import layers as reference
from fastfc.verifying import operations
from tests.support.streams import PROBABILITIES, states_equal

OPERATION = operations.find("dropout_forward drop")
DROPPED = [0.0, *(p for p in PROBABILITIES if p < 1)]
NETS = pytest.mark.parametrize("nets", [reference_nets, fc_net], ids=["reference", "fast"])


def param(p, **options):
    return {"mode": "train", "p": p, "convention": "drop", **options}


@pytest.mark.parametrize("module", [layers, reference])
@pytest.mark.parametrize("p", DROPPED, ids=repr)
def test_mask_and_generator_are_numpys(isa, module, p):
    """Bit for bit what a notebook computes, and as many draws."""
    for shape in [(), (0,), (1,), (7, 9), (311,), (312,), (313,), (40, 50)]:
        before = np.random.get_state()
        expected = (np.random.rand(*shape) >= p) / (1 - float(p))
        after = np.random.get_state()
        np.random.set_state(before)
        out, (_, mask) = module.dropout_forward(np.full(shape, 3.0), param(p))
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(out, 3.0 * mask)
        assert states_equal(np.random.get_state(), after)


@pytest.mark.parametrize("p", DROPPED, ids=repr)
def test_equals_reference(isa, dtype, p):
    for shape in [(), (0,), (1,), (5, 9), (1300,)]:
        x, _ = OPERATION.arguments(shape, dtype)
        OPERATION.check([x, param(p, seed=3)])


def test_shapes_and_dtypes(isa, dtype):
    for shape in OPERATION.shapes:
        OPERATION.check(OPERATION.arguments(shape, dtype))


@pytest.mark.parametrize("generator", [np.random.PCG64, np.random.Philox, np.random.SFC64])
def test_foreign_global_generators(isa, dtype, generator):
    np.random.set_bit_generator(generator(7))
    _, (_, mask) = layers.dropout_forward(np.ones((40, 50), dtype), param(0.3))
    np.random.set_bit_generator(generator(7))
    expected = (np.random.rand(40, 50) >= 0.3).astype(dtype) / 0.7
    np.testing.assert_array_equal(mask, expected)
    assert mask.dtype == dtype


def test_keeps_what_the_other_convention_drops(isa):
    x = np.ones(1000)
    for rng in ("numpy", "philox"):
        _, (_, kept) = layers.dropout_forward(
            x, {"mode": "train", "p": 0.3, "convention": "keep", "rng": rng, "seed": 1}
        )
        _, (_, other) = layers.dropout_forward(x, param(0.3, rng=rng, seed=1))
        np.testing.assert_array_equal(kept == 0, other != 0)


@pytest.mark.parametrize("module", [layers, reference])
def test_backward_and_mode_test(module):
    x, given = np.ones((5, 7)), param(0.3, seed=1, note="mine")
    out, cache = module.dropout_forward(x, given)
    np.testing.assert_array_equal(module.dropout_backward(x, cache), out)
    assert cache[0] is given
    given["mode"] = "test"
    out, cache = module.dropout_forward(x, given)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(module.dropout_backward(x, cache), x)
    assert given == {**param(0.3, seed=1, note="mine"), "mode": "test"}


@pytest.mark.parametrize("module", [layers, reference])
@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"p": 1}, r"\bp\b.* is 1\.0, expected .*dropping.*\[0, 1\)"),
        ({"p": -0.1}, r"\bp\b.* is -0\.1, expected .*dropping"),
        ({"p": np.nan}, r"\bp\b.* is nan, expected .*dropping"),
        ({"convention": "skip"}, "convention.* is 'skip', expected 'keep' or 'drop'"),
        ({"convention": None}, "convention.* is None, expected 'keep' or 'drop'"),
    ],
)
def test_errors_leave_everything_alone(module, mode, wrong, message):
    given = {**param(0.5, seed=1), "mode": mode, **wrong}
    kept, before = copy.deepcopy(given), np.random.get_state()
    with pytest.raises(ValueError, match=f"dropout_forward: .*{message}"):
        module.dropout_forward(np.ones(3), given)
    assert repr(given) == repr(kept)
    assert states_equal(np.random.get_state(), before)


# --- networks ---------------------------------------------------------------------------------


def two_layers(nets, **options):
    return nets.TwoLayerNet(15, 200, weight_scale=0.1, **options)


def one_hidden_layer(nets, **options):
    return nets.FullyConnectedNet([200], 15, weight_scale=0.1, dtype=np.float64, **options)


@NETS
@pytest.mark.parametrize("network", [two_layers, one_hidden_layer])
def test_a_network_drops_with_that_probability(nets, network):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 15)), rng.integers(0, 10, 6)
    net = network(nets, dropout=0.3, dropout_convention="drop")
    assert net.dropout_param == {"mode": "train", "p": 0.3, "convention": "drop"}
    np.random.seed(8)
    loss, _ = net.loss(X, y)
    hidden = np.maximum(X @ net.params["W1"], 0)
    np.random.seed(8)
    hidden *= (np.random.rand(*hidden.shape) >= 0.3) / 0.7
    expected, _ = nets.softmax_loss(hidden @ net.params["W2"], y)
    assert loss == pytest.approx(expected, rel=1e-13)
    np.testing.assert_array_equal(net.loss(X), net.loss(X))


@NETS
@pytest.mark.parametrize("network", [two_layers, one_hidden_layer])
def test_a_probability_of_0_is_none(nets, network):
    net = network(nets, dropout=0, dropout_convention="drop")
    assert not net.use_dropout
    assert net.dropout_param == {}


@NETS
def test_the_convention_by_name_is_the_default(nets):
    for options in ({}, {"dropout_convention": "keep"}):
        net = one_hidden_layer(nets, dropout=0.3, **options)
        assert net.dropout_param == {"mode": "train", "p": 0.3}


@NETS
@pytest.mark.parametrize("network", [two_layers, one_hidden_layer])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1}, r"dropout is 1, expected the probability of dropping a unit, in \[0, 1\)"),
        ({"dropout": -0.1}, "dropout is -0.1, expected the probability of dropping"),
        ({"dropout_convention": "p"}, "dropout_convention is 'p', expected 'keep' or 'drop'"),
        ({"dropout_convention": True}, "dropout_convention is True, expected 'keep' or 'drop'"),
    ],
)
def test_errors_of_the_constructor(nets, network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(nets, **{"dropout_convention": "drop", **arguments})


@NETS
def test_a_keep_ratio_is_no_probability_of_dropping(nets):
    with pytest.raises(ValueError, match="dropout_keep_ratio is given, expected dropout"):
        one_hidden_layer(nets, dropout_keep_ratio=0.5, dropout_convention="drop")
    net = one_hidden_layer(nets, dropout_keep_ratio=0.5, dropout_convention="keep")
    assert net.dropout_param == {"mode": "train", "p": 0.5}
