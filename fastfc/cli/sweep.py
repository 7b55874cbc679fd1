"""``fastfc sweep``: train many candidates, of a grid or drawn at random."""

from __future__ import annotations

import click

from fastfc.cli import values
from fastfc.cli.command import Command, Option


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
            default=1,
            help="candidates that are trained at once; more than one needs the extra sweep",
        ),
        Option(["--top"], type=values.count, default=10, help="rows of the table that is printed"),
        Option(["--json", "as_json"], is_flag=True, help="print the results as a JSON object"),
    ],
    epilog="SWEEP.toml is a configuration of fastfc train with two more tables. [sweep] has "
    "method, grid or random, and for random count and seed. [grid] has a list of values for "
    "each option that varies; [random] has for each a list to choose from, {uniform = [LOW, HIGH]} "
    "or {log = [LOW, HIGH]}. Exit status: 0; 2 after an error; 130 after Ctrl-C: the same command "
    "goes on.",
    examples=(
        "fastfc sweep sweep.toml --out sweeps/rates",
        "fastfc sweep sweep.toml --out sweeps/rates --jobs 2 --top 3",
    ),
)
def command(path: str, out: str, jobs: int, top: int, as_json: bool) -> int:
    """Train many candidates and print the best.

    A candidate is a run in a folder of its own, named by its options. Ctrl-C or a crash loses the
    candidates that were being trained, and no other: the same command goes on with the rest.
    """
    from fastfc.cli.result import to_json
    from fastfc.cli.sweeping import in_words, sweep

    results = sweep(path, out, jobs)
    print(to_json({"results": results}) if as_json else in_words(results, top))
    return 0
