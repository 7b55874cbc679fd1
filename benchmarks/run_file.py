"""A run's figures, in a CSV file of its own: a line a measurement, appended when it is measured.

A file is named by date, CPU and a number that makes it its own, ``2026-11-25_amd-epyc_1.csv``. It
is never written again: a later run has another file. Every line has all columns of `COLUMNS`, and
an empty cell is what has no such figure or is not known. What a line says, by its ``suite``:

machine, version
    ``text`` is the fact that ``name`` names. These come first.
peak
    ``value`` in ``unit`` is the machine's limit for that dtype and so many threads.
any other
    a contestant of a suite's row, which is named by suite, name, shape, dtype and threads. The
    row's first contestant is the one that the others are compared with. With quantity ``time``,
    ``value`` is the median time of a call and ``min`` the shortest, both in seconds; ``spread`` is
    the distance between the quartiles, divided by the median; ``rate`` in ``rate_unit`` is the
    work of a call in ``value``. Any other quantity is ``value`` in ``unit`` after so many ``steps``
    of training.

Ratios and shares of the peak are not written: they follow from these.
"""

import csv
import dataclasses
import io
import math
import pathlib
import re

from benchmarks import harness

RESULTS = pathlib.Path(__file__).parent / "results"
COLUMNS = (
    "suite",
    "name",
    "shape",
    "dtype",
    "threads",
    "contestant",
    "quantity",
    "value",
    "unit",
    "min",
    "spread",
    "samples",
    "rate",
    "rate_unit",
    "steps",
    "text",
)
FACTS = ("machine", "version")
PEAKS = {"GFLOP/s": "arithmetic", "GB/s": "copying"}
TIME = "time"

_WHOLE = ("threads", "samples", "steps")
_NUMBERS = (*_WHOLE, "value", "min", "spread", "rate")
_MAY_BE_ZERO = ("value", "spread")
_ROW = ("suite", "name", "shape", "dtype", "threads")
_NEEDED = {  # the cells without which a line of that kind says nothing
    "fact": ("name",),
    "peak": ("name", "dtype", "threads", "value", "unit"),
    TIME: (*_ROW, "contestant", "value", "unit", "min", "spread", "samples", "rate", "rate_unit"),
    "reading": (*_ROW, "contestant", "quantity", "value", "unit", "steps"),
}


class RunFileError(ValueError):
    """A run's file that cannot be written or read; says which, where, and what was expected."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A run as its file has it: facts, peak and rows in the form in which they were measured."""

    path: pathlib.Path
    facts: dict
    peak: dict
    rows: list


class RunFile:
    """A new file for one run; `append` adds a row's lines at once.

    Parameters
    ----------
    folder : path
        Where; made if it is not there.
    facts : dict
        What `benchmarks.machine.facts` returns.
    peak : dict
        What `benchmarks.peak.measure` returns.

    Raises
    ------
    RunFileError
        If the file cannot be written.
    """

    def __init__(self, folder, facts, peak):
        try:
            self._file = _fresh(pathlib.Path(folder), facts["machine"])
        except OSError as error:
            raise RunFileError(f"cannot write a run's file: {error}") from error
        self.path = pathlib.Path(self._file.name)
        self._writer = csv.DictWriter(self._file, COLUMNS, restval="", lineterminator="\n")
        self._writer.writeheader()
        self._write(_head(facts, peak))

    def append(self, row):
        """Write a row's lines, so that they stay whatever becomes of the run."""
        self._write(_lines(row))

    def _write(self, lines):
        self._writer.writerows(lines)
        self._file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()


def _fresh(folder, machine):
    """Open a file that nobody has opened before."""
    folder.mkdir(parents=True, exist_ok=True)
    cpu = re.sub(r"\((r|tm)\)|@.*", " ", machine["cpu"].lower())
    stem = f"{machine['date'][:10]}_{'-'.join(re.findall(r'[a-z0-9]+', cpu)) or 'cpu'}"
    number = 1
    while True:
        try:
            return open(folder / f"{stem}_{number}.csv", "x", encoding="utf-8", newline="")
        except FileExistsError:
            number += 1


def _head(facts, peak):
    for group in FACTS:
        for name, text in facts[group].items():
            yield {"suite": group, "name": name, "text": text}
    for unit, dtypes in peak.items():
        for dtype, counts in dtypes.items():
            for threads, value in counts.items():
                yield {
                    "suite": "peak",
                    "name": PEAKS[unit],
                    "dtype": dtype,
                    "threads": threads,
                    "quantity": "rate",
                    "value": value,
                    "unit": unit,
                }


