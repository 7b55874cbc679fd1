"""Training by minibatches: epochs over the C core, until the loss or the score stays where it is.

Which rows are in which batch, when the fit ends and how it says so are scikit-learn's.
"""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning

from ..training.callbacks import as_list, find_methods, notify
from ..training.history import History, Log
from ..training.progress import Progress
from .batches import rows_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._types import AnyArray, Labels
    from ..solver import Solver
    from .early_stopping import Monitor
    from .optimizer import Optimizer
    from .settings import Settings

MOST_STEPS = 512  # in one call of the core
MOST_SECONDS = 0.05  # in one call of the core, about: so soon Ctrl-C is seen
EPOCHS_SECONDS = 0.01  # of epochs in one call, about: Ctrl-C leaves the last of them uncounted


class Data(NamedTuple):
    """What is trained on: these rows of the examples."""

    X: Any
    targets: AnyArray
    sample_weight: AnyArray | None
    rows: Labels


class MinibatchFit:
    """A fit by minibatches, and what callbacks are called with.

    Parameters
    ----------
    estimator : FCClassifier or FCRegressor
        With its network, optimiser and attributes as they are before the fit.
    settings : Settings
    data : Data
    monitor : Monitor or None
        Of the validation set, if there is one.
    random_state : RandomState
        By which rows are shuffled.
    incremental : bool
        Whether this is an epoch of a stream, which neither ends nor falls back to its best weights.

    Attributes
    ----------
    estimator, model
        As above, and its network.
    optim_configs : dict of dict
        Each parameter's hyper-parameters and state.
    loss_history : list
        The loss of each step.
    val_acc_history : list
        The score of the validation set after each epoch.
    train_acc_history : list
        Empty: training examples are not scored.
    epoch, batch_size : int
        Epochs done, and rows of a batch.
    stop_reason : str or None
        What has ended the fit.
    """

    def __init__(
        self,
        estimator: Any,
        settings: Settings,
        data: Data,
        monitor: Monitor | None,
        random_state: np.random.RandomState,
        incremental: bool,
    ) -> None:
        self.estimator = estimator
        self.model = estimator._network.net
        self.optim_configs = estimator._optimizer.configs
        self.loss_history: list[Any] = []
        self.val_acc_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.epoch = 0
        self.batch_size = batch_rows(settings.batch_size, len(data.rows))
        self.stop_reason: str | None = None
        self._settings = settings
        self._data = data
        self._monitor = monitor
        self._random_state = random_state
        self._incremental = incremental
        self._epochs = 1 if incremental else settings.max_iter
        self._optimizer: Optimizer = estimator._optimizer
        self._optimizer.check_monitor(monitor is not None)
        callbacks = as_list("callbacks", settings.callbacks)
        self._on = {
            event: find_methods(callbacks, event) for event in ("on_step", "on_epoch", "on_stop")
        }
        self._singly = bool(self._on["on_step"]) or self._optimizer.is_asked_each_step()
        self._at_once = 1 if settings.progress else MOST_STEPS
        self._log = Log()
        self._bar: Progress | None = None

    def _as_solver(self) -> Solver:
        """Return this fit as what callbacks are called with: it has of a Solver what they read."""
        return cast("Solver", self)

    @property
    def history(self) -> History:
        """The fit so far, as `fastfc.solver.Solver.history` has it."""
        return History.of(self._as_solver())

    @property
    def steps_before(self) -> int:
        """Steps of the stream before this epoch of it."""
        return self._optimizer.steps - len(self.loss_history)

    def stop(self, reason: str = "stop() was called") -> None:
        """End the fit after this epoch.

        Parameters
        ----------
        reason : str
            For ``stop_reason``.
        """
        self.stop_reason = reason

    def run(self) -> None:
        """Train; what has been learnt when Ctrl-C comes stays, with a warning."""
        estimator, settings = self.estimator, self._settings
        estimator.n_iter_ = 0
        estimator._network.training = True
        rows = np.arange(len(self._data.rows))
        self._log.begin(0)
        try:
            if settings.progress:
                steps = -(-len(rows) // self.batch_size) * self._epochs
                self._bar = Progress(self._as_solver(), 0, steps)
            while self.stop_reason is None:
                orders = []
                for _ in range(self._epochs_ahead()):
                    if settings.shuffle:  # sklearn.utils.shuffle, without its checks
                        order = np.arange(len(rows))
                        self._random_state.shuffle(order)
                        rows = rows[order]
                    orders.append(self._data.rows[rows])
                self._train(orders)
        except KeyboardInterrupt:
            self.stop_reason = "interrupted"
            warnings.warn("Training interrupted by user.", stacklevel=5)
        finally:
            estimator._network.training = False
            notify(self._on["on_stop"], self._as_solver())
            if self._bar is not None:
                self._bar.on_stop(self._as_solver())
        if self._monitor is not None and settings.early_stopping and not self._incremental:
            estimator._network.restore(self._monitor.best)

    def _epochs_ahead(self) -> int:
        """Return the epochs of the next call of the core: between them nothing can look."""
        settings, estimator, data = self._settings, self.estimator, self._data
        if (
            self.epoch == 0  # how long does it take?
            or not self._optimizer.is_steady()
            or any((settings.verbose, settings.progress, settings.callbacks, self._monitor))
            or data.sample_weight is not None
            or issparse(data.X)
            or settings.normalization == "batchnorm"
        ):
            return 1
        epoch = -(-len(data.rows) // self.batch_size)
        count = int(self._at_once * EPOCHS_SECONDS / MOST_SECONDS) // epoch
        before_end = settings.n_iter_no_change + 1 - estimator._no_improvement_count
        return int(max(1, min(count, self._epochs - self.epoch, before_end)))

    def _note_epoch(self, loss: float, steps: int) -> None:
        """Take note of an epoch's loss: scores, learning rate, and whether the fit has ended.

        So many steps have been done with it.
        """
        estimator, settings = self.estimator, self._settings
        self.epoch += 1
        estimator.n_iter_ += 1
        estimator.loss_ = loss
        estimator.t_ += len(self._data.rows)
        estimator.loss_curve_.append(loss)
        self._log.epochs.append(steps)
        if settings.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        if self._monitor is not None:
            self._log.scored.append(steps)
            self.val_acc_history.append(self._monitor.look())
            if settings.verbose:
                print(f"Validation score: {self.val_acc_history[-1]:f}")
        self._count(loss)
        self._optimizer.end_epoch(estimator.t_, self)
        notify(self._on["on_epoch"], self._as_solver())
        if not math.isfinite(loss) and not estimator._network.is_finite():
            self.stop_reason = self.stop_reason or "not finite"
        if estimator._no_improvement_count > settings.n_iter_no_change:
            self._give_up()
        if self.stop_reason is None and self.epoch == self._epochs:
            self._end()

    def _count(self, loss: float) -> None:
        """Count the epochs since the score, or without one the loss, was better by ``tol``."""
        estimator, tol = self.estimator, self._settings.tol
        if self._settings.early_stopping:
            worse = self._monitor is not None and self._monitor.is_worse(tol)
        else:
            worse = loss > estimator.best_loss_ - tol
            estimator.best_loss_ = min(loss, estimator.best_loss_)
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0

    def _give_up(self) -> None:
        """Lower an adaptive learning rate, or end the fit."""
        settings = self._settings
        what = "Validation score" if settings.early_stopping else "Training loss"
        end = self._optimizer.lower()
        if settings.verbose:
            print(
                f"{what} did not improve more than tol={settings.tol:f} for "
                f"{settings.n_iter_no_change} consecutive epochs. "
                + (end or f"Setting learning rate to {self._optimizer.learning_rate:f}")
            )
        if end is None:
            self.estimator._no_improvement_count = 0
        else:
            self.stop_reason = self.stop_reason or "no improvement"

    def _end(self) -> None:
        """End the fit with its last epoch; a schedule of the run's length is meant to end there."""
        self.stop_reason = "max_iter"
        if not self._incremental and self._settings.lr_schedule is None:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self._epochs}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _train(self, orders: list[Labels]) -> None:
        """Train on the examples in these orders, an epoch each; note them."""
        done, ahead = len(self.loss_history), 0
        if len(orders) > 1:
            ahead = self._take(np.array(orders), self.batch_size)
            self._optimizer.steps += ahead
        for order in map(self._without_weightless, orders):
            rows_of_steps = []
            for part, size in self._parts(order):
                rows_of_steps += [min(size, len(part) - i) for i in range(0, len(part), size)]
                self._train_part(part, size, ahead * size)
            losses = np.array(self.loss_history[done : done + len(rows_of_steps)], np.float64)
            done += len(rows_of_steps)
            ahead = max(ahead - len(rows_of_steps), 0)
            self._note_epoch(float(np.dot(losses, rows_of_steps) / max(len(order), 1)), done)
            if self.stop_reason is not None:
                return

    def _train_part(self, part: Labels, size: int, start: int) -> None:
        """Take the steps of a part of an epoch, whose first rows are done."""
        while start < len(part):
            rows = part[start : start + self._rows_ahead(size)]
            taken = self._take(rows, size)
            start += min(taken * size, len(rows))
            self._optimizer.steps += taken
            notify(self._on["on_step"], self._as_solver())
            if self._bar is not None:
                self._bar.on_step(self._as_solver())

    def _parts(self, order: Labels) -> Iterator[tuple[Labels, int]]:
        """Generate the parts of an epoch, and the rows of a batch in each.

        The last batch may be a smaller one.  Batch normalisation learns nothing from a single row:
        that row is one of the batch before.
        """
        size, count = self.batch_size, len(order)
        if self._settings.normalization == "batchnorm" and count % size == 1 and 1 < size < count:
            yield order[: count - size - 1], size
            yield order[count - size - 1 :], size + 1
        else:
            yield order, size

    def _without_weightless(self, order: Labels) -> Labels:
        """Return the order without the batches whose weights are all 0: they have no mean."""
        weights = self._data.sample_weight
        if weights is None or weights[order].all():
            return order
        starts = np.arange(0, len(order), self.batch_size)
        counts = np.diff(starts, append=len(order))
        return order[np.repeat(np.add.reduceat(weights[order], starts) > 0, counts)]

    def _rows_ahead(self, size: int) -> int:
        """Return the rows of the next call of the core."""
        if self._singly:
            return size
        return size * min(self._at_once, -(-rows_at_once(self._data.X) // size))

    def _take(self, rows: Labels, size: int) -> int:
        """Take a step on each ``size`` of these rows, or on the first of them; return how many.

        They are (n,), or of several epochs (epochs, n).
        """
        X, targets, weights = self._data.X, self._data.targets, self._data.sample_weight
        if issparse(X):
            X, targets = X[rows].toarray(), targets[rows]
            weights = None if weights is None else weights[rows]
            rows = np.arange(len(rows))
        began = time.perf_counter()
        taken = self._take_many(X, targets, weights, rows, size)
        if taken == 0:
            self._take_one(X, targets, weights, rows.ravel()[:size])
            taken = 1
        spent = time.perf_counter() - began
        self._at_once = int(min(MOST_STEPS, max(taken * MOST_SECONDS / max(spent, 1e-9), 1)))
        return taken

    def _options(self) -> dict[str, Any]:
        return {"clip_norm": self._settings.clip_norm, "takes_nonfinite": True}

    def _take_many(
        self, X: AnyArray, targets: AnyArray, weights: AnyArray | None, rows: Labels, size: int
    ) -> int:
        """Take all steps in one call of the core; return how many it has taken, which may be 0."""
        optimizer, count = self._optimizer, rows.shape[-1]
        steps = rows.size // count * -(-count // size)
        rates = optimizer.rates(steps, self)
        if rates is None:
            optimizer.set_rate(optimizer.learning_rate)
        self.model.reg = self._settings.weight_decay or 0.0 if optimizer.rule != "adamw" else 0.0
        before = self._log.now()
        spent = self.model.__fastfc_train_epoch__(
            X,
            targets,
            optimizer.rule,
            optimizer.configs,
            rows,
            size,
            self.loss_history,
            sample_weight=weights,
            alpha=self._settings.alpha or None,
            epsilons=optimizer.epsilons(steps),
            rates=rates,
            **self._options(),
        )
        if spent is None:
            return 0
        self._note_steps(before + spent, rates)
        return len(spent)

    def _note_steps(
        self, seconds: AnyArray, rates: tuple[dict[str, float], list[float]] | None
    ) -> None:
        """Note when the last steps were done, and their learning rates."""
        factors = np.ones(len(seconds)) if rates is None else np.array(rates[1][: len(seconds)])
        self._log.note_steps(seconds, self._optimizer.learning_rate * factors)

    def _take_one(
        self, X: AnyArray, targets: AnyArray, weights: AnyArray | None, rows: Labels
    ) -> None:
        """Take one step, as the core takes many."""
        optimizer, alpha = self._optimizer, self._settings.alpha
        rates, epsilons = optimizer.rates(1, self), optimizer.epsilons(1)
        optimizer.set_rate(optimizer.learning_rate * (1.0 if rates is None else rates[1][0]))
        if epsilons is not None:
            for config in optimizer.configs.values():
                config["epsilon"] = epsilons[0]
        if alpha:
            self.model.reg = alpha / (len(rows) if weights is None else float(weights[rows].sum()))
        loss = self.model.train_step(
            X,
            targets,
            optimizer.rule,
            optimizer.configs,
            rows=rows,
            sample_weight=weights,
            **self._options(),
        )
        if loss is None:
            raise RuntimeError(f"{type(self.model).__name__} takes no step by {optimizer.rule}")
        self.loss_history.append(loss)
        self._note_steps(np.array([self._log.now()]), rates)


def batch_rows(batch_size: int | str, count: int) -> int:
    """Return the rows of a batch of so many examples.

    Examples
    --------
    >>> batch_rows("auto", 1000), batch_rows("auto", 50), batch_rows(32, 1000)
    (200, 50, 32)
    """
    if batch_size == "auto":
        return min(200, count)
    if batch_size == "scaled":  # of presets
        return min(max(count // 40, 16), 256, count)
    size = int(batch_size)
    if size > count:
        warnings.warn(
            f"batch_size is {size}, but there are {count} examples: each batch is all of them",
            stacklevel=6,
        )
    return min(size, count)
