"""The command line, by main() in this process."""

import pickle
import re
import warnings

import numpy as np
import pytest

import fastfc
from fastfc import data_utils, fc_net
from fastfc.cli import main
from fastfc.cli import train as train_module
from fastfc.cli.options import RULE_OPTIONS
from fastfc.data import cifar10, load_digits

QUICK = ("--hidden", "8", "--epochs", "1", "--print-every", "1000")


@pytest.fixture(autouse=True)
def no_place_to_look(monkeypatch, tmp_path):
    """Work in an empty folder, and leave NumPy's generator as it was."""
    monkeypatch.delenv("FASTFC_DATA", raising=False)
    (tmp_path / "elsewhere" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere" / "work")
    state = np.random.get_state()
    yield
    np.random.set_state(state)


def output(capsys, *argv, status=0):
    """Return what ``fastfc argv`` prints, once it has ended with this status."""
    returned = main(argv)
    out, err = capsys.readouterr()
    assert (returned, err) == (status, "")
    return out


def figure(name, out):
    """Return the number behind `name` in the output; there is one."""
    (text,) = re.findall(rf"^{name}: (\S+)$", out, re.MULTILINE)
    return float(text)


# Training


def test_the_main_job(capsys):
    lines = output(capsys, "train").splitlines()
    patterns = [
        r"\(Iteration 1 / 110\) loss: 2\.\d{6}",
        *(rf"\(Epoch {k} / 10\) train acc: \d\.\d{{6}}; val_acc: \d\.\d{{6}}" for k in range(10)),
        r"\(Iteration 101 / 110\) loss: 0\.\d{6}",
        r"\(Epoch 10 / 10\) train acc: \d\.\d{6}; val_acc: \d\.\d{6}",
        r"validation accuracy: [01]\.\d{3}",
        r"test accuracy: [01]\.\d{3}",
        r"seconds: \d+\.\d\d",
        r"examples per second: \d+",
    ]
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line)
    assert figure("test accuracy", "\n".join(lines)) > 0.95


def test_accuracies_are_those_of_the_best_parameters(capsys):
    out = output(capsys, "train", "--hidden", "20", "--epochs", "4")
    scored = [float(text) for text in re.findall(r"val_acc: (\S+)", out)]
    assert figure("validation accuracy", out) == pytest.approx(max(scored), abs=5e-4)


def losses(out):
    return re.findall(r"\(Iteration .*", out)


def test_seed_decides_everything_but_the_time(capsys):
    same = [output(capsys, "train", *QUICK, "--seed", "5", "--print-every", "1") for _ in range(2)]
    other = output(capsys, "train", *QUICK, "--seed", "6", "--print-every", "1")
    assert same[0].split("seconds")[0] == same[1].split("seconds")[0]
    assert losses(same[0]) != losses(other)


def test_backends_print_the_same_losses(capsys):
    argv = ("train", *QUICK, "--dtype", "float64", "--print-every", "1")
    fast, slow = (output(capsys, *argv, "--backend", name) for name in ("fast", "reference"))
    assert len(losses(fast)) == 11
    assert losses(fast) == losses(slow)


@pytest.mark.parametrize("rule", RULE_OPTIONS)
def test_compare(capsys, rule):
    out = output(capsys, "train", *QUICK, "--compare", "--update-rule", rule)
    assert re.findall("^backend: .*", out, re.MULTILINE) == [
        "backend: fast, float64",
        "backend: reference, float64",
    ]
    assert figure("largest difference of the loss histories", out) < 1e-8
    seconds = [float(text) for text in re.findall(r"^seconds: (\S+)", out, re.MULTILINE)]
    # both times are rounded to 0.01 s, the ratio is not
    ratio = figure("speed ratio", out)
    assert (seconds[1] - 0.005) / (seconds[0] + 0.005) - 0.01 < ratio
    assert ratio * (seconds[0] - 0.005) - 0.01 < seconds[1] + 0.005


def test_compare_takes_a_dtype(capsys):
    out = output(capsys, "train", *QUICK, "--compare", "--dtype", "float32")
    assert "backend: reference, float32\n" in out
    assert figure("largest difference of the loss histories", out) < 1e-2


