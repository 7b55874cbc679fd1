# Several training steps in one call: what the core draws for each, and what it leaves.

# The labels of an array for the core.  False where they must go through NumPy: of other types or
# shapes, or an array whose class may have an indexing of its own.
cdef bint bind_labels(fc_labels *labels, object value) noexcept:
    if not cnp.PyArray_CheckExact(value):
        return False
    cdef ndarray y = value
    if y.ndim != 1 or not cnp.PyArray_ISINTEGER(y) or not cnp.PyArray_ISBEHAVED_RO(y):
        return False
    labels.y = cnp.PyArray_DATA(y)
    labels.stride = y.strides[0]
    labels.bytes = cnp.PyArray_ITEMSIZE(y)
    labels.is_signed = cnp.PyArray_ISSIGNED(y)
    return True


cdef class Drawn:
    """Minibatches that the core draws by np.random's MT19937, and what their steps leave.

    ``base`` and ``factors`` are the learning rates of a schedule: of each parameter, and of each
    step.  Without, they stay as they are in the configs.
    """

    cdef fc_steps steps
    cdef fc_mt19937 state  # a copy, which goes back when the steps are done
    cdef object y
    cdef list history  # to which losses are appended
    cdef dict base
    cdef ndarray factors, rates, losses, times
    cdef bitgen_t *bitgen

    def __cinit__(self, y, size_t most, double seconds, list history, base, factors):
        cdef cnp.npy_intp count = most
        self.y, self.history = y, history
        self.losses = fresh(1, &count, F64)
        self.times = cnp.PyArray_ZEROS(1, &count, cnp.NPY_INT64, 0)
        self.steps.most = most
        self.steps.nanoseconds = <cnp.int64_t> (1e9 * min(max(seconds, 0), 1e6))
        self.steps.loss = <double *> cnp.PyArray_DATA(self.losses)
        self.steps.time = <cnp.int64_t *> cnp.PyArray_DATA(self.times)
        if base is not None:
            self.base = base
            self.factors = np.array(factors, np.float64)
            if (<object> self.factors).shape != (most,):
                raise ValueError(f"steps: factors has shape {(<object> self.factors).shape}, "
                                 f"expected ({most},)")
            self.steps.factor = <double *> cnp.PyArray_DATA(self.factors)

    # What may run Python, for a network of so many layers.  False where it must be drawn in Python.
    cdef bint read(self, object generator, object X, int count) except -1:
        cdef cnp.npy_intp rates = 4 * count
        if self.base is not None:
            self.rates = cnp.PyArray_ZEROS(1, &rates, F64, 0)
            self.steps.base = <double *> cnp.PyArray_DATA(self.rates)
        if type(generator) is not mt19937_type or not isinstance(X, np.ndarray):
            return False
        self.bitgen = bitgen_of(generator)
        return self.bind_examples(X)

    cdef bint bind_examples(self, ndarray X) noexcept:
        cdef cnp.npy_intp count
        if not bind_labels(&self.steps.labels, self.y):
            return False
        count = (<ndarray> self.y).shape[0]
        if X.ndim == 0 or not 1 <= count <= X.shape[0] or count >= 0xffffffff:
            return False
        self.steps.examples = count
        return True

    # Binds all that is drawn: rows into `index`, their labels into `labels`, masks or the layers'
    # keys.  Under the generator's lock; nothing of Python runs here.
    cdef bint bind(self, fc_network *net, ndarray X, ndarray index, ndarray labels,
                   object generator, bint dropout, bint seeded, object seed) except -1:
        cdef size_t i
        require_position(generator, self.bitgen)
        self.state = (<fc_mt19937 *> self.bitgen.state)[0]
        self.steps.state = &self.state
        self.steps.index = <cnp.int64_t *> cnp.PyArray_DATA(index)
        self.steps.y = <cnp.int64_t *> cnp.PyArray_DATA(labels)
        self.steps.draws_keys = dropout and net.philox and not seeded
        if dropout and not net.philox:
            net.state = &self.state
        elif dropout and seeded:
            for i in range(net.count - 1):
                net.layers[i].key = seed
        return self.bind_examples(X)

    # The rates of a schedule, for the parameters at their places.
    cdef bint bind_rates(self, dict params, dict places, dict configs, Transaction call) except -1:
        cdef double *rates = <double *> cnp.PyArray_DATA(self.rates)
        if not is_plain_dict(self.base):
            return False
        for name in params:
            rate = self.base.get(name)
            if type(rate) is not float:
                return False
            rates[<int> places[name]] = rate
            call.rated.append(configs.get(name))
            call.rated.append(rate)
        return True

    # After so many steps: the generator's state goes back.
    cdef void finish(self) noexcept:
        (<fc_mt19937 *> self.bitgen.state)[0] = self.state

    # Appends the losses of so many steps, in the network's dtype; returns the seconds after which
    # each was done.
    cdef object results(self, size_t taken, int dtype):
        self.history.extend(self.losses[:taken].astype(np.float32 if dtype == F32 else np.float64))
        return self.times[:taken] * 1e-9
