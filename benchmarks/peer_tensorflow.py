"""TensorFlow: the whole training step as one function compiled by XLA, or many steps in one.

Its pool gets as many threads as fastfc has when this is imported, and keeps them.
"""

import itertools
import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # else it logs that there is no GPU

import tensorflow as tf

import fastfc

tf.get_logger().setLevel("ERROR")  # else it warns that every network is compiled anew
tf.config.threading.set_intra_op_parallelism_threads(fastfc.get_num_threads())
tf.config.threading.set_inter_op_parallelism_threads(1)  # a compiled step is one operation

EPSILON, MOMENTUM, BETA1, BETA2, ADAM_EPSILON = 1e-5, 0.9, 0.9, 0.999, 1e-8


def steps(network, data, learning_rate):
    """Return what runs one training step, by name."""
    jitted = tf.function(_Network(network, data, learning_rate).step, jit_compile=True)
    return {"tensorflow": lambda: float(jitted())}


def many_steps(network, data, learning_rate, count):
    """Return what runs so many steps in one call."""
    net = _Network(network, data, learning_rate)

    @tf.function(jit_compile=True)
    def loop():
        losses = tf.TensorArray(net.dtype, count)
        for i in tf.range(count):
            losses = losses.write(i, net.step())
        return losses.stack()

    return {"tensorflow.while": lambda: loop().numpy().tolist()}


class _Network:
    """Variables, and a step that updates them."""

    def __init__(self, network, data, learning_rate):
        self.batch, example, hidden, classes, self.keep = network
        self.learning_rate = learning_rate
        size = math.prod(example)
        self.x = tf.constant(data["X_train"].reshape(-1, size))
        self.y = tf.constant(data["y_train"], tf.int32)
        self.dtype = self.x.dtype
        self.layers, self.running = [], []
        for d, m in itertools.pairwise([size, *hidden, classes]):
            w = 0.01 * tf.random.stateless_normal((d, m), (d, m), dtype=self.dtype)
            layer = {"w": tf.Variable(w), "b": self._zeros(m)}
            if len(self.layers) < len(hidden):
                layer |= {"gamma": self._ones(m), "beta": self._zeros(m)}
                self.running.append((self._zeros(m), self._ones(m)))
            self.layers.append(layer)
        self.params = [w for layer in self.layers for w in layer.values()]
        self.first, self.second = ([self._zeros(w.shape) for w in self.params] for _ in range(2))
        self.t = self._zeros(())
        self.seed = tf.Variable([0, 0])

    def _zeros(self, shape):
        return tf.Variable(tf.zeros(shape, self.dtype))

    def _ones(self, shape):
        return tf.Variable(tf.ones(shape, self.dtype))

    def step(self):
        """Train on a minibatch and return its loss."""
        self.seed.assign_add([1, 0])
        chosen = self._draw(0, (self.batch,), maxval=len(self.x), dtype=tf.int32)
        with tf.GradientTape() as tape:
            loss = self._loss(tf.gather(self.x, chosen), tf.gather(self.y, chosen))
        self._adam(tape.gradient(loss, self.params))
        return loss

    def _draw(self, number, shape, **options):
        """Draw uniformly, other numbers for each step and each number.

        By Philox: the generator that XLA chooses by default takes three times as long as the whole
        rest of a small network's step.
        """
        seed = self.seed + tf.constant([0, number])
        return tf.random.stateless_uniform(shape, seed, alg="philox", **options)

    def _loss(self, out, labels):
        for number, (layer, running) in enumerate(
            zip(self.layers[:-1], self.running, strict=True), 1
        ):
            out = out @ layer["w"] + layer["b"]
            mean, var = tf.nn.moments(out, 0)
            for average, now in zip(running, (mean, var), strict=True):
                average.assign(MOMENTUM * average + (1 - MOMENTUM) * now)
            out = (out - mean) * tf.math.rsqrt(var + EPSILON) * layer["gamma"]
            out = tf.nn.relu(out + layer["beta"])
            kept = self._draw(number, out.shape) < self.keep
            out = tf.where(kept, out / self.keep, 0)
        scores = out @ self.layers[-1]["w"] + self.layers[-1]["b"]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
        return tf.reduce_mean(losses)

    def _adam(self, grads):
        self.t.assign_add(1)
        rate = self.learning_rate / (1 - BETA1**self.t)
        unbias = 1 / (1 - BETA2**self.t)
        for w, v, a, g in zip(self.params, self.first, self.second, grads, strict=True):
            v.assign(BETA1 * v + (1 - BETA1) * g)
            a.assign(BETA2 * a + (1 - BETA2) * g * g)
            w.assign_sub(rate * v / (tf.sqrt(a * unbias) + ADAM_EPSILON))
