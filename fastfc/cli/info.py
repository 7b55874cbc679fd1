"""``fastfc info``, also called ``fastfc config``: how fastfc was built, and what it uses."""

from __future__ import annotations

import click

from fastfc.cli.command import Command, Option


@click.command(
    "info",
    cls=Command,
    params=[Option(["--json", "as_json"], is_flag=True, help="print a JSON object")],
    examples=("fastfc info", "fastfc info --json"),
)
def command(as_json: bool) -> int:
    """Print how fastfc was built and what it uses on this machine."""
    from fastfc import show_config

    if as_json:
        from fastfc.cli.result import to_json

        print(to_json(show_config("dicts")))
    else:
        show_config()
    return 0
