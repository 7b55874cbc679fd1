"""Update rules: defaults and state in ``UpdateRules``, formulas in plain NumPy in ``Formulas``."""

import numpy as np

from .layers import as_real

__all__ = ["adam", "adamw", "rmsprop", "sgd", "sgd_momentum", "sgd_nesterov_momentum"]


class Formulas:
    """The rules as formulas: arrays of one shape and dtype in, new arrays out; sgd in place."""

    @staticmethod
    def sgd(w, dw, learning_rate):
        """Gradient descent in w itself: w <- w - lr dw."""
        w -= learning_rate * dw
        return w

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


class UpdateRules:
    """The update rules as people call them, over formulas: defaults, state and its keys.

    The reference and the fast package share this class.  A rule keeps its hyper-parameters and
    its state in ``config``, one dictionary per parameter; what is missing there is set to its
    default.  New state is stored when everything has succeeded.

    Results and state have the dtype of w if that is float32 or float64; a plain number w takes
    the shape and dtype of dw; arrays of another dtype are updated in float64.

    Parameters
    ----------
    formulas : object
        Offers the rules on arrays and numbers alone, as ``Formulas`` does.
    """

    def __init__(self, formulas):
        self._formulas = formulas

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
        config = _with_defaults(config, learning_rate=1e-2)
        next_w, dw = _matched("sgd", w, dw)
        if isinstance(w, np.ndarray) and w.shape == next_w.shape:
            if w.dtype.kind != "f":
                raise TypeError(
                    f"sgd: w has dtype {w.dtype}, expected floats, which can be changed in place"
                )
            next_w = w
        return self._formulas.sgd(next_w, dw, float(config["learning_rate"])), config

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
        return self._with_velocity("sgd_momentum", w, dw, config)

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
        return self._with_velocity("sgd_nesterov_momentum", w, dw, config)

    def _with_velocity(self, rule, w, dw, config):
        config = _with_defaults(config, learning_rate=1e-2, momentum=0.9)
        w, dw = _matched(rule, w, dw)
        velocity = _state(rule, config, "velocity", w)
        formula = getattr(self._formulas, rule)
        next_w, config["velocity"] = formula(
            w, dw, velocity, float(config["learning_rate"]), float(config["momentum"])
        )
        return next_w, config

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
        config = _with_defaults(config, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
        key = "cache" if "cache" in config else "a"
        w, dw = _matched("rmsprop", w, dw)
        a = _state("rmsprop", config, key, w)
        next_w, config[key] = self._formulas.rmsprop(
            w,
            dw,
            a,
            float(config["learning_rate"]),
            float(config["decay_rate"]),
            float(config["epsilon"]),
        )
        return next_w, config

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
        return self._with_moments("adam", w, dw, config)

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
        config = _with_defaults(config, weight_decay=1e-2)
        return self._with_moments("adamw", w, dw, config, "weight_decay")

    def _with_moments(self, rule, w, dw, config, *more):
        config = _with_defaults(
            config, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, t=0
        )
        first, second = ("m", "v") if "m" in config else ("v", "a")
        w, dw = _matched(rule, w, dw)
        v = _state(rule, config, first, w)
        a = _state(rule, config, second, w)
        constants = (float(config[key]) for key in ("learning_rate", "beta1", "beta2", "epsilon"))
        t = int(config["t"]) + 1
        formula = getattr(self._formulas, rule)
        next_w, v, a = formula(w, dw, v, a, *constants, t, *(float(config[key]) for key in more))
        config.update({first: v, second: a, "t": t})
        return next_w, config


def _with_defaults(config, **defaults):
    """Return config itself, or a new dictionary for None, with what it lacks filled in."""
    config = {} if config is None else config
    for key, value in defaults.items():
        config.setdefault(key, value)
    return config


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


_rules = UpdateRules(Formulas)
sgd = _rules.sgd
sgd_momentum = _rules.sgd_momentum
sgd_nesterov_momentum = _rules.sgd_nesterov_momentum
rmsprop = _rules.rmsprop
adam = _rules.adam
adamw = _rules.adamw
