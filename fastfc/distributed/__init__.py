"""Training on many ranks by MPI, through mpi4py: ``pip install fastfc[mpi]``.

``Solver(..., comm=MPI.COMM_WORLD)`` is all that a script needs; docs/distributed.md says the rest.
Here is what that rests on: a team of ranks, the layers that need more than a rank's own rows, and
what is checked at the start.
"""

from ..optional import missing_package as _missing_package

try:
    import mpi4py as _mpi4py  # noqa: F401
except ImportError as error:
    raise _missing_package("fastfc.distributed", "mpi4py", "mpi", error) from error

from ..runtime.launched import warn_of_binding as warn_of_binding
from .ending import abort as abort
from .ending import abort_at_uncaught as abort_at_uncaught
from .ending import abort_with as abort_with
from .ending import agree as agree
from .ending import is_agreed as is_agreed
from .passes import share_loss as share_loss
from .start import check_comm as check_comm
from .start import check_network as check_network
from .start import choose_instruction_set as choose_instruction_set
from .start import find_differences as find_differences
from .start import share_threads as share_threads
from .start import world as world
from .team import Team as Team
