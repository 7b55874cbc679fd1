"""Losses that networks have, and labels, targets and weights for them."""

import numpy as np

# Arguments of a network, for each loss; the parameter is no default.
LOSSES = [
    {"loss": "softmax"},
    {"loss": "softmax", "label_smoothing": 0.1},
    {"loss": "logistic"},
    {"loss": "logistic", "label_smoothing": 0.2},
    {"loss": "squared_error"},
    {"loss": "absolute_error"},
    {"loss": "huber", "loss_param": 0.7},
    {"loss": "quantile", "loss_param": 0.3},
    {"loss": "poisson"},
]


def labels_or_targets(loss, count, scores, dtype=np.float64):
    """Return what a loss takes for so many examples, of so many classes or scores."""
    rng = np.random.RandomState(count)
    if loss == "softmax":
        return rng.randint(scores, size=count)
    if loss == "logistic":
        return rng.randint(2, size=(count, scores)).astype(dtype)
    if loss == "poisson":
        return rng.poisson(2, size=(count, scores)).astype(dtype)
    return rng.randn(count, scores).astype(dtype)


def weights(count):
    """Weights whose sums are exact in any order; some are 0."""
    return np.random.RandomState(count + 1).randint(5, size=count) / 4
