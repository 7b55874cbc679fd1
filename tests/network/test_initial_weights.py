"""weight_scale: a number, as the courses have it, or a rule that fits it to each layer."""

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.reference import fc_net as reference

NETS = pytest.mark.parametrize("nets", [fc_net, reference], ids=["fast", "reference"])
DIMS = [50, 40, 30, 7]
SCALES = {
    "he": lambda inputs, outputs: np.sqrt(2 / inputs),
    "glorot": lambda inputs, outputs: np.sqrt(2 / (inputs + outputs)),
    0.3: lambda inputs, outputs: 0.3,
}


def network(nets, weight_scale, **options):
    np.random.seed(3)
    return nets.FullyConnectedNet(
        DIMS[1:-1], DIMS[0], DIMS[-1], weight_scale=weight_scale, **options
    )


@NETS
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_draw_a_matrix_scaled(nets, scale, dtype):
    net = network(nets, scale, dtype=dtype, use_batchnorm=True)
    after = np.random.rand()
    np.random.seed(3)
    for i in range(1, 4):
        shape = DIMS[i - 1], DIMS[i]
        expected = (SCALES[scale](*shape) * np.random.randn(*shape)).astype(dtype)
        np.testing.assert_array_equal(net.params[f"W{i}"], expected)
        assert not net.params[f"b{i}"].any()
    assert after == np.random.rand()


@NETS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_scikit_learn_begins(nets, dtype):
    net = network(nets, "sklearn", dtype=dtype)
    after = np.random.rand()
    np.random.seed(3)
    for i in range(1, 4):
        inputs, outputs = DIMS[i - 1], DIMS[i]
        bound = np.sqrt(6 / (inputs + outputs))
        for name, shape in ((f"W{i}", (inputs, outputs)), (f"b{i}", outputs)):
            drawn = np.random.uniform(-bound, bound, shape).astype(dtype)
            np.testing.assert_array_equal(net.params[name], drawn)
    assert after == np.random.rand()


@NETS
def test_by_position_and_in_two_layers(nets):
    by_name = network(nets, "he")
    np.random.seed(3)
    by_position = nets.FullyConnectedNet(DIMS[1:-1], DIMS[0], DIMS[-1], None, None, 0.0, "he")
    np.random.seed(3)
    two_layers = nets.TwoLayerNet(DIMS[0], DIMS[1], DIMS[2], 0, "he")
    for name, value in by_name.params.items():
        np.testing.assert_array_equal(by_position.params[name], value)
    np.testing.assert_array_equal(two_layers.params["W1"].astype("f4"), by_name.params["W1"])


@NETS
@pytest.mark.parametrize("depth", [2, 8])
def test_he_keeps_the_scale_of_activations(nets, depth):
    """Through 8 layers scores of standard deviation around 1; the default's are 1e-7."""
    np.random.seed(0)
    X = np.random.randn(200, 300)
    net = nets.FullyConnectedNet([300] * depth, 300, 10, weight_scale="he", dtype=np.float64)
    assert 0.5 < net.loss(X).std() < 3


@NETS
@pytest.mark.parametrize("scale", ["he", "glorot", "sklearn"])
def test_files_keep_its_name(nets, scale, tmp_path):
    net = network(nets, scale)
    net.save(tmp_path / "net.npz")
    before = np.random.get_state()[1].copy()
    for other in (fc_net, reference):
        loaded = other.FullyConnectedNet.load(tmp_path / "net.npz")
        assert loaded._arguments["weight_scale"] == scale
        np.testing.assert_array_equal(loaded.params["W2"], net.params["W2"])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@NETS
@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (None, "^weight_scale is None, expected a finite number, 'he', 'glorot' or 'sklearn'$"),
        (np.nan, "^weight_scale is nan"),
        (np.inf, "^weight_scale is inf"),
        (10**400, "^weight_scale is 1000"),
        ("0.01", "^weight_scale is '0.01'"),
        (
            "kaiming",
            "^weight_scale is 'kaiming', expected a finite number, 'he', 'glorot' or 'sklearn'$",
        ),
        ("He", "did you mean 'he'"),
        ("xavier glorot", "^weight_scale is 'xavier glorot'"),
        (np.ones(3), "^weight_scale is an array of shape"),
        ([0.1], r"^weight_scale is \[0.1\]"),
    ],
    ids=str,
)
def test_what_is_no_scale(nets, scale, message):
    before = np.random.get_state()[1].copy()
    with pytest.raises(ValueError, match=message):
        nets.FullyConnectedNet([5], 6, 3, weight_scale=scale)
    with pytest.raises(ValueError, match=message):
        nets.TwoLayerNet(6, 5, 3, weight_scale=scale)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@NETS
@pytest.mark.parametrize("scale", [0, -0.1, np.float32(0.5), np.array(0.5), True])
def test_numbers_of_many_kinds(nets, scale):
    net, same = (network(nets, value, dtype=np.float64) for value in (scale, float(scale)))
    np.testing.assert_array_equal(net.params["W1"], same.params["W1"])
