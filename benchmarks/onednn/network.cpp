/* A fully connected network in training, as one writes it by hand on oneDNN:
 *
 *   {affine - batch norm - ReLU - dropout} x hidden layers - affine - softmax, and Adam
 *
 * oneDNN multiplies, with each layer's weights in the layout that is fastest with it; passes.hpp
 * has the rest.  All parameters lie in one array, and so do their gradients and Adam's averages:
 * one parallel loop updates them. */
#include "passes.hpp"

#include <chrono>
#include <cstdlib>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

using dnnl::memory;
using tag = memory::format_tag;

namespace {

const dnnl::engine &engine() {
    static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    return cpu;
}

const dnnl::stream &stream() {
    static const dnnl::stream in_order(engine());
    return in_order;
}

/* OpenMP's number of threads, which belongs to the calling thread, until the end of a scope. */
struct Threads {
    const int before = omp_get_max_threads();
    explicit Threads(int count) { omp_set_num_threads(count); }
    ~Threads() { omp_set_num_threads(before); }
};

/* Zeros at a multiple of the cache line, where vectors begin. */
constexpr size_t LINE = 64, LANES = LINE / sizeof(float);
size_t whole_lines(size_t n) { return (n + LANES - 1) / LANES * LANES; }
struct Release {
    void operator()(float *p) const { std::free(p); }
};
using Floats = std::unique_ptr<float[], Release>;
Floats floats(size_t n) {
    const size_t bytes = whole_lines(std::max<size_t>(n, 1)) * sizeof(float);
    Floats made(static_cast<float *>(std::aligned_alloc(LINE, bytes)));
    if (!made) throw std::bad_alloc();
    std::memset(made.get(), 0, bytes);
    return made;
}

memory::desc array(memory::dims dims, tag layout) { return {dims, memory::data_type::f32, layout}; }

using Arguments = std::vector<std::pair<int, memory>>;

/* A primitive with its arguments, bound once. */
class Call {
  public:
    Call(dnnl::primitive code, Arguments given) : code(code), given(given) {
        for (const auto &[name, value] : given) arguments.push_back({name, value.get()});
    }
    void operator()() const {
        const int count = static_cast<int>(arguments.size());
        dnnl::error::wrap_c_api(
            dnnl_primitive_execute(code.get(), stream().get(), count, arguments.data()),
            "a product or a reorder has failed");
    }

  private:
    dnnl::primitive code;
    Arguments given; // owns the memory that arguments refer to
    std::vector<dnnl_exec_arg_t> arguments;
};

using Calls = std::vector<Call>;

void run(const Calls &calls) {
    for (const Call &call : calls) call();
}

Calls copy(const memory &from, const memory &to) {
    if (from == to) return {};
    return {Call(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}})};
}

