"""Networks as modules of PyTorch and back: the same function, or one sentence."""

import copy
import re

import numpy as np
import pytest

from fastfc import fc_net, interop, reference
from tests.support import cases

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
from_torch, to_torch = interop.from_torch, interop.to_torch

ACTIVATIONS = ["relu", "identity", "logistic", "tanh", "leaky_relu", "silu", "gelu"]
PRECISION = {np.float32: 1e-6, np.float64: 1e-14}  # of the largest score


def examples(n, dtype, *shape):
    return cases.normal((n, *shape), dtype, "X")


def close(found, expected, precision=None, largest=1e-3):
    """Assert that numbers are the same up to rounding of the largest of them."""
    expected = np.asarray(expected)
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    assert found.dtype == expected.dtype
    precision = precision or PRECISION[expected.dtype.type]
    largest = max(float(np.abs(expected).max()), largest)
    np.testing.assert_allclose(found, expected, rtol=0, atol=precision * largest)


def network(dtype, nets=fc_net, hidden=(9, 8), trained=True, **arguments):
    """A network whose every number is of its own."""
    net = nets.FullyConnectedNet(list(hidden), 6, 4, dtype=dtype, weight_scale=0.7, **arguments)
    for i, (name, value) in enumerate(net.params.items()):
        if not name.startswith("W"):
            value += np.random.RandomState(i).uniform(-0.4, 0.4, value.shape).astype(dtype)
    if trained and net.loss_name == "softmax":
        net.loss(2 + 3 * examples(40, dtype, 6), cases.labels(40, 4))
    return net


# --- to PyTorch -------------------------------------------------------------------------------

