"""Options of the command ``train`` that say for how long, what is kept, and where it runs."""

from __future__ import annotations

import argparse

from fastfc.cli import values
from fastfc.cli.names import add_counts, add_option


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options that say for how long."""
    group = parser.add_argument_group("training")
    add_counts(
        group,
        ("batch_size", 100, "examples per step"),
        ("num_epochs", 10, "passes over the data"),
        ("max_steps", None, "end after so many steps (default: no limit)"),
    )
    add_option(
        group,
        "max_seconds",
        type=values.positive,
        metavar="S",
        help="start no step after so many seconds (default: no limit)",
    )
    add_option(
        group,
        "early_stopping",
        type=values.early_stopping,
        metavar="PATIENCE[,MIN_DELTA]",
        help="end after so many accuracies in which that of validation did not get more than "
        "MIN_DELTA, by default 0, above its best (default: never)",
    )
    add_counts(
        group,
        ("num_train_samples", 1000, "training examples drawn for the accuracy of an epoch, or all"),
        ("num_val_samples", None, "validation examples drawn for it, or all (default: all)"),
        type=values.count_or_all,
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is kept and printed."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--save",
        metavar="FILE",
        help="write the network with the best parameters to this file, for FullyConnectedNet.load",
    )
    add_option(
        group,
        "checkpoint_name",
        metavar="NAME",
        help="write NAME_epoch_K.npz after each epoch, and NAME_step_N.npz where training ends "
        "within one, for --resume",
    )
    add_option(
        group,
        "checkpoint_every",
        type=values.every,
        metavar="{STEPS,TIME}",
        help="write checkpoints within epochs too, every so many steps, or after so much time, as "
        "30s, 5min or 1h",
    )
    add_counts(group, ("keep_last", None, "delete this run's checkpoints but the last N"))
    add_option(
        group,
        "overwrite",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether NAME may have checkpoints of another run, which this one takes over "
        "(default: yes)",
    )
    add_counts(group, ("print_every", 100, "steps from one printed loss to the next"))
    add_option(
        group, "verbose", action="store_false", help="print no losses and accuracies on the way"
    )
    add_option(
        group,
        "progress",
        action=argparse.BooleanOptionalAction,
        help="show a progress bar (default: on a terminal)",
    )
    group.add_argument(
        "--json",
        action="store_true",
        help="print the result as a JSON object on stdout, and all else on stderr",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where random numbers, parameters and arithmetic come from."""
    group = parser.add_argument_group("run")
    group.add_argument(
        "--seed",
        type=values.seed,
        default=0,
        metavar="N",
        help="of NumPy's generator: weights, minibatches, dropout (default: %(default)s)",
    )
    group.add_argument(
        "--resume",
        metavar="FILE",
        help="go on from a checkpoint, with its network and settings; options that are given "
        "replace its settings where they can change",
    )
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--backend",
        type=values.one_of("fast", "reference"),
        default="fast",
        metavar="{fast,reference}",
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
