"""What lets a run go on: in another process from a checkpoint, in this one after a stop."""

from __future__ import annotations

import warnings
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, cast

import numpy as np

from . import settings
from .callbacks import find_methods, notify
from .checkpoint import CheckpointError, read_with_run
from .rules import is_sgd
from .shards import Sharded
from .signatures import show_kept_settings
from .state import (
    check_fits,
    check_parts,
    copy_arrays,
    restore,
    running_statistics,
    set_running_statistics,
    write_state,
)

REFITTED = (
    "lr_schedule was made for the length of the run so far and has been rebuilt for the new one: "
    "steps to come have the rates of a run that was to be as long from the start"
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from typing_extensions import Self, Unpack

    from .._types import AnyArray, Model, SolverSettings, StrPath
    from ..solver import Solver


class Resumable(Sharded):
    """The part of a Solver that knows where its run stands.

    ``_call`` is the call of ``train`` that goes on, or was stopped: the ``step`` it has reached, 0
    where a new one will begin, and the ``scorings`` before it.  ``_left`` has the latest
    parameters and running statistics while a stopped run has left the best in the model.  ``_run``
    is the run's identity, drawn from the system's own randomness: ``np.random`` is the run's.
    """

    if TYPE_CHECKING:

        def __init__(
            self, model: Model, data: Mapping[str, object], **kwargs: Unpack[SolverSettings]
        ) -> None: ...

    @classmethod
    @show_kept_settings
    def resume(
        cls,
        path: StrPath | None,
        model: Model,
        data: Mapping[str, object],
        **kwargs: Unpack[SolverSettings],
    ) -> Self:
        """Return a Solver that goes on where a checkpoint was written.

        Its ``train`` continues the call that wrote the checkpoint, bit for bit as if nothing had
        happened: the model has the parameters and running statistics of that moment, ``np.random``
        its state, the Solver its histories and optimiser state.  It is the same run, as far as
        checkpoints are concerned.

        The file may come from a stranger.  No path is taken from inside it: a run that wrote
        checkpoints goes on to write them beside this file, under its name (that of
        ``runs/a_epoch_3.npz`` is ``runs/a``), unless ``checkpoint_name`` is given.  The file's
        ``keep_last`` holds for what the resumed run writes itself; one that is given, for the
        run's earlier checkpoints of that name too.

        Parameters
        ----------
        path : path
            The checkpoint.
        model : object
            Made as the first one was; its parameters' values do not matter.
        data : dict
            The same data.
        **kwargs
            What is to differ from the checkpoint's settings, such as ``num_epochs``; what a file
            cannot hold and must be given again: a callable ``update_rule`` or ``lr_schedule``, and
            ``callbacks``.  ``batch_size``, ``update_rule``, ``optim_config`` and ``normalize``
            cannot differ.  A length of ``lr_schedule`` that was the run's follows ``num_epochs``; a
            schedule that is given takes over from the next step on, over the run's learning rate.

        Returns
        -------
        Solver

        Raises
        ------
        OSError
            The file cannot be read.
        CheckpointError
            The file is damaged, no checkpoint, of a newer format, or of another model or other
            data; or an argument is missing, unusable or cannot differ; or ``path`` is None, since
            there is no checkpoint.  Model and ``np.random`` are as they were.

        Warns
        -----
        UserWarning
            ``lr_schedule`` has been rebuilt for another number of epochs.

        Examples
        --------
        >>> import numpy as np, tempfile
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> from fastfc.solver import Solver
        >>> X, y = np.eye(4).repeat(50, axis=0), np.arange(4).repeat(50)
        >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
        >>> def model():
        ...     return FullyConnectedNet([8], input_dim=4, num_classes=4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Solver(model(), data, num_epochs=2, checkpoint_name=f"{folder}/run",
        ...            verbose=False).train()
        ...     solver = Solver.resume(f"{folder}/run_epoch_2.npz", model(), data, num_epochs=3,
        ...                            verbose=True)
        ...     solver.train()
        (Epoch 3 / 3) train acc: ...; val_acc: ...
        """
        if path is None:
            raise CheckpointError(
                "there is no checkpoint to resume: path is None, which latest_checkpoint returns "
                "where it finds none"
            )
        state, (run, turn, _) = read_with_run(path)
        check_parts(path, state)
        given = settings.merge_settings(path, state["settings"], state["outside"], kwargs)
        try:
            options: dict[str, Any] = {**given, "overwrite": True}
            solver = cls(model, data, **options)
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{path}: {error}") from error
        check_fits(path, solver, state)
        solver._resume_rates(path, state, "lr_schedule" in kwargs)
        restore(solver, state)
        solver._run = run
        solver.overwrite = given.get("overwrite", True)
        if solver._saver is not None:
            solver._saver.resume(run, turn, solver.overwrite, "keep_last" in kwargs)
        return solver

    def _resume_rates(self, path: StrPath, state: dict[str, Any], changed: bool) -> None:
        """Take the learning rates' state; a schedule's length follows the run's."""
        before = state["iteration"] - state["call"]["step"]
        was, now = (
            before + epochs * self._steps_per_epoch
            for epochs in (state["settings"]["num_epochs"], self.num_epochs)
        )
        try:
            self._rates.resume(self, state, changed, was)
        except Exception as error:  # of a schedule of the user's own
            raise CheckpointError(f"{path}: its rates are damaged: {error}") from error
        if was != now or changed:
            self._fit_schedule(now, silent=changed, stacklevel=4)

    def _fit_schedule(self, steps: int, silent: bool = False, stacklevel: int = 2) -> None:
        """Let the lengths of the schedule that were the run's be those of so many steps."""
        if self._rates.fit(steps):
            self.lr_schedule = self._rates.config()
            if not silent:
                warnings.warn(REFITTED, stacklevel=stacklevel)

    def save(self, path: StrPath) -> None:
        """Write a checkpoint to a file, which appears whole or not at all.

        Parameters
        ----------
        path : path
            The file, by custom ``NAME.npz``.

        Raises
        ------
        OSError
            It cannot be written.
        TypeError
            The optimiser's state holds something else than numbers, strings and arrays.

        Examples
        --------
        >>> solver.save("latest.npz")  # doctest: +SKIP
        """
        write_state(path, self)

    def _reset_call(self) -> None:
        self._call = {"step": 0, "scorings": 0}
        self._left = None
        if self._saver is not None:
            self._saver.turn = None  # another one, of the same run

    def _begin(self) -> int:
        """Prepare for a call of ``train``; return how many of its steps an earlier one has done."""
        self._join()
        self._put_latest()
        if is_sgd(self.update_rule):
            self._make_writeable()
        self._asked = self.stop_reason = self.nonfinite = None
        if self._saver is not None:
            self._saver.begin(self._run)
        if self._call["step"] == 0:
            self._call["scorings"] = len(self.val_acc_history)
            if self.loss_history:
                more = self.num_epochs * self._steps_per_epoch
                self._fit_schedule(len(self.loss_history) + more, stacklevel=5)
        self._log.begin(len(self.loss_history))
        return self._call["step"]

    def _put_latest(self) -> None:
        """Give the model parameters to train on where an earlier call has left it the best."""
        if self.model.params is self.best_params:
            if self._left is None:
                self.model.params = copy_arrays(self.best_params)
            else:
                self.model.params, statistics = self._left
                set_running_statistics(self._bn_params(), statistics)
        self._left = None

    def _make_writeable(self) -> None:
        """Replace parameters that are read-only, as joblib maps them, by copies: sgd writes."""
        for name, w in list(self.model.params.items()):
            if isinstance(w, np.ndarray) and not w.flags.writeable:
                self.model.params[name] = np.array(w)

    def _latest(self) -> tuple[dict[str, Any], list[dict[str, AnyArray]]]:
        """Return the parameters and running statistics to train on."""
        if self._left is not None and self.model.params is self.best_params:
            return self._left
        return self.model.params, running_statistics(self._bn_params())

    def _leave_best(self, ended: bool) -> None:
        """Put the best parameters into the model; the latest are kept unless the call has ended."""
        if ended:
            self._call["step"] = 0
        if self.best_params:
            self._left = None if ended else self._latest()
            self.model.params = self.best_params
            bn_params = self._bn_params()
            if len(bn_params) == len(self.best_bn_params):  # else a loop of the user's own scored
                for bn_param, best in zip(bn_params, self.best_bn_params, strict=True):
                    bn_param.update(copy_arrays(best))

    def _save_checkpoint(self) -> None:
        """Write a checkpoint, where the run writes any, and tell the callbacks.

        It may be overridden: ``train`` calls it at the end of every epoch.  A training loop of the
        user's own may call it between two steps, with the epochs done in ``epoch``.
        """
        if self._saver is None:
            return
        steps = len(self.loss_history)
        epoch_ends = self._log.epochs[-1:] == [steps]
        if not self._training:
            epoch_ends = steps % self._steps_per_epoch == 0
            self._call["step"] = steps
        self.checkpoint_path = self._saver.save(self, epoch_ends)
        notify(find_methods(self.callbacks, "on_checkpoint"), cast("Solver", self))

    def _bn_params(self) -> list[dict[str, Any]]:
        """Return the batch normalisations of the model, none for a model without.

        What a model calls so and is no list of mappings is its own business.
        """
        found: Any = getattr(self.model, "bn_params", None)
        ours = isinstance(found, (list, tuple)) and all(
            isinstance(bn_param, MutableMapping) for bn_param in found
        )
        return cast("list[dict[str, Any]]", found) if ours else []
