"""The options of the command line, and the values they accept."""

from __future__ import annotations

import argparse
import ast
import math
import sys
from typing import TYPE_CHECKING

from fastfc.cli import check
from fastfc.networks.initial_weights import SCALES
from fastfc.training.schedules import SCHEDULES, make
from fastfc.update_rules import RULES
from fastfc.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

# What each update rule can be told besides its learning rate, as keys of its config.
RULE_OPTIONS = {
    name: tuple(key for key in rule.constants if key not in ("learning_rate", "t"))
    for name, rule in RULES.items()
}
ADAM_LEARNING_RATE = 5e-4

DESCRIPTION = """\
Train {affine - batch normalisation - ReLU - dropout} x hidden layers - affine - softmax, and print
the losses and accuracies on the way, then the accuracies of the best parameters.
"""


class UsageError(Exception):
    """Something that the user can put right; the message says how."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command ``fastfc``."""
    parser = _Parser("fastfc", description="Train fully connected networks on a CPU.")
    parser.add_argument("--version", action="version", version=f"fastfc {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{train,check,config}", required=True)
    train = commands.add_parser(
        "train", help="train a network and print its accuracies", description=DESCRIPTION
    )
    for add_group in (_add_data, _add_network, _add_solver, _add_run):
        add_group(train)
    check.add_parser(commands)
    about = "print how fastfc was built and what it uses on this machine"
    commands.add_parser("config", help=about, description=about)
    return parser


class _Parser(argparse.ArgumentParser):
    """Takes options by their full names, and raises a UsageError where argparse would exit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:  # argparse would not mind that it cannot be written
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        default="digits",
        metavar="{digits,cifar10,mnist,FILE.npz}",
        help="what to train on: the handwritten digits that come with fastfc (default), CIFAR-10, "
        "MNIST, or a file with X_train, y_train, X_val, y_val and perhaps X_test, y_test",
    )
    group.add_argument(
        "--root",
        metavar="DIR",
        help="folder of cifar10's or mnist's files (default: $FASTFC_DATA, the working directory "
        "and its parent)",
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    group.add_argument(
        "--hidden",
        type=_count,
        nargs="*",
        default=[100, 100, 100],
        metavar="H",
        help="sizes of the hidden layers (default: 100 100 100)",
    )
    group.add_argument(
        "--dropout",
        type=_number("from 0 to 1", lambda p: 0 <= p <= 1),
        default=0.9,
        metavar="P",
        help="probability of keeping a unit; 0 and 1 mean no dropout (default: %(default)s)",
    )
    group.add_argument(
        "--batchnorm",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="normalise hidden layers over the batch (default: yes)",
    )
    group.add_argument(
        "--reg",
        type=_not_negative,
        default=0.0,
        help="L2 regularisation, 0.5 * REG * sum of squared weights (default: %(default)s)",
    )
    group.add_argument(
        "--label-smoothing",
        type=_number("from 0 to 1", lambda value: 0 <= value <= 1),
        default=0.0,
        metavar="S",
        help="share of a label's weight that goes to all classes (default: %(default)s)",
    )
    group.add_argument(
        "--weight-scale",
        type=_weight_scale,
        default=0.01,
        metavar="{STD,he,glorot}",
        help="standard deviation of the first weights, or a rule that fits it to each layer "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        help="what the network computes in (default: float32; with --compare float64)",
    )


def _add_solver(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("solver")
    group.add_argument(
        "--update-rule",
        choices=tuple(RULE_OPTIONS),
        default="adam",
        metavar="RULE",
        help=f"one of {', '.join(RULE_OPTIONS)} (default: %(default)s)",
    )
    group.add_argument(
        "--learning-rate",
        type=_positive,
        metavar="LR",
        help=f"step size (default: {ADAM_LEARNING_RATE} for adam and adamw, 0.01 for the others)",
    )
    for key in ("momentum", "decay_rate", "beta1", "beta2"):
        group.add_argument(
            _flag(key),
            type=_number("from 0 to less than 1", lambda value: 0 <= value < 1),
            metavar="M" if key == "momentum" else "B",
            help=f"of {_rules_with(key)} (default: {_default_of(key)})",
        )
    group.add_argument(
        "--epsilon",
        type=_positive,
        metavar="EPS",
        help=f"of {_rules_with('epsilon')} (default: {_default_of('epsilon')})",
    )
    group.add_argument(
        "--weight-decay",
        type=_not_negative,
        metavar="F",
        help=f"of {_rules_with('weight_decay')}, for weight matrices "
        f"(default: {_default_of('weight_decay')})",
    )
    group.add_argument(
        "--lr-decay",
        type=_positive,
        default=0.9,
        metavar="F",
        help="factor on the learning rate after each epoch (default: %(default)s)",
    )
    group.add_argument(
        "--lr-schedule",
        type=_schedule,
        metavar="NAME[,KEY=VALUE...]",
        help=f"factor on the learning rate for each step: {', '.join(SCHEDULES)}, perhaps with "
        "parameters, as cosine,warmup_steps=50 (default: none)",
    )
    group.add_argument(
        "--clip-norm",
        type=_positive,
        metavar="NORM",
        help="largest norm of all gradients together (default: any)",
    )
    group.add_argument(
        "--batch-size",
        type=_count,
        default=100,
        metavar="N",
        help="examples per step (default: %(default)s)",
    )
    group.add_argument(
        "--epochs",
        type=_count,
        default=10,
        metavar="N",
        help="passes over the data (default: %(default)s)",
    )
    group.add_argument(
        "--print-every",
        type=_count,
        default=100,
        metavar="N",
        help="steps from one printed loss to the next (default: %(default)s)",
    )
    group.add_argument(
        "--num-train-samples",
        type=_count,
        default=1000,
        metavar="N",
        help="training examples drawn for the accuracy of an epoch (default: %(default)s)",
    )
    group.add_argument(
        "--num-val-samples",
        type=_count,
        metavar="N",
        help="validation examples drawn for the accuracy of an epoch (default: all)",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="of NumPy's generator: weights, minibatches, dropout (default: %(default)s)",
    )
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--backend",
        choices=("fast", "reference"),
        default="fast",
        help="the C kernels, or the same in plain NumPy (default: %(default)s)",
    )
    either.add_argument(
        "--compare",
        action="store_true",
        help="train with both backends; print the largest difference of their loss histories and "
        "how much faster the C kernels are. In float64 they differ by rounding; in float32 too, "
        "until rounding decides the sign of a ReLU's input, which moves the losses after it by "
        "some 1e-4",
    )


def _flag(key: str) -> str:
    """Return the option that sets a key of a rule's config."""
    return "--" + key.replace("_", "-")


