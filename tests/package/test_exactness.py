"""docs/exactness.md says what the tests show: each row names its test, each figure is theirs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastfc
from fastfc.verifying import operations, tolerance

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "exactness.md").read_text("utf-8")
CODE = re.compile(r"`([^`]+)`")
TEST = re.compile(r"tests/[\w/]+\.py::\w+")


def rows(text):
    """Return the rows of all tables as lists of cells, without their heads."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    lines = [[cell.strip() for cell in line] for line in lines]
    rules = [i for i, line in enumerate(lines) if set("".join(line)) == {"-"}]
    heads = {*rules, *(i - 1 for i in rules)}
    return [line for i, line in enumerate(lines) if i not in heads]


ROWS = rows(TEXT)
TABLE = {CODE.match(row[0])[1]: row for row in ROWS if len(row) == 5}


def code(cell):
    return CODE.findall(cell)


def collected(files):
    """Return all tests that pytest finds in these files."""
    # `python -m` looks in its directory first: for the very package that is tested here
    options = ["--rootdir", ROOT, "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *options, *files],
        cwd=Path(fastfc.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(TEST.findall(done.stdout))


def test_every_row_names_tests_that_are_collected():
    for row in ROWS:
        assert TEST.search(row[-1]), row
        assert all(map(TEST.fullmatch, code(row[-1]))), row
    named = set(TEST.findall(TEXT))
    assert len(named) > 50
    missing = named - collected({ROOT / name.partition("::")[0] for name in named})
    assert not missing, missing


def test_every_operation_has_a_row():
    assert list(TABLE) == [str(operation) for operation in operations.OPERATIONS]


# N, D, M and C of operands whose counts are all different, of one block and of several.
SIZES = [(150, 301, 140), (7, 20, 3)]


def probe(operation, sizes, dtype, monkeypatch):
    """Return the bounds by name, and all counts of roundings that they were computed with."""
    N, D, M = sizes
    counts, gamma = set(), tolerance.gamma
    with monkeypatch.context() as patch:
        patch.setattr(tolerance, "gamma", lambda n, dtype: counts.add(n) or gamma(n, dtype))
        affine = operation.function.startswith("affine")
        args = operation.arguments(((N, D), M) if affine else (N, D), dtype)
        return operation.bound(*args), counts


def value(count, sizes):
    """Return the number that a count of the table has for these sizes; an (N, C) is an (N, D)."""
    N, D, M = sizes
    names = {"N": N, "D": D, "M": M, "C": D, "s": tolerance.summed, "min": min, "max": max}
    return eval(count, {"__builtins__": {}}, names)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_a_row_says_what_the_tests_allow(operation, sizes, dtype, monkeypatch):
    bounds, counts = probe(operation, sizes, dtype, monkeypatch)
    _, same, rounded, everywhere, _ = TABLE[str(operation)]
    exact = {name for name, bound in bounds.items() if not np.any(bound)}
    assert set(code(same)) == exact
    outputs = [word for word in code(rounded) if word in bounds]
    assert sorted(outputs) == sorted(bounds.keys() - exact)
    stated = {value(word, sizes) for word in code(rounded) if word not in bounds}
    assert stated == counts
    assert set(code(everywhere)) == exact | set(operation.same_everywhere)


def test_sums_are_counted_as_the_page_says():
    def s(n):
        return min(n, 128) + int(np.ceil(np.log2(np.ceil(n / 128))))

    assert "s(n) = min(n, 128) + ⌈log₂⌈n / 128⌉⌉" in TEXT
    for n in (1, 2, 127, 128, 129, 256, 257, 3072, 10**6):
        assert tolerance.summed(n) == s(n)
    assert f"logarithm counts as {tolerance.FUNCTION}." in TEXT
    assert [tolerance.unit(dtype) for dtype in (np.float32, np.float64)] == [2**-24, 2**-53]
