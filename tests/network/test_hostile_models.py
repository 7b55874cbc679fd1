"""No model does harm: whatever its attributes are, whatever acts while a step reads them.

What the core does in one call is what the layers and rules one by one do, bit for bit, also where
parameters, configs and examples share memory; or it does nothing.
"""

import contextlib
import copy

import numpy as np
import pytest

from fastfc import fc_net, optim
from tests.support import hostile
from tests.support.composed import Composed
from tests.support.same import assert_same

X, Y = np.random.RandomState(0).rand(12, 6).astype(np.float32), np.arange(12) % 6


def build(network, rule="adam", dtype=np.float32, **options):
    """Return a network of three square layers, and configs as the rule leaves them."""
    np.random.seed(0)
    model = network([6, 6], input_dim=6, num_classes=6, dtype=dtype, weight_scale=0.5, **options)
    configs = {name: {"learning_rate": 0.5} for name in model.params}
    for _ in range(2):
        _, grads = model.loss(X, Y)
        for name in model.params:
            model.params[name], configs[name] = getattr(optim, rule)(
                model.params[name], grads[name], configs[name]
            )
    del grads
    return model, configs


def step(model, rule, configs, x):
    """Do a step, in one call or composed; return what is left behind, and whether in one."""
    loss = model.train_step(x, Y, rule, configs)
    fused = loss is not None
    if not fused:
        loss, grads = model.loss(x, Y)
        for name in model.params:
            model.params[name], configs[name] = getattr(optim, rule)(
                model.params[name], grads[name], configs[name]
            )
    return [loss, model.params, configs, model.bn_params], fused


def _tied(model, configs):
    model.params["W3"] = model.params["W2"]


def _tied_vectors(model, configs):
    model.params["b1"] = model.params["b3"]


def _views(model, configs):
    both = np.concatenate([model.params["W2"].ravel(), model.params["b1"], model.params["b2"]])
    model.params["W2"], model.params["b1"] = both[:36].reshape(6, 6), both[33:39]


def _neighbours(model, configs):
    both = np.concatenate([model.params["W2"].ravel(), model.params["b1"]])
    model.params["W2"], model.params["b1"] = both[:36].reshape(6, 6), both[36:]


def _one_config(model, configs):
    configs["W2"] = configs["W3"] = configs["W1"]


def _one_normalization(model, configs):
    if model.bn_params:
        model.bn_params[1] = model.bn_params[0]


def _shared_state(model, configs):
    for key, value in configs["W1"].items():
        configs["W2"][key] = configs["W3"][key] = value


def _state_is_parameter(model, configs):
    for key, value in configs["W1"].items():
        if np.ndim(value):
            configs["W1"][key] = model.params["W2"]


def _average_is_parameter(model, configs):
    if model.normalization == "batchnorm":
        model.bn_params[0]["running_mean"] = model.params["b1"]


SHARED = [
    _tied,
    _tied_vectors,
    _views,
    _neighbours,
    _one_config,
    _one_normalization,
    _shared_state,
    _state_is_parameter,
    _average_is_parameter,
]


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("share", SHARED, ids=lambda share: share.__name__)
def test_shared_memory(rule, share, normalization):
    results = []
    for network in (Composed, fc_net.FullyConnectedNet):
        model, configs = build(network, rule, normalization=normalization)
        share(model, configs)
        left = [step(model, rule, configs, X)[0] for _ in range(2)]
        results.append(copy.deepcopy(left))
    assert_same(results[1], results[0])


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("part", [slice(0, 6), slice(2, 6)])
def test_examples_that_are_a_parameter(rule, part):
    results = []
    for network in (Composed, fc_net.FullyConnectedNet):
        model, configs = build(network, rule)
        x = model.params["W1"][part]
        y = Y[: len(x)]
        loss = model.train_step(x, y, rule, configs)
        if loss is None:
            loss, grads = model.loss(x, y)
            for name in model.params:
                model.params[name], configs[name] = getattr(optim, rule)(
                    model.params[name], grads[name], configs[name]
                )
        results.append(copy.deepcopy([loss, model.params, configs]))
    assert_same(results[1], results[0])


@pytest.mark.parametrize("rule", optim.__all__)
def test_neighbours_in_memory_are_served(rule):
    model, configs = build(fc_net.FullyConnectedNet, rule)
    _neighbours(model, configs)
    assert step(model, rule, configs, X)[1]


# --- attributes -------------------------------------------------------------------------------


