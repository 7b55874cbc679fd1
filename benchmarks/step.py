"""A whole training step under the Solver: draw a minibatch, forward, backward, Adam.

NumPy does it in the row's dtype, and where that is float32 also in the dtype in which the original
does.  The peers do the same with their own means, see `peers`.  Then such a step where many are
one call, as the Solver does them between two looks at a run; it takes long ones one by one.  Then
the scores of a batch in test mode.
"""

import functools
import itertools
import math

import numpy as np

import fastfc.fc_net
import fastfc.reference.fc_net
import fastfc.reference.optim
from benchmarks import harness, peers
from fastfc.solver import Solver
from tests.support import cases

# The package of the network, the update rule, the dtype where it is not the row's.  The original
# draws float64 masks: so its gradients and, from the first update on, its parameters are float64
# too, whatever it was asked for.
SOLVERS = {
    "fastfc": (fastfc, "adam", None),
    "reference": (fastfc.reference, fastfc.reference.optim.adam, None),
    "original": (fastfc.reference, fastfc.reference.optim.adam, np.float64),
}
LEARNING_RATE = 5e-4
MANY, FEW = 100, 10  # steps in one call; of long ones, whose calls cost next to nothing
LONG = 1e9  # floating-point operations


def contestants(run):
    """Return the names of the table's columns."""
    theirs = [
        name for peer in run.peers for name in (*peers.STEPS[peer], *peers.MANY_STEPS.get(peer, ()))
    ]
    return ["fastfc", *dict.fromkeys(theirs)]  # some have one name in both kinds of rows


def rows(run):
    """Yield a row for each network and dtype."""
    for name in run.networks or cases.NETWORKS:
        network = cases.NETWORKS[name]
        for dtype in cases.DTYPES:
            calls = {"fastfc": solver("fastfc", network, dtype)._step}
            for peer in run.peers:
                if peer == "numpy":
                    for numpy in peers.STEPS[peer]:
                        if SOLVERS[numpy][-1] != dtype:  # else it is the reference once more
                            calls[numpy] = solver(numpy, network, dtype)._step
                else:
                    steps = peers.load(peer).steps(network, data(network, dtype), LEARNING_RATE)
                    calls.update(steps)
            rate = ("GFLOP/s", flops(network))
            yield harness.row(run, "step", name, text(network), dtype, calls, rate)
            calls = many_steps(run, network, dtype)
            yield harness.row(run, "step", f"{name}, many", text(network), dtype, calls, rate)
            yield harness.row(run, "step", f"{name}, scoring", *scoring(run, network, dtype))


def steps_in_a_call(network):
    """Return how many steps are one call, in the rows of many steps."""
    return MANY if flops(network) < LONG else FEW


def many(network, dtype):
    """Return what takes many steps as the Solver does."""
    ours = solver("fastfc", network, dtype)
    ours._begin()
    ours._step()  # which makes Adam's state
    count = steps_in_a_call(network)
    at_once = ours._many_steps(1, math.inf)  # not where a step is long

    def call():
        if at_once and ours._many_steps(count, math.inf) != count:
            raise RuntimeError("the core has refused a step")
        for _ in range(0 if at_once else count):
            ours._step()

    return call


def many_steps(run, network, dtype):
    """Return the contestants that do many steps in one call."""
    calls, count = {"fastfc": many(network, dtype)}, steps_in_a_call(network)
    for peer in run.peers:
        if peer in peers.MANY_STEPS:
            given = data(network, dtype), LEARNING_RATE, count
            calls.update(peers.load(peer).many_steps(network, *given))
    return {name: harness.Contestant(call, times=count) for name, call in calls.items()}


def scoring(run, network, dtype):
    """Return the shape, dtype, contestants and rate of a pass in test mode; peers have none."""
    batch, example, *_ = network
    X = cases.normal((batch, *example), dtype, "X_val")
    calls = {}
    for name in ("fastfc", "reference") if "numpy" in run.peers else ("fastfc",):
        model = solver(name, network, dtype).model
        calls[name] = functools.partial(model.loss, X)
    return text(network), dtype, calls, ("GFLOP/s", sum(products(network)))


def data(network, dtype, batches=4):
    """Return a training split of so many batches, and a validation split of one."""
    batch, example, _, classes, _ = network
    count = batches * batch
    return {
        "X_train": cases.normal((count, *example), dtype, "X_train"),
        "y_train": cases.labels(count, classes, "train"),
        "X_val": cases.normal((batch, *example), dtype, "X_val"),
        "y_val": cases.labels(batch, classes, "val"),
    }


def solver(contestant, network, dtype, splits=None, batchnorm=True, **settings):
    """Return a Solver over a network of one of the two packages; all start alike."""
    batch, example, hidden, classes, keep = network
    package, rule, own_dtype = SOLVERS[contestant]
    np.random.seed(0)
    model = package.fc_net.FullyConnectedNet(
        list(hidden),
        input_dim=math.prod(example),
        num_classes=classes,
        dropout=keep,
        use_batchnorm=batchnorm,
        dtype=own_dtype or dtype,
    )
    return Solver(
        model,
        splits or data(network, dtype),
        update_rule=rule,
        optim_config={"learning_rate": LEARNING_RATE},
        batch_size=batch,
        verbose=False,
        **settings,
    )


def flops(network):
    """Return the arithmetic of its products: three for each layer, but no gradient of the input."""
    forward = products(network)
    return 3 * sum(forward) - forward[0]


def products(network):
    """Return the arithmetic of each layer's product in the forward pass."""
    batch, example, hidden, classes, _ = network
    sizes = [math.prod(example), *hidden, classes]
    return [2 * batch * d * m for d, m in itertools.pairwise(sizes)]


def text(network):
    """100: 3072-100-100-100-10, batch first."""
    batch, example, hidden, classes, _ = network
    return f"{batch}: " + "-".join(map(str, [math.prod(example), *hidden, classes]))
