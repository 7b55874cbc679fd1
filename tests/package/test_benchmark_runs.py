"""The files of benchmark runs, and the page of figures, which is rendered from them."""

import concurrent.futures
import csv
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import harness, machine, peak, picture, render, run_file, tables

FACTS = {
    "machine": {
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "",
        "cpu": "Some CPU",
        "cores": "2",
        "caches": "L1d 32K, L2 1024K",
        "instruction set": "avx2",
        "threads": "2",
        "environment": "",
    },
    "version": {"numpy": "2.0.0", "blas": "some BLAS 1.0"},
}
PEAK = {
    "GFLOP/s": {"float32": {1: 100.0, 2: 200.0}, "float64": {2: 100.0 / 3}},
    "GB/s": {"float32": {2: 40.0}},
}
RUN = harness.Run(peak=PEAK)


def row(suite, name, shape="8x9", seconds=None, dtype=np.float32, readings=()):
    """Return a row of a suite in which each contestant takes so many seconds."""
    seconds = seconds or {"fastfc": 1e-3, "reference": 2.5e-3}
    timings = {who: harness.summary([t * 0.95, t, t * 1.2]) for who, t in seconds.items()}
    made = harness.described(RUN, suite, name, shape, dtype, timings, ("GFLOP/s", 3e7), 2)
    return {**made, "readings": list(readings)} if readings else made


ROWS = [
    row("step", "digits", "32: 64-64-10", {"fastfc": 1.25e-5, "reference": 2.5e-4, "jax": 1e-5}),
    row("step", "digits, scoring", "32: 64-64-10"),
    row("step", "digits", "32: 64-64-10", dtype=np.float64),
    row("gemm", "product, left transposed", "7x8x9", {"fastfc": 4e-6, "numpy": 3e-6}),
    row("gemm", "product", "7x8x9", {"fastfc": 4e-6, "numpy": 9e-6}),
    *(row("ops", name, shape) for name, shape in tables.OPERATIONS),
    row(
        "solver",
        "epoch of 3, random",
        seconds={"fastfc": 0.205, "reference": 0.84},  # the ratio is theirs, not that of totals
        readings=[
            harness.Reading("fastfc", "total time", 2.0, "s", 1500),
            harness.Reading("reference", "total time", 8.5, "s", 1500),
        ],
    ),
    row("estimators", "fit digits", "9: 3-2", {"fastfc": 1.0, "preset": 0.5, "sklearn": 4.0}),
    row(
        "estimators",
        "scores wine",
        seconds={"fastfc": 1.0, "sklearn": 2.0},
        readings=[
            harness.Reading(name, quantity, value, "accuracy", 5)
            for name, values in {"fastfc": (0.96, 0.0101), "sklearn": (0.95, 0.02)}.items()
            for quantity, value in zip(("test score", "standard error"), values, strict=True)
        ],
    ),
    row("threads", "large", seconds={"2 threads": 1.0, "1 thread": 1.75}),
    row(
        "memory",
        "40 steps",
        seconds={"fastfc": 1.0},
        readings=[
            harness.Reading("fastfc", "resident memory", 5e6, "B", 1000),
            harness.Reading("fastfc", "resident memory", 6e6, "B", 20000),
        ],
    ),
]


def recorded(folder, rows, facts=FACTS):
    """Write a run and return its path."""
    with run_file.RunFile(folder, facts, PEAK) as file:
        for measured in rows:
            file.append(measured)
    return file.path


# --- files --------------------------------------------------------------------------------------


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    path = recorded(tmp_path, ROWS)
    read = run_file.read(path)
    assert read.path == path
    assert read.facts == FACTS
    assert read.peak == PEAK
    assert read.rows == ROWS
    for ours, theirs in zip(read.rows, ROWS, strict=True):
        assert list(ours["seconds"]) == list(theirs["seconds"])  # whoever stands first is ours


