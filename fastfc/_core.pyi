"""The compiled core: what `fastfc/bindings` gives to Python."""

from collections.abc import Callable, Mapping, MutableMapping
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
def svm_loss(x: ArrayLike, y: ArrayLike) -> tuple[Scalar, Array]: ...
def softmax_loss(
    x: ArrayLike, y: ArrayLike, label_smoothing: float = 0.0
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
class Network:
    def loss(self, X: ArrayLike, y: ArrayLike, model: Model) -> tuple[Scalar, Params] | None: ...
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
    ) -> NDArray[np.float64] | None: ...

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
def peak(dtype: DTypeLike, tasks: int, rounds: int) -> float: ...
def _poison(on: bool) -> None: ...

# how arguments are checked and shown in messages
def set_argument_checks(
    check: Callable[[str, object], None], shown: Callable[[object], str]
) -> None: ...
