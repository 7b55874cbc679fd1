# Signals during a long operation.  Python handles a signal only where its interpreter runs, and
# an operation on huge arrays may take minutes.  So a long one takes the GIL about every 100 ms
# and lets Python look.  What a handler raises, as Ctrl-C does, ends the operation early; its
# outputs are dropped.  One that has begun to write over its inputs finishes first.
#
# A handler is code of the caller's that runs beside the kernel, as that of another thread may.
#
# Only the main thread looks: Python runs handlers on no other, and ends others when they take
# the GIL while the interpreter shuts down: in the middle of a kernel whose workers read their
# stacks.

# Multiply-adds, or elements, from which an operation is long: no kernel takes 100 ms for less.
cdef double long_work = 1 << 25


cdef unsigned long main_thread = threading.main_thread().ident


def _set_main_thread():
    global main_thread
    main_thread = PyThread_get_thread_ident()


# Has a function called in each forked child; neither Windows nor a browser has fork.
cdef after_fork(function):
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


after_fork(_set_main_thread)


cdef struct Watch:
    fc_watch core  # the first, for `look_for_signals`
    bint begun
    PyObject *type  # of what a handler has raised; and that, and its traceback
    PyObject *value
    PyObject *traceback


cdef int look_for_signals(fc_watch *watch) noexcept with gil:
    cdef Watch *self = <Watch *> watch
    if PyErr_CheckSignals() == 0:
        return False
    PyErr_Fetch(&self.type, &self.value, &self.traceback)
    return True


# Before an operation of so much work.
cdef void begin_watch(Watch *watch, double work) noexcept nogil:
    watch.begun = work > long_work and PyThread_get_thread_ident() == main_thread
    watch.core.asked = watch.core.finishing = False
    if watch.begun:
        fc_begin_watch(&watch.core, look_for_signals)


# The same before one that works in place: whatever a handler raises, it finishes.
cdef void begin_finishing(Watch *watch, double work) noexcept nogil:
    begin_watch(watch, work)
    watch.core.finishing = True


# Behind it.
cdef void end_watch(Watch *watch) noexcept nogil:
    if watch.begun:
        fc_end_watch(&watch.core)


# Raises what a handler has raised meanwhile.
cdef int raise_noted(Watch *watch) except -1:
    if watch.core.asked:
        PyErr_Restore(watch.type, watch.value, watch.traceback)
        return -1
    return 0


def _watch(double work, double seconds, size_t draws):
    """Set from how much work an operation looks for signals, how often, and after how many draws
    from np.random; return what was: for tests, which then need no long operations."""
    global long_work, fc_look_nanoseconds, most_draws
    before = long_work, fc_look_nanoseconds / 1e9, most_draws
    long_work, fc_look_nanoseconds = work, <cnp.int64_t> (seconds * 1e9)
    most_draws = draws
    return before


# Between two parts of an operation: raises what a handler raises.
cdef int look_for_signals_now() except -1:
    return PyErr_CheckSignals()
