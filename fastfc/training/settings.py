"""The Solver's keyword arguments: one line each, with default, check, and what a checkpoint does.

`check_settings` checks what is given, `split_settings` says what a checkpoint can hold of them,
`merge_settings` with which of them a run goes on.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import optim
from ..arguments import check_flag, check_number, count, did_you_mean, is_real, is_whole, shown
from ..clipping import check_clip_norm
from ..dropin.finder import rule
from .callbacks import as_list
from .checkpoint import CheckpointError
from .folder import parse_name
from .guard import POLICIES
from .option_checks import Resumed, check_optim_config
from .packing import pack, same
from .rules import built_in

if TYPE_CHECKING:
    from .._types import StrPath
    from .resuming import Resumable

_UNITS = {"s": 1, "min": 60, "h": 3600}


Check = Callable[[str, Any], Any]  # (name, value) -> the value to keep, or raises


class Setting(NamedTuple):
    """A keyword argument.

    ``check(name, value)`` returns the value to keep or raises.  One that is ``fixed`` cannot change
    when a run is resumed; one that is not ``stored`` is in no checkpoint.
    """

    default: object
    check: Check = lambda name, value: value
    fixed: bool = False
    stored: bool = True


def _optional(check: Check) -> Check:
    """Return a check that also accepts None."""
    return lambda name, value: None if value is None else check(name, value)


def _from_zero(name: str, value: Any) -> Any:
    return count(name, value, least=0)


def _above_zero(name: str, value: Any) -> Any:
    number = check_number(name, value, "a number above 0", lambda number: number > 0)
    return value if is_real(value) else number


def _from_zero_on(name: str, value: Any) -> Any:
    expected = "a number of at least 0"
    number = check_number(name, value, expected, lambda number: 0 <= number < math.inf)
    return value if is_real(value) else number


def _policy(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in POLICIES:
        raise ValueError(
            f"{name} is {shown(value)}, expected one of {', '.join(map(repr, POLICIES))}"
        )
    return value


def _seconds(name: str, value: Any) -> Any:
    least = math.inf if isinstance(value, bool) else 0
    number = check_number(name, value, "seconds, a number above 0", lambda number: number > least)
    return value if is_real(value) else number


def _flag(name: str, value: Any) -> Any:
    check_flag(name, value)
    return value


def _config(name: str, value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {shown(value)}, expected a dict of the rule's hyper-parameters")
    return value if isinstance(value, dict) else dict(value)


def _update_rule(name: str, value: Any) -> Any:
    if callable(value):
        return value
    if isinstance(value, str) and (own := rule(value)) is not None:
        return own
    if not isinstance(value, str) or value not in optim.__all__:
        text = value if isinstance(value, str) else shown(value)
        raise ValueError(
            f'Invalid {name} "{text}", expected one of {", ".join(optim.__all__)}, or a function'
            f"{did_you_mean(text, optim.__all__)}"
        )
    return getattr(optim, value)


def _early_stopping(name: str, value: Any) -> dict[str, float]:
    expected = "expected a dict of patience and, if wanted, min_delta"
    if not isinstance(value, dict) or not {"patience"} <= value.keys() <= {"patience", "min_delta"}:
        raise ValueError(f"{name} is {shown(value)}, {expected}")
    count(f"{name}: patience", value["patience"])
    _from_zero_on(f"{name}: min_delta", value.get("min_delta", 0.0))
    return dict(value)


def _name_of_files(name: str, value: Any) -> Any:
    try:
        path = Path(os.fsdecode(value))
    except TypeError:
        raise TypeError(f"{name} is {shown(value)}, expected a path") from None
    value = os.fsdecode(value)
    if path.name in ("", "..") or value.endswith((os.sep, os.altsep or os.sep)):
        raise ValueError(
            f"{name} is {value!r}, expected a name to begin its files' names with, as "
            f"{os.path.join(value, 'run')!r}"
        )
    if not path.parent.is_dir():
        raise ValueError(f"{name} is {value!r}, expected a name in a folder that exists")
    return value


def _every(name: str, value: Any) -> Any:
    interval(name, value)
    return value


def interval(name: str, value: Any) -> tuple[int | None, float | None]:
    """Return (steps, seconds), one of which is None, of a number of steps or a time."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d*)?) ?(s|min|h)", value)
        if found and float(found[1]) > 0:
            return None, float(found[1]) * _UNITS[found[2]]
    elif is_whole(value) and not isinstance(value, bool) and value > 0:
        return value, None
    raise ValueError(
        f"{name} is {shown(value)}, expected a number of steps, as 500, or a time, as '30s', "
        "'5min' or '1h'"
    )


def _progress(name: str, value: Any) -> bool:
    wanted = check_flag(name, value)
    if wanted:
        import tqdm.auto  # noqa: F401  (before `train`, whose steps are timed)
    return wanted


def _comm(name: str, value: Any) -> Any:
    from ..distributed import check_comm  # needs mpi4py

    return check_comm(name, value)


