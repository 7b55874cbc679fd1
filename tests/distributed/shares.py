"""As a script on several ranks: what each has of its machine, once they train."""

import os
import socket

from mpi4py import MPI

import fastfc
from tests.distributed import faults

if __name__ == "__main__":
    comm = MPI.COMM_WORLD
    faults.begin(comm, max_steps=1).train()
    own = socket.gethostname(), fastfc.get_num_threads(), len(os.sched_getaffinity(0))
    for each in comm.gather(own) or []:
        print(*each)
