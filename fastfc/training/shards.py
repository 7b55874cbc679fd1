"""Data that no rank holds whole: each has some of the rows, its shard.

The rows of all shards are numbered in the order of the ranks.  All ranks draw the same numbers, and
each takes those that are its own; a minibatch is in the order of its numbers, so that a rank's rows
follow each other in it.  A run does not depend on where the data are cut.

Considered and left: as many rows of every shard.  All ranks have the same work then, but of shards
that differ in length or in what they hold rows are not drawn alike, and the run is another one for
each number of ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .ranks import Ranked
from .state import SPLITS, checksum, describe_split, marked_rows, marks_of

if TYPE_CHECKING:
    from .._types import AnyArray, Labels
    from ..distributed import Team


class Cut:
    """How the rows of a split are cut into shards.

    Parameters
    ----------
    counts : array_like of int, shape (ranks,)
        How many rows each rank has.
    rank : int
        This one.

    Attributes
    ----------
    total : int
        How many rows all ranks have.
    first : int
        The number of this rank's first row.

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc.training.shards import Cut
    >>> cut = Cut([5, 0, 3], rank=2)
    >>> cut.total, cut.first
    (8, 5)
    >>> cut.deal(np.array([0, 4, 5, 7, 7]))
    (array([0, 2, 2]), array([2, 0, 3]))
    """

    def __init__(self, counts: Any, rank: int) -> None:
        self._ends = np.cumsum(counts)
        self._rank = rank
        self.total = int(self._ends[-1])
        self.first = int(self._ends[rank] - counts[rank])

    def deal(self, rows: Labels) -> tuple[Labels, AnyArray]:
        """Return which of these rows are own ones, as places in the shard, and how many each has.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Numbers of rows, in ascending order.

        Returns
        -------
        own : ndarray of int
        counts : ndarray of int, shape (ranks,)
        """
        cuts = np.concatenate([[0], np.searchsorted(rows, self._ends)])
        own = rows[cuts[self._rank] : cuts[self._rank + 1]]
        return own - self.first, np.diff(cuts)


class Sharded(Ranked):
    """The part of a Solver that knows whether other ranks have other rows.

    ``_cuts`` has the `Cut` of each split of which they do; ``_marks`` is what tells the data of all
    ranks apart from others, None where they are all here.
    """

    @property
    def _train_size(self) -> int:
        """How many examples there are to train on, on all ranks."""
        return self._cuts["train"].total if "train" in self._cuts else len(self.y_train)

    @property
    def _steps_per_epoch(self) -> int:
        return max(self._train_size // self.batch_size, 1)

    def _find_shards(self) -> None:
        """Learn what rows the other ranks have, where the data are shards.

        Raises
        ------
        ValueError
            Shards differ in more than in how many rows they have and what is in them, or all are
            empty.
        """
        self._cuts, self._marks = {}, None
        team = self._team
        if not self.shards:
            return
        if team is None:
            for split in SPLITS:
                self._check_whole(split, None)
            return
        with self._together():
            about = self._compare_shards(team)
            self._marks = {}
            for split in SPLITS:
                self._marks |= self._find_cut(team, split, about)

    def _compare_shards(self, team: Team) -> dict[str, str]:
        """Return what the ranks' shards have in common; raise ValueError where they do not."""
        from .. import distributed

        ranks = team.collect_objects(self._describe_shard(), "what their shards are")
        known: dict[str, str] = {}
        for found in ranks:
            known = {**found, **known}
        different = distributed.find_differences([{**known, **found} for found in ranks])
        if different is not None:
            raise self._agree(ValueError(f"comm: {different}"))
        return known

    def _describe_shard(self) -> dict[str, str]:
        """Return what is to be the same on all ranks; a shard without rows has no dtype."""
        found = {"shards": repr(self.shards)}
        for split in SPLITS:
            X, y, weights = self._split(split)
            found[f"shape of examples of X_{split}"] = str(tuple(map(int, X.shape[1:])))
            if len(y):
                found[f"dtype of X_{split}"] = str(X.dtype)
                found[f"dtype of y_{split}"] = str(y.dtype)
            found[f"w_{split}"] = "of none" if weights is None else "of each example"
        return found

    def _find_cut(self, team: Team, split: str, about: dict[str, str]) -> dict[str, object]:
        """Find how a split is cut; return what tells the whole of it apart.

        Validation data that are the same on all ranks are not cut.
        """
        self._check_whole(split, team)
        X, y, weights = self._split(split)
        if split == "val":
            own = marks_of(split, X, y), None if weights is None else checksum(weights)
            found = team.collect_objects(own, "checksums of X_val")
            if all(other == found[0] for other in found):
                return own[0]
        counts = team.collect(np.array([len(y)]), f"how many rows X_{split} has")[:, 0]
        cut = self._cuts[split] = Cut(counts, team.rank)
        places = [i for i in marked_rows(cut.total) if 0 <= i - cut.first < len(y)]
        rows: dict[int, AnyArray] = {}
        mine = {i: np.asarray(X[i - cut.first]) for i in places}
        for part in team.collect_objects(mine, f"some rows of X_{split}"):
            rows |= part
        labels = 0
        for rank in range(team.size):  # each goes on with the checksum of those before
            own_mark = checksum(y, labels) if rank == team.rank else None
            labels = team.lead(own_mark, f"checksums of y_{split}", rank)
        return describe_split(
            split,
            [cut.total, *X.shape[1:]],
            [rows[i] for i in sorted(rows)],
            labels,
            *(about[f"dtype of {name}_{split}"] for name in "Xy"),
        )

    def _check_whole(self, split: str, team: Team | None) -> None:
        """Raise ValueError if all ranks together have no example, or none that counts."""
        _, y, weights = self._split(split)
        here = np.array([len(y), 1.0 if weights is None else weights.sum()])
        if team is not None:
            here = team.add(here, f"how many rows X_{split} has")
        error = None
        if here[0] == 0:
            error = f"X_{split} has no rows on any rank, expected at least one"
        elif not 0 < here[1] < np.inf:
            error = f"w_{split} has the sum {here[1]} over all ranks, expected a finite one above 0"
        if error is not None:
            raise self._agree(ValueError(f"shards: {error}"))

    def _split(self, split: str) -> tuple[Any, AnyArray, AnyArray | None]:
        """Return this rank's examples, labels and weights of a split."""
        X, y, weights = (getattr(self, f"{kind}_{split}") for kind in "Xyw")
        return X, y, weights
