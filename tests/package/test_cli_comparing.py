"""``fastfc compare`` and ``fastfc sweep``."""

import csv
import json
import os

import joblib
import numpy as np
import pytest

from fastfc.cli import folder, main, sweeping
from tests.support.cli import complaint, output

pytestmark = pytest.mark.usefixtures("empty_folder")

QUICK = ("train", "--hidden", "8", "--epochs", "2", "--quiet", "--no-report")


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def table(out):
    """Return the rows of a table by what stands first in them."""
    return {
        line.rsplit(maxsplit=2)[0]: line.rsplit(maxsplit=2)[1:] for line in out.splitlines() if line
    }


# compare


def test_two_runs(capsys):
    output(capsys, *QUICK, "--out", "a")
    output(capsys, *QUICK, "--out", "b", "--dropout", "0.5", "--epochs", "3")
    rows = table(output(capsys, "compare", "a", "b"))
    assert rows["dropout"] == ["0.9", "0.5"]
    assert rows["epochs"] == rows["epochs done"] == ["2", "3"]
    assert "hidden" not in rows
    with open("a/summary.json") as file:
        summary = json.load(file)
    assert rows["validation accuracy"][0] == f"{summary['accuracy']['val']:.4g}"
    assert rows["examples per second"][0] == str(round(summary["examples_per_second"]))
    assert rows["speed, of the first"][0] == "1"
    assert rows["3"][0] == "-"  # the first run has no third epoch
    found = json.loads(output(capsys, "compare", "a", "b", "--json"))
    assert [run["name"] for run in found["runs"]] == ["a", "b"]
    assert len(found["runs"][1]["loss"]) == 33
    assert "largest_difference" not in found


def test_two_runs_as_a_page(capsys):
    pytest.importorskip("matplotlib", reason="pages are drawn by matplotlib, of the extra plot")
    output(capsys, *QUICK, "--out", "a")
    output(capsys, *QUICK, "--out", "b", "--dropout", "0.5")
    assert "dropout" in output(capsys, "compare", "a", "b", "--html", "both.html")
    with open("both.html") as file:
        page = file.read()
    assert page.count("<svg") >= 2
    assert "0.5" in page
    os.remove("a/history.csv")
    for sides, where in ((("a", "b"), "a/history.csv"), (("b", "fast"), "place of fast")):
        assert where in complaint(capsys, "compare", *sides, "--html", "no.html")
    assert "--html none/a.html" in complaint(capsys, "compare", "b", "b", "--html", "none/a.html")
    assert sorted(os.listdir()) == ["a", "b", "both.html"]


def test_two_configurations(capsys):
    write("a.toml", "hidden = [8]\nepochs = 1\nquiet = true\n")
    write("b.toml", 'hidden = [8]\nepochs = 1\nquiet = true\nupdate_rule = "sgd"\nout = "c"\n')
    assert main(["compare", "a.toml", "b.toml"]) == 0
    assert table(capsys.readouterr().out)["update_rule"] == ["adam", "sgd"]
    assert sorted(os.listdir()) == ["a.toml", "b.toml"]


def test_two_backends(capsys):
    write("a.toml", "hidden = [8]\nepochs = 1\nquiet = true\n")
    assert main(["compare", "fast", "reference", "--config", "a.toml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["backend"] for run in found["runs"]] == ["fast", "reference"]
    assert 0 <= found["largest_difference"] < 1e-8
    assert all(run["network"]["dtype"] == "float64" for run in found["runs"])


def test_a_long_curve_is_thinned(capsys):
    output(capsys, *QUICK, "--out", "a", "--epochs", "25")
    out = output(capsys, "compare", "a", "a", "--points", "5")
    epochs = [
        line.split()[0] for line in out.partition("validation accuracy, epoch")[2].splitlines()
    ]
    assert epochs[1:] == ["0", "6", "12", "18", "24", "25"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "compare: 0 given, expected two runs to compare, or more"),
        ("a", "compare: 1 given, expected two"),
        ("a missing", "missing: No such file or directory"),
        ("a .", ".: there is no run: it has no config.toml"),
        ("a fast", "a backend is compared with backends"),
        ("a a --config x", "--config is for backends"),
        ("fast reference --config missing.toml", "missing.toml: No such file"),
        ("a unfinished", "unfinished/summary.json: no such file: has the run ended?"),
        ("a damaged", "damaged: damaged: "),
    ],
)
def test_what_cannot_be_compared_is_one_line(capsys, argv, message):
    output(capsys, *QUICK, "--out", "a")
    for name in ("unfinished", "damaged"):
        os.mkdir(name)
        write(f"{name}/{folder.CONFIG}", "")
    write("damaged/summary.json", "[1]")
    write("damaged/history.csv", "loss\n1\n")
    assert message in complaint(capsys, "compare", *argv.split())


# sweep

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
    found = list(sweeping.read_candidates("sweep.toml"))
    assert len(found) == 200
    assert found == list(sweeping.read_candidates("sweep.toml"))
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
    "[sweep]\nmethod = 'gird'": "method is 'gird', expected grid or random: did you mean 'grid'?",
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