class Exchange:
    """The exchanges of a pass on some rows from the third on, made up."""

    def __init__(self, model, act=lambda: None):
        self.grads = {name: np.empty_like(w) for name, w in model.params.items() if np.ndim(w)}
        self.act = act

    def loss(self, own):
        self.act()
        return 1.5 * own

    def statistics(self, own, eps):
        self.act()
        mean, spread = own
        return np.stack([mean, spread**2 / 8, 1 / np.sqrt(spread**2 / 8 + 1e-5)])

    def means(self, own):
        self.act()
        return own / 8


def part_loss(model, x, y, exchange=None):
    """Return loss and gradients of some rows by the core, None where they must be composed."""
    exchange = exchange or Exchange(model)
    return model._network().part_loss(x, y, model, None, exchange, 2, 14, 14.0, True)


def unless_busy(act):
    """Act, unless that takes a network which is in the middle of a pass."""
    with contextlib.suppress(RuntimeError):
        act()


CALLS = {
    "loss": lambda model, configs: model.loss(X, Y),
    "part": lambda model, configs: part_loss(model, X[2:10], Y[2:10]),
    "scores": lambda model, configs: model.loss(X),
    "step": lambda model, configs: model.train_step(X, Y, "adam", configs),
}


@pytest.mark.parametrize("call", ["loss", "scores"])
@pytest.mark.parametrize("count", [0, -1, 2.5, None, 10**400, 4, 10**9])
@pytest.mark.parametrize("empty", [True, False])
def test_number_of_layers(call, count, empty):
    model, configs = build(fc_net.FullyConnectedNet)
    model.num_layers = count
    if empty:
        model.params = {}
    with pytest.raises(ValueError, match="num_layers"):
        CALLS[call](model, configs)


def test_normalizations_that_are_missing():
    model, _ = build(fc_net.FullyConnectedNet, use_batchnorm=True)
    model.bn_params.pop()
    with pytest.raises(ValueError, match="bn_params has 1 entries, expected 2"):
        model.loss(X, Y)


def changes(model, configs, kinds=hostile.CHANGES):
    """Yield what an actor does to a model while a call reads it."""
    for mapping in (model.params, *configs.values(), *model.bn_params, model.dropout_param):
        yield mapping.clear
        yield lambda m=mapping: m.update(dict.fromkeys(m))
        yield lambda m=mapping: m.update({k: np.zeros((1, 1), np.float32) for k in m})
    yield model.bn_params.clear
    yield lambda: setattr(model, "num_layers", 0)
    yield lambda: setattr(model, "dtype", np.float64)
    yield lambda: setattr(model, "params", {})
    yield lambda: model.loss(X, Y)
    yield lambda: model.train_step(X, Y, "adam", configs)
    for arrays in (model.params, *configs.values(), *model.bn_params):
        for value in list(arrays.values()):
            if np.ndim(value):
                for change in kinds:
                    yield lambda v=value, c=change: hostile.attempt(c, v)


def actors(model, configs, act):
    """Yield functions that put an actor somewhere in a model."""
    number = hostile.Actor(0.25, act)
    yield lambda: setattr(model, "label_smoothing", number)
    yield lambda: setattr(model, "reg", number)
    yield lambda: setattr(model, "num_layers", hostile.Actor(3, act))
    yield lambda: model.params.update(b2=hostile.Actor(model.params["b2"], act))
    yield lambda: model.params.update({hostile.Key("W2", act): 0})
    for mapping in (configs["b1"], model.bn_params[0], model.dropout_param):
        for key, value in list(mapping.items()):
            if isinstance(value, str):
                yield lambda m=mapping, k=key, v=value: m.update({k: hostile.word(v, act)})
            else:
                yield lambda m=mapping, k=key, v=value: m.update({k: hostile.Actor(v, act)})
            yield lambda m=mapping, k=key: [m.pop(k), m.update({hostile.Key(k, act): 0})]
    yield lambda: model.bn_params[0].update(eps=number)
    yield lambda: model.bn_params[0].update(momentum=number)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("rng", ["numpy", "philox"])
def test_a_model_that_acts(call, rng):
    """An answer or an error, and a network that computes on when its parts are put back."""
    options = {"use_batchnorm": True, "dropout": 0.5, "seed": 3, "rng": rng}
    model, configs = build(fc_net.FullyConnectedNet, **options)
    kinds = len(list(actors(model, configs, None)))
    many = len(list(changes(model, configs)))
    for i in range(kinds):
        for j in range(i % 7, many, 7):  # a seventh of all, another one for each actor
            model, configs = build_again(model, configs, options)
            act = list(changes(model, configs))[j]
            list(actors(model, configs, act))[i]()
            error = hostile.result_or_error(lambda m=model, c=configs: CALLS[call](m, c))[1]
            assert error is None or str(error)


