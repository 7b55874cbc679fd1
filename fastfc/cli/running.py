"""One run of ``fastfc train``: a new one or one that goes on, its lines, figures and files."""

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
from fastfc.cli import folder, report, result
from fastfc.cli.arguments import network_arguments, solver_arguments, usage_error
from fastfc.cli.command import UsageError
from fastfc.cli.configuration import to_toml
from fastfc.cli.data import describe, in_words
from fastfc.cli.options import DATA_SETS, OPTIONS
from fastfc.networks.losses import LOSSES
from fastfc.runtime.machine import machine, versions
from fastfc.solver import Solver
from fastfc.training import Callback, NonFiniteLossError, NonFiniteWarning
from fastfc.training.settings import SETTINGS

if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from fastfc._types import DataSet, UpdateRule

REMEDY = "choose a smaller --learning-rate"


def run(
    options: SimpleNamespace,
    given: set[str],
    backend: str,
    data: DataSet,
    preprocessing: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train with one backend and print its lines and figures.

    A new network has this preprocessing.

    Returns
    -------
    dict
        As `fastfc.cli.result.collect` makes it.
    """
    solver = _make(options, given, backend, data)
    model: Any = solver.model
    if options.resume is None:
        model.preprocessing = preprocessing
    about = describe(options.data, data, model.loss_name)
    print(in_words(about))
    print(result.network_in_words(solver))
    if options.out:
        config = to_toml(_resolved(options, solver), OPTIONS)
        folder.begin(options.out, config, resumed=options.resume is not None)
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
        if solver.best_params:
            _leave_best(solver)
            with contextlib.suppress(OSError):
                _save(options, model)
                _say_saved(options)
        raise
    seconds = time.perf_counter() - start
    _save(options, model)
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
    _say_saved(options)
    figures = result.collect(options, given, solver, accuracies, seconds, examples)
    found = {"backend": backend, "data": about, **figures}
    if options.out:
        _write_folder(options, solver, data, found)
    return found


def _save(options: SimpleNamespace, model: Any) -> None:
    """Write the network where it was asked for."""
    if options.out:
        model.save(os.path.join(options.out, folder.MODEL))
    if options.save:
        model.save(options.save)


def _say_saved(options: SimpleNamespace) -> None:
    if options.save:
        print(f"saved: {options.save}")


def _write_folder(
    options: SimpleNamespace, solver: Solver, data: DataSet, found: dict[str, Any]
) -> None:
    """Write what a run's folder has of a run that has ended, beside the network."""
    path = Path(options.out)
    solver.history.to_csv(path / folder.HISTORY)
    summary = {name: value for name, value in found.items() if not name.endswith("_history")}
    summary |= {"machine": machine(), "versions": versions()}
    folder.write_text(path / folder.SUMMARY, result.to_json(summary, indent=2) + "\n")
    if options.report:
        _write_report(options, solver, data, summary)
    print(f"run: {options.out}")


def _write_report(
    options: SimpleNamespace, solver: Solver, data: DataSet, summary: dict[str, Any]
) -> None:
    """Write the page on a run, or say why there is none."""
    try:
        report.write(
            options.out, solver.model, data, solver.history, summary, examples=options.examples
        )
    except (ImportError, TypeError, ValueError) as error:
        print(f"no {folder.REPORT}: {error}")


def _resolved(options: SimpleNamespace, solver: Solver) -> dict[str, Any]:
    """Return the values of all options, for a configuration that works from any folder."""
    model: Any = solver.model
    values = {**vars(options), "dtype": np.dtype(model.dtype).name}
    values["learning_rate"] = result.learning_rate(solver)
    if options.data not in DATA_SETS:
        values["data"] = os.path.abspath(options.data)
    if options.root is not None:
        values["root"] = os.path.abspath(options.root)
    return values


def _make(options: SimpleNamespace, given: set[str], backend: str, data: DataSet) -> Solver:
    """Return the Solver of the run; where that fails a new folder of the run's goes again."""
    make = _resume if options.resume else _begin
    if not options.out:
        return make(options, given, backend, data)
    made = folder.make(options.out)
    try:
        return make(options, given, backend, data)
    except BaseException:
        for path in made:
            path.rmdir()
        raise


def _begin(options: SimpleNamespace, given: set[str], backend: str, data: DataSet) -> Solver:
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
        **_pauses(options),
    }
    if options.out:
        settings |= {"overwrite": True, "keep_last": options.keep_last or folder.KEPT}
    try:
        return Solver(model, data, **settings)
    except (TypeError, ValueError) as error:
        raise usage_error(error) from error


def _resume(options: SimpleNamespace, given: set[str], backend: str, data: DataSet) -> Solver:
    """Return the Solver that goes on from a checkpoint, with the network that it holds."""
    shown: dict[str, Any] = {"progress": _wants_progress(options), "verbose": not options.quiet}
    in_no_checkpoint = {name for name, setting in SETTINGS.items() if not setting.stored}
    names = given | in_no_checkpoint & vars(options).keys()
    settings = {**solver_arguments(options, names), **shown, **_pauses(options)}
    try:
        model = _find_networks(backend).FullyConnectedNet.load(options.resume, which="latest")
        solver = Solver.resume(options.resume, model, data, **settings)
    except OSError as error:
        said = f"{options.resume}: {error.strerror}" if error.strerror else str(error)
        raise UsageError(f"--resume {said}") from error
    except (TypeError, ValueError) as error:
        raise usage_error(error) from error
    if options.pause_after is not None and options.pause_after <= solver.epoch:
        raise UsageError(
            f"--pause-after {options.pause_after}: the run has had {solver.epoch} epochs: choose "
            "more"
        )
    return solver


class _Pause(Callback):
    """Ends the training after so many epochs, as a run that can go on."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def on_epoch(self, solver: Solver) -> None:
        """Stop, unless the run ends here anyway."""
        if self._epochs <= solver.epoch < solver.num_epochs:
            solver.stop("paused")


def _pauses(options: SimpleNamespace) -> dict[str, Any]:
    return {} if options.pause_after is None else {"callbacks": [_Pause(options.pause_after)]}


def _leave_best(solver: Solver) -> None:
    """Put the best parameters into the model of a run that Ctrl-C or an error has ended."""
    model: Any = solver.model
    model.params = solver.best_params
    for bn_param, best in zip(model.bn_params, solver.best_bn_params, strict=True):
        bn_param.update(best)


def _wants_progress(options: SimpleNamespace) -> bool:
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
