"""Training runs that differ in roundings alone, and how far apart they drift."""

import math
from dataclasses import dataclass, field

import numpy as np

import fastfc.fc_net
import fastfc.reference.fc_net
import fastfc.reference.optim
from fastfc.solver import Solver
from fastfc.training import Callback
from tests.support import cases

FAST, REFERENCE = fastfc, fastfc.reference


@dataclass
class Run:
    """What a run leaves: its losses, and accuracies and parameters of each epoch, first and last.

    `disturb`, if it is given, changes the parameters before the first step and after every one.
    """

    disturb: object = None
    losses: list = field(default_factory=list)
    train_acc: list = field(default_factory=list)
    val_acc: list = field(default_factory=list)
    params: list = field(default_factory=list)


class _Noting(Callback):
    """Disturbs the parameters after each step, and copies them after each epoch."""

    def __init__(self, run):
        self.run = run

    def on_step(self, solver):
        if self.run.disturb:
            self.run.disturb(solver.model.params)

    def on_epoch(self, solver):
        self.run.params.append({k: v.copy() for k, v in solver.model.params.items()})


def train(package, network, data, epochs, dtype=np.float64, seed=0, disturb=None, **settings):
    """Train a network of `cases.NETWORKS` as the seed's notebook does; return its `Run`.

    The Solver is one for both packages; so are the numbers that it and the network draw.
    """
    batch, example, hidden, classes, keep = cases.NETWORKS[network]
    np.random.seed(seed)
    model = package.fc_net.FullyConnectedNet(
        list(hidden),
        input_dim=math.prod(example),
        num_classes=classes,
        weight_scale=0.01,
        dropout=keep,
        use_batchnorm=True,
        dtype=dtype,
    )
    run = Run(disturb)
    if disturb:
        disturb(model.params)
    solver = Solver(
        model,
        data,
        update_rule="adam" if package is FAST else package.optim.adam,
        optim_config={"learning_rate": 5e-4},
        lr_decay=0.9,
        batch_size=batch,
        num_epochs=epochs,
        callbacks=_Noting(run),
        verbose=False,
        **settings,
    )
    solver.train()
    run.losses, run.train_acc = solver.loss_history, solver.train_acc_history
    run.val_acc = solver.val_acc_history
    return run


def one_rounding(seed):
    """Return what moves each parameter to one of its two neighbours, either one by chance."""
    rng = np.random.default_rng(seed)

    def disturb(params):
        for name, w in params.items():
            up = rng.integers(0, 2, w.shape, np.int8).astype(bool)
            params[name] = np.nextafter(w, np.where(up, np.inf, -np.inf).astype(w.dtype))

    return disturb


def drift(a, b):
    """Return the largest differences of losses, parameters and accuracies of two runs."""
    return {
        "losses": _apart(a.losses, b.losses),
        "parameters": max(by_epoch(a, b)),
        "accuracies": max(_apart(a.train_acc, b.train_acc), _apart(a.val_acc, b.val_acc)),
    }


def by_epoch(a, b):
    """Return the largest difference of the parameters after each epoch."""
    pairs = zip(a.params, b.params, strict=True)
    return [max(_apart(p[name], q[name]) for name in p) for p, q in pairs]


def _apart(a, b):
    return float(np.max(np.abs(np.subtract(a, b, dtype=np.float64))))
