"""What ranks cost: what is counted, the model that is fitted, and the page that shows it."""

import dataclasses
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import cost, harness, prediction, ranks, render, run_file, scaling
from benchmarks import picture as pictures
from fastfc import fc_net
from tests.package.test_benchmark_runs import FACTS, recorded
from tests.support import cases

pytest.importorskip("threadpoolctl", reason="NumPy's threads are set by threadpoolctl")

NETWORK = (12, (30,), (20, 8), 5, 0.8)
GRADIENT = 4 * ((30 + 1) * 20 + (20 + 1) * 8 + (8 + 1) * 5)
FLAGS = 8 + 3 * 8  # bytes of a step's loss, and of whether to go on

LINKS = {"allreduce": cost.Link(5e-6, 4e9), "allgather": cost.Link(8e-6, 2e9)}
COSTS = cost.Costs(
    draw=4e-9, skip=3e-10, merge=7e-9, links=LINKS, overhead=(1e-4, 2e-10, 3e-5, 0.25)
)
COMPUTE = {scaling.ONE: cost.Compute(4e-5, 6e-6), scaling.TWO: cost.Compute(3e-5, 4e-6)}


# --- what is counted ----------------------------------------------------------------------------


def needs_ranks():
    if reason := scaling.absent():
        pytest.skip(reason)


def test_bytes_that_ranks_give_follow_from_the_shapes():
    """Gradients once; of each batch norm two sums forward and two back, in float64; flags."""
    needs_ranks()
    with ranks.Job(2, 1) as job:
        for batchnorm in (True, False):
            job.ask(work="train", network=NETWORK, batchnorm=batchnorm, counted=True)
            found = job.ask(count=4)
            job.ask(count=0)
            given = {kind: nbytes for kind, (_, nbytes, _) in found["kinds"].items()}
            assert all(seconds > 0 for *_, seconds in found["kinds"].values())
            norms = (20 + 8) * batchnorm
            sums = 2 * 8 * norms
            assert sum(given.values()) == GRADIENT + 2 * 4 * norms + 2 * sums + FLAGS


@pytest.mark.parametrize("batchnorm", [True, False])
def test_bytes_of_a_gradient_are_those_of_the_parameters(batchnorm):
    net = fc_net.FullyConnectedNet(
        [20, 8], input_dim=30, num_classes=5, use_batchnorm=batchnorm, dtype=np.float32
    )
    held = sum(w.nbytes for w in net.params.values())
    assert scaling.gradient_bytes([30, 20, 8, 5], batchnorm) == held


COUNTING = """
import numpy as np
from mpi4py import MPI
from benchmarks.counted import Counted
comm = Counted(MPI.COMM_SELF).Dup()
numbers = np.ones(10)
comm.Allreduce(MPI.IN_PLACE, numbers)
comm.Allgather(numbers, np.empty((1, 10)))
comm.Allreduce(MPI.IN_PLACE, [numbers, MPI.DOUBLE])
assert comm.bcast("abc") == "abc"
assert all(seconds > 0 for *_, seconds in Counted.totals.values())
print({kind: values[:2] for kind, values in Counted.totals.items()})
"""


def test_a_counting_communicator_does_what_it_counts():
    needs_ranks()
    done = subprocess.run(
        [sys.executable, "-c", "import benchmarks\n" + COUNTING],
        cwd=ranks.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env=ranks._environment(1),
    )
    assert done.returncode == 0, done.stderr
    text = "{'allreduce': (2, 160), 'allgather': (1, 80), 'bcast': (1, %d)}\n"
    assert done.stdout == text % len(pickle.dumps("abc"))


def test_a_process_that_ends_is_noticed(capfd):
    ended = pytest.raises(SystemExit, match="a process that was to train has ended")
    with ended, ranks.Job(1, 1) as job:
        job.ask(work="nothing")
    assert "KeyError: 'nothing'" in capfd.readouterr().err


@pytest.mark.parametrize("lacking", ["mpi4py", "mpiexec"])
def test_without_ranks_the_suite_says_so(lacking, monkeypatch, capsys):
    find = importlib.util.find_spec
    if lacking == "mpi4py":
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == lacking else find(name)
        )
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
        monkeypatch.setattr(ranks, "mpiexec", lambda: None)
    assert list(scaling.rows(harness.Run(quick=True))) == []
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("skipped: ")
    assert lacking in line


# --- the model ----------------------------------------------------------------------------------


def test_constants_are_found_again():
    sizes = np.array([8, 1 << 12, 1 << 16, 1 << 20, 1 << 24])
    link = cost.fit_link(sizes, 5e-6 + sizes / 4e9)
    assert dataclasses.astuple(link) == pytest.approx((5e-6, 4e9))
    rows = np.array([8, 16, 32, 64])
    compute = cost.fit_compute(rows, 2e-4 + 3e-6 * rows)
    assert dataclasses.astuple(compute) == pytest.approx((2e-4, 3e-6))


