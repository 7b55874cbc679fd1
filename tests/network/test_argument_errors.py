"""What a network says of arguments and attributes that it cannot use."""

import numpy as np
import pytest

from fastfc import fc_net, layers
from fastfc.reference import fc_net as reference
from fastfc.reference import layers as reference_layers

NETS = pytest.mark.parametrize("nets", [fc_net, reference], ids=["fast", "reference"])
LAYERS = pytest.mark.parametrize("module", [layers, reference_layers], ids=["fast", "reference"])
ARRAY = np.array([1, 2])
HUGE = 10**400


@NETS
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reg": None}, ValueError, "^reg is None, expected a number"),
        ({"reg": "0.1"}, ValueError, "^reg is '0.1', expected a number"),
        ({"reg": np.nan}, ValueError, "^reg is nan"),
        ({"reg": HUGE}, ValueError, "^reg is 1000.*000, expected a number"),
        ({"reg": ARRAY}, ValueError, "^reg is an array of shape"),
        ({"dtype": "float33"}, TypeError, "^dtype is 'float33', expected float32 or float64"),
        ({"dtype": 32}, TypeError, "^dtype is 32, expected float32 or float64"),
        ({"dtype": ARRAY}, TypeError, "^dtype is an array of shape"),
        ({"dtype": int}, TypeError, "^dtype is int64, expected float32 or float64"),
        ({"rng": ARRAY}, ValueError, "^rng is an array of shape .*, expected 'numpy' or 'philox'"),
        ({"rng": "Philox"}, ValueError, "did you mean 'philox'"),
        ({"dropout_convention": ARRAY}, ValueError, "^dropout_convention is an array of shape"),
        ({"dropout": ARRAY}, ValueError, "^dropout is an array of shape"),
        ({"dropout": HUGE}, ValueError, "^dropout is 1000"),
        ({"normalization": ARRAY}, ValueError, "^normalization is an array of shape"),
        ({"label_smoothing": HUGE}, ValueError, "^label_smoothing is 1000"),
        ({"input_dim": HUGE}, ValueError, "^input_dim has 1000"),
        ({"num_classes": ARRAY}, TypeError, "^num_classes has an array of shape"),
        ({"hidden_dims": [HUGE]}, ValueError, "^hidden_dims has 1000"),
        (
            {"dropout": 0.5, "seed": "x"},
            TypeError,
            r"^seed is 'x', expected an integer in \[0, 2\*\*32",
        ),
        (
            {"dropout": 0.5, "seed": -1},
            ValueError,
            r"^seed is -1, expected an integer in \[0, 2\*\*32",
        ),
        (
            {"dropout": 0.5, "seed": 2**40},
            ValueError,
            "^seed is 1099511627776, expected an integer",
        ),
        ({"dropout": 0.5, "seed": 0.5}, TypeError, "^seed is 0.5, expected an integer"),
        ({"dropout": 0.5, "seed": HUGE}, ValueError, "^seed is 1000"),
        (
            {"dropout": 0.5, "seed": 0.5, "rng": "philox"},
            TypeError,
            r"^seed is 0.5, expected an integer in \[0, 2\*\*64\)",
        ),
        (
            {"dropout": 0.5, "seed": 2**64, "rng": "philox"},
            ValueError,
            "^seed is 18446744073709551616",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_errors_of_the_constructor(nets, options, error, message):
    with pytest.raises(error, match=message):
        nets.FullyConnectedNet(**{"hidden_dims": [4], "input_dim": 5, **options})


@NETS
@pytest.mark.parametrize(
    "seed", [0, 2**32 - 1, np.int64(3), [1, 2], ARRAY.astype(np.uint32)], ids=str
)
def test_seeds_of_many_kinds(nets, seed):
    """All that np.random.seed takes; np.random stays as it is until a mask is drawn."""
    before = np.random.get_state()[1].copy()
    X, y = np.ones((4, 5)), np.arange(4) % 3
    np.random.seed(1)
    drawn = np.random.rand()
    np.random.seed(1)
    net = nets.FullyConnectedNet([6], 5, 3, dropout=0.5, seed=seed, weight_scale=0)
    np.random.randn(0)
    assert net.loss(X, y)[0] == net.loss(X, y)[0]
    np.random.seed(1)
    assert np.random.rand() == drawn
    assert before is not None


@NETS
def test_a_seed_without_dropout_is_not_looked_at(nets):
    assert nets.FullyConnectedNet([4], 5, seed="whatever").dropout_param == {}


@NETS
@pytest.mark.parametrize("reg", [None, "0.1", HUGE], ids=["None", "text", "huge"])
def test_a_regularisation_that_is_set_to_no_number(nets, reg):
    net = nets.FullyConnectedNet([4], 5, 3)
    net.reg = reg
    with pytest.raises(ValueError, match=r"^reg is .*, expected a number"):
        net.loss(np.ones((2, 5)), [0, 1])


@NETS
def test_parameters_that_are_missing(nets):
    net = nets.FullyConnectedNet([4], 5, 3, use_batchnorm=True)
    X, y = np.ones((2, 5)), [0, 1]
    del net.params["b2"]
    del net.params["gamma1"]
    message = "^params has no b2, gamma1, expected W1, b1, W2, b2, gamma1, beta1 of a network of 2"
    for call in (lambda: net.loss(X), lambda: net.loss(X, y), lambda: net.predict(X)):
        with pytest.raises(ValueError, match=message):
            call()
    del net.params["W1"]
    with pytest.raises(ValueError, match=r"^params has no W1, b2, gamma1"):
        net.loss(X)
    net.params = [1, 2]
    with pytest.raises(TypeError, match=r"^params is \[1, 2\], expected a dict of arrays"):
        net.loss(X, y)


@NETS
@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("found", [{"mode": "train"}, "train", None, [None]], ids=str)
def test_bn_params_that_are_no_list_of_dictionaries(nets, normalization, found):
    net = nets.FullyConnectedNet([4], 5, 3, normalization=normalization)
    X, y = np.ones((2, 5)), [0, 1]
    net.bn_params = found
    message = r"^bn_params is .*, expected a list of dicts, one for each hidden layer$"
    for call in (lambda: net.loss(X), lambda: net.loss(X, y), lambda: net.predict(X)):
        with pytest.raises(TypeError, match=message):
            call()


@NETS
def test_shape_of_examples_is_checked_before_they_are_converted(nets):
    net = nets.FullyConnectedNet([4], 5, 3)
    X = np.broadcast_to(np.uint8(1), (2**40, 6))  # no copy of it has room in memory
    for call in (lambda: net.loss(X), lambda: net.loss(X, [0, 1]), lambda: net.predict(X, 2**40)):
        with pytest.raises(ValueError, match=r"^X has shape \(1099511627776, 6\), expected"):
            call()


@NETS
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint64])
@pytest.mark.parametrize("shape", [(2**40,), (2, 2**40), ()], ids=str)
def test_shape_of_labels_is_checked_before_they_are_copied(nets, dtype, shape):
    net = nets.FullyConnectedNet([4], 5, 3)
    X, y = np.ones((2, 5)), np.broadcast_to(dtype(1), shape)  # no copy of most has room in memory
    calls = [lambda: net.loss(X, y)]
    if nets is fc_net:
        configs = {name: {"learning_rate": 0.1} for name in net.params}
        calls += [lambda: net.train_step(X, y, "sgd", configs)]
        if shape != (2**40,):  # of which two rows are two labels
            calls += [lambda: net.train_step(X, y, "sgd", configs, rows=[0, 1])]
    for call in calls:
        with pytest.raises(ValueError, match=r"y has shape .*, expected \((2|N),\)"):
            call()


