"""What the command line leaves behind: files, and results for machines."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fastfc.cli import main
from fastfc.data import load_digits
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from tests.support.cli import QUICK, complaint, figure, output

pytestmark = pytest.mark.usefixtures("empty_folder")


def json_result(capsys, *argv, status=0):
    """Return the object that is all that ``fastfc train --json`` prints, and its stderr."""
    assert main(["train", "--json", *argv]) == status
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    return json.loads(out), err


def test_save(capsys, empty_folder):
    out = output(capsys, "train", *QUICK, "--save", "net.npz")
    assert out.endswith("\nsaved: net.npz\n")
    network, data = FullyConnectedNet.load("net.npz"), load_digits()
    for split, name in {"val": "validation", "test": "test"}.items():
        found = np.mean(network.predict(data[f"X_{split}"]) == data[f"y_{split}"])
        assert found == pytest.approx(figure(f"{name} accuracy", out), abs=5e-4)
    assert [path.name for path in empty_folder.iterdir()] == ["net.npz"]


def test_save_holds_the_best_parameters(capsys):
    options = ("--epochs", "4", "--learning-rate", "10", "--lr-decay", "1", "--save", "net.npz")
    found, _ = json_result(capsys, *options)
    scores = found["val_acc_history"]
    assert max(scores) > scores[-1]
    data = load_digits()
    accuracy = np.mean(FullyConnectedNet.load("net.npz").predict(data["X_val"]) == data["y_val"])
    assert accuracy == max(scores) == found["accuracy"]["val"]


@pytest.mark.filterwarnings("ignore:checkpoint_name has checkpoints of another run")
def test_save_where_a_checkpoint_cannot_be_written(capsys, empty_folder):
    """The network may have another disk: what has been trained is saved."""
    (empty_folder / "run_epoch_2.npz").mkdir()
    argv = ["train", "--hidden", "8", "--epochs", "3", "--checkpoint", "run", "--save", "net.npz"]
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert err == "fastfc: [Errno 21] Is a directory: 'run_epoch_2.npz'\n"
    scores = [float(line.split()[-1]) for line in out.splitlines() if "val_acc" in line]
    assert len(scores) == 3
    assert out.endswith("\nsaved: net.npz\n")
    network, data = FullyConnectedNet.load("net.npz"), load_digits()
    accuracy = np.mean(network.predict(data["X_val"]) == data["y_val"])
    assert accuracy == pytest.approx(max(scores), abs=1e-6)


def test_json(capsys):
    found, err = json_result(capsys, *QUICK, "--lr-schedule", "cosine", "--print-every", "1")
    assert err.count("(Iteration ") == 11
    assert "validation accuracy: " in err
    assert found["data"] == {
        "source": "digits",
        "train": 1197,
        "val": 300,
        "test": 300,
        "example": [1, 8, 8],
        "classes": 10,
    }
    assert found["network"]["layers"] == [64, 8, 10]
    assert found["network"]["parameters"] == 64 * 8 + 8 + 8 + 8 + 8 * 10 + 10
    assert found["backend"] == "fast"
    assert found["options"]["lr_schedule"] == {"name": "cosine"}
    assert found["options"]["seed"] == 0
    assert (found["stop_reason"], found["epochs"], found["steps"]) == ("finished", 1, 11)
    assert len(found["loss_history"]) == 11
    assert found["accuracy"].keys() == {"val", "test"}
    assert found["examples_per_second"] == pytest.approx(1100 / found["seconds"])
    assert (found["saved"], found["checkpoint"]) == (None, None)


def test_json_of_a_comparison(capsys):
    found, _ = json_result(capsys, *QUICK, "--compare")
    assert [run["backend"] for run in found["runs"]] == ["fast", "reference"]
    assert all(run["network"]["dtype"] == "float64" for run in found["runs"])
    losses = [run["loss_history"] for run in found["runs"]]
    assert found["largest_difference"] == np.abs(np.subtract(*losses)).max() < 1e-8
    assert found["speed_ratio"] == found["runs"][1]["seconds"] / found["runs"][0]["seconds"]


def test_json_of_an_error_is_nothing(capsys):
    assert "--epochs" in complaint(capsys, "train", "--json", "--epochs", "x")
    assert "missing.npz" in complaint(capsys, "train", "--json", "--data", "missing.npz")


def test_quiet(capsys):
    out = output(capsys, "train", *QUICK, "--quiet")
    names = [line.split(":")[0] for line in out.splitlines()]
    assert names[:2] == ["data", "network"]
    assert names[2:] == ["validation accuracy", "test accuracy", "seconds", "examples per second"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("", "network: 64-8-10, batchnorm, dropout 0.9, float32, 626 parameters; adam, "),
        ("--no-batchnorm --dropout 1", "network: 64-8-10, no normalisation, float32, 610 "),
        ("--normalization layernorm --reg 0.1", "64-8-10, layernorm, dropout 0.9, L2 0.1, "),
        ("--dropout 0.2 --dropout-convention drop", "dropout 0.2 of dropping, float32"),
        ("--update-rule sgd", "; sgd, learning rate 0.01\n"),
        ("--update-rule rmsprop --learning-rate 3e-4", "; rmsprop, learning rate 0.0003\n"),
        ("--backend reference --dtype float64", "dropout 0.9, float64, 626 parameters; adam, "),
    ],
)
def test_the_network_is_said(capsys, argv, words):
    assert words in output(capsys, "train", *QUICK, *argv.split())


def test_limits_end_the_run(capsys):
    found, _ = json_result(capsys, *QUICK, "--max-steps", "4")
    assert (found["stop_reason"], found["steps"]) == ("max_steps", 4)
    options = ("--epochs", "50", "--early-stopping", "1,0.5")
    found, _ = json_result(capsys, "--hidden", "8", *options)
    assert found["stop_reason"] == "early_stopping"
    assert found["epochs"] < 50


def test_checkpoints(capsys, empty_folder):
    options = ("--checkpoint", "run", "--checkpoint-every", "4", "--keep-last", "2")
    found, _ = json_result(capsys, *QUICK, *options)
    assert found["checkpoint"] == "run_epoch_1.npz"
    names = sorted(path.name for path in empty_folder.iterdir())
    assert names == ["run_epoch_1.npz", "run_step_8.npz"]
    assert math.isfinite(found["seconds"])


# --resume


def test_a_resumed_run_is_the_run_that_was_not_interrupted(capsys):
    whole, _ = json_result(capsys, "--hidden", "8", "--epochs", "4", "--save", "whole.npz")
    options = ("--hidden", "8", "--epochs", "4", "--max-steps", "17", "--checkpoint", "run")
    half, _ = json_result(capsys, *options)
    assert (half["stop_reason"], half["steps"]) == ("max_steps", 17)
    found, _ = json_result(
        capsys, "--resume", half["checkpoint"], "--max-steps", "1000", "--save", "resumed.npz"
    )
    for name in ("loss_history", "train_acc_history", "val_acc_history", "accuracy", "network"):
        assert found[name] == whole[name], name
    assert found["stop_reason"] == "finished"
    assert found["checkpoint"] == "run_epoch_4.npz"
    assert found["options"].keys() == {"json", "max_steps", "resume", "save"}
    networks = [FullyConnectedNet.load(name) for name in ("whole.npz", "resumed.npz")]
    for name, value in networks[0].params.items():
        np.testing.assert_array_equal(networks[1].params[name], value)


def test_a_resumed_run_may_be_longer(capsys):
    json_result(capsys, *QUICK, "--checkpoint", "run", "--quiet")
    found, err = json_result(capsys, "--resume", "run_epoch_1.npz", "--epochs", "3")
    assert found["epochs"] == 3
    assert "(Epoch 3 / 3)" in err  # --quiet was the first call's


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--hidden 5", "--resume run_epoch_1.npz: --hidden 8 to 5, which a run cannot change"),
        ("--dropout 0.5", "--dropout 0.9 to 0.5, which a run cannot"),
        ("--no-batchnorm", "--normalization batchnorm to none, which a run cannot"),
        ("--dropout-seed 5", "--dropout-seed none to 5, which a run cannot"),
        ("--weight-scale he", "--weight-scale 0.01 to he, which a run cannot"),
        ("other.toml", "--dtype float32 to float64, which a run cannot"),
        ("--learning-rate 0.1", "optim_config is "),
        ("--batch-size 7", "batch_size is 7, expected 100"),
        ("--data small.npz", "run_epoch_1.npz: "),
        ("--epochs x", "argument --epochs"),
    ],
)
def test_a_resumed_run_is_of_the_same_kind(capsys, argv, message):
    output(capsys, "train", *QUICK, "--checkpoint", "run")
    data = {name: array[:50] for name, array in load_digits().items()}
    np.savez("small.npz", **data)
    Path("other.toml").write_text('hidden = [8]\ndtype = "float64"\n')
    assert message in complaint(capsys, "train", "--resume", "run_epoch_1.npz", *argv.split())


def test_a_resumed_run_may_be_told_what_it_is(capsys):
    """By the configuration of its own folder, which has a seed too, or in words."""
    network = ("--hidden", "8", "--dropout", "0.3", "--dropout-convention", "drop", "--rng")
    network += ("philox", "--dropout-seed", "4", "--weight-scale", "he", "--reg", "0.1")
    output(capsys, "train", *network, "--epochs", "3", "--seed", "5", "--out", "run")
    resume = ("train", "--resume", "run/checkpoints/run_epoch_2.npz", "--save")
    for name, told in (("a.npz", ()), ("b.npz", network), ("c.npz", ("run/config.toml",))):
        output(capsys, *resume, name, *told)
    params = [FullyConnectedNet.load(name).params for name in ("a.npz", "b.npz", "c.npz")]
    np.testing.assert_equal(params[1:], [params[0]] * 2)


def test_a_scripts_network_may_be_told_what_it_is(capsys):
    data = load_digits()
    net = FullyConnectedNet([8], input_dim=64, use_batchnorm=True, dropout_keep_ratio=0.5)
    Solver(net, data, num_epochs=1, verbose=False, checkpoint_name="own").train()
    resume = ("train", "--resume", "own_epoch_1.npz", "--epochs", "2")
    output(capsys, *resume, "--hidden", "8", "--batchnorm", "--dropout", "0.5")
    assert "--dropout 0.5 to 0.6, which" in complaint(capsys, *resume, "--dropout", "0.6")


def test_only_checkpoints_are_resumed(capsys):
    output(capsys, "train", *QUICK, "--save", "net.npz")
    assert "net.npz: " in complaint(capsys, "train", "--resume", "net.npz")
    np.savez("other.npz", a=np.eye(2))
    assert "other.npz: " in complaint(capsys, "train", "--resume", "other.npz")
    assert "--resume .: " in complaint(capsys, "train", "--resume", ".")
