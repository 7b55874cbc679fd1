"""Update rules: what each keeps in ``RULES``, calls in ``UpdateRules``, NumPy in ``Formulas``."""

import typing

import numpy as np

from .layers import as_real

__all__ = ["adam", "adamw", "rmsprop", "sgd", "sgd_momentum", "sgd_nesterov_momentum"]


class Rule(typing.NamedTuple):
    """What a rule keeps in its config, in the order of its formula's arguments.

    Attributes
    ----------
    constants : dict
        Hyper-parameters and their defaults; ``t`` counts the steps.
    states : tuple of tuple of str
        The keys of its state.  The last of them unless the config arrives with an earlier one.
    """

    constants: dict
    states: tuple

    def keys(self, config):
        """Return the keys of the state in this config."""
        return next((keys for keys in self.states[:-1] if keys[0] in config), self.states[-1])


RULES = {
    "sgd": Rule({"learning_rate": 1e-2}, ((),)),
    "sgd_momentum": Rule({"learning_rate": 1e-2, "momentum": 0.9}, (("velocity",),)),
    "sgd_nesterov_momentum": Rule({"learning_rate": 1e-2, "momentum": 0.9}, (("velocity",),)),
    "rmsprop": Rule(
        {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}, (("cache",), ("a",))
    ),
    "adam": Rule(
        {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0},
        (("m", "v"), ("v", "a")),
    ),
}
RULES["adamw"] = Rule({**RULES["adam"].constants, "weight_decay": 1e-2}, RULES["adam"].states)


class Formulas:
    """The rules as formulas: arrays of one shape and dtype in, new ones out, next_w and state."""

    @staticmethod
    def sgd(w, dw, learning_rate):
        """Gradient descent in w itself: w <- w - lr dw."""
        w -= learning_rate * dw
        return (w,)

    @staticmethod
    def sgd_momentum(w, dw, velocity, learning_rate, momentum):
        """Momentum (Polyak 1964): v <- mu v - lr dw, w <- w + v."""
        velocity = momentum * velocity - learning_rate * dw
        return w + velocity, velocity

    @staticmethod
    def sgd_nesterov_momentum(w, dw, velocity, learning_rate, momentum):
        """Nesterov momentum (Sutskever et al. 2013): w <- w + v + mu (v - v_old)."""
        previous = velocity
        velocity = momentum * velocity - learning_rate * dw
        return w + velocity + momentum * (velocity - previous), velocity

    @staticmethod
    def rmsprop(w, dw, a, learning_rate, decay_rate, epsilon):
        """RMSProp (Tieleman & Hinton 2012): a is the running mean of dw^2."""
        a = decay_rate * a + (1 - decay_rate) * dw**2
        return w - learning_rate * dw / (np.sqrt(a) + epsilon), a

    @staticmethod
    def adam(w, dw, v, a, learning_rate, beta1, beta2, epsilon, t):
        """Adam (Kingma & Ba 2015): moments v of dw, a of dw^2, corrected for their start at 0."""
        step, v, a = _adam_step(dw, v, a, learning_rate, beta1, beta2, epsilon, t)
        return w - step, v, a

    @staticmethod
    def adamw(w, dw, v, a, learning_rate, beta1, beta2, epsilon, t, weight_decay):
        """Adam with decoupled weight decay (Loshchilov & Hutter 2019): no moment sees the decay."""
        step, v, a = _adam_step(dw, v, a, learning_rate, beta1, beta2, epsilon, t)
        return w - (step + learning_rate * weight_decay * w), v, a


def _adam_step(dw, v, a, learning_rate, beta1, beta2, epsilon, t):
    """Return Adam's step and the next moments."""
    v = beta1 * v + (1 - beta1) * dw
    a = beta2 * a + (1 - beta2) * dw**2
    v_corrected = v / (1 - beta1**t)
    a_corrected = a / (1 - beta2**t)
    return learning_rate * v_corrected / (np.sqrt(a_corrected) + epsilon), v, a


def by_formula(rule, w, dw, config):
    """Return next_w of a regular update, and put its state and ``t`` into the config."""
    if "t" in config:
        config["t"] += 1
    keys = RULES[rule].keys(config)
    arguments = [config[key] for key in (*keys, *RULES[rule].constants)]
    next_w, *state = getattr(Formulas, rule)(w, dw, *arguments)
    config.update(zip(keys, state, strict=True))
    return next_w


