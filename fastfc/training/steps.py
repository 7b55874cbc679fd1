"""The steps of a run: one by one, or many in one call where nobody can look between them."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .callbacks import find_methods
from .clipping import clip_gradients
from .guard import Guarded, as_number
from .history import learning_rate
from .ranks import DroppedStep
from .resuming import Resumable
from .rules import built_in
from .scoring import Scored
from .splits import check_gradients, check_pair
from .state import copy_arrays, running_statistics, set_running_statistics
from .threads import hold

if TYPE_CHECKING:
    from typing import Any

    from .._types import Labels
    from ..distributed import Team
    from .stopping import Limits

MOST_STEPS = 512  # in one call: their rates are computed before it
MOST_SECONDS = 0.05  # in one call: so soon Ctrl-C is seen


class Stepping(Resumable, Guarded, Scored):
    """The part of a Solver that takes steps."""

    def _step(self) -> None:
        """Draw a minibatch and update every parameter once; may be called and overridden."""
        lock = hold(self, "_step")
        try:
            if self._team is not None and not self._joined:  # a loop of the user's own
                self._join()
            with self._droppable():
                self._rates.before_step(self)
                batch_mask = self._draw()
                loss = self._fused_step(batch_mask)
                if loss is None:
                    with getattr(self.model, "__fastfc_lock__", contextlib.nullcontext)():
                        loss = self._composed_step(batch_mask)
            if self.on_nonfinite != "continue" and not math.isfinite(loss):
                loss = self._refuse_step(loss, batch_mask)
            self.loss_history.append(loss)
            self._compare_ranks()
        finally:
            lock.release()

    def _draw(self) -> Labels:
        """Return the numbers of a minibatch's rows, those of shards in ascending order."""
        rows = _core.random_rows(self._train_size, self.batch_size)
        return np.sort(rows) if self.shards else rows

    def _fused_step(self, batch_mask: Labels) -> Any:
        """Let the model do it all in one call if it offers to; return the loss or None."""
        offered = getattr(self.model, "__fastfc_train_step__", None)
        rule = built_in(self.update_rule)
        if offered is None or rule is None or self._team is not None:
            return None
        return offered(
            self.X_train, self.y_train, rule, self.optim_configs, rows=batch_mask, **self._options()
        )

    def _options(self) -> dict[str, Any]:
        """Return what a model's own step is called with, as far as it is not the default."""
        options = {
            "normalize": self.normalize,
            "clip_norm": self.clip_norm,
            "takes_nonfinite": True if self.on_nonfinite == "continue" else None,
            "sample_weight": self.w_train,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _composed_step(self, batch_mask: Labels) -> Any:
        """Compute the gradients and update every parameter by the rule; return the loss.

        A pass that the ranks drop changes nothing, nor does a loss that is not finite, but under
        ``on_nonfinite='continue'``.
        """
        statistics = [copy_arrays(found) for found in running_statistics(self._bn_params())]
        try:
            loss, grads = check_pair(self._loss_of(batch_mask))
        except DroppedStep:
            set_running_statistics(self._bn_params(), statistics)
            raise
        loss = as_number(loss)
        if self.on_nonfinite != "continue" and not math.isfinite(loss):
            set_running_statistics(self._bn_params(), statistics)
            return loss
        check_gradients(grads, self.model.params)
        if self.clip_norm is not None:
            grads = {name: grads[name] for name in self.model.params}
            grads, _ = clip_gradients(grads, self.clip_norm)
        for name, w in self.model.params.items():
            next_w, next_config = self.update_rule(w, grads[name], self.optim_configs[name])
            self.model.params[name] = next_w
            self.optim_configs[name] = next_config
        return loss

    def _loss_of(self, batch_mask: Labels) -> Any:
        """Return the loss of a minibatch and its gradients, whoever computes them."""
        if self._team is not None:
            return self._shared_loss(self._team, batch_mask)
        X, y = self._examples(self.X_train, batch_mask), self.y_train[batch_mask]
        model: Any = self.model
        if self.w_train is None:
            return model.loss(X, y)
        return model.loss(X, y, sample_weight=self.w_train[batch_mask])

    def _shared_loss(self, team: Team, batch_mask: Labels) -> Any:
        """Return the loss of a minibatch and its gradients, of which each rank takes some rows."""
        from ..distributed import share_loss

        cut, size = self._cuts.get("train"), len(batch_mask)
        if cut is None:
            rows, counts = batch_mask[team.share(size)], team.counts(size)
        else:
            rows, counts = cut.deal(batch_mask)
        weights, total = None, float(size)
        if self.w_train is not None:
            weights = self.w_train[rows]
            if cut is None:
                total = float(self.w_train[batch_mask].sum())
            else:
                own = np.array([weights.sum()])
                total = float(team.add(own, "the sum of the batch's weights")[0])
            self._check_weights(total)
        X, y = self._examples(self.X_train, rows), self.y_train[rows]
        return share_loss(
            team, self.model, X, y, weights, total, counts, self.sync_batchnorm, self._votes
        )

    def _check_weights(self, total: float) -> None:
        """Raise ValueError unless a minibatch's weights have a finite sum above 0."""
        if not 0 < total < math.inf:
            model: Any = self.model
            raise self._agree(
                ValueError(
                    f"{model.loss_name}_loss: sample_weight has the sum {total:g}, expected a "
                    "finite sum above 0"
                )
            )

    def _many_steps(self, most: int, seconds: float) -> int:
        """Let the model do steps in one call if it offers to; return how many, which may be none.

        They leave what so many calls of ``_step`` would, bit for bit.
        """
        offered = getattr(self.model, "__fastfc_train_steps__", None)
        rule = built_in(self.update_rule)
        if offered is None or rule is None or not self._has_own_steps():
            return 0
        if self._team is not None or self.shards:  # ranks meet within each step, or could
            return 0
        configs, options, rates = self.optim_configs, self._options(), None
        if self._rates.schedule is not None:
            rates = options["rates"] = self._rates.ahead(self, most)
            if rates is None or not rates[0].keys() == configs.keys() == self.model.params.keys():
                return 0
        before = self._log.now()
        spent = offered(
            self.X_train,
            self.y_train,
            rule,
            configs,
            batch_size=self.batch_size,
            steps=most,
            seconds=seconds,
            losses=self.loss_history,
            **options,
        )
        if spent is None or not len(spent):
            return 0
        if rates is None:
            noted = np.full(len(spent), learning_rate(configs))
        else:
            base = float(rates[0][next(iter(configs))])  # a product of NumPy's may warn or raise
            noted = np.array([base * factor for factor in rates[1][: len(spent)]])
        self._log.note_steps(before + spent, noted)
        return len(spent)

    def _has_own_steps(self) -> bool:
        """Return whether nobody has overridden what is called for each step."""
        names = ("_step", "_fused_step", "_composed_step")
        return (
            type(self.batch_size) is int
            and type(self.loss_history) is list
            and not any(name in vars(self) for name in names)
            and all(getattr(type(self), name) is getattr(Stepping, name) for name in names)
        )


class Stretches:
    """A call of ``train`` in stretches: steps between which nobody can look.

    Somebody can after the first step of the call, at the end of an epoch, where a loss is printed
    or a checkpoint due, where a limit is reached, and after each step where a callback looks at
    each.  Signals, and what other threads ask for, are seen every `MOST_SECONDS`.

    Parameters
    ----------
    solver : Stepping
        The Solver.
    first, per_epoch : int
        Steps of the call that are done already, and of an epoch.
    limits : Limits
        Of the call.
    """

    def __init__(self, solver: Stepping, first: int, per_epoch: int, limits: Limits) -> None:
        self._solver = solver
        self._per_epoch = per_epoch
        self._limits = limits
        looks = find_methods(solver.callbacks, "on_step")
        self._singly_until: float = math.inf if looks else first + 1

    def take(self, step: int) -> int:
        """Take a step, or more, after so many of the call; return how many.

        None, 0, where the ranks have dropped it, to stop before it.
        """
        solver = self._solver
        if step >= self._singly_until:
            most, seconds = self._ahead(step)
            if most > 1 and (taken := solver._many_steps(most, seconds)):
                return taken
            self._singly_until = step + most
        try:
            solver._step()
        except DroppedStep:
            return 0
        solver._log.note(solver.optim_configs)
        return 1

    def _ahead(self, step: int) -> tuple[int, float]:
        """Return the steps and the seconds until somebody can look."""
        solver = self._solver
        steps, seconds = self._limits.left(step)
        steps = min(steps, MOST_STEPS, self._per_epoch - step % self._per_epoch)
        if solver.verbose and solver.print_every:
            after = -step % solver.print_every
            if math.isfinite(after):  # not whole: step by step
                steps = min(steps, after + 1 if after == int(after) else 1)
        if solver._saver is not None:
            due, seconds_due = solver._saver.left(len(solver.loss_history))
            steps, seconds = min(steps, due), min(seconds, seconds_due)
        return int(steps), min(seconds, MOST_SECONDS)