class Spy:
    """Stands for Solver or network, and keeps the arguments of the last one made."""

    def __init__(self, make):
        self.make = make

    def __call__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs
        return self.make(*args, **kwargs)


@pytest.fixture
def spies(monkeypatch):
    solver, network = Spy(train_module.Solver), Spy(fc_net.FullyConnectedNet)
    monkeypatch.setattr(train_module, "Solver", solver)
    monkeypatch.setattr(fc_net, "FullyConnectedNet", network)
    return solver, network


def test_defaults_are_the_final_network(capsys, spies):
    output(capsys, "train", "--epochs", "1")
    solver, network = spies
    assert network.args == ([100, 100, 100],)
    assert network.kwargs == {
        "input_dim": 64,
        "num_classes": 10,
        "dropout": 0.9,
        "use_batchnorm": True,
        "reg": 0.0,
        "weight_scale": 0.01,
        "dtype": np.dtype(np.float32),
        "label_smoothing": 0.0,
    }
    assert solver.kwargs == {
        "update_rule": "adam",
        "optim_config": {"learning_rate": 5e-4},
        "lr_decay": 0.9,
        "lr_schedule": None,
        "clip_norm": None,
        "batch_size": 100,
        "num_epochs": 1,
        "print_every": 100,
        "num_train_samples": 1000,
        "num_val_samples": None,
        "progress": False,
    }


def test_every_option_arrives(capsys, spies):
    text = (
        "train --hidden 7 5 --dropout 0.5 --no-batchnorm --reg 0.1 --weight-scale 0.2 "
        "--dtype float64 --update-rule rmsprop --learning-rate 0.03 --decay-rate 0.8 "
        "--epsilon 1e-3 --lr-decay 0.7 --batch-size 60 --epochs 2 --print-every 3 "
        "--num-train-samples 50 --num-val-samples 40 --label-smoothing 0.2 --clip-norm 1.5 "
        "--lr-schedule cosine,warmup_steps=5,min_factor=0.25"
    )
    output(capsys, *text.split())
    solver, network = spies
    assert network.args == ([7, 5],)
    assert network.kwargs == {
        "input_dim": 64,
        "num_classes": 10,
        "dropout": 0.5,
        "use_batchnorm": False,
        "reg": 0.1,
        "weight_scale": 0.2,
        "dtype": np.dtype(np.float64),
        "label_smoothing": 0.2,
    }
    assert solver.kwargs == {
        "update_rule": "rmsprop",
        "optim_config": {"learning_rate": 0.03, "decay_rate": 0.8, "epsilon": 1e-3},
        "lr_decay": 0.7,
        "lr_schedule": {"name": "cosine", "warmup_steps": 5, "min_factor": 0.25},
        "clip_norm": 1.5,
        "batch_size": 60,
        "num_epochs": 2,
        "print_every": 3,
        "num_train_samples": 50,
        "num_val_samples": 40,
        "progress": False,
    }


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
        ("adamw --weight-decay 0", {"learning_rate": 5e-4, "weight_decay": 0.0}),
        ("adam --beta1 0.8 --beta2 0.9", {"learning_rate": 5e-4, "beta1": 0.8, "beta2": 0.9}),
    ],
)
def test_rule_options(capsys, spies, argv, config):
    output(capsys, "train", *QUICK, "--update-rule", *argv.split())
    assert spies[0].kwargs["optim_config"] == config


# Data


def small_npz(path, **changes):
    digits = load_digits()
    data = {name: array[:200] for name, array in digits.items()} | changes
    np.savez(path, **{name: array for name, array in data.items() if array is not None})
    return str(path)


def test_npz(capsys, tmp_path):
    out = output(capsys, "train", *QUICK, "--data", small_npz(tmp_path / "mine.npz"))
    assert "(Epoch 1 / 1)" in out
    assert "\ntest accuracy: " in out


def test_npz_without_test_split(capsys, tmp_path):
    path = small_npz(tmp_path / "mine.npz", X_test=None, y_test=None)
    out = output(capsys, "train", *QUICK, "--data", path)
    assert "\nvalidation accuracy: " in out
    assert "test accuracy" not in out


