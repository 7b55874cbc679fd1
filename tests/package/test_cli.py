"""The command line, by main() in this process."""

import pickle
import re
import warnings

import numpy as np
import pytest

import fastfc
from fastfc import data_utils, fc_net
from fastfc.cli import data as data_module
from fastfc.cli import main
from fastfc.cli.options import RULE_OPTIONS
from fastfc.data import cifar10, load_digits
from tests.support.cli import QUICK, complaint, figure, output

pytestmark = pytest.mark.usefixtures("empty_folder")


# Training


def test_the_main_job(capsys):
    lines = output(capsys, "train").splitlines()
    patterns = [
        "data: digits, 1197 train, 300 val and 300 test examples of 1x8x8, 10 classes",
        "network: 64-100-100-100-10, batchnorm, dropout 0.9, float32, 28310 parameters; "
        "adam, learning rate 0.0005",
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


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber", "logistic"])
def test_npz_with_targets_and_weights(capsys, tmp_path, loss):
    rng = np.random.RandomState(0)
    arrays = {}
    for split, count in (("train", 200), ("val", 40), ("test", 30)):
        X = rng.randn(count, 4)
        y = np.abs(X[:, :2]) + 0.5
        arrays[f"X_{split}"], arrays[f"y_{split}"] = X, y > 1 if loss == "logistic" else y
        arrays[f"w_{split}"] = rng.rand(count)
    np.savez(tmp_path / "mine.npz", **arrays)
    saved = str(tmp_path / "net.npz")
    argv = ["--data", str(tmp_path / "mine.npz"), "--loss", loss, "--epochs", "40", "--save", saved]
    argv += ["--hidden", "20", "--learning-rate", "0.01", "--checkpoint", str(tmp_path / "run")]
    out = output(capsys, "train", *argv)
    assert "examples of 4, 2 targets\n" in out
    assert f"network: 4-20-2, batchnorm, dropout 0.9, {loss}" in out
    word = "accuracy" if loss == "logistic" else "score"
    assert figure(f"validation {word}", out) > 0.3
    network = fc_net.FullyConnectedNet.load(saved)
    assert network.predict(arrays["X_test"]).shape == (30, 2)
    argv = [*argv[:2], "--resume", str(tmp_path / "run_epoch_40.npz"), "--epochs", "41"]
    assert "2 targets" in output(capsys, "train", *argv)
    np.savez(tmp_path / "mine.npz", **{**arrays, "w_val": np.ones(3)})
    said = complaint(capsys, "train", "--data", str(tmp_path / "mine.npz"), "--loss", loss)
    assert "w_val has shape (3,), expected (40,)" in said


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
        data_module,
        "get_CIFAR10_data",
        lambda root: data_utils.get_CIFAR10_data(90, 10, 20, root=root),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        argv = ["--batch-size", "30", "--data", "cifar10", "--root", str(tmp_path / "root")]
        assert main(["train", *QUICK, *argv]) == 0
    out, err = capsys.readouterr()
    assert "test accuracy: " in out
    assert re.fullmatch(
        r"fastfc: warning: \S+: MD5 sums differ .* files: data_batch_1, .*, data_batch_5\n", err
    )


def test_mnist(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "load_mnist", lambda root: {"digits": load_digits}[root]())
    assert "test accuracy" in output(capsys, "train", *QUICK, "--data", "mnist", "--root", "digits")


# Errors: one line, status 2


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
