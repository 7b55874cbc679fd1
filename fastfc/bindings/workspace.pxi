# Scratch memory is kept between calls: one block, acquired and released under the GIL.  A call that
# finds none (another thread is inside a kernel) allocates one of its own.
cdef void *spare_workspace = NULL


cdef void *acquire_workspace() except NULL:
    global spare_workspace
    cdef void *workspace = spare_workspace
    spare_workspace = NULL
    if workspace == NULL:
        workspace = aligned_alloc(64, FC_WORKSPACE_BYTES)
        if workspace == NULL:
            raise MemoryError
    return workspace


cdef void release_workspace(void *workspace) noexcept:
    global spare_workspace
    if spare_workspace == NULL:
        spare_workspace = workspace
    else:
        free(workspace)
