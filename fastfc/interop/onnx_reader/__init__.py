"""Reading ONNX graphs of fully connected networks.

A graph is walked once, node by node, with values in the place of tensors: of what the network
computes a `values.Tensor`, which says from what and how, without numbers; of all else the numbers
themselves.  The operators that make such values stand in `operators`, a module a group.  What leads
to the output is then a list of steps (`steps`), which `function` computes.
"""

from ...optional import missing_package as _missing_package

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise _missing_package("from_onnx", "onnx", "onnx", error) from error
