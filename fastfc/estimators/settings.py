"""What a fit goes by: an estimator's parameters, checked together, with those of its preset."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils._param_validation import (
    InvalidParameterError,
    validate_parameter_constraints,
)

from ..arguments import shown
from .presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

STOCHASTIC_SOLVERS = ("sgd", "adam")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The parameters of an estimator by their names, as its class documents them.

    ``start`` is how the first weights are drawn, which a preset says.
    """

    hidden_layer_sizes: tuple[int, ...]
    activation: str
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: float
    normalization: str | None
    weight_decay: float | None
    clip_norm: float | None
    lr_schedule: Any
    early_stopping_metric: Any
    dtype: Any
    n_threads: int | None
    callbacks: Any
    progress: bool
    preset: str | None
    label_smoothing: float = 0.0
    class_weight: Any = None
    loss: str = "log_loss"
    loss_param: float | None = None
    start: str = "sklearn"


def settle(estimator: Any) -> Settings:
    """Return the settings of an estimator, whose parameters have been checked one by one.

    Parameters
    ----------
    estimator : FCClassifier or FCRegressor

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        A size is below 1, two parameters set one thing, or the solver cannot do what is asked for.

    Examples
    --------
    >>> from fastfc.estimators import FCClassifier
    >>> settle(FCClassifier(hidden_layer_sizes=20)).hidden_layer_sizes
    (20,)
    >>> settle(FCClassifier(preset="modern")).normalization
    'batchnorm'
    """
    cls: Any = type(estimator)
    defaults = _defaults_of(cls)
    params: dict[str, Any] = {name: getattr(estimator, name) for name in defaults}
    _check_pairs(params, defaults)
    if params["preset"] is not None:
        for name, value in PRESETS[params["preset"]].items():
            if name not in params or params[name] == defaults[name]:
                params[name] = value
    if params["solver"] == "lbfgs":
        _check_lbfgs(params)
    if params["weight_decay"] is not None:
        params["alpha"] = 0.0
    params["hidden_layer_sizes"] = _sizes(params["hidden_layer_sizes"])
    return Settings(**params)


def check_params(estimator: Any) -> None:
    """Raise InvalidParameterError where a parameter is none that the estimator's class allows.

    Most are at their defaults, which are checked once a class: that takes longer than the rest.
    """
    cls: Any = type(estimator)
    valid = _valid_defaults_of(cls)
    params = {name: getattr(estimator, name) for name in sorted(_defaults_of(cls))}
    changed = {
        name: value
        for name, value in params.items()
        if name not in valid or value is not valid[name]
    }
    validate_parameter_constraints(cls._parameter_constraints, changed, cls.__name__)


@functools.cache
def _valid_defaults_of(cls: Any) -> Mapping[str, Any]:
    """Return the default of each parameter, without those that the class does not allow."""
    valid: dict[str, Any] = {}
    for name, value in _defaults_of(cls).items():
        with contextlib.suppress(InvalidParameterError):
            validate_parameter_constraints(cls._parameter_constraints, {name: value}, cls.__name__)
            valid[name] = value
    return valid


@functools.cache
def _defaults_of(cls: Any) -> Mapping[str, Any]:
    """Return the default of each parameter."""
    return {name: each.default for name, each in inspect.signature(cls).parameters.items()}


def _sizes(value: Any) -> tuple[int, ...]:
    """Return the sizes of the hidden layers: one number is one layer."""
    sizes = list(value) if np.iterable(value) else [value]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return tuple(int(size) for size in sizes)


def _check_pairs(params: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise ValueError where two parameters that set one thing are both set."""
    pairs = {"weight_decay": ("alpha", 0), "lr_schedule": ("learning_rate", None)}
    for ours, (theirs, nothing) in pairs.items():
        value = params[theirs]
        if params[ours] is not None and value != defaults[theirs] and value != nothing:
            raise ValueError(
                f"{ours} is {shown(params[ours])} and {theirs} is {shown(value)}, expected one of "
                "them: they set one thing"
            )


def _check_lbfgs(params: Mapping[str, Any]) -> None:
    """Raise ValueError where something is asked for that goes with minibatches alone."""
    asked = {name: params[name] for name in ("weight_decay", "clip_norm", "lr_schedule")}
    if params["dropout"]:
        asked["dropout"] = params["dropout"]
    for name, value in asked.items():
        if value is not None:
            raise ValueError(
                f"solver is 'lbfgs' and {name} is {shown(value)}, expected 'sgd' or 'adam': "
                "L-BFGS has one loss for all steps and lengths of its own"
            )
