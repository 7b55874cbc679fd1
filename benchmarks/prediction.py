"""What the model of `cost` says of a cluster: a prediction, of which nothing has been measured."""

import dataclasses

from benchmarks import cost, scaling
from tests.support import cases

NODES = tuple(2**i for i in range(11))
LINKS = {  # between two nodes
    "10 Gbit/s": cost.Link(latency=25e-6, bandwidth=10e9 / 8),  # Ethernet, by TCP
    "100 Gbit/s": cost.Link(latency=2e-6, bandwidth=100e9 / 8),  # InfiniBand and its like
}
LABELS = {"10 Gbit/s": "25 µs and 10 Gbit/s", "100 Gbit/s": "2 µs and 100 Gbit/s"}


def own_batch(name):
    """Return the batch of a network, by the name of its rows."""
    return cases.NETWORKS[name.removesuffix(scaling.BATCHNORM)][0]


def names(fitted):
    """Return the names of rows of which the network's own batch has been measured."""
    return [name for name in fitted.node if (name, own_batch(name)) in fitted.steps]


def gains(fitted, name, link, weak=False):
    """Return, for each of `NODES`, how many times one node's rows a second they train.

    Parameters
    ----------
    fitted : scaling.Fitted
    name : str
        Of a network's rows.
    link : str
        Of `LINKS`.
    weak : bool
        Whether each node has the network's own batch, or all of them share one.
    """
    costs = dataclasses.replace(fitted.costs, links={"allreduce": LINKS[link]})
    alone = costs.seconds(shared(fitted, name, 1), 1)
    found = []
    for nodes in NODES:
        times = nodes if weak else 1
        found.append(times * alone / costs.seconds(shared(fitted, name, times), nodes))
    return found


def shared(fitted, name, times):
    """Return the step of so many times the network's own batch, on nodes of two threads."""
    batch = own_batch(name)
    step = fitted.steps[name, batch]
    return dataclasses.replace(step, batch=times * batch, compute=fitted.node[name])
