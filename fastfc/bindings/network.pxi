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


# The address of an eligible (length,) array of a dictionary, else NULL.
cdef void *bind_vector(dict mapping, object key, size_t length, int dtype, list held):
    value = mapping.get(key)
    if not is_eligible(value, dtype, 1) or <size_t> cnp.PyArray_SIZE(<ndarray> value) != length:
        return NULL
    held.append(value)
    return cnp.PyArray_DATA(<ndarray> value)


cdef class Network:
    """A network's training steps and scores, and what they keep between calls."""

    cdef int dtype, count
    cdef fc_network net
    cdef fc_layer *layers
    cdef const fc_param **params  # in the order of the model's dictionary
    cdef size_t params_count
    cdef list names  # of each layer's four parameters
    cdef dict places  # of each name: four times the layer, and which of its parameters
    cdef Arena arena
    cdef Transaction call  # the one that is going on
    cdef dict grads  # of `step`, which nobody else sees
    cdef bint busy  # another thread is inside

    def __cinit__(self):
        self.arena = Arena()
        self.grads = {}

    def __dealloc__(self):
        free(self.layers)
        free(self.params)

    cdef int reserve_layers(self, int count) except -1:
        if self.count == count:
            return 0
        free(self.layers)
        free(self.params)
        self.count = 0
        self.layers = <fc_layer *> calloc(count, sizeof(fc_layer))
        self.params = <const fc_param **> calloc(4 * <size_t> count, sizeof(fc_param *))
        if self.layers == NULL or self.params == NULL:
            raise MemoryError
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
            if not self.call.bind_update(param, rule, params, name, w, configs.get(name), True):
                return None
        if grads is not None:
            old = grads.get(name)
            if old is None or not same_shape_and_dtype(old, <ndarray> w):
                old = grads[name] = fresh_like(<ndarray> w, self.dtype)
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
            layer.D, layer.M = w.shape[0], w.shape[1]
            for j in range(1, 4):
                if j > 1 and not (normalized and i + 1 < self.count):
                    memset(&layer.params[j], 0, sizeof(fc_param))
                    continue
                w = self.bind_param(&layer.params[j], params, names[j], 1, grads, rule, configs)
                if w is None or layer.params[j].n != layer.M:
                    return False
        self.params_count = 4 * self.count - 2 if normalized else 2 * self.count
        if <size_t> len(params) != self.params_count:
            return False
        for i, name in enumerate(params):
            place = self.places[name]
            self.params[i] = &self.layers[place // 4].params[place % 4]
        return True

    # Binds the model's layers but for what their normalisation is called with.  False where
    # something is not eligible.
    cdef bint bind_layers(self, object model, object normalization, dict params, dict grads,
                          Rule rule, dict configs) except -1:
        self.dtype = F32 if model.dtype is np.float32 else F64
        self.reserve_layers(model.num_layers)
        self.call = Transaction()
        return normalization in (None, "batchnorm", "layernorm") \
            and self.bind_params(params, normalization is not None, grads, rule, configs)

    # Binds what the normalisations are called with: of batch normalisation the running averages,
    # zeros at first, and arrays for the next ones.  In test mode there are no next ones, and the
    # layers are composed where the averages are not there.
    cdef bint bind_normalization(self, object bn_params, bint layernorm, bint test) except -1:
        cdef fc_layer *layer
        cdef ndarray mean, var
        cdef cnp.npy_intp M
        cdef int i
        if type(bn_params) is not list or len(bn_params) != self.count - 1:
            return False
        for i in range(self.count - 1):
            layer = &self.layers[i]
            M = layer.M
            bn_param = bn_params[i]
            if type(bn_param) is not dict:
                return False
            eps = (<dict> bn_param).get("eps", 1e-5)
            if type(eps) is not float and type(eps) is not int:
                return False
            layer.eps = as_eps("layernorm_forward" if layernorm else "batchnorm_forward",
                               "ln_param['eps']" if layernorm else "bn_param['eps']", eps)
            layer.layernorm = layernorm
            if layernorm:
                continue
            layer.momentum = as_momentum("batchnorm_forward", "bn_param['momentum']",
                                         (<dict> bn_param).get("momentum", 0.9))
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
            self.call.written.append((bn_param, "running_mean", mean))
            self.call.written.append((bn_param, "running_var", var))
        return True

    # Draws the masks before the pass, layer by layer, each after the seed if there is one.
    cdef int draw_masks(self, dict dropout_param, double p, bint drop) except -1:
        cdef bitgen_t *bitgen
        cdef size_t j, n
        cdef int i
        for i in range(self.count - 1):
            if "seed" in dropout_param:
                seed_global(dropout_param["seed"])
            generator = global_bit_generator()
            bitgen = bitgen_of(generator)
            n = self.net.N * self.layers[i].M
            with generator.lock, nogil:
                for j in range(n):
                    self.layers[i].keep[j] = (bitgen.next_double(bitgen.state) < p) != drop
        return 0

    # Forward and backward pass into `grads`, and with a rule the update of every parameter: by
    # clipped gradients, where clip_norm is above 0, after the last gradient.  None where the layers
    # must be composed.  With `rows`, of an array X, the examples are X[rows], normalised if there
    # are mean and std.  reg is of the model's dtype; 0 leaves regularisation to the caller.
    cdef object run_step(self, object X, object y, object model, dict grads, Rule rule,
                         dict configs, double reg, double clip_norm, object rows, object mean,
                         object std, bint takes_nonfinite):
        cdef double loss = 0, p = 1
        cdef int given = 0, i
        cdef ndarray x, labelled
        cdef fc_gather gathered
        cdef cnp.npy_intp N, D
        cdef const cnp.int64_t *py
        cdef void *px = NULL
        cdef bint drop = False, philox = False
        cdef bint clipped = rule is not None and clip_norm > 0
        params, normalization = model.params, model.normalization
        if type(params) is not dict:
            return None
        if not grads:
            grads.update(dict.fromkeys(params))  # in their order
        if not self.bind_layers(model, normalization, params, grads, rule, configs):
            return None
        dropout = model.dropout_param if model.use_dropout else None
        if dropout is not None:
            if type(dropout) is not dict:
                return None
            rng = dropout.get("rng", "numpy")
            philox = rng == "philox"
            if not philox and rng != "numpy" or not isinstance(dropout.get("p"), float):
                return None
            p, convention = dropout["p"], dropout.get("convention", "keep")
            drop = convention == "drop"
            if not drop and convention != "keep" or not (0 <= p < 1 if drop else 0 < p <= 1):
                return None
        self.net.label_smoothing = model.label_smoothing
        if not 0 <= self.net.label_smoothing <= 1:
            return None
        if normalization is not None and not self.bind_normalization(
                model.bn_params, normalization == "layernorm", False):
            return None
        cdef list indexed = []
        self.net.rows = NULL
        if rows is not None:
            if bind_rows(&gathered, X, rows, mean, std, self.dtype, indexed):
                self.net.rows = &gathered
            else:
                X = gather(X, rows, model.dtype, mean, std)
        x = as_operand("loss", "X", X, &given)
        if x.ndim == 0:
            return None
        D = count_features("loss", x)
        N = x.shape[0] if self.net.rows == NULL else len(indexed[0])
        if N == 0 or <size_t> D != self.layers[0].D:
            return None
        if self.net.rows == NULL:
            x = as_dense(x, self.dtype)
            px = cnp.PyArray_DATA(x)
        labelled = as_labels("softmax_loss", y, N, self.layers[self.count - 1].M)

        self.net.N, self.net.count, self.net.layers = N, self.count, self.layers
        self.net.p, self.net.drop = p, drop
        self.net.reg, self.net.philox, self.net.state = reg, philox, NULL
        self.net.rule = FC_NO_UPDATE if rule is None or clipped else rule.number
        self.net.takes_nonfinite = takes_nonfinite
        self.arena.lay_out_step(&self.net, self.dtype, dropout is not None, self.net.rows != NULL)
        py = <const cnp.int64_t *> cnp.PyArray_DATA(labelled)
        generator = None
        if philox:
            for i in range(self.count - 1):
                self.layers[i].key = philox_key(dropout, True)
        elif dropout is not None:
            generator = global_bit_generator()
            if "seed" in dropout or type(generator) is not mt19937_type:
                self.draw_masks(dropout, p, drop)
                generator = None
        self.net.workspace = acquire_workspace()
        if generator is None:
            with nogil:
                call_network_loss(self.dtype, &loss, &self.net, px, py)
        else:
            self.net.state = <fc_mt19937 *> bitgen_of(generator).state
            with generator.lock, nogil:
                call_network_loss(self.dtype, &loss, &self.net, px, py)
        release_workspace(self.net.workspace)
        if takes_nonfinite or isfinite(loss):
            if clipped:
                i = rule.number
                with nogil:
                    call_update(self.dtype, self.params, i, clip_norm, self.params_count)
            self.call.commit()
            for i in range(self.count - 1 if normalization == "batchnorm" else 0):
                warn_of_variances(self.dtype, self.layers[i].rstd, self.layers[i].M)
        return as_loss(loss, self.dtype)

    # Scores in test mode, in a new array.  None where the layers must be composed.
    cdef object run_scores(self, object X, object model):
        cdef int given = 0
        cdef ndarray x, out
        cdef cnp.npy_intp N
        cdef void *px
        cdef void *scores
        params, normalization = model.params, model.normalization
        if type(params) is not dict:
            return None
        if not self.bind_layers(model, normalization, params, None, None, None):
            return None
        if normalization is not None and not self.bind_normalization(
                model.bn_params, normalization == "layernorm", True):
            return None
        x = as_operand("loss", "X", X, &given)
        if x.ndim == 0 or x.shape[0] == 0:
            return None
        if <size_t> count_features("loss", x) != self.layers[0].D:
            return None
        N = x.shape[0]
        if model.use_dropout and self.count > 1:
            dropout_forward(np.empty(0), model.dropout_param)  # drops nothing, but checks and seeds
        x = as_dense(x, self.dtype)
        out = fresh(2, [N, self.layers[self.count - 1].M], self.dtype)
        px, scores = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
        self.net.N, self.net.count, self.net.layers = N, self.count, self.layers
        self.arena.lay_out_scores(&self.net, self.dtype)
        self.net.workspace = acquire_workspace()
        with nogil:
            call_network_scores(self.dtype, scores, &self.net, px)
        release_workspace(self.net.workspace)
        return out

    cdef object run_step_alone(self, object X, object y, object model, dict grads, Rule rule,
                               dict configs, double reg, double clip_norm, object rows,
                               object mean, object std, bint takes_nonfinite):
        if self.busy:
            return None
        self.busy = True
        try:
            return self.run_step(X, y, model, grads, rule, configs, reg, clip_norm, rows, mean, std,
                                 takes_nonfinite)
        finally:
            self.call = None
            self.busy = False

    def loss(self, X, y, model):
        """Loss and gradients, in new arrays and without regularisation; None where the layers must
        be composed."""
        cdef dict grads = {}
        loss = self.run_step_alone(X, y, model, grads, None, None, 0, 0, None, None, None, True)
        return None if loss is None else (loss, grads)

    def scores(self, X, model):
        """Scores of X in test mode; None where the layers must be composed."""
        if self.busy:
            return None
        self.busy = True
        try:
            return self.run_scores(X, model)
        finally:
            self.call = None
            self.busy = False

    def step(self, X, y, model, str rule, configs, double reg, double clip_norm, rows=None,
             mean=None, std=None, bint takes_nonfinite=False):
        """Loss, after every parameter has been updated; None where nothing has been done.

        reg, of the model's dtype, is the strength of its regularisation, which the loss contains.
        Gradients of a norm above clip_norm are scaled to it, unless that is 0.  With rows, of an
        array X, the examples are those of `gather`; y has their labels.

        Where the loss is not finite it is returned all the same, and nothing else has changed; with
        takes_nonfinite, that step is like any other.
        """
        if type(configs) is not dict:
            return None
        return self.run_step_alone(X, y, model, self.grads, rules[rule], configs, reg, clip_norm,
                                   rows, mean, std, takes_nonfinite)
