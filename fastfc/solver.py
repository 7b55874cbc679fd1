"""The Solver: trains any model by minibatch descent."""

from __future__ import annotations

import signal
import uuid
from typing import TYPE_CHECKING

import numpy as np

from .training import History, settings
from .training.callbacks import EVENTS, find_methods, notify
from .training.guard import StateChecks, warn_of
from .training.history import Log
from .training.notices import warn_of_settings, warn_of_standstill
from .training.option_checks import Resumed
from .training.progress import Progress
from .training.rates import Rates
from .training.rules import is_adamw
from .training.saving import Saver
from .training.signatures import show_settings
from .training.splits import check_model, check_splits
from .training.steps import Stepping, Stretches
from .training.stopping import Interrupts, Limits
from .training.threads import hold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from ._types import Model, SolverSettings

__all__ = ["Solver"]


def _keep_silent(line: str) -> None:
    """Print nothing: rank 0 does."""


class Solver(Stepping):
    """Minibatch training of a model, with accuracies on the way and the best parameters kept.

    The model is any object with ``params``, a dictionary of arrays, and ``loss(X, y=None)``,
    which returns ``(loss, grads)`` with labels and scores of shape (N, C) without.  If it also
    has ``bn_params``, a list of dictionaries, the best parameters travel with the running
    statistics found there.  Any mutable mapping will do for a dictionary.

    Minibatches are drawn from ``np.random``: one ``choice`` per step, and one per accuracy on
    more images than are asked for.  An exception leaves histories and best parameters on the
    solver and the latest parameters in the model.  So does Ctrl-C, which lets the running step
    finish first, or those of up to 50 ms, in the main thread and where nobody else handles it; a
    second one interrupts at once.  SIGTERM does too, and ends the process when the checkpoint has
    been written.

    Where nobody can look between them, many steps of a network of fastfc's are one call of its
    core, with the same bits; where ``_step`` is overridden or a callback has ``on_step``, they are
    taken one by one.  Another thread that looks meanwhile finds parameters that are ahead of the
    histories, and ``np.random`` locked.

    With ``comm`` the ranks of a communicator train one network together: each takes its share of
    every minibatch, and all have the same parameters after every step.  The run is that of one
    process, up to rounding: see :doc:`/distributed`.

    Parameters
    ----------
    model : object
        As above.  Of a loss that is not finite it may say where it comes from: by a method
        ``first_nonfinite(X)``, which returns a string or None.
    data : dict
        ``X_train`` and ``X_val``, arrays whose first axis counts examples, and ``y_train`` and
        ``y_val``, their labels, array_like; other keys are ignored.  For a network of fastfc's all
        labels must be from 0 to C - 1, which is checked here, once, or for a loss of targets real
        numbers, one for each score; other models may have labels of any kind.  ``w_train`` and
        ``w_val``, arrays too, are weights of the examples: minibatches are drawn as without, and
        ``model.loss`` is called with ``sample_weight``.  Examples need not be in memory: with
        ``shape``, ``dtype`` and rows found by number, as ``np.memmap``, HDF5 datasets and zarr
        arrays have them, they are read batch by batch.
    update_rule : str or callable
        A name in :mod:`fastfc.optim`, default ``'sgd'``, or a function of that signature.
    optim_config : dict
        Hyper-parameters of the rule; every parameter of the model gets its own copy.  Of fastfc's
        rules a key that no rule of a course knows is an error, one of another rule's is warned of:
        one dictionary often serves several rules.  Rules of your own may have any key.  adamw's
        ``weight_decay`` is 0 in those of parameters of fewer than two dimensions: biases, gammas
        and betas do not decay, as a network's ``reg`` leaves them out too.
    lr_decay : float
        Factor on every learning rate at the end of an epoch, default 1.
    lr_schedule : str, dict or callable, optional
        A factor on every learning rate for each step, beside that of ``lr_decay``: ``'step'``,
        ``'exponential'``, ``'cosine'`` or ``'plateau'``, a dictionary of such a ``name`` and its
        parameters, see `fastfc.training.schedules`, or a function of the step, from 0, and the
        Solver.  The attribute holds the dictionary with all its parameters, or the function.
    clip_norm : float, optional
        Gradients whose norm, taken over all parameters together, is greater are scaled to it
        (Pascanu et al. 2013), after regularisation and before the rule; see
        `fastfc.training.clipping`.
    batch_size : int
        Examples per step, default 100.
    num_epochs : int
        Default 10; an epoch has max(examples // batch_size, 1) steps.
    print_every : int or None
        Steps from one printed loss to the next, default 10; anything without ``verbose``.
    verbose : bool
        Whether to print at all, default True.
    num_train_samples, num_val_samples : int or None
        Accuracies are estimated on so many examples, drawn with replacement; None takes all.
        Default 1000 and None.
    normalize : (mean, std), optional
        The model gets ``(X - mean) / std``, for minibatches and accuracies alike, computed in its
        dtype (float64 if it names none): numbers, arrays that broadcast to an example, say
        (3, 1, 1) for images (3, 32, 32), or one number for each of its features.
    checkpoint_name : path, optional
        Writes ``NAME_epoch_K.npz`` after every epoch K, and ``NAME_step_N.npz`` after N steps
        where training stops within an epoch; `resume` reads them, and so does a network's
        ``load``.  They hold no pickles.  The name is this run's, however often ``train`` is called;
        where another run has left checkpoints of it, this one takes over, with a warning, and
        `fastfc.training.latest_checkpoint` returns its files and no longer the other's.
    checkpoint_every : int or str, optional
        Writes ``NAME_step_N.npz`` within epochs too: every so many steps, or after so much time,
        as ``'30s'``, ``'5min'`` or ``'1h'``.
    keep_last : int, optional
        Deletes this run's older checkpoints, all but so many.
    overwrite : bool
        Whether ``checkpoint_name`` may have checkpoints of another run, default True.
    max_steps : int, optional
        Steps after which a call of ``train`` stops.
    max_seconds : float, optional
        Seconds after which a call of ``train`` starts no step.
    early_stopping : dict, optional
        ``patience`` and, by default 0, ``min_delta``: training ends after so many scorings in
        which validation accuracy did not get more than ``min_delta`` above its best.
    on_nonfinite : {'stop', 'continue', 'raise'}
        What to do when the loss, or what an update rule keeps in a parameter's config, becomes NaN
        or infinite.  ``'stop'``, the default, does not take that step and ends the run: both
        accuracies are taken if there are none yet, the model gets the best parameters, one
        `fastfc.training.NonFiniteWarning` names iteration, learning rate and the layer, parameter
        or data at fault, and ``loss_history`` ends in NaN for the step that was not taken.
        ``'continue'`` trains on as the courses' Solvers do, draw for draw.  ``'raise'`` raises a
        `fastfc.training.NonFiniteLossError`.  Losses are looked at in every step, the rule's state
        after a call's first and last, and at ends of epochs.
    callbacks : object or list of objects, optional
        With any of ``on_step``, ``on_epoch``, ``on_checkpoint`` and ``on_stop``, called with the
        Solver, see `fastfc.training.Callback`.
    progress : bool
        Shows a progress bar, default False.
    comm : mpi4py.MPI.Intracomm, optional
        The ranks that train together, as ``MPI.COMM_WORLD``; the model is a network of fastfc's.
        Rank 0 has the first parameters and draws, decides when to stop, prints, and writes.
    shards : bool
        Whether ``data`` is this rank's shard, other ranks having other rows, of which there may be
        none; validation data may also be the same on all.  Minibatches are drawn from all rows,
        each as likely as any other, and come in the order of the rows, those of rank 0 first.
        Default False: every rank has all data.
    sync_batchnorm : bool
        Whether batch normalisation is over the whole minibatch, the default, not over each rank's
        rows.
    check_ranks : bool
        Whether to compare all ranks' parameters, state and draws after each step, bit for bit.
    comm_timeout : float
        Seconds that a rank waits for the others, default 300, before it ends the job.

    Attributes
    ----------
    loss_history : list
        The loss of every step.
    train_acc_history, val_acc_history : list
        Accuracies after the first step, after every epoch and after the last step, as
        ``check_accuracy`` has them: of regression the share of the loss that is explained.
    best_val_acc : float
        The best of ``val_acc_history``.
    best_params : dict of ndarray
        The parameters that reached it.
    best_bn_params : list of dict
        And the batch normalisations' running statistics, empty for a model without.
    optim_configs : dict of dict
        For every parameter the rule's hyper-parameters and state.
    epoch : int
        Epochs done.
    history : History
        All of it as arrays with an entry for each step, `fastfc.training.History`.
    stop_reason : str or None
        Why the last call of ``train`` ended: ``'finished'``, ``'early_stopping'``,
        ``'max_steps'``, ``'max_seconds'``, ``'nonfinite'``, what `stop` was given,
        ``'terminated'`` by SIGTERM, ``'interrupt'`` or ``'error'``; the last two with an exception.
    nonfinite : NonFiniteLossError or None
        What was not finite, where that has ended the last call of ``train``.
    checkpoint_path : str or None
        The last checkpoint that was written.

    Raises
    ------
    TypeError
        ``model`` is none, ``data`` or ``optim_config`` no dict, ``X_train`` or ``X_val`` no array
        or a sparse one, labels have another type, ``normalize`` is no pair of real arrays, or a
        callback has none of the methods.
    ValueError
        An argument is unknown or out of range, an array is masked, a label is out of range, or the
        data do not fit together or not to the model.

    Warns
    -----
    UserWarning
        Once, of what works but hardly as meant: a ``batch_size`` above the number of training
        examples; a key that the rule has no use for; dropout with a ``seed``, which reseeds
        ``np.random`` so that minibatches repeat, where ``rng='philox'`` does not; examples whose
        scores are NaN; and, at the end of the first epoch that completes fifty steps, a network
        whose loss has not moved from that of equal scores.

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> from fastfc.solver import Solver
    >>> X, y = np.eye(4).repeat(50, axis=0), np.arange(4).repeat(50)
    >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    >>> model = FullyConnectedNet([8], input_dim=4, num_classes=4)
    >>> solver = Solver(model, data, update_rule="adam", optim_config={"learning_rate": 0.1},
    ...                 batch_size=50, num_epochs=10, verbose=False)
    >>> solver.train()
    >>> solver.best_val_acc
    np.float64(1.0)
    """

    @show_settings
    def __init__(
        self, model: Model, data: Mapping[str, object], **kwargs: Unpack[SolverSettings]
    ) -> None:
        self._watch_errors(kwargs.get("comm"))
        check_model(model)
        self.model = model
        least = settings.least_examples(kwargs)
        for name, value in check_splits(model, data, least).items():
            setattr(self, name, value)
        for name, value in settings.check_settings(kwargs).items():
            setattr(self, name, value)
        self._find_team()
        self._find_shards()
        if self.normalize is not None:
            self.normalize = self._normalization(self.normalize)
        self._run = uuid.uuid4().hex
        self._saver = None
        if self.checkpoint_name is not None and self._leads:
            self._saver = Saver(
                self.checkpoint_name, self.checkpoint_every, self.keep_last, self.overwrite
            )
        self._reset()
        if not hasattr(self, "_log"):  # a subclass has a _reset of its own, as in the courses
            self._reset_run()
        if not isinstance(self.optim_config, Resumed) and self._leads:
            warn_of_settings(self)

    def _reset(self) -> None:
        """Forget all training: histories, best parameters and the state of the update rule."""
        self._reset_run()
        self.epoch = 0
        self.best_val_acc = 0
        self.best_params = {}
        self.loss_history = []
        self.train_acc_history = []
        self.val_acc_history = []
        self.optim_configs = {name: dict(self.optim_config) for name in self.model.params}
        if is_adamw(self.update_rule):
            for name, w in self.model.params.items():
                if np.ndim(w) < 2:
                    self.optim_configs[name]["weight_decay"] = 0.0

    def _reset_run(self) -> None:
        """Forget how the run stands and how it went, beside its histories."""
        steps = self.num_epochs * self._steps_per_epoch
        self._rates = Rates(self.lr_schedule, steps, self.update_rule, self.optim_config)
        self.lr_schedule = self._rates.config() or self.lr_schedule
        self.best_bn_params = []
        self.stop_reason = None
        self.checkpoint_path = None
        self._log = Log()
        self._asked = None  # the reason that `stop` was given
        self.nonfinite = None
        self._training = False  # inside `train`, not in a loop of the user's own
        self._say = print
        self._reset_call()

    def train(self) -> None:
        """Train for ``num_epochs``, then put the best parameters into the model.

        A second call trains on from there.  After a stop, and after `resume`, it finishes the call
        that was stopped instead, from the latest parameters on and bit for bit as that call would
        have.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C, after the steps that were running; the model has the latest parameters.
        NonFiniteLossError
            With ``on_nonfinite='raise'``: the loss has become NaN or infinite; the model has the
            parameters before that step.  Or the update rule's state has, a `NonFiniteStateError`.
        OSError
            A checkpoint cannot be written; earlier ones are as they were.
        RuntimeError
            Another thread trains with this Solver.
        """
        lock = hold(self, "train")
        try:
            with self._together():
                self._train()
        finally:
            lock.release()

    def _train(self) -> None:
        """Do what ``train`` does, for the only thread."""
        steps_per_epoch = self._steps_per_epoch
        num_steps = self.num_epochs * steps_per_epoch
        step = saved = self._begin()
        call, saver, callbacks = self._call, self._saver, self.callbacks
        if saver is not None and saver.owes:
            saved = 0
        checks, signals = StateChecks(step), Interrupts()
        came: signal.Signals | None = None
        dropped = False
        if not self._leads:
            self._say = _keep_silent
        elif self.progress:
            callbacks = [bar := Progress(self, step, num_steps), *callbacks]
            self._say = bar.print
        on_step, on_epoch, _, on_stop = (find_methods(callbacks, event) for event in EVENTS)
        limits = Limits(self, step, num_steps, call["scorings"])
        stretches = Stretches(self, step, steps_per_epoch, limits)
        try:
            self._training = True
            with signals:
                while True:
                    reason, came = self._decide(limits, step, signals.came, dropped)
                    if reason is not None or came is not None:
                        break
                    call["step"] = 0  # an exception in a step ends the call
                    taken = stretches.take(step)
                    step, dropped = step + taken, not taken
                    if dropped:
                        call["step"] = step
                        continue
                    if self.verbose and self.print_every and (step - 1) % self.print_every == 0:
                        self._say(
                            f"(Iteration {step} / {num_steps}) loss: {self.loss_history[-1]:f}"
                        )
                    if self.nonfinite is not None:  # that step has not been taken
                        continue
                    epoch_ends = step % steps_per_epoch == 0
                    if checks.due(step, epoch_ends):
                        self._check_state()
                    if epoch_ends:
                        self._end_epoch()
                    if epoch_ends or step == 1:
                        self._score()
                    if epoch_ends:
                        self._rates.end_epoch(self)
                    call["step"] = step
                    notify(on_step, self)
                    if epoch_ends:
                        notify(on_epoch, self)
                    due = saver is not None and saver.due(len(self.loss_history))
                    if self.nonfinite is None and (epoch_ends or due):
                        self._save_checkpoint()
                        saved = step
                if checks.left(step) and self.nonfinite is None:
                    self._check_state()
                if self.nonfinite is not None:
                    reason = "nonfinite"
                    self._end_nonfinite()
                elif saver is not None and saved != step:
                    self._save_checkpoint()
                came = came or signals.came
                if came == signal.SIGINT:
                    stopped = f"stopped after iteration {len(self.loss_history)}"
                    raise self._agree(KeyboardInterrupt(stopped))
            reason = "terminated" if came else reason
            self._leave_best(ended=reason in ("finished", "early_stopping", "nonfinite"))
            self.stop_reason = reason
        except BaseException as error:
            self.stop_reason = "interrupt" if isinstance(error, KeyboardInterrupt) else "error"
            raise
        finally:
            self._training = False
            self._say = print
            try:
                notify(on_stop, self)
            finally:
                signals.pass_on(came)
        if self.nonfinite is not None:
            done = "training has stopped, and the model has the best parameters so far"
            warn_of(self.nonfinite, done, stacklevel=3)

    def stop(self, reason: str = "stopped") -> None:
        """Have ``train`` return after the running step; for callbacks, signals and other threads.

        Signals and other threads may have to wait for the steps of 50 ms.

        Parameters
        ----------
        reason : str
            What ``stop_reason`` will be.

        Examples
        --------
        See `fastfc.training.Callback`.
        """
        self._asked = reason or "stopped"

    @property
    def history(self) -> History:
        """The run so far as a `fastfc.training.History`, arrays with an entry for each step."""
        return History.of(self)

    def __repr__(self) -> str:
        """Say what is trained, how, and how far it is.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> X, y = np.eye(4).repeat(50, axis=0), np.arange(4).repeat(50)
        >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
        >>> model = FullyConnectedNet([8], input_dim=4, num_classes=4)
        >>> solver = Solver(model, data, update_rule="adam", num_epochs=2, verbose=False)
        >>> solver
        <Solver: FullyConnectedNet, adam, 200 examples, epoch 0 of 2>
        >>> solver.train()
        >>> solver
        <Solver: FullyConnectedNet, adam, 200 examples, epoch 2 of 2, best val_acc ...>
        """
        if "_left" not in vars(self):  # the constructor is not done
            return object.__repr__(self)
        rule = getattr(self.update_rule, "__name__", type(self.update_rule).__name__)
        best = f", best val_acc {self.best_val_acc:.3f}" if self.val_acc_history else ""
        return (
            f"<{type(self).__name__}: {type(self.model).__name__}, {rule}, "
            f"{self._train_size} examples, epoch {self.epoch} of {self.num_epochs}{best}>"
        )

    def _end_epoch(self) -> None:
        """Count the epoch and let the learning rates decay."""
        self.epoch += 1
        self._log.epochs.append(len(self.loss_history))
        with np.errstate(all="ignore"):  # a NumPy scalar may underflow
            for config in self.optim_configs.values():
                if "learning_rate" in config:  # a rule of the user's own may have none
                    # not in place: all parameters may share one array
                    config["learning_rate"] = config["learning_rate"] * self.lr_decay
        warn_of_standstill(self)
