"""The machine that this process runs on, and the versions of what it runs."""

from __future__ import annotations

import os
import platform

import numpy as np

from .config import show_config


def machine() -> dict[str, str]:
    """Return what this machine is, by names that people read.

    Examples
    --------
    >>> machine()["Instruction set"] in ("baseline", "avx2", "avx512", "neon")
    True
    """
    config = show_config(mode="dicts")
    caches = [f"{name} {size >> 10:,} KB" for name, size in config["caches"].items() if size]
    return {
        "Processor": _processor(),
        "Cores": str(_cores()),
        "Caches of a core": ", ".join(caches) or "not known",
        "Instruction set": config["isa"]["in use"],
        "Threads of fastfc": str(config["threads"]),
        "System": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return which software this process uses.

    Examples
    --------
    >>> list(versions())
    ['fastfc', 'compiled by', 'Python', 'NumPy']
    """
    config = show_config(mode="dicts")
    return {
        "fastfc": config["version"],
        "compiled by": config["compiler"],
        "Python": platform.python_version(),
        "NumPy": np.__version__,
    }


def _cores() -> int:
    """Return how many cores the process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.split(":", 1)[1].strip() for line in file if "model name" in line)
            if name := next(names, None):
                return name
    except OSError:
        pass
    return platform.processor() or platform.machine()
