"""Many training steps in one call leave, bit for bit, what as many calls of one step leave."""

import copy
import itertools
import threading

import numpy as np
import pytest

from fastfc import _core, fc_net, optim
from fastfc.networks.arguments import ACTIVATIONS
from tests.support.same import assert_same
from tests.support.streams import states_equal

STEPS = 7


def examples(dtype=np.float64, labels=np.int64, count=50):
    rng = np.random.RandomState(count)
    X = rng.randint(256, size=(count, 3, 4)) if dtype == np.uint8 else rng.randn(count, 3, 4)
    return X.astype(dtype), rng.randint(5, size=count).astype(labels)


def started(rule="adam", hidden=(9, 7), **options):
    """Return a network and its configs as a first step leaves them; the stream begins anew."""
    np.random.seed(4)
    model = fc_net.FullyConnectedNet(list(hidden), input_dim=12, num_classes=5, **options)
    X, y = examples()
    grads = model.loss(X, y)[1]
    configs = {}
    for name in model.params:
        config = {"learning_rate": 1e-3 * (1 + len(configs))}
        model.params[name], configs[name] = getattr(optim, rule)(
            model.params[name], grads[name], config
        )
    del grads
    np.random.seed(11)
    return model, configs


def one_by_one(model, configs, X, y, rule="adam", batch=6, rates=None, steps=STEPS, **given):
    """Take steps as the Solver takes them singly; return their losses."""
    losses = []
    for step in range(steps):
        for name, config in configs.items() if rates else ():
            config["learning_rate"] = rates[0][name] * rates[1][step]
        rows = _core.random_rows(len(y), batch)
        losses.append(model.train_step(X, y, rule, configs, rows=rows, **given))
    return losses


