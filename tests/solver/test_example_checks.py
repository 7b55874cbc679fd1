"""What Solver, networks and layers say of examples: masked, sparse, of another size, NaN."""

import warnings

import numpy as np
import pytest

from fastfc import fc_net, layers
from fastfc.reference import fc_net as reference
from fastfc.reference import layers as reference_layers
from tests.support.labelled import Frame, Sparse, X, Y, masked, solver, trained

NETS = pytest.mark.parametrize("nets", [fc_net, reference], ids=["fast", "reference"])

# --- examples ---------------------------------------------------------------------------------

NO_EXAMPLES = {
    "masked": (masked(X), ValueError, "is a masked array, 1 value of it masked, .*filled"),
    "all masked": (
        np.ma.array(X, mask=True),
        ValueError,
        "is a masked array, 300 values of it masked",
    ),
    "sparse": (Sparse(), TypeError, r"is a Sparse, a sparse matrix, .* pass its .toarray\(\)$"),
    "frame": (Frame(), TypeError, r"is a Frame, expected an array .* pass its .to_numpy\(\)$"),
    "features": (
        X[:, :3],
        ValueError,
        r"has shape \(60, 3\), expected .* = 5, the network's input",
    ),
    "images": (np.ones((60, 5, 2)), ValueError, r"has shape \(60, 5, 2\), expected .* = 5"),
    "text": (X.astype(str), TypeError, "has dtype <U.*, expected real numbers"),
    "complex": (X * 1j, TypeError, "has dtype complex.*, expected real numbers"),
}


@NETS
@pytest.mark.parametrize("name", ["X_train", "X_val"])
@pytest.mark.parametrize("case", NO_EXAMPLES)
def test_what_are_no_examples(nets, name, case):
    given, error, message = NO_EXAMPLES[case]
    with pytest.raises(error, match=f"^{name} {message}"):
        solver(nets, {name: given, name.replace("X", "y"): Y})


@NETS
@pytest.mark.parametrize("name", ["X_train", "X_val"])
@pytest.mark.parametrize("labels", [Y[:1], Y[:5], Y], ids=len)
def test_one_example_is_the_fault_of_the_examples(nets, name, labels):
    """Its numbers were taken for as many examples, and the labels named."""
    with pytest.raises(ValueError, match=rf"^{name} has shape \(5,\), .*: one example is {name}\["):
        solver(nets, {name: X[0], name.replace("X", "y"): labels})
    with pytest.raises(ValueError, match=r"^X has shape \(5,\), .*: one example is X\["):
        solver(nets).check_accuracy(X[0], labels)
    with pytest.raises(ValueError, match=r"^X has shape \(60, 3\), expected .* = 5, the netw"):
        solver(nets).check_accuracy(X[:, :3], Y)
    with pytest.raises(TypeError, match=rf"^{name} is a ndarray, .*: its shape is \(\)$"):
        solver(nets, {name: np.array(1.0), name.replace("X", "y"): labels})


def test_matrices_of_scipy():
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        with pytest.raises(TypeError, match=f"^X_train is a {kind.__name__}, a sparse matrix"):
            solver(changes={"X_train": kind(X)})
        for call in (lambda m, A: m.predict(A), lambda m, A: m.loss(A), lambda m, A: m.loss(A, Y)):
            with pytest.raises(TypeError, match=f"^X is a {kind.__name__}, a sparse matrix"):
                call(solver().model, kind(X))


@NETS
def test_masked_arrays_without_a_masked_value_are_arrays(nets):
    plain, ours = trained(nets), trained(nets, {"X_train": np.ma.array(X)})
    assert ours.loss_history == plain.loss_history
    assert ours.val_acc_history == plain.val_acc_history


def test_masked_rows_of_what_is_no_array():
    """As netCDF variables give them."""

    class Variable:
        shape, dtype = X.shape, X.dtype

        def __getitem__(self, rows):
            return masked(X)[rows]

    made = solver(changes={"X_train": Variable()})
    with pytest.raises(ValueError, match=r"^X is a masked array"):
        made.train()


