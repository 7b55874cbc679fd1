"""A model and a Solver in the manner of CS231n, small and in plain NumPy: written for the tests."""

import numpy as np


class StrangeModel:
    """A linear classifier under a squared loss: params and loss(X, y=None), and nothing else."""

    def __init__(self, D, C):
        self.params = {"bias": np.zeros(C), "weights": 0.1 * np.random.randn(D, C)}

    def loss(self, X, y=None):
        rows = X.reshape(len(X), -1)
        scores = rows @ self.params["weights"] + self.params["bias"]
        if y is None:
            return scores
        error = scores - np.eye(scores.shape[1])[y]
        gradients = {"weights": rows.T @ error / len(X), "bias": error.mean(axis=0)}
        return 0.5 * np.mean(np.sum(error**2, axis=1)), gradients


class StrangeSolver:
    """Minibatches without epochs: a rule of either course, one config for each parameter."""

    def __init__(self, model, data, update_rule, optim_config, batch_size=20):
        self.model, self.data, self.update_rule = model, data, update_rule
        self.batch_size = batch_size
        self.optim_configs = {name: dict(optim_config) for name in model.params}
        self.loss_history = []

    def _step(self):
        chosen = np.random.choice(len(self.data["X_train"]), self.batch_size)
        loss, grads = self.model.loss(self.data["X_train"][chosen], self.data["y_train"][chosen])
        self.loss_history.append(loss)
        for p, w in self.model.params.items():
            dw, config = grads[p], self.optim_configs[p]
            next_w, next_config = self.update_rule(w, dw, config)
            self.model.params[p] = next_w
            self.optim_configs[p] = next_config

    def train(self, steps):
        for _ in range(steps):
            self._step()

    def accuracy(self):
        scores = self.model.loss(self.data["X_val"])
        return np.mean(np.argmax(scores, axis=1) == self.data["y_val"])


def momentum_by_hand(w, dw, config=None):
    """Give an update rule of the stranger's own, with state under a name of its own."""
    config = config or {}
    config["speed"] = 0.9 * config.get("speed", 0 * w) - config.get("rate", 0.05) * dw
    return w + config["speed"], config


def clusters(C=4, D=6, n=200):
    """Return examples (n, 2, D / 2) around C centres, three quarters of them for training."""
    rng = np.random.RandomState(1)
    y = np.arange(n) % C
    X = (3 * rng.randn(C, D)[y] + rng.randn(n, D)).reshape(n, 2, -1)
    cut = 3 * n // 4
    return {"X_train": X[:cut], "y_train": y[:cut], "X_val": X[cut:], "y_val": y[cut:]}