def build_again(model, configs, options):
    """Return the network as it was first."""
    if not hasattr(build_again, "first"):
        build_again.first = {}
    key = str(options)
    if key not in build_again.first:
        build_again.first[key] = copy.deepcopy(build(fc_net.FullyConnectedNet, **options))
    return copy.deepcopy(build_again.first[key])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", ["X", "y"])
def test_examples_that_act(call, which):
    options = {"use_batchnorm": True, "dropout": 0.5}
    for j in range(len(list(changes(*build(fc_net.FullyConnectedNet, **options))))):
        model, configs = build_again(None, None, options)
        act = list(changes(model, configs))[j]
        x, y = hostile.Actor(X, act if which == "X" else None), Y
        if which == "y":
            x, y = X, hostile.Actor(Y, act)
        calls = {
            "step": lambda m=model, c=configs, x=x, y=y: m.train_step(x, y, "adam", c),
            "loss": lambda m=model, x=x, y=y: m.loss(x, y),
            "part": lambda m=model, x=x, y=y: part_loss(m, x, y),
            "scores": lambda m=model, x=x: m.loss(x),
        }
        error = hostile.result_or_error(calls[call])[1]
        assert error is None or str(error)


@pytest.mark.filterwarnings("ignore:.* the variance of a feature is beyond:RuntimeWarning")
@pytest.mark.parametrize("rng", ["numpy", "philox"])
def test_an_exchange_that_acts(rng):
    """An answer or an error, in the middle of a pass."""
    options = {"use_batchnorm": True, "dropout": 0.5, "rng": rng}
    count = len(list(changes(*build(fc_net.FullyConnectedNet, **options), hostile.IN_PLACE)))
    for j in range(count):
        model, configs = build_again(None, None, options)
        act = list(changes(model, configs, hostile.IN_PLACE))[j]

        exchange = Exchange(model, lambda act=act: unless_busy(act))
        error = hostile.result_or_error(
            lambda m=model, e=exchange: part_loss(m, X[2:10], Y[2:10], e)
        )[1]
        assert error is None or str(error)


def test_an_exchange_that_empties_the_room_for_gradients():
    """They are where they were to be, whoever forgets them."""
    model, _ = build(fc_net.FullyConnectedNet, use_batchnorm=True)
    _, expected = copy.deepcopy(part_loss(copy.deepcopy(model), X[2:10], Y[2:10]))
    exchange = Exchange(model)
    kept = dict(exchange.grads)
    exchange.act = exchange.grads.clear
    part_loss(model, X[2:10], Y[2:10], exchange)
    assert_same(kept, expected)
    exchange = Exchange(model)
    exchange.act = lambda: [exchange.grads.clear(), [np.ones((6, 6)) for _ in range(9)]]
    part_loss(model, X[2:10], Y[2:10], exchange)  # nobody keeps them


@pytest.mark.parametrize(
    "spoil",
    [
        *hostile.OTHER_ARRAYS.values(),
        lambda w: np.broadcast_to(np.float32(0), w.shape),
        lambda w: np.zeros(w.shape[::-1], w.dtype).T,
        lambda w: np.frombuffer(bytes(w.nbytes), w.dtype).reshape(w.shape),
        lambda w: "W",
    ],
)
def test_room_for_gradients_that_is_none(spoil):
    """Then they get other room, and are the same."""
    model, _ = build(fc_net.FullyConnectedNet)
    expected = part_loss(model, X[2:10], Y[2:10])
    for name, w in model.params.items():
        exchange = Exchange(model)
        exchange.grads[name] = spoil(w.copy())
        assert_same(part_loss(model, X[2:10], Y[2:10], exchange), expected)


@pytest.mark.parametrize("grads", [None, [], 3])
def test_room_for_gradients_that_is_no_dictionary(grads):
    model, _ = build(fc_net.FullyConnectedNet)
    exchange = Exchange(model)
    exchange.grads = grads
    with pytest.raises(TypeError, match="grads"):
        part_loss(model, X[2:10], Y[2:10], exchange)


def test_positions_outside_the_generators_block():
    model, configs = build(fc_net.FullyConnectedNet, dropout=0.5)
    for position in (-1, 625, 700, 10**8):
        hostile.set_position(position)
        for call in ("loss", "step"):
            with pytest.raises(
                ValueError, match=f"position {position}, expected one from 0 to 624"
            ):
                CALLS[call](model, configs)
