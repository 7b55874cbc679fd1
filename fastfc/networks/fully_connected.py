"""Fully connected networks: names, initialisation, modes and bookkeeping."""

import copy

import numpy as np

from ..arrays import quiet
from .arguments import (
    HIDDEN_LAYERS,
    check_dropout,
    check_fraction,
    check_normalization,
    check_size,
    choose_name,
)
from .model import Model
from .watched_layers import WatchedLayers


class FullyConnectedNet(Model):
    """{affine - [normalisation] - relu - [dropout]} x (L - 1) - affine - softmax.

    See :class:`fastfc.fc_net.FullyConnectedNet` for parameters and attributes.  A subclass has
    ``_layers``, a module of layers single and joined, and ``_sum_of_squares(W)``, in its dtype.
    """

    _kind = "FullyConnectedNet"  # in files
    _loads = ("FullyConnectedNet", "TwoLayerNet")

    def __init__(
        self,
        hidden_dims,
        input_dim=3 * 32 * 32,
        num_classes=10,
        dropout=None,
        use_batchnorm=None,
        reg=0.0,
        weight_scale=1e-2,
        dtype=np.float32,
        seed=None,
        *,
        dropout_keep_ratio=None,
        normalization=None,
        dropout_convention="keep",
        label_smoothing=0.0,
        rng="numpy",
    ):
        arguments = {name: value for name, value in locals().items() if name != "self"}
        if not np.iterable(hidden_dims) or isinstance(hidden_dims, str):
            raise TypeError(f"hidden_dims is {hidden_dims!r}, expected a list of layer sizes")
        dims = [
            check_size("input_dim", input_dim),
            *(check_size("hidden_dims", size) for size in hidden_dims),
            check_size("num_classes", num_classes),
        ]
        name, probability = choose_name(
            "dropout", dropout, "dropout_keep_ratio", dropout_keep_ratio, 0
        )
        check_dropout(name, probability, dropout_convention)
        self.normalization = check_normalization(
            *choose_name("use_batchnorm", use_batchnorm, "normalization", normalization, None)
        )
        if rng not in ("numpy", "philox"):
            raise ValueError(f"rng is {rng!r}, expected 'numpy' or 'philox'")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype is {np.dtype(dtype)}, expected float32 or float64")

        self._arguments = {**arguments, "hidden_dims": dims[1:-1]}  # for files
        self.use_dropout = 0 < probability < 1
        self.reg = reg
        self.label_smoothing = check_fraction("label_smoothing", label_smoothing)
        self.num_layers = len(dims) - 1
        self.dtype = np.dtype(dtype).type

        self.params = {}
        for i in range(1, self.num_layers + 1):
            shape = dims[i - 1], dims[i]
            if weight_scale is None:  # from a file: nothing is drawn
                self.params[f"W{i}"] = np.zeros(shape, self.dtype)
            else:
                self.params[f"W{i}"] = _scale(weight_scale, np.random.randn(*shape), self.dtype)
            self.params[f"b{i}"] = np.zeros(dims[i], self.dtype)
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
                self.dropout_param["seed"] = seed
        self.bn_params = []
        if self.normalization:
            self.bn_params = [{} for _ in range(1, self.num_layers)]
        self._set_mode("train")

    @property
    def use_batchnorm(self):
        """Whether hidden layers are batch-normalised."""
        return self.normalization == "batchnorm"

    _constructor = __init__  # also of networks from files, whose class may have another

    def loss(self, X, y=None):
        """Scores of X, or with labels the loss and its gradients.

        Without ``y`` the pass is a test: batch normalisation uses its running statistics, and
        nothing is dropped.  With ``y`` it is a training pass, which updates them.

        Parameters
        ----------
        X : array_like, shape (N, d_1, ..., d_k), real
            Inputs, d_1 * ... * d_k = input_dim; cast to the network's dtype.
        y : array_like, shape (N,), integer, optional
            Labels in [0, num_classes).

        Returns
        -------
        scores : ndarray, shape (N, num_classes)
            If ``y`` is None.
        loss : scalar of the network's dtype
            Otherwise: softmax loss of smoothed labels + 0.5 * reg * (sum of the squared weights).
        grads : dict
            And the gradient of every parameter, under its name and in the network's dtype.

        Raises
        ------
        TypeError
            X is not real, or y is not integer.
        ValueError
            A shape does not fit, or a label is out of range.
        """
        self._set_mode("test" if y is None else "train")
        if y is None:
            return self._test_scores(X)

        loss, grads = self._data_loss(X, y)
        if self.reg != 0:
            loss = self._regularise(loss, grads)
        return loss, grads

    def first_nonfinite(self, X):
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
        twin = copy.copy(self)
        twin.dropout_param = dict(self.dropout_param)
        twin.bn_params = [dict(bn_param) for bn_param in self.bn_params]
        twin._set_mode("train")
        twin._layers = watched = WatchedLayers(self._layers)
        X, params = self._cast("X", X), self._own_params()
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

    def _set_mode(self, mode):
        """Tell the dropout and batch normalisation layers which pass this is."""
        if self.use_dropout:
            self.dropout_param["mode"] = mode
        if self.normalization == "batchnorm":
            for bn_param in self.bn_params:
                bn_param["mode"] = mode

    def _test_scores(self, X):
        """Return the scores of a pass in test mode."""
        return self._forward(self._cast("X", X), self._own_params())[0]

    def _data_loss(self, X, y):
        """Return the softmax loss and its gradients, without regularisation."""
        scores, caches = self._forward(self._cast("X", X), self._own_params())
        loss, dscores = self._layers.softmax_loss(scores, y, self.label_smoothing)
        return loss, self._backward(dscores, caches)

    @quiet
    def _regularise(self, loss, grads):
        """Return the regularised loss; add the regularisation's gradients to grads."""
        reg = self._own_reg()
        if reg != 0:
            for i in range(1, self.num_layers + 1):
                W = self._cast(f"W{i}", self.params[f"W{i}"])
                loss += 0.5 * reg * self._sum_of_squares(W)
                grads[f"W{i}"] += reg * W
        return loss

    @quiet
    def _own_reg(self):
        """Return reg in the network's dtype."""
        return self.dtype(self.reg)

    def _own_params(self):
        """Return the parameters in the network's dtype, whatever users put there."""
        return {name: self._cast(name, value) for name, value in self.params.items()}

    def _cast(self, name, value):
        """Return an array in the network's dtype: the value itself where it is one."""
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers")
        return array if array.dtype == self.dtype else _convert(array, self.dtype)

    def _forward(self, x, params):
        """Return the scores and each layer's caches."""
        layers = self._layers
        hidden_forward = getattr(layers, f"{HIDDEN_LAYERS[self.normalization]}_forward")
        caches = []
        for i in range(1, self.num_layers):
            arguments = [params[f"W{i}"], params[f"b{i}"]]
            if self.normalization:
                arguments += [params[f"gamma{i}"], params[f"beta{i}"], self.bn_params[i - 1]]
            x, cache = hidden_forward(x, *arguments)
            dropout_cache = None
            if self.use_dropout:
                x, dropout_cache = layers.dropout_forward(x, self.dropout_param)
            caches.append((cache, dropout_cache))
        last = self.num_layers
        scores, cache = layers.affine_forward(x, params[f"W{last}"], params[f"b{last}"])
        return scores, [*caches, cache]

    def _backward(self, dscores, caches):
        """Return the gradients, in the order of params, from the scores' gradient."""
        layers = self._layers
        hidden_backward = getattr(layers, f"{HIDDEN_LAYERS[self.normalization]}_backward")
        grads = {}
        last = self.num_layers
        dout, grads[f"W{last}"], grads[f"b{last}"] = layers.affine_backward(dscores, caches[-1])
        for i in range(last - 1, 0, -1):
            cache, dropout_cache = caches[i - 1]
            if self.use_dropout:
                dout = layers.dropout_backward(dout, dropout_cache)
            dout, grads[f"W{i}"], grads[f"b{i}"], *rest = hidden_backward(dout, cache)
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
        input_dim=3 * 32 * 32,
        hidden_dims=100,
        num_classes=10,
        dropout=0,
        weight_scale=1e-3,
        reg=0.0,
        *,
        hidden_dim=None,
        dropout_convention="keep",
        rng="numpy",
    ):
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
def _scale(weight_scale, draws, dtype):
    """Return initial weights."""
    return (weight_scale * draws).astype(dtype)


@quiet
def _convert(array, dtype):
    """Return an array in another dtype."""
    return array.astype(dtype)
