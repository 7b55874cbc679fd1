# Several training steps in one call: what the core draws or takes for each, and what it leaves.

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


# The targets of an array, of so many numbers each, for the core; its index is set later.  False
# where they must go through NumPy.
cdef bint bind_targets(fc_gather *rows, object value, cnp.npy_intp M) noexcept:
    if not cnp.PyArray_CheckExact(value):
        return False
    cdef ndarray y = value
    cdef int given = cnp.PyArray_TYPE(y)
    if not (y.ndim == 1 and M == 1 or y.ndim == 2 and y.shape[1] == M):
        return False
    if given != F32 and given != F64 and given != cnp.NPY_UINT8:
        return False
    if not has_dense_rows(y) or not cnp.PyArray_ISBEHAVED_RO(y):
        return False
    rows.x = cnp.PyArray_DATA(y)
    rows.type = FC_FLOAT32 if given == F32 else FC_FLOAT64 if given == F64 else FC_UINT8
    rows.stride = y.strides[0]
    rows.mean = rows.std = NULL
    return True


cdef class Drawn:
    """Minibatches that the core draws by np.random's MT19937, or takes in an order, and what their
    steps leave.

    ``base`` and ``factors`` are the learning rates of a schedule: of each parameter, and of each
    step.  Without, they stay as they are in the configs.
    """

    cdef fc_steps steps
    cdef fc_mt19937 state  # a copy, which goes back when the steps are done
    cdef object y, weights  # of all examples
    cdef list history  # to which losses are appended
    cdef dict base
    cdef ndarray order, starts, factors, epsilons, rates, losses, times
    cdef double alpha
    cdef bitgen_t *bitgen  # NULL where nothing is drawn

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
            self.factors = self.each_step("factors", factors)
            self.steps.factor = <double *> cnp.PyArray_DATA(self.factors)

    # A copy of a number for each step.
    cdef ndarray each_step(self, str name, object numbers):
        copied = np.array(numbers, np.float64)
        if copied.shape != (self.steps.most,):
            raise ValueError(f"steps: {name} has shape {copied.shape}, expected "
                             f"({self.steps.most},)")
        return copied

    # What else an epoch has.  The rows of a step, at most batch_size, are those of the order from
    # its start to the next one's.
    cdef int set_epoch(self, object weights, object order, object starts, size_t batch_size,
                       object alpha, object epsilons) except -1:
        self.weights = weights
        if order is not None:
            self.order = copy_integers("steps", "order", order, "integers")
            self.steps.order = <const cnp.int64_t *> cnp.PyArray_DATA(self.order)
            self.starts = copy_integers("steps", "starts", starts, "integers")
            if self.order.ndim != 1 or not self.has_starts(batch_size):
                raise shape_error("steps", "order", self.order, f"rows for {self.steps.most} steps "
                                  f"of {batch_size}")
            self.steps.start = <const cnp.int64_t *> cnp.PyArray_DATA(self.starts)
        if alpha is not None:
            self.alpha = as_number("steps", "alpha", alpha)
            self.steps.alpha = &self.alpha
        if epsilons is not None:
            self.epsilons = self.each_step("epsilons", epsilons)
            self.steps.epsilon = <double *> cnp.PyArray_DATA(self.epsilons)
        return 0

    # Whether the steps share the order out among them, at least a row to each.
    cdef bint has_starts(self, cnp.int64_t batch_size):
        cdef const cnp.int64_t *start = <const cnp.int64_t *> cnp.PyArray_DATA(self.starts)
        cdef size_t i
        if self.starts.ndim != 1 or <size_t> self.starts.shape[0] != self.steps.most + 1:
            return False
        for i in range(self.steps.most):
            if not 0 < start[i + 1] - start[i] <= batch_size:
                return False
        return start[0] == 0 and start[self.steps.most] == self.order.shape[0]

    # What may run Python, for a network of so many layers, with labels or so many scores.  False
    # where it must be drawn in Python.
    cdef bint read(self, object generator, object X, int count, bint labelled,
                   cnp.npy_intp scores) except -1:
        cdef cnp.npy_intp rates = 4 * count
        if self.base is not None:
            self.rates = cnp.PyArray_ZEROS(1, &rates, F64, 0)
            self.steps.base = <double *> cnp.PyArray_DATA(self.rates)
        if not isinstance(X, np.ndarray):
            return False
        if generator is not None:
            if type(generator) is not mt19937_type:
                return False
            self.bitgen = bitgen_of(generator)
        return self.bind_examples(X, labelled, scores)

    # Binds what the steps take rows of: labels, or targets of so many numbers, and weights.  False
    # where they must go through NumPy.
    cdef bint bind_examples(self, ndarray X, bint labelled, cnp.npy_intp M) except -1:
        cdef cnp.npy_intp count
        cdef ndarray weights
        if not (bind_labels(&self.steps.labels, self.y) if labelled
                else bind_targets(&self.steps.targets, self.y, M)):
            return False
        count = (<ndarray> self.y).shape[0]
        if X.ndim == 0 or not 1 <= count <= X.shape[0] or count >= 0xffffffff:
            return False
        self.steps.examples = count
        if self.weights is not None:
            if not is_eligible(self.weights, F64, 1):
                return False
            weights = self.weights
            if weights.shape[0] != count:
                raise shape_error("steps", "sample_weight", weights, f"({count},), as y has")
            self.steps.weights = <const double *> cnp.PyArray_DATA(weights)
        if self.order is not None:
            self.require_order(count)
        return True

    # That the order has rows of so many.
    cdef int require_order(self, cnp.npy_intp count) except -1:
        cdef const cnp.int64_t *row = self.steps.order
        cdef size_t i
        for i in range(<size_t> self.order.shape[0]):
            if not 0 <= row[i] < count:
                raise IndexError(f"steps: order[{i}] is {row[i]}, expected a row of y from 0 to "
                                 f"{count - 1}")
        return 0

    # Binds all that is drawn or taken: rows into `index`, their labels or targets and weights into
    # these, masks or the layers' keys.  Under the generator's lock, if there is one; nothing of
    # Python runs here.
    cdef bint bind(self, fc_network *net, ndarray X, ndarray index, ndarray labels, ndarray weights,
                   object generator, bint dropout, bint seeded, object seed) except -1:
        cdef size_t i
        cdef bint labelled = is_labelled(net.loss.kind)
        if generator is not None:
            require_position(generator, self.bitgen)
            self.state = (<fc_mt19937 *> self.bitgen.state)[0]
            self.steps.state = &self.state
        self.steps.index = <cnp.int64_t *> cnp.PyArray_DATA(index)
        if labelled:
            self.steps.y = <cnp.int64_t *> cnp.PyArray_DATA(labels)
        else:
            self.steps.target = cnp.PyArray_DATA(labels)
            self.steps.targets.index = self.steps.index
        if weights is not None:
            self.steps.weight = <double *> cnp.PyArray_DATA(weights)
        self.steps.draws_keys = dropout and net.philox and not seeded
        if dropout and not net.philox:
            net.state = &self.state
        elif dropout and seeded:
            for i in range(net.count - 1):
                net.layers[i].key = seed
        return self.bind_examples(X, labelled, net.layers[net.count - 1].M)

    # The numbers that change from step to step, for the parameters at their places.
    cdef bint bind_numbers(self, dict params, dict places, dict configs,
                           Transaction call) except -1:
        cdef double *rates
        if self.base is not None:
            if not is_plain_dict(self.base):
                return False
            rates = <double *> cnp.PyArray_DATA(self.rates)
            for name in params:
                rate = self.base.get(name)
                if type(rate) is not float:
                    return False
                rates[<int> places[name]] = rate
                call.rated.append(configs.get(name))
                call.rated.append(rate)
        if self.epsilons is not None:
            for name in params:
                call.steadied.append(configs.get(name))
        return True

    # After so many steps: the generator's state goes back.
    cdef void finish(self) noexcept:
        if self.bitgen != NULL:
            (<fc_mt19937 *> self.bitgen.state)[0] = self.state

    # Appends the losses of so many steps, in the network's dtype; returns the seconds after which
    # each was done.
    cdef object results(self, size_t taken, int dtype):
        self.history.extend(self.losses[:taken].astype(np.float32 if dtype == F32 else np.float64))
        return self.times[:taken] * 1e-9
