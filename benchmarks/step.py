"""A whole training step under the Solver: draw a minibatch, forward, backward, Adam."""

import itertools
import math

import numpy as np

import fastfc.fc_net
import fastfc.optim
import fastfc.reference.fc_net
import fastfc.reference.optim
from benchmarks import harness
from fastfc.solver import Solver
from tests import cases

CONTESTANTS = {"fastfc": fastfc, "reference": fastfc.reference}


def rows(quick=False):
    """Yield a row for each network and dtype."""
    for name, network in cases.NETWORKS.items():
        for dtype in cases.DTYPES:
            contestants = {
                contestant: solver(package, network, dtype)._step
                for contestant, package in CONTESTANTS.items()
            }
            rate = ("GFLOP/s", flops(network))
            yield harness.row(
                "step", name, _text(network), np.dtype(dtype).name, contestants, rate, quick
            )


def solver(package, network, dtype):
    """Return a Solver over a network of one of the two packages; both start alike."""
    batch, example, hidden, classes, keep = network
    np.random.seed(0)
    model = package.fc_net.FullyConnectedNet(
        list(hidden),
        input_dim=math.prod(example),
        num_classes=classes,
        dropout=keep,
        use_batchnorm=True,
        dtype=dtype,
    )
    count = 4 * batch
    data = {
        "X_train": cases.normal((count, *example), dtype, "X_train"),
        "y_train": cases.labels(count, classes, "train"),
        "X_val": cases.normal((batch, *example), dtype, "X_val"),
        "y_val": cases.labels(batch, classes, "val"),
    }
    return Solver(
        model,
        data,
        update_rule=package.optim.adam,
        optim_config={"learning_rate": 5e-4},
        batch_size=batch,
        verbose=False,
    )


def flops(network):
    """Return the arithmetic of its products: three for each layer, but no gradient of the input."""
    batch, example, hidden, classes, _ = network
    sizes = [math.prod(example), *hidden, classes]
    products = [2 * batch * d * m for d, m in itertools.pairwise(sizes)]
    return 3 * sum(products) - products[0]


def _text(network):
    """100: 3072-100-100-100-10, batch first."""
    batch, example, hidden, classes, _ = network
    return f"{batch}: " + "-".join(map(str, [math.prod(example), *hidden, classes]))
