"""scikit-learn: MLPClassifier.partial_fit on one minibatch. It has neither batch norm nor dropout.

It computes in the dtype of the images, with Adam.
"""

import functools

import numpy as np
from sklearn.neural_network import MLPClassifier


def steps(network, data, learning_rate):
    """Return what runs one training step, by name."""
    batch, _, hidden, classes, _ = network
    x, y = data["X_train"].reshape(len(data["X_train"]), -1), data["y_train"]
    model = MLPClassifier(
        hidden, alpha=0, batch_size=batch, learning_rate_init=learning_rate, random_state=0
    )
    model.partial_fit(x[:batch], y[:batch], classes=np.arange(classes))
    return {"sklearn": functools.partial(_step, model, x, y, batch)}


def _step(model, x, y, batch):
    chosen = np.random.choice(len(x), batch)
    model.partial_fit(x[chosen], y[chosen])
