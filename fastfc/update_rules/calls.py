"""The update rules as people call them: documentation, defaults, checks and state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import check_number, shown
from ..arrays import as_arrays, as_real, quiet
from .table import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._types import AnyArray, Array, ArrayLike, OptimConfig

    RegularRule = Callable[[str, Array, Array, OptimConfig], Array]


class UpdateRules:
    """The update rules as people call them, over a function that computes one update.

    A rule keeps its hyper-parameters and
    its state in ``config``, one dictionary per parameter; what is missing there is set to its
    default.  New state is stored when everything has succeeded.

    Results and state have the dtype of w if that is float32 or float64; a plain number w takes
    the shape and dtype of dw; arrays of another dtype are updated in float64.

    Parameters
    ----------
    regular : callable
        (rule, w, dw, config) -> next_w, for arrays of one shape and dtype and a complete config of
        its own, whose state it replaces.

    Examples
    --------
    >>> rules = UpdateRules(lambda rule, w, dw, config: w - config["learning_rate"] * dw)
    >>> rules.sgd(np.array([1.0]), np.array([10.0]))
    (array([0.9]), {'learning_rate': 0.01})
    """

    def __init__(self, regular: RegularRule) -> None:
        self._regular = regular

    @quiet
    def _update(
        self, rule: str, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None
    ) -> tuple[Array, OptimConfig]:
        config = {} if config is None else config
        if not hasattr(config, "setdefault"):
            raise TypeError(f"{rule}: config is {shown(config)}, expected a dict")
        for key, value in RULES[rule].constants.items():
            config.setdefault(key, value)
        # All that may run the caller's code comes first: numbers, then arrays.
        keys = RULES[rule].keys(config)
        complete: OptimConfig = {
            key: _read_number(rule, config, key) for key in RULES[rule].constants
        }
        state = {key: config.get(key) for key in keys}
        given = {key: value for key, value in state.items() if value is not None}
        given = dict(zip(given, as_arrays(rule, **given), strict=True))
        ours, dw = _match_arrays(rule, w, dw)
        in_place = None  # the array that sgd changes
        if rule == "sgd" and isinstance(w, np.ndarray) and w.shape == ours.shape:
            in_place = w
            _expect_writeable(rule, w)
        elif rule == "sgd":
            ours = ours.copy()
        complete |= {key: _read_state(rule, key, given.get(key), ours) for key in keys}
        next_w = self._regular(rule, ours, dw, complete)
        if next_w is None:
            raise ValueError(f"{rule}: w, dw or the state has changed during the call")
        config.update({key: complete[key] for key in (*keys, "t") if key in complete})
        if in_place is None:
            return next_w, config
        if not np.may_share_memory(next_w, in_place):
            in_place[...] = next_w
        return in_place, config

    def sgd(
        self, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None = None
    ) -> tuple[Array, OptimConfig]:
        """Gradient descent, w <- w - lr dw (Robbins & Monro 1951), in w itself.

        Parameters
        ----------
        w : array_like
            Parameters.  An array is changed in place.
        dw : array_like, shape of w
            Gradient of the loss with respect to w.
        config : dict, optional
            ``learning_rate``, default 1e-2.

        Returns
        -------
        next_w : ndarray
            w itself if it is an array, else a new one.
        config : dict
            The same dictionary, with its defaults filled in.

        Raises
        ------
        TypeError
            w or dw is not real, w is an array of integers, or config is no dict.
        ValueError
            dw does not have the shape of w, w is read-only, or a hyper-parameter is no number.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.optim import sgd
        >>> w = np.array([1.0, 2.0])
        >>> next_w, config = sgd(w, np.array([10.0, 10.0]))
        >>> next_w, next_w is w, config
        (array([0.9, 1.9]), True, {'learning_rate': 0.01})
        """
        return self._update("sgd", w, dw, config)

    def sgd_momentum(
        self, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None = None
    ) -> tuple[Array, OptimConfig]:
        """Gradient descent with momentum, v <- mu v - lr dw, w <- w + v (Polyak 1964).

        Parameters
        ----------
        w : array_like
            Parameters.
        dw : array_like, shape of w
            Gradient of the loss with respect to w.
        config : dict, optional
            ``learning_rate``, default 1e-2; ``momentum``, default 0.9; state: ``velocity``.

        Returns
        -------
        next_w : ndarray
            A new array.
        config : dict
            The same dictionary, with its defaults filled in and a new ``velocity``.

        Raises
        ------
        TypeError
            w, dw or the state is not real.
        ValueError
            dw or the state does not have the shape of w.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.optim import sgd_momentum
        >>> w, config = sgd_momentum(np.array([1.0]), np.array([10.0]))
        >>> w, config = sgd_momentum(w, np.array([10.0]), config)
        >>> w, config["velocity"]
        (array([0.71]), array([-0.19]))
        """
        return self._update("sgd_momentum", w, dw, config)

    def sgd_nesterov_momentum(
        self, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None = None
    ) -> tuple[Array, OptimConfig]:
        """Nesterov momentum, w <- w + v + mu (v - v_old) (Sutskever et al. 2013).

        v is the velocity of ``sgd_momentum``; parameters, results and errors are those of
        ``sgd_momentum`` too.

        Parameters
        ----------
        w : array_like
            Parameters.
        dw : array_like, shape of w
            Gradient of the loss with respect to w.
        config : dict, optional
            ``learning_rate``, default 1e-2; ``momentum``, default 0.9; state: ``velocity``.

        Returns
        -------
        next_w : ndarray
            A new array.
        config : dict
            The same dictionary, with its defaults filled in and a new ``velocity``.

        Raises
        ------
        TypeError
            w, dw or the state is not real.
        ValueError
            dw or the state does not have the shape of w.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.optim import sgd_nesterov_momentum
        >>> w, config = sgd_nesterov_momentum(np.array([1.0]), np.array([10.0]))
        >>> w, config["velocity"]
        (array([0.81]), array([-0.1]))
        """
        return self._update("sgd_nesterov_momentum", w, dw, config)

    def rmsprop(
        self, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None = None
    ) -> tuple[Array, OptimConfig]:
        """RMSProp (Tieleman & Hinton 2012): steps scaled by a running mean of squared gradients.

        a <- rho a + (1 - rho) dw^2, w <- w - lr dw / (sqrt(a) + eps).

        Parameters
        ----------
        w : array_like
            Parameters.
        dw : array_like, shape of w
            Gradient of the loss with respect to w.
        config : dict, optional
            ``learning_rate``, default 1e-2; ``decay_rate`` (rho), default 0.99; ``epsilon``,
            default 1e-8; state: ``a``, or ``cache`` in a dictionary that arrives with that key.

        Returns
        -------
        next_w : ndarray
            A new array.
        config : dict
            The same dictionary, with its defaults filled in and new state.

        Raises
        ------
        TypeError
            w, dw or the state is not real.
        ValueError
            dw or the state does not have the shape of w.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.optim import rmsprop
        >>> w, config = rmsprop(np.array([1.0]), np.array([10.0]))
        >>> w.round(6), config["a"].round(6)
        (array([0.9]), array([1.]))
        """
        return self._update("rmsprop", w, dw, config)

    def adam(
        self, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None = None
    ) -> tuple[Array, OptimConfig]:
        """Adam (Kingma & Ba 2015), bias-corrected, epsilon outside the root.

        t <- t + 1, v <- b1 v + (1 - b1) dw, a <- b2 a + (1 - b2) dw^2,
        w <- w - lr (v / (1 - b1^t)) / (sqrt(a / (1 - b2^t)) + eps).

        Parameters
        ----------
        w : array_like
            Parameters.
        dw : array_like, shape of w
            Gradient of the loss with respect to w.
        config : dict, optional
            ``learning_rate``, default 1e-3; ``beta1``, default 0.9; ``beta2``, default 0.999;
            ``epsilon``, default 1e-8; state: ``t``, the steps so far, and the first and second
            moments ``v`` and ``a``, or ``m`` and ``v`` in a dictionary that arrives with ``m``.

        Returns
        -------
        next_w : ndarray
            A new array.
        config : dict
            The same dictionary, with its defaults filled in and new state.

        Raises
        ------
        TypeError
            w, dw or the state is not real.
        ValueError
            dw or the state does not have the shape of w.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.optim import adam
        >>> w, config = adam(np.array([1.0, 1.0]), np.array([10.0, -0.1]))
        >>> w.round(6), config["t"]
        (array([0.999, 1.001]), 1)
        """
        return self._update("adam", w, dw, config)

    def adamw(
        self, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None = None
    ) -> tuple[Array, OptimConfig]:
        """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

        w <- w - adam's step - lr weight_decay w.  The decay follows the learning rate and its
        schedule, and neither moment sees it.  Like every rule this one treats all elements of w
        alike; the Solver lets it decay matrices only.

        Parameters
        ----------
        w : array_like
            Parameters.
        dw : array_like, shape of w
            Gradient of the loss with respect to w, without a term for the decay.
        config : dict, optional
            ``weight_decay``, default 1e-2; the rest is that of ``adam``.

        Returns
        -------
        next_w : ndarray
            A new array.
        config : dict
            The same dictionary, with its defaults filled in and new state.

        Raises
        ------
        TypeError
            w, dw or the state is not real.
        ValueError
            dw or the state does not have the shape of w.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.optim import adamw
        >>> w, config = adamw(np.array([1.0, 1.0]), np.array([10.0, 0.0]), {"weight_decay": 0.5})
        >>> w.round(6), config["t"]
        (array([0.9985, 0.9995]), 1)
        """
        return self._update("adamw", w, dw, config)


def _match_arrays(rule: str, w: ArrayLike, dw: ArrayLike) -> tuple[Array, Array]:
    """Return w and dw as arrays of one shape and one dtype, float32 or float64."""
    (dw,) = as_real(rule, dw=dw)
    if type(w) in (int, float):
        try:
            w = np.full(dw.shape, w, dw.dtype)
        except OverflowError:
            raise ValueError(
                f"{rule}: w is {shown(w)}, expected a number that {dw.dtype} can hold"
            ) from None
    (w,) = as_real(rule, w=w)
    if w.ndim == 0 and dw.ndim > 0:
        w = np.full(dw.shape, w)
    dw = dw.astype(w.dtype, copy=False)
    shape: tuple[int, ...] = w.shape
    if dw.shape != shape:
        # A bias of shape (1, M) has a gradient of shape (M,).
        if dw.shape != shape[1:] or shape[:1] != (1,):
            raise ValueError(f"{rule}: dw has shape {dw.shape}, expected {shape} to match w")
        dw = dw[np.newaxis]
    return w, dw


def _read_state(rule: str, key: str, given: AnyArray | None, w: Array) -> Array:
    """Return the state that was given under key, zeros at the first call, with the dtype of w."""
    if given is None:
        return np.zeros_like(w)
    (state,) = as_real(rule, **{key: given})
    if state.ndim == 0:
        return np.full_like(w, state)
    if state.shape != w.shape:
        raise ValueError(f"{rule}: {key} has shape {state.shape}, expected {w.shape} to match w")
    return state.astype(w.dtype, copy=False)


def _expect_writeable(rule: str, w: AnyArray) -> None:
    """Raise unless w can be changed in place."""
    if w.dtype.kind != "f":
        raise TypeError(
            f"{rule}: w has dtype {w.dtype}, expected floats, which can be changed in place"
        )
    if not w.flags.writeable:
        raise ValueError(f"{rule}: w is read-only, expected an array to update in place")


def _read_number(rule: str, config: OptimConfig, key: str) -> float:
    """Return a hyper-parameter as a float; t, the steps so far, as an int."""
    value = config.get(key)
    number = check_number(f"{rule}: {key}", value, "a number", lambda number: True)
    if key != "t":
        return number
    if not math.isfinite(number) or int(number) < 0:
        raise ValueError(
            f"{rule}: t is {shown(value)}, expected the number of steps so far, at least 0"
        )
    return int(number)
