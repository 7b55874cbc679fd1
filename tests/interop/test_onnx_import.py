"""ONNX graphs built by hand, in each way that exporters write them, against onnx's evaluator."""

import copy
import pickle

import numpy as np
import pytest

from fastfc.interop import from_onnx
from tests.support import cases
from tests.support.onnx_graphs import TensorProto, build, expected, helper, numpy_helper, save

W1, b1 = cases.normal((5, 7), np.float32, "W1"), cases.normal((7,), np.float32, "b1")
W2, b2 = cases.normal((7, 3), np.float32, "W2"), cases.normal((3,), np.float32, "b2")
GAMMA, BETA = cases.normal((7,), np.float32, "gamma"), cases.normal((7,), np.float32, "beta")
MEAN, VAR = cases.normal((7,), np.float32, "mean"), np.abs(cases.normal((7,), np.float32, "var"))
WEIGHTS = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
X = cases.normal((11, 5), np.float32, "X")

FIRST = ("Gemm", "x W1 b1", "a")
LAST = ("Gemm", "h W2 b2", "y")


def read(model, tmp_path, **options):
    return from_onnx(save(model, tmp_path), **options)


def check(model, tmp_path, x=X, *, name=None, **options):
    """Assert that the function gives what onnx's evaluator does, and return it."""
    function = read(model, tmp_path, **options)
    found, wanted = function(x), expected(model, x, name)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype == function.dtype
    assert np.abs(found - wanted).max() <= 1e-6 * max(np.abs(wanted).max(), 1)
    return function


def between(*nodes, constants=(), **options):
    """Return a network whose nodes between its two layers make h of a."""
    return build([FIRST, *nodes, LAST], {**WEIGHTS, **dict(constants)}, **options)


# --- affine layers ----------------------------------------------------------------------------

AFFINE = {
    "Gemm": ([("Gemm", "x W1 b1", "y")], {}),
    "transB": ([("Gemm", "x Wt b1", "y", {"transB": 1})], {"Wt": W1.T.copy()}),
    "no bias": ([("Gemm", "x W1", "y")], {}),
    "beta": ([("Gemm", "x W1 b1", "y", {"beta": 0.5, "alpha": 2.0})], {}),
    "beta 0": ([("Gemm", "x W1 b1", "y", {"beta": 0.0})], {}),
    "bias (1, M)": ([("Gemm", "x W1 b", "y")], {"b": b1[np.newaxis]}),
    "bias ()": ([("Gemm", "x W1 b", "y")], {"b": np.array(2.5, np.float32)}),
    "MatMul": ([("MatMul", "x W1", "y")], {}),
    "MatMul + Add": ([("MatMul", "x W1", "a"), ("Add", "a b1", "y")], {}),
    "Add of the bias first": ([("MatMul", "x W1", "a"), ("Add", "b1 a", "y")], {}),
    "Add (1, M)": ([("MatMul", "x W1", "a"), ("Add", "a b", "y")], {"b": b1[np.newaxis]}),
    "Transpose of a constant": (
        [("Transpose", "Wt", "W", {"perm": [1, 0]}), ("MatMul", "x W", "a"), ("Add", "a b1", "y")],
        {"Wt": W1.T.copy()},
    ),
    "Identity of constants": (
        [("Identity", "W1", "W"), ("Identity", "b1", "b"), ("Gemm", "x W b", "y")],
        {},
    ),
    "Sub, Mul, Div behind it": (
        [("Gemm", "x W1 b1", "a"), ("Sub", "a b1", "b"), ("Mul", "b c", "d"), ("Div", "d b1", "y")],
        {"c": GAMMA},
    ),
    "negated": ([("Gemm", "x W1 b1", "a"), ("Neg", "a", "b"), ("Sub", "c b", "y")], {"c": GAMMA}),
    "two layers": ([FIRST, ("Gemm", "a W2 b2", "y")], {}),
}


