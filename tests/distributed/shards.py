"""As a script on any number of ranks: each holds some rows, and all train as if they held all.

``equal``: each rank trains every case by itself, on all rows, and with the others, on its shard; it
prints what differs, and rank 0 how many runs there were.  Others are beside their functions.
"""

import sys

import numpy as np
from mpi4py import MPI

from fastfc.data.tables import encode_table, load_table
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.training import NonFiniteLossError
from tests.distributed.equal import CASES, compare, data

COMM = MPI.COMM_WORLD

# Where the shards end: of even ones, of others, and of empty ones.
CUTS = {
    "even": lambda n: np.arange(COMM.size + 1) * n // COMM.size,
    "uneven": lambda n: n * np.arange(COMM.size + 1) ** 3 // COMM.size**3,
    "last": lambda n: np.array([0] * COMM.size + [n]),  # all others have none
}
# In these the order of a batch, of which a mask has its rows, does not matter.
WITHOUT_MASKS = "plain", "batch normalisation", "weights", "targets"
SOME = *WITHOUT_MASKS, "fewer rows", "philox", "all of it"


def shard(whole, cut, splits=("train", "val")):
    """Return this rank's part of some splits, and all of others."""
    found = dict(whole)
    for name, rows in whole.items():
        if name.endswith(splits):
            ends = CUTS[cut](len(rows))
            found[name] = rows[ends[COMM.rank] : ends[COMM.rank + 1]]
    return found


def begin(seed, case, source, comm=None, **more):
    """Return the Solver of a new run."""
    np.random.seed(seed)
    network, settings = CASES[case]
    network = {"hidden_dims": [9, 7], "dtype": np.float64, "weight_scale": 0.3, **network}
    settings = {"batch_size": 13, "num_epochs": 2, "verbose": False, **settings, **more}
    settings = {k: v for k, v in settings.items() if k not in ("weights", "targets")}
    settings.setdefault("optim_config", {"learning_rate": 0.05})
    model = FullyConnectedNet(input_dim=12, num_classes=3, **network)
    return Solver(model, source, comm=comm, **settings)


def train(*args, **more):
    """Return the Solver of a run that has ended."""
    solver = begin(*args, **more)
    solver.train()
    return solver


def source_of(case):
    """Return the data that a case is trained on."""
    return data(**{k: v for k, v in CASES[case][1].items() if k in ("weights", "targets")})


def equal():
    """Train every case; return how many runs there were."""
    runs = 0
    for case in SOME:
        whole = source_of(case)
        alone = train(0, case, whole, shards=True)
        state = np.random.get_state()
        for cut in ("uneven", "last"):
            splits = ("train",) if cut == "uneven" else ("train", "val")
            own = shard(whole, cut, splits)
            together = train(COMM.rank, case, own, COMM, shards=True, check_ranks=True)
            compare(f"{case}, {cut}", alone, together)
            other = np.random.get_state()
            if not all(np.array_equal(a, b) for a, b in zip(state, other, strict=True)):
                print(f"{case}, {cut}: np.random is somewhere else on rank {COMM.rank}")
            runs += 1
        if case in WITHOUT_MASKS:  # nor does it matter whether there are shards
            compare(f"{case}, whole", train(0, case, whole), alone)
    return runs


def go_on(folder):
    """Stop, and go on with other shards, on fewer ranks, and in one process with all rows."""
    case, whole = "all of it", source_of("all of it")
    expected = train(0, case, whole, shards=True)
    name = f"{folder}/run"
    train(
        COMM.rank, case, shard(whole, "even"), COMM, shards=True, checkpoint_name=name, max_steps=5
    )
    COMM.Barrier()

    def resumed(source, comm):
        kind = {"hidden_dims": [9, 7], "dtype": np.float64, **CASES[case][0]}
        model = FullyConnectedNet(input_dim=12, num_classes=3, **kind)
        more = {"max_steps": None, "checkpoint_name": None, "comm": comm}
        solver = Solver.resume(f"{name}_step_5.npz", model, source, **more)
        solver.train()
        return solver

    compare("other shards", expected, resumed(shard(whole, "uneven"), COMM))
    compare("all rows", expected, resumed(whole, None))
    one = COMM.Split(COMM.rank)
    compare("one rank", expected, resumed(whole, one))
    other = dict(whole, y_train=whole["y_train"][::-1])
    try:
        resumed(other, None)
    except ValueError as error:
        if "y_train has the CRC-32" not in str(error):
            print(error)
    else:
        print("other data were taken for the same")
    COMM.Barrier()


