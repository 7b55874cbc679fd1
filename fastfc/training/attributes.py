"""What a Solver has, for checkers: its data, its settings, and what it has reached.

:class:`fastfc.solver.Solver` says what they are for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .._types import AnyArray, Array, Examples, Model, OptimConfig, Schedule, UpdateRule
    from ..distributed import Team
    from .history import Log
    from .ranks import Votes
    from .rates import Rates
    from .saving import Saver
    from .shards import Cut
    from .stopping import NonFiniteLossError


class Attributes:
    """The attributes of a Solver, each with its type."""

    model: Model
    X_train: Examples
    y_train: AnyArray
    X_val: Examples
    y_val: AnyArray
    w_train: AnyArray | None
    w_val: AnyArray | None

    update_rule: UpdateRule
    optim_config: Mapping[str, Any]
    lr_decay: float
    lr_schedule: dict[str, Any] | Schedule | None
    clip_norm: float | None
    batch_size: int
    num_epochs: int
    normalize: tuple[Array, Array] | None
    print_every: float
    verbose: bool
    num_train_samples: int | None
    num_val_samples: int | None
    checkpoint_name: str | None
    checkpoint_every: int | str | None
    keep_last: int | None
    overwrite: bool
    max_seconds: float | None
    max_steps: int | None
    early_stopping: dict[str, Any] | None
    callbacks: list[Any]
    on_nonfinite: str
    progress: bool
    comm: Any
    shards: bool
    sync_batchnorm: bool
    check_ranks: bool
    comm_timeout: float

    epoch: int
    best_val_acc: float
    best_params: dict[str, AnyArray]
    best_bn_params: list[dict[str, AnyArray]]
    loss_history: list[Any]  # numbers of the model's own type
    train_acc_history: list[float]
    val_acc_history: list[float]
    optim_configs: dict[str, OptimConfig]
    stop_reason: str | None
    nonfinite: NonFiniteLossError | None
    checkpoint_path: str | None

    _rates: Rates
    _log: Log
    _saver: Saver | None
    _team: Team | None
    _joined: bool
    _cuts: dict[str, Cut]
    _marks: dict[str, object] | None
    _votes: Votes
    _run: str
    _asked: str | None
    _training: bool
    _say: Callable[[str], None]
    _call: dict[str, int]
    _left: tuple[dict[str, Any], list[dict[str, AnyArray]]] | None
