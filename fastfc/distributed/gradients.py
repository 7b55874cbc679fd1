"""All gradients of a network in one array, so that their sum over the ranks is one message.

It is sent when the pass has ended.  Pieces that are begun beside the pass, by ``Iallreduce``, took
longer: docs/distributed.md has the measurements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from .._types import Array, Params


class Gradients:
    """One array for the gradients of a pass.

    Parameters
    ----------
    params : dict of ndarray
        The network's parameters.
    more : int
        So many numbers are added up with them.
    dtype : dtype

    Attributes
    ----------
    all : ndarray
        What is added up.
    own : dict of ndarray
        Where this rank's gradients are to be, and then the sums: views of it.
    more : ndarray
        The other numbers, likewise.

    Examples
    --------
    >>> from fastfc.distributed.gradients import Gradients
    >>> gradients = Gradients({"W1": np.zeros((2, 3)), "b1": np.zeros(3)}, 1, np.float64)
    >>> gradients.all.size, gradients.own["W1"].shape
    (10, (2, 3))
    """

    def __init__(self, params: Params, more: int, dtype: Any) -> None:
        ends = np.cumsum([more, *(w.size for w in params.values())])
        self.all: Array = np.empty(ends[-1], dtype)
        self.more, *parts = np.split(self.all, ends[:-1])
        self.own: Params = {
            name: part.reshape(w.shape)
            for (name, w), part in zip(params.items(), parts, strict=True)
        }
