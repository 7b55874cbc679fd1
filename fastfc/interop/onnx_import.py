"""ONNX files read as functions; see `fastfc.interop.from_onnx`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..archives import describe_error, is_system_error
from .onnx_reader.files import as_text, read_model
from .onnx_reader.function import OnnxNetwork
from .onnx_reader.graph import Graph
from .onnx_reader.steps import steps_to

if TYPE_CHECKING:
    from .._types import StrPath

__all__ = ["from_onnx"]


def from_onnx(path: StrPath, output: str | None = None) -> OnnxNetwork:
    """Return the function that a fully connected network in an ONNX file computes.

    It is evaluated on the C kernels, as it would be after training: the file may be of
    ``model.to_onnx``, of PyTorch's exporters, of skl2onnx, or by hand.  Read are Gemm and MatMul;
    Add, Sub, Mul and Div with constants; the activations that fastfc has, LayerNormalization,
    whole or written step by step, and BatchNormalization; Flatten and Reshape that make a row of
    each example, by sizes that the graph computes too; Cast, Identity, Dropout and
    ``ai.onnx.ml``'s Scaler; Softmax, Sigmoid and Exp behind the scores.  Of a classifier the
    probabilities are returned, not the labels that ArgMax, ZipMap or Binarizer make of them.  Any
    other operator is an error that says where it stands.

    Nothing in the file is run, and sizes are checked before memory is asked for; numbers beside the
    file (``.onnx.data``) are read from its own folder or below it.

    Parameters
    ----------
    path : path
    output : str, optional
        The name of the output to compute, where the graph has several.

    Returns
    -------
    OnnxNetwork
        A function of examples (N, d_1, ..., d_k), which returns scores or probabilities (N, M).
        Its method ``network`` makes a `FullyConnectedNet` of it where it is one.

    Raises
    ------
    ImportError
        onnx is missing: ``pip install fastfc[onnx]``.
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, or has anything else than such a network.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> net = FullyConnectedNet([20], input_dim=15, normalization="layernorm")
    >>> x = np.ones((2, 15))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.to_onnx(f"{folder}/net.onnx")
    ...     function = from_onnx(f"{folder}/net.onnx")
    >>> bool(np.allclose(function(x), net.loss(x)))
    True
    """
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(os.fsdecode(path)))
    try:
        model = read_model(path)
        graph = Graph(model, folder, os.path.getsize(path))
        name, tensor = graph.find(output)
        found = graph.input
        return OnnxNetwork(
            steps_to(tensor),
            input_name=found.name,
            input_shape=(None, *found.tensor.shape),
            input_dtype=found.tensor.dtype,
            output_name=name,
            metadata={as_text(one.key): as_text(one.value) for one in model.metadata_props},
        )
    except Exception as error:
        if is_system_error(error) or isinstance(error, (FileNotFoundError, MemoryError)):
            raise
        raise ValueError(f"{os.fsdecode(path)}: {describe_error(error)}") from error
