/* What a training step does beside its products, each in one pass over memory and cut by OpenMP.
 *
 * Arrays are (N, M) without gaps.  Batch normalisation, ReLU and dropout are one function of a few
 * neighbouring features over the whole batch, which stay in the first cache between its loops. */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace passes {

constexpr float EPSILON = 1e-5f, MOMENTUM = 0.9f, BETA1 = 0.9f, BETA2 = 0.999f;
constexpr float ADAM_EPSILON = 1e-8f;
constexpr size_t WORTH_THREADS = 1 << 14; // elements; fewer are done before a thread has woken

template <int W> struct vectors {
    typedef float reals __attribute__((vector_size(W * sizeof(float))));
    typedef uint32_t words __attribute__((vector_size(W * sizeof(uint32_t))));
};
template <int W> using reals = typename vectors<W>::reals;
template <int W> using words = typename vectors<W>::words;

template <int W> reals<W> load(const float *p) {
    reals<W> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <int W> void store(float *p, reals<W> v) { std::memcpy(p, &v, sizeof v); }

/* Calls pass(feature, integral_constant<W>) for vectors of W features, wide ones first. */
template <class Pass> void each_feature(size_t n, size_t m, Pass pass) {
    constexpr size_t WIDE = 16, NARROW = 4;
#pragma omp parallel for if (n * m >= WORTH_THREADS) schedule(static)
    for (size_t begin = 0; begin < m; begin += WIDE) {
        const size_t end = std::min(m, begin + WIDE);
        size_t f = begin;
        if (end - f == WIDE) pass(f, std::integral_constant<int, WIDE>()), f = end;
        for (; f + NARROW <= end; f += NARROW) pass(f, std::integral_constant<int, NARROW>());
        for (; f < end; f++) pass(f, std::integral_constant<int, 1>());
    }
}

/* Mixes the bits of a counter (MurmurHash3's finaliser): random words without a state. */
template <class Word> Word mixed(Word x) {
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    return x ^ x >> 16;
}

/* What batch normalisation of one layer has beside its input: M values each. */
struct Norm {
    const float *gamma, *beta;
    float *mean, *rstd; // of the batch, for the way back
    float *running_mean, *running_var;
};

/* out = dropout(relu(batchnorm(x))), in training mode; a unit is kept with the probability keep. */
inline void forward(float *out, const float *x, const Norm &norm, float keep, uint32_t seed,
                    size_t n, size_t m) {
    const uint32_t bound = static_cast<uint32_t>(std::llround(keep * 4294967296.0) - 1);
    const float scale = 1 / keep;
    each_feature(n, m, [=](size_t f, auto width) {
        constexpr int W = decltype(width)::value;
        reals<W> mean = {}, var = {};
        for (size_t i = 0; i < n; i++) mean += load<W>(x + i * m + f);
        mean /= static_cast<float>(n);
        for (size_t i = 0; i < n; i++) {
            const reals<W> centred = load<W>(x + i * m + f) - mean;
            var += centred * centred;
        }
        var /= static_cast<float>(n);
        reals<W> rstd;
        words<W> column;
        for (int j = 0; j < W; j++) {
            rstd[j] = 1 / std::sqrt(var[j] + EPSILON);
            column[j] = static_cast<uint32_t>(f + j);
        }
        store<W>(norm.mean + f, mean);
        store<W>(norm.rstd + f, rstd);
        const auto moved = [f](float *running, reals<W> now) {
            store<W>(running + f, MOMENTUM * load<W>(running + f) + (1 - MOMENTUM) * now);
        };
        moved(norm.running_mean, mean);
        moved(norm.running_var, var);

        const reals<W> gain = rstd * load<W>(norm.gamma + f);
        const reals<W> shift = load<W>(norm.beta + f) - mean * gain;
        for (size_t i = 0; i < n; i++) {
            const reals<W> value = load<W>(x + i * m + f) * gain + shift;
            const words<W> drawn =
                mixed((column + static_cast<uint32_t>(i * m)) * 0x9e3779b9u + seed);
            const reals<W> zero = {};
            store<W>(out + i * m + f, (value > zero) & (drawn <= bound) ? value * scale : zero);
        }
    });
}

/* From d, the gradient of `forward`'s out, to that of its x, in place; dgamma, dbeta and dbias, the
 * sum of the new d over the batch, are set.  What dropout or ReLU set to 0 is 0 in out. */
inline void backward(float *d, float *dgamma, float *dbeta, float *dbias, const float *out,
                     const float *x, const Norm &norm, float keep, size_t n, size_t m) {
    const float scale = 1 / keep, share = 1 / static_cast<float>(n);
    each_feature(n, m, [=](size_t f, auto width) {
        constexpr int W = decltype(width)::value;
        const reals<W> mean = load<W>(norm.mean + f), rstd = load<W>(norm.rstd + f), zero = {};
        reals<W> sum = {}, product = {}, bias = {};
        for (size_t i = 0; i < n; i++) {
            const size_t k = i * m + f;
            const reals<W> value = load<W>(out + k) > zero ? load<W>(d + k) * scale : zero;
            sum += value;
            product += value * (load<W>(x + k) - mean);
            store<W>(d + k, value);
        }
        product *= rstd;
        store<W>(dbeta + f, sum);
        store<W>(dgamma + f, product);
        const reals<W> gain = rstd * load<W>(norm.gamma + f);
        const reals<W> slope = product * rstd * share, constant = sum * share;
        for (size_t i = 0; i < n; i++) {
            const size_t k = i * m + f;
            const reals<W> value =
                gain * (load<W>(d + k) - constant - (load<W>(x + k) - mean) * slope);
            bias += value;
            store<W>(d + k, value);
        }
        store<W>(dbias + f, bias);
    });
}

/* Returns the mean cross-entropy of scores; d is set to its gradient, dbias to the sum of that. */
inline float softmax_loss(float *d, float *dbias, const float *scores, const int *y, size_t n,
                          size_t classes) {
    const float share = 1 / static_cast<float>(n);
    float loss = 0;
#pragma omp parallel for if (n * classes >= WORTH_THREADS) schedule(static) reduction(+ : loss)
    for (size_t i = 0; i < n; i++) {
        const float *row = scores + i * classes;
        const float most = *std::max_element(row, row + classes);
        for (size_t c = 0; c < classes; c++) d[i * classes + c] = row[c] - most;
        loss -= d[i * classes + y[i]];
    }
#pragma omp parallel for simd if (parallel : n * classes >= WORTH_THREADS) schedule(static)
    for (size_t k = 0; k < n * classes; k++) d[k] = std::exp(d[k]);
#pragma omp parallel for if (n * classes >= WORTH_THREADS) schedule(static) reduction(+ : loss)
    for (size_t i = 0; i < n; i++) {
        float *row = d + i * classes, sum = 0;
        for (size_t c = 0; c < classes; c++) sum += row[c];
        loss += std::log(sum);
        for (size_t c = 0; c < classes; c++) row[c] *= share / sum;
        row[y[i]] -= share;
    }
    std::fill_n(dbias, classes, 0.0f);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < classes; c++) dbias[c] += d[i * classes + c];
    return loss * share;
}

/* One step of Adam, the step-th, over all parameters at once. */
inline void adam(float *w, float *v, float *a, const float *dw, size_t n, float learning_rate,
                 int step) {
    const float rate = learning_rate / (1 - std::pow(BETA1, static_cast<float>(step)));
    const float unbias = 1 / (1 - std::pow(BETA2, static_cast<float>(step)));
#pragma omp parallel for simd if (parallel : n >= WORTH_THREADS) schedule(static)
    for (size_t i = 0; i < n; i++) {
        v[i] = BETA1 * v[i] + (1 - BETA1) * dw[i];
        a[i] = BETA2 * a[i] + (1 - BETA2) * dw[i] * dw[i];
        w[i] -= rate * v[i] / (std::sqrt(a[i] * unbias) + ADAM_EPSILON);
    }
}

/* x[i] = examples[rows[i]], rows of d values each. */
inline void gather(float *x, const float *examples, const int64_t *rows, size_t n, size_t d) {
#pragma omp parallel for if (n * d >= WORTH_THREADS) schedule(static)
    for (size_t i = 0; i < n; i++) std::memcpy(x + i * d, examples + rows[i] * d, d * sizeof *x);
}

} // namespace passes
