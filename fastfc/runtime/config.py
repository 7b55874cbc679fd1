"""What fastfc was built with, and what it uses on this machine."""

from typing import TYPE_CHECKING, Literal, TypedDict, overload

from .. import _core
from ..version import __version__
from .caches import CACHES
from .denormals import get_flush_denormal
from .threads import get_num_threads

__all__ = ["show_config"]

if TYPE_CHECKING:
    InstructionSets = TypedDict(
        "InstructionSets",
        {"built": tuple[str, ...], "available": tuple[str, ...], "in use": str},
    )
    Configuration = TypedDict(
        "Configuration",
        {
            "version": str,
            "compiler": str,
            "isa": InstructionSets,
            "caches": dict[str, int],
            "threads": int,
            "flush denormal": bool,
            "dtypes": tuple[str, ...],
        },
    )


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> "Configuration": ...
def show_config(mode: str = "stdout") -> "Configuration | None":
    """Say how fastfc was built and what it uses on this machine.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}
        Print the configuration, or return it as a dict.

    Returns
    -------
    dict or None
        With ``mode='dicts'``: ``version``, ``compiler``, ``isa`` (a dict of the instruction sets
        ``built``, ``available`` on this machine and ``in use``), ``caches`` (bytes of a core's
        data caches ``L1``, ``L2`` and ``L3``, 0 where not known), ``threads``, ``flush denormal``
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
    config: Configuration = {
        "version": __version__,
        "compiler": _core.compiler(),
        "isa": {
            "built": _core.built_isas(),
            "available": _core.available_isas(),
            "in use": _core.isa(),
        },
        "caches": dict(zip(("L1", "L2", "L3"), CACHES, strict=True)),
        "threads": get_num_threads(),
        "flush denormal": get_flush_denormal(),
        "dtypes": ("float32", "float64"),
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        from ..arguments import shown  # not needed by whoever imports fastfc

        raise ValueError(f"show_config: mode is {shown(mode)}, expected 'stdout' or 'dicts'")
    isa = config["isa"]
    print(f"fastfc {config['version']}")
    print(f"compiler          {config['compiler']}")
    print(f"instruction sets  built: {', '.join(isa['built'])}")
    print(f"                  available: {', '.join(isa['available'])}")
    print(f"                  in use: {isa['in use']}")
    sizes = [f"{name} {size >> 10} KB" for name, size in config["caches"].items() if size]
    print(f"caches            {', '.join(sizes)}")
    print(f"threads           {config['threads']}")
    print(f"denormals         {'taken for zero' if config['flush denormal'] else 'kept'}")
    print(f"dtypes            {', '.join(config['dtypes'])}; others are computed in float64")
    return None