@pytest.mark.parametrize("rows", [[0, 2], [0.5], "x"], ids=str)
def test_rows_that_are_no_rows_of_the_labels(rows):
    net = fc_net.FullyConnectedNet([4], 5, 3)
    configs = {name: {"learning_rate": 0.1} for name in net.params}
    with pytest.raises(ValueError, match=r"^rows is .*, expected row numbers of y, which has 2"):
        net.train_step(np.ones((3, 5)), [0, 1], "sgd", configs, rows=rows)


@LAYERS
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mode": ARRAY}, ValueError, "mode"),
        ({"rng": ARRAY}, ValueError, "rng.* is .*, expected 'numpy' or 'philox'"),
        ({"convention": ARRAY}, ValueError, "convention.* is .*, expected 'keep' or 'drop'"),
        (
            {"seed": "x"},
            TypeError,
            r"^dropout_forward: dropout_param\['seed'\] is 'x', expected an int",
        ),
        (
            {"seed": -1},
            ValueError,
            r"^dropout_forward: dropout_param\['seed'\] is -1, expected an int",
        ),
        (
            {"seed": "x", "rng": "philox"},
            TypeError,
            r"dropout_param\['seed'\] is 'x', expected an integer in \[0, 2\*\*64",
        ),
    ],
    ids=str,
)
def test_words_of_dropout(module, changes, error, message):
    before = np.random.get_state()[1].copy()
    with pytest.raises(error, match=message):
        module.dropout_forward(np.ones((2, 3)), {"mode": "train", "p": 0.5, **changes})
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_a_seed_that_is_put_into_a_network():
    """The step in one call says the same, and has changed nothing."""
    net = fc_net.FullyConnectedNet([4], 5, 3, dropout=0.5)
    net.dropout_param["seed"] = "x"
    configs = {name: {"learning_rate": 0.1} for name in net.params}
    before = net.params["W1"].copy()
    for call in (
        lambda: net.loss(np.ones((2, 5)), [0, 1]),
        lambda: net.train_step(np.ones((2, 5)), np.array([0, 1]), "sgd", configs),
    ):
        with pytest.raises(TypeError, match=r"dropout_param\['seed'\] is 'x'"):
            call()
    np.testing.assert_array_equal(net.params["W1"], before)
