"""The scores of one example: by a predictor, by ``loss``, and beside a call that does nothing.

NumPy does what a predictor does, of the same weights, batch normalisation folded in: a product, a
sum and a maximum for each layer.  The rate is that at which weights are read.
"""

import functools
import itertools
import math

import numpy as np

from benchmarks import harness, step
from fastfc import _core
from fastfc.networks.predictor import fold, freeze, read_layers
from tests.support import cases

NETWORKS = ("digits", "seed")
OURS = ("into out", "loss", "empty call")  # other ways of fastfc's, and what any call costs


def contestants(run):
    """Return the names of the table's columns."""
    return [
        "fastfc",
        *OURS,
        *(["numpy"] if "numpy" in run.peers else []),
    ]


def rows(run):
    """Yield a row for each network and dtype."""
    for name, dtype in itertools.product(NETWORKS, cases.DTYPES):
        network = cases.NETWORKS[name]
        _, example, hidden, classes, _ = network
        sizes = [math.prod(example), *hidden, classes]
        weights = sum(d * m for d, m in itertools.pairwise(sizes)) * np.dtype(dtype).itemsize
        calls = {
            who: call for who, call in _calls(network, dtype).items() if who in contestants(run)
        }
        rate, shape = ("GB/s", weights), "1: " + "-".join(map(str, sizes))
        yield harness.row(run, "inference", name, shape, dtype, calls, rate, 1)


def _calls(network, dtype):
    model = step.solver("fastfc", network, dtype).model
    X = cases.normal((1, math.prod(network[1])), dtype, "X_test")
    model.loss(np.repeat(X, 2, 0), np.zeros(2, int))  # has running averages now
    predictor, x, out = model.predictor(), X[0], np.empty(network[3], dtype)
    layers = [fold(layer) for layer in read_layers(freeze(model))]
    return {
        "fastfc": functools.partial(predictor, x),
        "into out": functools.partial(predictor, x, out),
        "loss": functools.partial(model.loss, X),
        "empty call": functools.partial(_core.nothing, x),
        "numpy": functools.partial(_by_hand, layers, x),
    }


def _by_hand(layers, x):
    for W, b, *_ in layers[:-1]:
        x = np.maximum(x @ W + b, 0)
    W, b, *_ = layers[-1]
    return x @ W + b
