"""The notebooks in examples/: every cell runs, in a process and a folder of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import fastfc

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))

# Executed behind the last cell, in the same names.
CHECKS = {
    "dropout": """
        assert all(abs(zeros[p] - (1 - p)) < 0.01 for p in zeros) and zeros
        assert relative_error(dx, dx_num) < 1e-9
        assert worst.keys() == {0, 0.25, 0.5} and max(worst.values()) < 1e-3, worst
        overfit = {p: s.train_acc_history[-1] - s.val_acc_history[-1] for p, s in solvers.items()}
        assert overfit[0] > overfit[keep], overfit
        assert accuracies["val"] > (0.55 if where == "CIFAR-10" else 0.95), accuracies
        """,
    "swap_the_import": """
        assert len(fast) == len(slow) > 100
        assert difference < 1e-9, difference
        assert runs["NumPy"].val_acc_history == runs["fastfc"].val_acc_history
        """,
    "sklearn": """
        assert difference < 1e-8 and theirs.n_iter_ == ours.n_iter_, difference
        assert len(regularised.validation_loss_curve_) == regularised.n_iter_
        assert regularised.score(scaler.transform(X_test), y_test) > 0.95
        assert search.score(X_test, y_test) > 0.95
        """,
    "check_your_own_layers": """
        assert not wrong.ok and right.ok
        found = {(row.function, row.argument) for row in wrong.rows if not row.ok}
        assert found == {("batchnorm_backward", "dx")}, found
        """,
}

RUN = """
import json, sys
names = {"__name__": "__main__"}
for number, cell in enumerate(json.load(sys.stdin)):
    exec(compile(cell, f"cell {number}", "exec"), names)
"""


def code_cells(path):
    """Return the text of the code cells."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(folder, cells, **environment):
    return subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(cells),
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name != "FASTFC_DATA"},
            "PYTHONPATH": str(Path(fastfc.__file__).parents[1]),
            "MPLBACKEND": "agg",
            "PYTHONWARNINGS": "error",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_every_notebook_is_checked():
    assert {path.stem for path in NOTEBOOKS} == CHECKS.keys()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, tmp_path):
    done = run(tmp_path, [*code_cells(path), dedent(CHECKS[path.stem])])
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("FASTFC_DATA" not in os.environ, reason="FASTFC_DATA is not set: no CIFAR-10")
def test_dropout_on_cifar10(tmp_path):
    cells = [*code_cells(EXAMPLES / "dropout.ipynb"), dedent(CHECKS["dropout"])]
    # files that are not the published ones are warned of
    done = run(tmp_path, cells, FASTFC_DATA=os.environ["FASTFC_DATA"], PYTHONWARNINGS="default")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("CIFAR-10")


def test_a_wrong_result_is_seen(tmp_path):
    assert run(tmp_path, ["x = 1", "assert x == 2"]).returncode == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    notebook = json.loads(path.read_text("utf-8"))
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        assert cell["source"]
        assert cell["cell_type"] == "markdown" or cell["outputs"] == []
    title = "".join(notebook["cells"][0]["source"])
    assert re.match(r"# \w", title)
