"""A model of a few lines, with params and loss, whose accuracy is scripted; and its data."""

import numpy as np


class Stranger:
    """Notes the examples it sees; its scores and its gradient are scripted.

    Examples are their own indices.  It is right on a validation example i (from 1000) as long as
    i - 1000 < correct[k] in the k-th scoring, and on every training example.
    """

    def __init__(self, correct=(0,)):
        self.params = {"w": np.zeros(3), "b": np.ones(())}
        self.correct = correct
        self.seen = []
        self.scorings = 0

    def loss(self, X, y=None):
        self.seen.append(X[:, 0].astype(int).tolist())
        if y is not None:
            return 0.5 + len(self.seen), {"w": np.ones(3), "b": np.ones(())}
        scores = np.zeros((len(X), 2))
        if X[0, 0] >= 1000:
            right = self.correct[min(self.scorings, len(self.correct) - 1)]
            scores[:, 1] = X[:, 0] - 1000 >= right
            self.scorings += X[-1, 0] == 1009
        return scores


def indices(n_train=25, n_val=10):
    return {
        "X_train": np.arange(n_train)[:, np.newaxis],
        "y_train": np.zeros(n_train, int),
        "X_val": 1000 + np.arange(n_val)[:, np.newaxis],
        "y_val": np.zeros(n_val, int),
    }