def rule_config(options: argparse.Namespace) -> dict[str, float]:
    """Return the optim_config that the options ask for.

    Raises
    ------
    UsageError
        An option is given that the update rule does not have.

    Examples
    --------
    >>> rule_config(make_parser().parse_args(["train", "--beta1", "0.5"]))
    {'learning_rate': 0.0005, 'beta1': 0.5}
    """
    rule = options.update_rule
    config = {}
    if options.learning_rate is not None:
        config["learning_rate"] = options.learning_rate
    elif rule in ("adam", "adamw"):
        config["learning_rate"] = ADAM_LEARNING_RATE
    for key in dict.fromkeys(key for keys in RULE_OPTIONS.values() for key in keys):
        value = getattr(options, key)
        if value is not None and key not in RULE_OPTIONS[rule]:
            raise UsageError(
                f"{_flag(key)} is an option of {_rules_with(key)}, not of {rule}: "
                "leave it out or choose another --update-rule"
            )
        if value is not None:
            config[key] = value
    return config


def _rules_with(key: str) -> str:
    *others, last = (rule for rule, keys in RULE_OPTIONS.items() if key in keys)
    return f"{', '.join(others)} and {last}" if others else last


def _default_of(key: str) -> float:
    """Return the default of a hyper-parameter, which is the same for all rules that have it."""
    (default,) = {rule.constants[key] for rule in RULES.values() if key in rule.constants}
    return default


def _number(expected: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """Return a type for argparse: a number that `accepts` accepts."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {expected}")
        return value

    return parse


_positive = _number("above 0", lambda value: 0 < value < math.inf)
_not_negative = _number("of at least 0", lambda value: 0 <= value < math.inf)


def _weight_scale(text: str) -> float | str:
    """Return a number of at least 0 or the name of a rule."""
    if text in SCALES:
        return text
    try:
        return _not_negative(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, he or glorot") from None


def _schedule(text: str) -> dict[str, Any]:
    """Return NAME,KEY=VALUE,... as the dictionary that the Solver takes."""
    name, *pairs = text.split(",")
    schedule = {"name": name}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            schedule[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            schedule[key] = value
    try:
        make(schedule, 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return schedule


def _whole(text: str, low: int, high: int, expected: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {expected}")
    return value


def _count(text: str) -> int:
    return _whole(text, 1, 2**31 - 1, "from 1 to 2147483647")


def _seed(text: str) -> int:
    return _whole(text, 0, 2**32 - 1, "from 0 to 4294967295")
