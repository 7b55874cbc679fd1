"""What Windows and a browser do without: the package there imports, saves and counts processors."""

import subprocess
import sys

# Run first in a process of its own: what only POSIX systems have goes before anything is imported.
WITHOUT = """
import os, signal, sys
for name in ("register_at_fork", "fork", "sched_getaffinity", "O_NOFOLLOW", "O_NONBLOCK"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGALRM", "setitimer", "pthread_sigmask"):
    if hasattr(signal, name):
        delattr(signal, name)
sys.modules["fcntl"] = sys.modules["resource"] = None
open_file = os.open
def no_folders(path, *rest, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return open_file(path, *rest, **options)
os.open = no_folders
"""


def run(program, folder):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + program],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,  # not where fastfc's source may be, without its core
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_network_is_saved_trained_and_loaded(tmp_path):
    said = run(
        """
import numpy as np
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
x, y = np.random.randn(40, 5), np.arange(40) % 3
model = FullyConnectedNet([7], input_dim=5, num_classes=3)
data = {"X_train": x, "y_train": y, "X_val": x, "y_val": y}
Solver(model, data, num_epochs=2, batch_size=10, verbose=False, checkpoint_name="run").train()
model.save("model.npz")
again = type(model).load("model.npz")
print(all((again.params[k] == model.params[k]).all() for k in model.params), sorted(os.listdir()))
""",
        tmp_path,
    )
    assert said.startswith("True ")
    assert "model.npz" in said
    assert ".tmp" not in said


def test_threads_are_as_many_as_processors(tmp_path):
    said = run(
        """
os.environ.pop("OMP_NUM_THREADS", None), os.environ.pop("FASTFC_NUM_THREADS", None)
import fastfc
from fastfc.runtime import threads
print(1 <= threads._default() <= os.cpu_count())
""",
        tmp_path,
    )
    assert said == "True\n"