class UpdateRules:
    """The update rules as people call them, over regular ones: defaults, state and its keys.

    The reference and the fast package share this class.  A rule keeps its hyper-parameters and
    its state in ``config``, one dictionary per parameter; what is missing there is set to its
    default.  New state is stored when everything has succeeded.

    Results and state have the dtype of w if that is float32 or float64; a plain number w takes
    the shape and dtype of dw; arrays of another dtype are updated in float64.

    Parameters
    ----------
    regular : callable
        (rule, w, dw, config) -> next_w, for arrays of one shape and dtype and a complete config of
        its own, whose state it replaces, as ``by_formula`` does.
    """

    def __init__(self, regular):
        self._regular = regular

    def _update(self, rule, w, dw, config):
        config = {} if config is None else config
        for key, value in RULES[rule].constants.items():
            config.setdefault(key, value)
        keys = RULES[rule].keys(config)
        ours, dw = _matched(rule, w, dw)
        in_place = rule == "sgd" and isinstance(w, np.ndarray) and w.shape == ours.shape
        if in_place:
            _expect_writeable(rule, w)
        elif rule == "sgd":
            ours = ours.copy()
        kept = {key: _state(rule, config, key, ours) for key in keys}
        kept |= {key: float(config[key]) for key in RULES[rule].constants}
        if "t" in kept:
            kept["t"] = _steps(rule, config)
        next_w = self._regular(rule, ours, dw, kept)
        config.update({key: kept[key] for key in (*keys, "t") if key in kept})
        if in_place and not np.may_share_memory(next_w, w):
            w[...] = next_w
        return w if in_place else next_w, config

    def sgd(self, w, dw, config=None):
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
            w or dw is not real, or w is an array of integers.
        ValueError
            dw does not have the shape of w, or w is read-only.

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

    def sgd_momentum(self, w, dw, config=None):
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

    def sgd_nesterov_momentum(self, w, dw, config=None):
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

    def rmsprop(self, w, dw, config=None):
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

    def adam(self, w, dw, config=None):
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

    def adamw(self, w, dw, config=None):
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


def _matched(rule, w, dw):
    """Return w and dw as arrays of one shape and one dtype, float32 or float64."""
    (dw,) = as_real(rule, dw=dw)
    if type(w) in (int, float):
        w = np.full(dw.shape, w, dw.dtype)
    (w,) = as_real(rule, w=w)
    if w.ndim == 0 and dw.ndim > 0:
        w = np.full(dw.shape, w)
    dw = dw.astype(w.dtype, copy=False)
    if dw.shape != w.shape:
        # A bias of shape (1, M) has a gradient of shape (M,).
        if dw.shape != w.shape[1:] or w.shape[0] != 1:
            raise ValueError(f"{rule}: dw has shape {dw.shape}, expected {w.shape} to match w")
        dw = dw[np.newaxis]
    return w, dw


def _state(rule, config, key, w):
    """Return the state under key, zeros at the first call, with the dtype of w."""
    if config.get(key) is None:
        return np.zeros_like(w)
    (state,) = as_real(rule, **{key: config[key]})
    if state.ndim == 0:
        return np.full_like(w, state)
    if state.shape != w.shape:
        raise ValueError(f"{rule}: {key} has shape {state.shape}, expected {w.shape} to match w")
    return state.astype(w.dtype, copy=False)


def _expect_writeable(rule, w):
    """Raise unless w can be changed in place."""
    if w.dtype.kind != "f":
        raise TypeError(
            f"{rule}: w has dtype {w.dtype}, expected floats, which can be changed in place"
        )
    if not w.flags.writeable:
        raise ValueError(f"{rule}: w is read-only, expected an array to update in place")


def _steps(rule, config):
    """Return the steps so far."""
    t = int(config["t"])
    if t < 0:
        raise ValueError(f"{rule}: t is {t}, expected the number of steps so far, at least 0")
    return t


_rules = UpdateRules(by_formula)
sgd = _rules.sgd
sgd_momentum = _rules.sgd_momentum
sgd_nesterov_momentum = _rules.sgd_nesterov_momentum
rmsprop = _rules.rmsprop
adam = _rules.adam
adamw = _rules.adamw
