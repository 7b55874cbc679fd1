"""``fastfc export``: write a network to a file of another kind."""

from __future__ import annotations

from pathlib import Path

import click

from fastfc.cli import values
from fastfc.cli.command import Command, Option, UsageError, check_writable

ENDINGS = (".npz", ".safetensors", ".onnx")
ONNX = ("probabilities", "preprocessing", "input_name", "output_name")


@click.command(
    "export",
    cls=Command,
    params=[
        click.Argument(["model"], metavar="MODEL", type=values.Path()),
        click.Argument(["out"], metavar="OUT", type=values.Path()),
        Option(
            ["--which"],
            type=values.one_of("best", "latest"),
            default="best",
            help="of a checkpoint the parameters to take",
        ),
        Option(
            ["--probabilities"],
            is_flag=True,
            group="onnx",
            help="let the graph give probabilities, not scores",
        ),
        Option(
            ["--preprocessing"],
            is_flag=True,
            group="onnx",
            help="let the graph normalise examples as the network's were before training",
        ),
        Option(["--input-name"], group="onnx", metavar="NAME", help="of the graph's input"),
        Option(["--output-name"], group="onnx", metavar="NAME", help="of the graph's output"),
    ],
    epilog="OUT's ending says what it becomes: .npz or .safetensors, which fastfc loads again, or "
    ".onnx, a graph for other programs.",
    examples=(
        "fastfc export runs/first model.safetensors",
        "fastfc export runs/first/model.npz model.onnx --probabilities",
    ),
)
def command(model: str, out: str, which: str, **options: object) -> int:
    """Write a network to a file of another kind.

    MODEL is a network's file, a run's folder or a checkpoint.
    """
    from fastfc.cli.examples import load_model

    ending = Path(out).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"OUT {out}: expected a name that ends in {', '.join(ENDINGS)}")
    given = {name: value for name, value in options.items() if value}
    if given and ending != ".onnx":
        flag = "--" + next(iter(given)).replace("_", "-")
        raise UsageError(f"{flag} is for a file .onnx: leave it out with OUT {out}")
    check_writable("OUT", out)
    network = load_model(model, which)
    try:
        if ending == ".onnx":
            network.to_onnx(out, **given)  # type: ignore[arg-type]  # as the options say
        else:
            network.save(out)
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    print(f"saved: {out}")
    return 0