def test_every_line_is_a_fact_or_a_measurement(tmp_path):
    with open(recorded(tmp_path, ROWS), newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == list(run_file.COLUMNS)
    assert {len(line) for line in lines} == {len(run_file.COLUMNS)}
    facts = sum(map(len, FACTS.values()))
    limits = sum(len(counts) for dtypes in PEAK.values() for counts in dtypes.values())
    measured = sum(len(row["seconds"]) + len(row.get("readings", ())) for row in ROWS)
    assert len(lines) == facts + limits + measured


def test_runs_never_share_a_file(tmp_path):
    (tmp_path / "2026-01-02_some-cpu_2.csv").write_text("another run\n")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: recorded(tmp_path, ROWS[:1]), range(20)))
    numbers = sorted(int(re.fullmatch(r"2026-01-02_some-cpu_(\d+)\.csv", p.name)[1]) for p in paths)
    assert numbers == [1, *range(3, 22)]
    assert all(run_file.read(path).rows == ROWS[:1] for path in paths)
    assert (tmp_path / "2026-01-02_some-cpu_2.csv").read_text() == "another run\n"


@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        ("AMD EPYC", "amd-epyc"),
        ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "intel-xeon-platinum-8481c-cpu"),
        ("../x/y", "x-y"),
        ("", "cpu"),
    ],
)
def test_a_file_is_named_by_date_cpu_and_number(tmp_path, cpu, name):
    facts = {**FACTS, "machine": {**FACTS["machine"], "cpu": cpu}}
    path = recorded(tmp_path, [], facts)
    assert path == tmp_path / f"2026-01-02_{name}_1.csv"


def test_rows_are_in_the_file_as_soon_as_they_are_measured(tmp_path):
    with run_file.RunFile(tmp_path, FACTS, PEAK) as file:
        for count in range(len(ROWS) + 1):
            before = file.path.read_bytes()
            assert run_file.read(file.path).rows == ROWS[:count]
            if count < len(ROWS):
                file.append(ROWS[count])
                assert file.path.read_bytes().startswith(before)


