"""Fully connected networks over the layers of the C core.

Everything but the layers they call, and what the core does in one call, stands in
:mod:`fastfc.networks`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import numpy as np

from . import _core, layer_utils, optim  # noqa: F401  (optim tells the core its rules)
from .arguments import check_word, shown
from .arrays import to_array, to_examples
from .clipping import check_clip_norm
from .data.rows import read_rows
from .layer_utils import *  # noqa: F403  (as in the original, fc_net brings all layers along)
from .locks import lock_of
from .networks import fully_connected
from .networks.arguments import check_attributes
from .networks.predictor import check_call, fold, read_layers
from .update_rules import RULES

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from ._types import (
        AnyArray,
        Array,
        ArrayLike,
        Examples,
        Labels,
        Normalization,
        OptimConfig,
        Params,
        Predictor,
        Scalar,
    )

if not TYPE_CHECKING:  # checkers, which read lists of plain names only, take what the star brings
    __all__ = [*layer_utils.__all__, "FullyConnectedNet", "TwoLayerNet"]


# What a step reads of a network: attributes of its own, not properties of a subclass's.
_READ = {
    *("params", "num_layers", "dtype", "reg", "label_smoothing", "normalization", "bn_params"),
    *("use_dropout", "dropout_param", "activation", "loss_name", "loss_param"),
}

EPOCH_STEPS, EPOCH_SECONDS = 512, 0.05  # in one call of the core: so soon Ctrl-C is seen


def _rows_of(name: str, values: ArrayLike, rows: Labels, ndim: int = 1) -> AnyArray:
    """Return values[rows], of values (N,), or (N, M) where ndim is 2."""
    array = to_array(name, values)
    if not 1 <= array.ndim <= ndim:
        expected = "(N,)" if ndim == 1 else "(N,) or (N, M)"
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}, of each example")
    try:
        return array[rows]  # copies no more than the rows
    except IndexError:
        raise ValueError(
            f"rows is {shown(rows)}, expected row numbers of {name}, which has {len(array)}"
        ) from None


def _starts(order: Labels, batch_size: int) -> Labels:
    """Return where each step's rows begin in an order, flattened, and where the last ones end."""
    rows = order.shape[-1]
    starts = np.arange(0, rows, batch_size)
    if order.ndim == 2:  # of several epochs
        starts = (np.arange(len(order))[:, np.newaxis] * rows + starts).ravel()
    return np.append(starts, order.size)


