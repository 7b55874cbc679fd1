"""The options of the command line against the arguments of the API, and wrong ones."""

import inspect
import re

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.cli import main, running
from fastfc.cli.options import OPTIONS
from fastfc.training.settings import SETTINGS
from fastfc.update_rules import RULES
from tests.support.cli import QUICK, output

pytestmark = pytest.mark.usefixtures("empty_folder")


class Spy:
    """Stands for Solver or network, and keeps the arguments of the last one made."""

    def __init__(self, make):
        self.make = make

    def __call__(self, *args, **kwargs):
        self.kwargs = kwargs
        return self.make(*args, **kwargs)


@pytest.fixture
def spies(monkeypatch):
    solver, network = Spy(running.Solver), Spy(fc_net.FullyConnectedNet)
    monkeypatch.setattr(running, "Solver", solver)
    monkeypatch.setattr(fc_net, "FullyConnectedNet", network)
    return solver, network


# For every argument of the API: options that set it, and its value then.
NETWORK = {
    "hidden_dims": ("--hidden 7 5", [7, 5]),
    "dropout": ("--dropout 0.5", 0.5),
    "reg": ("--reg 0.1", 0.1),
    "weight_scale": ("--weight-scale 0.2", 0.2),
    "dtype": ("--dtype float64", "float64"),
    "seed": ("--rng philox --dropout-seed 3", 3),
    "normalization": ("--normalization layernorm", "layernorm"),
    "dropout_convention": ("--dropout-convention drop", "drop"),
    "label_smoothing": ("--label-smoothing 0.2", 0.2),
    "rng": ("--rng philox", "philox"),
    "activation": ("--activation tanh", "tanh"),
    "loss": ("--loss huber", "huber"),
    "loss_param": ("--loss quantile --loss-param 0.9", 0.9),
}
SOLVER = {
    "update_rule": ("--update-rule rmsprop", "rmsprop"),
    "optim_config": ("--learning-rate 0.03", {"learning_rate": 0.03}),
    "lr_decay": ("--lr-decay 0.7", 0.7),
    "lr_schedule": (
        "--lr-schedule cosine,warmup_steps=5,min_factor=0.25",
        {"name": "cosine", "warmup_steps": 5, "min_factor": 0.25},
    ),
    "clip_norm": ("--clip-norm 1.5", 1.5),
    "batch_size": ("--batch-size 60", 60),
    "num_epochs": ("--epochs 2", 2),
    "normalize": ("--normalize 0.5 2", (0.5, 2.0)),
    "print_every": ("--print-every 3", 3),
    "verbose": ("--quiet", False),
    "num_train_samples": ("--num-train-samples 50", 50),
    "num_val_samples": ("--num-val-samples 40", 40),
    "checkpoint_name": ("--checkpoint run", "run"),
    "checkpoint_every": ("--checkpoint run --checkpoint-every 5min", "5min"),
    "keep_last": ("--checkpoint run --keep-last 2", 2),
    "on_nonfinite": ("--on-nonfinite raise", "raise"),
    "overwrite": ("--checkpoint run --no-overwrite", False),
    "max_seconds": ("--max-seconds 60", 60.0),
    "max_steps": ("--max-steps 4", 4),
    "early_stopping": ("--early-stopping 5,0.01", {"patience": 5, "min_delta": 0.01}),
    "progress": ("--progress", True),
    "sync_batchnorm": ("--no-sync-batchnorm", False),
    "check_ranks": ("--check-ranks", True),
    "comm_timeout": ("--comm-timeout 20", 20.0),
}
PARAMETERS = inspect.signature(fc_net.FullyConnectedNet).parameters
DATA_DECIDE = {"input_dim", "num_classes"}
OTHER_NAMES = {"use_batchnorm", "dropout_keep_ratio"}  # of normalization and dropout
NO_TEXT = {"callbacks", "comm"}  # they are objects
NO_TEXT |= {"shards"}  # each rank of the command has all data


