"""``fastfc sweep``: train many candidates, of a grid or drawn at random."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from fastfc.cli import values
from fastfc.cli.command import Command, Option, UsageError, check_writable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fastfc.cli.sweeping.candidates import Sweep
    from fastfc.cli.sweeping.running import Runner

PICTURES = (".png", ".svg", ".pdf")


@click.command(
    "sweep",
    cls=Command,
    params=[
        click.Argument(["path"], metavar="SWEEP.toml", type=values.Path()),
        Option(
            ["--out"],
            type=values.Path("DIR"),
            required=True,
            help="the folder of the candidates' runs, results.csv and results.json; what it has "
            "already of this sweep is not trained again",
        ),
        Option(
            ["--jobs"],
            type=values.count,
            default=None,
            help="candidates that are trained at once on this machine; more than one needs the "
            "extra sweep",
            show_default="1",
        ),
        Option(
            ["--dask"],
            type=values.Path("ADDRESS"),
            help="train on the workers of the Dask cluster whose scheduler has this address, as "
            "tcp://HOST:8786, or this scheduler file; needs the extra dask",
        ),
        Option(
            ["--threads"],
            type=values.count,
            default=None,
            help="of each candidate",
            show_default="as many as there are; with --jobs its share; with --dask the worker's",
        ),
        Option(["--top"], type=values.count, default=10, help="rows of the table that is printed"),
        Option(
            ["--plot"],
            type=values.Path("FILE"),
            help="draw the scores to this file, .png, .svg or .pdf; needs the extra plot",
        ),
        Option(["--json", "as_json"], is_flag=True, help="print the results as a JSON object"),
    ],
    epilog="SWEEP.toml is a configuration of fastfc train with two more tables. [sweep] has "
    "method: grid, random or halving. [grid] has a list of values for each option that varies; "
    "[random] has for each a list to choose from, {uniform = [LOW, HIGH]} or {log = [LOW, HIGH]}, "
    "and [sweep] then count and seed. halving takes its candidates from one of them, trains all a "
    "little, and only the best to the end: [sweep] has min_epochs and factor, of which number one "
    "goes on. Exit status: 0; 2 after an error; 130 after Ctrl-C: the same command goes on.",
    examples=(
        "fastfc sweep sweep.toml --out sweeps/rates",
        "fastfc sweep sweep.toml --out sweeps/rates --jobs 2 --top 3",
    ),
)
def command(
    path: str,
    out: str,
    jobs: int | None,
    dask: str | None,
    threads: int | None,
    top: int,
    plot: str | None,
    as_json: bool,
) -> int:
    """Train many candidates and print the best.

    A candidate is a run in a folder of its own, named by its options. Ctrl-C or a crash loses the
    candidates that were being trained, and no other: the same command goes on with the rest.
    """
    from fastfc.cli.result import to_json
    from fastfc.cli.sweeping import sweep
    from fastfc.cli.sweeping.candidates import read_sweep
    from fastfc.cli.sweeping.results import in_words

    if plot is not None:
        _check_plot(plot)
    wanted = read_sweep(path)
    with _runner(out, jobs, dask, threads) as run:
        rows = sweep(wanted, out, run)
    print(to_json({"results": rows}) if as_json else in_words(rows, top))
    if plot is not None:
        _draw(plot, rows, wanted)
    failed = [row["run"] for row in rows if row["stop_reason"] == "failed"]
    if failed:
        raise UsageError(
            f"{len(failed)} candidates have no result, {failed[0]} the first: the same command "
            "tries them again"
        )
    return 0


@contextlib.contextmanager
def _runner(out: str, jobs: int | None, dask: str | None, threads: int | None) -> Iterator[Runner]:
    """Yield what trains: this machine, or a cluster while there is a connection to it."""
    from fastfc.cli.sweeping.running import local_runner

    if dask is None:
        yield local_runner(out, jobs or 1, threads)
        return
    if jobs is not None:
        raise UsageError("--jobs is for this machine: with --dask each worker trains a candidate")
    try:
        from fastfc.cli.sweeping import on_dask
    except ImportError as error:
        raise UsageError(str(error)) from error
    with on_dask.connected(out, dask, threads) as run:
        yield run


def _check_plot(path: str) -> None:
    """Raise a UsageError where a picture cannot be drawn, before what would end in that."""
    check_writable("--plot", path)
    if not path.endswith(PICTURES):
        raise UsageError(f"--plot {path}: expected a name that ends in {' or '.join(PICTURES)}")
    try:
        from fastfc import plots  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--plot {path}: {error}") from error


def _draw(path: str, rows: list[dict[str, Any]], wanted: Sweep) -> None:
    """Write the picture of a sweep."""
    from fastfc import plots

    try:
        figure: Any = plots.sweep(rows, log=wanted.logarithmic)[0].figure
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--plot {path}: {error}") from error
