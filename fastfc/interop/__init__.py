"""Networks of other libraries as fastfc's, and back.

Each function needs the library that it is of, and says which extra brings it:

======================================  ================  ==============================
`from_torch`, `to_torch`                PyTorch           ``pip install fastfc[torch]``
`from_sklearn`, `to_sklearn`            scikit-learn      ``pip install fastfc[sklearn]``
`from_onnx`                             ONNX              ``pip install fastfc[onnx]``
`register_skl2onnx`                     skl2onnx          ``pip install fastfc[skl2onnx]``
======================================  ================  ==============================

Importing this package imports none of them: a function is looked up when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `__getattr__` imports
    from .onnx_import import from_onnx
    from .skl2onnx_converters import register_skl2onnx
    from .sklearn import from_sklearn, to_sklearn
    from .torch_modules import from_torch, to_torch

__all__ = [
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "register_skl2onnx",
    "to_sklearn",
    "to_torch",
]

_NAMES = {
    "from_onnx": "onnx_import",
    "register_skl2onnx": "skl2onnx_converters",
    "from_sklearn": "sklearn",
    "from_torch": "torch_modules",
    "to_sklearn": "sklearn",
    "to_torch": "torch_modules",
}


if not TYPE_CHECKING:  # for checkers there is nothing else than what stands above

    def __getattr__(name: str) -> object:
        if name in _NAMES:
            return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name[:2] == "__")})
