"""The same API in plain NumPy: the executable specification of the fast modules.

It is written to be read beside the papers and is itself checked by numerical gradients.  It
imports NumPy and what it shares with the fast modules, :mod:`fastfc.networks` and
:mod:`fastfc.update_rules` above all, and never the core.  Arguments, results and errors are
documented where people call them, in :mod:`fastfc.layers`, :mod:`fastfc.layer_utils`,
:mod:`fastfc.fc_net` and :mod:`fastfc.optim`.
"""

from . import fc_net, layer_utils, layers, optim

__all__ = ["fc_net", "layer_utils", "layers", "optim"]
