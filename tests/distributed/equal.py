"""As a script on any number of ranks: every case trains as one process would.

Each rank trains each case twice, by itself and with the others, who begin from other weights and
draws; it prints what differs, and rank 0 how many cases there were.
"""

import contextlib
import io
import itertools
import sys

import numpy as np
from mpi4py import MPI

from fastfc.fc_net import FullyConnectedNet
from fastfc.reference.fc_net import FullyConnectedNet as PLAIN
from fastfc.solver import Solver
from fastfc.training import Callback

COMM = MPI.COMM_WORLD

# Networks, and how they are trained.  Of 5, 3, 2 and 1 rows some of four ranks have none.
CASES = {
    "plain": ({}, {}),
    "no hidden layer": ({"hidden_dims": []}, {"batch_size": 3}),
    "regularised": ({"reg": 0.1, "dtype": np.float32}, {}),
    "batch normalisation": ({"normalization": "batchnorm"}, {}),
    "in float32": ({"normalization": "batchnorm", "dtype": np.float32}, {}),
    "few rows": ({"normalization": "batchnorm", "reg": 0.2}, {"batch_size": 5}),
    "fewer rows": ({"normalization": "batchnorm", "dropout": 0.7}, {"batch_size": 3}),
    "two rows": ({"normalization": "batchnorm"}, {"batch_size": 2}),
    "one row": ({"normalization": "layernorm", "dropout": 0.5}, {"batch_size": 1}),
    "layer normalisation": ({"normalization": "layernorm", "activation": "tanh"}, {}),
    "dropout": ({"dropout": 0.6}, {"batch_size": 10}),
    "philox": ({"dropout": 0.6, "rng": "philox", "normalization": "batchnorm"}, {}),
    "dropping": ({"dropout": 0.3, "dropout_convention": "drop", "activation": "silu"}, {}),
    "a seed": ({"dropout": 0.3, "seed": 4, "rng": "philox"}, {}),
    "all of it": (
        {"dropout": 0.8, "normalization": "batchnorm", "reg": 0.05, "label_smoothing": 0.1},
        {
            "update_rule": "sgd_momentum",
            "clip_norm": 0.5,
            "lr_schedule": "cosine",
            "lr_decay": 0.9,
            "normalize": (0.25, 2.0),
            "num_train_samples": 30,
            "num_val_samples": 7,
        },
    ),
    "weights": ({"normalization": "batchnorm"}, {"weights": True, "batch_size": 7}),
    "targets": ({"loss": "squared_error"}, {"targets": True, "batch_size": 6}),
    "early stopping": (
        {"normalization": "batchnorm"},
        {"early_stopping": {"patience": 1}, "lr_schedule": "plateau", "num_epochs": 5},
    ),
}


def data(weights=False, targets=False):
    """Return examples of three classes."""
    rng = np.random.RandomState(3)
    X, y = rng.randn(60, 2, 6), rng.randint(3, size=60)
    X += rng.randn(3, 2, 6)[y]
    if targets:
        y = rng.randn(60, 3)
    found = {"X_train": X[:44], "y_train": y[:44], "X_val": X[44:], "y_val": y[44:]}
    if weights:
        w = rng.rand(60) * (rng.rand(60) < 0.6)
        found |= {"w_train": w[:44], "w_val": w[44:]}
    return found


def begin(seed, network, settings, comm=None, **more):
    """Return the Solver of a new run."""
    np.random.seed(seed)
    network = {"hidden_dims": [9, 7], "dtype": np.float64, "weight_scale": 0.3, **network}
    settings = {"batch_size": 13, "num_epochs": 2, "verbose": False, **settings, **more}
    source = {name: settings.pop(name) for name in ("weights", "targets") if name in settings}
    settings.setdefault("optim_config", {"learning_rate": 0.05})
    model = network.pop("cls", FullyConnectedNet)(input_dim=12, num_classes=3, **network)
    return Solver(model, data(**source), comm=comm, **settings)


def train(*args, **more):
    """Return the Solver of a run that has ended."""
    solver = begin(*args, **more)
    solver.train()
    return solver


