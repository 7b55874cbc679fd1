"""Runs to report on: what `write_report` takes, by name.

``python -m tests.report.runs FOLDER`` writes their reports, and pictures of them as a browser has
them, to be looked at.
"""

import pathlib
import sys
import warnings

import numpy as np

from fastfc.data import load_digits
from fastfc.fc_net import FullyConnectedNet
from fastfc.report import write_comparison, write_report
from fastfc.solver import Solver
from tests.support import browser, cases

CONFIG = {"data": "digits", "batch_size": 50, "update_rule": "adam", "num_epochs": 4}


def trained(net, data, *, stop_reason=True, **settings):
    """Train a network and return what `write_report` takes."""
    given = {"batch_size": 50, "update_rule": "adam", "num_epochs": 4, **settings}
    solver = Solver(net, data, verbose=False, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solver.train()
    known = solver.history["seconds"]
    summary = {
        "stop_reason": solver.stop_reason,
        "nonfinite": None if solver.nonfinite is None else str(solver.nonfinite),
        "seconds": float(known[-1]) + 0.01,
        "accuracy": {"val": float(np.max(solver.val_acc_history))},
    }
    given = {name: value for name, value in given.items() if name != "callbacks"}
    return {
        "model": net,
        "data": data,
        "history": solver.history,
        "config": {"data": "some", "solver": given, "seed": None},
        "summary": summary,
    }


def digits(**settings):
    """Ten classes of images."""
    np.random.seed(0)
    net = FullyConnectedNet([48, 32], 64, use_batchnorm=True, dropout=0.9, weight_scale="he")
    return trained(net, load_digits(), lr_schedule="cosine", **settings)


def one_epoch():
    """The same, for an epoch."""
    return digits(num_epochs=1)


def diverged():
    """Images, and a learning rate that is far too large."""
    np.random.seed(0)
    net = FullyConnectedNet([32], 64, weight_scale="he")
    config = {"learning_rate": 1e25}
    return trained(net, load_digits(), update_rule="sgd", optim_config=config, num_epochs=3)


def rows(count, names):
    """Return standardised numbers, a category's one-hot inputs, and what describes them."""
    X = cases.normal((count, len(names)), np.float64, "numbers")
    which = cases.labels(count, 3, "category")
    described = [
        {"name": name, "kind": "number", "mean": 1000.0 * i, "std": 100.0, "median": 0.0}
        for i, name in enumerate(names)
    ]
    values = ["oak", "elm & ash", "<b>fir</b>"]
    described.insert(1, {"name": "tree", "kind": "category", "values": values})
    return np.concatenate([X[:, :1], np.eye(3)[which], X[:, 1:]], axis=1), which, described


def split(X, y):
    """Return the first two thirds to train on."""
    first = 2 * len(X) // 3
    return {"X_train": X[:first], "y_train": y[:first], "X_val": X[first:], "y_val": y[first:]}


def table():
    """Three classes by a table's columns."""
    np.random.seed(0)
    X, which, described = rows(600, ["height in m", "age", "weight", "income", "<i>x</i>"])
    noise = cases.normal((600,), np.float64, "noise")
    y = np.digitize(X[:, 0] + X[:, 4] * X[:, 5] + which - 1 + 0.3 * noise, [-1, 1])
    net = FullyConnectedNet([32], X.shape[1], 3, weight_scale="he")
    target = {
        "name": "kind",
        "kind": "labels",
        "values": ["low", "<script>alert(1)</script>", "high"],
    }
    net.preprocessing = {"kind": "table", "columns": described, "target": target}
    return trained(net, split(X, y), num_epochs=40)


def regression():
    """A number by a table's columns."""
    np.random.seed(0)
    X, which, described = rows(600, ["rooms", "age", "distance"])
    y = np.sin(X[:, 0]) + 0.5 * X[:, 4] * X[:, 5] + 0.5 * which
    y = (y - y.mean()) / y.std()
    net = FullyConnectedNet([32], X.shape[1], 1, weight_scale="he", loss="squared_error")
    target = {"name": "price", "kind": "numbers", "mean": 250.0, "std": 40.0}
    net.preprocessing = {"kind": "table", "columns": described, "target": target}
    return trained(net, split(X, y), num_epochs=40)


def binary():
    """Two classes told apart by one score, normalised on the way."""
    np.random.seed(0)
    X = cases.normal((600, 6), np.float64, "X")
    y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(np.float64)
    X = np.round(31_337_000 + 100 * X).astype(np.int64)
    net = FullyConnectedNet([16], 6, 1, weight_scale="he", loss="logistic", activation="tanh")
    net.preprocessing = {"kind": "normalize", "mean": 31_337_000, "std": 100}
    return trained(net, split(X, y), normalize=(31_337_000, 100), num_epochs=8)


def several_labels():
    """Three labels at once."""
    np.random.seed(0)
    X = cases.normal((300, 6), np.float64, "X")
    net = FullyConnectedNet([16], 6, 3, weight_scale="he", loss="logistic")
    return trained(net, split(X, (X[:, :3] > 0.5).astype(np.float64)))


RUNS = {
    made.__name__: made
    for made in (digits, one_epoch, diverged, table, regression, binary, several_labels)
}


def look(folder):
    """Write every report and what it looks like."""
    folder.mkdir(exist_ok=True)
    pages = {}
    made = {name: make() for name, make in RUNS.items()}
    for name, run in made.items():
        pages[name] = folder / f"{name}.html"
        write_report(pages[name], **run)
    pages["comparison"] = folder / "comparison.html"
    write_comparison(pages["comparison"], {name: made[name] for name in ("digits", "one_epoch")})
    profile = folder / "profile"
    profile.mkdir(exist_ok=True)
    with browser.start(profile) as page:
        for name, path in pages.items():
            print(name, path.stat().st_size)
            for width in (360, 1600):
                for scheme in ("light", "dark"):
                    page.open(path, width, scheme)
                    page.screenshot(folder / f"{name}_{width}_{scheme}.png")


if __name__ == "__main__":
    look(pathlib.Path(sys.argv[1]).resolve())
