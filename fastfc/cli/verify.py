"""``fastfc verify``: every kernel of this machine against the reference."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from fastfc.cli import values
from fastfc.cli.command import Command, Option, UsageError

if TYPE_CHECKING:
    from typing import Any


@click.command(
    "verify",
    cls=Command,
    params=[
        Option(
            ["--isa", "isas"],
            multiple=True,
            metavar="NAME",
            help="only this instruction set; may be given more than once",
            show_default="all of this machine",
        ),
        Option(
            ["--operation", "operations"],
            multiple=True,
            metavar="NAME",
            help="only operations whose names have this in them; may be given more than once",
            show_default="all",
        ),
        Option(["--json", "as_json"], is_flag=True, help="print a JSON object"),
    ],
    epilog="Exit status: 0 if all is right, 1 if something is wrong, 2 if it cannot be run.",
    examples=("fastfc verify --operation relu --operation sgd", "fastfc verify --json"),
)
def command(isas: tuple[str, ...], operations: tuple[str, ...], as_json: bool) -> int:
    """Verify every kernel on this machine.

    Each operation is run under each instruction set that the processor has, in float32 and in
    float64, and compared with the reference in plain NumPy, whole passes of networks with the same
    layer by layer. A number is the largest difference as a part of what rounding allows; 0 means
    that all bits agree. It takes less than a minute: run it when in doubt, and attach what it
    prints to a report of a fault.
    """
    from fastfc import show_config
    from fastfc.cli.result import to_json
    from fastfc.verifying import verify

    config = show_config("dicts")
    available = config["isa"]["available"]
    for isa in isas:
        values.one_of(*available).convert(isa, None, None)
    start = time.perf_counter()
    rows = []
    for row in verify(
        isas or None, lambda name: not operations or any(part in name for part in operations)
    ):
        rows.append(row)
        _show(row.operation)
    _show("")
    if not rows:
        raise UsageError(f"--operation: no operation has {' or '.join(operations)} in its name")
    seconds = time.perf_counter() - start
    ok = all(row.ok for row in rows)
    if as_json:
        found = [{**vars(row), "ok": row.ok} for row in rows]
        print(to_json({"ok": ok, "seconds": seconds, "config": config, "rows": found}))
    else:
        print(_in_words(rows, config, seconds))
    return 0 if ok else 1


def _in_words(rows: list[Any], config: Any, seconds: float) -> str:
    from fastfc.cli.tables import aligned

    kinds = list(dict.fromkeys((row.isa, row.dtype) for row in rows))
    found = {(row.operation, row.isa, row.dtype): row for row in rows}
    names = list(dict.fromkeys(row.operation for row in rows))
    cells = [[name, *(_cell(found[name, isa, dtype]) for isa, dtype in kinds)] for name in names]
    table = [["", *(isa for isa, _ in kinds)], ["operation", *(dtype for _, dtype in kinds)]]
    wrong = [row for row in rows if not row.ok]
    faults = [f"{row.operation}, {row.isa}, {row.dtype}: {row.fault}" for row in wrong]
    count = sum(row.cases for row in rows)
    lines = [
        f"fastfc {config['version']}, {config['compiler']}, {config['threads']} threads",
        "",
        aligned([*table, *cells]),
        "",
        *faults,
        f"{len(names)} operations, {count} cases, {seconds:.0f} s: "
        + (f"{len(wrong)} of {len(rows)} WRONG" if wrong else "all right"),
    ]
    return "\n".join(lines)


def _cell(row: Any) -> str:
    if not row.ok:
        return "WRONG"
    return f"{row.share:.2f}" if row.share else "0"


def _show(text: str) -> None:
    """Show on a terminal what is being verified."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
