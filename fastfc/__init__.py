"""Fast fully connected network training on a CPU, behind the nndl / CS231n layer API.

The drop-in modules are `layers`, `layer_utils`, `fc_net`, `optim`, `solver`, `gradient_check` and
`data_utils`; `reference` has the same layers, networks and update rules in plain NumPy.
`install_as` lets a notebook's own import lines find them; `check` compares layers of one's own
with the reference.

Each module is imported when it is first asked for, and so are networks and Solver:

>>> import fastfc
>>> fastfc.layers.relu_forward([-1.0, 2.0])[0]
array([0., 2.])
>>> fastfc.FullyConnectedNet([100], input_dim=64)
<FullyConnectedNet: 64-100-10, float32>
"""

from importlib import import_module
from typing import TYPE_CHECKING

try:
    from . import _core  # noqa: F401  (everything below needs it)
    from .runtime.config import show_config
    from .runtime.denormals import get_flush_denormal, set_flush_denormal
    from .runtime.threads import get_num_threads, set_num_threads
except ImportError as error:
    from .runtime.command import is_command

    if error.name == __name__:  # else the core is there and says what is wrong
        error = ImportError(
            f"fastfc's core is not built in {__path__[0]}: if this is the source folder, "
            "run `pip install -e .` or start Python elsewhere"
        )
    if is_command():  # one line, as of any other error
        import sys

        print(f"fastfc: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise error from None
from .version import __version__ as __version__

if TYPE_CHECKING:  # what `__getattr__` imports
    from . import data as data
    from . import data_utils as data_utils
    from . import fc_net as fc_net
    from . import gradient_check as gradient_check
    from . import layer_tests as layer_tests
    from . import layer_utils as layer_utils
    from . import layers as layers
    from . import losses as losses
    from . import optim as optim
    from . import reference as reference
    from . import solver as solver
    from . import training as training
    from .checking import check
    from .dropin import install_as, installed, uninstall
    from .fc_net import FullyConnectedNet, TwoLayerNet
    from .solver import Solver

__all__ = [
    "FullyConnectedNet",
    "Solver",
    "TwoLayerNet",
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

# Imported when they are first asked for, so that `import fastfc` waits for none of them.
_MODULES = (
    "data",
    "data_utils",
    "fc_net",
    "gradient_check",
    "layer_tests",
    "layer_utils",
    "layers",
    "losses",
    "optim",
    "reference",
    "solver",
    "training",
)
_NAMES = {
    "FullyConnectedNet": "fc_net",
    "Solver": "solver",
    "TwoLayerNet": "fc_net",
    "check": "checking",
    "install_as": "dropin",
    "installed": "dropin",
    "uninstall": "dropin",
}


if not TYPE_CHECKING:  # for checkers there is nothing else than what stands above

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name in _NAMES:
            return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, *(name for name in globals() if name[:2] == "__")})
