"""What `from_onnx` refuses: by operator and place, and files that are damaged or made to harm."""

import itertools
import os
import re

import numpy as np
import pytest

from fastfc.interop import from_onnx
from tests.support import cases
from tests.support.onnx_graphs import TensorProto, build, expected, numpy_helper, save

W1, b1 = cases.normal((5, 7), np.float32, "W1"), cases.normal((7,), np.float32, "b1")
W2, b2 = cases.normal((7, 3), np.float32, "W2"), cases.normal((3,), np.float32, "b2")
WEIGHTS = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
X = cases.normal((11, 5), np.float32, "X")
FIRST = ("Gemm", "x W1 b1", "a")
ROW = cases.normal((7,), np.float32, "row")
CONSTANTS = {**WEIGHTS, "r": ROW, "one": np.array(1, np.float32), "axes": np.array([-1])}


def refused(model, tmp_path, message, name="net.onnx"):
    path = save(model, tmp_path, name)
    with pytest.raises(ValueError, match=message) as caught:
        from_onnx(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


OPERATORS = {
    "an operator that fastfc has not": ([("Elu", "a", "y")], "node 2, Elu '/y': fastfc has no Elu"),
    "Conv": ([("Conv", "a W1", "y")], "node 2, Conv '/y': fastfc has no Conv"),
    "another library's": (
        [("com.example.Gemm", "a W1", "y")],
        "node 2, Gemm '/y': fastfc has no com.example.Gemm",
    ),
    "transA": (
        [("Gemm", "a W2 b2", "y", {"transA": 1})],
        "node 2, Gemm '/y': its transA is 1, expected 0",
    ),
    "weights first": ([("MatMul", "W1 a", "y")], "node 2, MatMul '/y': the weights stand first"),
    "weights that are computed": (
        [("MatMul", "a a", "y")],
        "node 2, MatMul '/y': its input 1 is computed, expected a constant",
    ),
    "weights of another size": (
        [("MatMul", "a W1", "y")],
        r"node 2, MatMul '/y': its weights have shape \(5, 7\), expected \(7, M\)",
    ),
    "a residual": (
        [("Relu", "a", "h"), ("Add", "a h", "y")],
        "node 3, Add '/y': it adds two tensors of the network",
    ),
    "a product": (
        [("Tanh", "a", "h"), ("Mul", "a h", "y")],
        "node 3, Mul '/y': it multiplies two tensors",
    ),
    "a difference": (
        [("Tanh", "a", "h"), ("Sub", "a h", "y")],
        "node 3, Sub '/y': it subtracts two tensors",
    ),
    "a quotient": ([("Div", "r a", "y")], "node 2, Div '/y': it divides by what the network"),
    "training mode": (
        [("BatchNormalization", "a r r r r", "y", {"training_mode": 1})],
        "node 2, BatchNormalization '/y': it is in training mode",
    ),
    "training mode by its outputs": (
        [("BatchNormalization", "a r r r r", "y m v", {"training_mode": 1})],
        "node 2, BatchNormalization '/y': it is in training mode",
    ),
    "dropout in training": (
        [
            ("Constant", "", "t", {"value": numpy_helper.from_array(np.array(True))}),
            ("Dropout", "a - t", "y"),
        ],
        "node 3, Dropout '/y': its training_mode is True",
    ),
    "another axis of softmax": (
        [("Softmax", "a", "y", {"axis": 0})],
        "node 2, Softmax '/y': its axis is 0, expected the last",
    ),
    "another slope": (
        [("LeakyRelu", "a", "y", {"alpha": 0.2})],
        "node 2, LeakyRelu '/y': its alpha is 0.2, expected 0.01",
    ),
    "an approximate GELU": (
        [("Gelu", "a", "y", {"approximate": "tanh"})],
        "node 2, Gelu '/y': its approximate is 'tanh', expected 'none'",
    ),
    "Erf alone": ([("Erf", "a", "y")], "node 2, Erf '/y': it is of another number than"),
    "half a layer normalisation": (
        [("ReduceMean", "a axes", "m"), ("Sub", "a m", "y")],
        "node 3, Sub '/y': expected it only as a part of a LayerNormalization",
    ),
    "a mean of examples": (
        [("Constant", "", "z", {"value_ints": [0]}), ("ReduceMean", "a z", "y")],
        "node 3, ReduceMean '/y': it is a mean, expected one of each row",
    ),
    "a transposed tensor": (
        [("Transpose", "a", "y", {"perm": [1, 0]})],
        "node 2, Transpose '/y': it turns what the network computes",
    ),
    "a part of a tensor": (
        [("Constant", "", "i", {"value_int": 0}), ("Gather", "a i", "y", {"axis": 1})],
        "node 3, Gather '/y': it takes a part of what the network computes",
    ),
    "two tensors joined": (
        [("Tanh", "a", "h"), ("Concat", "a h", "y", {"axis": 1})],
        "node 3, Concat '/y': it joins what the network computes",
    ),
    "everything in a row": (
        [("Flatten", "a", "y", {"axis": 0})],
        "node 2, Flatten '/y': its axis is 0, expected 1",
    ),
    "another number of rows": (
        [("Constant", "", "s", {"value_ints": [-1, 14]}), ("Reshape", "a s", "y")],
        r"node 3, Reshape '/y': it makes shape \(-1, 14\) of \(N, 7\), expected a row an example",
    ),
    "integers": (
        [("Cast", "a", "y", {"to": TensorProto.INT64})],
        "node 2, Cast '/y': it makes int64 of what the network computes",
    ),
    "half precision": (
        [("Cast", "a", "y", {"to": TensorProto.FLOAT16})],
        "node 2, Cast '/y': it makes float16, expected float or double",
    ),
    "a power": ([("Pow", "a r", "y")], "node 2, Pow '/y': it is a power, expected a square"),
    "a square root": ([("Sqrt", "a", "y")], "node 2, Sqrt '/y': it is a square root"),
    "a maximum": ([("Max", "a r", "y")], "node 2, Max '/y': it is a maximum"),
    "a layer normalisation of examples": (
        [("LayerNormalization", "a r r", "y", {"axis": 0})],
        "node 2, LayerNormalization '/y': its axis is 0, expected the last",
    ),
}


@pytest.mark.parametrize("case", OPERATORS)
def test_operators(case, tmp_path):
    nodes, message = OPERATORS[case]
    refused(build([FIRST, *nodes], CONSTANTS, check=False), tmp_path, message)


def test_nodes_without_names(tmp_path):
    model = build([FIRST, ("Elu", "a", "h"), ("Gemm", "h W2", "y")], WEIGHTS)
    model.graph.node[1].name = ""
    refused(model, tmp_path, "net.onnx: node 2, Elu: fastfc has no Elu$")


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"W1": W1.astype(np.float64)}, "its input 1 has dtype float64, expected float32"),
        ({"W1": W1.astype(np.float16)}, "its input 1: it has elements of the type float16"),
        ({"W1": W1.astype(np.int64)}, "its input 1 has dtype int64, expected float32"),
        ({"W1": W1[0]}, r"its weights have shape \(7,\)"),
        ({"W1": W1[:, :0]}, r"its weights have shape \(5, 0\)"),
        ({"W1": W1[:4]}, r"its weights have shape \(4, 7\), expected \(5, M\)"),
        ({"b1": b1[:3]}, r"its input 2 has shape \(3,\), expected \(7,\)"),
        ({"b1": b1[:, np.newaxis]}, r"its input 2 has shape \(7, 1\), expected \(7,\)"),
    ],
)
def test_constants(constants, message, tmp_path):
    model = build([FIRST, ("Relu", "a", "y")], {**WEIGHTS, **constants}, check=False)
    refused(model, tmp_path, f"node 1, Gemm '/a': {message}")