def read_from_files(folder, kind):
    """Shards in files, read batch by batch, train as those in memory; of one file as its rows."""
    whole = source_of("all of it")
    expected = train(0, "all of it", whole, shards=True)
    own = shard(whole, "uneven")
    path = f"{folder}/{kind}-{COMM.rank}"
    if kind == "memmap":
        stored = np.memmap(path, np.float64, "w+", shape=own["X_train"].shape)
        stored[...] = own["X_train"]
        stored.flush()
        stored = np.memmap(path, np.float64, "r", shape=stored.shape)
    elif kind == "h5py":
        import h5py

        with h5py.File(path, "w") as file:
            file["X"] = own["X_train"]
        stored = h5py.File(path)["X"]
    else:
        import zarr

        settings = {"shape": own["X_train"].shape, "chunks": (3, 2, 6), "dtype": np.float64}
        zarr.open(path, mode="w", **settings)[...] = own["X_train"]
        stored = zarr.open(path, mode="r")
    together = train(COMM.rank, "all of it", {**own, "X_train": stored}, COMM, shards=True)
    compare(kind, expected, together)


def read_tables(folder):
    """A Parquet file a rank: rank 0 finds what its columns become, and the others take it."""
    import polars

    rng = np.random.RandomState(COMM.rank)
    n, path = 50 + 20 * COMM.rank, f"{folder}/people-{COMM.rank}.parquet"
    age, town = 20 + 40 * rng.rand(n), rng.choice(["Ulm", "Bern"], n)
    rich = np.where(age + 5 * (town == "Ulm") > 42, "yes", "no")
    polars.DataFrame({"age": age, "town": town, "rich": rich}).write_parquet(path)
    own, preprocessing = load_table(path, "rich", seed=0) if COMM.rank == 0 else (None, None)
    preprocessing = COMM.bcast(preprocessing)
    if COMM.rank > 0:
        table = encode_table(path, preprocessing, needs_target=True)
        X, y = table.X, table.y
        own = {"X_train": X, "y_train": y, "X_val": X[:0], "y_val": y[:0]}
    model = FullyConnectedNet([9], own["X_train"].shape[1], 2)
    solver = Solver(
        model,
        own,
        comm=COMM,
        shards=True,
        update_rule="adam",
        num_epochs=30,
        verbose=False,
        batch_size=20,
        optim_config={"learning_rate": 0.05},
    )
    solver.train()
    total = COMM.allreduce(len(own["y_train"]))
    if COMM.rank == 0:
        print(total, solver._train_size, solver.best_val_acc > 0.8)


def differ(*faults):
    """Begin runs in which rank 1 has what does not go with what rank 0 has; print what is said."""
    for fault in faults:
        own, settings = shard(source_of("weights"), "even"), {"shards": True}
        if COMM.rank == 1:
            CHANGES[fault](own, settings)
        if fault == "empty":
            own = {k: v[:0] if k.endswith("train") else v for k, v in own.items()}
        elif fault == "nothing counts":
            own["w_val"] = 0 * own["w_val"]
        elif fault == "no weight":
            own["w_train"], settings["batch_size"] = np.arange(len(own["y_train"])) == 1, 1
        elif fault == "other setting":
            settings["shards"] = COMM.rank == 1
        try:
            train(0, "plain", own, COMM, on_nonfinite="raise", **settings)
        except (ValueError, NonFiniteLossError) as error:
            if fault == "features":  # rank 0 knows nothing of it
                raise
            said = COMM.gather(f"{type(error).__name__}: {error}")
            if COMM.rank == 0:
                print(fault, *sorted(set(said)), sep=": ")


def replace(name, change):
    """Return what changes an array of a shard."""
    return lambda own, settings: own.update({name: change(own[name])})


def nothing(own, settings):
    """Leave rank 1's as it is: it is rank 0's that differs, or both are wrong."""


CHANGES = {
    "dtype": replace("X_train", lambda X: X.astype(np.float32)),
    "shape": replace("X_train", lambda X: X.reshape(-1, 12)),
    "features": replace("X_train", lambda X: X[:, :, :5]),
    "weights": lambda own, settings: own.pop("w_train"),
    "setting": lambda own, settings: settings.update(shards=False),
    "other setting": nothing,
    "no weight": nothing,
    "empty": nothing,
    "nothing counts": nothing,
    "nan": replace("X_train", lambda X: X * np.nan),
}


def main(act, *argv):
    if act == "equal":
        runs = equal()
        go_on(*argv)
        if COMM.rank == 0:
            print(runs, "runs on", COMM.size)
    elif act == "files":
        read_from_files(*argv)
    elif act == "tables":
        read_tables(*argv)
    else:
        differ(*argv)
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
