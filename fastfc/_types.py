"""The types that the package's signatures share, each said once.

For annotations alone: modules import them where ``TYPE_CHECKING`` says that nothing runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np
from numpy.typing import ArrayLike as ArrayLike
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .solver import Solver

Array = NDArray[np.floating[Any]]  # what the package returns: float32 or float64
Labels = NDArray[np.integer[Any]]
AnyArray = NDArray[Any]  # of whatever dtype it came in
Bytes = NDArray[np.uint8]  # images as files have them
Scalar = np.floating[Any]
Params = dict[str, Array]  # parameters or their gradients, by name
Normalization = tuple[ArrayLike, ArrayLike]  # mean, std
DataSet = dict[str, AnyArray]  # X_train, y_train and so on
StrPath = str | os.PathLike[str]

# Dictionaries that people fill: numbers, texts and arrays under one roof.  Any, since a dictionary
# of str and float is none of str and object.
LayerParam = MutableMapping[str, Any]  # bn_param, into which running statistics are written
ReadParam = Mapping[str, Any]  # ln_param and dropout_param, which are only read
OptimConfig = dict[str, Any]

# What a layer's forward pass keeps for its backward pass.
AffineCache = tuple[ArrayLike, ArrayLike, ArrayLike]  # x, w, b
DropoutCache = tuple[ReadParam, Array | None]  # dropout_param, mask
AffineReluCache = tuple[AffineCache, ArrayLike]


class _NormalizationArrays(TypedDict):
    x_normalized: ArrayLike
    rstd: ArrayLike
    gamma: ArrayLike


class NormalizationCache(_NormalizationArrays, total=False):
    """What batch and layer normalisation keep."""

    beta_shape: tuple[int, ...]  # where beta was broadcast


BatchnormCache = NormalizationCache | None  # None in test mode, which has no backward pass
AffineBatchnormReluCache = tuple[AffineCache, BatchnormCache, ArrayLike]
AffineLayernormReluCache = tuple[AffineCache, NormalizationCache, ArrayLike]

AffineGradients = tuple[Array, Array, Array]  # dx, dw, db
NormalizationGradients = tuple[Array, Array, Array]  # dx, dgamma, dbeta
JoinedGradients = tuple[Array, Array, Array, Array, Array]  # dx, dw, db, dgamma, dbeta


class Layers(Protocol):
    """A module of layers, fast or in plain NumPy."""

    def affine_forward(
        self, x: ArrayLike, w: ArrayLike, b: ArrayLike
    ) -> tuple[Array, AffineCache]: ...

    def affine_backward(self, dout: ArrayLike, cache: AffineCache) -> AffineGradients: ...

    def relu_forward(self, x: ArrayLike) -> tuple[Array, ArrayLike]: ...

    def relu_backward(self, dout: ArrayLike, cache: ArrayLike) -> Array: ...

    def batchnorm_forward(
        self, x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, bn_param: LayerParam
    ) -> tuple[Array, BatchnormCache]: ...

    def batchnorm_backward(
        self, dout: ArrayLike, cache: BatchnormCache
    ) -> NormalizationGradients: ...

    def layernorm_forward(
        self, x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, ln_param: ReadParam
    ) -> tuple[Array, NormalizationCache]: ...

    def layernorm_backward(
        self, dout: ArrayLike, cache: NormalizationCache
    ) -> NormalizationGradients: ...


class NetworkLayers(Layers, Protocol):
    """A module of layers, single and joined, and of losses, of which a network calls its own."""

    def dropout_forward(
        self, x: ArrayLike, dropout_param: ReadParam
    ) -> tuple[Array, DropoutCache]: ...

    def dropout_backward(self, dout: ArrayLike, cache: DropoutCache) -> Array: ...

    def softmax_loss(
        self,
        x: ArrayLike,
        y: ArrayLike,
        label_smoothing: float = 0.0,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Scalar, Array]: ...


class Predictor(Protocol):
    """The scores of a network as it was at one time: what a network's ``predictor`` returns."""

    @property
    def dtype(self) -> np.dtype[np.floating[Any]]: ...

    @property
    def input_dim(self) -> int: ...

    @property
    def num_classes(self) -> int: ...

    def __call__(self, x: Array, out: Array | None = None) -> Array: ...


class UpdateRule(Protocol):
    """An update rule as the Solver calls it: fastfc's, or a function of one's own."""

    def __call__(
        self, w: Array, dw: Array, config: OptimConfig, /
    ) -> tuple[AnyArray, OptimConfig]: ...


Schedule = Callable[[int, "Solver"], float]  # of the step, from 0


class Examples(Protocol):
    """Examples that need not be in memory: their first axis counts them, rows come by number."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


class Model(Protocol):
    """What the Solver trains.

    Any, since a model of one's own says of its arrays what it likes, and what ``loss`` returns
    depends on ``y``: scores without, ``(loss, grads)`` with labels.
    """

    params: dict[str, Any]

    def loss(self, X: Any, y: Any = None, /) -> Any: ...


class OnStep(Protocol):
    """A callback for every step."""

    def on_step(self, solver: Solver, /) -> object: ...


class OnEpoch(Protocol):
    """A callback for every epoch."""

    def on_epoch(self, solver: Solver, /) -> object: ...


class OnCheckpoint(Protocol):
    """A callback for every checkpoint."""

    def on_checkpoint(self, solver: Solver, /) -> object: ...


class OnStop(Protocol):
    """A callback for the end."""

    def on_stop(self, solver: Solver, /) -> object: ...


AnyCallback = OnStep | OnEpoch | OnCheckpoint | OnStop


class SolverSettings(TypedDict, total=False):
    """The Solver's keyword arguments; see `fastfc.solver.Solver` for what they do."""

    update_rule: str | UpdateRule
    optim_config: Mapping[str, object] | None
    lr_decay: float
    lr_schedule: str | Mapping[str, object] | Schedule | None
    clip_norm: float | None
    batch_size: int
    num_epochs: int
    normalize: Normalization | None
    print_every: int | None
    verbose: bool
    num_train_samples: int | None
    num_val_samples: int | None
    checkpoint_name: StrPath | None
    checkpoint_every: int | str | None
    keep_last: int | None
    overwrite: bool
    max_seconds: float | None
    max_steps: int | None
    early_stopping: Mapping[str, float] | None
    on_nonfinite: str
    callbacks: AnyCallback | Sequence[AnyCallback] | None
    progress: bool
    comm: Any
    shards: bool
    sync_batchnorm: bool
    check_ranks: bool
    comm_timeout: float
