import contextlib
import dataclasses
import functools
import importlib.metadata
import importlib.util
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastfc
from benchmarks import __main__ as benchmarks
from benchmarks import (
    denormals,
    gemm,
    harness,
    inference,
    memory,
    peak,
    peers,
    report,
    run_file,
    scaling,
    solver,
    step,
    threads,
)
from fastfc.verifying import operations
from tests.support import cases

pytest.importorskip("threadpoolctl", reason="NumPy's threads are set by threadpoolctl")

SMALL = {name: cases.NETWORKS[name] for name in ("digits", "seed")}
# Peer -> what it needs: a module, of the hand-written network the distribution with its headers.
PACKAGES = {
    "torch": "torch",
    "jax": "jax",
    "sklearn": "sklearn",
    "tensorflow": "tensorflow",
    "onednn": "onednn-devel-cpu-gomp",
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Settings under which every suite runs in a moment: the real sizes are for measuring."""
    narrow = [dataclasses.replace(op, benchmark=op.benchmark[:2]) for op in operations.OPERATIONS]
    monkeypatch.setattr(operations, "OPERATIONS", narrow)
    monkeypatch.setattr(cases, "NETWORKS", SMALL)
    monkeypatch.setattr(gemm, "PRODUCTS", [(7, 30, 10, False, 1), (30, 7, 10, True, 0.1)])
    monkeypatch.setattr(threads, "NETWORKS", ("digits",))
    monkeypatch.setattr(memory, "READINGS", 2)
    monkeypatch.setattr(denormals, "RULE_SHAPE", (20, 10))
    monkeypatch.delenv("FASTFC_DATA", raising=False)
    limit = fastfc.get_num_threads()
    fastfc.set_num_threads(2)
    yield
    fastfc.set_num_threads(limit)


def _expected(suite):
    """Names of a suite's rows."""
    each_dtype = {
        "gemm": [
            name
            for name in ("product", "product, transposed, zeros")
            for _ in cases.DTYPES
            for _ in (1, 2)
        ],
        "ops": [
            str(op) for op in operations.OPERATIONS for _ in op.benchmark for _ in cases.DTYPES
        ],
        "step": [
            row
            for name in SMALL
            for _ in cases.DTYPES
            for row in (name, f"{name}, many", f"{name}, scoring")
        ],
        "inference": [name for name in inference.NETWORKS for _ in cases.DTYPES],
        "solver": ["epoch of 2, random"],
        "threads": ["digits"],
        "memory": ["40 steps, seed"],
        "denormals": [
            "step, half dead",
            *(f"{rule} dead" for rule in denormals.RULES),
            *(str(op) for op in operations.OPERATIONS if op.benchmark for _ in cases.DTYPES),
        ],
        "estimators": [
            f"{what} {name}"
            for name in ("digits", "table", "long table")
            for _ in (1, 2)
            for what in (
                "fit",
                "predict",
                "predict, one row," if name == "long table" else "predict_proba, one row,",
            )
        ]
        + ["scores digits", "scores wine"],
        "scaling": [
            *(f"digits{norm}" for norm in (scaling.BATCHNORM, "") for _ in scaling.QUICK_BATCHES),
            *(kind for kind in scaling.KINDS for _ in range(3)),
            *(scaling.OVERLAP, scaling.DRAW, scaling.SKIP, scaling.MERGE),
        ],
    }
    return each_dtype[suite]


CONTESTANTS = {
    "gemm": ["fastfc", "numpy"],
    "ops": ["fastfc", "reference"],
    "step": ["fastfc", "reference", "original"],
    "inference": ["fastfc", "into out", "loss", "empty call", "numpy"],
    "solver": ["fastfc", "reference", "original"],
    "threads": ["2 threads", "1 thread", threads.BUSY],
    "memory": ["fastfc"],
    "denormals": ["flushed", "kept", "none"],
    "estimators": ["fastfc", "preset"],
    "scaling": [scaling.ONE, scaling.TWO, scaling.RANKS],
}


def _contestants(row):
    """Return who a row is about: the original's own dtype makes a row of float32 training only."""
    if row["name"] in scaling.KINDS:
        return [scaling.RANKS]
    if row["name"] == scaling.OVERLAP:
        return [scaling.MESSAGE, scaling.COMPUTING, scaling.BOTH, scaling.POLLED]
    if row["name"] in (scaling.DRAW, scaling.SKIP, scaling.MERGE):
        return [scaling.ONE]
    if row["name"].endswith(", many"):
        return ["fastfc"]
    promoted = row["dtype"] == "float32" and not row["name"].endswith(", scoring")
    return [n for n in CONTESTANTS[row["suite"]] if n != "original" or promoted]


def _written(folder, *arguments):
    """Run suites and read the file that they leave."""
    benchmarks.main([*arguments, "--quick", "--out", str(folder)])
    (path,) = folder.iterdir()
    return run_file.read(path)


@pytest.mark.parametrize("suite", list(benchmarks.SUITES))
def test_table_and_file_have_every_row(suite, tmp_path, capsys):
    if suite == "scaling" and (reason := scaling.absent()):
        pytest.skip(reason)
    written = _written(tmp_path, suite)
    expected = _expected(suite)
    assert [row["name"] for row in written.rows] == expected
    for row in written.rows:
        assert row["suite"] == suite
        names = _contestants(row)
        assert list(row["seconds"]) == names
        assert all(t["min"] > 0 and t["samples"] == 2 for t in row["seconds"].values())
        medians = {name: t["median"] for name, t in row["seconds"].items()}
        assert row["ratio"] == {n: pytest.approx(medians[n] / medians[names[0]]) for n in names[1:]}
        ((unit, rates),) = row["rate"].items()
        limits = written.peak.get(unit)  # of rows there is none
        limit = limits[row["dtype"]][row["threads"]] if limits else None
        shares = {n: pytest.approx(rate / limit) for n, rate in rates.items()} if limit else {}
        assert row["share"] == shares
    machine, version = written.facts["machine"], written.facts["version"]
    assert {"cpu", "cores", "instruction set", "threads"} <= machine.keys()
    assert version["numpy"] == np.__version__
    lines = capsys.readouterr().out.splitlines()[-len(expected) :]
    assert all(line.startswith(name) for name, line in zip(expected, lines, strict=True))


def _loaded(peer, monkeypatch):
    """Import a peer's file, or skip the test and say which extra has the peer."""
    try:
        importlib.metadata.files(PACKAGES[peer])
    except importlib.metadata.PackageNotFoundError:
        if importlib.util.find_spec(PACKAGES[peer]) is None:
            extra = peers.EXTRAS.get(peer, harness.EXTRA)
            pytest.skip(f"{PACKAGES[peer]} is not installed: it comes with the extra {extra}")
    if peer == "onednn" and shutil.which("g++") is None:
        pytest.skip("there is no g++")
    if peer == "torch":  # compiling takes longer than everything else here
        torch = importlib.import_module("torch")
        monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    return peers.load(peer)


@pytest.mark.parametrize("peer", PACKAGES)
def test_peers_join_the_tables(peer, tmp_path, monkeypatch):
    _loaded(peer, monkeypatch)
    for row in _written(tmp_path, "ops", "step", "--peers", peer).rows:
        if row["name"].endswith(", scoring"):
            expected = []
        elif row["suite"] == "ops":
            expected = ["torch"] if peer == "torch" else []
        elif peer == "onednn" and row["dtype"] == "float64":
            expected = []
        elif row["name"].endswith(", many"):
            expected = peers.MANY_STEPS.get(peer, ())
        else:
            expected = peers.STEPS[peer]
        assert list(row["seconds"]) == ["fastfc", *expected]


def test_every_peer_but_numpy_needs_a_package():
    assert set(PACKAGES) == set(peers.NAMES) - {"numpy"}


def _message(peer, monkeypatch):
    """Ask for a peer that cannot be had and return what the command says at its end."""
    monkeypatch.delitem(sys.modules, f"benchmarks.peer_{peer}", raising=False)
    with pytest.raises(SystemExit) as stop:
        benchmarks.main(["step", "--quick", "--peers", peer])
    assert "\n" not in stop.value.code
    return stop.value.code


@pytest.mark.parametrize("peer", PACKAGES)
def test_an_absent_peer_ends_in_one_line(peer, monkeypatch):
    def files(package):
        raise importlib.metadata.PackageNotFoundError(package)

    for name in list(sys.modules):
        if name.split(".")[0] == PACKAGES[peer]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, PACKAGES[peer], None)
    monkeypatch.setattr(importlib.metadata, "files", files)
    message = _message(peer, monkeypatch)
    assert f"--peers {peer} needs {PACKAGES[peer]}" in message
    extra = {"tensorflow": "bench-tensorflow", "onednn": "bench-onednn"}.get(peer, "bench")
    assert f"pip install '.[{extra}]' in a checkout" in message


