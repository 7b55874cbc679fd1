"""The Solver's arguments: which keys a rule knows, which numbers will do, and what is said."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from fastfc import optim
from fastfc.reference import optim as reference_optim
from fastfc.solver import Solver
from tests.support.labelled import X, Y, data, solver
from tests.support.stranger import Stranger, indices
from tests.support.strangers import momentum_by_hand

COURSE_RULES = [rule for rule in optim.__all__ if rule != "adamw"]
SHARED = {  # as sweeps over rules share one dictionary, which direct calls may have filled
    "learning_rate": 1e-2,
    "momentum": 0.9,
    "decay_rate": 0.99,
    "beta1": 0.9,
    "epsilon": 1e-8,
}


def _known(rule):
    """Return the keys that a rule fills into an empty config."""
    return getattr(optim, rule)(np.zeros(2), np.zeros(2), {})[1].keys()


# --- keys of optim_config ---------------------------------------------------------------------


@pytest.mark.parametrize("package", [optim, reference_optim], ids=["fast", "reference"])
@pytest.mark.parametrize(
    ("rule", "config", "message"),
    [
        (
            "adam",
            {"lr": 0.5},
            "^optim_config has 'lr', expected keys of adam, learning_rate, beta1, beta2, epsilon: "
            "did you mean 'learning_rate'",
        ),
        ("adam", {"beta_1": 0.5}, "has 'beta_1', .*: did you mean 'beta1'"),
        ("adam", {"Learning_Rate": 0.5}, ": did you mean 'learning_rate'"),
        ("adam", {"weight_decay": 0.1}, "has 'weight_decay', .* epsilon: it is a key of adamw$"),
        (
            "sgd",
            {"weight_decay": 0.1},
            "expected keys of sgd, learning_rate: it is a key of adamw$",
        ),
        ("adamw", {"wd": 0.1}, "did you mean 'weight_decay'"),
        ("sgd_momentum", {"momentun": 0.5}, "did you mean 'momentum'"),
        ("rmsprop", {"zzz": 0.5}, "has 'zzz', .* decay_rate, epsilon$"),
        ("sgd", {0: 1}, "has 0, expected keys of sgd, learning_rate$"),
    ],
)
def test_unknown_keys(package, rule, config, message):
    with pytest.raises(ValueError, match=message):
        solver(update_rule=getattr(package, rule), optim_config={"learning_rate": 0.1, **config})


@pytest.mark.parametrize("rule", optim.__all__)
def test_one_dictionary_for_all_rules_of_the_courses(rule):
    """One warning, and the numbers of the dictionary without what the rule does not use."""
    used = {key: SHARED[key] for key in SHARED if key in _known(rule)}
    losses = []
    for config in (SHARED, used):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = solver(update_rule=rule, optim_config=config)
        made.train()
        losses.append(made.loss_history)
        if config is SHARED:
            (warning,) = caught
            useless = ", ".join(key for key in SHARED if key not in used)
            assert str(warning.message) == f"optim_config: {rule} has no use for {useless}"
            assert "tests" in Path(warning.filename).parts
        else:
            assert caught == []
    assert losses[0] == losses[1]


@pytest.mark.parametrize("rule", COURSE_RULES)
def test_a_dictionary_that_direct_calls_have_filled(rule):
    config = {}
    for other in COURSE_RULES:
        getattr(optim, other)(np.zeros(3), np.ones(3), config)
    config = {key: value for key, value in config.items() if np.ndim(value) == 0}
    with pytest.warns(UserWarning, match=f"^optim_config: {rule} has no use for "):
        solver(update_rule=rule, optim_config=config)


def test_rules_of_ones_own_and_direct_calls_know_any_key():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = {"rate": 0.1, "lr": None, "schedule": "x"}
        solver(update_rule=lambda w, dw, config: (w, config), optim_config=config)
        solver(update_rule=momentum_by_hand, optim_config={"rate": 0.1})
        optim.adam(np.ones(2), np.ones(2), {"lr": 3, "weight_decay": None})


def test_a_run_that_goes_on_has_the_keys_that_it_had(tmp_path):
    """Written before keys were looked at."""
    first = solver(num_epochs=1, update_rule="adam")
    first.optim_config = {"learning_rate": 0.01, "lr": 5, "momentum": 0.9}
    first.train()
    first.save(tmp_path / "run.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Solver.resume(tmp_path / "run.npz", solver().model, data(), num_epochs=2)
        again.train()
    assert again.optim_config == first.optim_config
    assert len(again.loss_history) > len(first.loss_history)


# --- numbers, words and what is neither -------------------------------------------------------

HUGE = 10**400

WRONG = [
    ({"optim_config": 0.1}, "^optim_config is 0.1, expected a dict"),
    ({"optim_config": [0.1]}, r"^optim_config is \[0.1\], expected a dict"),
    (
        {"optim_config": {"learning_rate": "0.1"}},
        "^optim_config: learning_rate is '0.1', expected a",
    ),
    ({"optim_config": {"learning_rate": None}}, "^optim_config: learning_rate is None, expected a"),
    (
        {"optim_config": {"learning_rate": np.nan}},
        "^optim_config: learning_rate is nan, expected a",
    ),
    ({"optim_config": {"learning_rate": np.inf}}, "^optim_config: learning_rate is inf"),
    (
        {"optim_config": {"learning_rate": HUGE}},
        "^optim_config: learning_rate is 1000.*000, expect",
    ),
    ({"optim_config": {"learning_rate": np.ones(3)}}, r"learning_rate is an array of shape \(3,\)"),
    ({"lr_decay": None}, "^lr_decay is None, expected a number of at least 0"),
    ({"lr_decay": "0.9"}, "^lr_decay is '0.9'"),
    ({"lr_decay": np.nan}, "^lr_decay is nan"),
    ({"lr_decay": -1}, "^lr_decay is -1"),
    ({"lr_decay": HUGE}, "^lr_decay is 1000"),
    ({"batch_size": 0}, "^batch_size is 0, expected an integer of at least 1"),
    ({"batch_size": HUGE}, "^batch_size is 1000.*000, expected an integer of at most"),
    ({"batch_size": 10**5000}, "^batch_size is a int, expected an integer of at most"),
    ({"batch_size": np.ones(2)}, r"^batch_size is an array of shape \(2,\), expected an integer"),
    ({"num_epochs": HUGE}, "^num_epochs is 1000"),
    ({"num_epochs": None}, "^num_epochs is None"),
    ({"verbose": True, "print_every": "x"}, "^print_every is 'x', expected a number above 0"),
    ({"verbose": True, "print_every": np.ones(2)}, "^print_every is an array"),
    ({"num_train_samples": 0.5}, "^num_train_samples is 0.5, expected an integer"),
    ({"num_val_samples": HUGE}, "^num_val_samples is 1000"),
    ({"max_seconds": HUGE}, "^max_seconds is 1000.*, expected seconds, a number above 0"),
    ({"max_seconds": True}, "^max_seconds is True, expected seconds"),
    ({"max_seconds": "5"}, "^max_seconds is '5', expected seconds"),
    ({"max_steps": HUGE}, "^max_steps is 1000"),
    ({"clip_norm": HUGE}, "^clip_norm is 1000.*, expected a number above 0"),
    ({"clip_norm": np.ones(2)}, "^clip_norm is an array of shape"),
    ({"early_stopping": {"patience": 1, "min_delta": HUGE}}, "^early_stopping: min_delta is 1000"),
    ({"early_stopping": np.ones(2)}, "^early_stopping is an array of shape"),
    ({"verbose": np.ones(2)}, r"^verbose is an array of shape \(2,\), expected True or False"),
    ({"lr_schedule": np.ones(2)}, "^lr_schedule is an array of shape"),
    (
        {"lr_schedule": {"name": ["step"]}},
        r"^lr_schedule: name is \['step'\], expected one of step",
    ),
    ({"lr_schedule": "cosin"}, "expected one of step, .*: did you mean 'cosine'"),
    ({"lr_schedule": {"name": "plateau", "monitor": np.ones(2)}}, "monitor is an array of shape"),
    ({"lr_schedule": {"name": "plateau", "min_delta": HUGE}}, "^lr_schedule: min_delta is 1000"),
    ({"lr_schedule": {"name": "cosine", "total_steps": HUGE}}, "^lr_schedule: total_steps is 1000"),
    ({"checkpoint_name": 5}, "^checkpoint_name is 5, expected a path"),
    ({"checkpoint_name": np.ones(2)}, "^checkpoint_name is an array of shape"),
    ({"checkpoint_name": "x", "checkpoint_every": np.ones(2)}, "^checkpoint_every is an array"),
    ({"update_rule": np.ones(2)}, '^Invalid update_rule "an array of shape'),
    ({"update_rule": None}, '^Invalid update_rule "None", expected one of adam, adamw, rmsprop, '),
    ({"update_rule": "Adam"}, "^Invalid update_rule \"Adam\", expected one of .*mean 'adam'\\?$"),
    ({"update_rule": "sgd+momentum"}, "did you mean 'sgd_momentum'"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[message[:60] for _, message in WRONG])
def test_wrong_arguments_are_named_before_a_step(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        solver(**options)
    with pytest.raises((TypeError, ValueError), match=message):
        Solver(Stranger(), indices(), **options)


@pytest.mark.parametrize("rate", [np.float32(0.01), np.array(0.01), np.float64(0.01), 1])
def test_numbers_of_many_kinds(rate):
    made = solver(optim_config={"learning_rate": rate}, lr_decay=rate, print_every=np.int64(3))
    made.train()
    assert len(made.loss_history) == 6


@pytest.mark.parametrize("package", [optim, reference_optim], ids=["fast", "reference"])
@pytest.mark.parametrize(
    ("config", "message"),
    [
        (5, "^adam: config is 5, expected a dict"),
        ([0.1], r"^adam: config is \[0.1\], expected a dict"),
        ({"learning_rate": "x"}, "^adam: learning_rate is 'x', expected a number"),
        ({"beta1": None}, "^adam: beta1 is None, expected a number"),
        ({"epsilon": HUGE}, "^adam: epsilon is 1000"),
        ({"learning_rate": np.ones(3)}, r"^adam: learning_rate is an array of shape \(3,\)"),
    ],
)
@pytest.mark.parametrize("filled", [False, True])
def test_configs_of_direct_calls(package, config, message, filled):
    if filled and isinstance(config, dict):
        config = {**package.adam(np.ones(2), np.ones(2))[1], **config}
    with pytest.raises((TypeError, ValueError), match=message):
        package.adam(np.ones(2), np.ones(2), config)


def test_configs_of_a_step():
    model = solver().model
    for configs in (None, 3, [{}]):
        with pytest.raises(TypeError, match=r"^optim_configs is .*, expected a dict of configs"):
            model.train_step(X, Y, "sgd", configs)
    configs = {name: {"learning_rate": HUGE} for name in model.params}
    assert model.train_step(X, Y, "sgd", configs) is None  # the rule itself will say
    for rule in ("Adam", None, np.ones(2)):
        with pytest.raises(ValueError, match=r"^update_rule is .*, expected 'sgd', .* or 'adamw'"):
            model.train_step(X, Y, rule, {})
