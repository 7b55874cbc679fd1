"""A network that is composed of layers, and parameters as users leave them."""

import numpy as np

from fastfc import fc_net
from fastfc.networks.fully_connected import FullyConnectedNet as OverLayers


class Composed(fc_net.FullyConnectedNet):
    """The same network, layer by layer through fastfc.layers and fastfc.optim."""

    def _data_loss(self, X, y, sample_weight=None):
        return OverLayers._data_loss(self, X, y, sample_weight)

    def _test_scores(self, X):
        return OverLayers._test_scores(self, X)

    def __fastfc_train_step__(self, *args, **options):
        return None


def irregular():
    """Ways in which users leave parameters; all must train as the composed layers do."""
    wide = np.random.RandomState(0).randn(60, 44).astype(np.float32)
    return {
        "float64": lambda p: p.update(W1=p["W1"].astype(np.float64)),
        "integers": lambda p: p.update(W1=np.ones((60, 22), int)),
        "fortran": lambda p: p.update(W1=np.asfortranarray(p["W1"])),
        "strided": lambda p: p.update(W1=wide[:, ::2]),
        "view": lambda p: p.update(W1=wide.reshape(-1)[: 60 * 22].reshape(60, 22)),
        "read-only": lambda p: p["W1"].setflags(write=False),
        "plain number": lambda p: p.update(b1=0),
        "list": lambda p: p.update(b1=[0.5] * 22),
        "other order": lambda p: [p.update({k: p.pop(k)}) for k in sorted(p, reverse=True)],
    }