# --- graphs -----------------------------------------------------------------------------------


def size(model):
    return model.graph.input[0].type.tensor_type.shape.dim[1]


GRAPHS = [
    (lambda m: m.graph.input.add(name="z").type.CopyFrom(m.graph.input[0].type), "it has 2 inputs"),
    (lambda m: m.graph.ClearField("input"), "it has 0 inputs"),
    (lambda m: m.graph.ClearField("output"), "it has no output"),
    (lambda m: m.graph.ClearField("node"), "its output 'y' is not computed from its input"),
    (lambda m: m.ClearField("opset_import"), "not a file of ONNX: it has no graph, or no opset"),
    (lambda m: m.ClearField("graph"), "not a file of ONNX: it has no graph, or no opset"),
    (lambda m: setattr(m.opset_import[0], "version", 6), "its operators are of version 6, expec"),
    (lambda m: setattr(m.opset_import[0], "version", 99), "its operators are of version 99, exp"),
    (lambda m: m.graph.node.reverse(), "node 1, Relu '/y': its input 'a' is made by no node befo"),
    (lambda m: m.graph.node[0].input.pop(1), "node 1, Gemm '/a': its weights have shape"),
    (lambda m: m.graph.node[1].output.__setitem__(0, "a"), "node 2, Relu '/y': its output 'a' is"),
    (lambda m: m.graph.node[1].input.pop(), "node 2, Relu '/y': it has 0 inputs, expected more"),
    (lambda m: setattr(size(m), "dim_value", 2**62), r"expected \(4611686018427387904, M\)"),
    (lambda m: setattr(size(m), "dim_value", -1), r"its input 'x' has shape \(\?, -1\), expect"),
    (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING),
        "its input 'x' is of string, expected floats or integers",
    ),
    (lambda m: m.graph.input[0].type.Clear(), "its input 'x' is of something else, expected flo"),
]


