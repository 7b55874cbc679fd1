"""Graphs of ONNX, built by hand for tests."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

ELEMENTS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}


def build(nodes, constants=(), *, shape=("N", 5), output="y", dtype=np.float32, opset=20, **more):
    """Return a model: ``nodes`` are (operator, inputs, outputs, attributes), as texts with spaces.

    Its input is x, of the shape, its outputs those that are named, whose shapes are left open.
    ``element`` is another type of the input; ``check`` says whether onnx's checker is to pass.
    """
    made_of = ELEMENTS[dtype]
    element = more.get("element", made_of)
    made = []
    for op_type, inputs, outputs, *rest in nodes:
        domain, _, name = op_type.rpartition(".")
        attributes = rest[0] if rest else {}
        inputs = ["" if one == "-" else one for one in inputs.split()]
        node = helper.make_node(name, inputs, outputs.split(), domain=domain, **attributes)
        node.name = more.get("prefix", "/") + node.output[0]
        made.append(node)
    graph = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info(name, made_of, (None, None)) for name in output.split()],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in dict(constants).items()],
    )
    versions = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=10)
    if more.get("check", True):
        onnx.checker.check_model(model)
    return model


def save(model, folder, name="net.onnx"):
    """Write a model into a folder and return the path."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def expected(model, x, name=None):
    """Return what onnx's own evaluator, in plain NumPy, makes of x."""
    from onnx.reference import ReferenceEvaluator

    names = None if name is None else [name]
    return ReferenceEvaluator(model).run(names, {model.graph.input[0].name: x})[0]