@pytest.mark.parametrize("case", AFFINE)
def test_affine(case, tmp_path):
    nodes, constants = AFFINE[case]
    check(build(nodes, {**WEIGHTS, **constants}), tmp_path)


def test_constants_of_nodes(tmp_path):
    nodes = [
        ("Constant", "", "W", {"value": numpy_helper.from_array(W1)}),
        ("Constant", "", "b", {"value_floats": b1.tolist()}),
        ("Constant", "", "half", {"value_float": 0.5}),
        ("Identity", "W", "V"),
        ("MatMul", "x V", "a"),
        ("Add", "a b", "c"),
        ("Mul", "half c", "y"),
    ]
    check(build(nodes), tmp_path)


def test_an_initialiser_in_several_roles(tmp_path):
    square = cases.normal((5, 5), np.float32, "square")
    nodes = [
        ("Gemm", "x S v", "a"),
        ("Relu", "a", "h"),
        ("Gemm", "h S v", "c", {"transB": 1}),
        ("Sub", "c v", "y"),
    ]
    check(build(nodes, {"S": square, "v": square[0]}), tmp_path)


def test_both_dtypes(tmp_path):
    constants = {name: value.astype(np.float64) for name, value in WEIGHTS.items()}
    nodes = [FIRST, ("Tanh", "a", "h"), LAST]
    function = check(build(nodes, constants, dtype=np.float64), tmp_path, X.astype(np.float64))
    assert function.dtype == np.float64


def test_typed_fields_instead_of_bytes(tmp_path):
    model = build([("Gemm", "x W1 b1", "y")], check=False)
    for name in ("W1", "b1"):
        value = WEIGHTS[name]
        tensor = helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel())
        assert not tensor.raw_data
        model.graph.initializer.append(tensor)
    check(model, tmp_path)


# --- shapes -----------------------------------------------------------------------------------

IMAGES = cases.normal((11, 2, 3, 4), np.float32, "images")
WIDE = {"W": cases.normal((24, 3), np.float32, "wide")}
SHAPES = {
    "Flatten": [("Flatten", "x", "f")],
    "Flatten by a negative axis": [("Flatten", "x", "f", {"axis": -3})],
    "Reshape (-1, D)": [
        ("Constant", "", "s", {"value_ints": [-1, 24]}),
        ("Reshape", "x s", "f"),
    ],
    "Reshape (0, -1)": [
        ("Constant", "", "s", {"value_ints": [0, -1]}),
        ("Reshape", "x s", "f"),
    ],
    "Shape - Gather - Unsqueeze - Concat - Reshape": [
        ("Shape", "x", "shape"),
        ("Constant", "", "zero", {"value_int": 0}),
        ("Gather", "shape zero", "n", {"axis": 0}),
        ("Constant", "", "axes", {"value_ints": [0]}),
        ("Unsqueeze", "n axes", "ns"),
        ("Constant", "", "rest", {"value_ints": [-1]}),
        ("Concat", "ns rest", "s", {"axis": 0}),
        ("Reshape", "x s", "f"),
    ],
    "the batch's size by Shape and Slice": [
        ("Shape", "x", "shape"),
        ("Constant", "", "zero", {"value_ints": [0]}),
        ("Constant", "", "one", {"value_ints": [1]}),
        ("Slice", "shape zero one", "ns"),
        ("Squeeze", "ns", "n"),
        ("Cast", "n", "m", {"to": TensorProto.INT64}),
        ("Unsqueeze", "m zero", "ms"),
        ("Constant", "", "rest", {"value_ints": [24]}),
        ("Concat", "ms rest", "s", {"axis": 0}),
        ("Reshape", "x s", "f"),
    ],
    "the batch's size by Shape(start, end)": [
        ("Shape", "x", "ns", {"start": 0, "end": 1}),
        ("Constant", "", "rest", {"value_ints": [24]}),
        ("Concat", "ns rest", "s", {"axis": 0}),
        ("Reshape", "x s", "f", {"allowzero": 1}),
    ],
    "by way of another shape": [
        ("Constant", "", "s", {"value_ints": [0, 6, 4]}),
        ("Reshape", "x s", "g"),
        ("Flatten", "g", "f"),
    ],
    "the sizes of an example": [
        ("Shape", "x", "shape"),
        ("Constant", "", "two", {"value_ints": [2, 3]}),
        ("Gather", "shape two", "sizes"),
        ("Constant", "", "first", {"value_ints": [-1, 2]}),
        ("Concat", "first sizes", "s", {"axis": 0}),
        ("Reshape", "x s", "g"),
        ("Flatten", "g", "f"),
    ],
}


