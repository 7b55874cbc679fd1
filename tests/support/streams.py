"""Probabilities for masks, and the states of random streams."""

import numpy as np

# Thresholds of the integer comparison: the ends of its range, and what rounds differently.
PROBABILITIES = [
    1.0,
    np.nextafter(1, 0),
    0.9,
    0.75,
    0.6,
    0.5,
    0.3,
    1 / 3,
    2**-20,
    2**-53,
    np.nextafter(0, 1),
    np.float32(0.1),
]


def states_equal(a, b):
    """Compare two results of np.random.get_state(), the cached gaussian included."""
    return a[0] == b[0] and np.array_equal(a[1], b[1]) and a[2:] == b[2:]
