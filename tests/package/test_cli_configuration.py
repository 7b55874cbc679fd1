"""Configuration files: everything that train takes, who wins, and what is said of broken ones."""

import pytest

from fastfc.cli import folder, main
from fastfc.cli.configuration import OUTSIDE, named, read_toml, to_toml
from fastfc.cli.options import OPTIONS
from fastfc.cli.train import command
from tests.support.cli import complaint, output

pytestmark = pytest.mark.usefixtures("empty_folder")

QUICK = "[network]\nhidden = [8]\n[training]\nepochs = 1\n[output]\nprint_every = 1000\n"


def write(text, name="config.toml"):
    with open(name, "w") as file:
        file.write(text)
    return name


def test_a_configuration_is_as_good_as_options(capsys):
    options = ["--hidden", "8", "--epochs", "1", "--print-every", "1000"]
    write(QUICK)
    expected = output(capsys, "train", *options).split("seconds")[0]
    assert output(capsys, "train", "config.toml").split("seconds")[0] == expected
    assert output(capsys, "train", "--config", "config.toml").split("seconds")[0] == expected
    write("hidden = [8]\nepochs = 1\nprint-every = 1000\n", "flat.toml")
    assert output(capsys, "train", "flat.toml").split("seconds")[0] == expected


def test_options_win_over_the_configuration_and_that_over_defaults(capsys):
    write(QUICK + "[optimizer]\nlearning_rate = 0.25\n")
    out = output(capsys, "train", "config.toml", "--hidden", "5")
    assert "network: 64-5-10, batchnorm, dropout 0.9" in out
    assert "adam, learning rate 0.25" in out
    out = output(capsys, "train", "--learning-rate", "0.125", "config.toml")
    assert "network: 64-8-10" in out
    assert "learning rate 0.125" in out


# For every option a value that is not its default, as a configuration has it.
VALUES = {
    "data": "mine.npz",
    "target": "kind",
    "ignore_columns": ["age", "height, in cm"],
    "category_columns": ["code"],
    "id_column": "name",
    "root": "here",
    "normalize": [0.5, 2.0],
    "hidden": [7, 5],
    "activation": "tanh",
    "dropout": 0.5,
    "dropout_convention": "drop",
    "normalization": "none",
    "reg": 0.5,
    "label_smoothing": 0.25,
    "loss": "huber",
    "loss_param": 2.0,
    "weight_scale": "he",
    "dtype": "float64",
    "rng": "philox",
    "dropout_seed": 3,
    "update_rule": "adamw",
    "learning_rate": 0.5,
    "momentum": 0.5,
    "decay_rate": 0.5,
    "beta1": 0.5,
    "beta2": 0.5,
    "epsilon": 0.5,
    "weight_decay": 0.5,
    "lr_decay": 0.5,
    "lr_schedule": {"name": "cosine", "warmup_steps": 5},
    "on_nonfinite": "raise",
    "clip_norm": 1.5,
    "batch_size": 7,
    "epochs": 2,
    "max_steps": 4,
    "max_seconds": 60.0,
    "early_stopping": {"patience": 5, "min_delta": 0.01},
    "num_train_samples": "all",
    "num_val_samples": 40,
    "sync_batchnorm": False,
    "check_ranks": True,
    "comm_timeout": 20.0,
    "checkpoint_every": "5min",
    "keep_last": 2,
    "print_every": 3,
    "report": False,
    "examples": False,
    "quiet": True,
    "progress": True,
    "seed": 7,
    "backend": "reference",
}


def test_a_configuration_holds_everything_that_train_takes():
    """Written and read, each value is what it was."""
    keys = {option.key for option in OPTIONS if option.expose_value and option.name not in OUTSIDE}
    assert keys == VALUES.keys()
    options = {option.key: option for option in OPTIONS}
    values = {options[key].name: value for key, value in VALUES.items()}
    write(to_toml(values, OPTIONS))
    params = command.make_context("train", ["config.toml"]).params
    for name, value in values.items():
        found = params[name]
        assert (list(found) if isinstance(found, tuple) else found) == value, name
        assert type(found) is type(value) or name == "normalize"
    assert named("config.toml", read_toml("config.toml"), OPTIONS) == values


@pytest.mark.parametrize("name", ["out", "save", "checkpoint", "overwrite", "compare", "json"])
def test_a_configuration_may_say_where_results_go(name):
    value = "true" if name in ("overwrite", "compare", "json") else '"a"'
    write(f"[{'run' if name == 'compare' else 'output'}]\n{name} = {value}\n")
    params = command.make_context("train", ["config.toml"]).params
    option = next(option for option in OPTIONS if option.key == name)
    assert params[option.name] == (True if value == "true" else "a")


