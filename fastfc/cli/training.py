"""What ``fastfc train`` does: it checks what is given, trains, and prints what came of it."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import numpy as np

from fastfc import fc_net
from fastfc.cli import folder, result
from fastfc.cli.arguments import NETWORK_ARGUMENTS, rule_config
from fastfc.cli.command import UsageError, check_writable
from fastfc.cli.configuration import OUTSIDE, SHOWN
from fastfc.cli.data import is_table, load_to_train
from fastfc.cli.options import BACKENDS, RULE_KEYS, TABLE_OPTIONS, flag_of
from fastfc.cli.ranks import Ranks, together
from fastfc.cli.running import REMEDY, run
from fastfc.networks.arguments import choose_name
from fastfc.training import latest_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import SimpleNamespace
    from typing import Any

    from fastfc._types import DataSet

# What cannot change when a run goes on.
FIXED = {
    *NETWORK_ARGUMENTS,
    *RULE_KEYS,
    *TABLE_OPTIONS,
    *("backend", "batch_size", "data", "dropout_seed", "learning_rate", "normalize", "seed"),
    "update_rule",
}


def train(options: SimpleNamespace, given: set[str], was: Mapping[str, Any] | None = None) -> int:
    """Train as the options say, with one backend or both, and print the figures.

    Parameters
    ----------
    options : SimpleNamespace
        The values of `fastfc.cli.options.OPTIONS`, by their names.
    given : set of str
        The names of those that were given.
    was : mapping, optional
        The values that the run in a folder has, which is to go on.

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
    with together() as ranks:
        return _train(options, given, was, ranks)


def _train(
    options: SimpleNamespace, given: set[str], was: Mapping[str, Any] | None, ranks: Ranks
) -> int:
    """Do what ``train`` does, on this rank."""
    ranks.settle(options)
    _check_together(options, given, was)
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        if was is not None:
            given = _go_on(options, given, was)
            ranks.settle(options)
        elif options.out:
            options.checkpoint_name = folder.checkpoint_name(options.out)
        network = _network_of(options)
        if was is None and network is not None:
            has = _arguments_of(network)
            _refuse_fixed(options.resume, _changes(options, given & has.keys(), has))
        data = load_to_train(options, given, network)
        if options.compare:
            found = _compare(options, given, *data)
        else:
            found = run(options, given, options.backend, *data)
    ranks.ended = True
    if options.json:
        print(result.to_json(found), file=stdout)
    runs = found.get("runs", [found])
    for each in runs:
        if each["nonfinite"] is not None:
            raise UsageError(f"{each['nonfinite']}; {REMEDY}")
    return 130 if any(each["stop_reason"] == "interrupt" for each in runs) else 0


def _compare(
    options: SimpleNamespace,
    given: set[str],
    data: DataSet,
    preprocessing: dict[str, Any] | None,
) -> dict[str, Any]:
    """Train with both backends and print how they differ."""
    runs = []
    for backend in BACKENDS:
        print(f"backend: {backend}, {options.dtype or 'float64'}")
        runs.append(run(options, given, backend, data, preprocessing))
        if runs[-1]["stop_reason"] in ("interrupt", "nonfinite"):
            return {"runs": runs}
    fast, reference = runs
    difference = np.abs(np.subtract(fast["loss_history"], reference["loss_history"])).max()
    ratio = reference["seconds"] / fast["seconds"]
    print(f"largest difference of the loss histories: {difference:.3g}")
    print(f"speed ratio: {ratio:.2f}")
    return {"runs": runs, "largest_difference": difference, "speed_ratio": ratio}


def _network_of(options: SimpleNamespace) -> fc_net.FullyConnectedNet | None:
    """Return the network of the checkpoint that the run goes on from, if it does."""
    if options.resume is not None:
        with contextlib.suppress(OSError, ValueError):  # it is said where it is resumed
            return fc_net.FullyConnectedNet.load(options.resume, which="latest")
    return None


