"""The guard: what a Solver does about a loss, or an optimiser's state, that is not finite."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import _core
from ..arguments import shown
from .attributes import Attributes
from .history import learning_rate
from .rules import built_in
from .stopping import NonFiniteLossError

if TYPE_CHECKING:
    from .._types import AnyArray, Examples, Labels

__all__ = ["NonFiniteStateError", "NonFiniteWarning"]

POLICIES = ("stop", "continue", "raise")

# What the courses' update rules keep.  All of it starts at 0; an array under another key is the
# user's own, who may have put an infinity there.
_STATES = ("velocity", "cache", "a", "m", "v")
_STEPS_BETWEEN_CHECKS = 100  # at least: a check takes less than a fifth of a step


class NonFiniteWarning(RuntimeWarning):
    """Training has stopped at a loss, or an optimiser's state, that is not finite.

    The text is that of the error which ``on_nonfinite='raise'`` would raise, and what the Solver
    has done instead.

    Examples
    --------
    >>> import warnings
    >>> from fastfc.training import NonFiniteWarning
    >>> warnings.simplefilter("ignore", NonFiniteWarning)  # for a sweep that may diverge
    """


class NonFiniteStateError(NonFiniteLossError):
    """The optimiser's state has become NaN or infinite, while the loss is finite still.

    In float32 a single gradient of 1e20 is enough: its square is infinite, and so is Adam's second
    moment ever after, by which every later step is divided.  Parameters and attributes are those
    of `NonFiniteLossError`; ``iteration`` is the last step, ``where`` names the state.

    Examples
    --------
    >>> from fastfc.training import NonFiniteStateError
    >>> raise NonFiniteStateError(7, 2.5, 0.1, "optim_configs['W1']['a']")
    Traceback (most recent call last):
    fastfc.training.guard.NonFiniteStateError: optim_configs['W1']['a'] is not finite after
    iteration 7 with learning rate 0.1 and loss 2.5, expected a finite optimiser state
    """

    def __str__(self) -> str:
        return (
            f"{self.where} is not finite after iteration {self.iteration} with learning rate "
            f"{self.learning_rate:g} and loss {self.loss:g}, expected a finite optimiser state"
        )


def as_number(loss: Any) -> Any:
    """Return a model's loss as a number: an array of one element is one too.

    Parameters
    ----------
    loss : object
        What ``model.loss`` has returned.

    Returns
    -------
    float, int or NumPy scalar
        Of an array's own dtype.

    Raises
    ------
    TypeError
        It is no real number.
    """
    if isinstance(loss, (float, np.floating)):
        return loss
    if isinstance(loss, np.ndarray) and loss.size == 1:
        loss = np.asarray(loss).reshape(())[()]
    elif hasattr(loss, "item") and not isinstance(loss, (np.ndarray, np.generic)):
        loss = _item(loss)
    try:
        if not isinstance(loss, (str, bytes, complex)):
            float(loss)
            return loss
    except (TypeError, ValueError):
        pass
    shape = (
        f" of shape {cast('Any', loss).shape}" if hasattr(loss, "shape") else f", {shown(loss)},"
    )
    raise TypeError(
        f"model.loss returned a {type(loss).__name__}{shape} as loss, expected a real number"
    )


def _item(loss: Any) -> Any:
    """Return the number in another library's tensor, or the tensor if it has not just one."""
    try:
        return loss.item()
    except Exception:  # each library has its own
        return loss


def nan_like(loss: Any) -> Any:
    """Return NaN as a number of the loss's type, for a step that has not been taken."""
    return type(loss)(math.nan) if isinstance(loss, np.floating) else math.nan


