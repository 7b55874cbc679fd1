"""Data sets for training, each as the dict that `Solver` takes.

``X_train, y_train, X_val, y_val, X_test, y_test``, as `fastfc.data_utils.get_CIFAR10_data`
returns it: images (N, channels, height, width) in float64, labels (N,) in int64.
"""

from fastfc.data.digits import load_digits
from fastfc.data.mnist import load_mnist
from fastfc.data.npz import load_npz

__all__ = ["load_digits", "load_mnist", "load_npz"]