BROKEN = {
    "a cell too few": (r"(\nstep,digits),", r"\1", "line 16: 15 cells, expected 16"),
    "no number": (r"(time,)[^,]+", r"\1fast", "line 16: value is 'fast', expected a number of at"),
    "no time": (r"(time,)[^,]+", r"\g<1>0", "line 16: value is 0, expected a number above 0"),
    "not finite": (r"(time,)[^,]+", r"\1nan", "line 16: value is 'nan', expected a number of at"),
    "negative": (r"(,time,[^,]+,s,)", r"\1-", "line 16: min is '-1.1875e-05', expected a number a"),
    "no whole number": (
        r",float32,2,fastfc",
        ",float32,2.5,fastfc",
        "threads is '2.5', expected a",
    ),
    "nobody": (r",fastfc,time", ",,time", "line 16: contestant is empty"),
    "no unit": (r"(\npeak,.*?),GFLOP/s", r"\1,", "line 12: unit is empty"),
    "another unit": (r"(reference,time,.*?,)GFLOP/s", r"\1GB/s", "line 17: rate_unit is GB/s, exp"),
    "twice": (
        r",reference,time",
        ",fastfc,time",
        "line 17: a second time of fastfc in the row step",
    ),
    "other columns": (r"^suite,name", "suite,nom", "line 1: the columns are suite,nom,shape"),
    "no lines": (r"(?s).*", "", "line 0: the columns are , expected suite,name"),
    "an open quote": (r"\nstep", '\n"step', "line 19: ',' expected after"),
    "cut short": (r"(?s)\n$", "", "it ends within a line"),
    "no times": (r"(?s)\nmemory,[^\n]*,time,[^\n]*", "", ": no time of the row memory, 40 steps"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_named_with_its_line(tmp_path, fault):
    path = recorded(tmp_path, ROWS)
    pattern, replacement, message = BROKEN[fault]
    sound = path.read_text()
    broken = re.sub(pattern, replacement, sound, count=1)
    assert broken != sound
    path.write_text(broken)
    with pytest.raises(run_file.RunFileError) as error:
        run_file.read(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_files_that_are_absent_or_no_text_are_named(tmp_path):
    with pytest.raises(run_file.RunFileError, match=r"absent\.csv: No such file"):
        run_file.read(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(run_file.RunFileError, match=r"binary\.csv: .* expected UTF-8"):
        run_file.read(tmp_path / "binary.csv")


def test_facts_of_this_machine(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("SOME_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET", "x")
    facts = machine.facts()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", facts["machine"]["date"])
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", facts["machine"]["commit"])
    assert re.fullmatch(r"(L\d[di]? \d+[KMG](, |$))*", facts["machine"]["caches"])
    environment = facts["machine"]["environment"].split()
    assert {"OPENBLAS_CORETYPE=Haswell", "SOME_NUM_THREADS=3"} <= set(environment)
    assert not any(variable.startswith("SECRET") for variable in environment)
    assert all(isinstance(text, str) for group in facts.values() for text in group.values())


# --- what `python -m benchmarks` writes ---------------------------------------------------------


@pytest.fixture
def suite(monkeypatch, tmp_path):
    """A suite that measures nothing; its rows are what the test puts there."""
    made = SimpleNamespace(made=[], contestants=lambda run: ["fastfc", "reference"])
    made.rows = lambda run: (take() if callable(take) else take for take in made.made)
    monkeypatch.setattr(benchmarks, "SUITES", {"made": made})
    monkeypatch.setattr(peak, "measure", lambda quick: PEAK)
    monkeypatch.setattr(run_file, "RESULTS", tmp_path / "results")
    return made


def test_an_interrupted_run_keeps_its_rows(suite, tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    suite.made = [ROWS[1], ROWS[2], interrupt]
    with pytest.raises(KeyboardInterrupt):
        benchmarks.main(["made", "--out", str(tmp_path / "out")])
    (path,) = (tmp_path / "out").iterdir()
    assert run_file.read(path).rows == ROWS[1:3]


def test_runs_go_to_results_but_quick_ones_only_where_told(suite, tmp_path, capsys):
    suite.made = ROWS[1:2]
    benchmarks.main(["made", "--quick"])
    assert not list(tmp_path.iterdir())
    benchmarks.main([])
    benchmarks.main(["--quick", "--out", str(tmp_path / "told")])
    printed = capsys.readouterr().out
    for folder, quick in (("results", "no"), ("told", "yes")):
        (path,) = (tmp_path / folder).iterdir()
        assert f"each row is appended to {path}\n" in printed
        assert run_file.read(path).facts["machine"]["quick"] == quick


def test_a_suite_named_twice_runs_once(suite, tmp_path):
    suite.made = ROWS[1:2]
    benchmarks.main(["made", "made"])
    (path,) = (tmp_path / "results").iterdir()
    assert run_file.read(path).rows == ROWS[1:2]


def test_a_folder_that_cannot_be_written_ends_in_one_line(suite, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stop:
        benchmarks.main(["--out", str(tmp_path / "file")])
    assert stop.value.code.startswith("benchmarks: cannot write a run's file: ")
    assert "\n" not in stop.value.code


# --- the page of figures ------------------------------------------------------------------------


@pytest.fixture
def undrawn(tmp_path):
    """A page without figures."""
    path = tmp_path / "figures.md"
    path.write_text(f"Before.\n\n{render._BEGIN}\nnone.csv -->\n{render._END}\n\nAfter.\n")
    return path


@pytest.fixture
def page(undrawn, monkeypatch):
    """The same without drawing, which needs matplotlib: a picture only names the run it shows."""
    monkeypatch.setattr(
        picture, "save", lambda path, run, draw: path.write_text(picture._description(run))
    )
    return undrawn


def rendered(page, *arguments):
    """Render by the command and return the page."""
    benchmarks.main(["render", *map(str, arguments), "--page", str(page)])
    return page.read_text()


def failure(page, *arguments):
    with pytest.raises(SystemExit) as stop:
        rendered(page, *arguments)
    assert stop.value.code.startswith("benchmarks: ")
    return stop.value.code


def test_page_is_what_its_runs_say():
    benchmarks.main(["render", "--check"])


def test_rendering_again_changes_nothing(page, tmp_path):
    path = recorded(tmp_path / "runs", ROWS)
    once = rendered(page, path)
    assert once.startswith("Before.\n")
    assert once.endswith("\nAfter.\n")
    assert "\nruns/2026-01-02_some-cpu_1.csv -->\n" in once
    assert "](runs/step.png)" in once
    assert rendered(page) == once
    assert rendered(page, path, path) == once
    assert rendered(page, "--check") == once


def test_every_figure_is_of_the_runs(page, tmp_path):
    other = {**FACTS, "version": {"numpy": "2.0.0", "blas": "another BLAS"}}
    text = rendered(page, recorded(tmp_path, ROWS), recorded(tmp_path, ROWS[:5], other))
    text = " ".join(text.split())  # sentences are wrapped
    for figure in (
        "| Some CPU, 2 cores, avx2, 2 threads; L1d 32K, L2 1024K | some BLAS 1.0 |",
        "Versions: numpy 2.0.0.",
        "| digits 32: 64-64-10 | **12** | 250 (20.0) | 10 (0.8) | 1200% |",
        "| `adam` 3072×100 | 1,000 | 2,500 (2.5) |",
        "In 2026-01-02_some-cpu_1 NumPy has some BLAS 1.0. By itself the matrix product is between "
        "0.75 and 2.25 times as fast as `numpy.dot`, 1.30 in the geometric mean of 2 rows. In 2026",
        "_2 NumPy has another BLAS. By itself the matrix product is between 0.75 and 2.25 times as "
        "fast as `numpy.dot`, 1.30 in the geometric mean of 2 rows. The training steps (digits) "
        "are 20 times as fast as the reference, and 0.8 times as fast as JAX. Under",
        "trains 4.1 times as fast as the reference: 1,500 steps on random images in 2.0 and 8.5 "
        "seconds.",
        "| fit digits 9: 3-2 | 2 | 1,000,000 | 500,000 (0.5) | 4,000,000 (4.0) |",
        "| wine | 0.960 ± 0.010 | 0.950 ± 0.020 |",
        "A second thread makes a step this many times as fast: `large` 1.8.",
        "Resident memory changed by 1.00 MB from step 1,000 to step 20,000.",
    ):
        assert figure in text


def test_noisy_figures_are_marked(page, tmp_path):
    noisy = row("step", "digits", "32: 64-64-10", {"fastfc": 1.25e-5, "jax": 1e-4})
    noisy["seconds"]["jax"] = harness.summary([0.8e-4, 1e-4, 1.2e-4])
    text = rendered(page, recorded(tmp_path, [noisy]))
    assert "| digits 32: 64-64-10 | **12** | 100~ (8.0) |" in text
    assert "~: the quartiles lie more than 15% of the median apart." in text
    quiet = rendered(page, recorded(tmp_path, ROWS))
    assert "~" not in quiet


def test_processors_of_one_core_are_named(page, tmp_path):
    peak = {"GFLOP/s": {"float32": {1: 100.0, 2: 149.0}}}
    with run_file.RunFile(tmp_path, FACTS, peak) as file:
        file.append(ROWS[0])
    assert "2 threads; L1d 32K, L2 1024K; two processors of one core |" in rendered(page, file.path)


def test_check_fails_on_any_changed_digit(page, tmp_path):
    path = recorded(tmp_path, ROWS)
    sound = rendered(page, path)
    digits = [m.start() for m in re.finditer(r"\d", sound)]
    assert len(digits) > 200
    for at in digits:
        changed = sound[:at] + str((int(sound[at]) + 1) % 10) + sound[at + 1 :]
        page.write_text(changed)
        message = failure(page, path, "--check")
        line = sound.count("\n", 0, at) + 1
        assert f"{page}, line {line} is\n" in message
        assert "`python -m benchmarks render` writes it anew" in message
        assert page.read_text() == changed


def test_check_fails_on_rows_lost_or_added(page, tmp_path):
    sound = rendered(page, recorded(tmp_path, ROWS))
    line = next(line for line in sound.splitlines(True) if line.startswith("| `adam`"))
    for other in ("", 2 * line):
        page.write_text(sound.replace(line, other))
        assert "and its runs say" in failure(page, "--check")


def test_rows_that_fastfc_loses_stay(page, tmp_path):
    lost = [row("ops", "adam", "3072x100", {"fastfc": 3e-6, "reference": 2e-6})]
    rows = [r for r in ROWS if (r["name"], r["shape"]) != ("adam", "3072x100")] + lost
    text = rendered(page, recorded(tmp_path, rows))
    assert "| digits 32: 64-64-10 | **12** | 250 (20.0) | 10 (0.8) |" in text
    assert "| `adam` 3072×100 | 3.0 | 2.0 (0.7) |" in text
    for line in (
        "| JAX | step: digits 32: 64-64-10, float32, 2 threads | 12 | 10 (0.800) |",
        "| `numpy.dot` | gemm: product, left transposed 7×8×9, float32, 2 threads | 4.0 | 3.0 (0.7",
        "| reference | ops: adam 3072×100, float32, 2 threads | 3.0 | 2.0 (0.667) |",
    ):
        assert line in text
    won = [r for r in ROWS if all(ratio >= 1 for ratio in r["ratio"].values())]
    assert "In no row of these runs is anybody faster" in rendered(page, recorded(tmp_path, won))


def test_a_run_of_few_suites_has_their_figures_alone(page, tmp_path):
    text = rendered(page, recorded(tmp_path, [r for r in ROWS if r["suite"] == "gemm"]))
    assert "numpy.dot" in text
    for absent in ("training step", "| operation |", ".png", "Solver", "thread makes", "Resident"):
        assert absent not in text


def test_a_contestant_without_a_row_is_a_dash_in_the_table(page, tmp_path):
    rows = [*ROWS, row("step", "mnist", "128: 784", {"fastfc": 1e-3, "reference": 2e-3})]
    assert "| mnist 128: 784 | **1,000** | 2,000 (2.0) | - |" in rendered(
        page, recorded(tmp_path, rows)
    )


def test_what_cannot_be_rendered_ends_in_one_line(page, tmp_path):
    assert failure(page) == f"benchmarks: {tmp_path / 'none.csv'}: No such file or directory"
    path = recorded(tmp_path, [r for r in ROWS if r["name"] != "adam"])
    before = page.read_text()
    assert f"{path}: no row ops, adam, 3072x100, float32, which the page" in failure(page, path)
    path.write_text(path.read_text().replace(",avx2", ""))
    assert "line 7: 15 cells, expected 16" in failure(page, path)
    assert page.read_text() == before
    quick = {**FACTS, "machine": machine.facts(quick=True)["machine"]}
    assert "is of --quick, which measures nothing" in failure(page, recorded(tmp_path, [], quick))
    page.write_text("No figures.\n")
    assert "figures.md: no figures, expected <!-- figures" in failure(page, path)
    assert "No such file" in failure(tmp_path / "absent.md")


def test_picture(undrawn, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib, of the extra bench")
    paths = [recorded(tmp_path, ROWS) for _ in range(2)]
    rendered(undrawn, paths[0])
    image = tmp_path / "step.png"
    assert image.read_bytes().startswith(b"\x89PNG")
    rendered(undrawn, "--check")
    rendered(undrawn, paths[1])
    drawn = image.read_bytes()
    image.unlink()
    assert "step.png does not show 2026-01-02_some-cpu_2.csv" in failure(undrawn, "--check")
    rendered(undrawn, paths[0])
    image.write_bytes(drawn)
    assert "step.png does not show 2026-01-02_some-cpu_1.csv" in failure(undrawn, "--check")


def test_picture_without_matplotlib_names_the_extra(undrawn, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r"drawing the picture needs matplotlib: pip install '.\[bench\]' in a checkout"
    with pytest.raises(SystemExit, match=message):
        rendered(undrawn, recorded(tmp_path, ROWS))
