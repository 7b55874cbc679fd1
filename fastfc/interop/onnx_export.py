"""Networks written as ONNX files; see `fastfc.networks.model.Model.to_onnx`.

A file says which network it holds, as `fastfc.networks.network_file` describes it, in one JSON
object among its metadata, under `KEY`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..arguments import check_flag, shown
from ..data.rows import check_normalization
from ..files import atomic_write
from ..networks import network_file
from ..networks.losses import LOSSES
from ..networks.predictor import freeze, read_layers
from ..optional import missing_package
from ..version import __version__
from .onnx_nodes import Nodes

try:
    import onnx
except ImportError as error:
    raise missing_package("to_onnx", "onnx", "onnx", error) from error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._types import Array, StrPath
    from ..networks.fully_connected import FullyConnectedNet
    from .onnx_nodes import Node

OPSET, IR = 20, 10  # onnx's own are ahead of what most runtimes take
KEY = "fastfc_network"
MOST_BYTES = 2**31 - 1  # of a file, by the format


def write(
    path: StrPath,
    network: FullyConnectedNet,
    input_name: str,
    output_name: str | None,
    probabilities: bool,
    preprocessing: bool,
    metadata: Mapping[str, str] | None,
) -> None:
    """Write a network's scores as a graph; see `fastfc.networks.model.Model.to_onnx`."""
    if not network._has_own_loss():
        raise TypeError(
            f"to_onnx: loss of this {type(network).__name__} is not fastfc's own, expected a "
            "network whose loss nobody has replaced: a file gives the scores of fastfc's"
        )
    output = None
    if check_flag("probabilities", probabilities):
        output = _output_of(network)
    if output_name is None:
        output_name = "probabilities" if output else "scores"
    _check_names(input_name, output_name)
    normalization = None
    if check_flag("preprocessing", preprocessing):
        normalization = _normalization_of(network)
    found = {KEY: json.dumps(network_file.describe(network)), **_check_metadata(metadata)}

    layers = read_layers(freeze(network))
    D, C = layers[0].W.shape[0], layers[-1].W.shape[1]
    nodes = Nodes(network.dtype, OPSET, _unique(input_name, output_name))
    x = input_name if normalization is None else nodes.normalize(input_name, *normalization)
    nodes.rename(nodes.output(nodes.layers(x, layers), output), output_name)
    total = sum(array.nbytes for array in nodes.constants.values())
    if total > MOST_BYTES - (1 << 20):
        raise ValueError(
            f"to_onnx: the network has {total} bytes, expected less than {MOST_BYTES}, all that a "
            "file of ONNX holds: save keeps larger ones"
        )
    model = _build_model(nodes, (input_name, D), (output_name, C), found)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    atomic_write(path, lambda file: file.write(content))


def _unique(*names: str) -> Callable[[str], str]:
    """Return a function (name) -> it, with slashes before it where the graph has it already."""
    used = set(names)

    def unique(name: str) -> str:
        while name in used:
            name = f"/{name}"
        used.add(name)
        return name

    return unique


def _output_of(network: FullyConnectedNet) -> str:
    """Return what makes probabilities of the scores."""
    output = LOSSES[network.loss_name].output
    if output not in ("softmax", "logistic"):
        raise ValueError(
            f"to_onnx: probabilities is True and the network's loss is {network.loss_name!r}, "
            "expected 'softmax' or 'logistic', which are of classes"
        )
    return output


def _check_names(input_name: Any, output_name: Any) -> None:
    """Raise an error unless these can be names of a graph's input and output."""
    for what, name in (("input_name", input_name), ("output_name", output_name)):
        if not isinstance(name, str) or not name:
            raise TypeError(f"to_onnx: {what} is {shown(name)}, expected a text")
    if input_name == output_name:
        raise ValueError(
            f"to_onnx: input_name and output_name are both {input_name!r}, expected two names"
        )


def _check_metadata(metadata: Any) -> dict[str, str]:
    """Return the metadata that somebody gives, if a file can hold them."""
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, Mapping):
        raise TypeError(f"to_onnx: metadata is {shown(metadata)}, expected a dict of texts")
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(
                f"to_onnx: metadata has {shown(key)}: {shown(value)}, expected texts: of what is "
                "none json.dumps makes one"
            )
    if KEY in metadata:
        raise ValueError(f"to_onnx: metadata has the key {KEY!r}, which fastfc writes itself")
    return dict(metadata)


def _normalization_of(network: FullyConnectedNet) -> tuple[Array, Array]:
    """Return mean and std of the network's preprocessing."""
    found = getattr(network, "preprocessing", None)
    kind = found.get("kind") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or kind is None:
        raise ValueError(
            "to_onnx: preprocessing is True and the network has none, expected its attribute "
            "preprocessing to say how examples were normalised"
        )
    if kind != "normalize":
        raise ValueError(
            f"to_onnx: the network's preprocessing is of the kind {shown(kind)}, expected "
            "'normalize', mean and std: columns of a table are made numbers before the graph"
        )
    D = network.params["W1"].shape[0]
    pair: Any = found.get("mean"), found.get("std")
    return check_normalization(pair, (D,), network.dtype)


def _build_model(
    nodes: Nodes, given: tuple[str, int], made: tuple[str, int], metadata: dict[str, str]
) -> Any:
    """Return the model of nodes whose input and output have such names and sizes."""
    element = onnx.helper.np_dtype_to_tensor_dtype(nodes.dtype)
    graph = onnx.helper.make_graph(
        [_make_node(node) for node in nodes.nodes],
        "fastfc",
        [onnx.helper.make_tensor_value_info(given[0], element, ["N", given[1]])],
        [onnx.helper.make_tensor_value_info(made[0], element, ["N", made[1]])],
        [onnx.numpy_helper.from_array(array, name) for name, array in nodes.constants.items()],
    )
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="fastfc",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, metadata)
    return model


def _make_node(node: Node) -> Any:
    """Return a node as onnx has it, with the name of its output."""
    name = node.output
    return onnx.helper.make_node(
        node.op_type, list(node.inputs), [name], name=name, **node.attributes
    )