@NETS
def test_masked_and_misshapen_examples_of_networks(nets):
    model = solver(nets).model
    calls = [model.loss, model.predict, model.predict_proba, lambda A: model.loss(A, Y[: len(A)])]
    for call in calls:
        with pytest.raises(ValueError, match=r"^X is a masked array, 1 value"):
            call(masked(X))
        with pytest.raises(
            ValueError, match=r"^X has shape \(5,\), .*: one example is X\[np.newax"
        ):
            call(X[0])
        with pytest.raises(ValueError, match=r"^X has shape \(60, 3\), expected .* = 5, the netw"):
            call(X[:, :3])
    with pytest.raises(ValueError, match="softmax_loss: y is a masked array"):
        model.loss(X, masked(Y))


def test_masked_examples_of_a_step():
    model = solver().model
    configs = {name: {"learning_rate": 0.1} for name in model.params}
    before = {name: w.copy() for name, w in model.params.items()}
    for rows in (None, np.arange(5)):
        with pytest.raises(ValueError, match=r"^X is a masked array"):
            model.train_step(masked(X), Y, "sgd", configs, rows=rows)
    for name, w in before.items():
        np.testing.assert_array_equal(model.params[name], w)


@pytest.mark.parametrize("module", [layers, reference_layers], ids=["fast", "reference"])
def test_operands_of_layers(module):
    w, b = np.ones((5, 2)), np.zeros(2)
    for given, error, message in (
        (masked(X), ValueError, "is a masked array, 1 value of it masked"),
        (Sparse(), TypeError, "is a Sparse, a sparse matrix"),
    ):
        with pytest.raises(error, match=f"^affine_forward: x {message}"):
            module.affine_forward(given, w, b)
        with pytest.raises(error, match=f"^relu_forward: x {message}"):
            module.relu_forward(given)
        with pytest.raises(error, match=f"^svm_loss: x {message}"):
            module.svm_loss(given, Y)
    with pytest.raises(ValueError, match=r"^softmax_loss: y is a masked array"):
        module.softmax_loss(np.ones((60, 3)), masked(Y))
    with pytest.raises(
        ValueError, match=r"^softmax_loss: y\[1\] is 3, expected a label from 0 to 2"
    ):
        module.softmax_loss(np.ones((2, 3)), [0, 3])


# --- NaN --------------------------------------------------------------------------------------


def with_nan(A, row=3):
    A = A.copy()
    A[row, 2] = np.nan
    return A


@NETS
def test_nan_among_validation_examples_is_said_once(nets):
    made = solver(nets, {"X_val": with_nan(X[:20])}, num_epochs=5)
    with pytest.warns(UserWarning, match="^X_val has examples that are not finite") as caught:
        made.train()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="^X has examples that are not finite"):
        made.check_accuracy(with_nan(X), Y)


def test_of_training_examples_the_loss_tells():
    made = solver(changes={"X_train": with_nan(X)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.check_accuracy(made.X_train, Y)


def test_parameters_that_diverge_are_not_blamed_on_the_data():
    made = solver()
    made.model.params["W1"][:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.check_accuracy(X, Y)


@NETS
def test_predictions_of_nan(nets):
    model = solver(nets).model
    for predict in (model.predict, model.predict_proba):
        with pytest.raises(
            ValueError, match=r"^X\[13\] has scores .*NaN.*: the example is not finite"
        ):
            predict(with_nan(X, 13), batch_size=5)
    model.params["b2"][1] = np.nan
    with pytest.raises(ValueError, match=r"^X\[0\] .*: params\['b2'\] is not finite$"):
        model.predict(X)


@NETS
def test_scores_of_minus_infinity_are_scores(nets):
    model = solver(nets).model
    model.params["b2"][1] = -np.inf
    assert (model.predict(X) != 1).all()
    assert (model.predict_proba(X)[:, 1] == 0).all()


def test_messages_are_the_same_in_both_packages():
    for given in (masked(X), X[0], X[:, :3], Sparse(), with_nan(X)):
        said = []
        for nets in (fc_net, reference):
            with pytest.raises((TypeError, ValueError)) as caught:
                solver(nets).model.predict(given)
            said.append((type(caught.value), str(caught.value)))
        assert said[0] == said[1]
