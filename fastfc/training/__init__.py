"""What a Solver has around its loop: checkpoints, ways to stop, callbacks, history."""

from .callbacks import Callback
from .checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from .folder import latest_checkpoint
from .guard import NonFiniteStateError, NonFiniteWarning
from .history import History
from .stopping import NonFiniteLossError

__all__ = [
    "Callback",
    "CheckpointError",
    "History",
    "NonFiniteLossError",
    "NonFiniteStateError",
    "NonFiniteWarning",
    "latest_checkpoint",
    "read_checkpoint",
    "write_checkpoint",
]
