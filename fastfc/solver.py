"""The Solver: trains any model by minibatch descent."""

import math
import numbers
import warnings

import numpy as np

from . import _rows, optim
from .reference.clipping import checked
from .training.clipping import clip_gradients
from .training.rates import Rates

__all__ = ["Solver"]

_BUILT_IN = {getattr(optim, name): name for name in optim.__all__}


class Solver:
    """Minibatch training of a model, with accuracies on the way and the best parameters kept.

    The model is any object with ``params``, a dictionary of arrays, and ``loss(X, y=None)``,
    which returns ``(loss, grads)`` with labels and scores of shape (N, C) without.  If it also
    has ``bn_params``, a list of dictionaries, the best parameters travel with the running
    statistics found there.

    Minibatches are drawn from ``np.random``: one ``choice`` per step, and one per accuracy on
    more images than are asked for.  An exception, Ctrl-C among them, leaves histories and best
    parameters on the solver and the latest parameters in the model.

    Parameters
    ----------
    model : object
        As above.
    data : dict
        ``X_train`` and ``X_val``, arrays whose first axis counts examples, and ``y_train`` and
        ``y_val``, their labels; other keys are ignored.  Examples need not be in memory: with
        ``shape``, ``dtype`` and rows found by number, as ``np.memmap``, HDF5 datasets and zarr
        arrays have them, they are read batch by batch.
    update_rule : str or callable
        A name in :mod:`fastfc.optim`, default ``'sgd'``, or a function of that signature.
    optim_config : dict
        Hyper-parameters of the rule; every parameter of the model gets its own copy.  adamw's
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
    print_every : int
        Steps from one printed loss to the next, default 10.
    verbose : bool
        Whether to print at all, default True.
    num_train_samples, num_val_samples : int or None
        Accuracies are estimated on so many examples, drawn with replacement; None takes all.
        Default 1000 and None.
    normalize : (mean, std), optional
        The model gets ``(X - mean) / std``, for minibatches and accuracies alike, computed in its
        dtype (float64 if it names none): numbers, arrays that broadcast to an example, say
        (3, 1, 1) for images (3, 32, 32), or one number for each of its features.
    checkpoint_name : str, optional
        Accepted and kept; no checkpoint files are written yet, and a warning says so.

    Attributes
    ----------
    loss_history : list
        The loss of every step.
    train_acc_history, val_acc_history : list
        Accuracies after the first step, after every epoch and after the last step.
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

    Raises
    ------
    TypeError
        ``X_train`` or ``X_val`` is no array, or ``normalize`` no pair of real ones.
    ValueError
        An argument is unknown or out of range, or the data do not fit together.

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

    def __init__(self, model, data, **kwargs):
        self.model = model
        for split in ("train", "val"):
            _check_split(data, split)
        self.X_train, self.y_train = data["X_train"], np.asarray(data["y_train"])
        self.X_val, self.y_val = data["X_val"], np.asarray(data["y_val"])

        update_rule = kwargs.pop("update_rule", "sgd")
        self.optim_config = kwargs.pop("optim_config", {})
        self.lr_decay = kwargs.pop("lr_decay", 1.0)
        self.lr_schedule = kwargs.pop("lr_schedule", None)
        self.clip_norm = kwargs.pop("clip_norm", None)
        if self.clip_norm is not None:
            self.clip_norm = checked(self.clip_norm)
        self.batch_size = _count("batch_size", kwargs.pop("batch_size", 100))
        self.num_epochs = _count("num_epochs", kwargs.pop("num_epochs", 10), least=0)
        self.print_every = kwargs.pop("print_every", 10)
        if not self.print_every > 0:
            raise ValueError(f"print_every is {self.print_every}, expected a number above 0")
        self.verbose = kwargs.pop("verbose", True)
        self.num_train_samples = kwargs.pop("num_train_samples", 1000)
        self.num_val_samples = kwargs.pop("num_val_samples", None)
        for name in ("num_train_samples", "num_val_samples"):
            if getattr(self, name) is not None:
                _count(name, getattr(self, name))
        self.normalize = kwargs.pop("normalize", None)
        if self.normalize is not None:
            self.normalize = self._normalization(self.normalize)
        self.checkpoint_name = kwargs.pop("checkpoint_name", None)
        if self.checkpoint_name is not None:
            warnings.warn("checkpoint_name: no checkpoint files are written yet", stacklevel=2)
        if kwargs:
            unknown = ", ".join(f'"{name}"' for name in kwargs)
            raise ValueError(f"Unrecognized arguments {unknown}")

        if not callable(update_rule):
            if update_rule not in optim.__all__:
                raise ValueError(f'Invalid update_rule "{update_rule}"')
            update_rule = getattr(optim, update_rule)
        self.update_rule = update_rule
        self._reset()

    def _reset(self):
        """Forget all training: histories, best parameters and the state of the update rule."""
        self.epoch = 0
        self.best_val_acc = 0
        self.best_params = {}
        self.best_bn_params = []
        self.loss_history = []
        self.train_acc_history = []
        self.val_acc_history = []
        steps = self.num_epochs * max(len(self.y_train) // self.batch_size, 1)
        self._rates = Rates(self.lr_schedule, steps, self.update_rule, self.optim_config)
        self.lr_schedule = self._rates.config() or self.lr_schedule
        self.optim_configs = {name: dict(self.optim_config) for name in self.model.params}
        if getattr(self.update_rule, "__name__", None) == "adamw":
            for name, w in self.model.params.items():
                if np.ndim(w) < 2:
                    self.optim_configs[name]["weight_decay"] = 0.0

    def _step(self):
        """Draw a minibatch and update every parameter once; may be called and overridden."""
        self._rates.before_step(self)
        batch_mask = np.random.choice(len(self.y_train), self.batch_size)
        loss = self._fused_step(batch_mask)
        if loss is None:
            loss = self._composed_step(batch_mask)
        self.loss_history.append(loss)

    def _fused_step(self, batch_mask):
        """Let the model do it all in one call if it offers to; return the loss or None."""
        offered = getattr(self.model, "train_step", None)
        rule = _BUILT_IN.get(self.update_rule)
        if offered is None or rule is None:
            return None
        options = {"normalize": self.normalize, "clip_norm": self.clip_norm}
        given = {name: value for name, value in options.items() if value is not None}
        return offered(
            self.X_train, self.y_train, rule, self.optim_configs, rows=batch_mask, **given
        )

    def _composed_step(self, batch_mask):
        """Take the loss's gradients and update every parameter by the rule; return the loss."""
        X = self._examples(self.X_train, batch_mask)
        loss, grads = self.model.loss(X, self.y_train[batch_mask])
        if self.clip_norm is not None:
            grads = {name: grads[name] for name in self.model.params}
            grads, _ = clip_gradients(grads, self.clip_norm)
        for name, w in self.model.params.items():
            next_w, next_config = self.update_rule(w, grads[name], self.optim_configs[name])
            self.model.params[name] = next_w
            self.optim_configs[name] = next_config
        return loss

    def _examples(self, X, rows):
        """Return rows of X as the model gets them."""
        if self.normalize is None:
            return _rows.take(X, rows)
        return _rows.take(X, rows, self.normalize[0].dtype, self.normalize)

    def _normalization(self, normalize):
        """Return mean and standard deviation of every feature, in the model's dtype."""
        example, other = self.X_train.shape[1:], self.X_val.shape[1:]
        if math.prod(other) != math.prod(example):
            raise ValueError(
                f"X_val has examples of shape {other}, expected {example}, as X_train's, "
                "to normalize both"
            )
        dtype = getattr(self.model, "dtype", np.float64)
        dtype = dtype if dtype in (np.float32, np.float64) else np.float64
        return _rows.normalization(normalize, example, dtype)

    def check_accuracy(self, X, y, num_samples=None, batch_size=100):
        """Return the fraction of examples that the model classifies as labelled.

        Parameters
        ----------
        X : array, shape (N, d_1, ..., d_k)
            Examples as in ``data``: not normalized yet, and not necessarily in memory.
        y : array, shape (N,)
            Labels.
        num_samples : int, optional
            If there are more examples, so many are drawn with replacement.
        batch_size : int
            Examples per call of the model, which bounds the memory in use.

        Returns
        -------
        float

        Examples
        --------
        >>> import numpy as np
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(params={}, loss=lambda X, y=None: X)
        >>> X, y = np.eye(2), np.array([0, 0])
        >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
        >>> Solver(model, data).check_accuracy(X, y)
        np.float64(0.5)
        """
        mask = None
        if num_samples is not None and X.shape[0] > num_samples:
            mask = np.random.choice(X.shape[0], num_samples)
            y = y[mask]
        predictions = []
        for start in range(0, X.shape[0] if mask is None else num_samples, batch_size):
            rows = slice(start, start + batch_size)
            batch = self._examples(X, rows if mask is None else mask[rows])
            predictions.append(np.argmax(self.model.loss(batch), axis=1))
        return np.mean(np.hstack(predictions) == y)

    def train(self):
        """Train for ``num_epochs``, then put the best parameters into the model.

        A second call trains on from there.
        """
        if self.model.params is self.best_params:  # left there by an earlier call
            self.model.params = _copied(self.best_params)
        steps_per_epoch = max(len(self.y_train) // self.batch_size, 1)
        num_steps = self.num_epochs * steps_per_epoch
        for step in range(1, num_steps + 1):
            self._step()
            if self.verbose and (step - 1) % self.print_every == 0:
                print(f"(Iteration {step} / {num_steps}) loss: {self.loss_history[-1]:f}")
            epoch_ends = step % steps_per_epoch == 0
            if epoch_ends:
                self.epoch += 1
                for config in self.optim_configs.values():
                    if "learning_rate" in config:  # a rule of the user's own may have none
                        config["learning_rate"] *= self.lr_decay
            if epoch_ends or step == 1:
                self._score()
            if epoch_ends:
                self._rates.end_epoch(self)
        if self.best_params:
            self.model.params = self.best_params
            for bn_param, best in zip(self._bn_params(), self.best_bn_params, strict=True):
                bn_param.update(_copied(best))

    def _score(self):
        """Note and print both accuracies; keep the parameters if they are the best so far."""
        train_acc = self.check_accuracy(self.X_train, self.y_train, self.num_train_samples)
        val_acc = self.check_accuracy(self.X_val, self.y_val, self.num_val_samples)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        if self.verbose:
            print(
                f"(Epoch {self.epoch} / {self.num_epochs}) "
                f"train acc: {train_acc:f}; val_acc: {val_acc:f}"
            )
        if val_acc > self.best_val_acc or not self.best_params:
            self.best_val_acc = val_acc
            self.best_params = _copied(self.model.params)
            self.best_bn_params = [
                _copied({k: v for k, v in bn_param.items() if k.startswith("running_")})
                for bn_param in self._bn_params()
            ]

    def _bn_params(self):
        """Return the batch normalisations of the model, none for a model without."""
        return getattr(self.model, "bn_params", None) or []


def _copied(arrays):
    """Return a dictionary of copies."""
    return {name: np.array(value) for name, value in arrays.items()}


def _count(name, value, least=1):
    """Return value if it is a whole number of at least ``least``."""
    if not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} is {value!r}, expected an integer of at least {least}")
    return value


def _check_split(data, split):
    """Raise an error unless data has examples and as many labels for this split."""
    for key in (f"X_{split}", f"y_{split}"):
        if key not in data:
            raise ValueError(
                f'data has no "{key}", expected X_train, y_train, X_val and y_val; '
                f"it has {', '.join(map(str, data))}"
            )
    X = data[f"X_{split}"]
    if not hasattr(X, "shape") or not hasattr(X, "dtype") or not X.shape:
        raise TypeError(f"X_{split} is a {type(X).__name__}, expected an array of examples")
    examples, labels = X.shape[0], np.shape(data[f"y_{split}"])
    if examples == 0 or labels != (examples,):
        raise ValueError(
            f"y_{split} has shape {labels}, expected ({examples},) to match the {examples} "
            f"examples of X_{split}, at least one"
        )
