"""What the Solver says of models, data and labels, when it is made and when it scores."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.reference import fc_net as reference
from fastfc.solver import Solver
from tests.support.labelled import RNG, Sparse, Tensor, X, Y, changed, data, masked, solver, trained
from tests.support.strangers import StrangeModel, clusters

NETS = pytest.mark.parametrize("nets", [fc_net, reference], ids=["fast", "reference"])

# --- labels at construction -------------------------------------------------------------------

WRONG = {
    "from 1 on": ("y_train", Y + 1, ValueError, "these labels run from 1 to 3, pass y_train - 1$"),
    "from 1 on, val": ("y_val", Y[:20] + 1, ValueError, "run from 1 to 3, pass y_val - 1$"),
    "one": (
        "y_train",
        changed(Y, 43, 3),
        ValueError,
        r"^y_train\[43\] is 3, expected a label from 0",
    ),
    "negative": ("y_val", changed(Y[:20], 7, -5), ValueError, r"^y_val\[7\] is -5, .* 3 classes$"),
    "unsigned": ("y_train", changed(Y, 5, 255).astype("u1"), ValueError, r"^y_train\[5\] is 255"),
    "floats": (
        "y_train",
        Y * 1.0,
        TypeError,
        r"^y_train has dtype float64, .* y_train.astype\(int",
    ),
    "bool": ("y_train", Y > 0, TypeError, "^y_train has dtype bool, expected integers from 0 to 2"),
    "broken": ("y_val", Y[:20] + 0.5, ValueError, r"^y_val\[0\] is \d.5, expected a label"),
    "NaN": ("y_val", changed(Y[:20] * 1.0, 3, np.nan), ValueError, r"^y_val\[3\] is nan"),
    "text": ("y_val", Y[:20].astype(str), TypeError, "^y_val has dtype <U.*, expected integers"),
    "objects": (
        "y_val",
        Y[:20].astype(object),
        TypeError,
        "^y_val has dtype object, expected integ",
    ),
    "column": ("y_train", Y[:, None], ValueError, r"shape \(60, 1\), .* pass y_train.ravel\(\)$"),
    "one-hot": (
        "y_train",
        np.eye(3)[Y],
        ValueError,
        r"of one-hot rows pass y_train.argmax\(axis=1",
    ),
    "one number": ("y_train", 2, ValueError, r"^y_train has shape \(\), expected \(60,\)"),
    "masked": (
        "y_train",
        masked(Y),
        ValueError,
        "^y_train is a masked array, 1 value of it masked",
    ),
    "sparse": ("y_train", Sparse(), TypeError, r"^y_train is a Sparse, .* pass its .toarray\(\)"),
    "tensor": (
        "y_val",
        Tensor(),
        TypeError,
        "^y_val is a Tensor and no array: can't conv",
    ),
    "ragged": ("y_val", [[0], [1, 2]], ValueError, "^y_val is not an array of numbers: "),
}


@NETS
@pytest.mark.parametrize("case", WRONG)
def test_wrong_labels_are_found_before_a_step(nets, case):
    name, y, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        solver(nets, {name: y})


@NETS
@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.uint8, ">i4", lambda y: np.ma.array(y), "strided"],
    ids=["list", "tuple", "uint8", ">i4", "masked", "strided"],
)
def test_labels_of_many_kinds(nets, kind):
    """They train alike; the caller's array stays the caller's."""
    if kind == "strided":
        y = np.repeat(Y, 2)[::2]
    else:
        y = (
            Y.astype(kind)
            if isinstance(kind, str | type) and kind not in (list, tuple)
            else kind(Y)
        )
    before = np.array(y)
    expected = trained(nets)
    given = trained(nets, {"y_train": y, "y_val": y[:20]})
    assert given.loss_history == expected.loss_history
    assert given.val_acc_history == expected.val_acc_history
    assert given.check_accuracy(X, y) == expected.check_accuracy(X, Y)
    np.testing.assert_array_equal(np.array(y), before)


def test_labels_that_are_only_compared_may_be_floats():
    floats = trained(changes={"y_val": Y[:20] * 1.0})
    assert floats.val_acc_history == trained().val_acc_history


@pytest.mark.parametrize("shuffled", [False, True])
def test_labels_and_frames_of_pandas(shuffled):
    """A Series is taken by position, whatever its index."""
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    index = RNG.permutation(60) if shuffled else None
    y = pd.Series(Y, index=index)
    given, expected = trained(changes={"y_train": y}), trained()
    assert given.loss_history == expected.loss_history
    np.random.seed(1)
    accuracy = expected.check_accuracy(X, Y, num_samples=25)
    np.random.seed(1)
    assert given.check_accuracy(X, y, num_samples=25) == accuracy
    frame = pd.DataFrame(X, index=index)
    framed = trained(changes={"X_train": frame, "X_val": frame, "y_val": Y})
    assert framed.loss_history == expected.loss_history
    assert framed.check_accuracy(frame, y) == expected.check_accuracy(X, Y)
    with pytest.raises(ValueError, match=r"^X_train has shape \(60,\), expected"):
        solver(changes={"X_train": y})
    np.testing.assert_array_equal(given.model.predict(frame), given.model.predict(X))


def test_labels_in_a_file(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra [data] is not installed")
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["y"] = Y
        given, expected = trained(changes={"y_train": file["y"]}), trained()
        assert given.loss_history == expected.loss_history
        assert given.check_accuracy(X, file["y"]) == expected.check_accuracy(X, Y)


def test_labels_of_another_library():
    """Whatever NumPy can have as an array, as a tensor in memory."""

    class InMemory:
        def __array__(self, dtype=None, copy=None):
            return Y.astype(dtype or np.int64)

    given, expected = trained(changes={"y_train": InMemory()}), trained()
    assert given.loss_history == expected.loss_history
    assert given.check_accuracy(X, InMemory()) == expected.check_accuracy(X, Y)


def test_labels_changed_after_construction_are_still_checked():
    y = Y.copy()
    made = solver(changes={"y_train": y})
    y[:] = 3
    with pytest.raises(ValueError, match="expected a label from 0 to 2"):
        made.train()


# --- labels of check_accuracy -----------------------------------------------------------------


@NETS
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (Y[:, None], ValueError, r"^y has shape \(60, 1\), expected \(60,\) .*: pass y.ravel\(\)"),
        (Y[None], ValueError, r"^y has shape \(1, 60\), .*: pass y.ravel\(\)"),
        (Y[:1], ValueError, r"^y has shape \(1,\), expected \(60,\)"),
        (Y[0], ValueError, r"^y has shape \(\), expected \(60,\)"),
        (np.eye(60)[Y], ValueError, r"^y has shape \(60, 60\), .*argmax"),
        (Y.astype(str), TypeError, "^y has dtype <U.*, expected integers"),
        (masked(Y), ValueError, "^y is a masked array"),
    ],
    ids=str,
)
def test_errors_of_check_accuracy(nets, y, error, message):
    with pytest.raises(error, match=message):
        solver(nets).check_accuracy(X, y)


@NETS
def test_labels_from_one_are_warned_of_in_check_accuracy(nets):
    made = solver(nets)
    for y in (Y + 1, (Y + 1).tolist(), Y + 1.0):
        with pytest.warns(UserWarning, match=r"^y runs from 1.* to 3.*, expected .*: pass y - 1$"):
            made.check_accuracy(X, y)
    for y in (Y, np.maximum(Y, 1), np.full_like(Y, -1)):  # a class that is absent, none at all
        made.check_accuracy(X, y)


def test_one_hot_of_as_many_examples_as_classes():
    with pytest.raises(ValueError, match=r"^y has shape \(3, 3\), expected \(3,\)"):
        solver().check_accuracy(X[:3], np.eye(3)[Y[:3]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "^num_samples is 0, expected an integer of at least 1"),
        ({"num_samples": 2.5}, "^num_samples is 2.5"),
        ({"num_samples": 10**400}, "^num_samples is 1000.*000, expected an integer of at most"),
        ({"batch_size": 0}, "^batch_size is 0"),
        ({"batch_size": "all"}, "^batch_size is 'all'"),
    ],
)
def test_numbers_of_check_accuracy(options, message):
    made = solver()
    np.random.seed(1)
    with pytest.raises(ValueError, match=message):
        made.check_accuracy(X, Y, **options)
    drawn = np.random.rand()
    np.random.seed(1)
    assert drawn == np.random.rand()


# --- other people's models --------------------------------------------------------------------


def test_strangers_have_their_own_kinds_of_labels():
    """Text, which scores nothing; floats; and numbers beyond what a model predicts."""

    def loss(X, y=None):
        return np.zeros((len(X), 2)) if y is None else (float(len(y)), {})

    for y in (np.array(["a", "b"] * 3), np.arange(6) / 2, np.full(6, 77), np.array([None] * 6)):
        splits = {"X_train": np.ones((6, 2)), "y_train": y, "X_val": np.ones((6, 3)), "y_val": y}
        made = Solver(SimpleNamespace(params={}, loss=loss), splits, batch_size=3, verbose=False)
        made.train()
        assert made.val_acc_history[-1] == np.mean(y == 0)


def test_strangers_keep_what_they_like_under_our_names():
    """A dropout_param that is no dictionary, a loss and gradients from a generator."""

    def loss(X, y=None):
        return np.zeros((len(X), 2)) if y is None else (part for part in (1.0, {"w": 0.5}))

    for dropout_param in (0.5, np.ones(2), [], {"seed": np.ones(2), "rng": np.ones(2)}):
        model = SimpleNamespace(params={"w": np.ones(())}, loss=loss, dropout_param=dropout_param)
        Solver(model, data(), batch_size=20, num_epochs=1, verbose=False).train()


def test_a_loss_of_ones_own_decides_about_labels():
    """A subclass that takes labels from 1 on, and examples with one number more."""

    class FromOne(fc_net.FullyConnectedNet):
        def loss(self, X, y=None):
            return super().loss(X[:, 1:], None if y is None else y - 1)

    model = FromOne([4], input_dim=4, num_classes=3)
    Solver(model, data(y_train=Y + 1, y_val=Y[:20] + 1), batch_size=20, verbose=False)._step()
    model = fc_net.FullyConnectedNet([4], input_dim=5, num_classes=3)
    model.loss = lambda X, y=None: (1.0, {name: 0 * w for name, w in model.params.items()})
    Solver(model, data(y_train=Y + 1), batch_size=20, verbose=False)._step()


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (1.0, TypeError, r"^model.loss returned 1.0, expected the pair \(loss, grads\)"),
        ((1.0, None), TypeError, "^grads of model.loss is None, expected a dict"),
        ((1.0, {"bias": 0}), ValueError, "^grads of model.loss has no weights, .*; it has bias"),
    ],
)
def test_what_a_strangers_loss_returns(returned, error, message):
    np.random.seed(0)
    model = StrangeModel(6, 4)
    model.loss = lambda X, y=None: returned
    with pytest.raises(error, match=message):
        Solver(model, clusters(), batch_size=20)._step()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "^model is None, which has no params, expected an object with params and loss"),
        (SimpleNamespace(params={}), "which has no loss"),
        (SimpleNamespace(params=3, loss=None), "^model.params is 3, expected a dict of arrays"),
    ],
)
def test_what_is_no_model(model, message):
    with pytest.raises(TypeError, match=message):
        Solver(model, data())


@pytest.mark.parametrize("given", [None, 3, [X, Y]], ids=["None", "number", "list"])
def test_what_is_no_data(given):
    with pytest.raises(TypeError, match=r"^data is .*, expected a dict of X_train, y_train, X_val"):
        Solver(fc_net.FullyConnectedNet([4], 5, 3), given)
