"""``fastfc sweep`` on this machine."""

import csv
import json
import os
import signal
import sys

import joblib
import numpy as np
import pytest

from fastfc import _core
from fastfc.cli import folder, main, running
from fastfc.cli.sweeping.candidates import read_sweep
from fastfc.cli.sweeping.results import rank
from fastfc.training import History
from tests.support.cli import complaint, output

pytestmark = pytest.mark.usefixtures("empty_folder")


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


GRID = """
epochs = 1
quiet = true
num_train_samples = 50
[sweep]
method = "grid"
[grid]
hidden = [[4], [8, 4]]
learning_rate = [0.001, 0.0625, 1e30]
"""


def sweep(capsys, *argv):
    status = main(["sweep", *argv])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out, err


def test_a_grid(capsys):
    write("sweep.toml", GRID)
    out, err = sweep(capsys, "sweep.toml", "--out", "s", "--top", "3")
    assert err.startswith("sweep: 6 candidates, 0 done already\n")
    assert len(out.splitlines()) == 4
    with open("s/results.csv") as file:
        rows = list(csv.DictReader(file))
    assert {(row["hidden"], row["learning_rate"]) for row in rows} == {
        (hidden, rate) for hidden in ("[4]", "[8, 4]") for rate in ("0.001", "0.0625", "1e+30")
    }
    assert [row["val"] for row in rows] == sorted((row["val"] for row in rows), reverse=True)
    with open("s/results.json") as file:
        assert [row["run"] for row in json.load(file)] == [row["run"] for row in rows]
    for row in rows:
        assert folder.is_run(f"s/{row['run']}")
    diverged = {row["learning_rate"] for row in rows if row["stop_reason"] == "nonfinite"}
    assert diverged <= {"1e+30"}
    assert out.splitlines()[1].split()[0] == rows[0]["run"]


def test_a_sweep_goes_on(capsys):
    write("sweep.toml", GRID)
    sweep(capsys, "sweep.toml", "--out", "s")
    with open("s/results.json") as file:
        rows = json.load(file)
    gone, kept = rows[0]["run"], rows[1]["run"]
    os.remove(f"s/{gone}/summary.json")  # as if it had been killed there
    before = os.stat(f"s/{kept}/summary.json").st_mtime_ns
    _, err = sweep(capsys, "sweep.toml", "--out", "s")
    assert err.startswith("sweep: 6 candidates, 5 done already\nsweep: 1 of 1: ")
    assert os.stat(f"s/{kept}/summary.json").st_mtime_ns == before
    with open("s/results.json") as file:
        again = json.load(file)
    assert [row["val"] for row in again] == [row["val"] for row in rows]
    write("sweep.toml", GRID.replace("0.001", "0.002"))
    _, err = sweep(capsys, "sweep.toml", "--out", "s")
    assert err.startswith("sweep: 6 candidates, 4 done already\n")


def test_jobs_find_the_same(capsys, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)  # where joblib's workers stay, which are used again
        joblib.Parallel(n_jobs=2)(joblib.delayed(os.getcwd)() for _ in range(4))
    write("sweep.toml", GRID)
    found = [
        json.loads(sweep(capsys, "sweep.toml", "--out", name, "--json", *more)[0])["results"]
        for name, more in (("one", ()), ("two", ("--jobs", "2")))
    ]
    for rows in found:
        for row in rows:
            del row["seconds"]
    assert found[0] == found[1]


def test_random_candidates_are_in_their_ranges(capsys):
    write(
        "sweep.toml",
        """
        [sweep]
        method = "random"
        count = 200
        seed = 3
        [random]
        learning_rate = {log = [1e-4, 1e-1]}
        dropout = {uniform = [0.25, 0.75]}
        batch_size = {uniform = [10, 20]}
        hidden = [[5], [6]]
        """.replace("        ", ""),
    )
    wanted = read_sweep("sweep.toml")
    assert wanted == read_sweep("sweep.toml")
    assert wanted.logarithmic == ["learning_rate"]
    found = [candidate.values for candidate in wanted.candidates]
    assert len(found) == 200
    rates = np.log10([values["learning_rate"] for values in found])
    assert -4 <= rates.min() < -3.8
    assert -1.2 < rates.max() <= -1
    assert abs(np.median(rates) + 2.5) < 0.4
    assert all(0.25 <= values["dropout"] <= 0.75 for values in found)
    assert {values["batch_size"] for values in found} == {*range(10, 21)}
    assert {tuple(values["hidden_dims"]) for values in found} == {(5,), (6,)}


