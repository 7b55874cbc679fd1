"""What the Solver warns of: settings that work, but hardly as they were meant."""

import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.data import load_digits
from fastfc.reference import fc_net as reference
from fastfc.reference import optim as reference_optim
from fastfc.solver import Solver
from tests.support.labelled import X, Y, data, solver
from tests.support.stranger import Stranger, indices

NETS = pytest.mark.parametrize("nets", [fc_net, reference], ids=["fast", "reference"])


def warned(call):
    """Return the texts of the warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all("tests" in Path(warning.filename).parts for warning in caught)
    assert all(warning.category is UserWarning for warning in caught)
    return [str(warning.message) for warning in caught]


# --- batch_size -------------------------------------------------------------------------------


def test_batches_above_the_data():
    made = []
    (text,) = warned(lambda: made.append(solver(batch_size=61)))
    assert text.startswith("batch_size is above the number of training examples: every minibatch")
    assert warned(made[0].train) == []
    assert warned(lambda: solver(batch_size=60)) == []
    (text,) = warned(lambda: Solver(Stranger(), indices()))
    assert text.startswith("batch_size is above")


# --- dropout with a seed ----------------------------------------------------------------------


def dropout_solver(nets=fc_net, hidden=(8,), **options):
    model = nets.FullyConnectedNet(list(hidden), input_dim=5, num_classes=3, dropout=0.5, **options)
    return Solver(model, data(), batch_size=20, verbose=False)


@NETS
def test_a_seed_repeats_minibatches(nets):
    (text,) = warned(lambda: dropout_solver(nets, seed=7))
    assert text.startswith("dropout with a seed reseeds np.random in every pass, and the Solver")
    assert "rng='philox'" in text


@NETS
@pytest.mark.parametrize("options", [{}, {"seed": 7, "rng": "philox"}, {"seed": 7, "hidden": ()}])
def test_seeds_that_repeat_nothing(nets, options):
    assert warned(lambda: dropout_solver(nets, **options)) == []
    plain = nets.FullyConnectedNet([8], input_dim=5, num_classes=3, seed=7)
    assert warned(lambda: Solver(plain, data(), batch_size=20)) == []


def test_the_remedy_is_one():
    """With the seed few minibatches are drawn, with Philox as many as there are steps."""
    counts = {}
    for rng in ("numpy", "philox"):
        seen = set()

        class Spy:
            shape, dtype = X.shape, X.dtype

            def __getitem__(self, rows, seen=seen):
                if not isinstance(rows, slice):
                    seen.add(rows.tobytes())
                return X[rows]

        np.random.seed(0)
        model = fc_net.FullyConnectedNet([8], 5, 3, dropout=0.5, seed=7, rng=rng)
        made = Solver(model, data(X_train=Spy()), batch_size=20, num_epochs=10, verbose=False)
        made.train()
        counts[rng] = len(seen)
    assert counts["numpy"] <= 4
    assert counts["philox"] == 30


# --- a loss that has not moved ----------------------------------------------------------------

DIGITS = load_digits()
SMALL = {**DIGITS, "X_train": DIGITS["X_train"][:500], "y_train": DIGITS["y_train"][:500]}
STANDS_STILL = "the loss has not moved, and at this pace it will not within this run"


def digits(nets=fc_net, hidden=(100, 100, 100), settings=None, splits=DIGITS, **options):
    model = nets.FullyConnectedNet(list(hidden), input_dim=64, **options)
    rules = {}
    if nets is reference and "update_rule" in (settings or {}):
        rules["update_rule"] = getattr(reference_optim, settings["update_rule"])
    return Solver(model, splits, verbose=False, **{**(settings or {}), **rules})


@NETS
@pytest.mark.parametrize("hidden", [(100, 100, 100), (100,), ()])
def test_all_defaults_stand_still(nets, hidden):
    if hidden == ():  # one matrix has no deep gradient to lose: it learns
        assert warned(digits(nets, hidden, {"optim_config": {"learning_rate": 0.5}}).train) == []
        return
    made = digits(nets, hidden)
    (text,) = warned(made.train)
    assert text.startswith(STANDS_STILL)
    assert "weight_scale='he'" in text
    assert made.best_val_acc < 0.4
    assert warned(made.train) == []  # once


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("options", "settings", "splits"),
    [
        ({"weight_scale": "he"}, {}, DIGITS),
        ({"weight_scale": "glorot"}, {}, DIGITS),
        ({"use_batchnorm": True}, {}, DIGITS),
        (
            {},
            {
                "num_epochs": 25,
                "update_rule": "adam",
                "optim_config": {"learning_rate": 5e-4},
            },
            SMALL,
        ),
        (
            {"dropout": 0.6},
            {
                "num_epochs": 25,
                "update_rule": "adam",
                "optim_config": {"learning_rate": 5e-4},
            },
            SMALL,
        ),
        ({"hidden": (100,)}, {"optim_config": {"learning_rate": 0.3}}, DIGITS),
    ],
    ids=["he", "glorot", "batchnorm", "course", "course with dropout", "rate"],
)
def test_what_learns_is_not_warned_of(seed, options, settings, splits):
    """The courses' own experiments among them, whose loss stands still for some thirty steps."""
    np.random.seed(seed)
    made = digits(settings=settings, splits=splits, **options)
    assert warned(made.train) == []
    assert made.best_val_acc > 0.2


def test_a_trained_network_may_rest():
    """No loss of equal scores, but a low one that no longer falls."""
    model = fc_net.FullyConnectedNet([50], input_dim=64, weight_scale="he")
    Solver(model, DIGITS, update_rule="adam", num_epochs=20, verbose=False).train()
    config = {"learning_rate": 1e-9}
    assert warned(Solver(model, DIGITS, optim_config=config, verbose=False).train) == []


def test_one_class_and_warm_up_and_strangers():
    one = {**DIGITS, "y_train": 0 * DIGITS["y_train"], "y_val": 0 * DIGITS["y_val"]}
    made = Solver(fc_net.FullyConnectedNet([5], 64, 1), one, verbose=False)
    assert warned(made.train) == []
    schedule = {"name": "cosine", "warmup_steps": 60}
    assert warned(digits(settings={"lr_schedule": schedule}).train) == []

    class Stuck(Stranger):
        def loss(self, X, y=None):
            returned = super().loss(X, y)
            return returned if y is None else (math.log(2), returned[1])

    settings = {"batch_size": 25, "num_epochs": 60, "verbose": False}
    assert warned(Solver(Stuck(), indices(), **settings).train) == []


def test_it_is_said_where_few_steps_make_an_epoch():
    settings = {"batch_size": 500, "num_epochs": 49}
    assert warned(digits(settings=settings, splits=SMALL).train) == []
    settings["num_epochs"] = 50
    (text,) = warned(digits(settings=settings, splits=SMALL).train)
    assert text.startswith(STANDS_STILL)


def test_warnings_draw_nothing_and_change_nothing():
    left = []
    for action in ("always", "ignore"):
        with warnings.catch_warnings(record=True):
            warnings.simplefilter(action)
            np.random.seed(0)
            made = digits(hidden=(10,), dropout=0.5, seed=3, settings={"batch_size": 2000})
            made.num_epochs = 60
            made.train()
        left.append((made.loss_history, np.random.rand(), pickle.dumps(made.model.params)))
    assert left[0] == left[1]


def test_labels_are_still_the_callers():
    y = Y.copy()
    solver(changes={"y_train": y}).train()
    np.testing.assert_array_equal(y, Y)
