"""A run with everything in it, for tests that end it early and go on.

As a process, ``python -m tests.support.runs NETWORK FOLDER KILL``, it goes on from its latest
checkpoint and kills itself after so many iterations, or writes all that is left at its end; as
``python -m tests.support.runs write NAME EPOCHS EVERY KEEP`` it writes many checkpoints.
"""

import os
import signal
import sys
import warnings

import numpy as np

from fastfc import fc_net, reference
from fastfc.solver import Solver
from fastfc.training import Callback, latest_checkpoint
from tests.support.process import start

NETWORKS = {"fused": fc_net.FullyConnectedNet, "reference": reference.fc_net.FullyConnectedNet}
STEPS_PER_EPOCH, EPOCHS = 6, 4
STEPS = STEPS_PER_EPOCH * EPOCHS

# What may differ between a run and the same run in two parts: clocks, and where files are.
DIFFERS = ("log", "settings", "outside", "written")


def data():
    """Return images of three classes."""
    rng = np.random.RandomState(5)
    y = rng.randint(3, size=150)
    X = (rng.randn(150, 2, 6) + rng.randn(3, 2, 6)[y]).astype(np.float32)
    return {"X_train": X[:130], "y_train": y[:130], "X_val": X[130:], "y_val": y[130:]}


def network(kind="fused", dtype=np.float32, **options):
    """Return a network with batch normalisation and dropout."""
    options = {"dropout": 0.8, "use_batchnorm": True, "weight_scale": 0.1, **options}
    return NETWORKS[kind]([9, 7], input_dim=12, num_classes=3, dtype=dtype, **options)


def solver(kind="fused", dtype=np.float32, **settings):
    """Return the Solver of a new run, which also draws examples for its accuracies."""
    np.random.seed(11)
    settings = {
        "update_rule": "adam",
        "optim_config": {"learning_rate": 0.01},
        "lr_decay": 0.9,
        "batch_size": 21,
        "num_epochs": EPOCHS,
        "num_train_samples": 50,
        "num_val_samples": 15,
        "verbose": False,
        **settings,
    }
    return Solver(network(kind, dtype), data(), **settings)


def resumed(path, kind="fused", dtype=np.float32, **settings):
    """Return the Solver of a checkpoint, over a network of other weights."""
    np.random.seed(99)
    return Solver.resume(path, network(kind, dtype), data(), **settings)


def left(solver, folder):
    """Return all that a run leaves behind, but its clocks, by way of a file."""
    from fastfc.training import read_checkpoint

    solver.save(folder / "left.npz")
    return content(read_checkpoint(folder / "left.npz"))


def content(state):
    """Return what of a checkpoint's state must be the same for a run in one part and in two."""
    kept = {name: value for name, value in state.items() if name not in DIFFERS}
    log = {name: value for name, value in state["log"].items() if name != "seconds"}
    return {**kept, "log": log}


class KillAfter(Callback):
    """Ends the process, as the kernel would, after so many iterations of the run."""

    def __init__(self, iterations):
        self.iterations = iterations

    def on_step(self, solver):
        if len(solver.loss_history) == self.iterations:
            os.kill(os.getpid(), signal.SIGKILL)


def process(*argv):
    """Start ``python -m tests.support.runs`` with arguments; it is killed when the block ends."""
    return start("tests.support.runs", *argv)


def write_many(name, epochs, every, keep_last):
    """Train a new run that writes checkpoints as fast as it can."""
    keep_last = int(keep_last) or None
    settings = {"checkpoint_every": int(every), "keep_last": keep_last, "num_epochs": int(epochs)}
    warnings.simplefilter("ignore")  # who of two takes over is a matter of chance
    solver(checkpoint_name=name, **settings).train()


def main(kind, folder, kill):
    settings = {"callbacks": KillAfter(int(kill))}
    path = latest_checkpoint(f"{folder}/run")
    if path is None:
        run = solver(kind, checkpoint_name=f"{folder}/run", checkpoint_every=2, **settings)
    else:
        run = resumed(path, kind, **settings)
    run.train()
    run.save(f"{folder}/end.npz")


if __name__ == "__main__":
    (write_many if sys.argv[1] == "write" else main)(*sys.argv[1 + (sys.argv[1] == "write") :])
