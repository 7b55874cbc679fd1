"""``fastfc train``: train a network under the Solver and print what came of it."""

from __future__ import annotations

import math
import sys
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np

from fastfc import fc_net
from fastfc.cli.options import UsageError, rule_config
from fastfc.data import load_digits, load_mnist, load_npz
from fastfc.data_utils import get_CIFAR10_data
from fastfc.solver import Solver
from fastfc.training import NonFiniteWarning

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from fastfc._types import DataSet, Model, UpdateRule
    from fastfc.networks.fully_connected import FullyConnectedNet

BACKENDS = ("fast", "reference")


def train(options: argparse.Namespace) -> None:
    """Train as the options say, with one backend or both, and print the figures.

    Parameters
    ----------
    options : argparse.Namespace
        As `fastfc.cli.options.make_parser` makes them.

    Raises
    ------
    UsageError
        The options do not fit together, the data are missing or unusable, or the loss becomes NaN
        or infinite.
    """
    config = rule_config(options)
    data = load(options.data, options.root)
    if not options.compare:
        run(options, options.backend, options.dtype or "float32", config, data)
        return
    dtype = options.dtype or "float64"
    histories, seconds = {}, {}
    for backend in BACKENDS:
        print(f"backend: {backend}, {dtype}")
        histories[backend], seconds[backend] = run(options, backend, dtype, config, data)
    difference = np.abs(np.subtract(histories["fast"], histories["reference"])).max()
    print(f"largest difference of the loss histories: {difference:.3g}")
    print(f"speed ratio: {seconds['reference'] / seconds['fast']:.2f}")


def load(source: str, root: str | None) -> DataSet:
    """Return the data set that ``--data`` and ``--root`` name, as the dict that Solver takes.

    Raises
    ------
    UsageError
        There is no such data set, or its files are missing or unusable.

    Examples
    --------
    >>> load("digits", None)["X_train"].shape
    (1197, 1, 8, 8)
    """
    if root is not None and source not in ("cifar10", "mnist"):
        raise UsageError(f"--root is for --data cifar10 and mnist: leave it out for {source}")
    try:
        if source == "digits":
            return load_digits()
        if source == "cifar10":
            return get_CIFAR10_data(root=root)
        if source == "mnist":
            return load_mnist(root)
        if source.endswith(".npz"):
            return load_npz(source)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    raise UsageError(f"--data {source}: choose digits, cifar10, mnist or a .npz file")


def run(
    options: argparse.Namespace, backend: str, dtype: str, config: dict[str, float], data: DataSet
) -> tuple[list[float], float]:
    """Train with one backend and print its lines and figures.

    Returns
    -------
    loss_history : list of float
    seconds : float
        Spent in training.

    Raises
    ------
    UsageError
        The network is too large; or training has ended at a loss that is NaN or infinite, in which
        case the accuracies of the best parameters have been printed.
    """
    np.random.seed(options.seed)
    solver, seconds = _solve(
        _make_network(options, backend, dtype, data),
        data,
        update_rule=_find_rule(backend, options.update_rule),
        optim_config=config,
        lr_decay=options.lr_decay,
        lr_schedule=options.lr_schedule,
        clip_norm=options.clip_norm,
        batch_size=options.batch_size,
        num_epochs=options.epochs,
        print_every=options.print_every,
        num_train_samples=options.num_train_samples,
        num_val_samples=options.num_val_samples,
        progress=sys.stdout.isatty() and sys.stderr is not None and sys.stderr.isatty(),
    )
    _print_accuracy(solver, data, "val", "validation")
    _print_accuracy(solver, data, "test", "test")
    if solver.nonfinite is not None:
        raise UsageError(f"{solver.nonfinite}; choose a smaller --learning-rate")
    examples = len(solver.loss_history) * options.batch_size
    print(f"seconds: {seconds:.2f}")
    print(f"examples per second: {examples / seconds:.0f}")
    return solver.loss_history, seconds


def _find_networks(backend: str) -> Any:
    """Return the module of a backend's networks."""
    if backend == "fast":
        return fc_net
    from fastfc import reference  # where it is asked for, and nowhere else

    return reference.fc_net


def _find_rule(backend: str, name: str) -> str | UpdateRule:
    """Return a backend's update rule as the Solver takes it."""
    if backend == "fast":
        return name
    from fastfc import reference

    rule: UpdateRule = getattr(reference.optim, name)
    return rule


def _make_network(
    options: argparse.Namespace, backend: str, dtype: str, data: DataSet
) -> FullyConnectedNet:
    """Return the network that the options describe, for inputs and classes as in data."""
    try:
        network: FullyConnectedNet = _find_networks(backend).FullyConnectedNet(
            options.hidden,
            input_dim=math.prod(data["X_train"].shape[1:]),
            num_classes=_count_classes(data),
            dropout=options.dropout,
            use_batchnorm=options.batchnorm,
            reg=options.reg,
            weight_scale=options.weight_scale,
            dtype=np.dtype(dtype),
            label_smoothing=options.label_smoothing,
        )
        return network
    except ValueError as error:  # NumPy cannot even address such an array
        raise UsageError(f"--hidden is too large: {error}") from error


def _count_classes(data: DataSet) -> int:
    """Return how many classes the labels have: the greatest of them and 0 to it.

    Raises
    ------
    UsageError
        It is far more than there are labels: a network as wide as a damaged label would be huge.
    """
    labels = {name: y for name, y in data.items() if name[0] == "y"}
    most = max(10_000, sum(map(len, labels.values())))
    for name, y in labels.items():
        if y.max() >= most:
            raise UsageError(
                f"--data: {name} has the label {y.max()}, expected labels of classes 0 to C - 1, C "
                f"at most {most} by the number of labels"
            )
    return 1 + int(max(y.max() for y in labels.values()))


def _solve(model: Model, data: DataSet, **kwargs: Any) -> tuple[Solver, float]:
    """Train; return the solver and the seconds it took."""
    solver = Solver(model, data, **kwargs)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonFiniteWarning)  # `run` says it in its own words
        solver.train()
    return solver, time.perf_counter() - start


def _print_accuracy(solver: Solver, data: DataSet, split: str, name: str) -> None:
    """Print the accuracy of the best parameters on a split, if the data have it."""
    if f"X_{split}" in data:
        accuracy = solver.check_accuracy(data[f"X_{split}"], data[f"y_{split}"])
        print(f"{name} accuracy: {accuracy:.3f}")