def compare(name, alone, together):
    """Print what differs more than by rounding."""
    rtol, atol = (1e-9, 1e-11) if alone.model.dtype is np.float64 else (3e-4, 1e-5)
    pairs = {
        "losses": (alone.loss_history, together.loss_history),
        "train_acc": (alone.train_acc_history, together.train_acc_history),
        "val_acc": (alone.val_acc_history, together.val_acc_history),
        **{key: (w, together.model.params[key]) for key, w in alone.model.params.items()},
    }
    for i, bn_param in enumerate(alone.model.bn_params):
        for key in bn_param.keys() & {"running_mean", "running_var"}:
            pairs[f"{key} {i}"] = bn_param[key], together.model.bn_params[i][key]
    for what, (expected, found) in pairs.items():
        if np.shape(expected) != np.shape(found):
            print(f"{name}: {what}: {np.shape(found)}, expected {np.shape(expected)}")
        elif not np.allclose(found, expected, rtol=rtol, atol=atol):
            print(f"{name}: {what}: {found}, expected {expected}")
    if alone.stop_reason != together.stop_reason:
        print(f"{name}: {together.stop_reason}, expected {alone.stop_reason}")


def resume_on_fewer(folder):
    """Stop on all ranks, go on with one less from rank 0's checkpoint: as if nothing had been."""
    network, settings = CASES["all of it"]
    alone = train(0, network, settings)
    name = f"{folder}/run"
    train(COMM.rank, network, settings, COMM, checkpoint_name=name, max_steps=5)
    COMM.Barrier()
    fewer = COMM.Split(COMM.rank == COMM.size - 1 > 0)
    if COMM.rank < COMM.size - 1 or COMM.size == 1:
        settings = {"max_steps": None, "comm": fewer, "check_ranks": True}
        kind = {"hidden_dims": [9, 7], "dtype": np.float64, **network}
        model = FullyConnectedNet(input_dim=12, num_classes=3, **kind)
        solver = Solver.resume(f"{name}_step_5.npz", model, data(), **settings)
        solver.train()
        compare("resumed", alone, solver)
    COMM.Barrier()


def print_once():
    """Lines come from rank 0 alone, and are as many as one process prints."""
    texts = []
    for comm in (None, COMM):
        with contextlib.redirect_stdout(io.StringIO()) as text:
            train(0, {}, {"verbose": True, "print_every": 2}, comm)
        texts.append(text.getvalue().splitlines())
    if len(texts[1]) != (len(texts[0]) if COMM.rank == 0 else 0):
        print(f"rank {COMM.rank} has printed {texts[1]}, expected {texts[0]}")


def train_locally():
    """With statistics of own rows all ranks still agree, and learn."""
    settings = {"sync_batchnorm": False, "check_ranks": True, "num_epochs": 12}
    for batch_size in (16, 3):  # of so few rows nobody learns
        settings["batch_size"] = batch_size
        solver = train(COMM.rank, {"normalization": "batchnorm"}, settings, COMM)
        if COMM.size == 1:
            expected = train(0, {"normalization": "batchnorm"}, {**settings, "check_ranks": False})
            compare("own rows", expected, solver)
        elif batch_size == 16 and not solver.loss_history[-1] < 0.9 * solver.loss_history[0]:
            print(f"own rows: the loss stands still: {solver.loss_history}")