def test_a_peer_without_its_compiler_ends_in_one_line(tmp_path, monkeypatch):
    _loaded("onednn", monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    message = _message("onednn", monkeypatch)
    assert "--peers onednn needs g++ and onednn-devel-cpu-gomp" in message
    assert "pip install '.[bench-onednn]' in a checkout" in message


@pytest.mark.parametrize("peer", [peer for peer in PACKAGES if peer != "sklearn"])
def test_steps_of_a_peer_train(peer, monkeypatch):
    """Under dropout the loss of few examples falls; scikit-learn's steps return none."""
    module = _loaded(peer, monkeypatch)
    network = cases.NETWORKS["digits"]
    given = network, step.data(network, np.float32), 5e-3
    calls = list(module.steps(*given).values())
    if peer in peers.MANY_STEPS:
        calls += module.many_steps(*given, 100).values()
    for call in calls:
        losses = np.ravel(call())
        while len(losses) < 100:
            losses = np.append(losses, call())
        assert len(losses) == 100
        assert losses[0] == pytest.approx(math.log(10), abs=0.5)  # all classes alike
        assert np.mean(losses[-10:]) < 0.6 * losses[0]


def test_the_network_on_onednn_computes_what_the_reference_does(monkeypatch):
    """Without dropout and on the same minibatches: losses agree, hence gradients and Adam too."""
    module = _loaded("onednn", monkeypatch)
    assert np.float32(1e-40) * np.float32(0.5) > 0  # its compiler's options are its own
    for batch, example, hidden in (
        (32, (64,), (64, 64)),
        (9, (7, 3), (37, 20, 3)),
        (64, (300,), (300, 37)),  # of which threads share the work
    ):
        network = (batch, example, hidden, 10, 0)
        data = step.data(network, np.float32)
        theirs = module.Network(network, data, step.LEARNING_RATE)
        reference = step.solver("reference", network, np.float64, data).model
        for i, weights in enumerate(theirs.weights, 1):
            reference.params[f"W{i}"][:] = weights
        configs = {name: {"learning_rate": step.LEARNING_RATE} for name in reference.params}
        for _ in range(8):
            (theirs_loss,) = theirs.steps(1)
            drawn = theirs.drawn()
            assert len(set(drawn)) > 1
            loss, grads = reference.loss(data["X_train"][drawn], data["y_train"][drawn])
            assert theirs_loss == pytest.approx(loss, rel=1e-4)
            for name, w in reference.params.items():
                adam = fastfc.reference.optim.adam
                reference.params[name], configs[name] = adam(w, grads[name], configs[name])


def test_the_network_on_onednn_has_the_runs_threads(monkeypatch):
    """Counted by the kernel, in a process in which nothing else starts any."""
    _loaded("onednn", monkeypatch)
    script = """
import os, sys
import numpy as np
import fastfc
from benchmarks import peers, step
network = (256, (512,), (512,), 10, 0.5)
data = step.data(network, np.float32)
module = peers.load("onednn")
fastfc.set_num_threads(int(sys.argv[1]))
before = len(os.listdir("/proc/self/task"))
module.Network(network, data, 1e-3).steps(1)
print(len(os.listdir("/proc/self/task")) - before)
"""
    for count in (1, 2, 3):
        done = subprocess.run(
            [sys.executable, "-c", script, str(count)],
            cwd=Path(benchmarks.__file__).parents[1],
            check=True,
            capture_output=True,
            text=True,
        )
        assert int(done.stdout) == count - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["opps"],
            "no suite 'opps', expected one of gemm, ops, step, inference, solver, threads, memory, "
            "denormals, estimators, scaling",
        ),
        (["--peers", "theano"], "no peer 'theano', expected one of numpy, torch, jax"),
        (["--networks", "digit"], "no network 'digit', expected one of digits, seed"),
        (["--iterations", "0"], "--iterations is 0, expected at least 1"),
    ],
)
def test_wrong_arguments_end_in_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        benchmarks.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_call_may_do_the_same_many_times():
    """Its time is that of once."""
    call = functools.partial(time.sleep, 0.01)
    seconds = harness.measure({"many": harness.Contestant(call, times=100)}, quick=True)
    assert 1e-4 <= seconds["many"]["min"] < 1e-2


