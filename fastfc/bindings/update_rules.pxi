# Update rules, and how the update of one parameter is bound: for fastfc.optim, where next_w is a
# new array but sgd's, and for Network, which updates parameters in place too where nobody can tell.

# Each rule's number in C, and how many constants and state arrays it reads there.
cdef dict RULES_IN_C = {
    "sgd": (FC_SGD, 1, 0),
    "sgd_momentum": (FC_SGD_MOMENTUM, 2, 1),
    "sgd_nesterov_momentum": (FC_SGD_NESTEROV_MOMENTUM, 2, 1),
    "rmsprop": (FC_RMSPROP, 3, 1),
    "adam": (FC_ADAM, 5, 2),
    "adamw": (FC_ADAMW, 6, 2),
}
cdef dict rules = {}  # Rule by name: what set_rule_table was given


cdef class Rule:
    """What a rule keeps in a config, in the order of its arguments in csrc/table.h."""

    cdef int number
    cdef tuple constants
    cdef tuple states  # as in set_rule_table
    cdef bint counts  # its steps, under "t"

    # The keys of the state in this config.
    cdef tuple state_keys(self, dict config):
        if len(self.states) == 1 or self.states[0][0] in config:
            return <tuple> self.states[0]
        return <tuple> self.states[1]


def set_rule_table(table):
    """Tell the core what the update rules keep in their configs.

    table has for each rule's name its ``constants``, whose keys are those of the hyper-parameters,
    and its ``states``, one or two tuples of keys: the state's in one course's names, and if a
    config has them in another's.
    """
    cdef Rule rule
    cdef int constants, states
    for name, definition in table.items():
        if name not in RULES_IN_C:
            raise ValueError(f"set_rule_table: the core has no rule {name!r}, "
                             f"expected one of {', '.join(RULES_IN_C)}")
        rule = Rule()
        rule.number, constants, states = RULES_IN_C[name]
        rule.constants = tuple(definition.constants)
        rule.states = tuple(map(tuple, definition.states))
        rule.counts = "t" in rule.constants
        if len(rule.constants) != constants or len(rule.states) not in (1, 2) \
                or any(len(keys) != states for keys in rule.states):
            raise ValueError(f"set_rule_table: {name} has constants {rule.constants} and states "
                             f"{rule.states}, expected {constants} constants and one or two tuples "
                             f"of {states} states")
        rules[name] = rule


# Whether value is an array of the dtype and shape of like.
cdef bint same_shape_and_dtype(object value, ndarray like):
    return (cnp.PyArray_CheckExact(value)
            and cnp.PyArray_TYPE(<ndarray> value) == cnp.PyArray_TYPE(like)
            and same_shape(<ndarray> value, like))


# Whether the memory of two dense arrays meets.
cdef bint overlaps(ndarray a, ndarray b) noexcept:
    cdef const char *pa = cnp.PyArray_BYTES(a)
    cdef const char *pb = cnp.PyArray_BYTES(b)
    return pa < pb + cnp.PyArray_NBYTES(b) and pb < pa + cnp.PyArray_NBYTES(a)


# Reads a rule's constants, t as that of this step.  False where config, a plain dict, is not as the
# rule leaves it.
cdef bint read_constants(double *number, Rule rule, dict config) except -1:
    cdef int j
    for j, key in enumerate(rule.constants):
        value = config.get(key)
        if not read_number(&number[j], value):
            return False
        if key == "t":
            number[j] += 1
            if type(value) is not int or number[j] < 1:
                return False
    return True


