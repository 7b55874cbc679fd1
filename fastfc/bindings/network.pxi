# A whole training step in one call.
#
# Network serves eligible networks: parameters that are dense arrays of the network's dtype and of
# matching shapes, and for an update configs as the rule leaves them, which those of a run's first
# step are not.  For anything else its methods return None, and the caller composes the layers and
# rules, which say what is wrong.

# Whether value is an array that C can read as it is.
cdef bint is_eligible(object value, int dtype, int ndim):
    return (cnp.PyArray_CheckExact(value)
            and cnp.PyArray_NDIM(<ndarray> value) == ndim
            and cnp.PyArray_TYPE(<ndarray> value) == dtype
            and cnp.PyArray_ISCARRAY_RO(<ndarray> value))


# The address of an eligible (length,) array of a plain dictionary, else NULL.
cdef void *bind_vector(dict mapping, object key, size_t length, int dtype, list held):
    value = mapping.get(key)
    if not is_eligible(value, dtype, 1) or <size_t> cnp.PyArray_SIZE(<ndarray> value) != length:
        return NULL
    held.append(value)
    return cnp.PyArray_DATA(<ndarray> value)


def set_mode(model, str mode):
    """Set the mode of a model's dropout and batch normalisation, unless mode is None.

    False where an attribute is not of the type that the constructor gives it: then others set it,
    or say what is wrong.
    """
    cdef object dtype = model.dtype, normalization = model.normalization
    cdef object bn_params = model.bn_params, use_dropout = model.use_dropout
    cdef object activation = model.activation
    cdef object dropout_param = model.dropout_param, bn_param
    cdef int word = find_word(normalization, "batchnorm", "layernorm")
    if dtype is not np.float32 and dtype is not np.float64:
        return False
    if normalization is not None and word < 0 or find_activation(activation) < 0:
        return False
    if type(use_dropout) is not bool or type(dropout_param) is not dict:
        return False
    if type(bn_params) is not list:
        return False
    for bn_param in <list> bn_params:
        if type(bn_param) is not dict:
            return False
    if mode is None:
        return True
    if use_dropout:
        (<dict> dropout_param)["mode"] = mode
    if word == 0:
        for bn_param in <list> bn_params:
            if type(bn_param) is not dict:  # a key's own code has changed it meanwhile
                return False
            (<dict> bn_param)["mode"] = mode
    return True


# What a pass on some rows of a batch is called with, whose others are in other processes.
cdef class Share:
    cdef fc_share share
    cdef object exchange, error
    cdef ndarray numbers
    cdef size_t size
    cdef double total

    def __cinit__(self, exchange, size_t first, size_t size, double total, bint statistics):
        self.exchange, self.size, self.total = exchange, size, total
        self.share.first, self.share.statistics = first, statistics
        self.share.context, self.share.exchange = <void *> self, exchange_numbers

    # Room for what is exchanged about layers of so many features.
    cdef int reserve(self, size_t widest) except -1:
        self.numbers = np.empty(3 * widest)
        self.share.numbers = <double *> cnp.PyArray_DATA(self.numbers)
        return 0


# Lets a Share's object exchange what a pass has come to.  An error ends nothing here: the pass goes
# on with what it has, and then it is raised.
cdef void exchange_numbers(void *context, int what, const fc_layer *layer,
                           double *numbers) noexcept with gil:
    cdef Share share = <Share> context
    cdef size_t M = layer.M
    if share.error is not None:
        return
    try:
        if what == FC_LOSS:
            numbers[0] = share.exchange.loss(numbers[0])
            return
        own = share.numbers[:2 * M].reshape(2, M)
        if what == FC_SUMS:
            own[...] = share.exchange.means(own)
        else:
            share.numbers[:3 * M].reshape(3, M)[...] = share.exchange.statistics(own, layer.eps)
    except BaseException as error:
        share.error = error


cdef enum: IN_KERNEL = 2

cdef size_t forks = 0  # of which this process is the child of a child ...


def _count_fork():
    global forks
    forks += 1


after_fork(_count_fork)


