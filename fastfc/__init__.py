"""Fast fully connected network training on a CPU, behind the nndl / CS231n layer API.

The drop-in modules are `layers`, `layer_utils`, `fc_net`, `optim`, `solver`, `gradient_check` and
`data_utils`; `reference` has the same layers, networks and update rules in plain NumPy.
`install_as` lets a notebook's own import lines find them; `check` compares layers of one's own
with the reference.
"""

try:
    from . import _core  # noqa: F401  (everything below needs it)
except ImportError as error:
    if error.name != __name__:  # the core is there and says what is wrong
        raise
    raise ImportError(
        f"fastfc's core is not built in {__path__[0]}: if this is the source folder, "
        "run `pip install -e .` or start Python elsewhere"
    ) from None
from .checking import check
from .dropin import install_as, installed, uninstall
from .runtime.config import show_config
from .runtime.denormals import get_flush_denormal, set_flush_denormal
from .runtime.threads import get_num_threads, set_num_threads
from .version import __version__ as __version__

__all__ = [
    "check",
    "get_flush_denormal",
    "get_num_threads",
    "install_as",
    "installed",
    "set_flush_denormal",
    "set_num_threads",
    "show_config",
    "uninstall",
]