cdef class Transaction:
    """What one call of the core reads, and what it writes until `commit`.

    Nothing in the caller's dictionaries changes before that, but arrays that are updated in place.
    Lists are flat: to make a tuple would let the garbage collector run.
    """

    cdef list held  # arrays that the core reads or writes, whatever becomes of the dictionaries
    cdef list written  # dictionary, key, new value; and so on
    # The same for what depends on the number of steps: counts of the steps before; two arrays by
    # turns; rates, to be multiplied by a factor; configs that get an epsilon.
    cdef list counted, alternating, rated, steadied

    def __cinit__(self):
        self.held = []
        self.written = []
        self.counted = []
        self.alternating = []
        self.rated = []
        self.steadied = []

    cdef int clear(self) except -1:
        self.held.clear()
        self.written.clear()
        self.counted.clear()
        self.alternating.clear()
        self.rated.clear()
        self.steadied.clear()
        return 0

    cdef int write(self, dict mapping, object key, object value) except -1:
        self.written.append(mapping)
        self.written.append(key)
        self.written.append(value)
        return 0

    # What an odd number of steps leaves in one array, and an even one in another.
    cdef int write_by_turns(self, dict mapping, object key, ndarray odd, ndarray even) except -1:
        self.alternating.append(mapping)
        self.alternating.append(key)
        self.alternating.append(odd)
        self.alternating.append(even)
        return 0

    # Where the next values of an array go: into itself, or into a new one.
    cdef void *bind_next(self, ndarray old, bint in_place, dict mapping, object key) except NULL:
        cdef ndarray new
        if in_place:
            return cnp.PyArray_DATA(old)
        new = fresh_like(old, cnp.PyArray_TYPE(old))
        self.write(mapping, key, new)
        return cnp.PyArray_DATA(new)

    # Binds the update of w, the dense array that params has under name.  An array is updated in
    # itself if only its dictionary and one variable of the caller hold it; sgd's w is always.
    # False where config is not as the rule leaves it.
    cdef bint bind_update(self, fc_param *param, Rule rule, dict params, object name, object w,
                          object config) except -1:
        cdef int j, dtype = cnp.PyArray_TYPE(<ndarray> w)
        cdef bint ours
        if not is_plain_dict(config) or not read_constants(param.number, rule, config):
            return False
        ours = rule.number == FC_SGD or fc_is_ours(<PyObject *> w)
        param.next_w = self.bind_next(<ndarray> w, ours, params, name)
        for j, key in enumerate(rule.state_keys(<dict> config)):
            value = (<dict> config).get(key)
            if not same_shape_and_dtype(value, <ndarray> w) or not is_dense(<ndarray> value, dtype):
                return False
            ours = fc_is_ours(<PyObject *> value)
            param.state[j] = cnp.PyArray_DATA(<ndarray> value)
            param.next_state[j] = self.bind_next(<ndarray> value, ours, <dict> config, key)
            self.held.append(value)
        if rule.counts:
            self.counted.append(config)
            self.counted.append((<dict> config)["t"])
        return True

    # Puts what the core has written in so many steps, at least 1, where it belongs.  factor, that
    # of the rates, and epsilon are the last step's.
    cdef int commit(self, size_t steps, double factor, double epsilon) except -1:
        cdef Py_ssize_t i
        for i in range(0, len(self.written), 3):
            (<dict> self.written[i])[self.written[i + 1]] = self.written[i + 2]
        for i in range(0, len(self.counted), 2):
            (<dict> self.counted[i])["t"] = self.counted[i + 1] + steps
        for i in range(0, len(self.alternating), 4):
            (<dict> self.alternating[i])[self.alternating[i + 1]] = \
                self.alternating[i + 2 if steps % 2 else i + 3]
        for i in range(0, len(self.rated), 2):
            (<dict> self.rated[i])["learning_rate"] = <double> self.rated[i + 1] * factor
        for i in range(len(self.steadied)):
            (<dict> self.steadied[i])["epsilon"] = epsilon
        return 0


def update(str rule, w, dw, config):
    """next_w, and the next state in config, where everything is as the rule leaves it: arrays of
    float32 or float64 and of one shape, constants that are floats.  Elsewhere None, and nothing has
    been done.  sgd works in w itself, and others in state that nobody but config holds."""
    cdef fc_param param
    cdef fc_param *params = &param
    cdef Watch watch
    cdef ndarray first, new, next_w = None
    cdef list arrays = [w, dw], results = [], ours = []
    cdef Rule used = rules[rule]
    cdef int dtype, j, number = used.number
    cdef Py_ssize_t i
    if not cnp.PyArray_CheckExact(w) or not is_plain_dict(config):
        return None
    dtype = cnp.PyArray_TYPE(<ndarray> w)
    if dtype != F32 and dtype != F64:
        return None
    memset(&param, 0, sizeof(param))
    if not read_constants(param.number, used, config):
        return None
    steps = (<dict> config)["t"] + 1 if used.counts else None
    cdef tuple keys = used.state_keys(<dict> config)
    for key in keys:
        value = (<dict> config).get(key)
        if not cnp.PyArray_CheckExact(value):
            return None
        # A long update can be given up in the middle.
        ours.append(fc_is_ours(<PyObject *> value) and cnp.PyArray_SIZE(value) <= long_work)
        arrays.append(value)
    for value in arrays:
        if not same_shape_and_dtype(value, <ndarray> w):
            return None
    if number == FC_SGD and not cnp.PyArray_ISWRITEABLE(<ndarray> w):
        return None
    settle(arrays, dtype)
    if number == FC_SGD and overlaps(<ndarray> arrays[0], <ndarray> arrays[1]):
        arrays[1] = cnp.PyArray_NewCopy(<ndarray> arrays[1], cnp.NPY_CORDER)
        settle(arrays, dtype)
    first = arrays[0]
    for i in range(1, len(arrays)):
        if not same_shape(first, <ndarray> arrays[i]):
            raise ValueError(f"{rule}: w, dw or the state changed its shape during the call")
    param.n = cnp.PyArray_SIZE(first)
    param.w, param.dw = cnp.PyArray_DATA(first), cnp.PyArray_DATA(<ndarray> arrays[1])
    if number == FC_SGD:
        next_w = first
    else:
        next_w = fresh_like(first, dtype)
    param.next_w = cnp.PyArray_DATA(next_w)
    for j, key in enumerate(keys):
        new = arrays[2 + j]
        if not ours[j] or (<dict> config).get(key) is not new:
            new = fresh_like(first, dtype)
        param.state[j] = cnp.PyArray_DATA(<ndarray> arrays[2 + j])
        param.next_state[j] = cnp.PyArray_DATA(new)
        results.append(new)
    if number == FC_SGD:
        begin_finishing(&watch, param.n)
    else:
        begin_watch(&watch, param.n)
    with nogil:
        call_update(dtype, &params, number, 0, 1)
    end_watch(&watch)
    if not watch.core.finishing:
        raise_noted(&watch)
    if number != FC_SGD:
        for j, key in enumerate(keys):
            (<dict> config)[key] = results[j]
        if used.counts:
            (<dict> config)["t"] = steps
        return next_w
    if next_w is not w:
        w[...] = next_w
    raise_noted(&watch)
    return w