def test_contestants_take_turns():
    order = []
    contestants = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = harness.measure(contestants, quick=True)
    assert order == ["a", "b", "b", "a"]
    assert set(timings) == {"a", "b"}


def test_a_turn_warms_up_within_its_context(monkeypatch):
    warm, calls, samples = 5, 1, 3
    monkeypatch.setattr(harness, "PAUSE", 0)
    monkeypatch.setattr(harness, "REPEATS", 0)
    monkeypatch.setattr(harness, "_plan", lambda contestant: (warm, calls, samples))
    seen = []

    @contextlib.contextmanager
    def during():
        seen.append("in")
        yield
        seen.append("out")

    contestant = harness.Contestant(lambda: seen.append("call"), during)
    timing = harness.measure({"a": contestant})["a"]
    turns = "".join(seen).split("out")[:-1]
    assert len(turns) == harness.ROUNDS
    assert all(turn.startswith("in") for turn in turns)
    assert {turn.count("call") for turn in turns} == {warm + samples}
    assert timing["samples"] == harness.ROUNDS * samples


def timing(spread, median=1.0):
    return {"median": median, "min": median, "spread": spread, "samples": 5}


@pytest.mark.parametrize(
    ("spreads", "turns", "kept"),
    [
        ([(0.1, 0.15)], 1, 0),  # quiet enough
        ([(0.1, 0.2), (0.1, 0.1)], 2, 1),
        ([(0.3, 0.1), (0.1, 0.5), (0.2, 0.2)], 3, 2),  # the quietest, of all contestants
        ([(0.2, 0.1), (0.3, 0.1), (0.9, 0.1)], 3, 0),
    ],
)
def test_noisy_rows_are_repeated_and_the_quietest_is_kept(monkeypatch, spreads, turns, kept):
    times = [{"a": timing(a), "b": timing(b)} for a, b in spreads]
    given = iter(times)
    taken = []

    def take_turns(contestants, plans, quick):
        taken.append(list(contestants))
        return next(given)

    monkeypatch.setattr(harness, "_plan", lambda contestant: (1, 1, 1))
    monkeypatch.setattr(harness, "_take_turns", take_turns)
    assert harness.measure({"a": int, "b": int}) is times[kept]
    assert taken == [["a", "b"]] * turns


