"""The state of a run: collected from a Solver, checked, and restored into another one."""

from __future__ import annotations

import numbers
import zlib
from typing import TYPE_CHECKING

import numpy as np

from ..archives import describe_error
from . import checks
from .checkpoint import CheckpointError, write_checkpoint
from .history import Log
from .packing import same
from .settings import check_fixed, split_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .._types import AnyArray, ArrayLike, StrPath
    from .resuming import Resumable

# Each part and its type; a file without one of them is no checkpoint of a Solver.
PARTS = {
    "iteration": int,
    "epoch": int,
    "call": dict,
    "params": dict,
    "best_params": dict,
    "best_val_acc": object,
    "optim_configs": dict,
    "rates": dict,
    "bn_running": list,
    "best_bn_params": list,
    "loss_history": list,
    "train_acc_history": list,
    "val_acc_history": list,
    "log": dict,
    "random": dict,
    "settings": dict,
    "outside": dict,
    "data": dict,
}

SPLITS = "train", "val"
ROWS = 8  # of each split that its checksum covers


def running_statistics(bn_params: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the running statistics of every batch normalisation, the arrays themselves."""
    return [
        {key: value for key, value in bn_param.items() if _is_statistic(key, value)}
        for bn_param in bn_params
    ]


def _is_statistic(key: object, value: object) -> bool:
    """Return whether an entry of a bn_param is one; a model of the user's own may have others."""
    named = isinstance(key, str) and key.startswith("running_")
    return named and isinstance(value, (np.ndarray, numbers.Real))


def set_running_statistics(
    bn_params: Iterable[dict[str, Any]], statistics: Iterable[Mapping[str, ArrayLike]]
) -> None:
    """Let the batch normalisations have these running statistics and no others, as copies."""
    for bn_param, found in zip(bn_params, statistics, strict=False):  # a model may make more
        for key in running_statistics([bn_param])[0]:
            del bn_param[key]
        bn_param.update(copy_arrays(found))


def copy_arrays(arrays: Mapping[str, ArrayLike]) -> dict[str, AnyArray]:
    """Return a dictionary of copies."""
    return {name: np.array(value) for name, value in arrays.items()}


def collect_state(solver: Resumable) -> dict[str, Any]:
    """Return the state of a Solver between two steps, as `write_checkpoint` takes it."""
    params, statistics = solver._latest()
    settings, outside = split_settings(solver)
    return {
        "iteration": len(solver.loss_history),
        "epoch": solver.epoch,
        "call": solver._call,
        "params": params,
        "best_params": solver.best_params,
        "best_val_acc": solver.best_val_acc,
        "optim_configs": solver.optim_configs,
        "rates": solver._rates.state(),
        "bn_running": statistics,
        "best_bn_params": solver.best_bn_params,
        "loss_history": solver.loss_history,
        "train_acc_history": solver.train_acc_history,
        "val_acc_history": solver.val_acc_history,
        "log": solver._log.state(),
        "random": np.random.get_state(legacy=False),
        "settings": settings,
        "outside": outside,
        "data": fingerprints(solver),
    }


def write_state(path: StrPath, solver: Resumable) -> None:
    """Write a checkpoint of a Solver, with the identity of its run and what builds its network."""
    run = {"id": solver._run, "turn": 0}
    if solver._saver is not None:
        run |= {"turn": solver._saver.turn or 0, "part": solver._saver.part}
    write_checkpoint(path, collect_state(solver), run, _describe_network(solver.model))


def _describe_network(model: Any) -> dict[str, Any] | None:
    """Return what builds a network, None for a model that does not say, or whose no file can."""
    try:
        described: dict[str, Any] = model._describe_network()
        return described
    except (AttributeError, TypeError):
        return None


def check_parts(path: StrPath, state: dict[str, Any]) -> None:
    """Raise an error unless the state has every part."""
    for name, kind in PARTS.items():
        if name not in state or not isinstance(state[name], kind):
            raise CheckpointError(
                f"{path}: its {name} is {type(state.get(name)).__name__}, expected "
                f"{kind.__name__}: no checkpoint of a Solver"
            )


def check_fits(path: StrPath, solver: Resumable, state: dict[str, Any]) -> None:
    """Raise an error unless the state is one of such settings, model, data and generator."""
    check_fixed(path, solver, state["settings"], state["outside"])
    params = state["params"]
    _expect(path, "model.params has", _shapes(solver.model.params), _shapes(params))
    _expect(path, "optim_configs has", sorted(state["optim_configs"]), sorted(params))
    found = len(solver._bn_params())
    _expect(path, "len(model.bn_params) is", found, len(state["bn_running"]))
    for part, mark in fingerprints(solver).items():
        _expect(path, f"data: {part}", mark, state["data"].get(part))
    generator = np.random.get_state(legacy=False)["bit_generator"]
    _expect(path, "np.random runs", generator, state["random"].get("bit_generator"))
    try:
        checks.check_progress(state)
        checks.check_arrays(solver.model, solver._bn_params(), state)
        checks.check_optimiser(solver, state)
        checks.check_rates(state["rates"], params.keys())
        checks.check_random(state["random"])
    except Exception as error:  # of the generator: of any type
        raise CheckpointError(f"{path}: damaged: {describe_error(error)}") from error


def restore(solver: Resumable, state: dict[str, Any]) -> None:
    """Give the state, which has been checked, to a new Solver, its model and ``np.random``."""
    best, params = state["best_params"], state["params"]
    if best.keys() == params.keys() and all(best[name] is params[name] for name in best):
        params = best  # the run had ended: its model has the best parameters themselves
    solver.epoch = state["epoch"]
    solver.best_val_acc = state["best_val_acc"]
    solver.best_params = best
    solver.best_bn_params = state["best_bn_params"]
    solver.loss_history = state["loss_history"]
    solver.train_acc_history = state["train_acc_history"]
    solver.val_acc_history = state["val_acc_history"]
    solver.optim_configs = state["optim_configs"]
    solver._log = Log(**state["log"])
    solver._call = state["call"]
    solver.model.params = params
    set_running_statistics(solver._bn_params(), state["bn_running"])
    np.random.set_state(state["random"])


def fingerprints(solver: Resumable) -> dict[str, object]:
    """Return what tells data apart: shapes, dtypes, checksums of all labels and of some rows."""
    if solver._marks is not None:
        return solver._marks
    found: dict[str, object] = {}
    for split in SPLITS:
        found |= marks_of(split, getattr(solver, f"X_{split}"), getattr(solver, f"y_{split}"))
    return found


def marks_of(split: str, X: Any, y: AnyArray) -> dict[str, object]:
    """Return what tells a split apart that is here whole."""
    rows = [X[i] for i in marked_rows(X.shape[0])]
    dtypes = str(getattr(X, "dtype", None)), str(y.dtype)
    return describe_split(split, X.shape, rows, checksum(y), *dtypes)


def marked_rows(n: int) -> list[int]:
    """Return the numbers of the rows, of so many, that a split's checksum covers."""
    return sorted({k * (n - 1) // (ROWS - 1) for k in range(ROWS)}) if n else []


def describe_split(
    split: str, shape: Iterable[int], rows: list[Any], labels: int, X_dtype: str, y_dtype: str
) -> dict[str, object]:
    """Return a split's fingerprint, of its marked rows and the checksum of its labels."""
    mark = 0
    for row in rows:
        mark = checksum(row, mark)
    return {
        f"X_{split} has shape": [int(length) for length in shape],
        f"X_{split} has dtype": X_dtype,
        f"X_{split} has in some rows the CRC-32": mark,
        f"y_{split} has dtype": y_dtype,
        f"y_{split} has the CRC-32": labels,
    }


def checksum(values: Any, before: int = 0) -> int:
    """Return the CRC-32 of an array's bytes, or of its text: an object's bytes are an address."""
    values = np.asarray(values)
    text = repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes()
    return zlib.crc32(text, before)


def _shapes(params: Mapping[str, ArrayLike]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (np.shape(value), str(np.asarray(value).dtype)) for name, value in params.items()}


def _expect(path: StrPath, what: str, found: Any, expected: Any) -> None:
    if same(found, expected):
        return
    if isinstance(found, dict):  # only what differs
        names = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
        found, expected = ({name: d.get(name) for name in names} for d in (found, expected))
    raise CheckpointError(
        f"{path}: {what} {found}, expected {expected}, with which the checkpoint was written"
    )
