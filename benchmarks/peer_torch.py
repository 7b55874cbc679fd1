"""PyTorch: its own operations, and a training step: eager and compiled, with fused Adam.

And the whole step, Adam included, as one function that is compiled with all of its searches.
"""

import functools
import itertools
import math

import torch
from torch import nn

aten = torch.ops.aten
EPSILON, MOMENTUM, BETA1, BETA2, ADAM_EPSILON = 1e-5, 0.1, 0.9, 0.999, 1e-8


def steps(network, data, learning_rate):
    """Return what runs one training step, by name."""
    torch.compiler.reset()  # else it stops compiling anew after several networks
    given = network, data, learning_rate
    return {
        "torch": _step(*given, lambda net: net),
        "torch.compile": _step(*given, torch.compile),
        "torch.max": _whole_step(*given),
    }


def _step(network, data, learning_rate, prepare):
    batch, example, hidden, classes, keep = network
    x, y = torch.from_numpy(data["X_train"]), torch.from_numpy(data["y_train"])
    layers, size = [nn.Flatten()], math.prod(example)
    for width in hidden:
        layers += [nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(1 - keep)]
        size = width
    net = nn.Sequential(*layers, nn.Linear(size, classes)).to(x.dtype)
    model = prepare(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate, fused=True)

    def step():
        chosen = torch.randint(len(x), (batch,))
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _whole_step(network, data, learning_rate):
    """Return a step of which draws, gradients and updates are one compiled function.

    `nn.Module`, its optimizer and `backward` end such functions: this one is of tensors alone.
    """
    batch, example, hidden, classes, keep = network
    x, y = torch.from_numpy(data["X_train"]).flatten(1), torch.from_numpy(data["y_train"])
    params, running = _start([math.prod(example), *hidden, classes], x.dtype)
    first, second = ([torch.zeros_like(w) for w in params] for _ in range(2))

    def loss_of(params, x, y):
        *layers, (w, b) = [params[i : i + 4] for i in range(0, len(params), 4)]
        moments, out = [], x
        for weights, bias, gamma, beta in layers:
            out = torch.addmm(bias, out, weights)
            var, mean = torch.var_mean(out, 0, correction=0)
            moments += [mean, var]
            out = (out - mean) * torch.rsqrt(var + EPSILON) * gamma
            out = torch.relu(out + beta)
            out = torch.where(torch.rand_like(out) < keep, out / keep, 0)
        return nn.functional.cross_entropy(torch.addmm(b, out, w), y), moments

    @functools.partial(torch.compile, fullgraph=True, dynamic=False, mode="max-autotune")
    def compiled(rate, unbias):
        chosen = torch.randint(len(x), (batch,))
        gradient = torch.func.grad_and_value(loss_of, has_aux=True)
        grads, (loss, moments) = gradient(params, x[chosen], y[chosen])
        for average, now in zip(running, moments, strict=True):
            average.lerp_(now, MOMENTUM)
        for w, v, a, g in zip(params, first, second, grads, strict=True):
            v.lerp_(g, 1 - BETA1)
            a.lerp_(g * g, 1 - BETA2)
            w.sub_(rate * v / (torch.sqrt(a * unbias) + ADAM_EPSILON))
        return loss

    times = itertools.count(1)

    def step():
        t = next(times)  # its powers are not for the function, which would take them per element
        rates = learning_rate / (1 - BETA1**t), 1 / (1 - BETA2**t)
        return compiled(*torch.tensor(rates, dtype=x.dtype)).item()

    return step


def _start(sizes, dtype):
    """Return parameters, four of each hidden layer and two of the last, and running averages."""
    params, running = [], []
    for d, m in itertools.pairwise(sizes):
        params += [0.01 * torch.randn(d, m, dtype=dtype), torch.zeros(m, dtype=dtype)]
        params += [torch.ones(m, dtype=dtype), torch.zeros(m, dtype=dtype)]
        running += [torch.zeros(m, dtype=dtype), torch.ones(m, dtype=dtype)]
    return params[:-2], running[:-2]


def operation(name, args):
    """Return a call of PyTorch's counterpart of an operation of fastfc.verifying."""
    function, *rest = _OPERATIONS[name](*args)
    return functools.partial(torch.no_grad()(function), *rest)


def _tensors(*arrays):
    return [torch.from_numpy(a) for a in arrays]


def _affine_forward(x, w, b):
    x, w, b = _tensors(x.reshape(len(x), -1), w, b)
    return torch.addmm, b, x, w


def _affine_backward(dout, cache):
    dout, x, w = _tensors(dout, cache[0].reshape(len(dout), -1), cache[1])
    return ((lambda: (dout @ w.T, x.T @ dout, dout.sum(0))),)


def _relu_forward(x):
    return torch.relu, *_tensors(x)


def _relu_backward(dout, x):
    return aten.threshold_backward, *_tensors(dout, x), 0


def _function(function, *more):
    """Return PyTorch's counterpart of a function of arrays alone."""
    return lambda *arrays: (function, *_tensors(*arrays), *more)