def test_a_constant_is_never_negative():
    rows = np.array([1, 2, 3, 4])
    assert cost.fit_compute(rows, 5.0 * rows - 1).step == 0
    assert cost.fit_compute(rows, 1 / rows).row == 0
    steps = [step(batch, ()) for batch in (8, 16, 32)]
    quicker = [cost.fit_overhead(COSTS, steps, [1e-9] * 3).overhead]
    assert quicker == [(0, 0, 0, 0)]


def step(batch, features, gradient=1_000_000):
    """Return a step with two messages and as many more for each batch norm."""
    norms = 16 * sum(features)
    kinds = {"allreduce": (2 + len(features), gradient + 32 + norms)}
    if features:
        kinds["allgather"] = (len(features), norms)
    return cost.Step(batch, COMPUTE[scaling.ONE], 300, gradient, features, kinds)


def test_overhead_is_found_again():
    steps = [
        step(batch, features, gradient)
        for batch in (8, 16, 64)
        for features in ((), (100,), (50, 50, 50))
        for gradient in (10_000, 1_000_000)
    ]
    seconds = [COSTS.seconds(step, 2) for step in steps]
    bare = dataclasses.replace(COSTS, overhead=(0, 0, 0, 0))
    found = cost.fit_overhead(bare, steps, seconds)
    assert found.overhead == pytest.approx(COSTS.overhead)
    for step_, measured in zip(steps, seconds, strict=True):
        assert found.seconds(step_, 2) == pytest.approx(measured)


def test_seconds_of_four_ranks_by_hand():
    """Ten rows: three for the rank that has most."""
    parts = COSTS.parts(step(10, (100,)), 4)
    compute = 4e-5 + 3 * 6e-6
    assert parts == {
        "computing": pytest.approx(compute),
        "draws of rows": pytest.approx(4e-9 * 7),
        "draws of masks": pytest.approx(3e-10 * 7 * 300),
        "messages": pytest.approx(
            3 * 5e-6 * 2 + 1.5 * (1_000_000 + 32 + 1600) / 4e9 + 8e-6 * 2 + 3 * 1600 / 2e9
        ),
        "statistics": pytest.approx(7e-9 * 4 * 100),
        "overhead": pytest.approx(1e-4 + 2e-10 * 1_000_000 + 3e-5 + 0.25 * compute),
    }
    assert COSTS.seconds(step(10, (100,)), 1) == pytest.approx(4e-5 + 10 * 6e-6)


# --- the page -----------------------------------------------------------------------------------


def row(name, shape, seconds, rate=("GFLOP/s", 1e6), readings=()):
    made = {who: harness.summary([t, t]) for who, t in seconds.items()}
    made = scaling._row(harness.Run(), name, shape, made, rate)
    return {**made, "readings": list(readings)} if readings else made


