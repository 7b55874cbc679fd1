"""A model of what a training step costs on R ranks, fitted on what two ranks have taken.

For a batch of N rows, of which a rank has n = ceil(N / R):

    t = compute(n) + (draw + skip * H) * (N - n) + messages + merge * R * F + overhead
    compute(n) = a + b * n                                           on one rank alone
    message    = latency * log2 R + 2 (R - 1) / R * bytes / bandwidth       of an allreduce
                 latency * log2 R +     (R - 1)   * bytes / bandwidth       of an allgather
    overhead   = c0 + c1 * (bytes of gradient) + c2 * (batch norms that are synchronised)
                 + c3 * compute(n)

Each rank draws the whole minibatch's rows. H are the units whose masks dropout draws: NumPy's
stream has to step over other rows' draws. F are the features whose statistics each rank merges from
all ranks. Overhead is what ranks do that one process does not: they collect the gradients, update
apart from them, wait for the slower one, share a memory. The messages' terms are what the best
algorithms reach on a network in which nobody is in anybody's way (Thakur, Rabenseifner & Gropp
2005): real ones are slower, rarely faster.

Every fit is by least squares of the relative errors, times being positive and of all sizes; a
constant that came out negative is left out.
"""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Link:
    """What a message between two ranks costs: seconds, and bytes a second."""

    latency: float
    bandwidth: float


@dataclasses.dataclass(frozen=True)
class Compute:
    """Seconds of a step of one rank alone: of any, and of each row."""

    step: float
    row: float

    def seconds(self, rows):
        """Return the seconds of a step over so many rows."""
        return self.step + self.row * rows


@dataclasses.dataclass(frozen=True)
class Step:
    """A training step that ranks share.

    Attributes
    ----------
    batch : int
        Rows of all ranks.
    compute : Compute
    masked : int
        Units whose masks dropout draws, for each row.
    gradient : int
        Bytes.
    features : tuple of int
        Of each synchronised batch normalisation.
    messages : dict
        Kind -> how many, and bytes that a rank gives in all of them.
    """

    batch: int
    compute: Compute
    masked: int
    gradient: int
    features: tuple
    messages: dict

    def rows(self, ranks):
        """Return the rows of the rank that has most."""
        return math.ceil(self.batch / ranks)


@dataclasses.dataclass(frozen=True)
class Costs:
    """The constants of a machine's ranks; see the head of this module."""

    draw: float
    skip: float
    merge: float
    links: dict
    overhead: tuple = (0.0, 0.0, 0.0, 0.0)

    def seconds(self, step, ranks):
        """Return the seconds of a step; of one rank, those of computing alone."""
        if ranks == 1:
            return step.compute.seconds(step.batch)
        return sum(self.parts(step, ranks).values())

    def parts(self, step, ranks):
        """Return the seconds of a step by what they go to."""
        rows = step.rows(ranks)
        return {
            "computing": step.compute.seconds(rows),
            "draws of rows": self.draw * (step.batch - rows),
            "draws of masks": self.skip * (step.batch - rows) * step.masked,
            "messages": messages(self.links, step.messages, ranks),
            "statistics": self.merge * ranks * sum(step.features),
            "overhead": float(np.dot(self.overhead, _overhead(step, ranks))),
        }


def _overhead(step, ranks):
    """Return what the constants of the overhead are multiplied with."""
    return 1.0, step.gradient, len(step.features), step.compute.seconds(step.rows(ranks))


def messages(links, kinds, ranks):
    """Return the seconds of messages: kind -> how many, and their bytes."""
    total = 0.0
    for kind, (count, nbytes) in kinds.items():
        link = links.get(kind, links["allreduce"])
        wire = ranks - 1 if kind == "allgather" else 2 * (ranks - 1) / ranks
        total += count * link.latency * math.log2(ranks) + wire * nbytes / link.bandwidth
    return total


def fit_link(sizes, seconds):
    """Return the link on which messages of these bytes take these times, between two ranks."""
    latency, second_per_byte = _fit(np.column_stack([np.ones(len(sizes)), sizes]), seconds)
    return Link(latency, 1 / second_per_byte if second_per_byte else math.inf)


def fit_compute(rows, seconds):
    """Return what fits the times of batches of so many rows."""
    return Compute(*_fit(np.column_stack([np.ones(len(rows)), rows]), seconds))


def fit_overhead(costs, steps, seconds, ranks=2):
    """Return the costs with an overhead that fits the times of these steps on so many ranks."""
    bare = dataclasses.replace(costs, overhead=Costs.overhead)
    rest = np.array([t - bare.seconds(step, ranks) for step, t in zip(steps, seconds, strict=True)])
    columns = np.array([_overhead(step, ranks) for step in steps])
    return dataclasses.replace(costs, overhead=tuple(_fit(columns, rest, seconds)))


def _fit(columns, values, scale=None):
    """Return non-negative constants c of columns @ c = values, errors relative to the scale."""
    scale = np.asarray(values if scale is None else scale, float)
    columns, values = np.asarray(columns, float) / scale[:, None], np.asarray(values) / scale
    size = np.abs(columns).max(axis=0)
    size[size == 0] = 1
    kept = list(range(columns.shape[1]))
    found = np.zeros(columns.shape[1])
    while kept:
        found[:] = 0
        found[kept] = np.linalg.lstsq(columns[:, kept] / size[kept], values)[0] / size[kept]
        if found.min() >= 0:
            break
        kept.remove(least := int(np.argmin(found * size)))
        found[least] = 0
    return [float(constant) for constant in found]
