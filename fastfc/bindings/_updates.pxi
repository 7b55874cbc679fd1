# The updates of all parameters in a training step.

cdef class Updates:
    """A step's updates of all parameters, in place where nobody can tell.

    ``regular`` says whether every parameter and every config is as the rule leaves it: the first
    step of a run is not, and goes through fastfc.optim, which fills in defaults and state.
    """

    cdef readonly bint regular
    cdef bint counts  # its steps
    cdef fc_update *updates
    cdef list held, after, alive  # alive: whatever other threads put into the dictionaries
    cdef dict params, places
    cdef int dtype

    def __cinit__(self, str rule, dict params, dict configs):
        cdef fc_update *update
        cdef ndarray w
        cdef tuple keys
        cdef int i = 0
        self.regular = False
        self.dtype = 0
        self.params = params
        self.held = []
        self.places = {}
        self.counts = "t" in <tuple> rule_of(rule)[2]
        self.updates = <fc_update *> calloc(len(params), sizeof(fc_update))
        if self.updates == NULL:
            raise MemoryError
        for name, value in params.items():
            update = &self.updates[i]
            config = configs.get(name)
            if type(config) is not dict or not cnp.PyArray_CheckExact(value):
                return
            w = value
            if self.dtype == 0:
                self.dtype = cnp.PyArray_TYPE(w)
            if cnp.PyArray_TYPE(w) != self.dtype or not cnp.PyArray_ISCARRAY(w):
                return
            keys = bind_config(update, rule, <dict> config, w, [])
            if keys is None:
                return
            for key in keys:
                if not cnp.PyArray_ISCARRAY(<ndarray> (<dict> config)[key]):
                    return
            update.n = cnp.PyArray_SIZE(w)
            self.held.append((name, config, keys))
            self.places[name] = i
            i += 1
        self.regular = self.dtype == F32 or self.dtype == F64

    def __dealloc__(self):
        free(self.updates)

    # Fills in the addresses of what is updated: in place, or into new arrays.
    cdef int prepare(self) except -1:
        cdef fc_update *update
        cdef ndarray w, old, new
        cdef int i, j
        self.after, self.alive = [], []
        for i, (name, config, keys) in enumerate(self.held):
            update = &self.updates[i]
            w = self.params[name]
            update.w = cnp.PyArray_DATA(w)
            if update.rule == FC_SGD or fc_is_ours(<PyObject *> w):
                update.next_w = cnp.PyArray_DATA(w)
            else:
                new = fresh_like(w, self.dtype)
                update.next_w = cnp.PyArray_DATA(new)
                self.after.append((self.params, name, new))
            self.alive.append(w)
            for j, key in enumerate(keys):
                old = (<dict> config)[key]
                update.state[j] = cnp.PyArray_DATA(old)
                if fc_is_ours(<PyObject *> old):
                    update.next_state[j] = cnp.PyArray_DATA(old)
                else:
                    new = fresh_like(old, self.dtype)
                    update.next_state[j] = cnp.PyArray_DATA(new)
                    self.after.append((config, key, new))
                self.alive.append(old)
        return 0

    # Updates everything at once, which the passes have left to do.
    cdef int apply(self, double clip_norm) except -1:
        cdef size_t count = len(self.held)
        with nogil:
            call_update(self.dtype, self.updates, clip_norm, count)
        return 0

    # Puts what the core has written where it belongs.
    cdef int commit(self) except -1:
        for mapping, key, new in self.after:
            mapping[key] = new
        if self.counts:
            for _, config, _ in self.held:
                config["t"] += 1
        return 0
