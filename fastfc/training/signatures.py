"""The Solver's settings in the signatures of what takes them, for `help` and editors.

Checkers read :class:`fastfc._types.SolverSettings`; a test says that both name the same settings.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from .settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Function = TypeVar("Function", bound=Callable[..., object])


class _Kept:
    """Stands for the default of what a checkpoint has."""

    def __repr__(self) -> str:
        return "<as in the checkpoint>"


def show_settings(function: Function) -> Function:
    """Let a function's signature name each setting, where it has ``**settings``."""
    return _show(function, {name: setting.default for name, setting in SETTINGS.items()})


def show_kept_settings(function: Function) -> Function:
    """Do the same where what is not given is as a checkpoint has it."""
    return _show(function, dict.fromkeys(SETTINGS, _Kept()))


def _show(function: Function, defaults: dict[str, object]) -> Function:
    signature = inspect.signature(function)
    *first, _ = signature.parameters.values()
    named = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in defaults.items()
    ]
    vars(function)["__signature__"] = signature.replace(parameters=[*first, *named])
    return function