def _batchnorm_forward(x, gamma, beta, bn_param):
    running = bn_param["running_mean"].copy(), bn_param["running_var"].copy()
    training = bn_param["mode"] == "train"
    settings = training, 1 - bn_param["momentum"], bn_param["eps"]
    return aten.native_batch_norm, *_tensors(x, gamma, beta, *running), *settings


def _batchnorm_backward(dout, cache):
    dout, x, rstd, gamma = _tensors(dout, cache["x_normalized"], cache["rstd"], cache["gamma"])
    mean = torch.zeros_like(rstd)
    wanted = [True, True, True]
    function = aten.native_batch_norm_backward
    return function, dout, x, gamma, mean, rstd, mean, rstd, True, 1e-5, wanted


def _layernorm_forward(x, gamma, beta, ln_param):
    x, gamma, beta = _tensors(x, gamma, beta)
    return aten.native_layer_norm, x, gamma.shape, gamma, beta, ln_param["eps"]


def _layernorm_backward(dout, cache):
    dout, x, rstd, gamma = _tensors(dout, cache["x_normalized"], cache["rstd"], cache["gamma"])
    rstd, wanted = rstd[:, None], [True, True, True]
    function = aten.native_layer_norm_backward
    return function, dout, x / rstd, gamma.shape, torch.zeros_like(rstd), rstd, gamma, gamma, wanted


def _dropout_forward(x, dropout_param):
    return aten.native_dropout, *_tensors(x), 1 - dropout_param["p"], True


def _dropout_backward(dout, cache):
    dropout_param, mask = cache
    return aten.native_dropout_backward, *_tensors(dout, mask != 0), 1 / dropout_param["p"]


def _loss(function, *names):
    """Loss and gradient: PyTorch has no single operation that gives both."""

    def prepare(x, y, *more):
        x, y = torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)
        options = dict(zip(names, more, strict=True))

        @torch.enable_grad()
        def call():
            loss = function(x, y, **options)
            return loss, torch.autograd.grad(loss, x)

        return (call,)

    return prepare


def _pinball(x, y, level):
    return torch.maximum(level * (y - x), (1 - level) * (x - y)).mean()


def _update(optimizer):
    """One step of an optimizer over one tensor."""

    def prepare(w, dw, config):
        w, dw = _tensors(w, dw)
        w.grad = dw
        return (optimizer([w], config).step,)

    return prepare


def _sgd(nesterov=False):
    def optimizer(params, config):
        momentum = config.get("momentum", 0)
        rate = config["learning_rate"]
        return torch.optim.SGD(params, rate, momentum, nesterov=nesterov, fused=True)

    return _update(optimizer)


def _rmsprop(params, config):
    return torch.optim.RMSprop(
        params, config["learning_rate"], config["decay_rate"], config["epsilon"]
    )


def _adam(params, config):
    betas = config["beta1"], config["beta2"]
    return torch.optim.Adam(params, config["learning_rate"], betas, config["epsilon"], fused=True)


def _adamw(params, config):
    betas, decay = (config["beta1"], config["beta2"]), config["weight_decay"]
    return torch.optim.AdamW(
        params, config["learning_rate"], betas, config["epsilon"], decay, fused=True
    )


_OPERATIONS = {
    "affine_forward": _affine_forward,
    "affine_backward": _affine_backward,
    "relu_forward": _relu_forward,
    "relu_backward": _relu_backward,
    "sigmoid_forward": _function(torch.sigmoid),
    "sigmoid_backward": _function(aten.sigmoid_backward),
    "tanh_forward": _function(torch.tanh),
    "tanh_backward": _function(aten.tanh_backward),
    "leaky_relu_forward": _function(nn.functional.leaky_relu),
    "leaky_relu_backward": _function(aten.leaky_relu_backward, 0.01, False),
    "silu_forward": _function(nn.functional.silu),
    "silu_backward": _function(aten.silu_backward),
    "gelu_forward": _function(nn.functional.gelu),
    "gelu_backward": _function(aten.gelu_backward),
    "batchnorm_forward train": _batchnorm_forward,
    "batchnorm_forward test": _batchnorm_forward,
    "batchnorm_backward": _batchnorm_backward,
    "layernorm_forward": _layernorm_forward,
    "layernorm_backward": _layernorm_backward,
    "dropout_forward": _dropout_forward,
    "dropout_backward": _dropout_backward,
    "softmax_loss": _loss(nn.functional.cross_entropy),
    "softmax_loss smoothed": _loss(nn.functional.cross_entropy, "label_smoothing"),
    "svm_loss": _loss(nn.functional.multi_margin_loss),
    "logistic_loss": _loss(nn.functional.binary_cross_entropy_with_logits),
    "squared_error_loss": _loss(nn.functional.mse_loss),
    "absolute_error_loss": _loss(nn.functional.l1_loss),
    "huber_loss": _loss(nn.functional.huber_loss, "delta"),
    "quantile_loss": _loss(_pinball, "level"),
    "poisson_loss": _loss(nn.functional.poisson_nll_loss),
    "sgd": _sgd(),
    "sgd_momentum": _sgd(),
    "sgd_nesterov_momentum": _sgd(nesterov=True),
    "rmsprop": _update(_rmsprop),
    "adam": _update(_adam),
    "adamw": _update(_adamw),
}