BROKEN = {
    "epochs = 1": "there is no table [sweep]: see fastfc sweep --help",
    "[sweep]": "there is no table [grid] of what varies",
    "[sweep]\nmethod = 'gird'": "expected grid, random or halving: did you mean 'grid'?",
    "[sweep]\nmehtod = 'grid'": "[sweep] has no 'mehtod': did you mean 'method'?",
    "[sweep]\n[grid]": "there is no table [grid] of what varies",
    "[sweep]\n[grid]\nepoch = [1]": "there is no option 'epoch': did you mean 'epochs'?",
    "[sweep]\n[grid]\nepochs = 1": "[grid] epochs is 1, expected a list of values",
    "[sweep]\n[grid]\nepochs = []": "[grid] epochs is [], expected a list of values",
    "[sweep]\n[grid]\nepochs = [0]": "epochs: 0 is not a whole number",
    "[sweep]\n[grid]\nquiet = [true]": "there is no option 'quiet'",
    "out = 'a'\n[sweep]\n[grid]\nepochs = [1]": "out is not for sweeps",
    "epochs = 0\n[sweep]\n[grid]\nreg = [1]": "epochs: 0 is not a whole number",
    "[sweep]\nmethod = 'random'\ncount = 0\n[random]\nreg = [1]": "[sweep] count is 0, expected",
    "[sweep]\nmethod = 'random'\n[random]\nreg = 1": "[random] reg is 1, expected a list",
    "[sweep]\nmethod = 'random'\n[random]\nreg = {log = [0, 1]}": "[random] reg is {'log': [0, 1]}",
    "[sweep]\nmethod = 'random'\n[random]\nreg = {uniform = [2, 1]}": "[random] reg is ",
    "[sweep]\n[grid]\ndata = ['missing.npz']": "missing.npz: no such file",
    "[sweep]\n[grid]\nmomentum = [0.5]": "--momentum is an option of",
    "[sweep]\n[grid]\nsave = ['a.npz']": "save is not for sweeps",
    "[sweep]\ncount = 3\n[grid]\nreg = [1]": "count is for random and halving, not for grid",
    "[sweep]\nmethod = 'halving'": "from one table, [grid] or [random]: there is none",
    "[sweep]\nmethod = 'halving'\n[grid]\nreg = [1]\n[random]\nreg = [1]": "there are both",
    "[sweep]\nmethod = 'halving'\n[grid]\nepochs = [1]": "epochs: halving says how long",
    "max_steps = 5\n[sweep]\nmethod = 'halving'\n[grid]\nreg = [1]": "max_steps: halving says how",
    "epochs = 2\n[sweep]\nmethod = 'halving'\nmin_epochs = 3\n[grid]\nreg = [1]": "epochs, 2",
    "[sweep]\nmethod = 'halving'\nfactor = 1\n[grid]\nreg = [1]": "factor is 1, expected a whole",
    "[sweep": "no TOML",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_sweep_is_one_line(capsys, text):
    write("sweep.toml", text + "\n")
    assert main(["sweep", "sweep.toml", "--out", "s"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert BROKEN[text] in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_folder_that_is_none(capsys):
    write("sweep.toml", GRID)
    assert "expected a folder" in complaint(capsys, "sweep", "sweep.toml", "--out", "sweep.toml")
    assert "argument --out: " in complaint(capsys, "sweep", "sweep.toml", "--out", "")
    assert "required: --out" in complaint(capsys, "sweep", "sweep.toml")


# successive halving

HALVING = """
epochs = 4
num_train_samples = 50
num_val_samples = 100
lr_schedule = "cosine"
batch_size = 200
[sweep]
method = "halving"
factor = 2
[grid]
hidden = [[4], [8]]
learning_rate = [0.001, 0.0625, 1e30]
"""


def rows_of(out):
    with open(f"{out}/results.json") as file:
        return json.load(file)


def without_times(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def assert_same_run(one, other):
    """Each parameter of the networks and each loss, bit for bit."""
    ours, theirs = (arrays(os.path.join(path, folder.MODEL)) for path in (one, other))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], name)
    histories = [dict(History.from_csv(f"{path}/history.csv")) for path in (one, other)]
    for history in histories:
        del history["seconds"]
    np.testing.assert_equal(*histories)


def test_halving_trains_the_best_to_the_end(capsys):
    write("sweep.toml", HALVING)
    out, err = sweep(capsys, "sweep.toml", "--out", "s")
    assert [line for line in err.splitlines() if "rung" in line] == [
        "sweep: rung 1 of 3, 1 epochs: 6 candidates, 0 done already",
        "sweep: rung 2 of 3, 2 epochs: 3 candidates, 0 done already",
        "sweep: rung 3 of 3, 4 epochs: 2 candidates, 0 done already",
    ]
    rows = rows_of("s")
    assert [row["rung"] for row in rows] == [3, 3, 2, 1, 1, 1]
    assert [row["budget"] for row in rows] == [4, 4, 2, 1, 1, 1]
    assert [row["epochs"] for row in rows[:4]] == [4, 4, 2, 1]
    able = [row for row in rows if row["learning_rate"] < 1]
    first = sorted(able, key=lambda row: -row["val@1"])
    assert {row["run"] for row in rows[:3]} == {row["run"] for row in first[:3]}
    assert rows[2]["val@2"] == min(row["val@2"] for row in rows[:3])
    assert rows[0]["val"] == rows[0]["val@4"] >= rows[1]["val@4"]
    assert [row["stop_reason"] for row in rows[:4]] == ["finished"] * 2 + ["paused"] * 2
    # a candidate that has diverged is the last, whatever its best parameters scored
    assert {row["stop_reason"] for row in rows if row["learning_rate"] > 1} == {"nonfinite"}
    assert [row["learning_rate"] for row in rows[4:]] == [1e30] * 2
    assert out.splitlines()[0].split()[-7:-4] == ["rung", "budget", "val"]


def test_halving_equals_runs_without_a_pause(capsys):
    write("sweep.toml", HALVING)
    sweep(capsys, "sweep.toml", "--out", "s")
    best = rows_of("s")[0]
    write("straight.toml", HALVING[: HALVING.index("[sweep]")])
    output(
        capsys,
        *("train", "straight.toml", "--out", "straight", "--quiet", "--no-report"),
        *("--hidden", *map(str, best["hidden"]), "--learning-rate", str(best["learning_rate"])),
    )
    assert_same_run(f"s/{best['run']}", "straight")


def test_halving_goes_on(capsys):
    write("sweep.toml", HALVING)
    sweep(capsys, "sweep.toml", "--out", "s")
    rows = rows_of("s")
    _, err = sweep(capsys, "sweep.toml", "--out", "s")
    assert err.count("\n") == 3, err  # nothing is trained
    assert rows_of("s") == rows
    best, third = rows[0]["run"], rows[2]["run"]
    # as if it had been killed in its last part, another one before its first had been noted, and a
    # third between the checkpoint of a rung and its summary
    os.remove(f"s/{best}/summary.json")
    with open(f"s/{best}/rungs.json") as file:
        rungs = json.load(file)
    del rungs["4"]
    write(f"s/{best}/rungs.json", json.dumps(rungs))
    os.remove(f"s/{rows[3]['run']}/rungs.json")
    with open(f"s/{third}/rungs.json") as file:
        rungs = json.load(file)
    del rungs["2"]
    write(f"s/{third}/rungs.json", json.dumps(rungs))
    os.remove(f"s/{third}/summary.json")
    _, err = sweep(capsys, "sweep.toml", "--out", "s")
    assert [line.split()[-3] for line in err.splitlines() if "rung" in line] == ["6", "2", "1"]
    assert without_times(rows_of("s")) == without_times(rows)
    write("sweep.toml", HALVING.replace("factor = 2", "factor = 4"))  # other budgets
    sweep(capsys, "sweep.toml", "--out", "s")
    sweep(capsys, "sweep.toml", "--out", "anew")
    assert without_times(rows_of("s")) == without_times(rows_of("anew"))
    # what has paused is no result of a grid
    write("sweep.toml", HALVING.replace('"halving"\nfactor = 2', '"grid"'))
    sweep(capsys, "sweep.toml", "--out", "s")
    assert {row["stop_reason"] for row in rows_of("s")} == {"finished", "nonfinite"}


def test_halving_after_ctrl_c(capsys, monkeypatch):
    write("sweep.toml", HALVING)
    sweep(capsys, "sweep.toml", "--out", "whole")
    ended = []

    def interrupted(self, solver, on_epoch=running._Pause.on_epoch):
        ended.append(solver.epoch)
        if len(ended) == 6:  # within the second rung
            signal.raise_signal(signal.SIGINT)
        on_epoch(self, solver)

    with monkeypatch.context() as patch:
        patch.setattr(running._Pause, "on_epoch", interrupted)
        assert main(["sweep", "sweep.toml", "--out", "s"]) == 130
    capsys.readouterr()
    _, err = sweep(capsys, "sweep.toml", "--out", "s")
    assert "rung 1 of 3, 1 epochs: 6 candidates, 6 done already" in err
    assert without_times(rows_of("s")) == without_times(rows_of("whole"))


def test_halving_of_candidates_that_end_early(capsys):
    text = HALVING.replace("epochs = 4", "epochs = 4\nearly_stopping = '1,0.9'")
    write("sweep.toml", text.replace(", 1e30", ""))
    sweep(capsys, "sweep.toml", "--out", "s")
    rows = rows_of("s")
    assert {row["stop_reason"] for row in rows[:2]} == {"early_stopping"}
    assert [row["epochs"] for row in rows[:2]] == [1, 1]  # as it would without halving
    assert rows[0]["val@4"] == rows[0]["val@2"] == rows[0]["val@1"]


def test_halving_at_once_finds_the_same(capsys):
    write("sweep.toml", HALVING)
    sweep(capsys, "sweep.toml", "--out", "one")
    sweep(capsys, "sweep.toml", "--out", "two", "--jobs", "2", "--threads", "1")
    assert without_times(rows_of("one")) == without_times(rows_of("two"))


def test_ranks():
    row = {"stop_reason": "finished", "val": 0.5, "rung": 2, "candidate": 3}
    order = [
        {**row, "rung": 3, "val": 0.25},
        {**row, "val": 0.75, "candidate": 9},
        {**row, "candidate": 2},  # of equal ones the first
        row,
        {**row, "val": None, "candidate": 1},
        {**row, "stop_reason": "nonfinite", "val": 0.9},
        {**row, "stop_reason": "failed", "val": None},
    ]
    order.reverse()
    assert sorted(order, key=rank) == order[::-1]


# workers


def test_a_worker_that_is_killed_is_one_line(capsys, monkeypatch):
    write("sweep.toml", GRID)
    end = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731  (it is sent as it is)
    monkeypatch.setattr("fastfc.cli.sweeping.running._train_from", end)
    assert main(["sweep", "sweep.toml", "--out", "s", "--jobs", "2"]) == 2
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith("fastfc: a worker was ended by the system")


def test_candidates_have_the_threads_that_are_asked_for(capsys, monkeypatch):
    write("sweep.toml", GRID)
    asked = []

    def threads(options):
        asked.append(_core.set_own_threads(3))
        return {}

    monkeypatch.setattr(running, "_pauses", threads)
    sweep(capsys, "sweep.toml", "--out", "s", "--threads", "3")
    assert asked == [3] * 6
    assert _core.set_own_threads(0) == 0  # as it was: nobody had asked


# picture


def test_a_picture(capsys):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib, of the extra plot")
    write("sweep.toml", HALVING)
    sweep(capsys, "sweep.toml", "--out", "s", "--plot", "s.svg")
    with open("s.svg") as file:
        assert "best so far" in file.read()
    assert "--plot no/s.svg" in complaint(
        capsys, "sweep", "sweep.toml", "--out", "s", "--plot", "no/s.svg"
    )
    assert "s.odd" in complaint(capsys, "sweep", "sweep.toml", "--out", "t", "--plot", "s.odd")
    assert not os.path.exists("t")


@pytest.mark.parametrize(
    ("package", "option", "said"),
    [
        ("distributed", "--dask=x", "--dask needs distributed: pip install fastfc[dask]"),
        ("joblib", "--jobs=2", "--jobs needs joblib: pip install fastfc[sweep]"),
    ],
)
def test_a_missing_extra_is_one_sentence(capsys, monkeypatch, package, option, said):
    write("sweep.toml", GRID)
    monkeypatch.delitem(sys.modules, "fastfc.cli.sweeping.on_dask", raising=False)
    monkeypatch.delattr("fastfc.cli.sweeping.on_dask", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["sweep", "sweep.toml", "--out", "s", option]) == 2
    assert said in capsys.readouterr().err
