"""The compiled core: what `fastfc/bindings` gives to Python."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._types import (
    AffineCache,
    AffineGradients,
    AnyArray,
    Array,
    ArrayLike,
    BatchnormCache,
    DropoutCache,
    Examples,
    LayerParam,
    Model,
    NormalizationCache,
    NormalizationGradients,
    OptimConfig,
    Params,
    ReadParam,
    Scalar,
)
from .networks.predictor import Layer
from .update_rules import Rule

MAX_THREADS: int

# layers and losses, as in fastfc.layers
def affine_forward(x: ArrayLike, w: ArrayLike, b: ArrayLike) -> tuple[Array, AffineCache]: ...
def affine_backward(dout: ArrayLike, cache: AffineCache) -> AffineGradients: ...
def relu_forward(x: ArrayLike) -> tuple[Array, ArrayLike]: ...
def relu_backward(dout: ArrayLike, cache: ArrayLike) -> Array: ...
def batchnorm_forward(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, bn_param: LayerParam
) -> tuple[Array, BatchnormCache]: ...
def batchnorm_backward(dout: ArrayLike, cache: BatchnormCache) -> NormalizationGradients: ...
def layernorm_forward(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, ln_param: ReadParam
) -> tuple[Array, NormalizationCache]: ...
def layernorm_backward(dout: ArrayLike, cache: NormalizationCache) -> NormalizationGradients: ...
def dropout_forward(x: ArrayLike, dropout_param: ReadParam) -> tuple[Array, DropoutCache]: ...
def dropout_backward(dout: ArrayLike, cache: DropoutCache) -> Array: ...
def svm_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]: ...
def softmax_loss(
    x: ArrayLike,
    y: ArrayLike,
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[Scalar, Array]: ...
def logistic_loss(
    x: ArrayLike,
    y: ArrayLike,
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[Scalar, Array]: ...
def squared_error_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]: ...
def absolute_error_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]: ...
def huber_loss(
    x: ArrayLike, y: ArrayLike, delta: float = 1.0, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]: ...
def quantile_loss(
    x: ArrayLike, y: ArrayLike, level: float = 0.5, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]: ...
def poisson_loss(
    x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Scalar, Array]: ...

# update rules, and the norm that gradients are clipped to
def set_rule_table(table: Mapping[str, Rule]) -> None: ...
def update(rule: str, w: ArrayLike, dw: ArrayLike, config: OptimConfig | None) -> Array | None: ...
def sum_of_squares(x: ArrayLike) -> float: ...

# minibatches
def random_rows(count: int, size: int) -> NDArray[np.int64]: ...
def gather(
    X: AnyArray,
    index: ArrayLike,
    dtype: DTypeLike,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Array: ...
def feature_row(
    function: str, name: str, value: ArrayLike, example: tuple[int, ...], dtype: DTypeLike
) -> Array: ...

# whole passes of a network
def set_mode(model: Model, mode: str | None) -> bool: ...

class Network:
    def loss(
        self, X: ArrayLike, y: ArrayLike, model: Model, sample_weight: ArrayLike | None = None
    ) -> tuple[Scalar, Params] | None: ...
    def scores(self, X: ArrayLike, model: Model) -> Array | None: ...
    def step(
        self,
        X: ArrayLike | Examples,
        y: ArrayLike,
        model: Model,
        rule: str,
        configs: MutableMapping[str, OptimConfig],
        reg: float | Scalar,
        clip_norm: float,
        rows: ArrayLike | None = None,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        takes_nonfinite: bool = False,
        sample_weight: ArrayLike | None = None,
    ) -> Scalar | None: ...
    def steps(
        self,
        X: AnyArray,
        y: AnyArray,
        model: Model,
        rule: str,
        configs: MutableMapping[str, OptimConfig],
        reg: float | Scalar,
        clip_norm: float,
        batch_size: int,
        most: int,
        seconds: float,
        losses: list[Any],
        base: dict[str, float] | None = None,
        factors: ArrayLike | None = None,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        takes_nonfinite: bool = False,
        sample_weight: AnyArray | None = None,
        order: AnyArray | None = None,
        alpha: float | None = None,
        epsilons: ArrayLike | None = None,
    ) -> NDArray[np.float64] | None: ...

# the scores of a network as it was, of layers as fastfc.networks.predictor has them
class Predictor:
    def __new__(
        cls, layers: Sequence[Layer], dtype: np.dtype[Any], check: Callable[..., object]
    ) -> Predictor: ...
    def __call__(self, x: Array, out: Array | None = None) -> Array: ...
    @property
    def dtype(self) -> np.dtype[np.floating[Any]]: ...
    @property
    def input_dim(self) -> int: ...
    @property
    def num_classes(self) -> int: ...

# what serves the process
def built_isas() -> tuple[str, ...]: ...
def available_isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def detect_caches() -> tuple[int, int, int]: ...
def set_l2_bytes(size: int) -> None: ...
def get_l2_bytes() -> int: ...
def set_flush_denormal(flush: bool) -> bool: ...
def get_flush_denormal() -> bool: ...
def compiler() -> str: ...

# for tests and benchmarks
def product(a: ArrayLike, b: ArrayLike) -> Array: ...
def nothing(x: object) -> None: ...
def peak(dtype: DTypeLike, tasks: int, rounds: int) -> float: ...
def _poison(on: bool) -> None: ...
def _watch(work: float, seconds: float, draws: int) -> tuple[float, float, int]: ...

# how arguments are checked and shown in messages
def set_argument_checks(
    check: Callable[[str, object], None], shown: Callable[[object], str]
) -> None: ...
