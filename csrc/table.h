/* The kernel table of one dtype: fastfc.h includes this file once for float and once for double,
 * with `real` and `fc_kernels` defined.  One entry an operation; the operation's own file says
 * what its arguments are. */
#ifdef fc_kernels /* alone it is nothing: what it needs is in fastfc.h */
typedef struct {
    void (*product)(real *c, const real *a, int a_by_columns, const real *b, int b_by_columns,
                    size_t m, size_t n, size_t k, void *workspace);
    void (*affine_forward)(real *out, const real *x, const real *w, const real *b, size_t N,
                           size_t D, size_t M, void *workspace);
    void (*affine_backward)(real *dx, real *dw, real *db, const real *dout, const real *x,
                            const real *w, size_t N, size_t D, size_t M, void *workspace);
    void (*gather)(real *out, const fc_gather *rows, size_t N, size_t D);
    int (*all_finite)(const real *x, size_t n);
    void (*relu_forward)(real *out, const real *x, size_t n);
    void (*relu_backward)(real *dx, const real *dout, const real *x, size_t n);
    void (*activation_forward)(real *out, const real *x, int activation, size_t n);
    void (*activation_backward)(real *dx, const real *dout, const real *cache, int activation,
                                size_t n);
    void (*exponential)(real *out, const real *x, size_t n);
    void (*batchnorm_forward)(real *out, real *x_normalized, real *rstd, real *next_mean,
                              real *next_var, const real *x, const real *gamma, const real *beta,
                              const real *running_mean, const real *running_var, double eps,
                              double momentum, size_t N, size_t D);
    void (*batchnorm_inference)(real *out, const real *x, const real *gamma, const real *beta,
                                const real *running_mean, const real *running_var, double eps,
                                size_t N, size_t D);
    void (*batchnorm_backward)(real *dx, real *dgamma, real *dbeta, const real *dout,
                               const real *x_normalized, const real *rstd, const real *gamma,
                               size_t N, size_t D);
    void (*layernorm_forward)(real *out, real *x_normalized, real *rstd, const real *x,
                              const real *gamma, const real *beta, double eps, size_t N, size_t D);
    void (*layernorm_backward)(real *dx, real *dgamma, real *dbeta, const real *dout,
                               const real *x_normalized, const real *rstd, const real *gamma,
                               size_t N, size_t D, void *workspace);
    void (*mt19937_keep)(uint8_t *keep, fc_mt19937 *state, double p, int drop, size_t n);
    void (*mt19937_skip)(fc_mt19937 *state, uint64_t n);
    void (*dropout_forward)(real *out, real *mask, fc_mt19937 *state, const real *x, double p,
                            int drop, size_t n);
    void (*philox_words)(uint32_t *words, const uint32_t *counter, const uint32_t *key, size_t n);
    void (*philox_keep)(uint8_t *keep, uint64_t key, uint64_t first, double p, int drop, size_t n);
    void (*dropout_philox)(real *out, real *mask, const real *x, uint64_t key, uint64_t first,
                           double p, int drop, size_t n);
    void (*dropout_apply)(real *out, const real *x, const real *mask, size_t n);
    double (*data_loss)(real *dx, const real *x, const fc_loss *loss, size_t N, size_t C);
    void (*sgd)(real *next_w, const real *w, const real *dw, double learning_rate, size_t n);
    void (*sgd_momentum)(real *next_w, real *next_velocity, const real *w, const real *dw,
                         const real *velocity, double learning_rate, double momentum, size_t n);
    void (*sgd_nesterov_momentum)(real *next_w, real *next_velocity, const real *w, const real *dw,
                                  const real *velocity, double learning_rate, double momentum,
                                  size_t n);
    void (*rmsprop)(real *next_w, real *next_a, const real *w, const real *dw, const real *a,
                    double learning_rate, double decay_rate, double epsilon, size_t n);
    void (*adam)(real *next_w, real *next_v, real *next_a, const real *w, const real *dw,
                 const real *v, const real *a, double learning_rate, double beta1, double beta2,
                 double epsilon, double t, size_t n);
    void (*adamw)(real *next_w, real *next_v, real *next_a, const real *w, const real *dw,
                  const real *v, const real *a, double learning_rate, double beta1, double beta2,
                  double epsilon, double t, double weight_decay, size_t n);
    double (*sum_of_squares)(const real *x, size_t n);
    void (*update)(fc_param *const *params, int rule, double clip_norm, size_t count);
    size_t (*network_steps)(const fc_steps *steps, const fc_network *net, const void *x);
    void (*network_scores)(real *scores, const fc_network *net, const real *x);
    int (*copy_weights)(real *packed, real *w, size_t D, size_t M, int unpack);
    void (*predict)(real *scores, const fc_predictor *net, const real *x, size_t N, void *memory);
    double (*peak)(size_t tasks, size_t rounds);
} fc_kernels;
#endif
