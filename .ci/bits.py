"""Trains, saves and loads networks; prints a fingerprint of their bits, and who computed them."""

import hashlib
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

import fastfc

fingerprint = hashlib.sha256()
for dtype in (np.float32, np.float64):
    np.random.seed(7)
    data = fastfc.data.load_digits()
    model = fastfc.FullyConnectedNet(
        [64, 32], input_dim=64, dropout=0.8, use_batchnorm=True, dtype=dtype
    )
    solver = fastfc.Solver(model, data, update_rule="adam", num_epochs=3, verbose=False)
    solver.train()
    scores = model.loss(data["X_test"])
    accuracy = float(np.mean(scores.argmax(axis=1) == data["y_test"]))
    if accuracy < 0.85:
        sys.exit(f"{dtype.__name__}: test accuracy {accuracy}, expected above 0.85")
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "network.npz")
        loaded = fastfc.FullyConnectedNet.load(Path(folder) / "network.npz")
    if loaded.loss(data["X_test"]).tobytes() != scores.tobytes():
        sys.exit(f"{dtype.__name__}: the network that was saved and loaded has other scores")
    for name in sorted(model.params):
        fingerprint.update(np.ascontiguousarray(model.params[name]).tobytes())
    fingerprint.update(np.asarray(solver.loss_history).tobytes())
    fingerprint.update(scores.tobytes())
print(
    fingerprint.hexdigest()[:16],
    f"{sysconfig.get_platform()} Python {sys.version.split()[0]} NumPy {np.__version__}",
)
