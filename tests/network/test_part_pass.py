"""A pass over some rows of a batch, whose other rows others have: here threads, in place of ranks.

The parts' gradients add up to those of the whole batch.
"""

import copy
import itertools
import threading

import numpy as np
import pytest

pytest.importorskip("mpi4py", reason="mpi4py is not installed")

from fastfc.arrays import VARIANCE_BEYOND
from fastfc.distributed.exchange import Exchange
from fastfc.distributed.layers import Part, PartLayers
from fastfc.distributed.passes import _composed_loss
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference.fc_net import FullyConnectedNet as PLAIN
from fastfc.training.ranks import Votes
from fastfc.verifying.tolerance import unit


class Threads:
    """A team whose ranks are threads of this process."""

    def __init__(self, counts):
        self.size = len(counts)
        self._counts = np.array(counts)
        self._barrier = threading.Barrier(self.size, timeout=60)
        self._slots = [None] * self.size
        self.log = [[] for _ in counts]

    def counts(self, n):
        assert n == self._counts.sum()
        return self._counts

    def rank(self, rank):
        """Return the team as one of its ranks sees it."""
        seen = copy.copy(self)
        seen.collect = lambda numbers, what: self._collect(rank, numbers, what)
        seen.add = lambda numbers, what: self._collect(rank, numbers, what).sum(axis=0)
        return seen

    def _collect(self, rank, numbers, what):
        self.log[rank].append((what, numbers.shape, numbers.dtype))
        self._slots[rank] = numbers.copy()
        self._barrier.wait()
        found = np.stack(self._slots)
        self._barrier.wait()
        return found

    def run(self, part):
        """Return what ``part(rank)`` returns in a thread each."""
        found = [None] * self.size

        def keep(rank):
            try:
                found[rank] = part(rank)
            except BaseException as error:
                found[rank] = error
                self._barrier.abort()

        threads = [threading.Thread(target=keep, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return found


COUNTS = [(7, 6), (1, 12), (5, 1, 7), (13,)]
WITH_NONE = [(0, 13), (7, 0, 6)]
NETWORKS = [
    {"hidden_dims": hidden, "normalization": normalization, "activation": activation}
    for hidden, normalization, activation in itertools.product(
        ([33, 7], [1, 65]), (None, "batchnorm", "layernorm"), ("relu", "tanh")
    )
]
NETWORKS += [
    {"hidden_dims": []},
    {"hidden_dims": [33, 18], "normalization": "batchnorm", "dropout": 0.6, "rng": "philox"},
    {"hidden_dims": [31], "loss": "squared_error"},
    {"hidden_dims": [31], "loss": "poisson", "normalization": "batchnorm"},
]


def example(dtype, options, cls=FullyConnectedNet):
    """Return a network, X, y and weights of thirteen examples, of which some are 0."""
    np.random.seed(4)
    seed = {"seed": 9} if "rng" in options else {}
    options = {"weight_scale": 0.4, **seed, **options}
    net = cls(input_dim=18, num_classes=5, dtype=dtype, **options)
    rng = np.random.RandomState(6)
    X = rng.randn(13, 3, 6).astype(dtype)
    y = rng.randint(5, size=13) if "loss" not in options else rng.rand(13, 5)
    weights = rng.rand(13) * (rng.rand(13) < 0.7)
    return net, X, y, weights


def parts_of(net, X, y, weights, counts, composed=(), synchronised=True):
    """Return each part's loss and gradients, and the parts' logs of exchanges."""
    team = Threads(counts)
    ends = np.cumsum(counts)
    nets = [copy.deepcopy(net) for _ in counts]
    total = 13.0 if weights is None else float(weights.sum())

    def part(rank):
        rows = slice(ends[rank] - counts[rank], ends[rank])
        own = None if weights is None else weights[rows]
        exchange = Exchange(team.rank(rank), team.counts(13), Votes())
        args = X[rows], y[rows]
        if rank in composed or counts[rank] == 0:
            weight = (counts[rank] if own is None else own.sum()) / total
            layers = PartLayers(net._layers, exchange, Part(rows.start, 13, weight, synchronised))
            return _composed_loss(nets[rank], *args, own, layers)
        place = rows.start, 13, total, synchronised
        found = nets[rank]._network().part_loss(*args, nets[rank], own, exchange, *place)
        assert found is not None
        return found

    return team.run(part), team.log


def close(got, expected, dtype, size=1e-3):
    """Whether two arrays agree but for the rounding of some passes."""
    size = max(float(np.abs(expected).max(initial=0)), size)
    return float(np.abs(got - expected).max(initial=0)) <= 400 * unit(dtype) * size


def check(options, dtype, counts, weighted=False, composed=()):
    net, X, y, weights = example(dtype, options)
    weights = weights if weighted else None
    whole = copy.deepcopy(net)
    loss, grads = whole.loss(X, y, sample_weight=weights)
    found, log = parts_of(net, X, y, weights, counts, composed)
    assert all(entries == log[0] for entries in log)
    for own_loss, _ in found:
        assert type(own_loss) is dtype
        assert close(own_loss, loss, dtype)
    size = max(float(np.abs(grad).max()) for grad in grads.values())  # some are but rounding errors
    for name, expected in grads.items():
        total = sum(own[name].astype(np.float64) for _, own in found)
        assert close(total, expected, dtype, size), name


@pytest.mark.parametrize("options", NETWORKS, ids=str)
def test_parts_add_up(isa, dtype, options):
    for counts in COUNTS:
        check(options, dtype, counts)
    check(options, dtype, COUNTS[1], weighted=True)


@pytest.mark.parametrize("options", NETWORKS, ids=str)
def test_layers_one_by_one_do_the_same(dtype, options):
    """Also beside parts in one call of the core; and parts without rows are always so."""
    for counts in WITH_NONE:
        check(options, dtype, counts)
    check(options, dtype, (5, 1, 7), composed=(1, 2), weighted=True)
    check(options, dtype, (7, 6), composed=(0, 1))


@pytest.mark.filterwarnings("ignore:batchnorm_forward. the variance:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.* the variance of a feature is beyond:RuntimeWarning")
@pytest.mark.parametrize("scale", [1e-30, 1e19, 1e30])
def test_extreme_statistics(isa, scale):
    """Neither do squares overflow, nor vanish, where those of the whole batch do not."""
    options = {"hidden_dims": [33], "normalization": "batchnorm"}
    net, X, y, _ = example(np.float32, options)
    net.bn_params[0]["eps"] = 1e-12
    net.params["W1"] *= np.float32(scale)
    whole = copy.deepcopy(net)
    loss, grads = whole.loss(X, y)
    for composed in ((), (0, 1)):
        found, _ = parts_of(net, X, y, None, (5, 8), composed)
        assert close(found[0][0], loss, np.float32)
        for name in ("W2", "gamma1", "beta1"):
            assert close(sum(own[name] for _, own in found), grads[name], np.float32)


@pytest.mark.parametrize("counts", [(5, 8), (0, 13)])
@pytest.mark.parametrize("composed", [(), (0,), (0, 1)])
def test_every_rank_warns_of_a_variance_that_is_too_great(counts, composed):
    net, X, y, _ = example(np.float32, {"hidden_dims": [33], "normalization": "batchnorm"})
    net.params["W1"] *= np.float32(1e25)
    with pytest.warns(RuntimeWarning, match=VARIANCE_BEYOND) as caught:
        parts_of(net, X, y, None, counts, composed)
    assert len(caught) == 2


def test_own_statistics_are_not_exchanged():
    net, X, y, _ = example(np.float64, {"hidden_dims": [33], "normalization": "batchnorm"})
    found, log = parts_of(net, X, y, None, (6, 7), synchronised=False)
    assert [what for what, *_ in log[0]] == ["the loss"]
    alone = copy.deepcopy(net)
    loss, _ = alone.loss(X[:6], y[:6])
    other, _ = copy.deepcopy(net).loss(X[6:], y[6:])
    assert close(found[0][0], (6 * loss + 7 * other) / 13, np.float64)


def test_an_error_of_an_exchange_comes_through():
    class Broken:
        def __init__(self):
            self.grads = {}

        def loss(self, own):
            raise LookupError("no other rank")

    net, X, y, _ = example(np.float64, {"hidden_dims": [33]})
    with pytest.raises(LookupError, match="no other rank"):
        net._network().part_loss(X, y, net, None, Broken(), 0, 13, 13.0, True)
    assert np.isfinite(net.loss(X, y)[0])  # and the network can be used again


def test_rows_must_be_part_of_the_batch():
    exchange = Exchange(Threads((13,)), np.array([13]), Votes())
    net, X, y, _ = example(np.float64, {"hidden_dims": [33]})
    for first in (1, 2**62):
        with pytest.raises(ValueError, match=r"13 examples from .* are no part of a batch of 13"):
            net._network().part_loss(X, y, net, None, exchange, first, 13, 13.0, True)


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
def test_a_first_step_is_as_exact_as_the_whole_batch(normalization, isa):
    """Against float64, over many rows whose mean is far from 0."""
    counts = np.array([1500, 0, 2100])
    ends = np.cumsum(counts)
    rng = np.random.RandomState(2)
    X, y = (rng.randn(ends[-1], 18) + 30).astype(np.float32), rng.randint(5, size=ends[-1])
    nets = {}
    for dtype in (np.float32, np.float64):
        np.random.seed(4)
        options = {"normalization": normalization, "weight_scale": 0.1, "dtype": dtype}
        nets[dtype] = FullyConnectedNet([33, 18], input_dim=18, num_classes=5, **options)
        for name, w in nets[np.float32].params.items():
            nets[dtype].params[name] = w.astype(dtype)
    loss, exact = nets[np.float64].loss(X.astype(np.float64), y)
    whole, grads = copy.deepcopy(nets[np.float32]).loss(X, y)
    team = Threads(counts)

    def part(rank):
        rows = slice(ends[rank] - counts[rank], ends[rank])
        net = copy.deepcopy(nets[np.float32])
        exchange = Exchange(team.rank(rank), counts, Votes())
        if counts[rank] == 0:
            own = Part(rows.start, ends[-1], 0.0, True)
            return _composed_loss(
                net, X[rows], y[rows], None, PartLayers(net._layers, exchange, own)
            )
        place = rows.start, ends[-1], float(ends[-1]), True
        return net._network().part_loss(X[rows], y[rows], net, None, exchange, *place)

    found = team.run(part)
    assert abs(found[0][0] - loss) <= 2 * abs(whole - loss) + 2 * unit(np.float32) * loss
    for name, expected in exact.items():
        size = np.abs(expected).max() + 1e-3
        errors = [
            np.abs(got - expected).max() / size
            for got in (sum(own[name] for _, own in found), grads[name])
        ]
        assert errors[0] <= 2 * errors[1] + 8 * unit(np.float32), (name, errors)


def test_networks_over_the_reference_layers_too():
    options = {"hidden_dims": [9], "normalization": "batchnorm", "dropout": 0.7, "rng": "philox"}
    net, X, y, _ = example(np.float64, options, PLAIN)
    whole, grads = copy.deepcopy(net).loss(X, y)
    found, _ = parts_of(net, X, y, None, (6, 7), composed=(0, 1))
    assert close(found[1][0], whole, np.float64)
    for name, expected in grads.items():
        assert close(sum(own[name] for _, own in found), expected, np.float64), name
