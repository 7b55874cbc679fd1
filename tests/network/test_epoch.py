"""An epoch in one call of the core leaves, bit for bit, what its steps one by one leave."""

import copy
import signal

import numpy as np
import pytest

import fastfc
from fastfc import _core, fc_net
from fastfc.update_rules import RULES
from tests.support.losses import LOSSES, labels_or_targets, weights
from tests.support.same import assert_same

COUNT, D, SCORES = 50, 12, 5


def examples(loss="softmax", dtype=np.float64, count=COUNT):
    X = np.random.RandomState(count).randn(count, 3, 4).astype(dtype)
    return X, labels_or_targets(loss, count, SCORES, dtype)


def started(rule="adam", hidden=(9, 7), **options):
    """Return a network and configs with all that the rule keeps; the stream begins anew."""
    np.random.seed(4)
    options = {"weight_scale": "he", **options}
    model = fc_net.FullyConnectedNet(list(hidden), D, SCORES, **options)
    configs = {}
    for i, (name, w) in enumerate(model.params.items()):
        state = {key: np.zeros_like(w) for key in RULES[rule].states[-1]}
        configs[name] = {**RULES[rule].constants, **state, "learning_rate": 1e-3 * (1 + i)}
    np.random.seed(11)
    return model, configs


def one_by_one(
    model, configs, X, y, rule, order, batch_size, losses, *, sample_weight=None, alpha=None,
    epsilons=None, rates=None, **given,
):  # fmt: skip
    for step in range(-(-len(order) // batch_size)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        total = len(rows) if sample_weight is None else sample_weight[rows].sum()
        if alpha is not None:
            model.reg = float(alpha / total)
        for name, config in configs.items():
            if epsilons is not None:
                config["epsilon"] = float(epsilons[step])
            if rates is not None:
                config["learning_rate"] = rates[0][name] * rates[1][step]
        losses.append(
            model.train_step(X, y, rule, configs, rows=rows, sample_weight=sample_weight, **given)
        )


def assert_equal(X, y, rule="adam", batch=8, order=None, given=None, **options):
    order = np.random.RandomState(9).permutation(len(X)) if order is None else order
    results = []
    for together in (False, True):
        model, configs = started(rule, **options)
        losses, reg = [], model.reg
        arguments = (X, y, rule, configs, order, batch, losses)
        if together:
            spent = model.__fastfc_train_epoch__(*arguments, **(given or {}))
            assert len(spent) == len(losses) == -(-len(order) // batch)
            assert spent.dtype == np.float64
            assert (np.diff(spent) > 0).all()
            assert model.reg == reg
        else:
            one_by_one(model, configs, *arguments[:3], *arguments[4:], **(given or {}))
        results.append([losses, model.params, model.bn_params, configs, np.random.get_state()[1:3]])
    assert None not in results[0][0]
    assert_same(results[1], results[0])


OPTIONS = [
    {},
    {"hidden": ()},
    {"normalization": "batchnorm", "dropout": 0.6},
    {"normalization": "layernorm", "dropout": 0.6, "rng": "philox"},
    {"dropout": 0.6, "rng": "philox", "seed": 3, "activation": "tanh"},
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_networks(isa, dtype, loss, options, weighted):
    given = {"alpha": 0.3, "sample_weight": weights(COUNT)} if weighted else {}
    X, y = examples(loss["loss"], dtype)
    assert_equal(X, y, given=given, dtype=dtype, **loss, **options)


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_rules(dtype, rule, clip_norm):
    given = {"alpha": 0.5, "clip_norm": clip_norm}
    assert_equal(*examples(), rule, given=given, dtype=dtype, dropout=0.5)


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_numbers_of_each_step(dtype, rule):
    steps = -(-COUNT // 8)
    _, configs = started(rule)
    base = {name: 0.1 + i / 7 for i, name in enumerate(configs)}
    given = {
        "epsilons": [1e-8 / np.sqrt(1 - 0.999 ** (t + 1)) for t in range(steps)],
        "rates": (base, [1 / (1 + t) for t in range(steps)]),
    }
    assert_equal(*examples(), rule, given=given, dtype=dtype)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(dtype, threads):
    before = fastfc.get_num_threads()
    fastfc.set_num_threads(threads)
    try:
        options = {
            "hidden": (300, 130),
            "dropout": 0.7,
            "loss": "huber",
            "normalization": "batchnorm",
        }
        X, y = examples("huber", dtype, 300)
        given = {"sample_weight": weights(300)}
        assert_equal(X, y, batch=70, given=given, dtype=dtype, **options)
    finally:
        fastfc.set_num_threads(before)


@pytest.mark.parametrize("batch", [1, 7, 50, 200])
@pytest.mark.parametrize("rows", [1, 49, 50, 120])
def test_orders(batch, rows):
    """Of some rows, of all, of some more than once; the last step is smaller."""
    order = np.random.RandomState(rows).randint(COUNT, size=rows)
    for kind in (np.int64, np.int32, list):
        given = order.tolist() if kind is list else order.astype(kind)
        assert_equal(*examples(), batch=batch, order=np.asarray(given), dropout=0.5)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int64, bool])
def test_targets_of_other_types(dtype, kind):
    X, y = examples("logistic", dtype)
    apart = np.zeros((2 * COUNT, SCORES), kind)[::2]
    apart[...] = y
    for targets in (y.astype(kind), apart, apart[::-1]):
        assert_equal(X, targets, loss="logistic", dtype=dtype)


def test_parts_of_an_epoch(monkeypatch):
    """Cut by the number of steps, and by the clock."""
    for name, value in (("EPOCH_STEPS", 3), ("EPOCH_SECONDS", 0.0)):
        with monkeypatch.context() as patch:
            patch.setattr(fc_net, name, value)
            epsilons = np.linspace(1e-8, 1e-3, 7)
            base = dict.fromkeys(started()[1], 0.1)
            given = {"epsilons": epsilons, "rates": (base, [1, 0.5, 1, 2, 3, 1, 0.1])}
            assert_equal(*examples(), given=given, dropout=0.5)


@pytest.mark.parametrize("count", [1, 3, 11])
@pytest.mark.parametrize("most", [4, 512])
def test_several_epochs(count, most, monkeypatch):
    monkeypatch.setattr(fc_net, "EPOCH_STEPS", most)
    X, y = examples()
    orders = np.array([np.random.RandomState(i).permutation(len(X)) for i in range(count)])
    epsilons = np.linspace(1e-8, 1e-3, 7 * count)
    model, configs = started(dropout=0.5)
    losses = []
    spent = model.__fastfc_train_epoch__(
        X, y, "adam", configs, orders, 8, losses, alpha=0.1, epsilons=epsilons
    )
    assert len(spent) == len(losses) == 7 * count
    state = np.random.get_state()[1:3]
    twin, twins = started(dropout=0.5)
    expected = []
    for i, order in enumerate(orders):
        some = epsilons[7 * i : 7 * i + 7]
        one_by_one(twin, twins, X, y, "adam", order, 8, expected, alpha=0.1, epsilons=some)
    assert_same([losses, model.params, configs], [expected, twin.params, twins])
    assert_same(state, np.random.get_state()[1:3])


def test_a_signal_ends_it_between_two_steps(monkeypatch):
    monkeypatch.setattr(fc_net, "EPOCH_STEPS", 1)
    model, configs = started(hidden=(200,))
    X, y = examples()
    order, losses = np.zeros(10**7, int), []

    def stop(number, frame):
        if losses:  # not before its first step, however slow the machine
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.__fastfc_train_epoch__(X, y, "adam", configs, order, 5, losses)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < len(losses) < 10**6
    assert {config["t"] for config in configs.values()} == {len(losses)}


# --- steps with news ----------------------------------------------------------------------------


def ends(X, y, sample_weight=None, **options):
    """Return how many steps are taken before the one with news, after comparing what is left."""
    model, configs = started(**options)
    losses, order = [], np.arange(COUNT)
    arguments = ("adam", configs, order, 6, losses)
    taken = len(model.__fastfc_train_epoch__(X, y, *arguments, sample_weight=sample_weight))
    assert taken == len(losses)
    state = np.random.get_state()[1:3]
    twin, twins = started(**options)
    expected = []
    one_by_one(
        twin, twins, X, y, "adam", order[: 6 * taken], 6, expected, sample_weight=sample_weight
    )
    assert_same([losses, model.params, configs], [expected, twin.params, twins])
    assert_same(state, np.random.get_state()[1:3])
    return taken


def test_news():
    X, y = examples()
    broken = X.copy()
    broken[20] = np.nan
    assert ends(broken, y, dropout=0.5) == 3
    wrong = y.copy()
    wrong[20] = SCORES
    assert ends(X, wrong, dropout=0.5) == 3
    for loss, value in (("logistic", 2), ("logistic", -0.5), ("poisson", -1), ("poisson", np.nan)):
        targets = examples(loss)[1]
        targets[20, 2] = value
        assert ends(X, targets, loss=loss, dropout=0.5) == 3
    w = np.ones(COUNT)
    w[18:24] = 0
    assert ends(X, y, w) == 3
    for value in (-1, np.nan, np.inf):
        w = np.ones(COUNT)
        w[20] = value
        assert ends(X, y, w) == 3
    model, configs = started()
    losses = []
    spent = model.__fastfc_train_epoch__(
        broken, y, "adam", configs, np.arange(COUNT), 6, losses, takes_nonfinite=True
    )
    assert len(spent) == len(losses) == 9


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"order": [0, COUNT]}, IndexError, r"order\[1\] is 50, expected a row of y from 0 to 49"),
        ({"order": [0, -1]}, IndexError, r"order\[1\] is -1, expected a row of y from 0 to 49"),
        ({"order": [[[0, 1]]]}, ValueError, r"order has shape \(1, 1, 2\), expected rows for"),
        ({"order": [0.5, 1]}, TypeError, "order has dtype float64, expected integers"),
        ({"sample_weight": np.ones(3)}, ValueError, r"sample_weight has shape \(3,\), expected"),
        ({"epsilons": [1e-8]}, ValueError, r"epsilons has shape \(1,\), expected \(2,\)"),
        ({"alpha": "1"}, TypeError, "alpha is '1', expected a number"),
    ],
)
def test_errors(changed, error, message):
    model, configs = started()
    X, y = examples()
    before = copy.deepcopy([model.params, configs])
    given = {"order": np.arange(10), **changed}
    with pytest.raises(error, match=message):
        model.__fastfc_train_epoch__(X, y, "adam", configs, given.pop("order"), 5, [], **given)
    assert_same([model.params, configs], before)


