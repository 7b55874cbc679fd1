"""``fastfc report``, and the page that ``fastfc train --out`` writes."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.cli import complaint, output

pytestmark = pytest.mark.usefixtures("empty_folder")
QUICK = ("train", "--hidden", "8", "--epochs", "1", "--quiet", "--out", "run")
PAGE = Path("run/report.html")


def sections(text):
    """Return a page without what is measured when it is written."""
    return re.sub(r'<section aria-labelledby="time">.*?</section>|<footer>.*', "", text, flags=re.S)


def test_a_folder_has_its_page_which_is_written_again(capsys):
    output(capsys, *QUICK)
    before = PAGE.read_text("utf-8")
    assert "Validation example" in before
    summary = json.loads(Path("run/summary.json").read_text())
    assert f"{summary['accuracy']['val']:.1%}" in before
    assert summary["versions"]["fastfc"] in before
    assert "data.data" in before
    PAGE.unlink()
    assert output(capsys, "report", "run") == "report: run/report.html\n"
    assert sections(PAGE.read_text("utf-8")) == sections(before)
    output(capsys, "report", "run", "--no-examples")
    assert "Validation example" not in PAGE.read_text("utf-8")


def test_a_run_that_shows_no_examples_stays_so(capsys):
    output(capsys, *QUICK, "--no-examples")
    assert "Validation example" not in PAGE.read_text("utf-8")
    output(capsys, "report", "run")
    assert "Validation example" not in PAGE.read_text("utf-8")
    output(capsys, "report", "run", "--examples")
    assert "Validation example" in PAGE.read_text("utf-8")


def test_the_machine_of_the_run_is_told(capsys):
    output(capsys, *QUICK)
    summary = json.loads(Path("run/summary.json").read_text())
    assert "The machine by which this report was written" not in PAGE.read_text("utf-8")
    summary["machine"]["Processor"] = "another <one>"
    Path("run/summary.json").write_text(json.dumps(summary))
    output(capsys, "report", "run")
    text = PAGE.read_text("utf-8")
    assert "another &lt;one&gt;" in text
    assert "The machine by which this report was written" in text


def test_without_matplotlib_a_run_has_no_page(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastfc.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastfc.report", None)
    assert "no report.html: " in output(capsys, *QUICK)
    assert not PAGE.exists()
    assert Path("run/summary.json").exists()
    assert "run: " in complaint(capsys, "report", "run")


@pytest.mark.parametrize("name", ["history.csv", "summary.json", "model.npz"])
def test_a_folder_that_is_not_whole(capsys, name):
    output(capsys, *QUICK)
    before = PAGE.read_bytes()
    path = Path("run") / name
    path.write_text("broken")
    assert str(path) in complaint(capsys, "report", "run")
    path.unlink()
    assert f"{path}: no such file: has the run ended?" in complaint(capsys, "report", "run")
    assert PAGE.read_bytes() == before


def test_a_folder_without_a_run(capsys):
    assert "run: there is no run: it has no config.toml" in complaint(capsys, "report", "run")