@pytest.mark.parametrize(("change", "message"), GRAPHS)
def test_graphs(change, message, tmp_path):
    model = build([FIRST, ("Relu", "a", "y")], WEIGHTS)
    change(model)
    refused(model, tmp_path, message)


def test_a_cycle(tmp_path):
    nodes = [("Sub", "x z", "y"), ("Gemm", "y W", "z")]
    model = build(nodes, {"W": np.eye(5, dtype=np.float32)}, check=False)
    refused(model, tmp_path, "node 1, Sub '/y': its input 'z' is made by no node before it")


def test_a_graph_without_layers(tmp_path):
    refused(build([("Relu", "x", "y")]), tmp_path, "it has no affine layer, expected a Gemm or a")


def test_deep_graphs_are_read(tmp_path):
    """Deeper than Python's own stack."""
    names = ["a", *(f"a{i}" for i in range(3000))]
    between = [("Neg", *pair) for pair in itertools.pairwise(names)]
    model = build([FIRST, *between, ("Relu", names[-1], "y")], WEIGHTS, check=False)
    wanted = expected(build([FIRST, ("Relu", "a", "y")], WEIGHTS), X)
    np.testing.assert_allclose(from_onnx(save(model, tmp_path))(X), wanted, rtol=1e-5, atol=1e-6)


# --- files ------------------------------------------------------------------------------------


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx: no such file"):
        from_onnx(tmp_path / "nothing.onnx")
    with pytest.raises(FileNotFoundError, match="no such file"):
        from_onnx(tmp_path)
    with pytest.raises(TypeError):
        from_onnx(None)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no onnx", b"\xff" * 100, b"\x08\x0a"])
def test_other_files(content, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net.onnx: damaged, or not a file of ONNX"):
        from_onnx(path)


def test_truncated_files(tmp_path):
    """Cut anywhere, a file is an error of one sentence, or a network whose end is missing."""
    content = build([FIRST, ("Relu", "a", "y")], WEIGHTS).SerializeToString()
    path = tmp_path / "net.onnx"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"net\.onnx: "):
            from_onnx(path)


def tensor_of(model, name="W1"):
    return next(one for one in model.graph.initializer if one.name == name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.dims.__setitem__(0, 2**60), r"it has 140 bytes, expected \d+ of shape"),
        (lambda t: t.dims.__setitem__(0, -5), r"it has the shape \(-5, 7\), expected sizes"),
        (lambda t: t.dims.append(2), "it has 140 bytes, expected 280 of shape"),
        (lambda t: setattr(t, "raw_data", b""), "it has 0 bytes, expected 140 of shape"),
        (lambda t: t.ClearField("raw_data"), r"it has 0 numbers, expected 35 of shape \(5, 7\)"),
        (lambda t: setattr(t, "data_type", 99), "it has elements of the type number 99"),
        (lambda t: setattr(t, "data_type", 0), "it has elements of the type undefined"),
        (lambda t: setattr(t, "data_type", TensorProto.DOUBLE), "it has 140 bytes, expected 280"),
    ],
)
def test_tensors_that_are_not_there(change, message, tmp_path):
    model = build([FIRST, ("Relu", "a", "y")], WEIGHTS)
    change(tensor_of(model))
    refused(model, tmp_path, f"node 1, Gemm '/a': its input 1: {message}")


