"""Scripts on several ranks, by the mpiexec that belongs to mpi4py's MPI."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastfc

# An mpiexec of Open MPI refuses root, and more ranks than cores, unless it is told.
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",  # the same before version 5
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "FASTFC_NUM_THREADS": "1",
    "PYTHONSAFEPATH": "1",
}


@functools.cache
def find_mpiexec():
    """Return the path of mpiexec; skip the test where there is none, or no mpi4py."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    beside = str(Path(sys.executable).parent)  # of a wheel of an MPI
    found = shutil.which("mpiexec", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip("there is no mpiexec")
    return found


@functools.cache
def version():
    """Return what that mpiexec says of itself."""
    asked = subprocess.run([find_mpiexec(), "--version"], capture_output=True, text=True)
    return asked.stdout


def is_open_mpi():
    """Return whether that mpiexec is Open MPI's, with its options."""
    return "Open MPI" in version() or before_open_mpi_5()


def before_open_mpi_5():
    """Return whether it is Open MPI 4's or an older one's, whose options have other names."""
    return "OpenRTE" in version()


def find_other_mpiexec():
    """Return the path of an mpiexec that belongs to another MPI; skip the test where none is named.

    `.ci/legs/mpi` names one.
    """
    find_mpiexec()
    found = os.environ.get("OTHER_MPIEXEC")
    if found is None:
        pytest.skip("OTHER_MPIEXEC names no mpiexec of another MPI")
    return found


def start(ranks, module, *argv, folder, mpiexec=None, before=(), options=(), **environment):
    """Start ``BEFORE mpiexec OPTIONS -n RANKS python -m MODULE ARGV`` in a folder.

    A variable of the environment that is None is not set.
    """
    paths = [Path(fastfc.__file__).parents[1], Path(__file__).parents[2]]
    environment = {
        **os.environ,
        **SETTINGS,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        **environment,
    }
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [
        *before,
        mpiexec or find_mpiexec(),
        *options,
        "-n",
        ranks,
        sys.executable,
        "-m",
        module,
        *argv,
    ]
    return subprocess.Popen(
        list(map(str, command)),
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(ranks, module, *argv, folder, timeout=120, **more):
    """Run it; return (status, stdout, stderr).  What hangs fails."""
    with start(ranks, module, *argv, folder=folder, **more) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise
    return process.returncode, out, err
