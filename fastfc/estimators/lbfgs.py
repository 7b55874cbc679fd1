"""Training by SciPy's L-BFGS over the gradients of the C core, all examples at once."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from .batches import dense, dense_parts

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from .._types import Params
    from .minibatch import Data
    from .settings import Settings


class _Objective:
    """The loss of a network and its gradient, of all its parameters as one vector.

    The vector has the weights of all layers, then the biases, then the rest, in float64.
    """

    def __init__(self, net: Any, data: Data, alpha: float) -> None:
        net.reg = 0.0  # it is added here: `net` may see a part of the examples at a time
        self._net = net
        self._data = data
        first = {"W": 0, "b": 1}  # beta1, too, begins with a b
        self._names = sorted(net.params, key=lambda name: first.get(name.rstrip("0123456789"), 2))
        weights = data.sample_weight
        self._total = float(len(data.targets) if weights is None else weights.sum())
        self._alpha = alpha
        self.best: tuple[float, NDArray[np.float64]] | None = None

    def pack(self, arrays: Params) -> NDArray[np.float64]:
        """Return parameters, or their gradients, as one vector."""
        return np.concatenate([np.ravel(arrays[name]) for name in self._names]).astype(np.float64)

    def unpack(self, vector: NDArray[np.float64]) -> None:
        """Let the network have the parameters of a vector."""
        start, net = 0, self._net
        for name in self._names:
            here = net.params[name]
            part = vector[start : start + here.size].reshape(here.shape)
            net.params[name] = np.array(part, net.dtype)
            start += here.size

    def __call__(self, vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient."""
        self.unpack(vector)
        loss, gradient = self._sum_parts()
        if self.best is None or loss < self.best[0]:
            self.best = loss, vector.copy()
        return loss, gradient

    def _sum_parts(self) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient, of a sparse matrix from one dense part at a time."""
        net, data = self._net, self._data
        whole = net.normalization == "batchnorm"  # whose statistics are those of all examples
        parts = [(slice(0, len(data.targets)), dense(data.X))] if whole else dense_parts(data.X)
        loss, gradient = 0.0, np.zeros(1)
        for rows, X in parts:
            weights = None if data.sample_weight is None else data.sample_weight[rows]
            share = float(len(X) if weights is None else weights.sum()) / self._total
            if share > 0:  # else it has no mean
                part, grads = net.loss(X, data.targets[rows], sample_weight=weights)
                loss, gradient = loss + share * float(part), gradient + share * self.pack(grads)
        return self._regularise(loss, gradient)

    def _regularise(
        self, loss: float, gradient: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Add the regularisation, of the weights alone."""
        reg, start = self._alpha / self._total, 0
        for name in self._names:
            value = self._net.params[name]
            if name[0] == "W":
                loss += 0.5 * reg * float(np.vdot(value, value))
                gradient[start : start + value.size] += reg * value.ravel()
            start += value.size
        return loss, gradient


def fit_lbfgs(estimator: Any, settings: Settings, data: Data) -> None:
    """Minimise the loss from the network's parameters on.

    What Ctrl-C leaves is the best so far.
    """
    objective = _Objective(estimator._network.net, data, settings.alpha)
    steps = 0

    def say(intermediate_result: Any) -> None:
        nonlocal steps
        steps += 1
        if settings.verbose:
            print(f"Iteration {steps}, loss = {intermediate_result.fun:.8f}")

    try:
        result = scipy.optimize.minimize(
            objective,
            objective.pack(estimator._network.net.params),
            method="L-BFGS-B",
            jac=True,
            callback=say,
            options={
                "maxfun": settings.max_fun,
                "maxiter": settings.max_iter,
                "gtol": settings.tol,
            },
        )
        estimator.n_iter_ = _check_optimize_result("lbfgs", result, settings.max_iter)
        estimator.loss_ = float(result.fun)
        objective.unpack(result.x)
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=5)
        estimator.n_iter_ = steps
        if objective.best is not None:
            estimator.loss_ = objective.best[0]
            objective.unpack(objective.best[1])
