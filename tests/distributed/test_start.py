"""What is settled before ranks train: a communicator, threads, an instruction set."""

import os
import re
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("mpi4py", reason="mpi4py is not installed")

import mpi4py

import fastfc
from fastfc import _core
from fastfc.distributed import start
from fastfc.runtime import threads
from tests.distributed import launch
from tests.support.process import in_new_process

SOLVER = """
import numpy as np
from mpi4py import MPI
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
X, y = np.eye(4), np.arange(4)
data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
def solver(model=None, **settings):
    return Solver(model or FullyConnectedNet([5], input_dim=4), data, **settings)
def error(**settings):
    try:
        solver(**settings)
    except Exception as error:
        print(type(error).__name__, error)
"""


def find_library():
    """Return what MPI a process without a launcher finds; skip the test where it finds none."""
    code = "from mpi4py import MPI; print(MPI.Get_library_version())"
    status, output = in_new_process(code)
    if status != 0:
        pytest.skip("mpi4py finds no MPI without mpiexec")
    return output


def test_no_mpi_is_one_sentence(monkeypatch):
    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "mpi4py.MPI":
                raise RuntimeError("cannot load MPI library\nhere\nand there")

    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    monkeypatch.delattr(mpi4py, "MPI", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(TypeError, match="comm is 5, expected a communicator"):
        start.check_comm("comm", 5)
    with pytest.raises(RuntimeError, match=r"^comm needs an MPI beside mpi4py, which finds none"):
        start.check_comm("comm", SimpleNamespace(Get_size=lambda: 1))


def test_a_communicator_and_a_network_are_asked_for():
    find_library()
    code = """
from types import SimpleNamespace
error(comm=5)
error(comm=MPI.COMM_NULL)
error(comm=MPI.COMM_WORLD, model=SimpleNamespace(params={}, loss=lambda X, y=None: X))
error(comm=MPI.COMM_WORLD, comm_timeout=0)
solver(comm=MPI.COMM_WORLD, num_epochs=1, batch_size=4, verbose=False).train()
"""
    status, output = in_new_process(SOLVER + code)
    lines = output.splitlines()
    assert status == 0, output
    assert lines[0] == "TypeError comm is 5, expected a communicator as MPI.COMM_WORLD"
    assert lines[1].startswith("TypeError comm is ")
    assert lines[2].startswith("TypeError model is namespace(")
    assert "expected for comm a network of fastfc's" in lines[2]
    assert lines[3].startswith("ValueError comm_timeout is 0, expected seconds")
    assert len(lines) == 4


def test_a_launcher_of_another_mpi_is_recognised():
    """Each process believes that it is alone, and the launcher says that there are two."""
    other = "PMI_SIZE" if "Open MPI" in find_library() else "OMPI_COMM_WORLD_SIZE"
    status, output = in_new_process(SOLVER + "error(comm=MPI.COMM_WORLD)", **{other: "2"})
    assert status == 0, output
    assert output.startswith("RuntimeError mpiexec has started 2 processes, of which each is")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("fastfc", "train", "--epochs", "1"), "fastfc: "),
        (("tests.distributed.faults", "none", 100, "."), "RuntimeError: "),
    ],
    ids=["command", "script"],
)
def test_a_real_launcher_of_another_mpi(argv, said, tmp_path):
    other = launch.find_other_mpiexec()
    status, out, err = launch.run(2, *argv, folder=tmp_path, mpiexec=other)
    assert status != 0, out + err
    assert out == ""
    if launch.is_open_mpi():
        assert f"{said}mpiexec has started 2 processes, of which each is alone: mpi4py runs" in err
    else:  # MPICH itself ends, at the import of mpi4py.MPI
        assert "Runtime environment uses unsupported PMI version" in err


def team(ranks, neighbours=None):
    """Return a team of ranks that have told each other this."""
    return SimpleNamespace(
        collect_objects=lambda value, what: ranks, neighbours=lambda: neighbours or []
    )


def test_the_least_instruction_set_of_all():
    before = _core.isa()
    available = _core.available_isas()
    try:
        for least in available:
            ranks = [(available[-1], available), (least, available)]
            start.choose_instruction_set(team(ranks))
            assert _core.isa() == least
        other = "avx2" if "neon" in available else "neon"
        with pytest.raises(ValueError, match=f"rank 1 has no instruction set {other}"):
            start.choose_instruction_set(team([(other, (other,)), (before, available)]))
    finally:
        _core.use_isa(before)


@pytest.mark.parametrize("policy", ["core", "none"])
def test_open_mpis_binding_is_said(policy, tmp_path):
    """A rank that is alone on two processors or more, of the command and of a script."""
    if threads._default() < 2:
        pytest.skip("there is one processor")
    if launch.find_mpiexec() and not launch.is_open_mpi():
        pytest.skip("MPICH binds nothing")
    settings = {
        "FASTFC_NUM_THREADS": None,
        "PRTE_MCA_hwloc_default_binding_policy": policy,  # core is Open MPI's own
        "PRTE_MCA_rmaps_default_mapping_policy": None,  # with :oversubscribe it binds nothing
        "OMPI_MCA_hwloc_base_binding_policy": policy,  # the same before version 5
        "OMPI_MCA_rmaps_base_oversubscribe": None,
    }
    for argv in ("tests.distributed.shares",), ("fastfc", "train", "--max-steps", "1"):
        status, out, err = launch.run(1, *argv, folder=tmp_path, **settings)
        assert status == 0, out + err
        said = re.search(r"bound .* to 1 of its \d+ processors: .* --bind-to none they", err)
        assert bool(said) == (policy == "core"), err
        if argv == ("tests.distributed.shares",):
            assert (out.split()[1] == "1") == (policy == "core"), out


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [([[0, 1]], 2), ([[0], [1]], 1), ([[0, 1, 2], [3, 4, 5]], 3), ([[0]] * 3, 1)],
)
def test_ranks_of_a_machine_share_its_processors(monkeypatch, neighbours, expected):
    for name in ("FASTFC_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_quota", lambda: 100.0)
    before = fastfc.get_num_threads()
    try:
        monkeypatch.setattr(threads, "_default", fastfc.get_num_threads)
        start.share_threads(team([], neighbours))
        assert fastfc.get_num_threads() == expected
        fastfc.set_num_threads(7)
        monkeypatch.setattr(threads, "_default", lambda: 5)  # someone has said 7
        start.share_threads(team([], neighbours))
        assert fastfc.get_num_threads() == 7
        monkeypatch.setattr(threads, "_default", lambda: 7)
        monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "7")
        start.share_threads(team([], neighbours))
        assert fastfc.get_num_threads() == 7
    finally:
        fastfc.set_num_threads(before)
