"""As a script on several ranks: a run in which one of them, rank 1, comes to grief."""

import os
import signal
import sys

import numpy as np

from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training import Callback, ranks


class AfterTwoSteps(Callback):
    """Lets something happen on rank 1, before the second checkpoint."""

    def __init__(self, act):
        self.act = act

    def on_step(self, solver):
        if solver.comm.rank == 1 and len(solver.loss_history) == 2:
            self.act()


def fail():
    raise LookupError("rank one has lost its way")


ACTS = {
    "raise": fail,
    "exit": lambda: sys.exit(3),
    "end": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
}


def make_model(hidden=5):
    network = {"use_batchnorm": True, "dtype": np.float64}
    return FullyConnectedNet([hidden], input_dim=6, num_classes=3, **network)


def make_data():
    rng = np.random.RandomState(3)
    X, y = rng.randn(40, 6), rng.randint(3, size=40)
    return {"X_train": X, "y_train": y, "X_val": X, "y_val": y}


def begin(comm=None, model=None, data=None, **settings):
    """Return the Solver of a run of 20 steps."""
    np.random.seed(0)
    settings = {"num_epochs": 5, "batch_size": 10, "verbose": False, **settings}
    return Solver(model or make_model(), data or make_data(), comm=comm, **settings)


def differ(comm):
    """Print what is said where rank 1 has something else than rank 0, one thing after another."""
    data, odd = make_data(), comm.rank == 1
    others = [
        {"batch_size": 5},
        {"data": {**data, "y_train": (data["y_train"] + 1) % 3}},
        {"model": make_model(hidden=6)},
    ]
    for other in [*others, {}]:
        if other == {} and odd:
            ranks.__version__ = "0.0.1"
        try:
            begin(comm, **(other if odd else {})).train()
        except ValueError as error:
            if comm.rank == 0:
                print(error)
    sys.stdout.flush()


def main(fault, timeout, folder):
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    odd = comm.rank == 1
    settings = {"comm_timeout": float(timeout), "checkpoint_name": f"{folder}/run"}
    settings |= {"checkpoint_every": 1, "keep_last": 2}
    if fault == "differ":
        return differ(comm)
    if fault in ACTS:
        settings["callbacks"] = AfterTwoSteps(ACTS[fault])
    elif fault == "signal":
        settings["num_epochs"] = 10**6
    elif fault == "argument" and odd:
        settings["batch_size"] = -1
    elif fault == "nan":
        settings |= {"data": make_data(), "on_nonfinite": "raise"}
        settings["data"]["X_train"][:] = np.nan
    if odd and fault == "leave":
        return
    begin(comm, **settings).train()
    print("the end")


if __name__ == "__main__":
    main(*sys.argv[1:])