def test_npz_decides_inputs_and_classes(capsys, tmp_path, spies):
    X, y = np.eye(6, dtype=np.uint8).reshape(6, 3, 2), np.array([0, 1, 2, 3, 4, 11])
    np.savez(tmp_path / "mine.npz", X_train=X[:5], y_train=y[:5], X_val=X, y_val=y)
    output(capsys, "train", *QUICK, "--data", str(tmp_path / "mine.npz"))
    assert spies[1].kwargs["input_dim"] == 6
    assert spies[1].kwargs["num_classes"] == 12


def test_weights_that_fit_the_layers(capsys, spies):
    output(capsys, "train", *QUICK, "--weight-scale", "he")
    assert spies[1].kwargs["weight_scale"] == "he"


def test_no_validation_image_is_ever_right(capsys, tmp_path):
    path = small_npz(tmp_path / "mine.npz", y_train=np.zeros(200, int), y_val=np.ones(200, int))
    out = output(capsys, "train", *QUICK, "--weight-scale", "0", "--data", path)
    assert figure("validation accuracy", out) == 0


def write_cifar10(folder):
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for name in (*cifar10.TRAIN_FILES, cifar10.TEST_FILE):
        batch = {
            "data": rng.randint(256, size=(20, 3072)).astype(np.uint8),
            "labels": [0, *range(10), *range(9)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, 2))


