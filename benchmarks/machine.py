"""What a run is measured on, and with which software: facts that stand at the head of its file."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess

import numpy as np

import fastfc

OTHERS = ("torch", "jax", "scikit-learn", "tensorflow-cpu", "onednn-cpu-gomp", "threadpoolctl")
# Variables that change how many threads there are, or whose kernels run.
ENVIRONMENT = re.compile(
    r"\w+_NUM_THREADS|OPENBLAS_CORETYPE|ONEDNN_MAX_CPU_ISA|XLA_FLAGS|FASTFC_(ISA|CACHES)"
)


def facts(quick=False):
    """Return ``machine`` and ``version``, each a dict of name to text; "" is what is not known.

    A quick run says so: its figures are none.
    """
    config = fastfc.show_config(mode="dicts")
    environment = {k: v for k, v in os.environ.items() if ENVIRONMENT.fullmatch(k)}
    return {
        "machine": {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": _commit(),
            "quick": "yes" if quick else "no",
            "cpu": _cpu(),
            "cores": str(len(os.sched_getaffinity(0))),
            "caches": _caches(),
            "instruction set": config["isa"]["in use"],
            "threads": str(config["threads"]),
            "environment": " ".join(f"{k}={v}" for k, v in sorted(environment.items())),
        },
        "version": {
            "fastfc": config["version"],
            "compiler": config["compiler"],
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas": _blas(),
            **_installed(),
        },
    }


def _commit():
    """Return the checkout's commit, with ``-dirty`` where files differ from it."""
    root = pathlib.Path(__file__).parents[1]
    if not (root / ".git").exists():
        return ""  # a copy without history, perhaps within a repository of something else
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(
            command, cwd=root, check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _caches():
    """Return the caches of one of the cores, such as ``L1d 32K, L1i 32K, L2 1024K, L3 32768K``."""
    core = min(os.sched_getaffinity(0))
    folder = pathlib.Path(f"/sys/devices/system/cpu/cpu{core}/cache")
    letters = {"Data": "d", "Instruction": "i"}
    found = []
    for cache in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (cache / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        found.append(f"L{level}{letters.get(kind, '')} {size}")
    return ", ".join(found)


def _blas():
    """Name NumPy's BLAS and, where threadpoolctl can tell, the CPU whose kernels it has chosen."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    name = f"{blas.get('name')} {blas.get('version')}"
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return name
    kernels = {pool.get("architecture") for pool in threadpool_info()} - {None}
    return f"{name} with kernels for {', '.join(sorted(kernels))}" if kernels else name


def _installed():
    versions = {}
    for name in OTHERS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
