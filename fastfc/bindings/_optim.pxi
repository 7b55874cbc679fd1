# Update rules.  What each keeps in its config is defined in fastfc/reference/optim.py.

from libc.string cimport memset

cdef dict NUMBERS = {
    "sgd": FC_SGD,
    "sgd_momentum": FC_SGD_MOMENTUM,
    "sgd_nesterov_momentum": FC_SGD_NESTEROV_MOMENTUM,
    "rmsprop": FC_RMSPROP,
    "adam": FC_ADAM,
    "adamw": FC_ADAMW,
}
cdef dict RULES = {}  # filled at first use: the definitions take 10 ms to import


# A rule's number, its state's keys in either course's names, the names of its constants.
cdef tuple rule_of(str rule):
    if rule not in RULES:
        from fastfc.update_rules import RULES as definitions
        RULES[rule] = (NUMBERS[rule], definitions[rule].states, tuple(definitions[rule].constants))
    return <tuple> RULES[rule]


# Whether value is an array of the dtype and shape of like.
cdef bint alike(object value, ndarray like):
    return (cnp.PyArray_CheckExact(value)
            and cnp.PyArray_TYPE(<ndarray> value) == cnp.PyArray_TYPE(like)
            and same_shape(<ndarray> value, like))


# Fills in the constants of w's update, puts dense arrays of its state into `state`, and returns the
# state's keys; None where config is not as the rule leaves it.
cdef tuple take_config(fc_update *update, str rule, dict config, ndarray w, list state):
    cdef int j
    number, states, constants = rule_of(rule)
    keys = states[0] if len(states) == 1 or states[0][0] in config else states[1]
    update.rule = number
    for j, key in enumerate(<tuple> constants):
        value = config.get(key)
        if not isinstance(value, float) and type(value) is not int:
            return None
        update.number[j] = value
        if key == "t":  # of this step
            update.number[j] += 1
            if type(value) is not int or update.number[j] < 1:
                return None
    for key in <tuple> keys:
        value = config.get(key)
        if not alike(value, w):
            return None
        state.append(dense(value, cnp.PyArray_TYPE(w)))
    return keys


# Whether b's memory meets a's at another offset: an update in place would read what it has written.
cdef bint overlap(ndarray a, ndarray b):
    cdef const char *pa = cnp.PyArray_BYTES(a)
    cdef const char *pb = cnp.PyArray_BYTES(b)
    return pa != pb and pa < pb + cnp.PyArray_NBYTES(b) and pb < pa + cnp.PyArray_NBYTES(a)


def update(str rule, w, dw, config):
    """next_w, and the next state in config, where everything is as the rule leaves it: arrays of
    float32 or float64 and of one shape, constants that are floats.  Elsewhere None, and nothing has
    been done.  sgd works in w itself."""
    cdef fc_update call
    cdef ndarray given, gradient, next_w, new
    cdef list state = [], after = []
    cdef int j, dtype
    if not cnp.PyArray_CheckExact(w) or type(config) is not dict or not alike(dw, w):
        return None
    given = w
    dtype = cnp.PyArray_TYPE(given)
    if dtype != F32 and dtype != F64:
        return None
    memset(&call, 0, sizeof(call))
    keys = take_config(&call, rule, config, given, state)
    if keys is None or call.rule == FC_SGD and not cnp.PyArray_ISWRITEABLE(given):
        return None
    given = dense(given, dtype)
    gradient = dense(dw, dtype)
    in_place = call.rule == FC_SGD and given is w and not overlap(given, gradient)
    next_w = given if in_place else fresh_like(given, dtype)
    call.n = cnp.PyArray_SIZE(given)
    call.next_w, call.w = cnp.PyArray_DATA(next_w), cnp.PyArray_DATA(given)
    call.dw = cnp.PyArray_DATA(gradient)
    for j, old in enumerate(state):
        new = fresh_like(given, dtype)
        after.append(new)
        call.state[j], call.next_state[j] = cnp.PyArray_DATA(<ndarray> old), cnp.PyArray_DATA(new)
    with nogil:
        call_update(dtype, &call, 0, 1)
    for key, new in zip(<tuple> keys, after):
        config[key] = new
    if "t" in <tuple> rule_of(rule)[2]:
        config["t"] += 1
    if call.rule == FC_SGD:
        if not in_place:
            w[...] = next_w
        return w
    return next_w


def sum_of_squares(x):
    cdef int dtype = 0
    cdef double total = 0
    cdef ndarray array = operand("sum_of_squares", "x", x, &dtype)
    array = dense(array, settled(&dtype))
    with nogil:
        call_sum_of_squares(dtype, &total, cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))
    return total