class _Fused(fully_connected.FullyConnectedNet):
    """What the fast networks do in one call of the core, bit for bit as their layers would.

    The core serves networks in their usual state, and says None to anything else: then the
    layers are composed, one by one.
    """

    _layers = layer_utils

    def _set_mode(self, mode: str) -> None:
        if not _core.set_mode(self, mode):
            super()._set_mode(mode)

    def _data_loss(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[Scalar, Params]:
        X = self._cast("X", X)
        fused = self._network().loss(X, y, self, sample_weight)
        return super()._data_loss(X, y, sample_weight) if fused is None else fused

    def _test_scores(self, X: ArrayLike) -> Array:
        X = self._cast("X", X)
        fused = self._network().scores(X, self)
        return super()._test_scores(X) if fused is None else fused

    def _predictor_of(self, frozen: fully_connected.FullyConnectedNet) -> Predictor:
        layers = [fold(layer) for layer in read_layers(frozen)]
        return _core.Predictor(layers, np.dtype(self.dtype), check_call)

    def _sum_of_squares(self, W: Array) -> Scalar:
        total: Scalar = self.dtype(_core.sum_of_squares(W))
        return total

    def _network(self) -> _core.Network:
        """Return the memory between the layers, which is not part of the network's state."""
        network = self.__dict__.get("_memory")
        if network is None:
            network = self._memory = _core.Network()
        return network

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_memory", "_lock")}

    def train_step(
        self,
        X: ArrayLike | Examples,
        y: AnyArray,
        update_rule: str,
        optim_configs: MutableMapping[str, OptimConfig],
        rows: Labels | None = None,
        normalize: Normalization | None = None,
        clip_norm: float | None = None,
        takes_nonfinite: bool = False,
        sample_weight: ArrayLike | None = None,
    ) -> Scalar | None:
        """Do a training pass and update every parameter in one call.

        What the Solver does instead of calling ``loss`` and the update rule, where both are
        fastfc's own; it asks for it by the name ``__fastfc_train_step__``, which other models may
        offer too.  As when the update rule is called, sgd writes into the parameters themselves,
        whoever else holds them; the others replace an array that anybody else holds, a parameter
        or state, by a new one.

        Parameters
        ----------
        X, y
            As for ``loss``.
        update_rule : str
            A name in :mod:`fastfc.optim`.
        optim_configs : dict of dict
            For every parameter the rule's hyper-parameters and state.
        rows : array of int, shape (N,), optional
            The minibatch is ``X[rows]`` and ``y[rows]``; X may then be what the Solver takes.
        normalize : (mean, std), optional
            Numbers or arrays: the minibatch is ``(X[rows] - mean) / std``.
        clip_norm : float, optional
            Gradients whose norm together is greater are scaled to it, see
            `fastfc.training.clipping`.
        takes_nonfinite : bool
            Whether parameters are updated too where the loss is not finite; by default nothing
            changes then.
        sample_weight : array_like, shape (N,), optional
            As for ``loss``; with rows the minibatch's are ``sample_weight[rows]``.

        Returns
        -------
        loss : scalar of the network's dtype, or None
            None if nothing was done, since something asks for the ordinary way: ``loss`` is
            overridden, or the rule's state is not there yet.

        Raises
        ------
        TypeError, ValueError
            As ``loss``.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> net = FullyConnectedNet([4], input_dim=3, num_classes=2)
        >>> configs = {name: {"learning_rate": 0.1} for name in net.params}
        >>> before = net.params["b2"].copy()
        >>> loss = net.train_step(np.ones((2, 3), np.float32), np.array([0, 0]), "sgd", configs)
        >>> bool(net.params["b2"][0] > before[0])
        True
        """
        if not _core.set_mode(self, None):
            check_attributes(self)
        reg = self._own_reg()
        if not self._has_own_loss() or not isinstance(reg, self.dtype):
            return None
        if type(update_rule) is not str or update_rule not in RULES:
            check_word("update_rule", update_rule, list(RULES))
        if not hasattr(optim_configs, "get"):
            raise TypeError(f"optim_configs is {shown(optim_configs)}, expected a dict of configs")
        X = to_examples("X", X)
        if rows is not None:
            y = _rows_of("y", y, rows, 1 if self.loss_name == "softmax" else 2)
            if sample_weight is not None:
                sample_weight = _rows_of("sample_weight", sample_weight, rows)
        if rows is None and normalize is not None:
            rows = np.arange(len(y))
        if rows is not None and not isinstance(X, np.ndarray):
            X, rows = read_rows(cast("Examples", X), rows, self.dtype, normalize), None
        if rows is None:
            X, normalize = self._cast("X", X), None
        clip_norm = 0 if clip_norm is None else check_clip_norm(clip_norm)
        mean, std = normalize or (None, None)
        with lock_of(self):
            self._set_mode("train")
            return self._network().step(
                X,
                y,
                self,
                update_rule,
                optim_configs,
                reg,
                clip_norm,
                rows,
                mean,
                std,
                takes_nonfinite,
                sample_weight,
            )

    __fastfc_train_step__ = train_step  # a subclass may well have a train_step of its own

    def __fastfc_train_steps__(
        self,
        X: AnyArray | Examples,
        y: AnyArray,
        update_rule: str,
        optim_configs: MutableMapping[str, OptimConfig],
        batch_size: int,
        steps: int,
        seconds: float,
        losses: list[Any],
        rates: tuple[dict[str, float], list[float]] | None = None,
        normalize: Normalization | None = None,
        clip_norm: float | None = None,
        takes_nonfinite: bool = False,
        sample_weight: AnyArray | None = None,
    ) -> NDArray[np.float64] | None:
        """Do several training steps in one call, each as ``train_step`` would.

        Parameters
        ----------
        X, y, update_rule, optim_configs, normalize, clip_norm, takes_nonfinite, sample_weight
            As for ``train_step``; targets are float32, float64 or uint8, weights float64.
        batch_size : int
            Each step is one on so many rows of X and y, drawn from ``np.random``.
        steps : int
            How many, at most.
        seconds : float
            No step but the first begins after so much time.
        losses : list
            Gets the loss of each step that was taken.
        rates : (dict of float, list of float), optional
            Of each parameter the learning rate, and of each step its factor.

        Returns
        -------
        ndarray or None
            The seconds after which each step was done: as many as were taken.  Fewer than asked
            for, or none, if a step asks for the ordinary way: its loss is not finite, its labels
            are none, or it has a warning to give.  None if nothing was done, as by ``train_step``,
            or if something would notice that it is not called for each step.
        """
        X = to_examples("X", X)
        if not isinstance(X, np.ndarray) or not self._is_plain():
            return None
        mean, std = normalize or (None, None)
        base, factors = rates or (None, None)
        clip_norm = 0 if clip_norm is None else check_clip_norm(clip_norm)
        with lock_of(self):
            self._set_mode("train")
            return self._network().steps(
                cast("AnyArray", X),
                y,
                self,
                update_rule,
                optim_configs,
                self._own_reg(),
                clip_norm,
                batch_size,
                steps,
                seconds,
                losses,
                base,
                factors,
                mean,
                std,
                takes_nonfinite,
                sample_weight,
            )

    def __fastfc_train_epoch__(
        self,
        X: AnyArray,
        y: AnyArray,
        update_rule: str,
        optim_configs: MutableMapping[str, OptimConfig],
        order: Labels,
        batch_size: int,
        losses: list[Any],
        *,
        sample_weight: AnyArray | None = None,
        alpha: float | None = None,
        epsilons: Sequence[float] | None = None,
        rates: tuple[dict[str, float], list[float]] | None = None,
        clip_norm: float | None = None,
        takes_nonfinite: bool = False,
    ) -> NDArray[np.float64] | None:
        """Do the training steps of epochs in one call, each as ``train_step`` would.

        Signals are seen all the same: between parts of it, each of some 50 ms.

        Parameters
        ----------
        X, y, update_rule, optim_configs, clip_norm, takes_nonfinite, sample_weight
            As for ``train_step``.
        order : array of int, shape (n,) or (epochs, n)
            The first step is on the first batch_size of these rows of X, y and sample_weight, the
            next on those after them, the last of an epoch on what is left.
        batch_size : int
        losses : list
            Gets the loss of each step that was taken.
        alpha : float, optional
            The strength of regularisation of a step is alpha divided by the sum of its examples'
            weights, their number if there are none, as scikit-learn's MLPs have it.  By default
            it is ``reg``.
        epsilons : sequence of float, optional
            Of adam's and adamw's, for each step.
        rates : (dict of float, sequence of float), optional
            Of each parameter the learning rate, and of each step its factor.

        Returns
        -------
        ndarray or None
            As ``__fastfc_train_steps__``.

        Raises
        ------
        ValueError
            The shape of order, or of what has a number for each step, does not fit.
        IndexError
            A row is out of range.
        """
        X = to_examples("X", X)
        if not isinstance(X, np.ndarray) or not self._is_plain():
            return None
        begun, order = time.perf_counter(), np.asarray(order)
        starts = _starts(order, batch_size)
        order = order.ravel() if order.ndim == 2 else order
        steps = len(starts) - 1
        base, factors = rates or (None, None)
        y = np.asarray(y)
        if self.loss_name != "softmax" and y.dtype not in (np.float32, np.float64, np.uint8):
            y = self._cast("y", y)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(sample_weight, np.float64)
        clip_norm = 0 if clip_norm is None else check_clip_norm(clip_norm)
        spent: list[float] = []
        with lock_of(self):
            self._set_mode("train")
            while (first := len(spent)) < steps:
                part = slice(first, min(first + EPOCH_STEPS, steps))
                start, stop = starts[first], starts[part.stop]
                since = time.perf_counter() - begun
                taken = self._network().steps(
                    X,
                    y,
                    self,
                    update_rule,
                    optim_configs,
                    self._own_reg(),
                    clip_norm,
                    min(batch_size, len(order)),
                    part.stop - first,
                    EPOCH_SECONDS,
                    losses,
                    base,
                    None if factors is None else factors[part],
                    takes_nonfinite=takes_nonfinite,
                    sample_weight=sample_weight,
                    order=order[start:stop],
                    starts=starts[first : part.stop + 1] - start,
                    alpha=alpha,
                    epsilons=None if epsilons is None else epsilons[part],
                )
                if taken is None and not spent:
                    return None
                if taken is None or not len(taken):
                    break
                spent.extend(taken + since)
        return np.array(spent)

    def _is_plain(self) -> bool:
        """Return whether a training step runs nothing of a subclass's or an instance's own."""
        own, mine = type(self), self.__dict__
        return (
            self._has_own_loss()
            and own.__fastfc_train_step__ is _Fused.__fastfc_train_step__
            and "__fastfc_train_step__" not in mine
            and own.__getattribute__ is object.__getattribute__
            and mine.keys() >= _READ
            and all(_READ.isdisjoint(vars(base)) for base in own.__mro__)
            and type(self.reg) in (float, int, self.dtype)
        )


class FullyConnectedNet(_Fused, fully_connected.FullyConnectedNet):
    """{affine - [normalisation] - activation - [dropout]} x (L - 1) - affine - loss.

    Parameters
    ----------
    hidden_dims : sequence of int
        Sizes of the L - 1 hidden layers; may be empty.
    input_dim : int
        Numbers per example.
    num_classes : int
        Classes, or scores of another loss than softmax.
    dropout : float, optional
        Probability of *keeping* a unit, in (0, 1); 0 and 1 both mean no dropout.  In the
        convention ``'drop'`` that of *dropping* one, in [0, 1); 0 means no dropout.
    use_batchnorm : bool, optional
        Whether hidden layers are batch-normalised; or, as in CS231n, a value of ``normalization``.
    reg : float
        Strength of the L2 regularisation, 0.5 * reg * (sum of the squared weights).
    weight_scale : float or {'he', 'glorot', 'sklearn'}
        Standard deviation of the initial weights, drawn from ``np.random`` in order; biases and
        betas start at 0, gammas at 1.  ``'he'`` is sqrt(2 / inputs) of each layer, which keeps the
        scale of activations through ReLUs (He et al. 2015), ``'glorot'`` sqrt(2 / (inputs +
        outputs)) (Glorot & Bengio 2010).  ``'sklearn'`` draws each layer's weights and then its
        biases uniformly up to sqrt(6 / (inputs + outputs)), or sqrt(2 / (inputs + outputs)) for
        the activation ``'logistic'``, as scikit-learn's MLPs begin.  The default is the courses',
        1e-2: without normalisation a network of several layers hardly trains from there.
    dtype : float32 or float64
        In which the network keeps its parameters, computes, and returns gradients.
    seed : int, optional
        Reseeds ``np.random`` at every dropout, so that a gradient check sees the same masks; with
        ``rng='philox'`` the key of every mask.
    dropout_keep_ratio : float, optional
        CS231n's name for ``dropout``; one of them may be given.
    normalization : {None, "batchnorm", "layernorm"}
        CS231n's name for ``use_batchnorm``, of which one may be given: whether hidden layers are
        normalised, over the batch or over their own features.
    dropout_convention : {'keep', 'drop'}
        What ``dropout`` and ``dropout_param['p']`` are the probability of.
    label_smoothing : float, keyword only
        Share of each label's weight that the loss spreads evenly over all classes, default 0.
    rng : {'numpy', 'philox'}, keyword only
        Where dropout's masks come from: NumPy's own global stream, or a counter-based generator
        whose key is ``seed``, or else one draw of ``np.random`` a layer and step (see
        `fastfc.layers.dropout_forward`).
    activation : str, keyword only
        Of the hidden layers: 'relu', by default, 'identity', 'logistic', 'tanh', 'leaky_relu',
        whose slope for negative numbers is 0.01, 'silu', or 'gelu', the exact one; see
        :mod:`fastfc.layers`, where logistic is the sigmoid.
    loss : str, keyword only
        Of :mod:`fastfc.losses`: ``'softmax'``, of labels; or of a target for each score
        ``'logistic'``, ``'squared_error'``, ``'absolute_error'``, ``'huber'``, ``'quantile'`` or
        ``'poisson'``.
    loss_param : float, keyword only, optional
        Huber's ``delta``, default 1, or the quantile's ``level``, default 0.5.

    Attributes
    ----------
    params : dict of ndarray
        ``W1, b1, ..., WL, bL`` and with normalisation ``gamma1, beta1, ...``.  They may be
        replaced, or edited in place, between calls.
    reg, label_smoothing : float
        As above; may be changed.
    loss_name : str
        ``loss`` above, which is a method's name too.
    loss_param : float or None
    num_layers : int
        L.
    dropout_param : dict
        What the dropout layers share; empty without dropout.
    bn_params : list of dict
        One per hidden layer, what its normalisation is called with: batch normalisation keeps its
        mode and running statistics there.  Empty without normalisation.
    normalization : None, "batchnorm" or "layernorm"
    activation : str
        As above; may be changed.
    use_batchnorm, use_dropout : bool
    dtype : type
        ``np.float32`` or ``np.float64``.
    preprocessing : dict or None
        What was made of raw data before the network saw them, see :mod:`fastfc.preprocessing`;
        files and checkpoints keep it.  No method applies it.

    Raises
    ------
    TypeError
        A size or seed is not an integer, dtype is another one, or an argument is given under both
        names.
    ValueError
        A size is below 1, reg or weight_scale is no finite number, dropout or label_smoothing is
        outside [0, 1], or dropout 1 in the convention ``'drop'``, the convention, the activation,
        the loss, the normalisation or rng is another one, the loss has no such parameter or no
        labels to smooth, or ``dropout_keep_ratio`` is given in the convention ``'drop'``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> net = FullyConnectedNet([20, 30], input_dim=15, dropout=0.5, use_batchnorm=True)
    >>> X, y = np.ones((4, 15)), np.array([0, 1, 2, 3])
    >>> loss, grads = net.loss(X, y)
    >>> grads["W1"].shape, grads["W1"].dtype
    ((15, 20), dtype('float32'))
    >>> net.loss(X).shape
    (4, 10)
    >>> FullyConnectedNet([20], normalization="layernorm", dropout_keep_ratio=0.9).bn_params
    [{}]
    """


class TwoLayerNet(_Fused, fully_connected.TwoLayerNet):
    """affine - relu - [dropout] - affine - softmax in float64.

    Parameters
    ----------
    input_dim : int
        Numbers per example.
    hidden_dims : int
        Size of the hidden layer; also accepted under the name ``hidden_dim``.
    num_classes : int
        Classes.
    dropout, weight_scale, reg
        As for ``FullyConnectedNet``, of which this is the case L = 2; so are its attributes.
    hidden_dim : int, optional
        Goes before ``hidden_dims``.
    dropout_convention : {'keep', 'drop'}
        As for ``FullyConnectedNet``.
    rng : {'numpy', 'philox'}, keyword only
        As for ``FullyConnectedNet``.

    Raises
    ------
    TypeError, ValueError
        As ``FullyConnectedNet``.

    Examples
    --------
    >>> from fastfc.fc_net import TwoLayerNet
    >>> net = TwoLayerNet(input_dim=15, hidden_dim=20)
    >>> {name: value.shape for name, value in net.params.items()}
    {'W1': (15, 20), 'b1': (20,), 'W2': (20, 10), 'b2': (10,)}
    """
