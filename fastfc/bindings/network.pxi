# A whole training step in one call.
#
# Network owns the memory between the layers, kept from step to step.  It serves networks in their
# regular state: parameters that are dense arrays of the network's dtype and of matching shapes.
# For anything else its methods return None, and the caller composes the layers, which says what is
# wrong.
#
# Measured and left: huge pages for this memory and the workspace (no different).

cdef size_t align_up(size_t bytes) noexcept:
    return (bytes + 63) // 64 * 64


# value if it is an array that C can take as it is, else None.
cdef ndarray eligible(object value, int dtype, int ndim):
    if not cnp.PyArray_CheckExact(value):
        return None
    cdef ndarray array = value
    if array.ndim != ndim or cnp.PyArray_TYPE(array) != dtype or not cnp.PyArray_ISCARRAY_RO(array):
        return None
    return array


cdef void *bind_row(object mapping, object key, cnp.npy_intp length, int dtype, list held):
    cdef ndarray array = eligible((<dict> mapping).get(key), dtype, 1)
    if array is None or array.shape[0] != length:
        return NULL
    held.append(array)
    return cnp.PyArray_DATA(array)


cdef class Network:
    """The memory of a network's training steps."""

    cdef int dtype, count
    cdef size_t room
    cdef fc_network net
    cdef fc_layer *layers
    cdef char *arena
    cdef list names, held, averages, shape  # shape: of the memory's last layout
    cdef dict grads  # of `step`, which nobody else sees
    cdef bint busy  # another thread is inside

    def __cinit__(self):
        self.layers = NULL
        self.arena = NULL
        self.grads = {}

    def __dealloc__(self):
        free(self.layers)
        free(self.arena)

    # Takes the parameters' addresses.  False where one is not regular.
    cdef bint bind_params(self, dict params, bint normalized) except -1:
        cdef ndarray w
        cdef fc_layer *layer
        cdef int i
        for i in range(self.count):
            layer = &self.layers[i]
            names = <tuple> self.names[i]
            w = eligible(params.get(names[0]), self.dtype, 2)
            if w is None or w.shape[0] == 0 or w.shape[1] == 0:
                return False
            if i and <size_t> w.shape[0] != self.layers[i - 1].M:
                return False
            self.held.append(w)
            layer.D, layer.M = w.shape[0], w.shape[1]
            layer.w = cnp.PyArray_DATA(w)
            layer.b = bind_row(params, names[1], layer.M, self.dtype, self.held)
            layer.gamma = layer.beta = NULL
            if layer.b == NULL:
                return False
            if normalized and i + 1 < self.count:
                layer.gamma = bind_row(params, names[2], layer.M, self.dtype, self.held)
                layer.beta = bind_row(params, names[3], layer.M, self.dtype, self.held)
                if layer.gamma == NULL or layer.beta == NULL:
                    return False
        return len(params) == (4 * self.count - 2 if normalized else 2 * self.count)

    # Takes what the normalisations are called with.  Of batch normalisation the running averages'
    # addresses; makes arrays for the next ones.
    # In test mode it needs none, and wants those that are there.
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
            eps = bn_param.get("eps", 1e-5)
            if type(eps) is not float and type(eps) is not int:
                return False
            layer.eps = eps
            layer.layernorm = layernorm
            if layernorm:
                continue
            layer.momentum = as_number("batchnorm_forward", "bn_param['momentum']",
                                       bn_param.get("momentum", 0.9))
            if "running_mean" in bn_param and "running_var" in bn_param:
                layer.running_mean = bind_row(bn_param, "running_mean", M, self.dtype, self.held)
                layer.running_var = bind_row(bn_param, "running_var", M, self.dtype, self.held)
            elif test or "running_mean" in bn_param or "running_var" in bn_param:
                return False
            else:
                mean = cnp.PyArray_ZEROS(1, &M, self.dtype, 0)
                self.held.append(mean)
                layer.running_mean = layer.running_var = cnp.PyArray_DATA(mean)
            if layer.running_mean == NULL or layer.running_var == NULL:
                return False
            if test:
                continue
            mean = fresh(1, &M, self.dtype)
            var = fresh(1, &M, self.dtype)
            layer.next_mean = cnp.PyArray_DATA(mean)
            layer.next_var = cnp.PyArray_DATA(var)
            self.averages.append((bn_param, mean, var))
        return True

    # Takes the network's layers.  False where one is not regular.
    cdef bint bind_network(self, object model, bint test) except -1:
        cdef int count = model.num_layers
        self.dtype = F32 if model.dtype is np.float32 else F64
        if self.count != count:
            free(self.layers)
            self.count = 0
            self.layers = <fc_layer *> calloc(count, sizeof(fc_layer))
            if self.layers == NULL:
                raise MemoryError
            self.count = count
            self.names = [(f"W{i}", f"b{i}", f"gamma{i}", f"beta{i}") for i in range(1, count + 1)]
        self.held = []
        self.averages = []
        normalization = model.normalization
        if normalization not in (None, "batchnorm", "layernorm"):
            return False
        if not self.bind_params(model.params, normalization is not None):
            return False
        return normalization is None \
            or self.bind_normalization(model.bn_params, normalization == "layernorm", test)

    # Makes room for so many bytes.
    cdef int reserve(self, size_t bytes) except -1:
        if bytes > self.room:
            free(self.arena)
            self.room = 0
            self.arena = <char *> aligned_alloc(64, bytes)
            if self.arena == NULL:
                raise MemoryError
            self.room = bytes
            self.shape = None
        return 0

    # Lays out the memory between the layers for N examples.
    cdef int lay_out(self, size_t N, bint dropout, bint gathered) except -1:
        cdef size_t itemsize = 4 if self.dtype == F32 else 8, bytes = 0, widest = 0
        cdef size_t area, activation_mask
        cdef fc_layer *layer
        cdef char *at
        cdef int i
        cdef size_t input = 0
        cdef list shape = [N, self.dtype, gathered]
        if gathered:
            input = align_up(N * fc_row_stride(self.layers[0].D, itemsize) * itemsize)
        for i in range(self.count):
            layer = &self.layers[i]
            layer.stride = fc_row_stride(layer.M, itemsize) if i + 1 < self.count else layer.M
            area = align_up(N * layer.stride * itemsize)
            widest = max(widest, area)
            bytes += 2 * area + align_up(max(N, layer.M) * itemsize) \
                + align_up(fc_activation_mask_bytes(N, layer.M)) + align_up(N * layer.M + 16)
            shape.append(layer.M)
        bytes += 2 * widest + input
        self.reserve(bytes)
        if shape != self.shape:
            memset(self.arena, 0, bytes)  # the products multiply what lies behind the columns
            self.shape = shape
        self.net.dout[0], self.net.dout[1] = self.arena, self.arena + widest
        at = self.arena + 2 * widest
        for i in range(self.count):
            layer = &self.layers[i]
            area = align_up(N * layer.stride * itemsize)
            activation_mask = align_up(fc_activation_mask_bytes(N, layer.M))
            layer.out, layer.x_normalized, layer.rstd = at, at + area, at + 2 * area
            at += 2 * area + align_up(max(N, layer.M) * itemsize)
            layer.activation_mask = <unsigned short *> at
            layer.keep = <unsigned char *> at + activation_mask if dropout else NULL
            at += activation_mask + align_up(N * layer.M + 16)
        self.net.input = at
        return 0

    # Where the gradients go: arrays of `grads`, made where there is none of the right shape.
    cdef int bind_gradients(self, dict grads, dict params) except -1:
        cdef fc_layer *layer
        cdef ndarray old
        cdef int i
        for name, w in params.items():
            old = grads.get(name)
            if old is None or cnp.PyArray_TYPE(old) != self.dtype or not same_shape(old, w):
                grads[name] = fresh_like(<ndarray> w, self.dtype)
        for i in range(self.count):
            layer = &self.layers[i]
            names = <tuple> self.names[i]
            layer.dw = cnp.PyArray_DATA(<ndarray> grads[names[0]])
            layer.db = cnp.PyArray_DATA(<ndarray> grads[names[1]])
            if layer.gamma != NULL:
                layer.dgamma = cnp.PyArray_DATA(<ndarray> grads[names[2]])
                layer.dbeta = cnp.PyArray_DATA(<ndarray> grads[names[3]])
        return 0

    # Draws the masks before the pass, layer by layer, each after the seed if there is one.
    cdef int draw_before(self, dict dropout_param, double p, bint drop) except -1:
        cdef bitgen_t *bitgen
        cdef size_t j, n
        cdef int i
        for i in range(self.count - 1):
            if "seed" in dropout_param:
                np.random.seed(dropout_param["seed"])
            generator = global_bit_generator()
            bitgen = bitgen_of(generator)
            n = self.net.N * self.layers[i].M
            with generator.lock, nogil:
                for j in range(n):
                    self.layers[i].keep[j] = (bitgen.next_double(bitgen.state) < p) != drop
        return 0

    # Gives each layer its updates, if they need not wait, and those their gradients; none without
    # `updates`.
    cdef int bind_updates(self, Updates updates, bint wait) except -1:
        cdef fc_layer *layer
        cdef fc_update *update
        cdef const void *gradients[4]
        cdef int i, j
        for i in range(self.count):
            layer = &self.layers[i]
            names = <tuple> self.names[i]
            gradients[0], gradients[1] = layer.dw, layer.db
            gradients[2], gradients[3] = layer.dgamma, layer.dbeta
            for j in range(4):
                layer.update[j] = NULL
                if updates is not None and (j < 2 or layer.gamma != NULL):
                    update = &updates.updates[<int> updates.places[names[j]]]
                    update.dw = gradients[j]
                    if not wait:
                        layer.update[j] = update
        return 0

    # Forward and backward pass into `grads`, and the updates if there are any: those of clipped
    # gradients, where clip_norm is above 0, wait for the last gradient.  None where the layers must
    # be composed.  With `rows`, of an array X, the examples are X[rows], normalised if there are
    # mean and std.  reg is of the model's dtype; 0 leaves regularisation to the caller.
    cdef object run(self, object X, object y, object model, dict grads, Updates updates,
                    double reg, double clip_norm, object rows, object mean, object std):
        cdef double loss = 0, p = 1
        cdef int given = 0, count = model.num_layers
        cdef ndarray x, labelled
        cdef fc_gather gathered
        cdef cnp.npy_intp N, D
        cdef const cnp.int64_t *py
        cdef void *px = NULL
        cdef dict dropout = model.dropout_param if model.use_dropout else None
        cdef bint drop = False, philox = False
        cdef int i
        if type(model.params) is not dict:
            return None
        if dropout is not None:
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
        if updates is not None:
            updates.prepare()  # before anybody else here holds a parameter
        if not self.bind_network(model, False):
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
        N, D = x.shape[0] if self.net.rows == NULL else len(indexed[0]), count_features("loss", x)
        if N == 0 or <size_t> D != self.layers[0].D:
            return None
        if self.net.rows == NULL:
            x = as_dense(x, self.dtype)
            px = cnp.PyArray_DATA(x)
        labelled = as_labels("softmax_loss", y, N, self.layers[count - 1].M)
        self.lay_out(N, dropout is not None, self.net.rows != NULL)
        self.bind_gradients(grads, model.params)
        self.bind_updates(updates, clip_norm > 0)

        self.net.N, self.net.count, self.net.layers = N, count, self.layers
        self.net.p, self.net.drop = p, drop
        self.net.reg, self.net.philox, self.net.state = reg, philox, NULL
        py = <const cnp.int64_t *> cnp.PyArray_DATA(labelled)
        generator = None
        if philox:
            for i in range(count - 1):
                self.layers[i].key = philox_key(dropout, True)
        elif dropout is not None:
            generator = global_bit_generator()
            if "seed" in dropout or type(generator) is not mt19937_type:
                self.draw_before(dropout, p, drop)
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
        if updates is None or isfinite(loss):
            for bn_param, mean, var in self.averages:
                bn_param["running_mean"] = mean
                bn_param["running_var"] = var
            if updates is not None:
                if clip_norm > 0:
                    updates.apply(clip_norm)
                updates.commit()
        return as_loss(loss, self.dtype)

    # Scores in test mode, in a new array.  None where the layers must be composed.
    cdef object test(self, object X, object model):
        cdef size_t itemsize, rows, area = 0
        cdef int given = 0, i
        cdef ndarray x, out
        cdef cnp.npy_intp N
        cdef fc_layer *layer
        cdef void *px
        cdef void *scores
        if type(model.params) is not dict or not self.bind_network(model, True):
            return None
        x = as_operand("loss", "X", X, &given)
        if x.ndim == 0 or x.shape[0] == 0 or <size_t> count_features("loss", x) != self.layers[0].D:
            return None
        N = x.shape[0]
        if model.use_dropout and self.count > 1:
            dropout_forward(np.empty(0), model.dropout_param)  # drops nothing, but checks and seeds
        x = as_dense(x, self.dtype)
        itemsize = 4 if self.dtype == F32 else 8
        rows = min(<size_t> N, FC_SCORES_ROWS)
        for i in range(self.count):
            layer = &self.layers[i]
            layer.stride = fc_row_stride(layer.M, itemsize)
            area = max(area, align_up(rows * layer.stride * itemsize))
        self.reserve(2 * area)
        self.shape = None  # of this memory nothing stays zero
        for i in range(self.count):
            self.layers[i].out = self.arena + (i % 2) * area
        out = fresh(2, [N, self.layers[self.count - 1].M], self.dtype)
        px, scores = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
        self.net.N, self.net.count, self.net.layers = N, self.count, self.layers
        self.net.workspace = acquire_workspace()
        with nogil:
            call_network_scores(self.dtype, scores, &self.net, px)
        release_workspace(self.net.workspace)
        return out

    cdef object run_alone(self, object X, object y, object model, dict grads, Updates updates,
                          double reg, double clip_norm, object rows, object mean, object std):
        if self.busy:
            return None
        self.busy = True
        try:
            return self.run(X, y, model, grads, updates, reg, clip_norm, rows, mean, std)
        finally:
            self.held = self.averages = None
            self.busy = False

    def loss(self, X, y, model):
        """Loss and gradients, in new arrays and without regularisation; None where the layers must
        be composed."""
        cdef dict grads = {}
        loss = self.run_alone(X, y, model, grads, None, 0, 0, None, None, None)
        return None if loss is None else (loss, grads)

    def scores(self, X, model):
        """Scores of X in test mode; None where the layers must be composed."""
        if self.busy:
            return None
        self.busy = True
        try:
            return self.test(X, model)
        finally:
            self.held = self.averages = None
            self.busy = False

    def step(self, X, y, model, str rule, dict configs, double reg, double clip_norm, rows=None,
             mean=None, std=None):
        """Loss, after every parameter has been updated; None where nothing has been done.

        reg, of the model's dtype, is the strength of its regularisation, which the loss contains.
        Gradients of a norm above clip_norm are scaled to it, unless that is 0.  With rows, of an
        array X, the examples are those of `gather`; y has their labels.

        Where the loss is not finite it is returned all the same, and nothing else has changed.
        """
        cdef Updates updates = Updates(rule, model.params, configs)
        if not updates.regular:
            return None
        return self.run_alone(X, y, model, self.grads, updates, reg, clip_norm, rows, mean, std)