def together(model, configs, X, y, rule="adam", batch=6, rates=None, steps=STEPS, **given):
    """Take them in two calls; return their losses."""
    losses = []
    for first, last in ((0, steps // 2), (steps // 2, steps)):
        part = rates and (rates[0], rates[1][first:last])
        spent = model.__fastfc_train_steps__(
            *(X, y, rule, configs, batch, last - first, 60.0, losses), rates=part, **given
        )
        assert spent.dtype == np.float64
        assert len(spent) == last - first
        assert (np.diff(spent) >= 0).all()
    return losses


def left(model, configs, losses):
    return [losses, model.params, model.bn_params, configs, np.random.get_state()[1:3]]


def assert_equal(X, y, rule="adam", given=None, **options):
    results = []
    for way in (one_by_one, together):
        model, configs = started(rule, **options)
        losses = way(model, configs, X, y, rule, **(given or {}))
        results.append(left(model, configs, losses))
    assert_same(results[1], results[0])
    assert None not in results[0][0]


OPTIONS = [
    {"hidden": hidden, "normalization": normalization, **dropout}
    for hidden, normalization, dropout in itertools.product(
        ((), (33,), (20, 9, 7)),
        (None, "batchnorm", "layernorm"),
        (
            {},
            {"dropout": 0.5},
            {"dropout": 0.3, "dropout_convention": "drop"},
            {"dropout": 0.6, "rng": "philox"},
            {"dropout": 0.6, "rng": "philox", "seed": 3},
        ),
    )
]
OPTIONS += [
    {"hidden": (20, 9), "normalization": "batchnorm", "dropout": 0.5, "activation": activation}
    for activation in ACTIVATIONS
    if activation != "relu"
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_networks(isa, dtype, options):
    assert_equal(*examples(), dtype=dtype, **options)


@pytest.mark.parametrize("rule", optim.__all__)
@pytest.mark.parametrize("clip_norm", [None, 0.01, 1.0, 1e9])
@pytest.mark.parametrize("reg", [0, 0.3])
def test_rules(dtype, rule, clip_norm, reg):
    options = {"normalization": "batchnorm", "dropout": 0.5, "label_smoothing": 0.1}
    given = {"clip_norm": clip_norm} if clip_norm else {}
    assert_equal(*examples(), rule, given, reg=reg, dtype=dtype, **options)


@pytest.mark.parametrize("rule", optim.__all__)
def test_rates_of_a_schedule(dtype, rule):
    configs = started(rule)[1]
    base = {name: 0.1 + i / 7 for i, name in enumerate(configs)}
    factors = [1.0, 0.7, 1 / 3, 0.0, 2.5, 1e-300, 0.9]
    assert_equal(*examples(), rule, {"rates": (base, factors)}, dtype=dtype)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("normalize", [None, (0.3, 1.7)])
def test_examples(dtype, kind, normalize, tmp_path):
    X, y = examples(kind)
    given = {"normalize": normalize} if normalize else {}
    apart = np.zeros((2 * len(X), 3, 4), kind)[::2]  # rows with others between them
    apart[...] = X
    mapped = np.memmap(tmp_path / "X", kind, "w+", shape=X.shape)
    mapped[...] = X
    for x in (X, apart, apart[::-1], mapped):
        assert_equal(x, y, given=given, dtype=dtype)


@pytest.mark.parametrize("kind", "bhilqBHILQ")
def test_labels(kind):
    X, y = examples(labels=kind)
    apart = np.zeros((len(y), 3), kind)[:, 1]
    apart[...] = y
    for labels in (y, apart, y[::-1]):
        assert_equal(X, labels)


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 700])
@pytest.mark.parametrize("batch", [1, 6, 700])
def test_rows(count, batch):
    """Of any number of examples, more than there are too; of one none is drawn."""
    assert_equal(*examples(count=count), given={"batch": batch}, dropout=0.5)


@pytest.mark.parametrize("rule", optim.__all__)
def test_arrays_that_others_hold_are_not_written(rule):
    """But by sgd, as ever."""
    X, y = examples()
    model, configs = started(rule, normalization="batchnorm")
    together(model, configs, X, y, rule)
    held = copy.copy(model.params)
    states = [dict(config) for config in configs.values()]
    running = [dict(bn_param) for bn_param in model.bn_params]
    before = copy.deepcopy([held, states, running])
    together(model, configs, X, y, rule)
    if rule == "sgd":
        assert all(held[name] is model.params[name] for name in held)
        before[0] = held
    assert_same([held, states, running], before)
    twin, twins_configs = started(rule, normalization="batchnorm")
    one_by_one(twin, twins_configs, X, y, rule, steps=2 * STEPS)
    assert_same(
        [model.params, model.bn_params, configs], [twin.params, twin.bn_params, twins_configs]
    )


def test_no_step_begins_when_the_time_is_up():
    model, configs = started()
    for seconds in (0.0, -1.0):
        losses = []
        spent = model.__fastfc_train_steps__(*examples(), "adam", configs, 6, 50, seconds, losses)
        assert len(spent) == len(losses) == 1
        assert spent[0] > 0


def test_long_steps_are_taken_one_by_one():
    """For those look for signals, which many steps do not."""
    model, configs = started(normalization="batchnorm", dropout=0.5)
    before, losses = copy.deepcopy(left(model, configs, [])), []
    arguments = (*examples(), "adam", configs, 6, 5, 60.0, losses)
    watched = _core._watch(6 * (12 * 9 + 9 * 7 + 7 * 5) - 1, 0.1, 2**23)
    try:
        assert model.__fastfc_train_steps__(*arguments) is None
        assert_same(left(model, configs, losses), before)
        _core._watch(6 * (12 * 9 + 9 * 7 + 7 * 5), 0.1, 2**23)
        assert len(model.__fastfc_train_steps__(*arguments)) == len(losses) == 5
    finally:
        _core._watch(*watched)


def test_they_wait_for_the_thread_that_has_the_network():
    model, configs = started()
    before, losses = copy.deepcopy(model.params), []
    arguments = (*examples(), "adam", configs, 6, 5, 60.0, losses)
    thread = threading.Thread(target=model.__fastfc_train_steps__, args=arguments)
    with model.__fastfc_lock__():
        thread.start()
        thread.join(0.05)
        assert losses == []
        assert_same(model.params, before)
    thread.join()
    assert len(losses) == 5


# --- steps with news ----------------------------------------------------------------------------


def ends_before(X, y):
    """Take steps until one is refused; return how many, after comparing what they have left."""
    model, configs = started(normalization="batchnorm", dropout=0.5)
    losses = []
    arguments = ("adam", configs, 6, 30, 60.0)
    taken = len(model.__fastfc_train_steps__(X, y, *arguments, losses))
    again = model.__fastfc_train_steps__(X, y, *arguments, losses)
    assert len(again) == 0
    state = np.random.get_state()
    twin, twins_configs = started(normalization="batchnorm", dropout=0.5)
    expected = one_by_one(twin, twins_configs, X, y, steps=taken)
    assert states_equal(np.random.get_state(), state)
    assert_same(
        [model.params, model.bn_params, configs], [twin.params, twin.bn_params, twins_configs]
    )
    assert_same(losses, expected)
    return taken


def test_a_loss_that_is_not_finite():
    X, y = examples()
    X[3] = np.nan
    assert 0 < ends_before(X, y) < 30
    model, configs = started(normalization="batchnorm")
    losses = []
    spent = model.__fastfc_train_steps__(
        X, y, "adam", configs, 6, 30, 60.0, losses, takes_nonfinite=True
    )
    assert len(spent) == len(losses) == 30
    assert np.isnan(losses[-1])


@pytest.mark.parametrize("wrong", [-1, 5, 2**62])
def test_a_label_that_is_none(wrong):
    X, y = examples()
    y[3] = wrong
    assert 0 < ends_before(X, y) < 30


def test_labels_that_are_none_as_64_bits():
    X, y = examples(labels=np.uint64)
    y[3] = 2**63 + 1
    assert 0 < ends_before(X, y) < 30


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_variance_beyond_the_dtype(kind):
    X, y = examples(kind)
    X[3, 0, 0] = 1e30 if kind == np.float32 else 1e38
    assert 0 < ends_before(X, y) < 30


# --- what must be done in Python ------------------------------------------------------------------


class Own(fc_net.FullyConnectedNet):
    """A network whose training step is its own."""

    def __fastfc_train_step__(self, *args, **kwargs):
        return self.train_step(*args, **kwargs)


class Annealed(fc_net.FullyConnectedNet):
    """A network whose regularisation is computed."""

    @property
    def reg(self):
        return 0.1

    @reg.setter
    def reg(self, value):
        pass


class WithLoss(fc_net.FullyConnectedNet):
    def loss(self, X, y=None):
        return super().loss(X, y)


class Labels(np.ndarray):
    pass


def unserved():
    X, y = examples()
    yield "float16", {"X": X.astype(np.float16)}
    yield "integers", {"X": X.astype(int)}
    yield "rows of Fortran order", {"X": np.asfortranarray(X)}
    yield "swapped bytes", {"X": X.astype(X.dtype.newbyteorder())}
    yield "a list", {"X": X.tolist()}
    yield "too few examples", {"X": X[:-1]}
    yield "labels of a class", {"y": y.view(Labels)}
    yield "labels with swapped bytes", {"y": y.astype(y.dtype.newbyteorder())}
    yield "float labels", {"y": y.astype(float)}
    yield "labels with an axis", {"y": y[:, None]}
    yield "no labels", {"X": X[:0], "y": y[:0]}
    for kind in (Own, Annealed, WithLoss):
        yield kind.__name__, {"class": kind}
    yield "a seed of np.random", {"options": {"dropout": 0.5, "seed": 3}}
    yield "no state yet", {"configs": True}


@pytest.mark.parametrize(("what", "case"), list(unserved()), ids=[what for what, _ in unserved()])
def test_unserved(what, case):
    model, configs = started(**case.get("options", {}))
    if "class" in case:
        model.__class__ = case["class"]
    if "configs" in case:
        configs = {name: {"learning_rate": 0.1} for name in configs}
    X, y = examples()
    X, y = case.get("X", X), case.get("y", y)
    before = copy.deepcopy([model.params, configs])
    state, losses = np.random.get_state(), []
    assert model.__fastfc_train_steps__(X, y, "adam", configs, 6, 5, 60.0, losses) is None
    assert states_equal(np.random.get_state(), state)
    assert losses == []
    assert_same([model.params, configs], before)


def test_other_generators_are_left_alone():
    before = np.random.get_bit_generator()
    model, configs = started()
    np.random.set_bit_generator(np.random.PCG64(5))
    try:
        drawn = np.random.get_bit_generator().state
        steps = model.__fastfc_train_steps__(*examples(), "adam", configs, 6, 5, 60.0, [])
        assert steps is None
        assert np.random.get_bit_generator().state == drawn
    finally:
        np.random.set_bit_generator(before)


@pytest.mark.parametrize("name", ["__fastfc_train_step__", "loss"])
def test_an_instance_with_a_step_of_its_own(name):
    model, configs = started()
    setattr(model, name, getattr(model, name))
    assert model.__fastfc_train_steps__(*examples(), "adam", configs, 6, 5, 60.0, []) is None


def test_rates_must_fit():
    model, configs = started()
    base = dict.fromkeys(configs, 0.1)
    arguments = (*examples(), "adam", configs, 6, 3, 60.0, [])
    with pytest.raises(ValueError, match=r"steps: factors has shape \(2,\), expected \(3,\)"):
        model.__fastfc_train_steps__(*arguments, rates=(base, [1.0, 1.0]))
    for other in (dict.fromkeys(list(base)[1:], 0.1), dict.fromkeys(base, 1), {**base, 1: 0.1}):
        assert model.__fastfc_train_steps__(*arguments, rates=(other, [1.0] * 3)) is None
