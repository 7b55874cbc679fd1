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
LEARNING_RATE = 5e-4


@dataclass
class Run:
    """The losses of a run, and the accuracies and parameters after each of its epochs."""

    losses: list = field(default_factory=list)
    train_acc: list = field(default_factory=list)
    val_acc: list = field(default_factory=list)
    params: list = field(default_factory=list)


class _Noting(Callback):
    """Disturbs the parameters after each step, and copies them after each epoch."""

    def __init__(self, run, disturb):
        self.run, self.disturb = run, disturb

    def on_step(self, solver):
        self.disturb(solver.model.params)

    def on_epoch(self, solver):
        self.run.params.append({k: v.copy() for k, v in solver.model.params.items()})


def train(package, network, data, epochs, dtype=np.float64, seed=0, disturb=None, **settings):
    """Train a network of `cases.NETWORKS` as the seed's notebook trains its last; return its `Run`.

    One Solver drives both packages, and they draw the same numbers. `disturb` may change the
    parameters before the first step and after each one.
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
    disturb = disturb or (lambda params: None)
    disturb(model.params)
    run = Run()
    solver = Solver(
        model,
        data,
        update_rule="adam" if package is FAST else package.optim.adam,
        batch_size=batch,
        num_epochs=epochs,
        callbacks=_Noting(run, disturb),
        verbose=False,
        **{"optim_config": {"learning_rate": LEARNING_RATE}, "lr_decay": 0.9, **settings},
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
    """Return the largest differences of two runs: of losses, accuracies and parameters.

    Apart from the others stand the biases before a batch normalisation, which takes them away
    again: their gradient is 0 but for rounding errors, and these Adam divides by their own size.
    """
    return {
        "losses": _apart(a.losses, b.losses),
        "accuracies": max(_apart(a.train_acc, b.train_acc), _apart(a.val_acc, b.val_acc)),
        "parameters": max(parameters_by_epoch(a, b)),
        "biases": max(_largest(a, b, _taken_away(a))),
    }


def parameters_by_epoch(a, b):
    """Return the largest difference of the other parameters after each epoch."""
    return _largest(a, b, a.params[0].keys() - _taken_away(a))


def _taken_away(run):
    return {f"b{name[5:]}" for name in run.params[0] if name.startswith("gamma")}


def _largest(a, b, names):
    pairs = zip(a.params, b.params, strict=True)
    return [max(_apart(p[name], q[name]) for name in names) for p, q in pairs]


def _apart(a, b):
    return float(np.max(np.abs(np.subtract(a, b, dtype=np.float64))))