@pytest.mark.parametrize("case", SHAPES)
def test_shapes(case, tmp_path):
    nodes = [*SHAPES[case], ("MatMul", "f W", "y")]
    function = check(build(nodes, WIDE, shape=("N", 2, 3, 4)), tmp_path, IMAGES)
    rows = IMAGES.reshape(11, 24)
    np.testing.assert_array_equal(function(rows), function(IMAGES))  # any shape of as many numbers


def test_older_shapes(tmp_path):
    """Below opset 13 axes are attributes."""
    nodes = [
        ("Shape", "x", "shape"),
        ("Gather", "shape zero", "n"),
        ("Unsqueeze", "n", "ns", {"axes": [0]}),
        ("Concat", "ns rest", "s", {"axis": 0}),
        ("Reshape", "x s", "f"),
        ("MatMul", "f W", "y"),
    ]
    constants = {**WIDE, "zero": np.array(0), "rest": np.array([-1])}
    check(build(nodes, constants, shape=("N", 2, 3, 4), opset=11), tmp_path, IMAGES)


def test_a_batch_of_fixed_size(tmp_path):
    """A graph that was exported with two examples: the function takes any number."""
    nodes = [("Reshape", "x s", "f"), ("MatMul", "f W", "y")]
    model = build(nodes, {**WIDE, "s": np.array([2, 24])}, shape=(2, 2, 3, 4))
    function = check(model, tmp_path, IMAGES[:2])
    np.testing.assert_array_equal(function(IMAGES)[:2], function(IMAGES[:2]))


@pytest.mark.parametrize("shape", [("N", None), (None, None), ("N", "D")])
def test_sizes_that_the_file_does_not_say(shape, tmp_path):
    function = check(build([FIRST, ("Relu", "a", "h"), LAST], WEIGHTS, shape=shape), tmp_path)
    assert function.input_dim == 5
    with pytest.raises(ValueError, match=r"x has shape \(11, 24\), expected"):
        function(IMAGES.reshape(11, 24))


# --- normalisation ----------------------------------------------------------------------------

STATISTICS = {"gamma": GAMMA, "beta": BETA, "mean": MEAN, "var": VAR}
LAYERNORM = [
    ("ReduceMean", "a axes", "m", {"keepdims": 1}),
    ("Sub", "a m", "d"),
    ("Pow", "d two", "q"),
    ("ReduceMean", "q axes", "v", {"keepdims": 1}),
    ("Add", "v eps", "w"),
    ("Sqrt", "w", "s"),
    ("Div", "d s", "z"),
    ("Mul", "z gamma", "g"),
    ("Add", "g beta", "h"),
]
NUMBERS = {
    **STATISTICS,
    "eps": np.array(1e-3, np.float32),
    "two": np.array(2, np.float32),
    "axes": np.array([-1]),
}
NORMS = {
    "batch": [("BatchNormalization", "a gamma beta mean var", "h", {"epsilon": 1e-3})],
    "batch, then an activation": [
        ("BatchNormalization", "a gamma beta mean var", "n"),
        ("Relu", "n", "h"),
    ],
    "batch behind the activation": [
        ("Relu", "a", "r"),
        ("BatchNormalization", "r gamma beta mean var", "h"),
    ],
    "layer": [("LayerNormalization", "a gamma beta", "h", {"epsilon": 1e-3})],
    "layer without bias": [("LayerNormalization", "a gamma", "n"), ("Tanh", "n", "h")],
    "layer by axis 1": [("LayerNormalization", "a gamma beta", "h", {"axis": 1})],
    "layer behind the activation": [
        ("Relu", "a", "r"),
        ("LayerNormalization", "r gamma beta", "h"),
    ],
    "layer step by step": LAYERNORM,
    "layer step by step, squares by Mul": [*LAYERNORM[:2], ("Mul", "d d", "q"), *LAYERNORM[3:]],
    "layer step by step, by a reciprocal": [
        *LAYERNORM[:6],
        ("Reciprocal", "s", "r"),
        ("Mul", "d r", "z"),
        *LAYERNORM[7:],
    ],
    "layer step by step, no weights": [*LAYERNORM[:6], ("Div", "d s", "h")],
}


