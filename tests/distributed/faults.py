"""As a script on several ranks: a run in which one of them, rank 1, comes to grief."""

import os
import signal
import sys
import time

import numpy as np
from mpi4py import MPI

from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training import Callback

COMM = MPI.COMM_WORLD


class AfterTwoSteps(Callback):
    """Lets something happen on rank 1."""

    def __init__(self, act):
        self.act = act

    def on_step(self, solver):
        if COMM.rank == 1 and len(solver.loss_history) == 2:
            self.act()


def fail():
    raise LookupError("rank one has lost its way")


ACTS = {
    "raise": fail,
    "exit": lambda: sys.exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(1000),
    "end": lambda: os._exit(0),
}


def main(fault, timeout, folder):
    rng = np.random.RandomState(3)
    X, y = rng.randn(40, 6), rng.randint(3, size=40)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    model = FullyConnectedNet([5], input_dim=6, num_classes=3, use_batchnorm=True)
    settings = {"num_epochs": 5, "batch_size": 10, "comm_timeout": float(timeout)}
    if fault in ACTS:
        settings["callbacks"] = AfterTwoSteps(ACTS[fault])
    if fault == "signal":
        settings |= {"num_epochs": 10**6, "checkpoint_name": f"{folder}/run", "print_every": 1}
    if COMM.rank == 1:
        if fault == "argument":
            settings["batch_size"] = -1
        elif fault == "setting":
            settings["batch_size"] = 5
        elif fault == "data":
            data["y_train"] = (y + 1) % 3
        elif fault == "leave":
            return
    if fault == "nan":
        X[:] = np.nan
        settings["on_nonfinite"] = "raise"
    Solver(model, data, comm=COMM, **settings).train()
    print("the end")


if __name__ == "__main__":
    main(*sys.argv[1:])
