"""Notebooks in three courses' styles run on fastfc, each beside a course of its own.

Their code cells are executed one after the other in a new process, without Jupyter; then what is
asserted here, in the same names.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import fastfc
from tests.support import course
from tests.support.cifar import FOLDER, write_folder

NOTEBOOKS = Path(__file__).with_name("notebooks")

CHECKS = {
    "nndl": """
        import fastfc.fc_net, fastfc.layers, fastfc.solver
        assert FullyConnectedNet is fastfc.fc_net.FullyConnectedNet
        assert Solver is fastfc.solver.Solver
        assert affine_forward is nndl.layers.affine_forward is fastfc.layers.affine_forward
        assert data["X_train"].shape == (90, 3, 32, 32)
        assert all(abs(zeros[p] - (1 - p)) < 0.02 for p in zeros), zeros
        assert rel_error(dx, dx_num) < 1e-8
        assert all(len(solver.loss_history) == 12 for solver in solvers.values())
        assert solvers[0].loss_history[-1] < solvers[0].loss_history[0]
        assert nndl.vis_utils.GRID == 3 and ConvNet.__module__ == "nndl.cnn"
        assert (scores == 1).all() and (convolved == 2).all()
        """,
    "cs231n": """
        import fastfc.fc_net, fastfc.optim
        assert issubclass(TwoLayerNet, fastfc.fc_net.TwoLayerNet)
        assert cs231n.optim.adam is adam is fastfc.optim.adam
        assert max(errors.values()) < 1e-7, errors
        assert set(config) == {"learning_rate", "beta1", "beta2", "epsilon", "m", "v", "t"}
        assert config["t"] == 6 and np.allclose(config["m"], 0.9 * m + 0.1 * dw)
        assert set(cache_config) == {"learning_rate", "decay_rate", "epsilon", "cache"}
        assert all(max(history) > 0.6 for history in histories.values()), histories
        assert GRID == 3 and ThreeLayerConvNet.__module__ == "cs231n.classifiers.cnn"
        assert (scores == 1).all() and (convolved == 2).all()
        """,
    "cs231n_drop": """
        import fastfc.fc_net
        assert FullyConnectedNet is fastfc.fc_net.FullyConnectedNet
        assert zeros[0.0] == 0 and all(abs(zeros[p] - p) < 0.02 for p in zeros), zeros
        assert all(abs(mean - x.mean()) < 0.3 for mean in means.values()), means
        assert (mask == expected).all() and (out == x * expected).all()
        assert max(worst.values()) < 1e-7, worst
        assert model.dropout_param["p"] == 0.2 and solver.best_val_acc > 0.9
        assert GRID == 3
        """,
}

PRINTED = {
    "nndl": [
        "X_train: (90, 3, 32, 32)",
        "affine_backward and numerical gradients, relative errors below 1e-08 expected:",
        "(Iteration 1 / 12) loss: ",
        "(Epoch 4 / 4) train acc: ",
    ],
    "cs231n": ["W1 error: ", "b2 error: "],
    "cs231n_drop": ["p = 0.30: zeros 0.30, at test time 0.00", "dropout = 0.50: loss 2.3"],
}

RUN = """
import json, sys
names = {"__name__": "__main__"}
for cell in json.load(sys.stdin):
    exec(compile(cell, "cell", "exec"), names)
"""


def code_cells(path):
    """Return the text of the code cells, without IPython's own commands."""
    cells = json.loads(path.read_text())["cells"]
    texts = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    return ["".join(line for line in lines if not line.startswith("%")) for lines in texts]


def beside(folder):
    """Write both courses and CIFAR-10's files, which are random, into a folder."""
    course.write(folder, "nndl")
    course.write(folder, "utils", ["solver.py", "data_utils.py"], init=None)
    root = course.write(folder, "cs231n")
    cnn = """
        from cs231n.layers import *

        class ThreeLayerConvNet:
            def loss(self, X):
                return affine_forward(X, np.eye(2), 0.0)[0]
        """
    course.write(root, "classifiers", [], fc_net="class TwoLayerNet:\n    pass\n", cnn=cnn)
    write_folder(folder / "utils" / "datasets" / FOLDER)


def run(folder, cells):
    where = str(Path(fastfc.__file__).parents[1])  # of a fastfc that need not be installed
    return subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(cells),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
    )


def test_each_notebook_is_checked():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == CHECKS.keys() == PRINTED.keys()


@pytest.mark.parametrize("name", CHECKS)
def test_notebook(tmp_path, name):
    beside(tmp_path)
    cells = code_cells(NOTEBOOKS / f"{name}.ipynb")
    assert cells[0].startswith("import fastfc; fastfc.install_as(")
    process = run(tmp_path, [*cells, dedent(CHECKS[name])])
    assert process.returncode == 0, process.stderr
    for text in PRINTED[name]:
        assert text in process.stdout