KINDS = [(None, None), ("batchnorm", 0.3), ("layernorm", 0.3), ("batchnorm", None)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("normalization", "dropout"), KINDS)
def test_eval_mode(dtype, normalization, dropout, activation):
    net = network(dtype, normalization=normalization, dropout=dropout, activation=activation)
    module = to_torch(net)
    X = examples(30, dtype, 6)
    assert isinstance(module, nn.Sequential)
    assert not module.training
    close(module(torch.from_numpy(X)), net.loss(X))
    close(module(torch.from_numpy(X[:1])), net.loss(X[:1]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
def test_train_mode(dtype, normalization, activation):
    """The same loss and gradients, and the same running means."""
    net = network(dtype, normalization=normalization, activation=activation)
    module = to_torch(net).train()
    X, y = examples(30, dtype, 6), cases.labels(30, 4)
    loss, grads = net.loss(X, y)
    found = nn.functional.cross_entropy(module(torch.from_numpy(X)), torch.from_numpy(y))
    found.backward()
    close(found, loss)
    names = [f"{kind}{i}" for i in (1, 2, 3) for kind in ("W", "b", "gamma", "beta")]
    parameters = module.parameters()
    largest = max(float(np.abs(grad).max()) for grad in grads.values())
    for name in filter(grads.__contains__, names):
        grad = next(parameters).grad
        close(grad.T if name[0] == "W" else grad, grads[name], largest=largest)
    assert next(parameters, None) is None
    norms = [layer for layer in module if isinstance(layer, nn.BatchNorm1d)]
    for norm, bn_param in zip(norms, net.bn_params if norms else [], strict=True):
        close(norm.running_mean, bn_param["running_mean"])


def test_dropout_in_train_mode():
    """PyTorch's drops the other share, as often, and scales what is left by as much."""
    net = network(np.float32, hidden=[2000], dropout=0.8)
    *_, dropout, _ = module = to_torch(net).train()
    assert dropout.p == pytest.approx(0.2)
    assert [type(layer) for layer in module] == [
        *(nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear)
    ]
    torch.manual_seed(0)
    dropped = dropout(torch.ones(1, 2000)).numpy()
    assert set(np.unique(dropped)) == {0, np.float32(1.25)}
    assert abs((dropped == 0).mean() - 0.2) < 0.04


@pytest.mark.parametrize(
    ("arguments", "p"),
    [
        ({"dropout": 0.75}, 0.25),
        ({"dropout": 0.75, "dropout_convention": "drop"}, 0.75),
        ({"dropout_keep_ratio": 0.75, "rng": "philox", "seed": 3}, 0.25),
        ({"dropout": 1}, None),
        ({"dropout": 0}, None),
    ],
)
def test_the_probability_of_dropping(arguments, p):
    found = [layer.p for layer in to_torch(network(np.float32, **arguments)) if hasattr(layer, "p")]
    assert found == ([] if p is None else [p, p])


def test_what_was_changed_after_construction():
    net = network(np.float64, normalization="batchnorm", dropout=0.5)
    net.bn_params[0] |= {"eps": 1e-2, "momentum": np.float64(0.75)}
    net.dropout_param["p"] = 0.75
    net.params["b2"] = 0.5
    net.params["gamma2"] = np.ones((1, 8), np.float32)
    net.params["W1"] = np.asfortranarray(net.params["W1"])[::-1].copy()[::-1]
    module = to_torch(net)
    X = examples(10, np.float64, 6)
    close(module(torch.from_numpy(X)), net.loss(X))
    norm, _, dropout = module[2:5]
    assert (norm.eps, norm.momentum, dropout.p) == (1e-2, 0.25, 0.25)


def test_shapes_of_examples(dtype):
    net = network(dtype)
    X = examples(5, dtype, 2, 3)
    close(to_torch(net)(torch.from_numpy(X)), net.loss(X))


@pytest.mark.parametrize("hidden", [[], [1], [7, 1, 7]])
def test_other_depths(dtype, hidden):
    for normalization in (None, "batchnorm", "layernorm"):
        net = network(dtype, hidden=hidden, normalization=normalization)
        X = examples(5, dtype, 6)
        close(to_torch(net)(torch.from_numpy(X)), net.loss(X), 10 * PRECISION[dtype])


def test_other_networks():
    X = examples(5, np.float64, 6)
    for net in (
        fc_net.TwoLayerNet(6, 5, 4, dropout=0.5),
        reference.fc_net.TwoLayerNet(6, 5, 4),
        network(np.float64, reference.fc_net, normalization="batchnorm"),
        network(np.float64, loss="huber"),
    ):
        close(to_torch(net)(torch.from_numpy(X)), net.loss(X))


def test_nothing_else_changes():
    """Neither the network nor a generator; and nothing is shared."""
    net = network(np.float32, normalization="batchnorm", dropout=0.5)
    before, arrays = copy.deepcopy(net.__getstate__()), list(net.params.values())
    ours, theirs = np.random.get_state()[1].copy(), torch.get_rng_state()
    module = to_torch(net)
    assert (np.random.get_state()[1] == ours).all()
    assert torch.equal(torch.get_rng_state(), theirs)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor += 1
    np.testing.assert_equal(net.__getstate__(), before)
    assert all(a is b for a, b in zip(net.params.values(), arrays, strict=True))


def test_the_module_is_a_whole_one():
    """It can be trained, saved and moved as any."""
    module = to_torch(network(np.float32, normalization="batchnorm", dropout=0.5))
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(tensor.device.type == "cpu" for tensor in module.state_dict().values())
    again = to_torch(network(np.float32, normalization="batchnorm", dropout=0.5))
    again.load_state_dict(module.state_dict())
    assert module.double()(torch.ones(2, 6, dtype=torch.float64)).shape == (2, 4)


def _without_loss():
    net = network(np.float32)
    net.loss = lambda X, y=None: None
    return net


@pytest.mark.parametrize(
    ("model", "arguments", "error", "message"),
    [
        (lambda: 3, {}, TypeError, "to_torch: model is 3, expected a FullyConnectedNet"),
        (_without_loss, {}, TypeError, "to_torch: loss of this FullyConnectedNet is not fastfc's"),
        (lambda: network(np.float32), {"batch_size": 1}, ValueError, "batch_size is 1, expected"),
        (lambda: network(np.float32), {"batch_size": "5"}, ValueError, "batch_size is '5', expec"),
    ],
)
def test_what_is_no_network(model, arguments, error, message):
    with pytest.raises(error, match=message):
        to_torch(model(), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: net.params.pop("W2"), "params has no W2"),
        (lambda net: net.params.update(W2=np.ones((3, 3))), "shape"),
        (lambda net: net.dropout_param.update(p=2), r"to_torch: dropout_param\['p'\] is 2, expect"),
        (lambda net: net.dropout_param.pop("p"), r"to_torch: dropout_param\['p'\] is None, expect"),
    ],
)
def test_a_network_that_is_none_any_more(change, message):
    net = network(np.float32, dropout=0.5)
    change(net)
    with pytest.raises((ValueError, KeyError), match=message):
        to_torch(net)


