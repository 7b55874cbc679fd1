"""JAX: the whole training step as one jitted function that may reuse its arguments' memory.

Or many steps in such a function, by `lax.scan`.
"""

import itertools
import math

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)

EPSILON, MOMENTUM, BETA1, BETA2, ADAM_EPSILON = 1e-5, 0.9, 0.9, 0.999, 1e-8


def steps(network, data, learning_rate):
    """Return what runs one training step, by name."""
    step, state, x, y = _step(network, data, learning_rate)
    jitted = jax.jit(step, donate_argnums=0)

    def call():
        nonlocal state
        loss, state = jitted(state, x, y)
        jax.block_until_ready(state)
        return float(loss)

    return {"jax": call}


def many_steps(network, data, learning_rate, count):
    """Return what runs so many steps in one call."""
    step, state, x, y = _step(network, data, learning_rate)

    def scan(state, x, y):
        return jax.lax.scan(lambda state, _: step(state, x, y)[::-1], state, length=count)

    jitted = jax.jit(scan, donate_argnums=0)

    def call():
        nonlocal state
        state, losses = jitted(state, x, y)
        jax.block_until_ready(state)
        return losses.tolist()

    return {"jax.scan": call}


def _step(network, data, learning_rate):
    """Return the function of a step, the state that it begins with, and the examples."""
    batch, example, hidden, classes, keep = network
    x, y = jnp.asarray(data["X_train"]), jnp.asarray(data["y_train"])
    sizes = [math.prod(example), *hidden, classes]
    state = _start(sizes, x.dtype)

    def loss_of(params, running, key, x, y):
        moved = []
        out = x.reshape(len(x), -1)
        for layer, (mean, var) in zip(params[:-1], running, strict=True):
            out = out @ layer["w"] + layer["b"]
            batch_mean, batch_var = out.mean(0), out.var(0)
            out = (out - batch_mean) / jnp.sqrt(batch_var + EPSILON) * layer["gamma"]
            out = jax.nn.relu(out + layer["beta"])
            key, drawn = jax.random.split(key)
            kept = jax.random.bernoulli(drawn, keep, out.shape)
            out = jnp.where(kept, out / keep, 0)
            moved.append(
                (
                    MOMENTUM * mean + (1 - MOMENTUM) * batch_mean,
                    MOMENTUM * var + (1 - MOMENTUM) * batch_var,
                )
            )
        scores = out @ params[-1]["w"] + params[-1]["b"]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1)
        return -chosen.mean(), moved

    def step(state, x, y):
        key, drawn, dropout = jax.random.split(state["key"], 3)
        chosen = jax.random.randint(drawn, (batch,), 0, len(x))
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, running), grads = gradient(
            state["params"], state["running"], dropout, x[chosen], y[chosen]
        )
        t = state["t"] + 1
        first = jax.tree.map(lambda v, g: BETA1 * v + (1 - BETA1) * g, state["first"], grads)
        second = jax.tree.map(lambda a, g: BETA2 * a + (1 - BETA2) * g * g, state["second"], grads)

        def update(w, v, a):
            root = jnp.sqrt(a / (1 - BETA2**t)) + ADAM_EPSILON
            return (w - learning_rate * v / (1 - BETA1**t) / root).astype(w.dtype)

        params = jax.tree.map(update, state["params"], first, second)
        moments = {"first": first, "second": second}
        return loss, {"params": params, "running": running, **moments, "key": key, "t": t}

    return step, state, x, y


def _start(sizes, dtype):
    key = jax.random.key(0)
    params, running = [], []
    for d, m in itertools.pairwise(sizes):
        key, drawn = jax.random.split(key)
        layer = {
            "w": 0.01 * jax.random.normal(drawn, (d, m), dtype),
            "b": jnp.zeros(m, dtype),
        }
        if len(params) < len(sizes) - 2:
            layer |= {"gamma": jnp.ones(m, dtype), "beta": jnp.zeros(m, dtype)}
            running.append((jnp.zeros(m, dtype), jnp.ones(m, dtype)))
        params.append(layer)
    return {
        "params": params,
        "running": running,
        "first": jax.tree.map(jnp.zeros_like, params),
        "second": jax.tree.map(jnp.zeros_like, params),
        "key": key,
        "t": jnp.zeros((), dtype),
    }
