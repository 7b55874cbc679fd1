"""``fastfc compare``."""

import json
import os

import pytest

from fastfc.cli import folder, main
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
        ("a damaged", "damaged: damaged: there is no 'backend'"),
        ("a listed", "listed/summary.json: it is [1], expected an object"),
        ("a torn", "torn/history.csv: no history of a run: "),
    ],
)
def test_what_cannot_be_compared_is_one_line(capsys, argv, message):
    output(capsys, *QUICK, "--out", "a")
    os.mkdir("unfinished")
    write(f"unfinished/{folder.CONFIG}", "")
    for name, summary, rows in (
        ("damaged", "{}", "1,0.5"),
        ("listed", "[1]", "1,0.5"),
        ("torn", "{}", "1"),
    ):
        os.mkdir(name)
        write(f"{name}/{folder.CONFIG}", "")
        write(f"{name}/{folder.SUMMARY}", summary)
        write(f"{name}/{folder.HISTORY}", f"loss,val_acc\n{rows}\n")
    assert message in complaint(capsys, "compare", *argv.split())
