# The scores of a network as it was at one time: packed once, then a call of as little as can be.
#
# A predictor does not change once it is made, and a call's memory is its own, so any number of
# threads may call one at once.
#
# Instructions of a call, counted by callgrind with AVX2: a row of the digits' network takes 2,700
# above a call of `nothing`.  To let go of the GIL and to get it back takes 390 where nobody waits
# for it; where somebody does, it wakes that thread and waits in turn, microseconds each.  So small
# calls keep it.

cdef enum:
    # Multiply-adds from which a call lets other threads have the GIL: 10,000 instructions, several
    # microseconds.
    RELEASED_WORK = 1 << 16
    # Memory between the layers that a call takes from its own stack.
    STACK_BYTES = 1 << 14


# A copy of value that nobody else holds, a dense array of dtype.
cdef ndarray copy_of(str name, object value, int dtype):
    cdef ndarray array = as_array("predictor", name, value)
    require_real("predictor", name, array)
    return cnp.PyArray_FROMANY(
        array, dtype, 0, 0, cnp.NPY_ARRAY_CARRAY | cnp.NPY_ARRAY_FORCECAST
        | cnp.NPY_ARRAY_ENSURECOPY | cnp.NPY_ARRAY_ENSUREARRAY)


@cython.final
cdef class Predictor:
    """Predictor(layers, dtype, check)
    --

    predictor(x, out=None): the scores of a network as it was; see its method ``predictor``.

    layers are those of fastfc.networks.predictor.  check(predictor, x, out) returns x as an array,
    and the shape of its scores; it raises where x or out is not what a call takes.
    """

    cdef fc_predictor net
    cdef const void *table  # for which the weights are packed
    cdef int type
    cdef cnp.npy_intp D, C
    cdef char *memory  # all arrays of the layers
    cdef object check

    def __cinit__(self, layers, dtype, check):
        cdef size_t itemsize, bytes = 0, i
        cdef fc_layer *layer
        cdef list found
        self.type = cnp.dtype(dtype).num
        if self.type != F32 and self.type != F64:
            raise TypeError(f"predictor: dtype is {dtype}, expected float32 or float64")
        itemsize = 4 if self.type == F32 else 8
        self.check = check
        self.table = fc_table(self.type)
        found = [self.read_layer(i, layer_i) for i, layer_i in enumerate(layers)]
        self.require_layers(found)
        self.net.layers = <fc_layer *> calloc(len(found), sizeof(fc_layer))
        if self.net.layers == NULL:
            raise MemoryError
        self.net.count = len(found)
        for i in range(self.net.count):
            layer = &self.net.layers[i]
            layer.D, layer.M = (<ndarray> found[i][0]).shape[0], (<ndarray> found[i][0]).shape[1]
            bytes += (layer.D + 5) * fc_padded(layer.M, itemsize) * itemsize
            self.net.work += layer.D * layer.M
            if i + 1 < self.net.count:
                layer.stride = fc_row_stride(layer.M, itemsize)
                self.net.widest = max(self.net.widest, layer.stride)
        self.D, self.C = self.net.layers[0].D, layer.M
        self.memory = <char *> fc_allocate(bytes)
        if self.memory == NULL:
            raise MemoryError
        memset(self.memory, 0, bytes)
        self.pack(found, itemsize)

    # Copies of a layer's arrays, W, b, gamma, beta, mean and var, its eps and its activation's
    # number.
    cdef list read_layer(self, size_t number, object layer):
        cdef list entries = list(layer)
        cdef tuple names = ("W", "b", "gamma", "beta", "mean", "var")
        if len(entries) == 7:  # from a pickle of before there were others
            entries.append("relu")
        if len(entries) != 8:
            raise ValueError(f"predictor: layer {number + 1} has {len(entries)} entries, expected "
                             f"{', '.join(names)}, eps and activation")
        for i, name in enumerate(names):
            if entries[i] is not None:
                entries[i] = copy_of(f"{name}{number + 1}", entries[i], self.type)
        entries[6] = as_eps("predictor", "eps", entries[6])
        activation = find_activation(entries[7])
        if activation < 0:
            raise ValueError(f"predictor: activation is {shown(entries[7])}, expected one of "
                             f"{', '.join(activations)}")
        entries[7] = activation
        return entries

    # That the layers make a network.
    cdef int require_layers(self, list layers) except -1:
        cdef ndarray W, row
        cdef cnp.npy_intp inputs = 0
        cdef size_t i, j, count = len(layers)
        if count == 0:
            raise ValueError("predictor: layers is empty, expected at least one")
        for i in range(count):
            W = layers[i][0]
            if W is None or W.ndim != 2 or 0 in (W.shape[0], W.shape[1]) \
                    or i and W.shape[0] != inputs:
                raise ValueError(
                    f"predictor: W{i + 1} has shape {np.shape(layers[i][0])}, expected "
                    f"({inputs or 'D'}, M), at least one of each")
            inputs = W.shape[1]
            given = [entry is not None for entry in layers[i][1:6]]
            if given not in ([True] + [False] * 4, [True] * 3 + [False] * 2, [True] * 5) \
                    or i + 1 == count and given[1]:
                raise ValueError(f"predictor: layer {i + 1} has not the arrays that a layer has")
            for j in range(1, 6):
                row = layers[i][j]
                if row is not None and (row.ndim != 1 or row.shape[0] != inputs):
                    raise ValueError(
                        f"predictor: {('b', 'gamma', 'beta', 'mean', 'var')[j - 1]}{i + 1} has "
                        f"shape {np.shape(row)}, expected ({inputs},) to match W{i + 1}")
        return 0

    # Puts the layers' arrays into `memory`.
    cdef void pack(self, list layers, size_t itemsize):
        cdef char *at = self.memory
        cdef fc_layer *layer
        cdef void *w
        cdef size_t i, row
        for i in range(self.net.count):
            layer, entries = &self.net.layers[i], <list> layers[i]
            row = fc_padded(layer.M, itemsize) * itemsize
            w = at + 5 * row
            layer.w_is_finite = call_copy_weights(self.table, self.type, w,
                                                  cnp.PyArray_DATA(<ndarray> entries[0]),
                                                  layer.D, layer.M, False)
            layer.w.w = w
            layer.b.w = keep_row(at, entries[1])
            layer.gamma.w = keep_row(at + row, entries[2])
            layer.beta.w = keep_row(at + 2 * row, entries[3])
            layer.running_mean = keep_row(at + 3 * row, entries[4])
            layer.running_var = keep_row(at + 4 * row, entries[5])
            layer.layernorm = layer.gamma.w != NULL and layer.running_mean == NULL
            layer.eps, layer.activation = entries[6], entries[7]
            at += (layer.D + 5) * row

    def __dealloc__(self):
        fc_free(self.memory)
        free(self.net.layers)

    @property
    def dtype(self):
        """The network's."""
        return np.dtype(np.float32 if self.type == F32 else np.float64)

    @property
    def input_dim(self):
        """D, numbers of an example."""
        return self.D

    @property
    def num_classes(self):
        """C."""
        return self.C

    def __repr__(self):
        return f"<Predictor: {self.D} to {self.C}, {self.dtype}>"

    def __reduce__(self):
        cdef list layers = []
        cdef fc_layer *layer
        cdef ndarray W
        cdef size_t i
        for i in range(self.net.count):
            layer = &self.net.layers[i]
            W = fresh(2, [layer.D, layer.M], self.type)
            call_copy_weights(self.table, self.type, <void *> layer.w.w, cnp.PyArray_DATA(W),
                              layer.D, layer.M, True)
            layers.append((W, self.row_of(layer.b.w, layer.M), self.row_of(layer.gamma.w, layer.M),
                           self.row_of(layer.beta.w, layer.M),
                           self.row_of(layer.running_mean, layer.M),
                           self.row_of(layer.running_var, layer.M), layer.eps,
                           name_of_activation(layer.activation)))
        return Predictor, (layers, self.dtype, self.check)

    # A copy of M numbers, None for NULL.
    cdef object row_of(self, const void *at, cnp.npy_intp M):
        cdef ndarray row
        if at == NULL:
            return None
        row = fresh(1, &M, self.type)
        memcpy(cnp.PyArray_DATA(row), at, cnp.PyArray_NBYTES(row))
        return row

    # Whether x is what a call takes, and of how many examples.
    cdef bint is_examples(self, ndarray x, cnp.npy_intp *N) except -1:
        cdef int ndim = x.ndim
        if ndim == 0 or not is_dense(x, self.type):
            return False
        N[0] = 1 if ndim == 1 else x.shape[0]
        if ndim <= 2:
            return x.shape[ndim - 1] == self.D
        return count_features("predictor", x) == self.D

    # Whether out can be written, and has the shape of the scores of N examples.
    cdef bint is_output(self, ndarray out, ndarray x, cnp.npy_intp N) noexcept:
        cdef char *first = <char *> cnp.PyArray_DATA(x)
        cdef char *start = <char *> cnp.PyArray_DATA(out)
        cdef int ndim = 1 if x.ndim == 1 else 2
        return (is_dense(out, self.type) and cnp.PyArray_ISWRITEABLE(out)
                and out.ndim == ndim and out.shape[ndim - 1] == self.C
                and (ndim == 1 or out.shape[0] == N)
                and (start + cnp.PyArray_NBYTES(out) <= first
                     or first + cnp.PyArray_NBYTES(x) <= start))

    def __call__(self, x, out=None):
        """Scores of x, in out or in a new array."""
        cdef ndarray examples, scores
        cdef cnp.npy_intp N = 0
        cdef size_t bytes
        cdef char stack[STACK_BYTES + 64]
        cdef char *memory = stack + (64 - <size_t> stack % 64)
        cdef void *allocated = NULL
        cdef Watch watch
        cdef void *px
        cdef void *pscores
        if not cnp.PyArray_CheckExact(x) or not (out is None or cnp.PyArray_CheckExact(out)):
            x = self.check(self, x, out)[0]
            if not cnp.PyArray_Check(x) or not (out is None or cnp.PyArray_Check(out)):
                raise TypeError("predictor: x or out is no array")
        examples, scores = x, out
        if not self.is_examples(examples, &N) \
                or scores is not None and not self.is_output(scores, examples, N):
            self.check(self, x, out)
            raise ValueError("predictor: x or out changed during the call")
        if scores is None:
            scores = fresh(1, &self.C, self.type) if examples.ndim == 1 \
                else fresh(2, [N, self.C], self.type)
        bytes = fc_predict_bytes(&self.net, N, 4 if self.type == F32 else 8)
        if bytes > STACK_BYTES:
            allocated = fc_allocate(align_up(bytes))
            if allocated == NULL:
                raise MemoryError
            memory = <char *> allocated
        px, pscores = cnp.PyArray_DATA(examples), cnp.PyArray_DATA(scores)
        if N * self.net.work < RELEASED_WORK:
            call_predict(self.table, self.type, pscores, &self.net, px, N, memory)
            fc_free(allocated)
            return scores
        begin_watch(&watch, <double> N * self.net.work)
        with nogil:
            call_predict(self.table, self.type, pscores, &self.net, px, N, memory)
        end_watch(&watch)
        fc_free(allocated)
        raise_noted(&watch)
        return scores


# Copies a row to where it is kept, None to nowhere; returns where it is.
cdef void *keep_row(char *to, object row):
    if row is None:
        return NULL
    memcpy(to, cnp.PyArray_DATA(<ndarray> row), cnp.PyArray_NBYTES(<ndarray> row))
    return to


def nothing(x):
    """Do nothing with x: what a call costs, for benchmarks."""
