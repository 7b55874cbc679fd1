# Update rules, and how the update of one parameter is bound: for fastfc.optim, which promises new
# arrays, and for Network, which updates in place where nobody can tell.

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


# Whether b's memory meets a's at another offset: an update in place would read what it has written.
cdef bint overlaps(ndarray a, ndarray b):
    cdef const char *pa = cnp.PyArray_BYTES(a)
    cdef const char *pb = cnp.PyArray_BYTES(b)
    return pa != pb and pa < pb + cnp.PyArray_NBYTES(b) and pb < pa + cnp.PyArray_NBYTES(a)


cdef class Transaction:
    """What one call of the core reads, and what it writes until `commit`.

    Nothing in the caller's dictionaries changes before that, but arrays that are updated in place.
    """

    cdef list held  # arrays that the core reads or writes, whatever becomes of the dictionaries
    cdef list written  # (dictionary, key, array): new arrays, and where they belong
    cdef list counting  # configs that count the rule's steps

    def __cinit__(self):
        self.held = []
        self.written = []
        self.counting = []

    # Where the next values of an array go: into itself, or into a new one.
    cdef void *bind_next(self, ndarray old, bint in_place, dict mapping, object key) except NULL:
        cdef ndarray new
        if in_place:
            return cnp.PyArray_DATA(old)
        new = fresh_like(old, cnp.PyArray_TYPE(old))
        self.written.append((mapping, key, new))
        return cnp.PyArray_DATA(new)

    # Binds the update of w, the dense array that params has under name.  With in_place, an array is
    # updated in itself if only its dictionary and one variable of the caller hold it; sgd's w is
    # always.  False where config is not as the rule leaves it.
    cdef bint bind_update(self, fc_param *param, Rule rule, dict params, object name, object w,
                          object config, bint in_place) except -1:
        cdef int j, dtype = cnp.PyArray_TYPE(<ndarray> w)
        cdef bint ours
        cdef ndarray state
        if type(config) is not dict:
            return False
        for j, key in enumerate(rule.constants):
            value = (<dict> config).get(key)
            if not read_number(&param.number[j], value):
                return False
            if key == "t":  # of this step
                param.number[j] += 1
                if type(value) is not int or param.number[j] < 1:
                    return False
        ours = rule.number == FC_SGD or in_place and fc_is_ours(<PyObject *> w)
        param.next_w = self.bind_next(<ndarray> w, ours, params, name)
        for j, key in enumerate(rule.state_keys(<dict> config)):
            value = (<dict> config).get(key)
            if not same_shape_and_dtype(value, <ndarray> w):
                return False
            # first, since `state` is one more that holds it
            ours = in_place and fc_is_ours(<PyObject *> value) \
                and cnp.PyArray_ISCARRAY(<ndarray> value)
            state = as_dense(<ndarray> value, dtype)
            param.state[j] = cnp.PyArray_DATA(state)
            param.next_state[j] = self.bind_next(state, ours, <dict> config, key)
            self.held.append(state)
        if rule.counts:
            self.counting.append(config)
        return True

    # Puts what the core has written where it belongs.
    cdef int commit(self) except -1:
        for mapping, key, new in self.written:
            (<dict> mapping)[key] = new
        for config in self.counting:
            (<dict> config)["t"] += 1
        return 0


def update(str rule, w, dw, config):
    """next_w, and the next state in config, where everything is as the rule leaves it: arrays of
    float32 or float64 and of one shape, constants that are floats.  Elsewhere None, and nothing has
    been done.  sgd works in w itself."""
    cdef fc_param param
    cdef const fc_param *params = &param
    cdef ndarray given, gradient
    cdef dict results = {}
    cdef Transaction call = Transaction()
    cdef Rule used
    cdef int dtype, number
    if not cnp.PyArray_CheckExact(w) or type(config) is not dict \
            or not same_shape_and_dtype(dw, w):
        return None
    dtype = cnp.PyArray_TYPE(<ndarray> w)
    if dtype != F32 and dtype != F64:
        return None
    used = rules[rule]
    number = used.number
    given = as_dense(w, dtype)
    gradient = as_dense(dw, dtype)
    if number == FC_SGD and overlaps(given, gradient):
        given = given.copy()
    memset(&param, 0, sizeof(param))
    if not call.bind_update(&param, used, results, "w", given, config, False):
        return None
    if number == FC_SGD and not cnp.PyArray_ISWRITEABLE(<ndarray> w):
        return None
    param.n = cnp.PyArray_SIZE(given)
    param.w, param.dw = cnp.PyArray_DATA(given), cnp.PyArray_DATA(gradient)
    with nogil:
        call_update(dtype, &params, number, 0, 1)
    call.commit()
    if number != FC_SGD:
        return results["w"]
    if given is not w:
        w[...] = given
    return w
