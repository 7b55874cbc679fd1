"""Pictures of a run and of a network, by matplotlib: ``pip install fastfc[plot]``.

Each function draws into axes that it is given, or into new ones, and returns them; nothing is shown
and nothing is saved, so they work where there is no display.
"""

from ..optional import missing_package as _missing_package

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise _missing_package("fastfc.plots", "matplotlib", "plot", error) from error

from .curves import accuracies, losses
from .labels import confusion
from .layers import activations, gradient_flow
from .sweeps import sweep
from .weights import weights

__all__ = [
    "accuracies",
    "activations",
    "confusion",
    "gradient_flow",
    "losses",
    "sweep",
    "weights",
]
