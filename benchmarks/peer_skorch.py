"""skorch: the same network in PyTorch behind scikit-learn's API, trained by its own loop."""

import itertools

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor

BATCH = 200  # scikit-learn's "auto"


def estimator(task, random_state=None, **settings):
    """Return an estimator of a task; settings are scikit-learn's."""
    torch.manual_seed(random_state or 0)
    outputs = len(np.unique(task.y)) if task.classifies else 1
    sizes = [task.X.shape[1], *settings["hidden_layer_sizes"]]
    layers = []
    for D, M in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(D, M), torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], outputs))
    common = {
        "optimizer": torch.optim.Adam,
        "lr": 1e-3,
        "optimizer__weight_decay": 0,
        "batch_size": BATCH,
        "max_epochs": settings["max_iter"],
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
    }
    if task.classifies:
        return NeuralNetClassifier(module, criterion=torch.nn.CrossEntropyLoss, **common)
    return _Regressor(module, **common)


class _Regressor(NeuralNetRegressor):
    """Takes a vector of targets, as every regressor of scikit-learn."""

    def fit(self, X, y):
        return super().fit(X, np.asarray(y, np.float32)[:, np.newaxis])
