"""Small labelled data, a Solver of a small network on them, and what is nearly an array."""

import numpy as np

from fastfc import fc_net
from fastfc.solver import Solver

RNG = np.random.default_rng(4)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)


def data(**changes):
    return {"X_train": X, "y_train": Y, "X_val": X[:20], "y_val": Y[:20], **changes}


def solver(nets=fc_net, changes=None, **options):
    np.random.seed(0)
    model = nets.FullyConnectedNet([8], input_dim=5, num_classes=3, weight_scale=0.5)
    options = {"batch_size": 20, "num_epochs": 2, "verbose": False, **options}
    return Solver(model, data(**(changes or {})), **options)


def changed(y, i, value):
    y = np.array(y)
    y[i] = value
    return y


def trained(nets=fc_net, changes=None, **options):
    made = solver(nets, changes, **options)
    made.train()
    return made


class Sparse:
    """The shape of a sparse matrix of SciPy's, which need not be installed."""

    shape, dtype, nnz = (60, 5), np.dtype(np.float32), 3

    def toarray(self):
        return X


class Frame:
    """And of a data frame of pandas'."""

    shape, iloc = (60, 5), None

    def to_numpy(self):
        return X


class Tensor:
    """A tensor on another device, which NumPy cannot have."""

    def __array__(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def masked(a, where=0):
    mask = np.zeros(np.shape(a), bool)
    mask.flat[where] = True
    return np.ma.array(a, mask=mask)
