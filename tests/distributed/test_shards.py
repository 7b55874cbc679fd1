"""Data that no rank holds whole: a run on shards is that on all rows in one process."""

import math
import re
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training.shards import Cut
from tests.distributed import launch

SCRIPT = "tests.distributed.shards"
UNLIKELY = 1e-6  # how often a right distribution would fail, were the seed another


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_shards_train_as_the_whole(ranks, tmp_path):
    status, out, err = launch.run(ranks, SCRIPT, "equal", tmp_path, folder=tmp_path)
    assert (status, err) == (0, ""), out + err
    assert out == f"14 runs on {ranks}\n"


@pytest.mark.parametrize("kind", ["memmap", "h5py", "zarr"])
def test_shards_may_lie_in_files(kind, tmp_path):
    if kind != "memmap":
        pytest.importorskip(kind, reason="the extra [data] is not installed")
    status, out, err = launch.run(2, SCRIPT, "files", tmp_path, kind, folder=tmp_path)
    assert (status, out, err) == (0, "", "")


def test_shards_may_be_tables(tmp_path):
    pytest.importorskip("polars", reason="the extra [table] is not installed")
    status, out, err = launch.run(2, SCRIPT, "tables", tmp_path, folder=tmp_path)
    assert (status, err) == (0, ""), out + err
    total, known, learnt = out.split()
    assert (total, learnt) == (known, "True")


# --- the distribution -------------------------------------------------------------------------


def chi_square(found, expected):
    """Return the statistic over what it hardly exceeds (Wilson & Hilferty 1931)."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    freedom = len(found) - 1
    z = NormalDist().inv_cdf(1 - UNLIKELY)
    quantile = freedom * (1 - 2 / (9 * freedom) + z * np.sqrt(2 / (9 * freedom))) ** 3
    return ((found - expected) ** 2 / expected).sum() / quantile


def test_the_statistic_finds_what_is_uneven():
    """Half as many draws of one shard of three, as of even shares of uneven shards."""
    rng = np.random.RandomState(0)
    assert chi_square(np.bincount(rng.randint(40, size=24_000), minlength=40), [600] * 40) < 1
    p = np.repeat([1.2, 0.6], [20, 20]) / 36
    assert chi_square(np.bincount(rng.choice(40, 24_000, p=p), minlength=40), [600] * 40) > 5


def test_every_row_is_as_likely_as_any_other():
    """Each of a minibatch's rows is any of all ranks' rows, whatever the other rows are."""
    steps, size, counts = 2000, 12, [23, 0, 4, 13]
    n = sum(counts)
    np.random.seed(7)
    model = FullyConnectedNet([5], 4, 3)
    solver = Solver(model, data(n), batch_size=size, shards=True, verbose=False)
    batches = [solver._draw() for _ in range(steps)]
    drawn = []
    for rank, count in enumerate(counts):
        own = [Cut(counts, rank).deal(batch)[0] for batch in batches]
        drawn += np.bincount(np.concatenate(own), minlength=count).tolist()
        if count == 0:
            assert not any(map(len, own))
            continue
        most, share = np.arange(size + 1), count / n  # as many as successes in 12 trials
        ways = np.array([math.comb(size, k) for k in most])
        expected = steps * ways * share**most * (1 - share) ** (size - most)
        likely = expected >= 5  # the others together
        found, expected = (
            [*numbers[likely], numbers[~likely].sum()]
            for numbers in (np.bincount(list(map(len, own)), minlength=size + 1), expected)
        )
        assert chi_square(found, expected) < 1
    assert len(drawn) == n
    assert sum(drawn) == steps * size
    assert chi_square(drawn, [steps * size / n] * n) < 1


# --- what does not go together ----------------------------------------------------------------

# What both ranks raise.
FAULTS = {
    "dtype": "ValueError: comm: rank 1 has the dtype of X_train float32, expected float64, as "
    "rank 0 has",
    "shape": "ValueError: comm: rank 1 has the shape of examples of X_train (12,), expected "
    "(2, 6), as rank 0 has",
    "weights": "ValueError: comm: rank 1 has the w_train of none, expected of each example, as "
    "rank 0 has",
    "setting": "ValueError: comm: rank 1 has the shards False, expected True, as rank 0 has",
    "other setting": "ValueError: comm: rank 1 has the shards True, expected False, as rank 0 has",
    "empty": "ValueError: shards: X_train has no rows on any rank, expected at least one",
    "nothing counts": "ValueError: shards: w_val has the sum 0.0 over all ranks, expected a finite "
    "one above 0",
    "no weight": "ValueError: softmax_loss: sample_weight has the sum 0, expected a finite sum "
    "above 0",
    "nan": "NonFiniteLossError: the loss is nan at iteration 1 ",
}


def test_what_does_not_go_together_is_named(tmp_path):
    status, out, err = launch.run(2, SCRIPT, "differ", *FAULTS, folder=tmp_path)
    assert (status, err) == (0, ""), out + err
    said = dict(line.split(": ", 1) for line in out.splitlines())
    assert said.pop("nan").endswith("not finite: X")
    assert said == {k: v for k, v in FAULTS.items() if k != "nan"}


def test_a_shard_that_does_not_fit_the_network_ends_the_job(tmp_path):
    """It is found on its rank alone, while the other waits."""
    status, out, err = launch.run(2, SCRIPT, "differ", "features", folder=tmp_path)
    assert (status != 0, out) == (True, ""), out + err
    assert "X_train has " in err


# --- in one process ---------------------------------------------------------------------------


def data(n):
    rng = np.random.RandomState(1)
    X, y = rng.randn(n, 4), rng.randint(3, size=n)
    return {"X_train": X, "y_train": y, "X_val": X, "y_val": y}


def test_alone_a_shard_is_all_there_is():
    with pytest.raises(ValueError, match="shards: X_train has no rows on any rank"):
        Solver(FullyConnectedNet([5], 4, 3), data(0), shards=True)
    histories = []
    for settings in ({}, {"shards": True}):
        np.random.seed(0)
        model = FullyConnectedNet([5], 4, 3, dtype=np.float64)
        solver = Solver(model, data(30), batch_size=8, num_epochs=4, verbose=False, **settings)
        solver.train()
        histories.append(solver.loss_history)
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-9)


def test_rows_are_dealt_to_their_owners():
    rows = np.array([0, 0, 1, 4, 4, 9])
    found = [Cut([1, 0, 4, 5], rank).deal(rows) for rank in range(4)]
    assert [own.tolist() for own, _ in found] == [[0, 0], [], [0, 3, 3], [4]]
    assert all(counts.tolist() == [2, 0, 3, 1] for _, counts in found)


# --- the example ------------------------------------------------------------------------------


def test_the_example_learns(tmp_path):
    """On images that are made up: any network tells them apart."""
    script = Path(__file__).parents[2] / "examples" / "cifar10_shards.py"
    arguments = "shards", "--images", 600, "--epochs", 2
    settings = {"FASTFC_DATA": str(tmp_path / "nowhere"), "folder": tmp_path}
    settings["PYTHONSAFEPATH"] = None  # mpi4py puts the script's folder in the first path's place
    status, out, err = launch.run(2, "mpi4py", script, *arguments, **settings)
    assert (status, err) == (0, ""), out + err
    assert out.startswith("images: made up")
    assert out.count("12 steps in") == 1
    assert float(re.search(r"^test accuracy: (.*)$", out, re.M)[1]) > 0.9, out
    written = {path.name: len(np.load(path)) for path in (tmp_path / "shards").iterdir()}
    assert written["images-0-of-2.npy"] == written["labels-1-of-2.npy"] == 300