def _lines(row):
    about = {column: row[column] for column in _ROW}
    ((unit, rates),) = row["rate"].items()
    for contestant, t in row["seconds"].items():
        yield {
            **about,
            "contestant": contestant,
            "quantity": TIME,
            "value": t["median"],
            "unit": "s",
            "min": t["min"],
            "spread": t["spread"],
            "samples": t["samples"],
            "rate": rates[contestant],
            "rate_unit": unit,
        }
    for reading in row.get("readings", ()):
        yield {**about, **dataclasses.asdict(reading)}


def read(path):
    """Read a run's file.

    Parameters
    ----------
    path : path
        A file that `RunFile` wrote.

    Returns
    -------
    Recorded
        Rows in the form of `harness.described`; with ``readings`` where there are any.

    Raises
    ------
    RunFileError
        If there is no such file, or a line of it is not what `COLUMNS` and the head of this module
        say. Names the line.
    """
    path = pathlib.Path(path)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise RunFileError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RunFileError(f"{path}: {error}, expected UTF-8") from error
    facts, peak, rows = {group: {} for group in FACTS}, {}, {}
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_header(next(lines, []))
        for cells in lines:
            _add(_parsed(cells), facts, peak, rows)
        if not text.endswith("\n"):
            raise ValueError("it ends within a line, expected a line end")
    except (csv.Error, ValueError) as error:
        raise RunFileError(f"{path}, line {lines.line_num}: {error}") from error
    for key, row in rows.items():
        if not row["seconds"]:
            raise RunFileError(f"{path}: no {TIME} of the row {', '.join(map(str, key))}")
    return Recorded(path, facts, peak, [harness.compared(row, peak) for row in rows.values()])


def _check_header(header):
    if tuple(header) != COLUMNS:
        raise ValueError(f"the columns are {','.join(header)}, expected {','.join(COLUMNS)}")


def _parsed(cells):
    """Return a line's cells by column, numbers as numbers; what is empty is left out."""
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(cells)} cells, expected {len(COLUMNS)}")
    line = {column: cell for column, cell in zip(COLUMNS, cells, strict=True) if cell}
    for column in _NUMBERS:
        if column in line:
            line[column] = _number(column, line[column])
    for column in _NEEDED[_kind(line)]:
        if column not in line:
            raise ValueError(f"{column} is empty, expected one of a {_kind(line)}'s line")
    if line.get("quantity") == TIME and line["value"] == 0:
        raise ValueError("value is 0, expected a number above 0")
    return line


def _kind(line):
    if line.get("suite") in FACTS:
        return "fact"
    if line.get("suite") == "peak":
        return "peak"
    return TIME if line.get("quantity") == TIME else "reading"


def _number(column, cell):
    kind, zero = (int, "a whole number") if column in _WHOLE else (float, "a number")
    bound = "of at least 0" if column in _MAY_BE_ZERO else "above 0"
    try:
        number = kind(cell)
    except ValueError:
        number = math.nan
    if not (0 <= number < math.inf) or (number == 0 and column not in _MAY_BE_ZERO):
        raise ValueError(f"{column} is {cell!r}, expected {zero} {bound}")
    return number


def _add(line, facts, peak, rows):
    """Put a line where it belongs."""
    kind = _kind(line)
    if kind == "fact":
        facts[line["suite"]][line["name"]] = line.get("text", "")
        return
    if kind == "peak":
        counts = peak.setdefault(line["unit"], {}).setdefault(line["dtype"], {})
        counts[line["threads"]] = line["value"]
        return
    key = tuple(line[column] for column in _ROW)
    row = rows.setdefault(key, {**dict(zip(_ROW, key, strict=True)), "seconds": {}, "rate": {}})
    contestant = line["contestant"]
    if kind == "reading":
        fields = [field.name for field in dataclasses.fields(harness.Reading)]
        row.setdefault("readings", []).append(harness.Reading(*(line[name] for name in fields)))
        return
    if contestant in row["seconds"]:
        raise ValueError(f"a second {TIME} of {contestant} in the row {', '.join(map(str, key))}")
    row["seconds"][contestant] = {
        "median": line["value"],
        **{column: line[column] for column in ("min", "spread", "samples")},
    }
    row["rate"].setdefault(line["rate_unit"], {})[contestant] = line["rate"]
    if len(row["rate"]) > 1:
        raise ValueError(f"rate_unit is {line['rate_unit']}, expected {next(iter(row['rate']))}")
