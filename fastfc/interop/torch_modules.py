"""Networks as modules of PyTorch, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arguments import check_number, count, shown
from ..locks import lock_of
from ..networks.fully_connected import FullyConnectedNet as AnyNet
from ..networks.predictor import freeze, read_layers
from ..optional import missing_package
from .steps import Activation, Affine, Dropout, Norm, build_network

try:
    import torch  # pyright: ignore[reportMissingImports]  # an extra
    from torch import nn  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise missing_package("fastfc.interop.torch_modules", "PyTorch", "torch", error) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .._types import Array
    from ..fc_net import FullyConnectedNet
    from ..networks.predictor import Layer
    from .steps import Step

__all__ = ["from_torch", "to_torch"]

# Of fastfc's names; identity is no module.
_ACTIVATIONS = {
    "relu": nn.ReLU,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}
_DTYPES: dict[torch.dtype, type[np.floating[Any]]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}


# --- to PyTorch -------------------------------------------------------------------------------


def to_torch(model: AnyNet, *, batch_size: int | None = None) -> nn.Sequential:
    """Return a network as a module of PyTorch that computes the same function.

    ``nn.Flatten`` and then for each layer ``nn.Linear``, ``nn.BatchNorm1d`` or ``nn.LayerNorm``,
    the activation and ``nn.Dropout``, as the network has them: what the network's ``loss`` gives
    without labels, its scores.  ``preprocessing`` is not in it.  It is in eval mode; train it after
    ``module.train()``.  docs/interop.md says where the two train differently.

    Parameters
    ----------
    model : FullyConnectedNet
        Which stays as it is, and shares no memory with the module.
    batch_size : int, optional
        Of the training so far.  PyTorch's running variances are of unbiased ones, fastfc's of
        biased ones: with it they are multiplied by batch_size / (batch_size - 1), to be what
        PyTorch would have.  Then scores differ by as much; without, they are the same.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    TypeError
        It is no network, or its loss is somebody else's.
    ValueError
        A parameter is missing, its shape does not fit, or batch_size is below 2.

    Examples
    --------
    >>> import torch
    >>> from fastfc import FullyConnectedNet
    >>> from fastfc.interop import to_torch
    >>> net = FullyConnectedNet([4], input_dim=3, num_classes=2, normalization="layernorm")
    >>> module = to_torch(net)
    >>> [type(layer).__name__ for layer in module]
    ['Flatten', 'Linear', 'LayerNorm', 'ReLU', 'Linear']
    >>> x = np.ones((1, 3), np.float32)
    >>> np.allclose(module(torch.from_numpy(x)).detach(), net.loss(x), atol=1e-6)
    True
    """
    if not isinstance(model, AnyNet):
        raise TypeError(f"to_torch: model is {shown(model)}, expected a FullyConnectedNet")
    ratio = _variance_ratio("to_torch", batch_size)
    with lock_of(model):
        frozen = freeze(model, "to_torch")
        momenta = [float(found.get("momentum", 0.9)) for found in frozen.bn_params]
        dropped = _drop_probability(model)
    *hidden, last = read_layers(frozen)
    writer = _Writer(getattr(torch, np.dtype(frozen.dtype).name), ratio)
    for i, layer in enumerate(hidden):
        writer.add_affine(layer)
        writer.add_norm(layer, momenta[i] if momenta else None)
        if layer.activation != "identity":
            writer.add(_ACTIVATIONS[layer.activation]())
        if dropped > 0:
            writer.add(nn.Dropout(dropped))
    writer.add_affine(last)
    return writer.module()


class _Writer:
    """A Sequential that is put together: its modules, and the tensors that they get."""

    def __init__(self, dtype: torch.dtype, ratio: float) -> None:
        # without memory, and so without drawing numbers that nobody uses
        self.settings: dict[str, Any] = {"device": "meta", "dtype": dtype}
        self.ratio = ratio
        self.modules: list[nn.Module] = [nn.Flatten()]
        self.state: dict[str, torch.Tensor] = {}

    def add(self, module: nn.Module, **arrays: Array | int | None) -> None:
        """Add a module, whose tensors are copies of these arrays."""
        for name, array in arrays.items():
            self.state[f"{len(self.modules)}.{name}"] = torch.tensor(array)
        self.modules.append(module)

    def add_affine(self, layer: Layer) -> None:
        linear = nn.Linear(*layer.W.shape, **self.settings)
        self.add(linear, weight=np.ascontiguousarray(layer.W.T), bias=layer.b)

    def add_norm(self, layer: Layer, momentum: float | None) -> None:
        """Add the layer's normalisation, if it has one."""
        if layer.gamma is None:
            return
        size, arrays = len(layer.gamma), {"weight": layer.gamma, "bias": layer.beta}
        if layer.var is None or momentum is None:
            self.add(nn.LayerNorm(size, layer.eps, **self.settings), **arrays)
            return
        norm = nn.BatchNorm1d(size, layer.eps, 1 - momentum, **self.settings)
        var = layer.var * layer.var.dtype.type(self.ratio)
        arrays |= {"running_mean": layer.mean, "running_var": var}
        self.add(norm, **arrays, num_batches_tracked=0)

    def module(self) -> nn.Sequential:
        module = nn.Sequential(*self.modules)
        module.load_state_dict(self.state, assign=True)
        return module.eval()


