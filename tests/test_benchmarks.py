import dataclasses
import json

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import harness, step
from tests import cases, operations


@pytest.mark.parametrize("suite", ["ops", "step"])
def test_table_and_json_have_every_row(suite, tmp_path, capsys, monkeypatch):
    # The widest shapes are for real measurements.
    narrow = [dataclasses.replace(op, benchmark=op.benchmark[:2]) for op in operations.OPERATIONS]
    monkeypatch.setattr(operations, "OPERATIONS", narrow)
    benchmarks.main([suite, "--quick", "--json", str(tmp_path / "figures.json")])
    written = json.loads((tmp_path / "figures.json").read_text())
    expected = {
        "ops": [str(op) for op in narrow for _ in op.benchmark for _ in cases.DTYPES],
        "step": [name for name in cases.NETWORKS for _ in cases.DTYPES],
    }[suite]
    assert [row["name"] for row in written["rows"]] == expected
    for row in written["rows"]:
        assert row["suite"] == suite
        assert list(row["seconds"]) == ["fastfc", "reference"]
        assert all(t["min"] > 0 and t["samples"] == 2 for t in row["seconds"].values())
        ours, theirs = (row["seconds"][name]["median"] for name in ("fastfc", "reference"))
        assert row["ratio"] == {"reference": pytest.approx(theirs / ours)}
    about = written["machine"]
    assert {"cpu", "cores", "instruction set", "threads", "versions"} <= about.keys()
    assert about["versions"]["numpy"] == np.__version__
    lines = capsys.readouterr().out.splitlines()[-len(expected) :]
    assert all(line.startswith(name) for name, line in zip(expected, lines, strict=True))


def test_unknown_suite_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        benchmarks.main(["opps"])
    assert stop.value.code == 2
    assert "'opps', expected one of ops, step" in capsys.readouterr().err


def test_contestants_take_turns_and_sums_are_right():
    order = []
    contestants = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = harness.measure(contestants, quick=True)
    assert order == ["a", "b", "b", "a"]
    assert set(timings) == {"a", "b"}


def test_summary():
    summary = harness._summary([1.0, 2.0, 3.0, 4.0, 5.0])
    assert summary == {"median": 3.0, "min": 1.0, "spread": pytest.approx(2 / 3), "samples": 5}


def test_both_contestants_of_a_step_train_the_same():
    losses = []
    for package in step.CONTESTANTS.values():
        solver = step.solver(package, cases.NETWORKS["digits"], np.float64)
        np.random.seed(1)
        for _ in range(3):
            solver._step()
        losses.append(solver.loss_history)
    # What is promised of whole runs in float64.
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-8)


def test_arithmetic_of_the_seeds_step():
    """Products of 100 x 3072 x 100 twice, 100 x 100 x 100 and 100 x 100 x 10 three times."""
    products = 2 * 3072 * 100 + 3 * (2 * 100 * 100 + 100 * 10)
    assert step.flops(cases.NETWORKS["seed"]) == 2 * 100 * products