def _check_together(
    options: SimpleNamespace, given: set[str], was: Mapping[str, Any] | None
) -> None:
    """Raise a UsageError for options that do not fit together, before anything is loaded."""
    if options.compare and "backend" in given:
        raise UsageError("argument --backend: not allowed with argument --compare")
    if options.compare:
        for name in ("out", "save", "checkpoint_name", "resume"):
            if getattr(options, name) is not None:
                raise UsageError(f"{flag_of(name)} is for one run: leave it out with --compare")
    if options.out and options.checkpoint_name:
        raise UsageError(
            "--checkpoint: the folder of --out has checkpoints of its own: leave it out"
        )
    if options.resume is None:
        rule_config(options)
        for name in ("checkpoint_every", "keep_last", "pause_after"):
            wanted = getattr(options, name) is not None
            if wanted and not options.checkpoint_name and not options.out:
                raise UsageError(f"{flag_of(name)} needs --checkpoint NAME or --out DIR")
    elif options.out:
        raise UsageError("--out: a run goes on where it was: leave it out with --resume")
    elif was is None:
        _check_resumed(options, given)
    for name in ("save", "checkpoint_name"):
        path = getattr(options, name)
        if path is not None:
            check_writable(flag_of(name), path)
    if options.out:
        folder.check_free("--out", options.out, bool(options.overwrite))


def _check_resumed(options: SimpleNamespace, given: set[str]) -> None:
    """Raise a UsageError for options that a run which goes on has no use for."""
    if options.backend == "reference":
        raise UsageError("--resume goes on with the C kernels: leave --backend reference out")
    if "seed" in given:
        raise UsageError(
            "--seed: the checkpoint of --resume has the state of the random numbers: leave it out"
        )
    for name in sorted(given & {*TABLE_OPTIONS}):
        raise UsageError(
            f"{flag_of(name)}: the checkpoint of --resume has what was made of the table: leave it "
            "out"
        )


def _go_on(options: SimpleNamespace, given: set[str], was: Mapping[str, Any]) -> set[str]:
    """Let the options be those of the run in a folder; return which of its settings change.

    Raises
    ------
    UsageError
        There is no checkpoint, or something changes that cannot.
    """
    path = options.resume
    changes = _changes(options, given - {*OUTSIDE, *SHOWN}, was)
    _refuse_fixed(path, changes)
    checkpoint = latest_checkpoint(folder.checkpoint_name(path))
    if checkpoint is None:
        raise UsageError(
            f"--resume {path}: there is no checkpoint: begin again by fastfc train "
            f"{os.path.join(path, folder.CONFIG)} --out {path} --overwrite"
        )
    if changes:
        print(f"changed: {', '.join(changes.values())}")
    options.out, options.resume = path, str(checkpoint)
    return given - FIXED


def _arguments_of(network: fc_net.FullyConnectedNet) -> dict[str, Any]:
    """Return the values of the options that make such a network."""
    found = dict(network._describe_network()["arguments"])
    names = "dropout", "dropout_keep_ratio"
    _, found["dropout"] = choose_name(names[0], found[names[0]], names[1], found[names[1]], 0)
    found["normalization"] = network.normalization or "none"
    found["dropout_seed"] = found.pop("seed")
    return found


def _changes(
    options: SimpleNamespace, names: Iterable[str], was: Mapping[str, Any]
) -> dict[str, str]:
    """Return what has not the value that it had, of these options: how it changes, in words."""
    return {
        name: f"{flag_of(name)} {_in_words(was[name])} to {_in_words(getattr(options, name))}"
        for name in sorted(names)
        if _place(getattr(options, name)) != _place(was[name])
    }


def _refuse_fixed(path: str, changes: Mapping[str, str]) -> None:
    """Raise a UsageError if something changes that cannot."""
    fixed = [name for name in changes if name in FIXED]
    if fixed:
        others = [words for name, words in changes.items() if name != fixed[0]]
        raise UsageError(
            f"--resume {path}: {changes[fixed[0]]}, which a run cannot change: begin another one "
            f"with --out{'; also changed: ' if others else ''}{', '.join(others)}"
        )


def _in_words(value: Any) -> str:
    """Return an option's value as one would type it."""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def _place(value: Any) -> Any:
    """Return a value to compare, a file as one from anywhere."""
    is_file = isinstance(value, str) and (value.endswith(".npz") or is_table(value))
    return os.path.abspath(value) if is_file else value