def stop_together(reason):
    """A callback of rank 0 stops all; another rank's word alone stops nobody.

    All ranks learn of it in the next step, of which then nothing is left: training goes on as that
    of one process that was stopped there.
    """
    settings = ({}, {"lr_schedule": "cosine"}, {"sync_batchnorm": COMM.size == 1})

    class Stop(Callback):
        def on_step(self, solver):
            if len(solver.loss_history) == 2 + 2 * (COMM.rank == 0):
                solver.stop(reason)

    for cls, more in itertools.product((FullyConnectedNet, PLAIN), settings):
        network = {"cls": cls, "normalization": "batchnorm", "dropout": 0.6}
        alone = train(0, network, more, max_steps=4)
        rate = alone.optim_configs["W1"]["learning_rate"]
        alone.max_steps = None
        alone.train()
        solver = train(COMM.rank, network, more, COMM, callbacks=Stop())
        if (solver.stop_reason, len(solver.loss_history)) != (reason, 4):
            print(f"stopped by {solver.stop_reason} after {len(solver.loss_history)}")
        if solver.optim_configs["W1"]["learning_rate"] != rate:
            print(f"stopped with {solver.optim_configs['W1']}, expected the rate {rate}")
        limited = train(COMM.rank, network, more, COMM, max_steps=4)  # drops no step
        for i, (old, new) in enumerate(zip(limited._latest()[1], solver._latest()[1], strict=True)):
            if old.keys() != new.keys() or any((old[key] != new[key]).any() for key in old):
                print(f"stopped, {more}: running statistics {i} are {new}, expected {old}")
        solver.train()
        if solver.stop_reason != "finished":
            print(f"went on, and was stopped by {solver.stop_reason}")
        if solver.sync_batchnorm:
            compare(f"stopped and gone on, {more}", alone, solver)
        draws = np.array(COMM.allgather(np.random.rand()))
        if (draws != draws[0]).any():
            print(f"stopped and gone on: draws {draws}")
    solver = train(0, {}, {"num_epochs": 10**6}, COMM, max_seconds=0.1 + COMM.rank)
    if solver.stop_reason != "max_seconds" or COMM.bcast(len(solver.loss_history)) != len(
        solver.loss_history
    ):
        print(f"stopped by {solver.stop_reason} after {len(solver.loss_history)}")


def step_by_step():
    """A loop of one's own: the first step joins the ranks, whatever each has begun with."""
    network = {"normalization": "batchnorm", "dropout": 0.7}
    alone, together = begin(0, network, {}), begin(COMM.rank, network, {}, COMM, check_ranks=True)
    for solver, seed in ((alone, 5), (together, 5 + COMM.rank)):
        solver.model.params["W1"][:] = np.random.RandomState(seed).randn(12, 9)
        np.random.seed(seed)
        for _ in range(4):
            solver._step()
    compare("step by step", alone, together)


class CountingComm(MPI.Intracomm):
    """A communicator that counts what is exchanged."""

    def __new__(cls, comm):
        return super().__new__(cls, comm)

    def __init__(self, comm):
        self.calls = []

    def __getattribute__(self, name):
        if name in ("Allreduce", "Allgather", "allgather", "bcast"):
            self.calls.append(name)
        return super().__getattribute__(name)


class Counts(Callback):
    """The messages before each step's end since that of the step before."""

    def __init__(self, comm):
        self.comm, self.found = comm, []

    def on_step(self, solver):
        self.found.append(list(self.comm.calls))
        self.comm.calls.clear()


def count_messages():
    """A step sends the gradients, a message for each batch normalisation and direction, a loss."""
    comm = CountingComm(COMM)
    for network, expected in (
        ({}, ["Allreduce"] * 2),
        (
            {"normalization": "batchnorm", "dropout": 0.7, "reg": 0.1},
            ["Allgather"] * 2 + ["Allreduce"] * 4,
        ),
    ):
        counts = Counts(comm)
        train(COMM.rank, network, {"callbacks": counts, "max_seconds": 1000.0}, comm)
        steps = [calls for i, calls in enumerate(counts.found) if i and (i + 1) % 3]  # no scoring
        if COMM.size > 1 and (not steps or any(count != expected for count in steps)):
            print(f"a step sends {steps[:2]}, expected {expected}")


def main(folder, *names):
    """Try these cases; without names all, and what else ranks do together."""
    for name in names or CASES:
        network, settings = CASES[name]
        alone = train(0, network, settings)
        state = np.random.get_state()
        together = train(COMM.rank, network, settings, COMM, check_ranks=True)
        compare(name, alone, together)
        other = np.random.get_state()
        if not all(np.array_equal(a, b) for a, b in zip(state, other, strict=True)):
            print(f"{name}: np.random is somewhere else on rank {COMM.rank}")
    if not names:
        resume_on_fewer(folder)
        print_once()
        train_locally()
        stop_together("enough")
        step_by_step()
        count_messages()
    if COMM.rank == 0:
        print(len(names or CASES), "cases on", COMM.size)
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
