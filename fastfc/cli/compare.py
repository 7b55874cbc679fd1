"""``fastfc compare``: runs, configurations or backends side by side."""

from __future__ import annotations

import click

from fastfc.cli import folder, values
from fastfc.cli.command import Command, Option, UsageError


@click.command(
    "compare",
    cls=Command,
    params=[
        click.Argument(
            ["sides"], nargs=-1, metavar="A B...", type=values.Path("A", ("fast", "reference"))
        ),
        Option(
            ["--config"],
            type=values.Path("FILE.toml"),
            help="of what is trained, where A and B are backends",
            show_default="what fastfc train has",
        ),
        Option(
            ["--points"],
            type=values.count,
            default=10,
            help="epochs that the table of curves shows at most",
        ),
        Option(
            ["--html"],
            type=values.Path("FILE.html"),
            help="write runs' folders beside each other as a page for a browser, too",
        ),
        Option(["--json", "as_json"], is_flag=True, help="print a JSON object"),
    ],
    examples=(
        "fastfc compare runs/first runs/second",
        "fastfc compare runs/first runs/second --html runs/compared.html",
        "fastfc compare fast reference --config runs/first/config.toml",
    ),
)
def command(
    sides: tuple[str, ...], config: str | None, points: int, html: str | None, as_json: bool
) -> int:
    """Show runs side by side: what differs, accuracies, curves and speed.

    A, B and more of them are folders of runs, which fastfc train --out has written; or
    configurations, FILE.toml, which are trained; or the backends fast and reference, by which one
    configuration is trained.
    """
    from fastfc.cli.comparison import compare, in_words
    from fastfc.cli.result import to_json

    for side in sides if html is not None else ():
        if not folder.is_run(side):  # before anything is trained
            raise UsageError(f"--html is of runs' folders, expected one in the place of {side}")
    found = compare(sides, config)
    if html is not None:
        from fastfc.cli.report import write_beside

        write_beside(html, sides)
    print(to_json(found) if as_json else in_words(found, points))
    return 0