def test_every_argument_of_the_api_has_an_option():
    assert NETWORK.keys() == PARAMETERS.keys() - DATA_DECIDE - OTHER_NAMES
    assert SOLVER.keys() == SETTINGS.keys() - NO_TEXT
    constants = {key for rule in RULES.values() for key in rule.constants}
    assert constants - {"t"} <= {option.name for option in OPTIONS}


@pytest.mark.parametrize("name", ["num_train_samples", "num_val_samples"])
def test_all_examples_may_be_scored(capsys, spies, name):
    solver, _ = spies
    train_quickly(capsys, "--" + name.replace("_", "-"), "all")
    assert solver.kwargs[name] is None


@pytest.mark.parametrize("name", [*NETWORK, *SOLVER])
def test_every_option_arrives(capsys, spies, name):
    solver, network = spies
    text, value = {**NETWORK, **SOLVER}[name]
    train_quickly(capsys, *text.split())
    arguments = (network if name in NETWORK else solver).kwargs
    assert arguments[name] == value
    train_quickly(capsys)
    assert (network if name in NETWORK else solver).kwargs.get(name) != value


def train_quickly(capsys, *argv):
    assert main(["train", *QUICK, *argv]) == 0
    capsys.readouterr()


def test_defaults_are_the_final_network(capsys, spies):
    output(capsys, "train", "--epochs", "1")
    solver, network = spies
    defaults = {name: parameter.default for name, parameter in PARAMETERS.items()}
    assert {k: v for k, v in network.kwargs.items() if v != defaults[k]} == {
        "hidden_dims": [100, 100, 100],
        "input_dim": 64,
        "dropout": 0.9,
        "normalization": "batchnorm",
        "dtype": "float32",
    }
    defaults = {name: setting.default for name, setting in SETTINGS.items()}
    assert {k: v for k, v in solver.kwargs.items() if v != defaults[k]} == {
        "update_rule": "adam",
        "optim_config": {"learning_rate": 5e-4},
        "lr_decay": 0.9,
        "num_epochs": 1,
        "print_every": 100,
    }


def test_weights_that_fit_the_layers(capsys, spies):
    output(capsys, "train", *QUICK, "--weight-scale", "he")
    assert spies[1].kwargs["weight_scale"] == "he"


def test_no_batchnorm(capsys, spies):
    output(capsys, "train", *QUICK, "--no-batchnorm")
    assert spies[1].kwargs["normalization"] is None


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("step", {"name": "step"}),
        ("plateau,monitor=loss,patience=2", {"name": "plateau", "monitor": "loss", "patience": 2}),
    ],
)
def test_schedules(capsys, spies, text, schedule):
    output(capsys, "train", *QUICK, "--lr-schedule", text)
    assert spies[0].kwargs["lr_schedule"] == schedule


@pytest.mark.parametrize(
    ("argv", "config"),
    [
        ("sgd", {}),
        ("sgd_momentum --momentum 0.5", {"momentum": 0.5}),
        ("sgd_nesterov_momentum --momentum 0", {"momentum": 0.0}),
        ("rmsprop --decay-rate 0.8 --epsilon 1e-3", {"decay_rate": 0.8, "epsilon": 1e-3}),
        ("adamw --weight-decay 0", {"learning_rate": 5e-4, "weight_decay": 0.0}),
        ("adam --beta1 0.8 --beta2 0.9", {"learning_rate": 5e-4, "beta1": 0.8, "beta2": 0.9}),
    ],
)
def test_rule_options(capsys, spies, argv, config):
    output(capsys, "train", *QUICK, "--update-rule", *argv.split())
    assert spies[0].kwargs["optim_config"] == config


