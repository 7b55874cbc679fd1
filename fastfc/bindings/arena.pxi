# The memory between a network's layers, kept from step to step.
#
# Measured and left: huge pages for this memory and the workspace (no different).

cdef size_t align_up(size_t bytes) noexcept:
    return (bytes + 63) // 64 * 64


# Whether the activation's slopes are kept from the forward to the backward pass.
cdef bint keeps_slopes(const fc_network *net) noexcept:
    return net.layers[0].activation != FC_RELU and net.layers[0].activation != FC_IDENTITY


cdef class Arena:
    """One block of memory, which grows, and where a network's work arrays lie in it."""

    cdef char *memory
    cdef size_t room
    cdef size_t *shape  # that it is laid out for, with zeros behind the columns: `shapes` numbers
    cdef size_t shapes

    def __dealloc__(self):
        fc_free(self.memory)
        free(self.shape)

    cdef int reserve(self, size_t bytes) except -1:
        if bytes > self.room:
            fc_free(self.memory)
            self.room = 0
            self.memory = <char *> fc_allocate(bytes)
            if self.memory == NULL:
                raise MemoryError
            self.room = bytes
            self.shapes = 0
        return 0

    # Notes what the memory is laid out for; returns whether it was that already.
    cdef bint keep_shape(self, const fc_network *net, int dtype, bint gathered) except -1:
        cdef size_t numbers = 5 + net.count, number, i
        cdef bint same = numbers == self.shapes
        cdef size_t *shape = self.shape
        if not same:
            self.shapes = 0
            shape = <size_t *> realloc(shape, numbers * sizeof(size_t))
            if shape == NULL:
                raise MemoryError
            self.shape, self.shapes = shape, numbers
        for i in range(numbers):
            number = net.N if i == 0 else dtype if i == 1 else gathered if i == 2 \
                else net.layers[0].D if i == 3 else keeps_slopes(net) if i == 4 \
                else net.layers[i - 5].M
            same &= shape[i] == number
            shape[i] = number
        return same

    # Lays out the work arrays of a training step with N examples.
    cdef int lay_out_step(self, fc_network *net, int dtype, bint dropout, bint gathered) except -1:
        cdef size_t itemsize = 4 if dtype == F32 else 8, bytes = 0, widest = 0, input = 0
        cdef size_t N = net.N, i, area, activation_mask, arrays = 3 if keeps_slopes(net) else 2
        cdef fc_layer *layer
        cdef char *at
        if gathered:
            input = align_up(N * fc_row_stride(net.layers[0].D, itemsize) * itemsize)
        for i in range(net.count):
            layer = &net.layers[i]
            layer.stride = fc_row_stride(layer.M, itemsize) if i + 1 < net.count else layer.M
            area = align_up(N * layer.stride * itemsize)
            widest = max(widest, area)
            bytes += arrays * area + align_up(max(N, layer.M) * itemsize) \
                + align_up(fc_activation_mask_bytes(N, layer.M)) + align_up(N * layer.M + 16)
        bytes += 2 * widest + input
        self.reserve(bytes)
        if not self.keep_shape(net, dtype, gathered):
            memset(self.memory, 0, bytes)  # the products multiply what lies behind the columns
        net.dout[0], net.dout[1] = self.memory, self.memory + widest
        at = self.memory + 2 * widest
        for i in range(net.count):
            layer = &net.layers[i]
            area = align_up(N * layer.stride * itemsize)
            activation_mask = align_up(fc_activation_mask_bytes(N, layer.M))
            layer.out, layer.x_normalized, layer.rstd = at, at + area, at + arrays * area
            layer.slope = at + 2 * area if arrays == 3 else NULL
            at += arrays * area + align_up(max(N, layer.M) * itemsize)
            layer.activation_mask = <unsigned short *> at
            layer.keep = <unsigned char *> at + activation_mask if dropout else NULL
            at += activation_mask + align_up(N * layer.M + 16)
        net.input = at
        return 0

    # Lays out what scoring needs: two work arrays, which the layers use in turn.
    cdef int lay_out_scores(self, fc_network *net, int dtype) except -1:
        cdef size_t itemsize = 4 if dtype == F32 else 8, area = 0, i
        cdef size_t rows = min(net.N, FC_SCORES_ROWS)
        cdef fc_layer *layer
        for i in range(net.count):
            layer = &net.layers[i]
            layer.stride = fc_row_stride(layer.M, itemsize)
            area = max(area, align_up(rows * layer.stride * itemsize))
        self.reserve(2 * area)
        self.shapes = 0  # of this memory nothing stays zero
        for i in range(net.count):
            net.layers[i].out = self.memory + (i % 2) * area
        return 0
