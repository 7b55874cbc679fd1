"""docs/tables.md: its commands and its Python run in order, and print what the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastfc
from tests.support.cli import run_console

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)

pytest.importorskip("pandas", reason="pandas is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def run_python(code, folder):
    source = str(Path(fastfc.__file__).parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-P" if sys.version_info >= (3, 11) else "-s", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_blocks_run_in_order_and_print_what_is_shown(empty_folder, capsys):
    out = ""
    for kind, text in BLOCKS:
        if kind == "python":
            out = run_python(text, empty_folder)
        elif kind == "console":
            run_console(capsys, text)
        elif kind == "text":
            assert out == text
    assert [kind for kind, _ in BLOCKS] == [
        *("python", "console", "console", "console", "console", "python", "text")
    ]
    lines = (empty_folder / "predictions.csv").read_text().splitlines()
    assert lines[0] == "bottle,label,p_Barbera,p_Grignolino,p_Nebbiolo"
    assert lines[1].startswith("B000,Barbera,0.")