def test_two_threads_that_are_hardly_faster_share_a_core():
    for second, shared in ((110.0, True), (149.0, True), (150.0, False), (199.0, False)):
        assert harness.share_a_core({"GFLOP/s": {"float32": {1: 100.0, 2: second}}}) is shared
    assert not harness.share_a_core({"GFLOP/s": {"float32": {1: 100.0}}})
    assert not harness.share_a_core({})


def test_plans_fill_their_times_with_calls_within_the_context(monkeypatch):
    seen = []

    @contextlib.contextmanager
    def during():
        seen.append("in")
        yield
        seen.append("out")

    for seconds, plan in (
        (1e-4, (round(harness.WARM_UP / 1e-4), round(harness.SAMPLE / 1e-4), harness.MAX_SAMPLES)),
        (1.0, (1, 1, harness.MIN_SAMPLES)),
    ):

        def time(self, count, seconds=seconds):
            seen.append("call")
            return seconds

        monkeypatch.setattr(harness.Contestant, "time", time)
        assert harness._plan(harness.Contestant(None, during)) == plan
        assert (seen[0], seen[-1]) == ("in", "out")
        assert set(seen[1:-1]) == {"call"}
        seen.clear()


def test_threads_are_set_and_put_back():
    from threadpoolctl import threadpool_info

    def blas():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before = blas()
    with harness.threads(1):
        assert fastfc.get_num_threads() == 1
        assert set(blas()) <= {1}
    assert fastfc.get_num_threads() == 2
    assert blas() == before


def test_summary():
    summary = harness.summary([1.0, 2.0, 3.0, 4.0, 5.0])
    assert summary == {"median": 3.0, "min": 1.0, "spread": pytest.approx(2 / 3), "samples": 5}


def test_peak_counts_what_it_does():
    for dtype, lanes in ((np.float32, 1), (np.float64, 2)):
        once = fastfc._core.peak(dtype, 1, 10)
        assert once > 0
        assert fastfc._core.peak(dtype, 3, 20) == 6 * once
        # A vector holds half as many of the wider type.
        assert once * lanes == fastfc._core.peak(np.float32, 1, 10)
    with pytest.raises(TypeError, match="expected float32 or float64"):
        fastfc._core.peak(np.int32, 1, 1)
    measured = peak.measure(quick=True)
    assert set(measured) == {"GFLOP/s", "GB/s"}
    for dtypes in measured.values():
        assert set(dtypes) == {"float32", "float64"}
        assert all(set(counts) == {1, 2} for counts in dtypes.values())
        assert all(value > 0 for counts in dtypes.values() for value in counts.values())