def test_no_small_file_makes_much(tmp_path):
    """Constants that grow by being joined, or spread, or taken by one layer after the other."""
    row = {"r": np.ones((1, 1 << 11), np.float32), "c": np.ones((1 << 11, 1), np.float32)}
    message = "of fewer, expected no more than the file's"
    spread = build([("Mul", "r c", "big"), ("MatMul", "x big", "y")], row, shape=("N", 1 << 11))
    refused(spread, tmp_path, f"node 1, Mul '/big': it makes 4194304 numbers {message}")
    nodes = [("Concat", "r r", "r1", {"axis": 0})]
    nodes += [("Concat", f"r{i} r{i}", f"r{i + 1}", {"axis": 0}) for i in range(1, 30)]
    model = build([*nodes, ("MatMul", "x r30", "y")], row, shape=("N", 1 << 11), check=False)
    refused(model, tmp_path, rf"node \d+, Concat '/r\d+': it makes \d+ numbers {message}")
    square = {"S": np.eye(256, dtype=np.float32)}
    nodes = [("MatMul", f"{'a' if i else 'x'}{i or ''} S", f"a{i + 1}") for i in range(200)]
    model = build(nodes, square, shape=("N", 256), output="a200")
    refused(model, tmp_path, rf"node \d+, MatMul '/a\d+': it makes 65536 numbers {message}")


# --- weights beside the file ------------------------------------------------------------------


def external(tmp_path, **entries):
    """Return a model whose first weights lie in the file net.onnx.data."""
    model = build([FIRST, ("Relu", "a", "y")], WEIGHTS)
    tensor = tensor_of(model)
    (tmp_path / "net.onnx.data").write_bytes(b"12345678" + W1.tobytes())
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": "net.onnx.data", "offset": 8, "length": W1.nbytes, **entries}
    for key, value in entries.items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return model


def test_weights_beside_the_file(tmp_path, monkeypatch):
    wanted = np.maximum(X @ W1 + b1, 0)
    model = external(tmp_path)
    path = save(model, tmp_path)
    np.testing.assert_allclose(from_onnx(path)(X), wanted, rtol=1e-5, atol=1e-6)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_allclose(from_onnx("net.onnx")(X), wanted, rtol=1e-5, atol=1e-6)
    monkeypatch.chdir("/")
    np.testing.assert_allclose(from_onnx(os.fsencode(path))(X), wanted, rtol=1e-5, atol=1e-6)


def test_weights_in_a_folder_below(tmp_path):
    model = external(tmp_path, location="sub/weights")
    (tmp_path / "sub").mkdir()
    (tmp_path / "net.onnx.data").rename(tmp_path / "sub" / "weights")
    from_onnx(save(model, tmp_path))


def test_missing_weights(tmp_path):
    model = external(tmp_path)
    (tmp_path / "net.onnx.data").unlink()
    refused(
        model,
        tmp_path,
        "node 1, Gemm '/a': its input 1: its numbers are in the file 'net.onnx.data', which is not "
        "there: it belongs beside the model's",
    )


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": 9}, "its numbers are 140 bytes of 'net.onnx.data' from 9, which has 148"),
        ({"offset": None, "length": None}, None),
        ({"length": 139}, "it has 139 bytes in 'net.onnx.data', expected 140"),
        ({"offset": -8}, "its offset is '-8', expected a number of bytes"),
        ({"offset": "9" * 40}, "its offset is '9+', expected a number of bytes"),
        ({"length": "1e3"}, "its length is '1e3', expected a number of bytes"),
        ({"location": "../secret"}, "its numbers are in the file '../secret', expected one in the"),
        ({"location": "sub/../../secret"}, "expected one in the model's folder"),
        ({"location": "/etc/hostname"}, "expected one in the model's folder"),
        ({"location": "link"}, "its numbers are in the file 'link', expected one in the model's"),
        ({"location": ""}, "its numbers are in the file '', expected one in the model's folder"),
        ({"location": "."}, "expected one in the model's folder"),
        ({"location": "a\0b"}, "expected one in the model's folder"),
    ],
)
def test_weights_elsewhere(entries, message, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(148))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = external(folder, **entries)
    if message is None:
        from_onnx(save(model, folder))
    else:
        refused(model, folder, re.escape(message).replace("9\\+", "9+"))