class WithLoss(fc_net.FullyConnectedNet):
    def loss(self, X, y=None):
        return super().loss(X, y)


def test_what_is_not_served():
    X, y = examples()
    order = np.arange(20)
    model, configs = started()
    losses = []
    assert model.__fastfc_train_epoch__(X.tolist(), y, "adam", configs, order, 5, losses) is None
    assert model.__fastfc_train_epoch__(X, y, "adam", {}, order, 5, losses) is None
    assert model.__fastfc_train_epoch__(X[:-1], y, "adam", configs, order, 5, losses) is None
    model.__class__ = WithLoss
    assert model.__fastfc_train_epoch__(X, y, "adam", configs, order, 5, losses) is None
    model, configs = started(dropout=0.5, seed=3)
    assert model.__fastfc_train_epoch__(X, y, "adam", configs, order, 5, losses) is None
    model, configs = started()
    watched = _core._watch(1, 0.1, 2**23)
    try:
        assert model.__fastfc_train_epoch__(X, y, "adam", configs, order, 5, losses) is None
    finally:
        _core._watch(*watched)
    assert len(model.__fastfc_train_epoch__(X, y, "adam", configs, order[:0], 5, losses)) == 0
    assert losses == []


def test_without_dropout_nobody_waits_for_the_generator():
    """Nor is anything drawn, whichever generator np.random has."""
    before = np.random.get_bit_generator()
    model, configs = started()
    np.random.set_bit_generator(np.random.PCG64(5))
    try:
        drawn = np.random.get_bit_generator().state
        spent = model.__fastfc_train_epoch__(*examples(), "adam", configs, np.arange(20), 5, [])
        assert len(spent) == 4
        assert np.random.get_bit_generator().state == drawn
    finally:
        np.random.set_bit_generator(before)
