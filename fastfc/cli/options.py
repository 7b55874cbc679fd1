"""The command ``fastfc`` and what it can be told."""

from __future__ import annotations

from fastfc.cli import check, model_options, run_options
from fastfc.cli.parser import Parser
from fastfc.version import __version__

DESCRIPTION = """\
Train {affine - normalisation - ReLU - dropout} x hidden layers - affine - softmax, and print the
losses and accuracies on the way, then the accuracies of the best parameters.
"""
EXAMPLES = """\
examples:
  fastfc train --hidden 200 100 --dropout 0.8 --epochs 20 --save network.npz
  fastfc train --data mine.npz --normalization layernorm --update-rule adamw --json >result.json
  fastfc train --epochs 50 --checkpoint run --checkpoint-every 5min --early-stopping 10
  fastfc train --resume run_epoch_20.npz --epochs 100

exit status: 0, 2 after an error, which is one line on stderr, 130 after Ctrl-C, which prints the
accuracies so far and saves what was to be saved
"""
ABOUT = "Train fully connected networks on a CPU."
COMMANDS = """\
examples:
  fastfc train
  fastfc train --data cifar10 --root datasets --epochs 5
  fastfc train --help
  fastfc config
"""


def make_parser() -> Parser:
    """Return the parser of the command ``fastfc``."""
    parser = Parser("fastfc", description=ABOUT, epilog=COMMANDS)
    parser.add_argument("--version", action="version", version=f"fastfc {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{train,check,config}", required=True)
    train = commands.add_parser(
        "train",
        help="train a network and print its accuracies",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    for add_group in (
        *(model_options.add_data, model_options.add_network, model_options.add_rule),
        *(run_options.add_training, run_options.add_output, run_options.add_run),
    ):
        add_group(train)
    check.add_parser(commands)
    about = "print how fastfc was built and what it uses on this machine"
    commands.add_parser("config", help=about, description=about)
    return parser
