"""A run's folder: what is in it, when it may be written, and how it goes on."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastfc
from fastfc.cli import main, running
from fastfc.data import load_digits
from fastfc.fc_net import FullyConnectedNet
from tests.support.cli import complaint, figure, output
from tests.support.process import start

pytestmark = pytest.mark.usefixtures("empty_folder")

QUICK = ("train", "--hidden", "8", "--epochs", "3", "--print-every", "1000", "--no-report")
QUICK += ("--out", "run")


def names(path):
    return sorted(
        os.path.relpath(os.path.join(at, n), path) for at, _, ns in os.walk(path) for n in ns
    )


def contents(path):
    found = {}
    for name in names(path):
        with open(os.path.join(path, name), "rb") as file:
            found[name] = file.read()
    return found


def read(name):
    with open(os.path.join("run", name)) as file:
        return json.load(file) if name.endswith("json") else file.read()


def test_what_is_in_it(capsys):
    out = output(capsys, *QUICK)
    assert out.endswith("\nrun: run\n")
    assert set(names("run")) == {
        "checkpoints/run_epoch_2.npz",
        "checkpoints/run_epoch_3.npz",
        "config.toml",
        "history.csv",
        "model.npz",
        "summary.json",
    }
    summary = read("summary.json")
    assert summary["accuracy"]["val"] == pytest.approx(figure("validation accuracy", out), abs=5e-4)
    assert (summary["epochs"], summary["steps"], summary["out"]) == (3, 33, "run")
    assert "loss_history" not in summary
    rows = list(csv.DictReader(read("history.csv").splitlines()))
    assert [int(row["iteration"]) for row in rows] == [*range(1, 34)]
    data = load_digits()
    network = FullyConnectedNet.load("run/model.npz")
    accuracy = np.mean(network.predict(data["X_test"]) == data["y_test"])
    assert accuracy == summary["accuracy"]["test"]


def test_a_page_is_written_where_it_can_be(capsys, monkeypatch):
    """Which tests/report looks at; without what it needs there is a sentence."""
    pytest.importorskip("matplotlib")
    argv = (*QUICK, "--report", "--overwrite")
    output(capsys, *argv)
    page = Path("run/report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    output(capsys, *argv, "--no-examples")
    assert len(Path("run/report.html").read_text("utf-8")) < len(page)
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "fastfc.report"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(fastfc, "report", raising=False)
    monkeypatch.setitem(sys.modules, "fastfc.report", None)
    assert "\nno report.html: " in output(capsys, *argv)
    assert "report.html" not in names("run")


def test_more_checkpoints_may_be_kept(capsys):
    output(capsys, *QUICK, "--keep-last", "3", "--checkpoint-every", "4", "--max-steps", "13")
    kept = [name for name in names("run") if name.startswith("checkpoints")]
    parts = ("epoch_1", "step_12", "step_13")
    assert kept == [f"checkpoints/run_{part}.npz" for part in parts]


def test_a_run_is_not_replaced_unless_told(capsys):
    output(capsys, *QUICK)
    before = contents("run")
    said = complaint(capsys, *QUICK)
    assert (
        said == "fastfc: --out run: it holds a run: --overwrite replaces it, --resume run goes on\n"
    )
    assert contents("run") == before
    output(capsys, *QUICK, "--overwrite", "--epochs", "1")
    assert "checkpoints/run_epoch_1.npz" in names("run")
    assert "checkpoints/run_epoch_3.npz" not in names("run")
    assert read("summary.json")["epochs"] == 1


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_nothing_else_is_ever_replaced(capsys, more):
    os.mkdir("run")
    with open("run/thesis.txt", "w") as file:
        file.write("years")
    assert "it holds something else than a run: choose another" in complaint(capsys, *QUICK, *more)
    assert names("run") == ["thesis.txt"]


def test_what_lies_beside_a_run_stays(capsys):
    output(capsys, *QUICK)
    with open("run/notes.txt", "w") as file:
        file.write("good")
    output(capsys, *QUICK, "--overwrite")
    assert read("notes.txt") == "good"


@pytest.mark.parametrize("argv", ["--data missing.npz", "--dropout 1 --dropout-convention drop"])
def test_a_run_that_cannot_begin_leaves_nothing(capsys, argv):
    complaint(capsys, *QUICK[:-1], "deep/down/run", *argv.split())
    assert os.listdir(".") == []
    output(capsys, *QUICK)
    before = contents("run")
    complaint(capsys, *QUICK, "--overwrite", *argv.split())
    assert contents("run") == before


def test_data_may_be_named_from_anywhere(capsys, tmp_path, monkeypatch):
    np.savez("mine.npz", **load_digits())
    output(capsys, *QUICK, "--data", "mine.npz", "--max-steps", "5")
    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    out = output(capsys, "train", "--resume", "../run", "--max-steps", "1000")
    assert "(Epoch 3 / 3)" in out


# --resume DIR


def test_a_folder_alone_is_enough(capsys):
    """The rest of the run is what it would have been."""
    argv = (*QUICK, "--dropout", "0.5", "--update-rule", "rmsprop", "--reg", "0.1")
    output(capsys, *argv)
    whole = contents("run")
    output(capsys, *argv, "--overwrite", "--max-steps", "17")
    out = output(capsys, "train", "--resume", "run", "--max-steps", "1000")
    assert out.startswith("changed: --max-steps 17 to 1000\n")
    again = contents("run")
    assert again["model.npz"] == whole["model.npz"]
    rows = [
        [(row["loss"], row["val_acc"]) for row in csv.DictReader(text.decode().splitlines())]
        for text in (again["history.csv"], whole["history.csv"])
    ]
    assert rows[0] == rows[1]


def test_what_no_checkpoint_holds_goes_on_too(capsys, monkeypatch):
    output(capsys, *QUICK, "--check-ranks", "--comm-timeout", "20")
    settings = {}
    monkeypatch.setattr(running.Solver, "resume", lambda *args, **given: settings.update(given))
    with pytest.raises(AttributeError):  # of the Solver that is none
        main(["train", "--resume", "run"])
    assert (settings["check_ranks"], settings["comm_timeout"]) == (True, 20.0)


def test_a_run_may_be_longer(capsys):
    output(capsys, *QUICK)
    out = output(capsys, "train", "--resume", "run", "--epochs", "5")
    assert out.startswith("changed: --epochs 3 to 5\n")
    assert "epochs = 5" in read("config.toml")
    assert read("summary.json")["epochs"] == 5
    assert "changed" not in output(capsys, "train", "--resume", "run")
    assert "epochs = 5" in read("config.toml")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--hidden 5", "--hidden 8 to 5, which a run cannot change: begin another one with --out"),
        ("--dropout 0.5", "--dropout 0.9 to 0.5, which a run cannot"),
        ("--no-batchnorm", "--normalization batchnorm to none, which a run cannot"),
        ("--dtype float64", "--dtype float32 to float64, which a run cannot"),
        ("--learning-rate 0.1", "--learning-rate 0.0005 to 0.1, which a run cannot"),
        ("--batch-size 7 --epochs 9", "--out; also changed: --epochs 3 to 9\n"),
        ("--seed 7", "--seed 0 to 7, which a run cannot"),
        ("--data mine.npz", "--data digits to mine.npz, which a run cannot"),
        ("--backend reference", "--backend fast to reference, which a run cannot"),
        ("--out other", "--out: a run goes on where it was: leave it out with --resume"),
        ("other.toml", "--hidden 8 to 9, which a run cannot"),
    ],
)
def test_a_changed_network_is_another_run(capsys, argv, message):
    output(capsys, *QUICK)
    before = contents("run")
    with open("other.toml", "w") as file:
        file.write("hidden = [9]\nepochs = 8\n")
    assert message in complaint(capsys, "train", "--resume", "run", *argv.split())
    assert contents("run") == before


def test_what_stays_may_be_said_again(capsys):
    output(capsys, *QUICK)
    out = output(capsys, *QUICK[:-2], "--learning-rate", "0.0005", "--resume", "run")
    assert "changed" not in out
    assert "epochs = 4" not in read("config.toml")
    out = output(capsys, "train", "run/config.toml", "--resume", "run", "--epochs", "4")
    assert out.startswith("changed: --epochs 3 to 4\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda: os.remove("run/config.toml"), "--resume run: there is no run: it has no config"),
        (lambda: Path("run/config.toml").write_text("x"), "run/config.toml: no TOML"),
        (
            lambda: Path("run/config.toml").write_text("seed = -1"),
            "run/config.toml: seed: -1 is not",
        ),
        (
            lambda: [os.remove(f"run/checkpoints/run_epoch_{k}.npz") for k in (2, 3)],
            "--resume run: there is no checkpoint: begin again by fastfc train run/config.toml "
            "--out run --overwrite\n",
        ),
    ],
)
def test_a_damaged_run_is_one_line(capsys, damage, message):
    output(capsys, *QUICK)
    damage()
    assert message in complaint(capsys, "train", "--resume", "run")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_ended_run_goes_on(capsys, number):
    """Whoever has ended it, and however."""
    argv = [*QUICK[:3], "--epochs", "100000", "--checkpoint-every", "3", "--out", "run"]
    with start("fastfc", *argv, stdout=subprocess.PIPE) as process:
        while not process.stdout.readline().startswith(b"(Epoch 1 "):
            pass
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert main(["train", "--resume", "run", "--max-steps", "3"]) == 0
    assert capsys.readouterr().out.startswith("changed: --max-steps none to 3\n")
    assert read("summary.json")["stop_reason"] == "max_steps"


def test_a_run_pauses_and_goes_on(capsys):
    """Bit for bit: its schedule has the length of the whole run from the start."""
    options = (*QUICK, "--lr-schedule", "cosine", "--epochs", "4", "--num-train-samples", "50")
    output(capsys, *options)
    output(capsys, *options, "--out", "parts", "--pause-after", "2")
    paused = read("../parts/summary.json")
    assert (paused["stop_reason"], paused["epochs"]) == ("paused", 2)
    said = complaint(capsys, "train", "--resume", "parts", "--pause-after", "2")
    assert "the run has had 2 epochs: choose more" in said
    output(capsys, "train", "--resume", "parts", "--pause-after", "3", "--no-report")
    output(capsys, "train", "--resume", "parts", "--no-report", "--pause-after", "4")
    assert read("../parts/summary.json")["stop_reason"] == "finished"
    with np.load("run/model.npz") as whole, np.load("parts/model.npz") as parts:
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], parts[name], name)
    assert "needs --checkpoint NAME or --out DIR" in complaint(
        capsys, "train", "--pause-after", "1"
    )
