"""``fastfc gradcheck``: the gradients of a network against numerical ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import click

from fastfc.cli import values
from fastfc.cli.command import Command, Option
from fastfc.cli.options import ALIASES, BACKENDS, OPTIONS

if TYPE_CHECKING:
    from typing import Any

NETWORK = [
    option for option in OPTIONS if option.group == "network" and option.name not in ("dtype",)
]
CHECK = [
    Option(["--inputs"], group="check", type=values.count, default=20, help="features of an input"),
    Option(["--outputs"], group="check", type=values.count, default=5, help="classes, or targets"),
    Option(["--batch"], group="check", type=values.count, default=7, help="examples"),
    Option(
        ["--elements"],
        group="check",
        type=values.count,
        default=30,
        help="how many elements of each parameter are checked, drawn at random",
    ),
    Option(
        ["--seed"],
        group="check",
        type=values.seed,
        default=0,
        help="of parameters, examples and the elements that are checked",
    ),
    Option(
        ["--backend"],
        group="check",
        type=values.one_of(*BACKENDS),
        default="fast",
        help="the C kernels, or the same in plain NumPy",
    ),
    Option(["--json", "as_json"], group="check", is_flag=True, help="print a JSON object"),
]


@click.command(
    "gradcheck",
    cls=Command,
    params=[*NETWORK, *CHECK],
    aliases=ALIASES,
    epilog="Exit status: 0 if all gradients agree, 1 if one does not, 2 after an error.",
    examples=(
        "fastfc gradcheck --hidden 10 10 --normalization layernorm --activation gelu",
        "fastfc gradcheck --hidden 8 --dropout 0.5 --loss poisson --outputs 3 --backend reference",
    ),
)
def command(as_json: bool, **given: Any) -> int:
    """Check the gradients of a network of your choice against numerical ones.

    A network in float64 is drawn, with examples for its loss; some elements of each parameter are
    moved a little to both sides, and the slope of the loss is compared with the gradient.
    """
    from fastfc.cli.gradients import check_gradients
    from fastfc.cli.result import to_json
    from fastfc.cli.tables import aligned

    rows = check_gradients(SimpleNamespace(**given))
    ok = all(row["ok"] for row in rows)
    if as_json:
        print(to_json({"ok": ok, "parameters": rows}))
        return 0 if ok else 1
    names = ("parameter", "shape", "checked", "largest error", "")
    table = [
        (
            row["parameter"],
            "x".join(map(str, row["shape"])),
            row["checked"],
            f"{row['error']:.1e}",
            "right" if row["ok"] else "WRONG",
        )
        for row in rows
    ]
    print(aligned([names, *table]))
    return 0 if ok else 1
