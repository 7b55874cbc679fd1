"""What ``fastfc compare`` finds."""

from __future__ import annotations

import contextlib
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from fastfc.cli import folder
from fastfc.cli.command import UsageError
from fastfc.cli.configuration import OUTSIDE, SHOWN, named
from fastfc.cli.data import load_to_train
from fastfc.cli.ended import read_ended
from fastfc.cli.options import BACKENDS, KEYS, OPTIONS
from fastfc.cli.running import run
from fastfc.cli.tables import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def compare(sides: Sequence[str], config: str | None) -> dict[str, Any]:
    """Return the runs of all sides, and how they differ.

    Raises
    ------
    UsageError
        There are not two of them, or one is neither a run's folder nor a configuration nor a
        backend.
    """
    if len(sides) < 2:
        raise UsageError(f"compare: {len(sides)} given, expected two runs to compare, or more")
    backends = [side in BACKENDS for side in sides]
    if any(backends) and not all(backends):
        raise UsageError("compare: a backend is compared with backends, not with runs")
    if config is not None and not all(backends):
        raise UsageError("--config is for backends: leave it out")
    runs = [_of_backend(side, config) if side in BACKENDS else _of(side) for side in sides]
    for i, name in enumerate(sides):
        runs[i]["name"] = name if sides.count(name) == 1 else f"{name} ({i + 1})"
    found: dict[str, Any] = {"runs": runs}
    lengths = {len(each["loss"]) for each in runs}
    if all(backends) and len(runs) == 2 and len(lengths) == 1:
        losses = [each["loss"] for each in runs]
        found["largest_difference"] = float(np.abs(np.subtract(*losses)).max(initial=0.0))
    return found


def _of(side: str) -> dict[str, Any]:
    if os.path.isdir(side):
        return _of_folder(side)
    return _train(_parameters(side))


def _of_backend(backend: str, config: str | None) -> dict[str, Any]:
    values = _parameters(config)
    return _train({**values, "backend": backend, "dtype": values["dtype"] or "float64"})


def _parameters(config: str | None) -> dict[str, Any]:
    """Return the values of all options of a configuration, as ``fastfc train`` has them."""
    from fastfc.cli.train import command

    return command.make_context("compare", [] if config is None else [config]).params


def _train(values: dict[str, Any]) -> dict[str, Any]:
    """Return what comes of training with such options, which writes no files."""
    values = {**values, **dict.fromkeys(("out", "save", "checkpoint_name", "resume"))}
    values |= {"checkpoint_every": None, "keep_last": None, "compare": False}
    options = SimpleNamespace(**values)
    with contextlib.redirect_stdout(sys.stderr):
        data = load_to_train(options, set(), None)
        found = run(options, set(), options.backend, *data)
    return {
        **_figures(found),
        "options": _told(values),
        "loss": found["loss_history"],
        "epochs_done": list(range(len(found["val_acc_history"]))),
        "train_acc": found["train_acc_history"],
        "val_acc": found["val_acc_history"],
    }


def _of_folder(path: str) -> dict[str, Any]:
    """Return the figures, options and curves of a run's folder.

    Raises
    ------
    UsageError
        There is none, it has not ended, or a file of it is damaged.
    """
    config, summary, history = read_ended(path)
    values = named(os.path.join(path, folder.CONFIG), config, OPTIONS)
    try:
        scored = ~np.isnan(history["val_acc"])
        return {
            **_figures(summary),
            "options": _told(values),
            "loss": history["loss"].tolist(),
            "epochs_done": history["epoch"][scored].tolist(),
            "train_acc": history["train_acc"][scored].tolist(),
            "val_acc": history["val_acc"][scored].tolist(),
        }
    except KeyError as error:
        raise UsageError(f"{path}: damaged: there is no {error}") from error


def _figures(summary: dict[str, Any]) -> dict[str, Any]:
    names = ("backend", "network", "accuracy", "seconds", "examples_per_second", "epochs", "steps")
    return {name: summary[name] for name in (*names, "stop_reason")}


def _told(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that say what was trained, by the names that people use."""
    return {
        KEYS[name]: value
        for name, value in values.items()
        if name in KEYS and name not in {*OUTSIDE, *SHOWN} and value is not None
    }


def in_words(found: dict[str, Any], points: int) -> str:
    """Return the tables that people read."""
    runs = found["runs"]
    first = runs[0]
    rows: list[list[Any]] = [["", *(each["name"] for each in runs)]]
    options = dict.fromkeys(key for each in runs for key in each["options"])
    for key in options:
        values = [each["options"].get(key) for each in runs]
        if any(value != values[0] for value in values):
            rows.append([key, *values])
    rows.append(["network", *("-".join(map(str, each["network"]["layers"])) for each in runs)])
    rows.append(["parameters", *(each["network"]["parameters"] for each in runs)])
    rows.append(["epochs done", *(each["epochs"] for each in runs)])
    for split, name in {"val": "validation", "test": "test"}.items():
        if any(split in each["accuracy"] for each in runs):
            rows.append([f"{name} accuracy", *(each["accuracy"].get(split) for each in runs)])
    rows.append(["last loss", *(each["loss"][-1] if each["loss"] else None for each in runs)])
    rows.append(["seconds", *(float(each["seconds"]) for each in runs)])
    speeds = [each["examples_per_second"] or 0.0 for each in runs]
    rows.append(["examples per second", *(round(speed) for speed in speeds)])
    if first["examples_per_second"]:
        rows.append(["speed, of the first", *(speed / speeds[0] for speed in speeds)])
    lines = [aligned(rows), "", aligned(_curves(runs, points))]
    if "largest_difference" in found:
        difference = found["largest_difference"]
        lines += ["", f"largest difference of the loss histories: {difference:.3g}"]
    return "\n".join(lines)


def _curves(runs: list[dict[str, Any]], points: int) -> list[list[Any]]:
    """Return a table of validation accuracies by epoch, some epochs of many."""
    curves = [dict(zip(each["epochs_done"], each["val_acc"], strict=True)) for each in runs]
    epochs = sorted({epoch for curve in curves for epoch in curve})
    step = max(1, -(-len(epochs) // points))
    shown = epochs[::step] + epochs[-1:] * (bool(epochs) and (len(epochs) - 1) % step != 0)
    table: list[list[Any]] = [["validation accuracy, epoch", *(each["name"] for each in runs)]]
    return table + [[str(epoch), *(curve.get(epoch) for curve in curves)] for epoch in shown]
