"""What lets a run go on: in another process from a checkpoint, in this one after a stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import settings
from .callbacks import notify
from .checkpoint import read_checkpoint, write_checkpoint
from .signatures import show_kept_settings
from .state import (
    check_fits,
    check_parts,
    collect_state,
    copy_arrays,
    restore,
    running_statistics,
    set_running_statistics,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self, Unpack

    from .._types import Model, SolverSettings, StrPath


class Resumable:
    """The part of a Solver that knows where its run stands.

    ``_call`` is the call of ``train`` that goes on, or was stopped: the ``step`` it has reached, 0
    where a new one will begin, and the ``scorings`` before it.  ``_left`` has the latest
    parameters and running statistics while a stopped run has left the best in the model.
    """

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
        its state, the Solver its histories and optimiser state.

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
            ``callbacks``.  ``batch_size``, ``update_rule``, ``optim_config`` and ``lr_schedule``
            cannot differ.

        Returns
        -------
        Solver

        Raises
        ------
        OSError
            The file cannot be read.
        CheckpointError
            The file is damaged, no checkpoint, of a newer format, or of another model or other
            data; or an argument is missing or cannot differ.  Model and ``np.random`` are as they
            were.

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
        state = read_checkpoint(path)
        check_parts(path, state)
        kwargs = settings.merge_settings(path, state["settings"], state["outside"], kwargs)
        solver = cls(model, data, **kwargs)
        check_fits(path, solver, state)
        restore(solver, state)
        return solver

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
        write_checkpoint(path, collect_state(self))

    def _reset_call(self):
        self._call = {"step": 0, "scorings": 0}
        self._left = None

    def _begin(self):
        """Prepare for a call of ``train``; return how many of its steps an earlier one has done."""
        self._put_latest()
        self._asked = self.stop_reason = None
        if self._call["step"] == 0:
            self._call["scorings"] = len(self.val_acc_history)
        self._log.begin(len(self.loss_history))
        if self._saver is not None:
            self._saver.begin()
        return self._call["step"]

    def _put_latest(self):
        """Give the model parameters to train on where an earlier call has left it the best."""
        if self.model.params is self.best_params:
            if self._left is None:
                self.model.params = copy_arrays(self.best_params)
            else:
                self.model.params, statistics = self._left
                set_running_statistics(self._bn_params(), statistics)
        self._left = None

    def _latest(self):
        """Return the parameters and running statistics to train on."""
        if self._left is not None and self.model.params is self.best_params:
            return self._left
        return self.model.params, running_statistics(self._bn_params())

    def _leave_best(self, ended):
        """Put the best parameters into the model; the latest are kept unless the call has ended."""
        if ended:
            self._call["step"] = 0
        if self.best_params:
            self._left = None if ended else self._latest()
            self.model.params = self.best_params
            for bn_param, best in zip(self._bn_params(), self.best_bn_params, strict=True):
                bn_param.update(copy_arrays(best))

    def _save_checkpoint(self, epoch_ends, on_checkpoint):
        """Write a checkpoint of the run and tell the callbacks."""
        self.checkpoint_path = self._saver.save(self, epoch_ends)
        notify(on_checkpoint, self)

    def _bn_params(self):
        """Return the batch normalisations of the model, none for a model without."""
        return getattr(self.model, "bn_params", None) or []
