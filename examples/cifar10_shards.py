"""CIFAR-10 on several ranks, each of which has some of the images: the original's last network.

    FASTFC_DATA=/data mpiexec -n 2 --bind-to none python -m mpi4py examples/cifar10_shards.py FOLDER

Rank 0 writes a shard for each rank into the folder, which all ranks see, unless they are there.  From
then on a rank reads the images of its own shard alone, a minibatch's at a time.  Where $FASTFC_DATA
has no CIFAR-10 the images are made up: ten random ones, each many times in noise.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

from fastfc.data import cifar10
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver

COMM = MPI.COMM_WORLD
SHAPE = (3, 32, 32)
VALIDATION = 1000


def load(images):
    """Return images for training, with labels, and as many for validation and for testing."""
    try:
        folder = cifar10.find_folder(None)
    except FileNotFoundError:
        print("images: made up, since $FASTFC_DATA has no CIFAR-10", flush=True)
        rng = np.random.default_rng(0)
        classes = rng.integers(0, 256, (10, *SHAPE))
        y = rng.integers(0, 10, images + 2 * VALIDATION)
        X = np.empty((len(y), *SHAPE), np.uint8)
        for i, label in enumerate(y):
            X[i] = np.clip(classes[label] + rng.normal(0, 60, SHAPE), 0, 255)
    else:
        print("images: CIFAR-10", flush=True)
        X, y = cifar10.read_batches(folder, cifar10.TRAIN_FILES)
        X_test, y_test = cifar10.read_batches(folder, (cifar10.TEST_FILE,), VALIDATION)
        val = slice(len(y) - VALIDATION, None)
        X = np.concatenate([X[: min(images, val.start)], X[val], X_test])
        y = np.concatenate([y[: min(images, val.start)], y[val], y_test])
    return np.split(X, [-2 * VALIDATION, -VALIDATION]), np.split(y, [-2 * VALIDATION, -VALIDATION])


def write_shards(folder, ranks, images):
    """Write a shard of the images for training for each rank, and those for scoring once."""
    folder.mkdir(parents=True, exist_ok=True)
    (X, *Xs), (y, *ys) = load(images)
    for rank in range(ranks):
        rows = slice(rank * len(y) // ranks, (rank + 1) * len(y) // ranks)
        np.save(folder / f"images-{rank}-of-{ranks}.npy", X[rows])
        np.save(folder / f"labels-{rank}-of-{ranks}.npy", y[rows])
    for split, X, y in zip(("val", "test"), Xs, ys, strict=True):
        np.save(folder / f"images-{split}.npy", X)
        np.save(folder / f"labels-{split}.npy", y)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=49000, help="how many to train on, in all")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    name = f"{COMM.rank}-of-{COMM.size}"
    if COMM.rank == 0 and not (given.folder / f"images-{name}.npy").exists():
        write_shards(given.folder, COMM.size, given.images)
    COMM.Barrier()

    X = np.load(given.folder / f"images-{name}.npy", mmap_mode="r")
    data = {"X_train": X, "y_train": np.load(given.folder / f"labels-{name}.npy")}
    for split in ("val", "test"):
        data[f"X_{split}"] = np.load(given.folder / f"images-{split}.npy", mmap_mode="r")
        data[f"y_{split}"] = np.load(given.folder / f"labels-{split}.npy")
    # the mean image of all shards, which the network's images are centred by
    mean = COMM.allreduce(X.sum(axis=0, dtype=np.float64)) / COMM.allreduce(len(X))

    model = FullyConnectedNet([100, 100, 100], weight_scale=0.01, use_batchnorm=True, dropout=0.9)
    solver = Solver(
        model,
        data,
        comm=COMM,
        shards=True,
        normalize=(mean, 1.0),
        num_epochs=given.epochs,
        batch_size=100,
        update_rule="adam",
        optim_config={"learning_rate": 5e-4},
        lr_decay=0.9,
        print_every=4900,
    )
    start = time.perf_counter()
    solver.train()
    seconds = time.perf_counter() - start
    for split in ("val", "test"):
        accuracy = solver.check_accuracy(data[f"X_{split}"], data[f"y_{split}"])
        if COMM.rank == 0:
            print(f"{split} accuracy: {accuracy:.3f}")
    if COMM.rank == 0:
        steps = len(solver.loss_history)
        print(f"{steps} steps in {seconds:.1f} s on {COMM.size} ranks")


if __name__ == "__main__":
    main()