@pytest.mark.parametrize("case", NORMS)
def test_normalisation(case, tmp_path):
    check(between(*NORMS[case], constants=NUMBERS), tmp_path)


def test_layernorm_below_opset_17(tmp_path):
    axes = {"axes": [-1], "keepdims": 1}
    nodes = [(op, inputs, made) for op, inputs, made, *_ in LAYERNORM]
    nodes[0], nodes[3] = ("ReduceMean", "a", "m", axes), ("ReduceMean", "q", "v", axes)
    check(between(*nodes, constants=NUMBERS, opset=13), tmp_path)


# --- activations ------------------------------------------------------------------------------

ROOT = {"root": np.array(np.sqrt(2), np.float32), "inverse": np.array(np.sqrt(0.5), np.float32)}
ROOT |= {"one": np.array(1, np.float32), "half": np.array(0.5, np.float32)}
ROOT |= {"slope": np.array(0.01, np.float32), "zero": np.array(0, np.float32)}
ERF = [("Div", "a root", "s"), ("Erf", "s", "e"), ("Add", "e one", "p")]
ACTIVATIONS = {
    "Relu": [("Relu", "a", "h")],
    "Sigmoid": [("Sigmoid", "a", "h")],
    "Tanh": [("Tanh", "a", "h")],
    "LeakyRelu": [("LeakyRelu", "a", "h")],
    "Gelu": [("Gelu", "a", "h")],
    "Identity": [("Identity", "a", "h")],
    "Dropout": [("Relu", "a", "r"), ("Dropout", "r", "h")],
    "Max(x, 0)": [("Max", "a zero", "h")],
    "Max(x, 0.01 x)": [("Mul", "a slope", "s"), ("Max", "s a", "h")],
    "SiLU": [("Sigmoid", "a", "s"), ("Mul", "a s", "h")],
    "SiLU, the sigmoid first": [("Sigmoid", "a", "s"), ("Mul", "s a", "h")],
    "GELU, x (1 + erf) / 2": [*ERF, ("Mul", "a p", "q"), ("Mul", "q half", "h")],
    "GELU, (x / 2) (1 + erf)": [*ERF, ("Mul", "half a", "q"), ("Mul", "q p", "h")],
    "GELU, x ((1 + erf) / 2)": [*ERF, ("Mul", "p half", "q"), ("Mul", "q a", "h")],
    "GELU by a product": [
        ("Mul", "a inverse", "s"),
        *ERF[1:],
        ("Mul", "a p", "q"),
        ("Mul", "half q", "h"),
    ],
}


@pytest.mark.parametrize("case", ACTIVATIONS)
def test_activations(case, tmp_path):
    check(between(*ACTIVATIONS[case], constants=ROOT), tmp_path)