Calls joined(Calls first, const Calls &second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

/* The shortest of several runs, in seconds. */
double seconds(const Calls &calls) {
    constexpr double ENOUGH = 1e-2;
    double shortest = ENOUGH, total = 0;
    for (int i = 0; i < 20 && total < ENOUGH; i++) {
        const auto start = std::chrono::steady_clock::now();
        run(calls);
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
        shortest = i ? std::min(shortest, taken.count()) : taken.count();
        total += taken.count();
    }
    return shortest;
}

/* Of two ways to do the same the faster one. */
Calls faster(const Calls &a, const Calls &b) { return seconds(a) <= seconds(b) ? a : b; }

/* The three products of a layer, and what they read and write.  Backward ones include a reorder
 * where they compute in another layout of the weights than that of w and dw. */
struct Products {
    int threads = omp_get_max_threads(); // oneDNN plans for as many as there are
    memory x, w, bias, out, dx, dw, dout;
    Calls forward, backward_data, backward_weights;
    double time() const {
        return seconds(forward) + seconds(backward_data) + seconds(backward_weights);
    }
};

void run(const Products &on, const Calls &calls) {
    const Threads limit(on.threads);
    run(calls);
}

/* Memory of ones, to measure on; untouched pages would be faster than any real ones. */
memory ones(const memory::desc &about) {
    const memory made(about, engine());
    std::fill_n(static_cast<float *>(made.get_data_handle()), about.get_size() / sizeof(float), 1);
    return made;
}

/* Products of (n, d) and (d, m) with weights in the layout asked for, or for tag::any in the one
 * that oneDNN chooses for the forward product. */
Products products(memory::dim n, memory::dim d, memory::dim m, tag layout, bool need_dx) {
    const memory::desc x = array({n, d}, tag::ab), out = array({n, m}, tag::ab);
    const memory::desc bias = array({m}, tag::a), any = array({m, d}, tag::any);
    const dnnl::inner_product_forward::primitive_desc forward(
        engine(), dnnl::prop_kind::forward_training, x, array({m, d}, layout), bias, out);
    const memory::desc w = forward.weights_desc();

    Products on;
    on.x = ones(x), on.w = ones(w), on.bias = ones(bias), on.out = ones(out);
    on.dx = ones(x), on.dw = ones(w), on.dout = ones(out);
    on.forward = {Call(dnnl::inner_product_forward(forward), {{DNNL_ARG_SRC, on.x},
                                                              {DNNL_ARG_WEIGHTS, on.w},
                                                              {DNNL_ARG_BIAS, on.bias},
                                                              {DNNL_ARG_DST, on.out}})};
    const auto backward_data = [&](const memory::desc &own) {
        const dnnl::inner_product_backward_data::primitive_desc about(engine(), x, own, out,
                                                                      forward);
        const memory here = about.weights_desc() == w ? on.w : ones(about.weights_desc());
        const Call product(
            dnnl::inner_product_backward_data(about),
            {{DNNL_ARG_DIFF_DST, on.dout}, {DNNL_ARG_WEIGHTS, here}, {DNNL_ARG_DIFF_SRC, on.dx}});
        return joined(copy(on.w, here), {product});
    };
    const auto backward_weights = [&](const memory::desc &own) {
        const dnnl::inner_product_backward_weights::primitive_desc about(engine(), x, own, out,
                                                                         forward);
        const memory here =
            about.diff_weights_desc() == w ? on.dw : ones(about.diff_weights_desc());
        const Call product(
            dnnl::inner_product_backward_weights(about),
            {{DNNL_ARG_SRC, on.x}, {DNNL_ARG_DIFF_DST, on.dout}, {DNNL_ARG_DIFF_WEIGHTS, here}});
        return joined({product}, copy(here, on.dw));
    };
    if (need_dx) on.backward_data = faster(backward_data(w), backward_data(any));
    on.backward_weights = faster(backward_weights(w), backward_weights(any));
    return on;
}

/* The same in the fastest layout, oneDNN's own for the forward product, (M, D) or (D, M), and on
 * the caller's threads or, as small ones are faster, on one. */
Products fastest(memory::dim n, memory::dim d, memory::dim m, bool need_dx) {
    Products best;
    double shortest = std::numeric_limits<double>::infinity();
    for (const int threads : {1, omp_get_max_threads()}) {
        const Threads limit(threads);
        for (const tag layout : {tag::any, tag::ab, tag::ba}) {
            const Products other = products(n, d, m, layout, need_dx);
            const double time = other.time();
            if (time < shortest) best = other, shortest = time;
        }
    }
    return best;
}

struct Settings {
    int threads, batch, layers;
    const int64_t *sizes; // layers + 1, from a row's values to the classes
    float keep, learning_rate;
    int64_t examples;
    const float *x;       // (examples, sizes[0]), which outlive the network as y does
    const int64_t *y;     // (examples,)
    const float *weights; // of one layer after the other, (D, M) each, to begin with
};

/* Where a layer's parameters begin in the array of all; gradients lie alike. */
struct Layer {
    size_t d, m;
    Products on;
    size_t w, bias, gamma, beta; // beginnings
    Floats pre, out, dout;       // (N, M): before batch norm; the next layer's input; its gradient
    Floats mean, rstd, running_mean, running_var; // (M,)
};

class Network {
  public:
    explicit Network(const Settings &given)
        : about(given), n(given.batch), rows(n), labels(n), x(floats(n * given.sizes[0])) {
        const Threads limit(about.threads);
        for (int i = 0; i < about.layers; i++) add_layer(about.sizes[i], about.sizes[i + 1]);
        for (Floats *all : {&w, &v, &a, &dw}) *all = floats(count);
        bind(about.weights);
    }

    float step() {
        const Threads limit(about.threads);
        steps++;
        draw();
        for (size_t i = 0; i + 1 < layers.size(); i++) {
            Layer &layer = layers[i];
            run(layer.on, layer.on.forward);
            passes::forward(layer.out.get(), layer.pre.get(), norm(layer), about.keep, seed(i), n,
                            layer.m);
        }
        Layer &last = layers.back();
        run(last.on, last.on.forward);
        const float loss = passes::softmax_loss(last.dout.get(), &dw[last.bias], last.pre.get(),
                                                labels.data(), n, last.m);
        for (size_t i = layers.size(); i-- > 0;) {
            const Products &on = layers[i].on;
            run(on, on.backward_data);
            run(on, on.backward_weights);
            if (i == 0) break;
            Layer &before = layers[i - 1];
            passes::backward(before.dout.get(), &dw[before.gamma], &dw[before.beta],
                             &dw[before.bias], before.out.get(), before.pre.get(), norm(before),
                             about.keep, n, before.m);
        }
        passes::adam(w.get(), v.get(), a.get(), dw.get(), count, about.learning_rate, steps);
        return loss;
    }

    const std::vector<int64_t> &drawn() const { return rows; }

  private:
    const Settings about;
    const size_t n;
    int steps = 0;
    size_t count = 0; // of all parameters, with gaps up to whole lines
    std::vector<int64_t> rows;
    std::vector<int> labels;
    std::vector<Layer> layers;
    Floats x;           // (N, D): the minibatch
    Floats w, v, a, dw; // (count,): parameters, Adam's averages, gradients

    void add_layer(size_t d, size_t m) {
        Layer layer;
        layer.d = d, layer.m = m, layer.on = fastest(n, d, m, !layers.empty());
        const auto place = [this](size_t floats) {
            return std::exchange(count, count + whole_lines(floats));
        };
        layer.w = place(layer.on.w.get_desc().get_size() / sizeof(float));
        for (size_t *at : {&layer.bias, &layer.gamma, &layer.beta}) *at = place(m);
        for (Floats *values : {&layer.pre, &layer.out, &layer.dout}) *values = floats(n * m);
        for (Floats *values : {&layer.mean, &layer.rstd, &layer.running_mean, &layer.running_var})
            *values = floats(m);
        std::fill_n(layer.running_var.get(), m, 1.0f);
        layers.push_back(std::move(layer));
    }

    /* Gives each product its place among the arrays, and the parameters their first values. */
    void bind(const float *weights) {
        float *in = x.get(), *din = nullptr;
        for (Layer &layer : layers) {
            Products &on = layer.on;
            on.x.set_data_handle(in);
            on.dx.set_data_handle(din);
            on.w.set_data_handle(&w[layer.w]);
            on.dw.set_data_handle(&dw[layer.w]);
            on.bias.set_data_handle(&w[layer.bias]);
            on.out.set_data_handle(layer.pre.get());
            on.dout.set_data_handle(layer.dout.get());
            in = layer.out.get(), din = layer.dout.get();

            const memory::dims dims = {memory::dim(layer.m), memory::dim(layer.d)};
            run(copy(memory(array(dims, tag::ba), engine(), const_cast<float *>(weights)), on.w));
            weights += layer.d * layer.m;
            std::fill_n(&w[layer.gamma], layer.m, 1.0f);
        }
    }

    void draw() {
        const uint32_t key = passes::mixed(static_cast<uint32_t>(steps));
        for (size_t i = 0; i < n; i++) {
            rows[i] = passes::mixed(static_cast<uint32_t>(i) * 0x9e3779b9u + key) % about.examples;
            labels[i] = static_cast<int>(about.y[rows[i]]);
        }
        passes::gather(x.get(), about.x, rows.data(), n, layers[0].d);
    }

    passes::Norm norm(const Layer &layer) const {
        return {&w[layer.gamma],  &w[layer.beta],           layer.mean.get(),
                layer.rstd.get(), layer.running_mean.get(), layer.running_var.get()};
    }

    /* Of a layer's dropout in this step. */
    uint32_t seed(size_t layer) const {
        return passes::mixed(static_cast<uint32_t>(steps * layers.size() + layer) ^ 0x5bd1e995u);
    }
};

std::string problem;

} // namespace

/* The interface for ctypes.  What fails returns a null pointer or false, and network_problem why.
 */
extern "C" {

const char *network_problem() { return problem.c_str(); }

Network *network_create(const Settings *about) {
    try {
        return new Network(*about);
    } catch (const std::exception &error) {
        problem = error.what();
        return nullptr;
    }
}

/* Trains for so many steps, each on a minibatch drawn anew, and sets the loss of each. */
bool network_steps(Network *network, int count, float *losses) {
    try {
        for (int i = 0; i < count; i++) losses[i] = network->step();
        return true;
    } catch (const std::exception &error) {
        problem = error.what();
        return false;
    }
}

/* Sets which examples the last minibatch was made of, (batch,). */
void network_drawn(const Network *network, int64_t *rows) {
    std::copy(network->drawn().begin(), network->drawn().end(), rows);
}

void network_destroy(Network *network) { delete network; }
}
