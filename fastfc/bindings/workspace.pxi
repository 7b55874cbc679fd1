# Scratch memory is kept between calls: one block, which a call takes and gives back by an atomic
# exchange.  A call that finds none (another thread is inside a kernel) allocates one of its own.

cdef extern from *:
    """
    static _Atomic(void *) fc_spare_workspace;
    #define swap_spare_workspace(other) atomic_exchange(&fc_spare_workspace, (void *)(other))
    """
    void *swap_spare_workspace(void *other) noexcept


cdef void *acquire_workspace() except NULL:
    cdef void *workspace = swap_spare_workspace(NULL)
    if workspace == NULL:
        workspace = fc_allocate(FC_WORKSPACE_BYTES)
        if workspace == NULL:
            raise MemoryError("no memory for an operation's workspace")
    return workspace


cdef void release_workspace(void *workspace) noexcept:
    fc_free(swap_spare_workspace(workspace))