SETTINGS = {
    "update_rule": Setting("sgd", _update_rule, fixed=True),
    "optim_config": Setting(None, _config, fixed=True),
    "lr_decay": Setting(1.0, _from_zero_on),
    "lr_schedule": Setting(None),  # checked by Rates
    "clip_norm": Setting(None, _optional(lambda _, value: check_clip_norm(value))),
    "batch_size": Setting(100, count, fixed=True),
    "num_epochs": Setting(10, _from_zero),
    "normalize": Setting(None, fixed=True),  # checked by the Solver
    "print_every": Setting(10),  # checked by `taken`: nobody asks for it without verbose
    "verbose": Setting(True, _flag),
    "num_train_samples": Setting(1000, _optional(count)),
    "num_val_samples": Setting(None, _optional(count)),
    "checkpoint_name": Setting(None, _optional(_name_of_files)),
    "checkpoint_every": Setting(None, _optional(_every)),
    "keep_last": Setting(None, _optional(count)),
    "overwrite": Setting(True, check_flag, stored=False),
    "max_seconds": Setting(None, _optional(_seconds)),
    "max_steps": Setting(None, _optional(count)),
    "early_stopping": Setting(None, _optional(_early_stopping)),
    "on_nonfinite": Setting("stop", _policy),
    "callbacks": Setting(None, as_list, stored=False),
    "progress": Setting(False, _progress),
    "comm": Setting(None, _optional(_comm), stored=False),
    "shards": Setting(False, check_flag),
    "sync_batchnorm": Setting(True, check_flag),
    "check_ranks": Setting(False, check_flag, stored=False),
    "comm_timeout": Setting(300.0, _seconds, stored=False),
}


def check_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting's value: what is given, checked, or its default.

    Raises
    ------
    ValueError, TypeError
        One is unknown, out of range, or needs another.
    """
    values = {
        name: setting.check(name, given.get(name, setting.default))
        for name, setting in SETTINGS.items()
    }
    if unknown := [f'"{name}"' for name in given if name not in SETTINGS]:
        raise ValueError(f"Unrecognized arguments {', '.join(unknown)}")
    if values["verbose"]:
        _above_zero("print_every", values["print_every"])
    for name in ("checkpoint_every", "keep_last"):
        if values[name] is not None and values["checkpoint_name"] is None:
            raise ValueError(
                f"{name} is {shown(values[name])}, expected None without checkpoint_name"
            )
    check_optim_config(values["update_rule"], values["optim_config"])
    return values


def least_examples(given: Mapping[str, Any]) -> int:
    """Return how many examples a split has at least: none, if other ranks may have some."""
    return 0 if check_flag("shards", given.get("shards", False)) else 1


def split_settings(solver: Resumable) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings as a checkpoint has them, and the names of those that it cannot have."""
    values = {name: getattr(solver, name) for name, setting in SETTINGS.items() if setting.stored}
    values["update_rule"] = built_in(solver.update_rule) or solver.update_rule
    outside = {name: repr(value) for name, value in values.items() if not _fits(value)}
    return {name: values[name] for name in values if name not in outside}, outside


def _fits(value: Any) -> bool:
    try:
        pack(value, {})
    except TypeError:
        return False
    return True


def merge_settings(
    path: StrPath, values: dict[str, Any], outside: dict[str, str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keyword arguments for going on: those of the checkpoint, then those given.

    Of the checkpoint's ``checkpoint_name`` only counts that there was one: see `parse_name`.

    Raises
    ------
    CheckpointError
        One is missing that the file cannot have, or the file has one that is none.
    """
    for name, what in outside.items():
        if name not in given:
            raise CheckpointError(
                f"{path}: {name} was {what}, which a file cannot hold: give it again, "
                f"resume(..., {name}=...)"
            )
    found = _check_stored(path, values)
    if found.get("checkpoint_name") is not None:
        found["checkpoint_name"] = parse_name(path)
    if given.get("checkpoint_name", found.get("checkpoint_name")) is None:
        found |= {"checkpoint_every": None, "keep_last": None}
    found |= given
    if isinstance(found.get("optim_config"), Mapping):
        found["optim_config"] = Resumed(found["optim_config"])
    return found


def _check_stored(path: StrPath, values: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's settings, those that can be checked by themselves checked."""
    found = dict(values)
    if type(found.get("num_epochs")) is not int:
        raise CheckpointError(f"{path}: damaged: its settings: num_epochs is no integer")
    try:
        for name, value in values.items():
            if name == "checkpoint_name":
                continue
            if not SETTINGS[name].stored:
                raise ValueError(f"{name} is in no checkpoint")
            found[name] = SETTINGS[name].check(name, value)
        if not isinstance(values.get("optim_config", {}), dict):
            raise ValueError(f"optim_config is {values['optim_config']!r}, expected a dict")
        if not math.isfinite(values.get("lr_decay", 1.0)):
            raise ValueError(f"lr_decay is {values['lr_decay']}, expected a number")
    except ImportError:  # of tqdm, which the file's machine had
        raise
    except Exception as error:
        raise CheckpointError(f"{path}: damaged: its settings: {error}") from error
    return found


def check_fixed(
    path: StrPath, solver: Resumable, values: dict[str, Any], outside: dict[str, str]
) -> None:
    """Raise an error if what cannot change is not as in the checkpoint."""
    now, now_outside = split_settings(solver)
    for name, setting in SETTINGS.items():
        if not setting.fixed or (name in outside and name in now_outside):
            continue
        if name not in values or name not in now or not same(now[name], values[name]):
            found, expected = (
                repr(a[name]) if name in a else b.get(name)
                for a, b in ((now, now_outside), (values, outside))
            )
            raise CheckpointError(
                f"{path}: {name} is {found}, expected {expected}, which the run has and which "
                "cannot change"
            )
