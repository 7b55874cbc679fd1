"""Converters of the estimators for skl2onnx, by which pipelines become ONNX graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..networks.predictor import freeze, read_layers
from ..optional import missing_package
from .onnx_nodes import Nodes

try:
    import skl2onnx  # pyright: ignore[reportMissingImports]
    from onnx import TensorProto, helper
    from skl2onnx.common import (  # pyright: ignore[reportMissingImports]
        data_types,
        utils_classifier,
    )
except ImportError as error:
    raise missing_package("register_skl2onnx", "skl2onnx", "skl2onnx", error) from error

from sklearn.utils.validation import check_is_fitted

from ..estimators import FCClassifier, FCRegressor

if TYPE_CHECKING:
    from typing import Any

__all__ = ["register_skl2onnx"]

# What convert_sklearn's options may ask for, as of scikit-learn's own classifiers.
_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [True, False],
}


def register_skl2onnx() -> None:
    """Teach skl2onnx the estimators: then it converts them, alone and in pipelines.

    Of a classifier labels and probabilities come out, by the options that scikit-learn's own
    classifiers have, of a regressor a row for each example.  Twice does no harm.

    Raises
    ------
    ImportError
        skl2onnx is missing: ``pip install fastfc[skl2onnx]``.

    Examples
    --------
    >>> from skl2onnx import to_onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), FCClassifier(solver="lbfgs")).fit(X, y)
    >>> register_skl2onnx()
    >>> model = to_onnx(pipeline, X[:1].astype("float32"))
    >>> [node.op_type for node in model.graph.node][:4]
    ['Scaler', 'Gemm', 'Relu', 'Gemm']
    """
    add = skl2onnx.update_registered_converter
    alias = "FastfcFCClassifier"
    add(FCClassifier, alias, _shape_classifier, _convert_classifier, options=_OPTIONS)
    add(FCRegressor, "FastfcFCRegressor", _shape_regressor, _convert_regressor)


def _shape_classifier(operator: Any) -> None:
    estimator = operator.raw_operator
    N, C = operator.inputs[0].get_first_dimension(), len(estimator.classes_)
    words = estimator.classes_.dtype.kind not in "biuf"
    labels = data_types.StringTensorType if words else data_types.Int64TensorType
    operator.outputs[0].set_type(labels([N, C] if _is_multilabel(estimator) else [N]))
    operator.outputs[1].set_type(_float_type(operator)([N, C]))


def _shape_regressor(operator: Any) -> None:
    N = operator.inputs[0].get_first_dimension()
    operator.outputs[0].set_type(_float_type(operator)([N, operator.raw_operator.n_outputs_]))


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    if len(estimator.classes_) < 2:
        raise ValueError("FCClassifier has been fitted to one class, expected at least two")
    label, probabilities = (output.full_name for output in operator.outputs)
    nodes, found = _begin(scope, operator, container)
    if estimator.n_outputs_ == 1:  # the probability of the second class
        other = nodes.add("Sub", "first_class", nodes.constant("one", 1), found)
        found = nodes.add("Concat", "both_classes", other, found, axis=1)
    nodes.rename(found, probabilities)
    if _is_multilabel(estimator):
        half = nodes.constant("half", 0.5)
        chosen = nodes.add("Greater", "chosen", probabilities, half)
        nodes.rename(nodes.add("Cast", "as_integers", chosen, to=TensorProto.INT64), label)
    else:
        chosen = nodes.add("ArgMax", "chosen", probabilities, axis=1, keepdims=0)
        classes = _add_classes(
            scope, container, utils_classifier.get_label_classes(scope, estimator)
        )
        nodes.rename(nodes.add("Gather", "labels", classes, chosen, axis=0), label)
    _add(scope, container, nodes)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    nodes, found = _begin(scope, operator, container)
    nodes.rename(found, operator.outputs[0].full_name)
    _add(scope, container, nodes)


def _begin(scope: Any, operator: Any, container: Any) -> tuple[Nodes, str]:
    """Return the nodes of the network up to its outputs, and how these are called."""
    estimator = operator.raw_operator
    check_is_fitted(estimator)
    estimator._take_weights()
    double = _float_type(operator) is data_types.DoubleTensorType
    dtype = np.float64 if double else np.float32
    nodes = Nodes(dtype, container.target_opset, scope.get_unique_variable_name)
    x = operator.inputs[0].full_name
    if not isinstance(operator.inputs[0].type, _float_type(operator)):
        x = nodes.add("Cast", "floats", x, to=helper.np_dtype_to_tensor_dtype(nodes.dtype))
    scores = nodes.layers(x, read_layers(freeze(estimator._network.net)))
    return nodes, nodes.output(scores, estimator.out_activation_)


def _float_type(operator: Any) -> Any:
    """Return the type in which an operator computes: double where its input is, else float."""
    if isinstance(operator.inputs[0].type, data_types.DoubleTensorType):
        return data_types.DoubleTensorType
    return data_types.FloatTensorType


def _is_multilabel(estimator: Any) -> bool:
    return bool(estimator._kind() == "multilabel-indicator")


def _add_classes(scope: Any, container: Any, classes: Any) -> str:
    """Add the labels of the classes to the graph, texts or integers, and return their name."""
    name: str = scope.get_unique_variable_name("classes")
    if classes.dtype.kind in "biuf":
        labels = classes.astype(np.int64)
        if (labels != classes).any():
            raise ValueError(
                f"FCClassifier has the classes {classes[:5].tolist()}, expected integers or texts, "
                "which a graph can return"
            )
        container.add_initializer(name, TensorProto.INT64, labels.shape, labels)
    else:
        texts = [str(label).encode() for label in classes]
        container.add_initializer(name, TensorProto.STRING, [len(texts)], texts)
    return name


def _add(scope: Any, container: Any, nodes: Nodes) -> None:
    """Add nodes and constants to the graph."""
    for name, array in nodes.constants.items():
        element = helper.np_dtype_to_tensor_dtype(array.dtype)
        container.add_initializer(name, element, array.shape, array.ravel())
    for node in nodes.nodes:
        unique = scope.get_unique_operator_name(node.op_type)
        container.add_node(
            node.op_type, list(node.inputs), [node.output], name=unique, **node.attributes
        )
