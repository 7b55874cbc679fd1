"""Fully connected networks: names, initialisation, modes and bookkeeping."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast, overload

import numpy as np

from ..arguments import check_features, check_number, check_word, shown
from ..arrays import quiet, to_array
from ..locks import lock_of
from .arguments import (
    check_activation,
    check_attributes,
    check_dropout,
    check_dtype,
    check_fraction,
    check_normalization,
    check_params,
    check_seed,
    check_size,
    choose_name,
    list_bn_params,
)
from .explained import explained_share, weighted_share
from .hidden_layer import hidden_backward, hidden_forward
from .initial_weights import check_weight_scale, draw_layer
from .losses import LOSSES, check_loss, loss_arguments
from .model import Model
from .watched_layers import WatchedLayers

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import DTypeLike
    from typing_extensions import Self

    from .._types import AnyArray, Array, ArrayLike, NetworkLayers, Params, Scalar
    from .losses import Loss


class FullyConnectedNet(Model):
    """{affine - [normalisation] - activation - [dropout]} x (L - 1) - affine - loss.

    See :class:`fastfc.fc_net.FullyConnectedNet` for parameters and attributes.  A subclass has
    ``_layers``, a module of layers single and joined, and ``_sum_of_squares(W)``, in its dtype.
    """

    _kind = "FullyConnectedNet"  # in files
    _loads: tuple[str, ...] = ("FullyConnectedNet", "TwoLayerNet")

    _layers: NetworkLayers

    def __init__(
        self,
        hidden_dims: Iterable[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float | None = None,
        use_batchnorm: bool | str | None = None,
        reg: float = 0.0,
        weight_scale: float | str = 1e-2,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
        *,
        dropout_keep_ratio: float | None = None,
        normalization: str | bool | None = None,
        dropout_convention: str = "keep",
        label_smoothing: float = 0.0,
        rng: str = "numpy",
        activation: str = "relu",
        loss: str = "softmax",
        loss_param: float | None = None,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name != "self"}
        if not np.iterable(hidden_dims) or isinstance(hidden_dims, str):
            raise TypeError(f"hidden_dims is {shown(hidden_dims)}, expected a list of layer sizes")
        dims = [
            check_size("input_dim", input_dim),
            *(check_size("hidden_dims", size) for size in hidden_dims),
            check_size("num_classes", num_classes),
        ]
        probability: Any  # a number, once it is checked
        name, probability = choose_name(
            "dropout", dropout, "dropout_keep_ratio", dropout_keep_ratio, 0
        )
        check_dropout(name, probability, dropout_convention)
        self.normalization = check_normalization(
            *choose_name("use_batchnorm", use_batchnorm, "normalization", normalization, None)
        )
        self.activation = check_activation(activation)
        check_word("rng", rng, ("numpy", "philox"))
        check_number("reg", reg, "a number", lambda number: number == number)
        scale = check_weight_scale(weight_scale)
        kind = check_dtype(dtype)

        self._arguments = {**arguments, "hidden_dims": dims[1:-1]}  # for files
        self.use_dropout = 0 < probability < 1
        self.reg = reg
        self.label_smoothing = check_fraction("label_smoothing", label_smoothing)
        self.loss_name, self.loss_param = check_loss(loss, loss_param, self.label_smoothing)
        self.num_layers = len(dims) - 1
        self.dtype = kind

        self.params = {}
        for i in range(1, self.num_layers + 1):
            W, b = draw_layer(scale, (dims[i - 1], dims[i]), self.dtype, activation)
            self.params[f"W{i}"], self.params[f"b{i}"] = W, b
        if self.normalization:
            for i in range(1, self.num_layers):
                self.params[f"gamma{i}"] = np.ones(dims[i], self.dtype)
                self.params[f"beta{i}"] = np.zeros(dims[i], self.dtype)

        # One dictionary serves all dropout layers; each normalisation has its own.
        self.dropout_param = {}
        if self.use_dropout:
            self.dropout_param = {"mode": "train", "p": probability}
            if dropout_convention == "drop":
                self.dropout_param["convention"] = "drop"
            if rng != "numpy":
                self.dropout_param["rng"] = rng
            if seed is not None:
                check_seed("seed", seed, rng)
                self.dropout_param["seed"] = seed
        self.bn_params = []
        if self.normalization:
            self.bn_params = [{} for _ in range(1, self.num_layers)]
        self._set_mode("train")

    @property
    def use_batchnorm(self) -> bool:
        """Whether hidden layers are batch-normalised."""
        return self.normalization == "batchnorm"

    _constructor = __init__  # also of networks from files, whose class may have another

    @overload
    def loss(self, X: ArrayLike, y: None = None, sample_weight: None = None) -> Array: ...
    @overload
    def loss(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[Scalar, Params]: ...
    def loss(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Array | tuple[Scalar, Params]:
        """Scores of X, or with labels the loss and its gradients.

        Without ``y`` the pass is a test: batch normalisation uses its running statistics, and
        nothing is dropped.  With ``y`` it is a training pass, which updates them.

        Parameters
        ----------
        X : array_like, shape (N, d_1, ..., d_k), real
            Inputs, d_1 * ... * d_k = input_dim; cast to the network's dtype.
        y : array_like, optional
            Labels in [0, num_classes), integers of shape (N,); for any loss but softmax a target
            for each score, real numbers of shape (N, num_classes), or (N,) where that is 1.
        sample_weight : array_like, shape (N,), optional
            Weights of the examples, by default 1: the loss of the data is their weighted mean.
            Batch normalisation's statistics are not weighted.

        Returns
        -------
        scores : ndarray, shape (N, num_classes)
            If ``y`` is None.
        loss : scalar of the network's dtype
            Otherwise: the loss of the data + 0.5 * reg * (sum of the squared weights).
        grads : dict
            And the gradient of every parameter, under its name and in the network's dtype.

        Raises
        ------
        TypeError
            X, y or sample_weight is not real or sparse, labels are not integer, or params is no
            dict.
        ValueError
            A shape does not fit, an array is masked, a label or target is out of range, a weight is
            negative or their sum 0, reg is no number, or a parameter is missing; sample_weight is
            given without y.
        """
        with lock_of(self):
            self._set_mode("test" if y is None else "train")
            if y is None:
                if sample_weight is not None:
                    raise ValueError("sample_weight is given without y, expected both or neither")
                return self._test_scores(X)

            weights = () if sample_weight is None else (sample_weight,)
            loss, grads = self._data_loss(X, y, *weights)
            if type(self.reg) is not float or self.reg != 0:
                loss = self._regularise(loss, grads)
            return loss, grads

    def first_nonfinite(self, X: ArrayLike) -> str | None:
        """Say which is the first in a training pass over X that is not finite.

        The pass leaves no trace: neither in the running statistics nor in ``np.random``.  Dropout
        draws another mask than any step before.

        Parameters
        ----------
        X : array_like, shape (N, d_1, ..., d_k), real
            Inputs.

        Returns
        -------
        str or None
            ``'X'``, the name of a parameter, or layer and operation, as ``'layer 2: affine'``;
            None if all scores are finite.

        Raises
        ------
        TypeError, ValueError
            As ``loss``.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> net = FullyConnectedNet([4, 4], input_dim=3)
        >>> net.params["W1"][:], net.params["W2"][:] = 1e30, 1e30
        >>> net.first_nonfinite(np.ones((2, 3)))
        'layer 2: affine'
        """
        check_attributes(self)
        twin = self._twin()
        twin._set_mode("train")
        watched = WatchedLayers(self._layers)
        twin._layers = cast("NetworkLayers", watched)
        X, params = self._examples(X), self._own_params()
        for name, value in {"X": X, **params}.items():
            if not np.isfinite(value).all():
                return name
        state = np.random.get_state(legacy=False)
        try:
            with np.errstate(all="ignore"):
                twin._forward(X, params)
        finally:
            np.random.set_state(state)
        return watched.first

    def _twin(self) -> Self:
        """Return a network of the same parameters, whose passes leave no trace in this one."""
        twin = copy.copy(self)
        twin.dropout_param = dict(self.dropout_param)
        twin.bn_params = [dict(bn_param) for bn_param in self.bn_params]
        return twin

    def _set_mode(self, mode: str) -> None:
        """Tell the dropout and batch normalisation layers which pass this is."""
        check_attributes(self)
        if self.use_dropout:
            self.dropout_param["mode"] = mode
        if self.normalization == "batchnorm":
            for bn_param in list_bn_params(self.bn_params):
                bn_param["mode"] = mode

    def _test_scores(self, X: ArrayLike) -> Array:
        """Return the scores of a pass in test mode."""
        return self._forward(self._examples(X), self._own_params())[0]

    def _data_loss(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[Scalar, Params]:
        """Return the loss of the data and its gradients, without regularisation."""
        arguments = loss_arguments(self)
        scores, caches = self._forward(self._examples(X), self._own_params())
        if sample_weight is not None:
            arguments["sample_weight"] = sample_weight
        loss_of = getattr(self._layers, f"{self.loss_name}_loss")
        loss, dscores = loss_of(scores, y, **arguments)
        return loss, self._backward(dscores, caches)

    def _sum_of_squares(self, W: Array) -> Scalar:
        """Return the sum of the squares of W, in its dtype."""
        raise NotImplementedError

    @quiet
    def _regularise(self, loss: Any, grads: Params) -> Any:
        """Return the regularised loss; add the regularisation's gradients to grads."""
        reg = self._own_reg()
        if reg != 0:
            for i in range(1, self.num_layers + 1):
                W = self._cast(f"W{i}", self.params[f"W{i}"])
                loss += 0.5 * reg * self._sum_of_squares(W)
                grads[f"W{i}"] += reg * W
        return loss

    def _own_reg(self) -> Any:
        """Return reg in the network's dtype; users may set it."""
        reg = self.reg
        if type(reg) is float and reg == 0:  # at no cost
            return self.dtype(0)
        one = isinstance(reg, np.ndarray) and reg.size == 1 and reg.dtype.kind in "fiub"
        if not one and not isinstance(reg, (float, np.floating)):
            check_number("reg", reg, "a number", lambda number: True)
        with np.errstate(all="ignore"):
            return self.dtype(reg)

    def _has_own_loss(self) -> bool:
        """Return whether ``loss`` is the one above, not a subclass's or one that was put here."""
        return "loss" not in self.__dict__ and type(self).loss is FullyConnectedNet.loss

    def __fastfc_lock__(self) -> Any:
        """Return the lock under which a thread reads or changes the network."""
        return lock_of(self)

    def __fastfc_sizes__(self) -> tuple[int, int] | None:
        """Return numbers per example and classes, or None where somebody else's loss decides."""
        first, last = self._shape_of("W1"), self._shape_of(f"W{self.num_layers}")
        if not self._has_own_loss() or len(first) != 2 or len(last) != 2:
            return None
        return first[0], last[1]

    def __fastfc_loss__(self) -> Loss | None:
        """Return the loss that the network has, or None where somebody else's decides."""
        return LOSSES.get(self.loss_name) if self._has_own_loss() else None

    def __fastfc_score__(self, scores: Array, y: Array, weights: AnyArray | None) -> float:
        """Return how good scores (N, M) are for targets, 1 at best, where the loss is of targets.

        The share of examples whose scores are all on their targets' side of 0, if it is logistic;
        else `explained_share`.
        """
        scores = np.asarray(scores, np.float64)
        y = np.asarray(y, np.float64).reshape(scores.shape)
        if self.loss_name == "logistic":
            right = ((scores > 0) == (y > 0.5)).all(axis=1)
            return weighted_share(right, weights)
        arguments = {**loss_arguments(self), "sample_weight": weights}
        loss_of = getattr(self._layers, f"{self.loss_name}_loss")

        def loss(x: Array) -> float:
            return float(loss_of(x, y, **arguments)[0])

        return explained_share(self.loss_name, self.loss_param, loss, scores, y, weights)

    def _shape_of(self, name: str) -> tuple[int, ...]:
        """Return a parameter's shape, () where there is none: others say so."""
        try:
            return np.shape(cast("AnyArray", self.params.get(name)))
        except (AttributeError, ValueError):  # params is no dict, or this no array
            return ()

    def _examples(self, X: ArrayLike) -> Array:
        """Return X in the network's dtype, if it holds examples of the network's size."""
        x = self._cast("X", X)
        self._check_features(x)
        return x

    def _check_features(self, x: AnyArray) -> None:
        """Raise ValueError unless x holds examples of the network's size."""
        W = self._shape_of("W1")
        if len(W) == 2:
            check_features("X", x.shape, W[0])

    def _own_params(self) -> Params:
        """Return the parameters in the network's dtype, whatever users put there."""
        if not isinstance(self.params, Mapping):
            raise TypeError(f"params is {shown(self.params)}, expected a dict of arrays")
        return {name: self._cast(name, value) for name, value in [*self.params.items()]}

    def _cast(self, name: str, value: Any) -> Array:
        """Return an array in the network's dtype: the value itself where it is one."""
        array = to_array(name, value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers")
        if array.dtype == self.dtype:
            return array
        if name == "X":  # before the copy: a view of another shape may be larger than all memory
            self._check_features(array)
        return _convert(array, self.dtype)

    def _forward(self, x: Array, params: Params) -> tuple[Array, list[Any]]:
        """Return the scores and each layer's caches."""
        last, bn_params = self.num_layers, list_bn_params(self.bn_params)
        check_params(params, last, self.normalization)
        last = int(last)
        if self.normalization and len(bn_params) < last - 1:
            raise ValueError(
                f"bn_params has {len(bn_params)} entries, expected {last - 1}, one for each hidden "
                "layer"
            )
        layers = self._layers
        caches = []
        for i in range(1, last):
            arguments: list[Any] = [params[f"W{i}"], params[f"b{i}"]]
            if self.normalization:
                arguments += [params[f"gamma{i}"], params[f"beta{i}"], bn_params[i - 1]]
            kinds = self.normalization, self.activation
            x, cache = hidden_forward(layers, *kinds, x, *arguments)
            dropout_cache = None
            if self.use_dropout:
                x, dropout_cache = layers.dropout_forward(x, self.dropout_param)
            caches.append((cache, dropout_cache))
        scores, cache = layers.affine_forward(x, params[f"W{last}"], params[f"b{last}"])
        return scores, [*caches, cache]

    def _backward(self, dscores: Array, caches: list[Any]) -> Params:
        """Return the gradients, in the order of params, from the scores' gradient."""
        layers = self._layers
        grads = {}
        last = len(caches)
        dout, grads[f"W{last}"], grads[f"b{last}"] = layers.affine_backward(dscores, caches[-1])
        for i in range(last - 1, 0, -1):
            cache, dropout_cache = caches[i - 1]
            if self.use_dropout:
                dout = layers.dropout_backward(dout, dropout_cache)
            kinds = self.normalization, self.activation
            gradients = hidden_backward(layers, *kinds, dout, cache)
            dout, grads[f"W{i}"], grads[f"b{i}"], *rest = gradients
            if self.normalization:
                grads[f"gamma{i}"], grads[f"beta{i}"] = rest
        return {name: grads[name] for name in self.params if name in grads}


class TwoLayerNet(FullyConnectedNet):
    """affine - relu - [dropout] - affine - softmax in float64.

    See :class:`fastfc.fc_net.TwoLayerNet` for parameters and attributes.
    """

    _kind = "TwoLayerNet"
    _loads = ("TwoLayerNet",)

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dims: int = 100,
        num_classes: int = 10,
        dropout: float = 0,
        weight_scale: float | str = 1e-3,
        reg: float = 0.0,
        *,
        hidden_dim: int | None = None,
        dropout_convention: str = "keep",
        rng: str = "numpy",
    ) -> None:
        super().__init__(
            [hidden_dims if hidden_dim is None else hidden_dim],
            input_dim,
            num_classes,
            dropout=dropout,
            reg=reg,
            weight_scale=weight_scale,
            dtype=np.float64,
            dropout_convention=dropout_convention,
            rng=rng,
        )


@quiet
def _convert(array: AnyArray, dtype: type[np.floating[Any]]) -> Array:
    """Return an array in another dtype."""
    return array.astype(dtype)
