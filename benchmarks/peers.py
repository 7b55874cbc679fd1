"""Whom fastfc is compared with, each in a file of its own that is imported when it is asked for."""

import importlib

from benchmarks import harness

# Peer -> its contestants in the suite step; numpy is numpy.dot and fastfc's own reference, which is
# also made to compute as the original does.
STEPS = {
    "numpy": ("reference", "original"),
    "torch": ("torch", "torch.compile"),
    "jax": ("jax",),
    "sklearn": ("sklearn",),
}
# And those that can do many of them in one call.
MANY_STEPS = {"jax": ("jax.scan",)}
NAMES = tuple(STEPS)
_FILES = {"torch": "peer_torch", "jax": "peer_jax", "sklearn": "peer_sklearn"}


def load(name):
    """Import a peer's file; without the peer end in one line that names the extra.

    Each has ``steps(network, data, learning_rate)``, which returns its contestants, and those of
    `MANY_STEPS` ``many_steps`` with a fourth argument, how many.
    """
    if name not in _FILES:
        return None
    try:
        return importlib.import_module(f"benchmarks.{_FILES[name]}")
    except ModuleNotFoundError as error:
        return harness.missing(error.name, f"--peers {name}")
