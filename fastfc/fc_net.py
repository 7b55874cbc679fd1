"""Fully connected networks over the layers of the C core.

Everything but the layers they call stands in :mod:`fastfc.reference.fc_net`.
"""

from . import layer_utils
from .layer_utils import *  # noqa: F403  (as in the original, fc_net brings all layers along)
from .reference import fc_net as reference

__all__ = [*layer_utils.__all__, "FullyConnectedNet", "TwoLayerNet"]


class FullyConnectedNet(reference.FullyConnectedNet):
    """{affine - [batch norm] - relu - [dropout]} x (L - 1) - affine - softmax.

    Parameters
    ----------
    hidden_dims : sequence of int
        Sizes of the L - 1 hidden layers; may be empty.
    input_dim : int
        Numbers per example.
    num_classes : int
        Classes.
    dropout : float
        Probability of *keeping* a unit, in (0, 1); 0 and 1 both mean no dropout.
    use_batchnorm : bool
        Whether hidden layers are batch-normalised.
    reg : float
        Strength of the L2 regularisation, 0.5 * reg * (sum of the squared weights).
    weight_scale : float
        Standard deviation of the initial weights, drawn from ``np.random`` in order; biases and
        betas start at 0, gammas at 1.
    dtype : float32 or float64
        In which the network keeps its parameters, computes, and returns gradients.
    seed : int, optional
        Reseeds ``np.random`` at every dropout, so that a gradient check sees the same masks.

    Attributes
    ----------
    params : dict of ndarray
        ``W1, b1, ..., WL, bL`` and with batch normalisation ``gamma1, beta1, ...``.  They may be
        replaced, or edited in place, between calls.
    reg : float
        As above; may be changed.
    num_layers : int
        L.
    dropout_param : dict
        What the dropout layers share; empty without dropout.
    bn_params : list of dict
        One per hidden layer, with its running statistics; empty without batch normalisation.
    use_batchnorm, use_dropout : bool
    dtype : type
        ``np.float32`` or ``np.float64``.

    Raises
    ------
    TypeError
        A size is not an integer, or dtype is another one.
    ValueError
        A size is below 1, or dropout is outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> net = FullyConnectedNet([20, 30], input_dim=15, dropout=0.5, use_batchnorm=True)
    >>> X, y = np.ones((4, 15)), np.array([0, 1, 2, 3])
    >>> loss, grads = net.loss(X, y)
    >>> grads["W1"].shape, grads["W1"].dtype
    ((15, 20), dtype('float32'))
    >>> net.loss(X).shape
    (4, 10)
    """

    _layers = layer_utils


class TwoLayerNet(reference.TwoLayerNet):
    """affine - relu - [dropout] - affine - softmax in float64.

    Parameters
    ----------
    input_dim : int
        Numbers per example.
    hidden_dims : int
        Size of the hidden layer; also accepted under the name ``hidden_dim``.
    num_classes : int
        Classes.
    dropout, weight_scale, reg : float
        As for ``FullyConnectedNet``, of which this is the case L = 2; so are its attributes.
    hidden_dim : int, optional
        Goes before ``hidden_dims``.

    Raises
    ------
    TypeError, ValueError
        As ``FullyConnectedNet``.

    Examples
    --------
    >>> from fastfc.fc_net import TwoLayerNet
    >>> net = TwoLayerNet(input_dim=15, hidden_dim=20)
    >>> {name: value.shape for name, value in net.params.items()}
    {'W1': (15, 20), 'b1': (20,), 'W2': (20, 10), 'b2': (10,)}
    """

    _layers = layer_utils
