"""What a checkpoint's state must be, looked at as a whole before anything is taken from it.

A file may be damaged or come from a stranger; each part is compared with what the model, the update
rule and the generator at hand would have there.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING

import numpy as np

from ..update_rules import RULES
from .rules import built_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from typing import Any

    from .._types import Model
    from .resuming import Resumable

MT19937_WORDS, PHILOX_WORDS = 624, 4  # what a generator's position counts


def check_progress(state: dict[str, Any]) -> None:
    """Raise ValueError unless numbers of steps and epochs, histories and clocks agree."""
    steps = len(state["loss_history"])
    _check_count("iteration", state["iteration"], steps, steps)
    _check_count("epoch", state["epoch"], 0, steps)
    for name in ("step", "scorings"):
        _check_count(f"call: {name}", state["call"].get(name), 0, 2**53)
    for name in ("loss_history", "train_acc_history", "val_acc_history"):
        for value in state[name]:
            _check_number(name, value)
    _check_number("best_val_acc", state["best_val_acc"])
    log = state["log"]
    if log.keys() != {"seconds", "learning_rate", "scored", "epochs"}:
        raise ValueError(f"log has {', '.join(map(str, log))}")
    for name, column in log.items():
        if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype.kind not in "fiu":
            raise ValueError(f"log: {name} is no column of numbers")


def check_arrays(model: Model, bn_params: list[dict[str, Any]], state: dict[str, Any]) -> None:
    """Raise ValueError unless parameters and statistics are such as the model has."""
    names = model.params.keys()
    if state["best_params"].keys() not in (set(), names):
        raise ValueError(f"best_params has {', '.join(map(str, state['best_params']))}")
    for part in ("params", "best_params"):
        for name, value in state[part].items():
            _check_like(f"{part}: {name}", value, model.params[name])
    shapes = getattr(model, "_running_shapes", lambda: None)()
    most = max([np.size(value) for value in model.params.values()], default=0)
    for part in ("bn_running", "best_bn_params"):
        found = state[part]
        if part == "best_bn_params" and not found:
            continue  # not scored yet, or by a loop of the user's own, which does not keep them
        if len(found) != len(bn_params):
            raise ValueError(f"{part} has {len(found)} parts, expected {len(bn_params)}")
        for i, statistics in enumerate(found):
            if not isinstance(statistics, dict):
                raise ValueError(f"{part}[{i}] is a {type(statistics).__name__}")
            for name, value in statistics.items():
                _check_statistic(f"{part}[{i}]: {name}", name, value, shapes and shapes[i], most)


def _check_statistic(
    where: str, name: str, value: Any, shapes: Mapping[str, tuple[int, ...]] | None, most: int
) -> None:
    """Raise ValueError unless this can be a running statistic.

    ``shapes`` is what the model says of its statistics, or None; then none has more elements than
    the largest parameter.
    """
    if not isinstance(name, str) or not name.startswith("running_"):
        raise ValueError(f"{where} is no running statistic")
    found = np.asarray(value) if isinstance(value, (np.ndarray, numbers.Real)) else None
    if found is None or found.dtype.kind not in "fiub" or found.dtype.itemsize > 8:
        dtype = None if found is None else found.dtype
        raise ValueError(f"{where} is a {type(value).__name__} of {dtype}, expected real numbers")
    if shapes is None:
        if found.size > most:
            raise ValueError(f"{where} has shape {found.shape}, more than any parameter")
    elif name not in shapes or found.shape not in ((), shapes[name], (1, *shapes[name])):
        raise ValueError(f"{where} has shape {found.shape}, expected {shapes.get(name)}")


def check_optimiser(solver: Resumable, state: dict[str, Any]) -> None:
    """Raise ValueError unless configs are such as the update rule makes of the parameters.

    What a rule of the user's own keeps in its config is its own matter.
    """
    for name, config in state["optim_configs"].items():
        if not isinstance(config, dict):
            raise ValueError(f"optim_configs: {name} is a {type(config).__name__}, expected a dict")
        rule_name = built_in(solver.update_rule)
        if rule_name is None:
            continue
        rule = RULES[rule_name]
        states = {key for keys in rule.states for key in keys}
        w = np.asarray(solver.model.params[name])
        expected = w.shape, w.dtype if w.dtype in (np.float32, np.float64) else np.dtype(float)
        for key, value in config.items():
            where = f"optim_configs: {name}: {key}"
            found = np.shape(value), np.asarray(value).dtype
            large = isinstance(value, np.ndarray) and value.size > 1
            if (large or key in states) and found != expected:
                raise ValueError(f"{where} has shape and dtype {found}, expected {expected}")
            if key in rule.constants:
                _check_number(where, value)


def check_random(random: dict[str, Any]) -> None:
    """Raise ValueError unless ``np.random`` can be put into this state, of its own generator.

    A generator may believe its position, and read there: that is looked at first.
    """
    state = random.get("state")
    state = state if isinstance(state, dict) else {}
    for position, most in (
        (state.get("pos"), MT19937_WORDS),
        (random.get("buffer_pos"), PHILOX_WORDS),
    ):
        if position is not None:
            _check_count("random: position", position, 0, most)
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]  # not in NumPy's stub
    np.random.RandomState(type(generator)(0)).set_state(random)


def _check_count(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        shown = value if type(value) is not int or abs(value) < 2**64 else "a huge number"
        raise ValueError(f"{name} is {shown!r}, expected an integer from {least} to {most}")


def _check_number(name: str, value: Any) -> None:
    """Raise ValueError unless a value is a real number that a float can be, or an array of one."""
    real = isinstance(value, (numbers.Real, np.bool_)) or (
        isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiub"
    )
    try:
        if real:
            float(value if not isinstance(value, np.ndarray) else value.item())
            return
    except OverflowError:
        pass
    raise ValueError(f"{name} is a {type(value).__name__}, expected a number")


def _check_like(name: str, value: Any, model_value: Any) -> None:
    """Raise ValueError unless a value is an array as the model has, or a number as it has."""
    if isinstance(model_value, np.ndarray) != isinstance(value, np.ndarray) or (
        not isinstance(value, (np.ndarray, numbers.Number))
    ):
        raise ValueError(
            f"{name} is a {type(value).__name__}, the model's a {type(model_value).__name__}"
        )
    found, expected = (
        (array.shape, array.dtype) for array in (np.asarray(value), np.asarray(model_value))
    )
    if found != expected:
        raise ValueError(f"{name} has shape and dtype {found}, expected {expected}")


def check_rates(rates: dict[str, Any], names: AbstractSet[str]) -> None:
    """Raise ValueError unless this is what `Rates.state` returns for parameters of these names."""
    if not {"base", "schedule"} <= rates.keys():
        raise ValueError(f"rates has {', '.join(map(str, rates))}")
    fitted = rates.get("fitted", [])
    if not isinstance(fitted, list) or not all(isinstance(name, str) for name in fitted):
        raise ValueError(f"rates: fitted is {fitted!r:.80}, expected a list of names")
    base = rates["base"]
    if base is None:
        return
    if not isinstance(base, dict) or base.keys() != names:
        raise ValueError("rates: base is not a learning rate for each parameter")
    for name, value in base.items():
        if not isinstance(value, float) or not 0 <= value < math.inf:
            raise ValueError(f"rates: base of {name} is {value!r}")