BROKEN = {
    "hidden = [": "config.toml: no TOML: Invalid value",
    "= 3": "config.toml: no TOML: ",
    "epochs = 1\nepochs = 2": "config.toml: no TOML: Cannot overwrite a value",
    "epochs = 1\n[training]\nepochs = 2": "config.toml: epochs stands twice",
    "[training]\nhidden = [5]": "config.toml: hidden stands in [training], expected in [network]",
    "[training]\nepoch = 5": "config.toml: there is no option 'epoch': did you mean 'epochs'?",
    "[trainin]\nepochs = 5": "config.toml: there is no option 'trainin': did you mean 'training'?",
    "learning-rat = 5": "there is no option 'learning-rat': did you mean 'learning_rate'?",
    'resume = "a"': "config.toml: resume is for the command line",
    'config = "a"': "config.toml: config is for the command line",
    "batchnorm = true": "config.toml: there is no option 'batchnorm'",
    "epochs = 0": "config.toml: epochs: 0 is not a whole number from 1 to",
    "epochs = 1.0": "config.toml: epochs: 1.0 is not a whole number",
    "epochs = true": "config.toml: epochs: True is not a whole number",
    "epochs = [1]": "config.toml: epochs: [1] is not a whole number",
    "epochs = 1979-05-27": "is not a whole number",
    'epochs = "x"': "config.toml: epochs: 'x' is not a whole number",
    "dropout = nan": "config.toml: dropout: nan is not a number from 0 to 1",
    "dropout = true": "config.toml: dropout: True is not a number from 0 to 1",
    "dropout = {p = 1}": "config.toml: dropout: {'p': 1} is not a number from 0 to 1",
    "hidden = 5": "config.toml: hidden: 5 is not a list of whole numbers, as [100, 100]",
    "hidden = [5, 0]": "config.toml: hidden: 0 is not a whole number",
    "normalize = 5": "config.toml: normalize: ",
    "normalize = [1]": "config.toml: normalize: ",
    "normalize = [1, 2, 3]": "config.toml: normalize: ",
    'normalize = [1, "x"]': "config.toml: normalize: 'x' is not a number that is finite",
    'update_rule = "Adam"': "update_rule: invalid choice: 'Adam', choose from sgd",
    "update_rule = 5": "update_rule: invalid choice: 5, choose from sgd",
    "data = 5": "config.toml: data: 5 is not the name of a file or a folder",
    'data = ""': "config.toml: data: '' is not the name of a file or a folder",
    'save = "a\\u0000b"': "is not the name of a file or a folder",
    'quiet = "yes"': "config.toml: quiet: 'yes' is not true or false",
    "progress = 1": "config.toml: progress: 1 is not true or false",
    "early_stopping = {min_delta = 1}": "config.toml: early_stopping: {'min_delta': 1} has not",
    "early_stopping = {patience = 1, x = 2}": "config.toml: early_stopping: ",
    "early_stopping = 2.5": "config.toml: early_stopping: '2.5' is not a whole number",
    "lr_schedule = 5": "config.toml: lr_schedule: 5 is not a schedule, as 'cosine'",
    'lr_schedule = {nam = "cosine"}': "lr_schedule: {'nam': 'cosine'} is not a schedule",
    'lr_schedule = {name = "cosin"}': "did you mean 'cosine'?",
    "checkpoint_every = 0": "config.toml: checkpoint_every: 0 is not a number of steps, as 500",
    "a." * 500 + "a = 1": "config.toml: ",
    "x = " + "[" * 2000: "config.toml: no TOML: ",
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:40])
def test_a_broken_configuration_is_one_line(capsys, text):
    write(text + "\n")
    assert BROKEN[text] in complaint(capsys, "train", "config.toml")


def test_what_is_no_text_is_one_line(capsys):
    with open("config.toml", "wb") as file:
        file.write(b"epochs = 1 # \xff")
    assert "config.toml: no TOML: " in complaint(capsys, "train", "config.toml")


def test_a_configuration_that_is_overruled_may_be_wrong(capsys):
    """As an option's default would be: only what is used is looked at."""
    write(QUICK + "[optimizer]\nlearning_rate = 0\n")
    assert main(["train", "config.toml", "--learning-rate", "0.1"]) == 0


def test_a_run_can_be_had_again_from_its_configuration(capsys):
    argv = ("train", "--hidden", "8", "--epochs", "2", "--dropout", "0.5", "--print-every", "1")
    first = output(capsys, *argv, "--out", "a")
    again = output(capsys, "train", f"a/{folder.CONFIG}", "--out", "b")
    assert again.split("seconds")[0] == first.split("seconds")[0]
    with open("a/config.toml") as one, open("b/config.toml") as other:
        assert one.read() == other.read()
