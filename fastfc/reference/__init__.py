"""The same API in plain NumPy: the executable specification of the fast modules.

It is written to be read beside the papers, imports NumPy alone, and is itself checked by
numerical gradients.  Arguments, results and errors are documented where people call them, in
:mod:`fastfc.layers`, :mod:`fastfc.layer_utils`, :mod:`fastfc.fc_net` and :mod:`fastfc.optim`.
"""

from . import fc_net, layer_utils, layers, optim

__all__ = ["fc_net", "layer_utils", "layers", "optim"]