def _drop_probability(model: AnyNet) -> float:
    """Return the probability of dropping a unit, 0 without dropout."""
    if not model.use_dropout:
        return 0.0
    name, p = "to_torch: dropout_param['p']", model.dropout_param.get("p")
    p = check_number(name, p, "a probability", lambda number: 0 <= number <= 1)
    return p if model.dropout_param.get("convention", "keep") == "drop" else 1 - p


def _variance_ratio(operation: str, batch_size: int | None) -> float:
    """Return unbiased divided by biased variance."""
    if batch_size is None:
        return 1.0
    N = count(f"{operation}: batch_size", batch_size, least=2)
    return float(N / (N - 1))


# --- from PyTorch -----------------------------------------------------------------------------


def from_torch(
    module: nn.Module,
    *,
    loss: str = "softmax",
    loss_param: float | None = None,
    batch_size: int | None = None,
) -> FullyConnectedNet:
    """Return the network that computes what a module of PyTorch does.

    A Sequential, nested ones too, of ``Linear``, ``BatchNorm1d``, ``LayerNorm``, the activations
    ``ReLU``, ``Sigmoid``, ``Tanh``, ``LeakyReLU(0.01)``, ``SiLU`` and ``GELU()``, ``Dropout``,
    ``Flatten`` and ``Identity``.  Where they follow the pattern of fastfc's networks, affine -
    normalisation - activation - dropout with one setting for all hidden layers, it is the same
    network, to be trained on as well.  Else batch normalisations are folded into the weights,
    linear layers without an activation between them are multiplied, and dropout is left out, where
    that makes it one: then the scores are those of eval mode, and a UserWarning says what has been
    folded.

    Parameters
    ----------
    module : torch.nn.Module
        Which stays as it is, and shares no memory with the network.  It may be on any device.
    loss, loss_param
        Of the network: modules do not say what they are trained for.
    batch_size : int, optional
        Of the training so far: divides running variances by what `to_torch` multiplies them by.

    Returns
    -------
    FullyConnectedNet
        In the module's dtype, float32 or float64.  Nothing is drawn from ``np.random``.

    Raises
    ------
    TypeError
        It is no module, or holds numbers of another dtype.
    ValueError
        It is of something that fastfc does not have, or in an order that it does not have: what,
        and where.

    Examples
    --------
    >>> from torch import nn
    >>> from fastfc.interop import from_torch
    >>> module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    >>> from_torch(module)
    <FullyConnectedNet: 3-4-2, batchnorm, float32>
    >>> from_torch(nn.Sequential(nn.Linear(3, 4), nn.Softplus(), nn.Linear(4, 2)))
    Traceback (most recent call last):
    ValueError: from_torch: layer 1 (Softplus): expected Linear, BatchNorm1d, LayerNorm, Dropout,
    Flatten, Identity, ReLU, Sigmoid, Tanh, LeakyReLU, SiLU or GELU, as fastfc has them
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"from_torch: module is {shown(module)}, expected a torch.nn.Module")
    reader = _Reader(_variance_ratio("from_torch", batch_size))
    steps = list(reader.steps(module))
    dtype = _DTYPES[reader.dtype or torch.float32]
    return build_network("from_torch", steps, dtype, loss=loss, loss_param=loss_param)


class _Reader:
    """The steps of a module.

    Parameters
    ----------
    ratio : float
        By which running variances are divided.

    Attributes
    ----------
    dtype : torch.dtype or None
        Of the first numbers that were read.
    """

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.dtype: torch.dtype | None = None

    def steps(self, module: nn.Module, name: str = "") -> Iterator[Step]:
        """Generate the steps of a module, which stands under this name."""
        kind = type(module).__name__
        place = f"layer {name} ({kind})" if name else f"the module ({kind})"
        is_lazy: Any = getattr(module, "has_uninitialized_params", None)
        if is_lazy is not None and is_lazy():
            raise _refuse(place, "it has no numbers yet: let the module compute something once")
        if module._forward_hooks or module._forward_pre_hooks:
            raise _refuse(place, "it has hooks, which change what it computes: remove them")
        if _is_plain(module, nn.Sequential):
            for key, child in module._modules.items():  # repeated ones too
                if child is not None:
                    yield from self.steps(child, f"{name}.{key}" if name else key)
            return
        for cls, read in _READERS.items():
            if _is_plain(module, cls):
                step = read(self, place, module)
                if step is not None:
                    yield step
                return
        for activation, cls in _ACTIVATIONS.items():
            if _is_plain(module, cls):
                _check_setting(place, module)
                yield Activation(place, activation)
                return
        if isinstance(module, (nn.Softmax, nn.LogSoftmax)):
            raise _refuse(
                place, "a network gives scores, and predict_proba their softmax: leave it off"
            )
        *others, last = [cls.__name__ for cls in (*_READERS, *_ACTIVATIONS.values())]
        raise _refuse(place, f"expected {', '.join(others)} or {last}, as fastfc has them")

    def affine(self, place: str, module: nn.Linear) -> Affine:
        W = self.array(place, module.weight).T
        b = np.zeros(W.shape[1]) if module.bias is None else self.array(place, module.bias)
        return Affine(place, W, b)

    def batchnorm(self, place: str, module: nn.BatchNorm1d) -> Norm:
        if module.running_mean is None or module.running_var is None:
            raise _refuse(
                place,
                "it has no running statistics (track_running_stats=False): its scores of an "
                "example depend on the others",
            )
        mean = self.array(place, module.running_mean)
        var = self.array(place, module.running_var) / self.ratio
        momentum = None if module.momentum is None else 1 - module.momentum
        return Norm(place, *self.scales(place, module, len(mean)), module.eps, mean, var, momentum)

    def layernorm(self, place: str, module: nn.LayerNorm) -> Norm:
        if len(module.normalized_shape) != 1:
            raise _refuse(
                place,
                f"its normalized_shape is {tuple(module.normalized_shape)}, expected the features "
                "of an affine layer",
            )
        (size,) = module.normalized_shape
        return Norm(place, *self.scales(place, module, size), module.eps)

    def scales(self, place: str, module: Any, size: int) -> tuple[Array, Array]:
        """Return gamma and beta; without them ones and zeros."""
        gamma, beta = module.weight, module.bias
        return (
            np.ones(size) if gamma is None else self.array(place, gamma),
            np.zeros(size) if beta is None else self.array(place, beta),
        )

    def dropout(self, place: str, module: nn.Dropout) -> Dropout:
        return Dropout(place, float(module.p))

    def flatten(self, place: str, module: nn.Flatten) -> None:
        if (module.start_dim, module.end_dim) != (1, -1):
            raise _refuse(
                place,
                f"it flattens from axis {module.start_dim} to {module.end_dim}, expected from 1 to "
                "-1: each example to a row",
            )

    def identity(self, place: str, module: nn.Identity) -> None:
        pass

    def array(self, place: str, tensor: torch.Tensor) -> Array:
        """Return a tensor's numbers in float64."""
        if tensor.is_meta:
            raise _refuse(place, "it has no numbers: it is on the device meta")
        if tensor.dtype not in _DTYPES or tensor.dtype != (self.dtype or tensor.dtype):
            expected = self.dtype or "torch.float32 or torch.float64"
            raise TypeError(
                f"from_torch: {place}: it has dtype {tensor.dtype}, expected {expected}: convert "
                "the module by .float() or .double()"
            )
        self.dtype = tensor.dtype
        array: Array = tensor.detach().cpu().numpy().astype(np.float64)
        return array


_READERS: dict[type[nn.Module], Callable[[_Reader, str, Any], Step | None]] = {
    nn.Linear: _Reader.affine,
    nn.BatchNorm1d: _Reader.batchnorm,
    nn.LayerNorm: _Reader.layernorm,
    nn.Dropout: _Reader.dropout,
    nn.Flatten: _Reader.flatten,
    nn.Identity: _Reader.identity,
}


def _is_plain(module: nn.Module, cls: type[nn.Module]) -> bool:
    """Return whether a module computes what its class does: a subclass may compute anything."""
    own = type(module).forward is cls.forward and "forward" not in vars(module)
    return isinstance(module, cls) and own


def _check_setting(place: str, module: Any) -> None:
    """Raise ValueError where an activation is another than fastfc's of that name."""
    if isinstance(module, nn.LeakyReLU) and module.negative_slope != 0.01:
        raise _refuse(place, f"its negative_slope is {module.negative_slope}, expected 0.01")
    if isinstance(module, nn.GELU) and module.approximate != "none":
        raise _refuse(place, f"its approximate is {module.approximate!r}, expected 'none'")


def _refuse(place: str, reason: str) -> ValueError:
    return ValueError(f"from_torch: {place}: {reason}")
