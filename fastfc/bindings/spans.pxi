# Whether what a step writes meets what else it reads or writes: then it must be composed, in order.

# Memory from `first` up to `last`.
cdef struct Span:
    const char *first
    const char *last


cdef int compare_spans(const void *a, const void *b) noexcept nogil:
    cdef const char *first = (<const Span *> a).first
    cdef const char *second = (<const Span *> b).first
    return (first > second) - (first < second)


cdef class Spans:
    """Stretches of memory that must not meet; to look at them runs nothing of Python."""

    cdef Span *spans
    cdef size_t count

    def __dealloc__(self):
        free(self.spans)

    # Makes room for so many.
    cdef int reserve(self, size_t count) except -1:
        free(self.spans)
        self.count = 0
        self.spans = <Span *> calloc(count, sizeof(Span))
        if self.spans == NULL:
            raise MemoryError
        return 0

    cdef void clear(self) noexcept:
        self.count = 0

    # Adds one; there is room for it.
    cdef void add(self, const void *first, size_t bytes) noexcept:
        self.spans[self.count] = Span(<const char *> first, <const char *> first + bytes)
        self.count += 1

    # Whether two of them meet.
    cdef bint meet(self) noexcept:
        cdef size_t i
        qsort(self.spans, self.count, sizeof(Span), compare_spans)
        for i in range(1, self.count):
            if self.spans[i].first < self.spans[i - 1].last:
                return True
        return False
