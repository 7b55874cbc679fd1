"""Options of the command ``train`` that say what is trained, on what, and by which rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastfc.cli import values
from fastfc.cli.names import ADAM_LEARNING_RATE, RULE_OPTIONS, add_option, rules_with
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.networks.initial_weights import SCALES
from fastfc.networks.losses import LOSSES
from fastfc.training.guard import POLICIES
from fastfc.training.schedules import SCHEDULES
from fastfc.update_rules import RULES

if TYPE_CHECKING:
    import argparse


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to train on."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        default="digits",
        metavar="{digits,cifar10,mnist,FILE.npz}",
        help="what to train on: the handwritten digits that come with fastfc (default), CIFAR-10, "
        "MNIST, or a file with X_train, y_train, X_val, y_val and perhaps X_test, y_test, and "
        "weights of examples w_train, w_val",
    )
    group.add_argument(
        "--root",
        metavar="DIR",
        help="folder of cifar10's or mnist's files (default: $FASTFC_DATA, the working directory "
        "and its parent)",
    )
    add_option(
        group,
        "normalize",
        type=values.finite,
        nargs=2,
        metavar=("MEAN", "STD"),
        help="train and score on (X - MEAN) / STD (default: on X as it is)",
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the network is."""
    group = parser.add_argument_group("network")
    add_option(
        group,
        "hidden_dims",
        type=values.count,
        nargs="*",
        default=[100, 100, 100],
        metavar="H",
        help="sizes of the hidden layers (default: 100 100 100)",
    )
    add_option(
        group,
        "activation",
        type=values.one_of(*ACTIVATIONS),
        default="relu",
        metavar="{" + ",".join(ACTIVATIONS) + "}",
        help="what follows the product, and its normalisation, in a hidden layer (default: "
        "%(default)s)",
    )
    add_option(
        group,
        "dropout",
        type=values.fraction,
        default=0.9,
        metavar="P",
        help="probability of keeping a unit; 0 and 1 mean no dropout (default: %(default)s)",
    )
    add_option(
        group,
        "dropout_convention",
        type=values.one_of("keep", "drop"),
        default="keep",
        metavar="{keep,drop}",
        help="what P is the probability of; of dropping, 1 is none (default: %(default)s)",
    )
    add_option(
        group,
        "normalization",
        type=values.one_of("batchnorm", "layernorm", "none"),
        default="batchnorm",
        metavar="{batchnorm,layernorm,none}",
        help="normalise hidden layers over the batch, over their own features, or not at all "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--batchnorm",
        dest="normalization",
        action="store_const",
        const="batchnorm",
        help="the same as --normalization batchnorm",
    )
    group.add_argument(
        "--no-batchnorm",
        dest="normalization",
        action="store_const",
        const="none",
        help="the same as --normalization none",
    )
    add_option(
        group,
        "reg",
        type=values.not_negative,
        default=0.0,
        help="L2 regularisation, 0.5 * REG * sum of squared weights (default: %(default)s)",
    )
    add_option(
        group,
        "label_smoothing",
        type=values.fraction,
        default=0.0,
        metavar="S",
        help="share of a label's weight that goes to all classes (default: %(default)s)",
    )
    add_option(
        group,
        "loss",
        type=values.one_of(*LOSSES),
        default="softmax",
        metavar="{" + ",".join(LOSSES) + "}",
        help="what is minimised: softmax for classes, logistic for targets of 0 and 1, poisson for "
        "counts, the others for real numbers (default: %(default)s)",
    )
    add_option(
        group,
        "loss_param",
        type=values.positive,
        metavar="X",
        help="of huber the error from which on it is linear (default: 1), of quantile which one "
        "(default: 0.5)",
    )
    add_option(
        group,
        "weight_scale",
        type=values.weight_scale,
        default=0.01,
        metavar="{STD," + ",".join(SCALES) + "}",
        help="standard deviation of the first weights, or a rule that fits it to each layer "
        "(default: %(default)s)",
    )
    add_option(
        group,
        "dtype",
        type=values.one_of("float32", "float64"),
        metavar="{float32,float64}",
        help="what the network computes in (default: float32; with --compare float64)",
    )
    add_option(
        group,
        "rng",
        type=values.one_of("numpy", "philox"),
        default="numpy",
        metavar="{numpy,philox}",
        help="where dropout's masks come from: NumPy's own stream, or a counter-based generator "
        "which all threads draw (default: %(default)s)",
    )
    group.add_argument(
        "--dropout-seed",
        type=values.seed,
        metavar="N",
        help="the key of every mask of --rng philox; NumPy's generator is seeded with it at every "
        "dropout, which is for checking gradients (default: none)",
    )


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how parameters are updated."""
    group = parser.add_argument_group("update rule")
    add_option(
        group,
        "update_rule",
        type=values.one_of(*RULES),
        default="adam",
        metavar="RULE",
        help=f"one of {', '.join(RULES)} (default: %(default)s)",
    )
    add_option(
        group,
        "learning_rate",
        type=values.positive,
        metavar="LR",
        help=f"step size (default: {ADAM_LEARNING_RATE} for adam and adamw, 0.01 for the others)",
    )
    kinds = {
        **dict.fromkeys(("momentum", "decay_rate", "beta1", "beta2"), values.below_one),
        "epsilon": values.positive,
        "weight_decay": values.not_negative,
    }
    for key in dict.fromkeys(key for keys in RULE_OPTIONS.values() for key in keys):
        rules = rules_with(key)
        default = next(rule.constants[key] for rule in RULES.values() if key in rule.constants)
        matrices = ", for weight matrices" if key == "weight_decay" else ""
        add_option(
            group,
            key,
            type=kinds[key],
            metavar="X",
            help=f"of {rules}{matrices} (default: {default})",
        )
    add_option(
        group,
        "lr_decay",
        type=values.positive,
        default=0.9,
        metavar="F",
        help="factor on the learning rate after each epoch (default: %(default)s)",
    )
    add_option(
        group,
        "lr_schedule",
        type=values.schedule,
        metavar="NAME[,KEY=VALUE...]",
        help=f"factor on the learning rate for each step: {', '.join(SCHEDULES)}, perhaps with "
        "parameters, as cosine,warmup_steps=50 (default: none)",
    )
    add_option(
        group,
        "on_nonfinite",
        type=values.one_of(*POLICIES),
        default="stop",
        metavar="{" + ",".join(POLICIES) + "}",
        help="at a loss that is NaN or infinite: end with the best parameters, train on, or end "
        "with nothing; status 2 but for continue (default: %(default)s)",
    )
    add_option(
        group,
        "clip_norm",
        type=values.positive,
        metavar="NORM",
        help="largest norm of all gradients together (default: any)",
    )
