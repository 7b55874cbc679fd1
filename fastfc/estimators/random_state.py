"""The generator of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state


class _NoSeed(np.random.bit_generator.ISeedSequence):
    """Zeros, for a generator that is seeded later: NumPy takes 80 us to make a seed."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return [0] * n_words


_NO_SEED: Any = _NoSeed()


def as_random_state(value: Any) -> np.random.RandomState:
    """Return the generator that ``random_state`` is; None is one draw of NumPy's global one.

    Examples
    --------
    >>> as_random_state(1).randint(10), np.random.RandomState(1).randint(10)
    (5, 5)
    """
    if value is None:
        value = np.random.randint(2**31 - 1)
    if type(value) is int:
        generator = np.random.RandomState(np.random.MT19937(_NO_SEED))
        generator.seed(value)
        return generator
    random_state: np.random.RandomState = check_random_state(value)
    return random_state