def test_busy_process_spins_only_in_its_turn():
    def state(process):  # after the name in parentheses: R runs, S sleeps, T is stopped
        return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def reaches(process, states):
        until = time.monotonic() + 30
        while state(process) not in states and time.monotonic() < until:
            time.sleep(0.001)
        return state(process) in states

    with threads.busy_process() as (process, busy):
        assert reaches(process, "T")
        with busy():
            assert reaches(process, "RSD")
        assert reaches(process, "T")
        assert fastfc.get_num_threads() == 2
    assert process.returncode is not None


def test_real_images_where_the_data_folder_has_them(monkeypatch):
    asked = {}
    monkeypatch.setenv("FASTFC_DATA", "somewhere")
    monkeypatch.setattr(solver, "get_CIFAR10_data", lambda **sizes: asked.update(sizes) or "splits")
    assert solver.images(200, 10) == ("splits", "CIFAR-10")
    assert asked == {"num_training": 200, "num_validation": 10}


def _trained(contestant, dtype):
    trainer = step.solver(contestant, cases.NETWORKS["digits"], dtype)
    np.random.seed(1)
    for _ in range(3):
        trainer._step()
    return trainer


@pytest.mark.parametrize("contestant", [name for name in step.SOLVERS if name != "fastfc"])
def test_contestants_of_a_step_train_the_same(contestant):
    ours, theirs = (_trained(name, np.float64) for name in ("fastfc", contestant))
    # What is promised of whole runs in float64.
    np.testing.assert_allclose(theirs.loss_history, ours.loss_history, rtol=0, atol=1e-8)


def test_the_originals_contestant_computes_in_the_dtype_of_its_mask():
    """Its mask, (rand < p) / p, is float64, and float32 times that: hence its gradients."""
    promoted = (np.ones(3, np.float32) * ((np.random.rand(3) < 0.5) / 0.5)).dtype
    for contestant, dtype in (("original", promoted), ("reference", np.float32)):
        trained = _trained(contestant, np.float32)
        assert {w.dtype for w in trained.model.params.values()} == {np.dtype(dtype)}
        assert trained.X_train.dtype == np.float32


def test_arithmetic_of_the_seeds_step():
    """Products of 100 x 3072 x 100 twice, 100 x 100 x 100 and 100 x 100 x 10 three times."""
    products = 2 * 3072 * 100 + 3 * (2 * 100 * 100 + 100 * 10)
    assert step.flops(cases.NETWORKS["seed"]) == 2 * 100 * products


def test_a_contestant_without_a_row_is_a_dash(capsys):
    row = harness.described(
        harness.Run(),
        "ops",
        "x",
        "1x1",
        np.float32,
        {"fastfc": harness.summary([1.0, 1.0])},
        ("GB/s", 1e9),
        1,
    )
    report.print_row(row, ["fastfc", "torch"])
    assert capsys.readouterr().out.split()[-3:] == ["1.0", "GB/s", "-"]


def test_what_long_suites_read_beside_times(tmp_path):
    """Ten epochs' total, memory every so many steps, how much state has decayed."""
    written = _written(tmp_path, "solver", "memory", "denormals", "--iterations", "6")
    read = {
        (row["suite"], row["name"]): [
            (r.contestant, r.quantity, r.unit, r.steps) for r in row["readings"]
        ]
        for row in written.rows
        if "readings" in row
    }
    decayed = [("kept", "denormal state", "%", 6)]
    assert read == {
        ("solver", "epoch of 3, random"): [
            (name, "total time", "s", 6) for name in CONTESTANTS["solver"]
        ],
        ("memory", "6 steps, seed"): [("fastfc", "resident memory", "B", n) for n in (3, 6)],
        ("denormals", "step, half dead"): decayed,
        **{("denormals", f"{rule} dead"): decayed for rule in denormals.RULES},
    }


def test_dead_state_decays_into_denormals_unless_flushed(monkeypatch):
    """The kept contestant computes with denormals throughout, the flushed one with zeros."""
    calls = {}
    monkeypatch.setattr(harness, "row", lambda *args: calls.update(args[5]) or {})
    row = denormals._rule(harness.Run(), operations.find("sgd_momentum"), 2_000)
    assert row["note"] == "after 2000 steps 100% of the state denormal"
    for name, remains in (("flushed", False), ("kept", True)):
        contestant = calls[name]
        with getattr(contestant, "during", contextlib.nullcontext)():
            _, config = getattr(contestant, "call", contestant)()
        assert np.all(config["velocity"] != 0) == remains
        assert np.any(config["velocity"] != 0) == remains
    assert not fastfc.get_flush_denormal()
