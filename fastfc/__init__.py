"""Fast fully connected network training on a CPU, behind the nndl / CS231n layer API.

The drop-in modules are `layers`, `layer_utils`, `fc_net`, `optim`, `solver`, `gradient_check` and
`data_utils`; `reference` has the same layers, networks and update rules in plain NumPy.
`install_as` lets a notebook's own import lines find them; `check` compares layers of one's own
with the reference.
"""

try:
    from . import _core
except ImportError as error:
    if error.name != __name__:  # the core is there and says what is wrong
        raise
    raise ImportError(
        f"fastfc's core is not built in {__path__[0]}: if this is the source folder, "
        "run `pip install -e .` or start Python elsewhere"
    ) from None
from .checking import check
from .denormal import get_flush_denormal, set_flush_denormal
from .dropin import install_as, installed, uninstall
from .threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

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


def show_config(mode="stdout"):
    """Say how fastfc was built and what it uses on this machine.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}
        Print the configuration, or return it as a dict.

    Returns
    -------
    dict or None
        With ``mode='dicts'``: ``version``, ``compiler``, ``isa`` (a dict of the instruction sets
        ``built``, ``available`` on this machine and ``in use``), ``threads``, ``flush denormal``
        and ``dtypes``.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import fastfc
    >>> fastfc.show_config(mode="dicts")["dtypes"]
    ('float32', 'float64')
    """
    config = {
        "version": __version__,
        "compiler": _core.compiler(),
        "isa": {
            "built": _core.built_isas(),
            "available": _core.available_isas(),
            "in use": _core.isa(),
        },
        "threads": get_num_threads(),
        "flush denormal": get_flush_denormal(),
        "dtypes": ("float32", "float64"),
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f"show_config: mode is {mode!r}, expected 'stdout' or 'dicts'")
    isa = config["isa"]
    print(f"fastfc {config['version']}")
    print(f"compiler          {config['compiler']}")
    print(f"instruction sets  built: {', '.join(isa['built'])}")
    print(f"                  available: {', '.join(isa['available'])}")
    print(f"                  in use: {isa['in use']}")
    print(f"threads           {config['threads']}")
    print(f"denormals         {'taken for zero' if config['flush denormal'] else 'kept'}")
    print(f"dtypes            {', '.join(config['dtypes'])}; others are computed in float64")
    return None