cdef class Network:
    """A network's training steps and scores, and what they keep between calls."""

    cdef int dtype, count, activation
    cdef fc_network net
    cdef fc_layer *layers
    cdef fc_param **params  # in the order of the model's dictionary
    cdef size_t params_count
    cdef Spans spans  # what must not meet
    cdef list names  # of each layer's four parameters
    cdef dict places  # of each name: four times the layer, and which of its parameters
    cdef Arena arena
    cdef Transaction call  # the one that is going on; and what it has read of the model:
    cdef object model_params, normalization, bn_params, dropout_param, generator, seed
    cdef str loss_function  # the name of what composing it would call
    cdef Share share  # where the examples are some rows of a batch
    cdef bint seeded
    cdef dict grads  # of `step`, which nobody else sees
    cdef bint several  # steps in this call
    cdef int busy  # whether a call is inside, or even its kernel
    cdef size_t forks  # as it was at the last call

    def __cinit__(self):
        self.arena = Arena()
        self.spans = Spans()
        self.grads = {}

    def __dealloc__(self):
        free(self.layers)
        free(self.params)

    cdef int reserve_layers(self, int count) except -1:
        if self.count == count:
            return 0
        free(self.layers)
        free(self.params)
        self.layers, self.params = NULL, NULL
        self.count = 0
        self.layers = <fc_layer *> calloc(count, sizeof(fc_layer))
        self.params = <fc_param **> calloc(4 * <size_t> count, sizeof(fc_param *))
        if self.layers == NULL or self.params == NULL:
            raise MemoryError
        # a parameter and its config each, a layer's normalisation, and X
        self.spans.reserve(9 * <size_t> count + 1)
        self.count = count
        self.names = [(f"W{i}", f"b{i}", f"gamma{i}", f"beta{i}") for i in range(1, count + 1)]
        self.places = {name: 4 * i + j for i, names in enumerate(self.names)
                       for j, name in enumerate(names)}
        return 0

    # Binds a parameter, its gradient if there is a dictionary for it, and its update if there is a
    # rule.  Returns its array, or None if that or the config is not eligible.
    cdef ndarray bind_param(self, fc_param *param, dict params, object name, int ndim, dict grads,
                            Rule rule, dict configs):
        w = params.get(name)  # the one variable that holds it
        memset(param, 0, sizeof(fc_param))
        if not is_eligible(w, self.dtype, ndim):
            return None
        if rule is not None:
            if not cnp.PyArray_ISWRITEABLE(<ndarray> w):
                return None
            config = configs.get(name)
            if not self.call.bind_update(param, rule, params, name, w, config):
                return None
            if rule.number == FC_SGD:
                self.spans.add(cnp.PyArray_DATA(<ndarray> w), cnp.PyArray_NBYTES(<ndarray> w))
            else:
                self.spans.add(<const void *> <PyObject *> config, 1)
        if grads is not None:
            old = grads.get(name)
            if not is_eligible(old, self.dtype, ndim) \
                    or not same_shape(<ndarray> old, <ndarray> w) \
                    or not cnp.PyArray_ISWRITEABLE(<ndarray> old):
                old = grads[name] = fresh_like(<ndarray> w, self.dtype)
            self.call.held.append(old)  # an exchange may empty the dictionary
            param.dw = cnp.PyArray_DATA(<ndarray> old)
        param.n = cnp.PyArray_SIZE(<ndarray> w)
        param.w = cnp.PyArray_DATA(<ndarray> w)
        self.call.held.append(w)
        return w

    # Binds all parameters.  False where one is not eligible.
    cdef bint bind_params(self, dict params, bint normalized, dict grads, Rule rule,
                          dict configs) except -1:
        cdef fc_layer *layer
        cdef ndarray w
        cdef int i, j, place
        if self.count < 1:
            return False
        for i in range(self.count):
            layer = &self.layers[i]
            names = <tuple> self.names[i]
            w = self.bind_param(&layer.w, params, names[0], 2, grads, rule, configs)
            if w is None or w.shape[0] == 0 or w.shape[1] == 0:
                return False
            if i and <size_t> w.shape[0] != self.layers[i - 1].M:
                return False
            layer.D, layer.M, layer.activation = w.shape[0], w.shape[1], self.activation
            for j in range(1, 4):
                if j > 1 and not (normalized and i + 1 < self.count):
                    memset(&layer.params[j], 0, sizeof(fc_param))
                    continue
                w = self.bind_param(&layer.params[j], params, names[j], 1, grads, rule, configs)
                if w is None or layer.params[j].n != layer.M:
                    return False
        self.params_count = len(params)
        if self.params_count != (4 * self.count - 2 if normalized else 2 * self.count):
            return False
        for i, name in enumerate(params):
            place = self.places[name]
            self.params[i] = &self.layers[place // 4].params[place % 4]
        return True

    # Binds what the normalisations are called with: of batch normalisation the running averages,
    # zeros at first, and arrays for the next ones.  In test mode there are no next ones, and the
    # layers are composed where the averages are not there.
    cdef bint bind_normalization(self, object bn_params, bint layernorm, bint test) except -1:
        cdef fc_layer *layer
        cdef ndarray mean, var, spare_mean, spare_var
        cdef cnp.npy_intp M
        cdef int i
        if type(bn_params) is not list or len(<list> bn_params) != self.count - 1:
            return False
        for i in range(self.count - 1):
            layer = &self.layers[i]
            M = layer.M
            bn_param = (<list> bn_params)[i]
            if not is_plain_dict(bn_param):
                return False
            if not read_number(&layer.eps, (<dict> bn_param).get("eps", 1e-5)) \
                    or not is_eps(layer.eps):
                return False
            layer.layernorm = layernorm
            if layernorm:
                continue
            if not read_number(&layer.momentum, (<dict> bn_param).get("momentum", 0.9)) \
                    or not is_momentum(layer.momentum):
                return False
            if "running_mean" in <dict> bn_param and "running_var" in <dict> bn_param:
                layer.running_mean = bind_vector(bn_param, "running_mean", M, self.dtype,
                                                 self.call.held)
                layer.running_var = bind_vector(bn_param, "running_var", M, self.dtype,
                                                self.call.held)
            elif test or "running_mean" in <dict> bn_param or "running_var" in <dict> bn_param:
                return False
            else:
                mean = cnp.PyArray_ZEROS(1, &M, self.dtype, 0)
                self.call.held.append(mean)
                layer.running_mean = layer.running_var = cnp.PyArray_DATA(mean)
            if layer.running_mean == NULL or layer.running_var == NULL:
                return False
            if test:
                continue
            mean = fresh(1, &M, self.dtype)
            var = fresh(1, &M, self.dtype)
            layer.next_mean = cnp.PyArray_DATA(mean)
            layer.next_var = cnp.PyArray_DATA(var)
            if self.several:
                spare_mean = fresh(1, &M, self.dtype)
                spare_var = fresh(1, &M, self.dtype)
                layer.spare_mean = cnp.PyArray_DATA(spare_mean)
                layer.spare_var = cnp.PyArray_DATA(spare_var)
                self.call.write_by_turns(bn_param, "running_mean", mean, spare_mean)
                self.call.write_by_turns(bn_param, "running_var", var, spare_var)
            else:
                self.call.write(bn_param, "running_mean", mean)
                self.call.write(bn_param, "running_var", var)
            self.spans.add(<const void *> <PyObject *> bn_param, 1)
        return True

    # Reads the model: all of it, before anything is looked at.  False where it is not eligible.
    cdef bint read_model(self, object model, bint test) except -1:
        cdef object dtype = model.dtype, layers = model.num_layers
        self.call, self.activation = Transaction(), find_activation(model.activation)
        self.model_params, self.normalization = model.params, model.normalization
        self.bn_params = None if self.normalization is None else model.bn_params
        self.dropout_param = model.dropout_param if model.use_dropout else None
        if not test and not self.read_loss(model.loss_name, model.loss_param,
                                           model.label_smoothing):
            return False
        if self.activation < 0 or dtype is not np.float32 and dtype is not np.float64:
            return False
        if type(layers) is not int or type(self.model_params) is not dict:
            return False
        if not 1 <= layers <= len(<dict> self.model_params):
            return False
        if self.normalization is not None:
            if find_word(self.normalization, "batchnorm", "layernorm") < 0:
                return False
        self.dtype = F32 if dtype is np.float32 else F64
        self.reserve_layers(layers)
        return True

    # Reads which loss it has.  False where it must be composed.
    cdef bint read_loss(self, object name, object param, object label_smoothing) except -1:
        cdef double number, smoothing
        cdef int kind
        if type(name) is not str or name not in LOSSES_IN_C or name == "svm":
            return False
        if not read_number(&smoothing, label_smoothing) or not 0 <= smoothing <= 1:
            return False
        kind = LOSSES_IN_C[name]
        number = smoothing
        if kind == FC_HUBER_LOSS or kind == FC_QUANTILE_LOSS:
            if not read_number(&number, param) or not 0 < number or not isfinite(number) \
                    or kind == FC_QUANTILE_LOSS and number >= 1:
                return False
        elif param is not None:
            return False
        if smoothing != 0 and kind != FC_SOFTMAX_LOSS and kind != FC_LOGISTIC_LOSS:
            return False
        self.net.loss.kind, self.net.loss.number = <fc_loss_kind> kind, number
        self.loss_function = name + "_loss"
        return True

    # How many scores the model seems to have: what its last bias says, which nothing has checked.
    cdef cnp.npy_intp outputs(self):
        b = (<dict> self.model_params).get((<tuple> self.names[self.count - 1])[1])
        return cnp.PyArray_SIZE(<ndarray> b) if cnp.PyArray_CheckExact(b) else -1

    # Copies of the labels, or targets, and weights of N examples, or what stands for them.
    cdef ndarray copy_y(self, object y, cnp.npy_intp N):
        if is_labelled(self.net.loss.kind):
            return copy_labels(self.loss_function, y, N)
        return copy_targets(self.loss_function, y, N, self.outputs(), self.dtype)

    # That these copies fit so many examples and scores.  False where they do not: X has changed.
    cdef bint bind_y(self, ndarray labels, object y, ndarray weights, cnp.npy_intp N) except -1:
        cdef cnp.npy_intp M = self.layers[self.count - 1].M
        cdef int kind = self.net.loss.kind
        cdef bint labelled = is_labelled(kind)
        if not is_dense(labels, cnp.NPY_INT64 if labelled else self.dtype):  # no copy: its shape
            if labelled:
                require_label_count(self.loss_function, labels, N, M)
            else:
                require_target_shape(self.loss_function, labels, N, M)
            return False
        if labelled:
            require_labels(self.loss_function, labels, y, N, M)
        else:
            require_target_shape(self.loss_function, labels, N, M)
            require_targets(self.loss_function, kind, labels, self.dtype)
        if weights is not None:
            if not is_dense(weights, F64):
                require_weight_count(self.loss_function, weights, N)
                return False
            require_sample_weights(self.loss_function, weights, N, self.share is not None)
        bind_loss(&self.net.loss, kind, self.net.loss.number, labels, weights)
        return True

    # Binds the place of the examples in a batch that other processes share.
    cdef int bind_share(self) except -1:
        cdef size_t widest = 0
        cdef int i
        self.net.share = NULL
        if self.share is None:
            return 0
        if self.share.size < self.share.share.first + self.net.N:
            raise ValueError(f"loss: {self.net.N} examples from {self.share.share.first} on are no "
                             f"part of a batch of {self.share.size}")
        for i in range(self.count):
            widest = max(widest, self.layers[i].M)
        self.share.reserve(widest)
        self.net.share, self.net.loss.total = &self.share.share, self.share.total
        return 0

    # Whether the core can draw the masks of some rows of a batch.
    cdef bint draws_shares(self):
        return self.dropout_param is None or self.net.philox \
            or type(self.generator) is mt19937_type and not self.seeded

    # Reads what dropout is called with in train mode.  False where it must be composed.
    cdef bint read_dropout(self) except -1:
        cdef int rng, convention
        self.net.p, self.net.drop, self.net.philox = 1, False, False
        self.generator, self.seed, self.seeded = None, None, False
        if self.dropout_param is None:
            return True
        if type(self.dropout_param) is not dict:
            return False
        cdef dict dropout = self.dropout_param
        rng = find_word(dropout.get("rng", "numpy"), "numpy", "philox")
        convention = find_word(dropout.get("convention", "keep"), "keep", "drop")
        p = dropout.get("p")
        if rng < 0 or convention < 0 or not isinstance(p, float):
            return False
        self.net.p, self.net.drop, self.net.philox = p, convention, rng
        if not (0 <= self.net.p < 1 if self.net.drop else 0 < self.net.p <= 1):
            return False
        self.seeded = "seed" in dropout
        if self.seeded:
            self.seed = philox_key(dropout, True) if self.net.philox else dropout["seed"]
        if not (self.seeded and self.net.philox):
            self.generator = dropout_generator(dropout)
        return True

    # Binds all that the core reads of the model.  False where something is not eligible.  Nothing
    # of Python runs here.
    cdef bint bind_model(self, dict grads, Rule rule, dict configs, bint test) except -1:
        cdef dict params = self.model_params
        self.spans.clear()
        self.call.clear()
        if not is_plain_dict(params) or rule is not None and not is_plain_dict(configs):
            return False
        if not self.bind_params(params, self.normalization is not None, grads, rule, configs):
            return False
        return self.normalization is None or self.bind_normalization(
            self.bn_params, find_word(self.normalization, "batchnorm", "layernorm") == 1, test)

    # Binds a training step on the examples in `arrays`, or on the rows of X in `read`.  False where
    # something is not eligible.
    cdef bint bind_step(self, list arrays, ndarray labels, object y, ndarray weights, dict grads,
                        Rule rule, dict configs, ndarray X, fc_gather *gathered,
                        list read) except -1:
        cdef ndarray x
        cdef cnp.npy_intp N, D
        if not self.bind_model(grads, rule, configs, False):
            return False
        self.net.rows = NULL
        if X is not None:
            if not bind_rows(gathered, X, read[0], read):
                return False  # another thread has changed it
            self.net.rows = gathered
            x, N = X, (<ndarray> read[0]).shape[0]
        else:
            x = arrays[0]
            if x.ndim == 0:
                return False
            N = x.shape[0]
        D = count_features("loss", x)
        if N == 0 or <size_t> D != self.layers[0].D:
            return False
        if rule is not None:
            if X is None and rule.number == FC_SGD:
                self.spans.add(cnp.PyArray_DATA(x), cnp.PyArray_NBYTES(x))
            if self.spans.meet():
                return False
        elif self.normalization is not None and self.spans.meet():
            return False
        if not self.bind_y(labels, y, weights, N):
            return False
        self.net.N, self.net.count, self.net.layers = N, self.count, self.layers
        self.net.params, self.net.params_count = self.params, self.params_count
        self.net.state = NULL
        self.arena.lay_out_step(&self.net, self.dtype, self.dropout_param is not None,
                                self.net.rows != NULL)
        return True

    # The masks of a seeded stream, layer by layer, each after the seed.
    cdef list draw_masks(self):
        cdef list sizes = [self.net.N * self.layers[i].M for i in range(self.count - 1)]
        cdef list masks = []
        cdef ndarray mask
        cdef bitgen_t *bitgen = bitgen_of(self.generator)
        cdef unsigned char *keep
        cdef cnp.npy_intp n
        for size in sizes:
            seed_stream(self.dropout_param)
            n = size
            mask = cnp.PyArray_ZEROS(1, &n, cnp.NPY_UINT8, 0)
            keep = <unsigned char *> cnp.PyArray_DATA(mask)
            with self.generator.lock:
                require_position(self.generator, bitgen)
                with nogil:
                    self.draw_mask(keep, bitgen, n)
            masks.append(mask)
        return masks

    cdef void draw_mask(self, unsigned char *keep, bitgen_t *bitgen, size_t n) noexcept nogil:
        cdef size_t i
        for i in range(n):
            keep[i] = (bitgen.next_double(bitgen.state) < self.net.p) != self.net.drop

    cdef void keep_units(self, unsigned char *keep, fc_mt19937 *state, size_t n) noexcept:
        with nogil:
            call_mt19937_keep(self.dtype, keep, state, self.net.p, self.net.drop, n)

    # Multiply-adds of a forward pass.
    cdef double work(self) noexcept:
        cdef double numbers = 0
        cdef int i
        for i in range(self.count):
            numbers += <double> self.layers[i].D * self.layers[i].M
        return self.net.N * numbers

    # What the kernel needs for dropout, under the generator's lock: masks, the layers' keys, or a
    # copy of the generator's state.
    cdef int bind_masks(self, list masks, fc_mt19937 *state) except -1:
        cdef bitgen_t *bitgen = NULL
        cdef size_t before = 0, after = 0
        cdef ndarray mask
        cdef fc_layer *layer
        cdef int i
        if self.generator is not None:
            bitgen = bitgen_of(self.generator)
            require_position(self.generator, bitgen)
        if masks is None and type(self.generator) is mt19937_type and not self.net.philox:
            state[0] = (<fc_mt19937 *> bitgen.state)[0]
            if self.share is not None or self.work() > long_work:
                # no signal is looked for under the lock, and no other process waited for
                for i in range(self.count - 1):
                    layer = &self.layers[i]
                    if self.share is not None:
                        before = self.share.share.first
                        after = self.share.size - before - self.net.N
                    call_mt19937_skip(self.dtype, state, before * layer.M)
                    self.keep_units(layer.keep, state, self.net.N * layer.M)
                    call_mt19937_skip(self.dtype, state, after * layer.M)
                (<fc_mt19937 *> bitgen.state)[0] = state[0]
            else:
                self.net.state = state
            return 0
        for i in range(self.count - 1):
            layer = &self.layers[i]
            if self.net.philox:
                layer.key = self.seed if self.seeded else bitgen.next_uint64(bitgen.state)
            elif masks is None:
                self.draw_mask(layer.keep, bitgen, self.net.N * layer.M)
            else:
                mask = masks[i]
                if <size_t> cnp.PyArray_SIZE(mask) != self.net.N * layer.M:
                    raise ValueError("loss: the model changed during the call")
                memcpy(layer.keep, cnp.PyArray_DATA(mask), self.net.N * layer.M)
        return 0

    # Forward and backward pass into `grads`, and with a rule the update of every parameter: by
    # clipped gradients, where clip_norm is above 0, after the last gradient.  None where the layers
    # must be composed.  With `rows`, of an array X, the examples are X[rows], normalised if there
    # are mean and std.  reg is of the model's dtype; 0 leaves regularisation to the caller.
    #
    # With `drawn` there are several steps: the core draws rows and labels into the copies of `rows`
    # and y, of which only the length counts, and what comes back is that of `steps`.
    cdef object run_step(self, object X, object y, object sample_weight, object model, dict grads,
                         Rule rule, dict configs, double reg, double clip_norm, object rows,
                         object mean, object std, bint takes_nonfinite, Drawn drawn):
        cdef double loss = 0
        cdef size_t taken = 0
        cdef int dtype
        cdef ndarray labels, weights, source = None
        cdef fc_gather gathered
        cdef fc_mt19937 state
        cdef fc_steps one
        cdef const fc_steps *steps = &one if drawn is None else &drawn.steps
        cdef list arrays = [None], read = None, masks = None
        cdef void *px = NULL
        cdef Watch watch
        self.several = drawn is not None
        if not self.read_model(model, False) or not self.read_dropout():
            return None
        if self.share is not None and not self.draws_shares():
            return None
        if drawn is not None:
            if self.seeded and not self.net.philox:
                return None  # np.random begins anew in each step
            if drawn.order is None:  # rows are drawn too
                rows_generator = global_bit_generator()
                if self.generator is not None and self.generator is not rows_generator:
                    return None
                self.generator = rows_generator
            if not drawn.read(self.generator, X, self.count, is_labelled(self.net.loss.kind),
                              self.outputs()):
                return None
        if not grads:
            grads.update(dict.fromkeys(self.model_params))  # in their order
        dtype = self.dtype
        if rows is not None:
            source = X
            read = read_rows(source, rows, mean, std, dtype)
            if not bind_rows(&gathered, source, rows, read):
                if drawn is not None:
                    return None
                X, source = gather(X, read[0], model.dtype, mean, std), None
        if source is None:
            arrays[0] = as_array("loss", "X", X)
            require_real("loss", "X", <ndarray> arrays[0])
        examples = arrays[0] if source is None else read[0]
        N = examples.shape[0] if (<ndarray> examples).ndim else 0
        if drawn is None:
            labels = self.copy_y(y, N)
            weights = copy_sample_weights(self.loss_function, sample_weight, N)
        else:  # to be written to
            labels = np.zeros(N, np.int64) if is_labelled(self.net.loss.kind) \
                else np.zeros((N, max(self.outputs(), 0)),
                              np.float32 if dtype == F32 else np.float64)
            weights = None if drawn.weights is None else np.ones(N)
        if self.seeded and not self.net.philox:
            settle(arrays, dtype)
            if not self.bind_step(arrays, labels, y, weights, grads, rule, configs, source,
                                  &gathered, read):
                return None
            masks = self.draw_masks()
            self.generator = None
        lock = None if self.generator is None else self.generator.lock
        if lock is not None:
            lock.__enter__()
        try:
            settle(arrays, dtype)
            if not self.bind_step(arrays, labels, y, weights, grads, rule, configs, source,
                                  &gathered, read):
                return None
            if drawn is not None and self.work() > long_work:
                return None  # no signal is looked for under the lock
            self.bind_share()
            self.net.reg, self.net.takes_nonfinite = reg, takes_nonfinite
            self.net.rule = FC_NO_UPDATE if rule is None else rule.number
            self.net.clip_norm = clip_norm
            if drawn is None:
                if self.dropout_param is not None:
                    self.bind_masks(masks, &state)
                if lock is not None and self.net.state == NULL and type(lock) in LOCKS:
                    lock.release()  # C alone
                    lock = None
                memset(&one, 0, sizeof(one))
                one.most, one.loss = 1, &loss
                if source is None:
                    px = cnp.PyArray_DATA(<ndarray> arrays[0])
            elif not drawn.bind(&self.net, source, read[0], labels, weights, self.generator,
                                self.dropout_param is not None, self.seeded, self.seed):
                return None
            elif not drawn.bind_numbers(self.model_params, self.places, configs, self.call):
                return None
            self.net.workspace = acquire_workspace()
            self.busy = IN_KERNEL
            begin_watch(&watch, self.work() if lock is None else 0)
            with nogil:
                call_network_steps(dtype, &taken, steps, &self.net, px)
            end_watch(&watch)
            release_workspace(self.net.workspace)
            if self.share is not None and self.share.error is not None:
                raise self.share.error
            if not watch.core.finishing:  # nothing has been updated
                raise_noted(&watch)
            if drawn is not None:
                drawn.finish()
            elif self.net.state != NULL:
                (<fc_mt19937 *> bitgen_of(self.generator).state)[0] = state
            if taken > 0:
                self.call.commit(taken, 1 if steps.factor == NULL else steps.factor[taken - 1],
                                 0 if steps.epsilon == NULL else steps.epsilon[taken - 1])
            if taken > 0 and drawn is None:
                self.warn_of_variances()
            raise_noted(&watch)
        finally:
            if lock is not None:
                lock.__exit__(None, None, None)
        return as_loss(loss, dtype) if drawn is None else drawn.results(taken, dtype)

    # Says which running averages the kernel left as they were.
    cdef int warn_of_variances(self) except -1:
        cdef int i
        for i in range(self.count - 1):
            if self.layers[i].next_mean != NULL:
                warn_of_variances(self.dtype, self.layers[i].rstd, self.layers[i].M)
        return 0

    # Scores in test mode, in a new array.  None where the layers must be composed.
    cdef object run_scores(self, object X, object model):
        cdef ndarray x, out
        cdef cnp.npy_intp N
        cdef list arrays = [None]
        cdef void *px
        cdef void *scores
        cdef Watch watch
        if not self.read_model(model, True):
            return None
        if self.dropout_param is not None and self.count > 1:
            dropout_forward(np.empty(0), self.dropout_param)  # drops nothing, but checks and seeds
        arrays[0] = as_array("loss", "X", X)
        require_real("loss", "X", <ndarray> arrays[0])
        settle(arrays, self.dtype)
        x = arrays[0]
        if not self.bind_model(None, None, None, True):
            return None
        if x.ndim == 0 or x.shape[0] == 0:
            return None
        if <size_t> count_features("loss", x) != self.layers[0].D:
            return None
        N = x.shape[0]
        out = fresh(2, [N, self.layers[self.count - 1].M], self.dtype)
        px, scores = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
        self.net.N, self.net.count, self.net.layers = N, self.count, self.layers
        self.arena.lay_out_scores(&self.net, self.dtype)
        self.net.workspace = acquire_workspace()
        self.busy = IN_KERNEL
        begin_watch(&watch, self.work())
        with nogil:
            call_network_scores(self.dtype, scores, &self.net, px)
        end_watch(&watch)
        release_workspace(self.net.workspace)
        raise_noted(&watch)
        return out

    # Whether a call is going on, which itself has called code of the model's: threads wait for each
    # other in fastfc.networks.
    cdef bint is_busy(self) except -1:
        if self.forks != forks:  # whoever was inside is not in this process
            self.forks, self.busy = forks, False
            self.arena.shapes = 0
        if self.busy == IN_KERNEL:
            raise RuntimeError("the network is in the middle of a step or of scores, which a "
                               "signal's handler or a thread of its own cannot use")
        return self.busy

    # Forgets what a call has read.
    cdef void forget(self) noexcept:
        self.call = None
        self.model_params = self.normalization = self.bn_params = self.dropout_param = None
        self.generator = self.seed = self.share = None

    cdef object run_step_alone(self, object X, object y, object sample_weight, object model,
                               dict grads, Rule rule, dict configs, double reg, double clip_norm,
                               object rows, object mean, object std, bint takes_nonfinite,
                               Drawn drawn=None):
        if self.is_busy():
            return None
        self.busy = True
        try:
            return self.run_step(X, y, sample_weight, model, grads, rule, configs, reg, clip_norm,
                                 rows, mean, std, takes_nonfinite, drawn)
        finally:
            self.forget()
            self.busy = False

    def loss(self, X, y, model, sample_weight=None):
        """Loss and gradients, in new arrays and without regularisation; None where the layers must
        be composed."""
        cdef dict grads = {}
        loss = self.run_step_alone(X, y, sample_weight, model, grads, None, None, 0, 0, None, None,
                                   None, True)
        return None if loss is None else (loss, grads)

    def part_loss(self, X, y, model, sample_weight, exchange, size_t first, size_t size,
                  double total, bint synchronised):
        """The loss of a batch of `size` rows, of which X has some from `first` on, and their parts
        of its gradients, as `loss` returns them.

        Other processes have the other rows.  total is the sum of all rows' weights.  exchange does
        what needs all: loss(own part), means(sums (2, M)), statistics(mean and spread (2, M), eps)
        are called in the order of the pass and return the batch's loss, means over the batch, and
        mean, variance and rstd (3, M).  Without `synchronised` batch normalisation is over own
        rows, and only losses are exchanged.

        The gradients are written into the arrays of the dictionary exchange.grads where these fit.
        """
        cdef dict grads = as_dict("loss", "exchange.grads", exchange.grads)
        if self.is_busy():
            return None
        self.share = Share(exchange, first, size, total, synchronised)
        loss = self.run_step_alone(X, y, sample_weight, model, grads, None, None, 0, 0, None, None,
                                   None, True)
        return None if loss is None else (loss, grads)

    def scores(self, X, model):
        """Scores of X in test mode; None where the layers must be composed."""
        if self.is_busy():
            return None
        self.busy = True
        try:
            return self.run_scores(X, model)
        finally:
            self.forget()
            self.busy = False

    def step(self, X, y, model, str rule, configs, double reg, double clip_norm, rows=None,
             mean=None, std=None, bint takes_nonfinite=False, sample_weight=None):
        """Loss, after every parameter has been updated; None where nothing has been done.

        reg, of the model's dtype, is the strength of its regularisation, which the loss contains.
        Gradients of a norm above clip_norm are scaled to it, unless that is 0.  With rows, of an
        array X, the examples are those of `gather`; y has their labels or targets, and
        sample_weight their weights.

        Where the loss is not finite it is returned all the same, and nothing else has changed; with
        takes_nonfinite, that step is like any other.
        """
        if type(configs) is not dict:
            return None
        return self.run_step_alone(X, y, sample_weight, model, self.grads, rules[rule], configs,
                                   reg, clip_norm, rows, mean, std, takes_nonfinite)

    def steps(self, X, y, model, str rule, configs, double reg, double clip_norm,
              size_t batch_size, size_t most, double seconds, list losses not None, base=None,
              factors=None, mean=None, std=None, bint takes_nonfinite=False, sample_weight=None,
              order=None, starts=None, alpha=None, epsilons=None):
        """As many steps as there is time for, but the first in any case; at most `most` of them.

        Each is a `step` on the rows ``random_rows(len(y), batch_size)`` of X, y and sample_weight,
        or on those of order from starts[i] to starts[i + 1], no more than batch_size; under the
        learning rates ``base[name] * factors[i]`` and Adam's ``epsilons[i]`` if these are given,
        and with alpha divided by the batch's sum of weights in the place of reg.  losses gets the
        loss of each step that was taken, and what is returned, the seconds after which it was done.
        None where nothing has been done, and nothing drawn.

        A step that is not like the others ends the call before it, maybe before the first: where
        the loss is not finite, unless takes_nonfinite, a label, target or weight is out of range,
        or there is a warning to give.  Until the end np.random is locked, if anything is drawn, and
        no signal is looked for: nothing is done where a step is long.
        """
        if type(configs) is not dict or most < 1 or batch_size < 1:
            return None
        cdef Drawn drawn = Drawn(y, most, seconds, losses, base, factors)
        drawn.set_epoch(sample_weight, order, starts, batch_size, alpha, epsilons)
        zeros = np.zeros(batch_size, np.int64)
        return self.run_step_alone(X, zeros, None, model, self.grads, rules[rule], configs, reg,
                                   clip_norm, zeros, mean, std, takes_nonfinite, drawn)
