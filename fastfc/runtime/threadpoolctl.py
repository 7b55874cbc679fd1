"""fastfc under threadpoolctl: ``threadpool_limits(1)`` limits it, ``threadpool_info()`` lists it.

threadpoolctl finds the core among the loaded libraries and calls two of its C functions.  It has to
be told of it, whichever of the two packages is imported first; fastfc never imports it itself.
"""

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from ..version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def _register(threadpoolctl: "Any") -> None:
    """Tell the imported threadpoolctl of the core."""
    if not hasattr(threadpoolctl, "register"):  # too old
        return

    class FastfcController(threadpoolctl.LibController):  # type: ignore[misc]  # it has no types
        user_api = "fastfc"
        internal_api = "fastfc"
        filename_prefixes = ("_core",)
        check_symbols = ("fc_set_threads", "fc_get_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.fc_get_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.fc_set_threads(num_threads)

        def get_version(self) -> str:
            return __version__

    threadpoolctl.register(FastfcController)


class _Finder:
    """Finds threadpoolctl where it lies, and registers the core once it has been imported."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name != "threadpoolctl":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: "ModuleType") -> None:
                execute(module)
                _register(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # of this one
        return spec


def register_when_imported() -> None:
    """Register with threadpoolctl now if it is imported, else as soon as it will be."""
    if "threadpoolctl" in sys.modules:
        _register(sys.modules["threadpoolctl"])
    sys.meta_path.insert(0, _Finder())