def test_npz_decides_inputs_and_classes(capsys, tmp_path, spies):
    X, y = np.eye(6, dtype=np.uint8).reshape(6, 3, 2), np.array([0, 1, 2, 3, 4, 11])
    np.savez(tmp_path / "mine.npz", X_train=X[:5], y_train=y[:5], X_val=X, y_val=y)
    output(capsys, "train", *QUICK, "--data", str(tmp_path / "mine.npz"))
    assert spies[1].kwargs["input_dim"] == 6
    assert spies[1].kwargs["num_classes"] == 12


# Errors: one line, status 2

BAD_OPTIONS = {
    "": "a command is required: train, ",
    "fly": "invalid choice: 'fly'",
    "--speed": "no such option: --speed; see fastfc --help",
    "trian": "): did you mean 'train'?; see fastfc --help",
    "train --speed 3": "no such option: --speed: did you mean '--seed'?",
    "train --epoch 3": "option: --epoch: did you mean '--epochs'?; see fastfc train --help",
    "train --epochs": "Option '--epochs' requires an argument; see fastfc train --help",
    "train --json=yes": "Option '--json' does not take a value; see fastfc train --help",
    "train --normalize 0": "Option '--normalize' requires 2 arguments; see fastfc train --help",
    "train -x": "no such option: -x; see fastfc train --help",
    "check": "arguments are required: PATH.py; see fastfc check --help",
    "check --functoin f": "option: --functoin: did you mean '--function'?",
    "check a.py b.py": "unexpected extra argument (b.py)",
    "info now": "unexpected extra argument (now)",
    "train --hidden 10 -1": "argument --hidden: '-1' is not a whole number from 1",
    "train --hidden 10 x": "argument --hidden: 'x' is not a whole number from 1",
    "train --dropout 1.01": "argument --dropout: '1.01' is not a number from 0 to 1",
    "train --dropout nan": "argument --dropout: 'nan' is not a number from 0 to 1",
    "train --reg -0.1": "argument --reg: '-0.1' is not a number of at least 0",
    "train --reg inf": "argument --reg: 'inf' is not a number of at least 0",
    "train --weight-scale hi": "'hi' is not a number of at least 0, he or glorot",
    "train --weight-scale gloro": ", he or glorot or sklearn: did you mean 'glorot'?",
    "train --weight-scale big": "argument --weight-scale: 'big' is not a number",
    "train --learning-rate 0": "argument --learning-rate: '0' is not a number above 0",
    "train --beta1 1": "argument --beta1: '1' is not a number from 0 to less than 1",
    "train --epochs 0": "argument --epochs: '0' is not a whole number from 1",
    "train --epochs 1.5": "argument --epochs: '1.5' is not a whole number from 1",
    "train --batch-size 3000000000": "is not a whole number from 1 to 2147483647",
    "train --seed -1": "argument --seed: '-1' is not a whole number from 0 to 4294967295",
    "train --dtype float16": "argument --dtype: invalid choice: 'float16'",
    "train --backend gpu": "argument --backend: invalid choice: 'gpu'",
    "train --update-rule lbfgs": "argument --update-rule: invalid choice: 'lbfgs'",
    "train --update-rule Adam": ": did you mean 'adam'?",
    "train --compare --backend fast": "argument --backend: not allowed with argument --compare",
    "train --momentum 0.9": "--momentum is an option of sgd_momentum and sgd_nesterov_momentum, "
    "not of adam",
    "train --update-rule sgd --epsilon 1": "--epsilon is an option of rmsprop, adam and "
    "adamw, not of sgd",
    "train --clip-norm 0": "argument --clip-norm: '0' is not a number above 0",
    "train --label-smoothing 2": "argument --label-smoothing: '2' is not a number from 0 to 1",
    "train --lr-schedule linear": "argument --lr-schedule: invalid choice: 'linear', choose from ",
    "train --lr-schedule step,each=3": "lr_schedule: step has no parameter 'each', expected some",
    "train --lr-schedule step,every=x": "lr_schedule: every is 'x', expected an integer",
    "train --weight-decay 0.1": "--weight-decay is an option of adamw, not of adam",
    "train --data imagenet": "--data imagenet: choose digits, cifar10, mnist or a .npz,",
    "train --data cifar": "or .parquet file: did you mean 'cifar10'?",
    "train --normalization batchnrom": ": did you mean 'batchnorm'?",
    "train --lr-schedule=cosin": ": did you mean 'cosine'?",
    "train --learning-rat=0.1": ": did you mean '--learning-rate'?",
    "check x.py --dropout-convention kepe": ": did you mean 'keep'?",
    "train --normalize 0 nan": "argument --normalize: 'nan' is not a number that is finite",
    "train --normalize 0 0": "--normalize: normalize: std ranges from 0.0 to 0.0",
    "train --dropout 1 --dropout-convention drop": "--dropout: dropout is 1.0, expected",
    "train --early-stopping 0": "argument --early-stopping: '0' is not a whole number from 1",
    "train --early-stopping 2,x": "argument --early-stopping: 'x' is not a number of at least 0",
    "train --checkpoint-every 5min": "--checkpoint-every needs --checkpoint NAME or --out DIR",
    "train --keep-last 2": "--keep-last needs --checkpoint NAME or --out DIR",
    "train --out .. --checkpoint a": "--checkpoint: the folder of --out has checkpoints of its own",
    "train --out a --compare": "--out is for one run: leave it out with --compare",
    "train --out a --resume b": "--out: a run goes on where it was: leave it out with --resume",
    "train --out /dev/null": "--out /dev/null: it is a file, expected a new folder",
    "train --out /dev/null/a": "--out /dev/null/a: /dev/null is no folder that can be written to",
    "train --config missing.toml": "missing.toml: No such file or directory",
    "train .": ".: Is a directory",
    "train /dev/null --config /dev/null": "--config /dev/null: there is another configuration",
    "train /dev/zero": "/dev/zero: it has more than 1048576 bytes, expected a TOML file",
    "train --checkpoint a --checkpoint-every 5d": "'5d' is not a number of steps, as 500",
    "train --checkpoint runs/a": "--checkpoint runs/a: there is no folder runs: make it first",
    "train --checkpoint runs/": "--checkpoint runs/: it is a folder, expected the name",
    "train --save runs/a.npz": "--save runs/a.npz: there is no folder runs: make it first",
    "train --loss hinge": "--loss: invalid choice: 'hinge', choose from softmax",
    "train --loss quantile --loss-param 2": "--loss-param: loss_param is 2.0, expected a number in",
    "train --loss-param 2": "--loss-param: loss_param is 2.0, expected None",
    "train --loss logistic": "y_train[0] is 2, expected numbers from 0 to 1 for the loss",
    "train --save .": "--save .: it is a folder, expected the name of a file in it",
    "train --save a --compare": "--save is for one run: leave it out with --compare",
    "train --resume a --compare": "--resume is for one run: leave it out with --compare",
    "train --resume a --seed 5": "--seed: the checkpoint of --resume has the state of the random",
    "train --resume a --backend reference": "--resume goes on with the C kernels",
    "train --resume missing.npz": "missing.npz: ",
    "train --root here": "--root is for --data cifar10 and mnist",
    "train --data cifar10": "CIFAR-10 not found",
    "train --data cifar10 --root /nowhere": "CIFAR-10 not found: no data_batch_1 in /nowhere, ",
    "train --data mnist": "MNIST not found",
    "train --data missing.npz": "missing.npz: no such file",
    "train --hidden 100000000000": "is not a whole number",
}


@pytest.mark.parametrize("argv", BAD_OPTIONS)
def test_errors_of_the_user_are_one_line(capsys, argv):
    assert main(argv.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"fastfc: .*{re.escape(BAD_OPTIONS[argv])}.*\n", err)


# Help


def test_help_names_every_option(capsys):
    out = output(capsys, "train", "--help")
    for option in OPTIONS:
        assert f"{option.flag} " in out or f"{option.flag}\n" in out
    assert output(capsys, "--help").startswith("Usage: fastfc ")
