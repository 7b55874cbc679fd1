"""Whom fastfc is compared with, each in a file of its own that is imported when it is asked for."""

import importlib

from benchmarks import harness

# Peer -> its contestants in the suite step; numpy is numpy.dot and fastfc's own reference, which is
# also made to compute as the original does.
STEPS = {
    "numpy": ("reference", "original"),
    "torch": ("torch", "torch.compile", "torch.max"),
    "jax": ("jax",),
    "sklearn": ("sklearn",),
    "tensorflow": ("tensorflow",),
    "onednn": ("onednn",),
}
# And those that can do many of them in one call.
MANY_STEPS = {"jax": ("jax.scan",), "tensorflow": ("tensorflow.while",), "onednn": ("onednn",)}
NAMES = tuple(STEPS)
# The extra that has a peer, where it is not harness.EXTRA: one pins what others need newer, one
# serves this alone.
EXTRAS = {"tensorflow": "bench-tensorflow", "onednn": "bench-onednn"}


def load(name):
    """Import a peer's file; without the peer end in one line that names the extra.

    Each has ``steps(network, data, learning_rate)``, which returns its contestants, and those of
    `MANY_STEPS` ``many_steps`` with a fourth argument, how many.  One that cannot compute in
    the data's dtype returns none.
    """
    if name == "numpy":
        return None
    try:
        return importlib.import_module(f"benchmarks.peer_{name}")
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(name, harness.EXTRA)
        return harness.missing(error.name, f"--peers {name}", extra)
