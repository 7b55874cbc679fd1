"""Trackers: a run's figures, as callbacks, into what people look at runs with.

Each is given to the Solver or to an estimator as ``callbacks``, and needs the library that it is
of:

===================  ==================  ===================================
`CSV`                a text file         nothing
`TensorBoard`        event files         ``pip install fastfc[tensorboard]``
`MLflow`             a tracking store    ``pip install fastfc[mlflow]``
`WandB`              Weights & Biases    ``pip install fastfc[wandb]``
===================  ==================  ===================================

They write at the end of each epoch, so that steps are taken as fast as without.
"""

from typing import TYPE_CHECKING

from .csv_tracker import CSV

if TYPE_CHECKING:
    from .mlflow_tracker import MLflow
    from .tensorboard_tracker import TensorBoard
    from .wandb_tracker import WandB

__all__ = ["CSV", "MLflow", "TensorBoard", "WandB"]


if not TYPE_CHECKING:  # each library is imported when its tracker is asked for

    def __getattr__(name: str) -> object:
        if name == "MLflow":
            from .mlflow_tracker import MLflow as Tracker
        elif name == "TensorBoard":
            from .tensorboard_tracker import TensorBoard as Tracker
        elif name == "WandB":
            from .wandb_tracker import WandB as Tracker
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return Tracker


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name[:2] == "__")})