def test_cifar10(capsys, tmp_path, monkeypatch):
    write_cifar10(tmp_path / "root" / cifar10.FOLDER)
    monkeypatch.setattr(cifar10, "_warned", False)
    monkeypatch.setattr(
        train_module,
        "get_CIFAR10_data",
        lambda root: data_utils.get_CIFAR10_data(90, 10, 20, root=root),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        argv = ["--batch-size", "30", "--data", "cifar10", "--root", str(tmp_path / "root")]
        assert main(["train", *QUICK, *argv]) == 0
    out, err = capsys.readouterr()
    assert "test accuracy: " in out
    assert re.fullmatch(r"fastfc: warning: MD5 sums differ .*data_batch_5\n", err)


def test_mnist(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(train_module, "load_mnist", lambda root: {"digits": load_digits}[root]())
    assert "test accuracy" in output(capsys, "train", *QUICK, "--data", "mnist", "--root", "digits")


# Errors: one line, status 2

BAD_OPTIONS = {
    "": "required: {train,check,config}; see fastfc --help",
    "fly": "invalid choice: 'fly'",
    "train --speed 3": "unrecognized arguments: --speed 3",
    "train --epoch 3": "unrecognized arguments: --epoch 3",
    "train --hidden 10 -1": "argument --hidden: '-1' is not a whole number from 1",
    "train --hidden 10 x": "argument --hidden: 'x' is not a whole number from 1",
    "train --dropout 1.01": "argument --dropout: '1.01' is not a number from 0 to 1",
    "train --dropout nan": "argument --dropout: 'nan' is not a number from 0 to 1",
    "train --reg -0.1": "argument --reg: '-0.1' is not a number of at least 0",
    "train --reg inf": "argument --reg: 'inf' is not a number of at least 0",
    "train --weight-scale hi": "'hi' is not a number of at least 0, he or glorot",
    "train --weight-scale big": "argument --weight-scale: 'big' is not a number",
    "train --learning-rate 0": "argument --learning-rate: '0' is not a number above 0",
    "train --beta1 1": "argument --beta1: '1' is not a number from 0 to less than 1",
    "train --epochs 0": "argument --epochs: '0' is not a whole number from 1",
    "train --epochs 1.5": "argument --epochs: '1.5' is not a whole number from 1",
    "train --batch-size 3000000000": "is not a whole number from 1 to 2147483647",
    "train --seed -1": "argument --seed: '-1' is not a whole number from 0 to 4294967295",
    "train --dtype float16": "argument --dtype: invalid choice: 'float16'",
    "train --backend gpu": "argument --backend: invalid choice: 'gpu'",
    "train --update-rule adagrad": "argument --update-rule: invalid choice: 'adagrad'",
    "train --compare --backend fast": "argument --backend: not allowed with argument --compare",
    "train --momentum 0.9": "--momentum is an option of sgd_momentum and sgd_nesterov_momentum, "
    "not of adam",
    "train --update-rule sgd --epsilon 1": "--epsilon is an option of rmsprop, adam and "
    "adamw, not of sgd",
    "train --clip-norm 0": "argument --clip-norm: '0' is not a number above 0",
    "train --label-smoothing 2": "argument --label-smoothing: '2' is not a number from 0 to 1",
    "train --lr-schedule linear": "argument --lr-schedule: lr_schedule: name is 'linear', expected",
    "train --lr-schedule step,each=3": "lr_schedule: step has no parameter 'each', expected some",
    "train --lr-schedule step,every=x": "lr_schedule: every is 'x', expected an integer",
    "train --weight-decay 0.1": "--weight-decay is an option of adamw, not of adam",
    "train --data imagenet": "--data imagenet: choose digits, cifar10, mnist or a .npz file",
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_val": None}, "y_val missing"),
        ({"X_val": np.zeros((200, 65))}, r"X_val has shape (200, 65), expected (N, 1, 8, 8)"),
        ({"y_train": np.zeros(199, int)}, "y_train has shape (199,), expected (200,)"),
        ({"y_train": np.zeros(200)}, "y_train has dtype float64, expected integers"),
        ({"X_train": np.full((200, 1, 8, 8), None)}, "Object arrays cannot be loaded"),
    ],
)
def test_bad_shapes_are_one_line(capsys, tmp_path, changes, message):
    path = small_npz(tmp_path / "mine.npz", **changes)
    assert main(["train", "--data", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"fastfc: .*{re.escape(message)}.*\n", err)


def test_unreadable_and_damaged_files_are_one_line(capsys, tmp_path):
    write_cifar10(tmp_path / "cifar")
    (tmp_path / "cifar" / "data_batch_1").write_bytes(b"\x80\x02}q\n")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    for argv, message in (
        (["cifar10", "--root", str(tmp_path / "cifar")], "data_batch_1: truncated, or not"),
        ([str(tmp_path / "broken.npz")], "broken.npz: truncated, or not a .npz file"),
        ([str(tmp_path / "cifar") + "/.npz"], "no such file"),
    ):
        assert main(["train", "--data", *argv]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(rf"fastfc: .*{re.escape(message)}.*\n", err)


def test_loss_that_is_not_finite_is_one_line(capsys):
    assert main(["train", *QUICK, "--update-rule", "sgd", "--learning-rate", "1e30"]) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(r"fastfc: the loss is nan at iteration 2 .*; choose a smaller .*\n", err)


@pytest.mark.parametrize("argv", [(), ("--compare",), ("--backend", "reference")])
def test_a_diverged_run_has_the_accuracies_of_its_best_parameters(capsys, argv):
    assert main(["train", *QUICK, "--learning-rate", "1e300", *argv]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert 0 < figure("validation accuracy", out) < 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("8 TiB"), "not enough memory: choose a smaller --hidden"),
        (ValueError("array is too big"), "--hidden is too large: array is too big"),
    ],
)
def test_networks_beyond_memory_are_one_line(capsys, monkeypatch, error, message):
    def network(*_, **__):
        raise error

    monkeypatch.setattr(fc_net, "FullyConnectedNet", network)
    assert main(["train"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"fastfc: {message}")
    assert err.count("\n") == 1


# Other commands


def test_config(capsys):
    out = output(capsys, "config")
    fastfc.show_config()
    assert out == capsys.readouterr().out


def test_version(capsys):
    assert output(capsys, "--version") == f"fastfc {fastfc.__version__}\n"


def test_help_names_every_option(capsys):
    out = output(capsys, "train", "--help")
    keys = {key for keys in RULE_OPTIONS.values() for key in keys}
    for option in ("data", "root", "seed", "dtype", "backend", "compare", *keys):
        assert f"--{option.replace('_', '-')} " in out
    assert output(capsys, "--help").startswith("usage: fastfc ")