def model_rows():
    """Return a suite's rows in which two ranks take what `COSTS` say."""
    for base in ("digits", "seed"):
        batch, example, hidden, classes, _ = cases.NETWORKS[base]
        for batchnorm in (True, False):
            name = base + scaling.BATCHNORM * batchnorm
            for n in (batch // 2, batch, 2 * batch):
                sizes = [int(np.prod(example)), *hidden, classes]
                gradient = scaling.gradient_bytes(sizes, batchnorm)
                features = hidden if batchnorm else ()
                made = dataclasses.replace(step(n, features, gradient), masked=sum(hidden))
                kinds = {kind: (*values, 1e-4) for kind, values in made.messages.items()}
                seconds = {who: compute.seconds(n) for who, compute in COMPUTE.items()}
                seconds[scaling.RANKS] = COSTS.seconds(made, 2)
                shape = f"{n}: {'-'.join(map(str, sizes))}"
                yield row(name, shape, seconds, readings=scaling.readings(kinds, 4e-4, 5))
    for kind, link in LINKS.items():
        for n in (8, 1 << 14, 1 << 20):
            yield row(kind, f"{n} bytes", {scaling.RANKS: link.latency + n / link.bandwidth})
    beside = {
        scaling.MESSAGE: 4e-3,
        scaling.COMPUTING: 5e-3,
        scaling.BOTH: 8e-3,
        scaling.POLLED: 5.4e-3,
    }
    yield row(scaling.OVERLAP, "16000000 bytes", beside)
    yield row(scaling.DRAW, "500x1", {scaling.ONE: 500 * COSTS.draw})
    yield row(scaling.SKIP, "100x10", {scaling.ONE: 1000 * COSTS.skip})
    yield row(scaling.MERGE, "10x100", {scaling.ONE: 1000 * COSTS.merge})


def test_the_model_of_a_runs_rows_is_what_they_were_made_of():
    fitted = scaling.Fitted(list(model_rows()))
    assert len(fitted.steps) == 12
    for key in fitted.steps:
        assert fitted.predicted(key) == pytest.approx(fitted.measured(key))
    assert fitted.costs.overhead == pytest.approx(COSTS.overhead)
    assert fitted.costs.draw == pytest.approx(COSTS.draw)
    assert fitted.costs.skip == pytest.approx(COSTS.skip)
    assert fitted.costs.merge == pytest.approx(COSTS.merge)
    assert fitted.node == {
        name: cost.Compute(pytest.approx(3e-5), pytest.approx(4e-6)) for name in fitted.node
    }


def test_one_node_is_as_fast_as_itself_and_a_slower_link_is_slower():
    fitted = scaling.Fitted(list(model_rows()))
    for name in prediction.names(fitted):
        for weak in (False, True):
            slow, fast = (prediction.gains(fitted, name, link, weak) for link in prediction.LINKS)
            assert slow[0] == fast[0] == 1
            assert all(s < f for s, f in zip(slow[1:], fast[1:], strict=True))
            if weak:  # and never more than its share
                assert all(g <= n for g, n in zip(fast, prediction.NODES, strict=True))


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "scaling.md"
    path.write_text(f"Before.\n\n{render._BEGIN} -->\n{render._END}\n\nAfter.\n")
    return path


def test_a_page_without_a_run_says_so(page):
    render.render(page)
    assert "\n\nNo run is recorded yet.\n\n" in page.read_text()
    render.render(page, check=True)


def test_the_page_shows_measurements_and_marks_predictions(page, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda path, run, draw: drawn.append((path.name, draw)))
    path = recorded(tmp_path / "runs", model_rows(), FACTS)
    render.render(page, [path])
    text = page.read_text()
    once, flat = text, " ".join(text.split())
    assert drawn == [("scaling.png", pictures.draw_prediction)]
    for figure in (
        "| digits, 32 | 232 | 158 (1.47) | 289 (0.80) | 289 | +0% |",
        "| digits, batch norm, 32 | 232 | 158 (1.47) | 334 (0.69) | 334 | +0% |",
        "| seed, 100 | 640 | 430 (1.49) | ",
        "| digits, 16 | 136 | 158 (86%) | 289 (47%) |",
        "| digits, batch norm, 32 | 19,752 | 21,832 | 4 | 200 | 50% |",
        "a sum of 16.0 MB takes 4.0 ms by itself. Begun before a matrix product of 5.0 ms, 25% of "
        "the shorter of the two is hidden behind the other; with a thread that polls the message "
        "meanwhile 90%.",
        "| a message between two ranks here: allreduce | 5.0 µs, 4.00 GB/s |",
        "| stepping over a draw of a mask | 0.30 ns |",
        "| computing, seed: 1 thread | 40 µs + 6.00 µs a row |",
        "the model is off by 0% in the median and by 0% at worst.",
        "**What follows is a prediction: nobody has run it.**",
        "`seed, batch norm`, 100 rows: 1.3 MB of gradient for 640 µs of work of one thread. Here "
        "two threads take 430 µs, two ranks 1.3 ms: two threads are fastest. Predicted at 10 "
        "Gbit/s: sharing one batch never pays; with that batch for each node, two nodes have less",
        # 102,300 other rows' masks of 300 units; three norms of 100 features on 1,024 ranks
        "of `seed, batch norm` 9.2 ms for masks and 2.2 ms for statistics; of `seed` 9.2 ms for",
        "](runs/scaling.png)",
    ):
        assert figure in flat, figure
    assert text.index("**What follows is a prediction") < text.index("![prediction of speed")
    render.render(page)
    assert page.read_text() == once


def test_noisy_steps_are_marked(page, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "save", lambda *arguments: None)
    rows = list(model_rows())
    rows[0]["seconds"][scaling.ONE] = harness.summary([1e-4, 2e-4, 3e-4])
    render.render(page, [recorded(tmp_path, rows)])
    assert "| digits, batch norm, 16 | 200~ |" in page.read_text()


def test_the_picture_says_that_it_is_a_prediction(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib, of the extra bench")
    run = run_file.read(recorded(tmp_path, model_rows()))
    path = tmp_path / "scaling.png"
    titles = []

    def draw(*arguments):
        figure = pictures.draw_prediction(*arguments)
        titles.append(figure.get_suptitle())
        assert len(figure.axes) == 2 * len(prediction.LINKS)
        assert all(len(panel.lines) >= 4 for panel in figure.axes)
        return figure

    pictures.save(path, run, draw)
    assert pictures.is_of(path, run)
    assert titles[0].startswith("PREDICTION")


def test_the_commands_page_is_both_by_default():
    assert Path(render.SCALING).exists()
    benchmarks.main(["render", "--check"])
