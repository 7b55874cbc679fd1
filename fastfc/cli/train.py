"""``fastfc train``: train a network under the Solver and print what came of it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastfc import fc_net
from fastfc.cli import result
from fastfc.cli.arguments import (
    NETWORK_ARGUMENTS,
    network_arguments,
    rule_config,
    solver_arguments,
    usage_error,
)
from fastfc.cli.data import describe, in_words, load
from fastfc.cli.names import flag_of
from fastfc.cli.parser import UsageError
from fastfc.networks.losses import LOSSES
from fastfc.solver import Solver
from fastfc.training import NonFiniteLossError, NonFiniteWarning

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from fastfc._types import DataSet, UpdateRule

BACKENDS = ("fast", "reference")
REMEDY = "choose a smaller --learning-rate"


def train(options: argparse.Namespace, given: set[str]) -> int:
    """Train as the options say, with one backend or both, and print the figures.

    Parameters
    ----------
    options : argparse.Namespace
        As `fastfc.cli.options.make_parser` makes them.
    given : set of str
        The names of those that were given, see `fastfc.cli.parser.given_options`.

    Returns
    -------
    int
        The exit status: 0, or 130 if Ctrl-C has ended the training.

    Raises
    ------
    UsageError
        The options do not fit together, the data are missing or unusable; or the loss has become
        NaN or infinite, in which case the figures of the best parameters have been printed.
    """
    _check_together(options, given)
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        data = load(options.data, options.root, not LOSSES[_loss_of(options)].labelled)
        if options.compare:
            found = _compare(options, given, data)
        else:
            found = run(options, given, options.backend, data)
    if options.json:
        print(result.to_json(found), file=stdout)
    runs = found.get("runs", [found])
    for each in runs:
        if each["nonfinite"] is not None:
            raise UsageError(f"{each['nonfinite']}; {REMEDY}")
    return 130 if any(each["stop_reason"] == "interrupt" for each in runs) else 0


def _compare(options: argparse.Namespace, given: set[str], data: DataSet) -> dict[str, Any]:
    """Train with both backends and print how they differ."""
    runs = []
    for backend in BACKENDS:
        print(f"backend: {backend}, {options.dtype or 'float64'}")
        runs.append(run(options, given, backend, data))
        if runs[-1]["stop_reason"] in ("interrupt", "nonfinite"):
            return {"runs": runs}
    fast, reference = runs
    difference = np.abs(np.subtract(fast["loss_history"], reference["loss_history"])).max()
    ratio = reference["seconds"] / fast["seconds"]
    print(f"largest difference of the loss histories: {difference:.3g}")
    print(f"speed ratio: {ratio:.2f}")
    return {"runs": runs, "largest_difference": difference, "speed_ratio": ratio}


def run(
    options: argparse.Namespace, given: set[str], backend: str, data: DataSet
) -> dict[str, Any]:
    """Train with one backend and print its lines and figures.

    Returns
    -------
    dict
        As `fastfc.cli.result.collect` makes it.
    """
    make = _resume if options.resume else _begin
    solver = make(options, given, backend, data)
    model: Any = solver.model
    about = describe(options.data, data, model.loss_name)
    print(in_words(about))
    print(result.network_in_words(solver))
    before, start = len(solver.loss_history), time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NonFiniteWarning)  # it is said behind the figures
            solver.train()
    except NonFiniteLossError as error:
        raise UsageError(f"{error}; {REMEDY}") from error
    except KeyboardInterrupt:
        if not solver.best_params:
            raise
        _leave_best(solver)
    except OSError:  # of a checkpoint, say: the model may have another disk
        if options.save and solver.best_params:
            _leave_best(solver)
            with contextlib.suppress(OSError):
                _save(solver, options.save)
                print(f"saved: {options.save}")
        raise
    seconds = time.perf_counter() - start
    if options.save:
        _save(solver, options.save)
    accuracies = {}
    for split, name in {"val": "validation", "test": "test"}.items():
        if f"X_{split}" in data:
            X, y = data[f"X_{split}"], data[f"y_{split}"]
            accuracy = solver.check_accuracy(X, y, sample_weight=data.get(f"w_{split}"))
            counts = LOSSES[model.loss_name].output in ("softmax", "logistic")
            print(f"{name} {'accuracy' if counts else 'score'}: {accuracy:.3f}")
            accuracies[split] = accuracy
    examples = (len(solver.loss_history) - before) * solver.batch_size
    print(f"seconds: {seconds:.2f}")
    print(f"examples per second: {examples / seconds:.0f}")
    if options.save:
        print(f"saved: {options.save}")
    figures = result.collect(options, given, solver, accuracies, seconds, examples)
    return {"backend": backend, "data": about, **figures}


def _loss_of(options: argparse.Namespace) -> str:
    """Return the loss of the network: as asked for, or that of the checkpoint."""
    name: str = options.loss
    if options.resume is not None:
        with contextlib.suppress(OSError, ValueError):  # it is said where it is resumed
            name = fc_net.FullyConnectedNet.load(options.resume, which="latest").loss_name
    return name


def _begin(options: argparse.Namespace, given: set[str], backend: str, data: DataSet) -> Solver:
    """Return the Solver of a new run."""
    np.random.seed(options.seed)
    arguments = network_arguments(options, data)
    try:
        model = _find_networks(backend).FullyConnectedNet(**arguments)
    except ValueError as error:  # by default: NumPy cannot even address such an array
        raise usage_error(error, "--hidden is too large") from error
    settings = {
        **solver_arguments(options, vars(options).keys()),
        "update_rule": _find_rule(backend, options.update_rule),
        "progress": _wants_progress(options),
    }
    try:
        return Solver(model, data, **settings)
    except (TypeError, ValueError) as error:
        raise usage_error(error) from error


def _resume(options: argparse.Namespace, given: set[str], backend: str, data: DataSet) -> Solver:
    """Return the Solver that goes on from a checkpoint, with the network that it holds."""
    shown = {"progress": _wants_progress(options), "verbose": options.verbose}
    settings = {**solver_arguments(options, given), **shown}
    try:
        model = _find_networks(backend).FullyConnectedNet.load(options.resume, which="latest")
        return Solver.resume(options.resume, model, data, **settings)
    except OSError as error:
        said = f"{options.resume}: {error.strerror}" if error.strerror else str(error)
        raise UsageError(f"--resume {said}") from error
    except (TypeError, ValueError) as error:
        raise usage_error(error) from error


def _save(solver: Solver, path: str) -> None:
    """Write the network to a file."""
    model: Any = solver.model
    model.save(path)


def _leave_best(solver: Solver) -> None:
    """Put the best parameters into the model of a run that Ctrl-C or an error has ended."""
    model: Any = solver.model
    model.params = solver.best_params
    for bn_param, best in zip(model.bn_params, solver.best_bn_params, strict=True):
        bn_param.update(best)


def _wants_progress(options: argparse.Namespace) -> bool:
    """Return whether to show a bar: as asked for, or where somebody looks at a terminal."""
    if options.progress is not None:
        return bool(options.progress)
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


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


def _check_together(options: argparse.Namespace, given: set[str]) -> None:
    """Raise a UsageError for options that do not fit together, before anything is loaded."""
    if options.compare:
        for name in ("save", "checkpoint_name", "resume"):
            if getattr(options, name) is not None:
                raise UsageError(f"{flag_of(name)} is for one run: leave it out with --compare")
    if options.resume is None:
        rule_config(options)
        for name in ("checkpoint_every", "keep_last"):
            if getattr(options, name) is not None and options.checkpoint_name is None:
                raise UsageError(f"{flag_of(name)} needs --checkpoint NAME")
    else:
        _check_resumed(options, given)
    for name in ("save", "checkpoint_name"):
        path = getattr(options, name)
        if path is not None:
            _check_writable(flag_of(name), path)


def _check_resumed(options: argparse.Namespace, given: set[str]) -> None:
    """Raise a UsageError for options that a run which goes on has no use for."""
    if options.backend == "reference":
        raise UsageError("--resume goes on with the C kernels: leave --backend reference out")
    for name in sorted(given & {*NETWORK_ARGUMENTS, "dropout_seed"}):
        raise UsageError(
            f"{flag_of(name)}: the checkpoint of --resume has the network and the state of the "
            "random numbers: leave it out"
        )


def _check_writable(flag: str, path: str) -> None:
    """Raise a UsageError where a file cannot be made, before a run that would end in that."""
    folder = Path(path).parent
    if os.path.isdir(path) or path.endswith(os.sep):
        raise UsageError(f"{flag} {path}: it is a folder, expected the name of a file in it")
    if not folder.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {folder}: make it first")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{flag} {path}: the folder {folder} cannot be written to")
