"""What ranks tell each other during a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .statistics import merge

if TYPE_CHECKING:
    from .._types import AnyArray, Params
    from ..training.ranks import Votes
    from .team import Team


class Exchange:
    """The exchanges of a pass over a minibatch: a rank calls them in the order of the others.

    Parameters
    ----------
    team : Team
    counts : ndarray of int, shape (ranks,)
        How many rows of the minibatch each rank has.
    votes : Votes
        Of this rank, which go along with its part of the loss.
    grads : dict of ndarray, optional
        Where the gradients of the pass are to be.

    Attributes
    ----------
    found : list of ndarray, shape (3, D)
        What each call of `statistics` has returned.
    """

    def __init__(
        self, team: Team, counts: AnyArray, votes: Votes, grads: Params | None = None
    ) -> None:
        self._team = team
        self._counts = counts
        self._votes = votes
        self._size = int(counts.sum())
        self.grads = {} if grads is None else grads
        self.found: list[AnyArray] = []

    def statistics(self, own: AnyArray, eps: float) -> AnyArray:
        """Return mean, variance and rstd (3, D) of all rows, of own mean and spread (2, D)."""
        parts = self._team.collect(own, "batch normalisation's statistics")
        merged = merge(self._counts, parts, eps)
        self.found.append(merged)
        return merged

    def means(self, own: AnyArray) -> AnyArray:
        """Return the means over the batch of what own rows have the sums of."""
        return self._team.add(own.copy(), "batch normalisation's sums") / self._size

    def loss(self, own: float) -> float:
        """Return the loss of the batch, by own rows' part of it, and heed the votes."""
        own_votes = self._votes.own
        loss, *counted = self._team.add(np.array([own, *own_votes], np.float64), "the loss")
        self._votes.heed(np.array(counted))
        return float(loss)