# --- from PyTorch -----------------------------------------------------------------------------


def settled(module, seed=0):
    """Give a module numbers of its own, running statistics too, and put it into eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.dtype.is_floating_point:
            drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            drawn = drawn + 0.2 if "var" in name else 2 * drawn - 1
            tensor.copy_(drawn)
    return module.eval()


def agrees(module, precision=None, **arguments):
    """Return the network of a module, after comparing scores."""
    net = from_torch(module, **arguments)
    X = examples(30, net.dtype, net._arguments["input_dim"])
    with torch.no_grad():
        expected = module(torch.from_numpy(X))
    close(net.loss(X), expected.numpy(), precision or 20 * PRECISION[net.dtype])
    return net


def block(d, m, *more):
    return [nn.Linear(d, m), *more]


PATTERNS = {
    "linear": lambda: block(6, 4),
    "relu": lambda: [*block(6, 5, nn.ReLU()), *block(5, 4)],
    "in place": lambda: [*block(6, 5, nn.ReLU(inplace=True)), *block(5, 4)],
    "batchnorm": lambda: [*block(6, 5, nn.BatchNorm1d(5), nn.ReLU()), *block(5, 4)],
    "layernorm": lambda: [*block(6, 5, nn.LayerNorm(5), nn.Tanh()), *block(5, 4)],
    "no bias": lambda: [nn.Linear(6, 5, bias=False), nn.SiLU(), nn.Linear(5, 4, bias=False)],
    "no scales": lambda: [
        *block(6, 5, nn.BatchNorm1d(5, affine=False), nn.GELU()),
        *block(5, 5, nn.BatchNorm1d(5), nn.GELU()),
        *block(5, 4),
    ],
    "layernorm without bias": lambda: [
        *block(6, 5, nn.LayerNorm(5, bias=False), nn.Sigmoid()),
        *block(5, 5, nn.LayerNorm(5, elementwise_affine=False), nn.Sigmoid()),
        *block(5, 4),
    ],
    "dropout": lambda: [
        *block(6, 5, nn.LeakyReLU(), nn.Dropout(0.3)),
        *block(5, 5, nn.LeakyReLU(), nn.Dropout(0.3)),
        *block(5, 4),
    ],
    "nested": lambda: [
        nn.Flatten(),
        nn.Sequential(nn.Sequential(*block(6, 5)), nn.BatchNorm1d(5)),
        nn.Sequential(nn.ReLU(), nn.Identity(), nn.Dropout(0)),
        nn.Sequential(),
        nn.Linear(5, 4),
    ],
    "no activation": lambda: [*block(6, 5, nn.BatchNorm1d(5)), *block(5, 4)],
    "settings of each": lambda: [
        *block(6, 5, nn.BatchNorm1d(5, eps=1e-2, momentum=0.3), nn.ReLU()),
        *block(5, 5, nn.BatchNorm1d(5), nn.ReLU()),
        *block(5, 4),
    ],
    "one module twice": lambda: (
        lambda relu, linear: [nn.Linear(6, 5), relu, linear, relu, linear, relu, nn.Linear(5, 4)]
    )(nn.ReLU(), nn.Linear(5, 5)),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_pattern(dtype, pattern):
    """Without a warning: all of it can be trained on."""
    module = nn.Sequential(*PATTERNS[pattern]())
    module = settled(module.double() if dtype is np.float64 else module)
    net = agrees(module)
    assert net.dtype is dtype
    linear = sum(isinstance(layer, nn.Linear) for layer in leaves(module))
    assert net.num_layers == linear


def leaves(module):
    for child in module._modules.values():
        yield from [child] if not isinstance(child, nn.Sequential) else leaves(child)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("normalization", "dropout"), KINDS)
def test_there_and_back(dtype, tmp_path, normalization, dropout, activation):
    """Every bit of it, and it can be saved and trained."""
    net = network(dtype, normalization=normalization, dropout=dropout, activation=activation)
    for bn_param in net.bn_params:
        bn_param["eps"] = 1e-3
    state = np.random.get_state()[1].copy()
    again = from_torch(to_torch(net))
    assert (np.random.get_state()[1] == state).all(), "the network was drawn"
    assert type(again) is fc_net.FullyConnectedNet
    np.testing.assert_equal(again.params, net.params)
    assert [found["eps"] for found in again.bn_params] == [1e-3] * len(net.bn_params)
    X, y = examples(30, dtype, 6), cases.labels(30, 4)
    np.testing.assert_array_equal(again.loss(X), net.loss(X))
    for path in (tmp_path / "net.npz", tmp_path / "net.safetensors"):
        if path.suffix == ".npz" or pytest.importorskip("safetensors"):
            again.save(path)
            loaded = fc_net.FullyConnectedNet.load(path)
            np.testing.assert_array_equal(loaded.loss(X), net.loss(X))
    assert np.isfinite(again.loss(X, y)[0])
    if net.use_dropout:
        assert again.dropout_param["p"] == pytest.approx(1 - 0.3)


def test_arguments_of_the_network():
    module = settled(nn.Sequential(nn.Linear(3, 2)))
    assert from_torch(module).loss_name == "softmax"
    net = from_torch(module, loss="huber", loss_param=2)
    assert (net.loss_name, net.loss_param) == ("huber", 2.0)
    with pytest.raises(ValueError, match="loss is 'mse', expected"):
        from_torch(module, loss="mse")


def test_a_module_alone():
    agrees(settled(nn.Linear(6, 4)))


def test_reading_changes_nothing():
    module = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4)).train()
    before = copy.deepcopy(module.state_dict())
    net = from_torch(module)
    for value in net.params.values():
        value += 1
    for bn_param in net.bn_params:
        bn_param["running_var"] += 1
    assert module.training
    after = module.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_effective_weights():
    """A parametrisation gives the weight that the module computes with."""
    linear = nn.utils.parametrizations.weight_norm(nn.Linear(6, 5))
    with torch.no_grad():
        linear.parametrizations.weight.original0 *= 3
    agrees(nn.Sequential(linear, nn.ReLU(), nn.Linear(5, 4)).eval())


def test_a_subclass_that_computes_the_same():
    class Mine(nn.Linear):
        pass

    agrees(settled(nn.Sequential(Mine(6, 5), nn.ReLU(), nn.Linear(5, 4))))


# --- what is folded ---------------------------------------------------------------------------

FOLDED = {
    "batch norm first": (
        lambda: [nn.BatchNorm1d(6), *block(6, 5, nn.ReLU()), *block(5, 4)],
        [r"layer 0 \(BatchNorm1d\) is folded into layer 1 \(Linear\)"],
    ),
    "batch norm first, and after each": (
        lambda: [nn.BatchNorm1d(6), *block(6, 5, nn.BatchNorm1d(5), nn.ReLU()), *block(5, 4)],
        [r"from_torch: layer 0 \(BatchNorm1d\) is folded into layer 1 \(Linear\): the scores"],
    ),
    "batch norm after ReLU": (
        lambda: [*block(6, 5, nn.ReLU(), nn.BatchNorm1d(5)), *block(5, 4)],
        [r"layer 2 \(BatchNorm1d\) is folded into layer 3"],
    ),
    "batch norm after ReLU and dropout": (
        lambda: [*block(6, 5, nn.ReLU(), nn.Dropout(), nn.BatchNorm1d(5)), *block(5, 4)],
        [r"layer 3 \(BatchNorm1d\) is folded into layer 4"],
    ),
    "two batch norms": (
        lambda: [*block(6, 5, nn.BatchNorm1d(5), nn.BatchNorm1d(5), nn.ReLU()), *block(5, 4)],
        [r"layer 1 \(BatchNorm1d\) is folded into layer 0"],
    ),
    "two batch norms after ReLU": (
        lambda: [*block(6, 5, nn.ReLU(), nn.BatchNorm1d(5), nn.BatchNorm1d(5)), *block(5, 4)],
        ["layer 2 ", "layer 3 "],
    ),
    "batch norm after layer norm": (
        lambda: [*block(6, 5, nn.LayerNorm(5), nn.BatchNorm1d(5), nn.ReLU()), *block(5, 4)],
        [r"layer 2 \(BatchNorm1d\) is folded into layer 1 \(LayerNorm\)"],
    ),
    "layer norm after batch norm": (
        lambda: [*block(6, 5, nn.BatchNorm1d(5), nn.LayerNorm(5), nn.ReLU()), *block(5, 4)],
        [r"layer 1 \(BatchNorm1d\) is folded into layer 0 \(Linear\)"],
    ),
    "batch norm in one layer": (
        lambda: [*block(6, 5, nn.BatchNorm1d(5), nn.ReLU()), *block(5, 5, nn.ReLU()), *block(5, 4)],
        [r"layer 1 \(BatchNorm1d\) is folded into layer 0 \(Linear\)"],
    ),
    "mixed norms": (
        lambda: [
            *block(6, 5, nn.LayerNorm(5), nn.ReLU()),
            *block(5, 5, nn.LayerNorm(5), nn.BatchNorm1d(5), nn.ReLU()),
            *block(5, 4, nn.BatchNorm1d(4)),
        ],
        [r"layer 5 \(BatchNorm1d\) is folded into", r"layer 8 \(BatchNorm1d\) is folded into"],
    ),
    "batch norm last": (
        lambda: [*block(6, 5, nn.ReLU()), *block(5, 4, nn.BatchNorm1d(4))],
        [r"layer 3 \(BatchNorm1d\) is folded into layer 2"],
    ),
    "a cumulative average": (
        lambda: [*block(6, 5, nn.BatchNorm1d(5, momentum=None), nn.ReLU()), *block(5, 4)],
        [r"layer 1 \(BatchNorm1d\) is folded into layer 0"],
    ),
    "no activation in one layer": (
        lambda: [*block(6, 7), *block(7, 5, nn.ReLU()), *block(5, 3), *block(3, 4)],
        [r"layer 0 \(Linear\) is multiplied into layer 1", "layer 3 .* multiplied into layer 4"],
    ),
    "no activation, but batch norm": (
        lambda: [
            *block(6, 7, nn.BatchNorm1d(7), nn.Dropout()),
            *block(7, 5, nn.BatchNorm1d(5), nn.ReLU()),
            *block(5, 4),
        ],
        ["layer 1 .* folded into layer 0", "layer 2 .* left out", "layer 0 .* multiplied into"],
    ),
    "other dropout": (
        lambda: [
            *block(6, 5, nn.ReLU(), nn.Dropout(0.2)),
            *block(5, 5, nn.ReLU(), nn.Dropout(0.3)),
            *block(5, 4),
        ],
        [r"layer 2 \(Dropout\) is left out", r"layer 5 \(Dropout\) is left out"],
    ),
    "dropout elsewhere": (
        lambda: [
            nn.Dropout(0.2),
            *block(6, 5, nn.Dropout(0.1), nn.BatchNorm1d(5), nn.Dropout(0.3), nn.ReLU()),
            *block(5, 4, nn.Dropout(0.5)),
        ],
        [rf"layer {i} \(Dropout\) is left out" for i in (0, 2, 4, 7)],
    ),
    "dropout of everything": (
        lambda: [*block(6, 5, nn.ReLU(), nn.Dropout(1.0)), *block(5, 4)],
        [r"layer 2 \(Dropout\) is left out"],
    ),
    "nested": (
        lambda: [nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 4)],
        [r"layer 0\.0 \(BatchNorm1d\) is folded into layer 0\.1 \(Linear\)"],
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_what_is_folded(dtype, name):
    layers, notes = FOLDED[name]
    module = nn.Sequential(*layers())
    module = settled(module.double() if dtype is np.float64 else module)
    with pytest.warns(UserWarning, match="^from_torch: ") as caught:
        agrees(module, 100 * PRECISION[dtype])
    (warning,) = caught
    for note in notes:
        assert re.search(note, str(warning.message)), warning.message
    assert warning.filename == __file__


def test_what_is_left_follows_the_pattern():
    """What need not be folded is not."""
    layers, _ = FOLDED["batch norm first, and after each"]
    with pytest.warns(UserWarning, match="layer 0"):
        net = from_torch(settled(nn.Sequential(*layers())))
    assert net.normalization == "batchnorm"
    layers, _ = FOLDED["mixed norms"]
    with pytest.warns(UserWarning, match="layer 5"):
        net = from_torch(settled(nn.Sequential(*layers())))
    assert net.normalization == "layernorm"


# --- what is refused --------------------------------------------------------------------------


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    linear = nn.Linear(6, 4)
    linear.register_forward_hook(lambda module, x, out: 2 * out)
    return [linear]


def patched():
    linear = nn.Linear(6, 4)
    linear.forward = lambda x: x
    return [linear]


REFUSED = {
    "an operator that is none": (
        lambda: [nn.Unflatten(1, (2, 3)), nn.Conv1d(2, 2, 1)],
        r"layer 0 \(Unflatten\): expected Linear, BatchNorm1d, LayerNorm, Dropout, Flatten",
    ),
    "an unknown activation": (
        lambda: [*block(6, 5), nn.Sequential(nn.Softplus()), *block(5, 4)],
        r"layer 1\.0 \(Softplus\): expected Linear, ",
    ),
    "another slope": (
        lambda: [*block(6, 5, nn.LeakyReLU(0.2)), *block(5, 4)],
        r"layer 1 \(LeakyReLU\): its negative_slope is 0\.2, expected 0\.01",
    ),
    "another gelu": (
        lambda: [*block(6, 5, nn.GELU("tanh")), *block(5, 4)],
        r"layer 1 \(GELU\): its approximate is 'tanh', expected 'none'",
    ),
    "no running statistics": (
        lambda: [
            *block(6, 5, nn.BatchNorm1d(5, track_running_stats=False), nn.ReLU()),
            *block(5, 4),
        ],
        r"layer 1 \(BatchNorm1d\): it has no running statistics",
    ),
    "two axes": (
        lambda: [*block(6, 5, nn.LayerNorm((1, 5)), nn.ReLU()), *block(5, 4)],
        r"layer 1 \(LayerNorm\): its normalized_shape is \(1, 5\)",
    ),
    "another flatten": (
        lambda: [nn.Flatten(0), *block(6, 4)],
        r"layer 0 \(Flatten\): it flattens from axis 0 to -1, expected from 1 to -1",
    ),
    "softmax at the end": (
        lambda: [*block(6, 4, nn.Softmax(1))],
        r"layer 1 \(Softmax\): a network gives scores, .*: leave it off",
    ),
    "an activation at the end": (
        lambda: [*block(6, 4, nn.Sigmoid())],
        r"layer 1 \(Sigmoid\): expected nothing behind the last affine layer",
    ),
    "layer norm at the end": (
        lambda: [*block(6, 4, nn.LayerNorm(4))],
        r"layer 1 \(LayerNorm\): expected an activation and an affine layer behind",
    ),
    "an activation first": (
        lambda: [nn.ReLU(), *block(6, 4)],
        r"layer 0 \(ReLU\): expected an affine layer before it",
    ),
    "layer norm first": (
        lambda: [nn.LayerNorm(6), *block(6, 4)],
        r"layer 0 \(LayerNorm\): expected between an affine layer and its activation",
    ),
    "layer norm after ReLU": (
        lambda: [*block(6, 5, nn.ReLU(), nn.LayerNorm(5)), *block(5, 4)],
        r"layer 2 \(LayerNorm\): expected between an affine layer and its activation",
    ),
    "layer norm twice": (
        lambda: [*block(6, 5, nn.LayerNorm(5), nn.LayerNorm(5), nn.ReLU()), *block(5, 4)],
        r"layer 2 \(LayerNorm\): expected one normalisation, there is layer 1 \(LayerNorm\)",
    ),
    "layer norm in one layer": (
        lambda: [*block(6, 5, nn.LayerNorm(5), nn.ReLU()), *block(5, 5, nn.ReLU()), *block(5, 4)],
        r"layer 1 \(LayerNorm\): expected in every hidden layer or in none",
    ),
    "layer norm without activation": (
        lambda: [*block(6, 5, nn.LayerNorm(5)), *block(5, 5, nn.ReLU()), *block(5, 4)],
        r"layer 1 \(LayerNorm\): expected an activation behind it",
    ),
    "another activation in a layer": (
        lambda: [*block(6, 5, nn.ReLU()), *block(5, 5, nn.Tanh()), *block(5, 4)],
        r"layer 3 \(Tanh\): expected relu, as layer 1 \(ReLU\)",
    ),
    "two activations": (
        lambda: [*block(6, 5, nn.ReLU(), nn.BatchNorm1d(5), nn.Tanh()), *block(5, 4)],
        r"layer 3 \(Tanh\): expected an affine layer after layer 2 \(BatchNorm1d\)",
    ),
    "sizes that do not fit": (
        lambda: [*block(6, 5, nn.ReLU()), *block(6, 4)],
        r"layer 2 \(Linear\): it takes 6 features, 5 come",
    ),
    "a norm that does not fit": (
        lambda: [*block(6, 5, nn.BatchNorm1d(4), nn.ReLU()), *block(5, 4)],
        r"layer 1 \(BatchNorm1d\): it takes 4 features, 5 come",
    ),
    "nothing": (lambda: [nn.Flatten()], "there is no affine layer, expected one at least"),
    "a forward of one's own": (
        lambda: [Doubled(6, 4)],
        r"layer 0 \(Doubled\): expected Linear, ",
    ),
    "a forward put there": (patched, r"layer 0 \(Linear\): expected Linear, .* as fastfc has"),
    "hooks": (hooked, r"layer 0 \(Linear\): it has hooks"),
    "lazy": (lambda: [nn.LazyLinear(4)], r"layer 0 \(LazyLinear\): it has no numbers yet"),
    "meta": (
        lambda: [nn.Linear(6, 4, device="meta")],
        r"layer 0 \(Linear\): it has no numbers: it is on the device meta",
    ),
    "half": (
        lambda: [nn.Linear(6, 4, dtype=torch.bfloat16)],
        r"layer 0 \(Linear\): it has dtype torch\.bfloat16, expected torch\.float32 or ",
    ),
    "two dtypes": (
        lambda: [*block(6, 5, nn.ReLU()), nn.Linear(5, 4, dtype=torch.float64)],
        r"layer 2 \(Linear\): it has dtype torch\.float64, expected torch\.float32: convert",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    layers, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=f"^from_torch: {message}"):
        from_torch(nn.Sequential(*layers()))


def test_a_class_of_ones_own():
    class Net(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(ValueError, match=r"from_torch: the module \(Net\): expected Linear, "):
        from_torch(Net())
    with pytest.raises(TypeError, match="from_torch: module is 3, expected a torch"):
        from_torch(3)


def test_statistics_that_give_no_numbers():
    """A variance of 0 and no eps."""
    module = nn.Sequential(nn.BatchNorm1d(6, eps=0), nn.Linear(6, 4))
    module[0].running_var.zero_()
    with pytest.raises(ValueError, match=r"layer 0 \(BatchNorm1d\): expected running statistics"):
        from_torch(module)


@pytest.mark.parametrize(("d", "m"), [(1, 1), (1, 5), (7, 1)])
def test_any_size(d, m):
    module = nn.Sequential(nn.Linear(d, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, m))
    agrees(settled(module))