def find_nonfinite_state(optim_configs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the name of an optimiser state that is not finite, None if all of it is.

    Parameters
    ----------
    optim_configs : mapping of mappings
        A Solver's.

    Returns
    -------
    str or None
        As ``"optim_configs['W1']['a']"``.
    """
    for name, config in optim_configs.items():
        for key in _STATES:
            state = config.get(key)
            if isinstance(state, np.ndarray) and not _is_finite(state):
                return f"optim_configs[{name!r}][{key!r}]"
    return None


def _is_finite(array: AnyArray) -> bool:
    """Return whether all of an array is finite; quickly if it is."""
    if array.dtype.kind != "f":
        return True
    # In float64 the squares of float32 cannot overflow; those of float64 can, hence the second.
    if array.dtype.itemsize in (4, 8) and math.isfinite(_core.sum_of_squares(array)):
        return True
    return bool(np.isfinite(array).all())


class StateChecks:
    """When to look through the optimiser's state: a pass over all of it, so not after each step.

    That is after the first step of a call, since a first gradient is the likeliest to be immense,
    at the ends of epochs, but no more often than every hundred steps, and at the end of the call.

    Parameters
    ----------
    first : int
        Steps of the call that are done already.
    """

    def __init__(self, first: int) -> None:
        self._first = self._last = first

    def due(self, step: int, epoch_ends: bool) -> bool:
        """Return whether to check after this step of the call, which may end an epoch."""
        if step != self._first + 1 and not (
            epoch_ends and step - self._last >= _STEPS_BETWEEN_CHECKS
        ):
            return False
        self._last = step
        return True

    def left(self, step: int) -> bool:
        """Return whether steps have been taken since the last check."""
        return step > self._last


def warn_of(error: Exception, consequence: str, stacklevel: int) -> None:
    """Warn of what an error says, and of what has been done instead of raising it."""
    warnings.warn(f"{error}; {consequence}", NonFiniteWarning, stacklevel=stacklevel + 1)


class Guarded(Attributes):
    """The part of a Solver that looks whether its loss and its optimiser's state are finite.

    ``nonfinite`` is what was wrong, an error, where ``on_nonfinite`` is ``'stop'``.
    """

    if TYPE_CHECKING:  # of the Solver

        def _examples(self, X: Examples, rows: Labels | slice) -> AnyArray: ...

        def _score(self) -> None: ...

    def _refuse_step(self, loss: Any, batch_mask: Labels) -> Any:
        """Raise the error of a loss, or note it; return the loss of a step that is not taken."""
        cut = self._cuts.get("train")
        rows = batch_mask if cut is None else cut.deal(batch_mask)[0]
        where = self._find_nonfinite(rows) if len(rows) else None
        if cut is not None and self._team is not None:
            found = self._team.collect_objects(where, "what is not finite")
            where = next(filter(None, found), None)
        iteration = len(self.loss_history) + 1
        self._note_nonfinite(
            NonFiniteLossError(iteration, float(loss), self._learning_rate(), where)
        )
        return nan_like(loss)

    def _find_nonfinite(self, rows: Labels) -> str | None:
        """Return what is not finite, of these rows and what the model makes of them."""
        X = self._examples(self.X_train, rows)
        find = getattr(self.model, "first_nonfinite", None)
        if find is None:
            floats = np.asarray(X).dtype.kind == "f"
            return "X" if floats and not np.isfinite(X).all() else None
        try:
            where: str | None = find(X)
        except Exception as error:  # the loss is the news, not this
            return f"unknown, first_nonfinite raised {error!r}"
        return where

    def _check_state(self) -> None:
        """Raise an error, or note it, where the update rule's state is not finite."""
        if self.on_nonfinite == "continue":
            return
        if (where := find_nonfinite_state(self.optim_configs)) is not None:
            loss = float(self.loss_history[-1])
            iteration = len(self.loss_history)
            self._note_nonfinite(NonFiniteStateError(iteration, loss, self._learning_rate(), where))

    def _note_nonfinite(self, error: NonFiniteLossError) -> None:
        if self.on_nonfinite == "raise":
            raise error
        if self.nonfinite is None and not self._training:  # a loop of the user's own goes on
            warn_of(error, "that step has not been taken", stacklevel=4)
        self.nonfinite = error
        self._asked = "nonfinite"

    def _end_nonfinite(self) -> None:
        """Leave a history that ends in NaN, and accuracies."""
        if math.isfinite(self.loss_history[-1]):  # a state is at fault: no step follows
            self.loss_history.append(nan_like(self.loss_history[-1]))
        if not self.val_acc_history:
            self._score()

    def _learning_rate(self) -> float:
        """Return the learning rate, the rule's own default where no step has set it."""
        configs = self.optim_configs
        given = any("learning_rate" in config for config in configs.values())
        if not given and built_in(self.update_rule):
            rule: Any = self.update_rule
            configs = {"w": rule(np.zeros(1), np.zeros(1))[1]}
        return learning_rate(configs)