OUTPUTS = {
    "Softmax": [("Softmax", "s", "y")],
    "Softmax(axis=1)": [("Softmax", "s", "y", {"axis": 1})],
    "Sigmoid": [("Sigmoid", "s", "y")],
    "Exp": [("Exp", "s", "y")],
    "Relu": [("Relu", "s", "y")],
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs(case, tmp_path):
    nodes = [FIRST, ("Relu", "a", "h"), ("Gemm", "h W2 b2", "s"), *OUTPUTS[case]]
    check(build(nodes, WEIGHTS), tmp_path)


def test_an_older_softmax(tmp_path):
    """Below opset 13 its axis is 1 by default."""
    check(build([FIRST, ("Softmax", "a", "y")], WEIGHTS, opset=11), tmp_path)


# --- before the network -----------------------------------------------------------------------

CENTRE = {name: np.abs(cases.normal((5,), np.float32, name)) for name in "ms"}
NORMALIZE = [("Sub", "x m", "c"), ("Div", "c s", "n")]


@pytest.mark.parametrize("how", ["Sub, Div", "Sub, Mul", "a number"])
def test_preprocessing(how, tmp_path):
    constants = CENTRE
    if how == "a number":
        constants = {name: np.array(value[0]) for name, value in CENTRE.items()}
    second = "Mul" if how == "Sub, Mul" else "Div"
    nodes = [("Sub", "x m", "c"), (second, "c s", "n"), ("Gemm", "n W1 b1", "y")]
    check(build(nodes, {**WEIGHTS, **constants}), tmp_path)


def test_preprocessing_has_the_same_bits_as_numpy(tmp_path):
    """It is not folded into weights, nor is the division a product."""
    nodes = [*NORMALIZE, ("MatMul", "n I", "y")]
    function = read(build(nodes, {**CENTRE, "I": np.eye(5, dtype=np.float32)}), tmp_path)
    np.testing.assert_array_equal(function(X), (X - CENTRE["m"]) / CENTRE["s"])


def test_preprocessing_of_images(tmp_path):
    constants = {**WIDE, "m": cases.normal((1, 2, 1, 1), np.float32, "m")}
    constants["s"] = np.array([[[2.0]], [[3.0]]], np.float32)
    nodes = [
        *NORMALIZE,
        ("Flatten", "n", "f"),
        ("MatMul", "f W", "y"),
    ]
    check(build(nodes, constants, shape=("N", 2, 3, 4)), tmp_path, IMAGES)


@pytest.mark.parametrize("element", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64])
def test_scaler(element, tmp_path):
    offset, scale = CENTRE["m"].tolist(), CENTRE["s"].tolist()
    nodes = [
        ("ai.onnx.ml.Scaler", "x", "n", {"offset": offset, "scale": scale}),
        ("Gemm", "n W1 b1", "y"),
    ]
    x = {TensorProto.FLOAT: X, TensorProto.DOUBLE: X.astype(np.float64)}.get(element)
    x = np.round(9 * X).astype(np.int64) if x is None else x
    model = build(nodes, WEIGHTS, element=element)
    wanted = ((x - CENTRE["m"]) * CENTRE["s"]).astype(np.float32) @ W1 + b1
    found = read(model, tmp_path)(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("element", [TensorProto.INT64, TensorProto.INT32, TensorProto.DOUBLE])
def test_cast(element, tmp_path):
    nodes = [("Cast", "x", "c", {"to": TensorProto.FLOAT}), ("Gemm", "c W1 b1", "y")]
    dtype = helper.tensor_dtype_to_np_dtype(element)
    x = np.round(9 * X).astype(dtype)
    function = check(build(nodes, WEIGHTS, element=element), tmp_path, x)
    if dtype.kind == "i":
        with pytest.raises(TypeError, match=rf"x has dtype float32, expected {dtype}"):
            function(X)


# --- behind the network -----------------------------------------------------------------------

LABELS = [
    ("ArgMax", "p", "i", {"axis": 1, "keepdims": 0}),
    ("ai.onnx.ml.ArrayFeatureExtractor", "classes i", "j"),
    ("Reshape", "j flat", "label"),
]
CLASSES = {"classes": np.array([2, 4, 8]), "flat": np.array([-1])}


def test_reading_stops_before_labels(tmp_path):
    nodes = [FIRST, ("Relu", "a", "h"), ("Gemm", "h W2 b2", "s"), ("Softmax", "s", "p"), *LABELS]
    model = build(nodes, {**WEIGHTS, **CLASSES}, output="label p")
    assert check(model, tmp_path, name="p").output_name == "p"
    only = build(nodes, {**WEIGHTS, **CLASSES}, output="label")
    found = read(only, tmp_path)(X)
    np.testing.assert_allclose(found, expected(model, X, "p"), rtol=1e-5, atol=1e-6)


def test_reading_stops_before_dictionaries(tmp_path):
    texts = {"classlabels_strings": ["a", "b", "c"]}
    nodes = [FIRST, ("Relu", "a", "h"), ("Gemm", "h W2 b2", "s"), ("Softmax", "s", "p")]
    nodes += [*LABELS, ("ai.onnx.ml.ZipMap", "p", "z", texts)]
    model = build(nodes, {**WEIGHTS, **CLASSES}, output="label z", check=False)
    np.testing.assert_allclose(
        read(model, tmp_path)(X), expected(build(nodes[:4], WEIGHTS, output="p"), X), rtol=1e-5
    )


def test_reading_stops_before_binarizer(tmp_path):
    nodes = [FIRST, ("Sigmoid", "a", "p"), ("ai.onnx.ml.Binarizer", "p", "l", {"threshold": 0.5})]
    model = build(nodes, WEIGHTS, output="l p")
    check(model, tmp_path, name="p")


def test_two_classes_of_one_sigmoid(tmp_path):
    one = {"W": W1[:, :1].copy(), "b": b1[:1].copy(), "one": np.array(1, np.float32)}
    nodes = [
        ("Gemm", "x W b", "s"),
        ("Sigmoid", "s", "q"),
        ("Sub", "one q", "r"),
        ("Concat", "r q", "p", {"axis": 1}),
        *LABELS,
    ]
    function = check(build(nodes, {**one, **CLASSES}, output="label p"), tmp_path, name="p")
    assert function.num_outputs == 2


def test_a_flattened_regressor_is_repaired(tmp_path):
    """Some exporters make one column of all outputs of all examples."""
    nodes = [FIRST, ("Relu", "a", "h"), ("Gemm", "h W2 b2", "s"), ("Reshape", "s shape", "y")]
    model = build(nodes, {**WEIGHTS, "shape": np.array([-1, 1])})
    flat = expected(model, X)
    assert flat.shape == (33, 1)
    np.testing.assert_allclose(read(model, tmp_path)(X), flat.reshape(11, 3), rtol=1e-5, atol=1e-5)


def test_a_regressor_that_is_flattened_on_the_way_is_refused(tmp_path):
    nodes = [FIRST, ("Reshape", "a shape", "r"), ("Relu", "r", "y")]
    model = build(nodes, {**WEIGHTS, "shape": np.array([-1, 1])})
    with pytest.raises(ValueError, match=r"node 2, Reshape '/r': expected it only as"):
        read(model, tmp_path)


def test_several_outputs(tmp_path):
    nodes = [FIRST, ("Relu", "a", "h"), LAST]
    model = build(nodes, WEIGHTS, output="y h")
    with pytest.raises(ValueError, match=r"net.onnx: it has the outputs h, y, expected one"):
        read(model, tmp_path)
    check(model, tmp_path, name="h", output="h")
    with pytest.raises(ValueError, match="output is 'z', expected one of y, h"):
        read(model, tmp_path, output="z")


def test_what_the_output_does_not_need_may_be_anything(tmp_path):
    nodes = [FIRST, ("Relu", "a", "h"), ("Elu", "a", "other"), LAST]
    check(build(nodes, WEIGHTS, output="y"), tmp_path)


# --- the function -----------------------------------------------------------------------------


def model_of_all():
    return between(
        ("BatchNormalization", "a gamma beta mean var", "n", {"epsilon": 1e-3}),
        ("Relu", "n", "h"),
        constants=STATISTICS,
    )


def test_a_function_is_of_values(tmp_path):
    function = read(model_of_all(), tmp_path)
    assert repr(function) == "<OnnxNetwork: 5 to 3, affine - batchnorm - relu - affine>"
    assert (function.input_name, function.output_name) == ("x", "y")
    assert (function.input_shape, function.num_outputs) == ((None, 5), 3)
    wanted = function(X)
    for twin in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
        np.testing.assert_array_equal(twin(X), wanted)
    np.testing.assert_array_equal(function(X.astype(np.float64)), wanted)
    np.testing.assert_array_equal(function(np.asfortranarray(X)), wanted)
    np.testing.assert_array_equal(function(X[::-1])[::-1], wanted)
    assert function(X[:0]).shape == (0, 3)
    before = X.copy()
    function(X)
    np.testing.assert_array_equal(X, before)
    with pytest.raises(ValueError, match=r"x has shape \(5,\), expected"):
        function(X[0])
    with pytest.raises(TypeError, match="x has dtype <U1"):
        function(np.full((2, 5), "a"))


def test_a_network_of_it(tmp_path):
    function = read(model_of_all(), tmp_path)
    np.random.seed(3)
    net = function.network()
    drawn = np.random.rand()
    np.random.seed(3)
    assert drawn == np.random.rand()
    assert (net.normalization, net.activation, net.loss_name) == ("batchnorm", "relu", "softmax")
    assert net.bn_params[0]["eps"] == pytest.approx(1e-3)
    np.testing.assert_allclose(net.loss(X), function(X), rtol=1e-5, atol=1e-5)
    net.params["W1"] += 1
    net.save(tmp_path / "net.npz")


def test_a_network_of_classifiers(tmp_path):
    scores = [FIRST, ("Tanh", "a", "h"), ("Gemm", "h W2 b2", "s")]
    softmax = build([*scores, ("Softmax", "s", "y")], WEIGHTS)
    function = read(softmax, tmp_path)
    np.testing.assert_allclose(function.network().predict_proba(X), function(X), rtol=1e-5)
    sigmoid = build([*scores, ("Sigmoid", "s", "y")], WEIGHTS)
    function = read(sigmoid, tmp_path)
    assert function.network().loss_name == "logistic"
    np.testing.assert_allclose(function.network().predict_proba(X), function(X), rtol=1e-5)


def test_a_network_keeps_preprocessing_apart(tmp_path):
    nodes = [
        *NORMALIZE,
        ("Gemm", "n W1 b1", "a"),
        ("Relu", "a", "h"),
        LAST,
    ]
    function = read(build(nodes, {**WEIGHTS, **CENTRE}), tmp_path)
    net = function.network()
    assert net.preprocessing["kind"] == "normalize"
    normalized = (X - np.float32(net.preprocessing["mean"])) / np.float32(net.preprocessing["std"])
    np.testing.assert_allclose(net.loss(normalized), function(X), rtol=1e-4, atol=1e-4)


def test_what_is_no_network(tmp_path):
    model = between(("Relu", "a", "b"), ("Mul", "b c", "h"), constants={"c": GAMMA})
    function = check(model, tmp_path)
    with pytest.raises(ValueError, match=r"network: node 3, Mul '/h': it is mul between layers"):
        function.network()
    last = [("Gemm", "h W2 b2", "s"), ("Relu", "s", "y")]
    model = build([FIRST, ("Relu", "a", "h"), *last], WEIGHTS)
    with pytest.raises(ValueError, match=r"network: node 4, Relu '/y': it is relu behind the last"):
        read(model, tmp_path).network()
