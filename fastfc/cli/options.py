"""The options of ``fastfc train``, which configuration files have too: each of them once.

An option of the network or of the Solver is stored under the name that the API gives the argument;
`fastfc.cli.arguments` hands them on by these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastfc.cli import values
from fastfc.cli.command import Option
from fastfc.cli.configuration import read_config, read_run
from fastfc.cli.folder import KEPT
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.networks.losses import LOSSES
from fastfc.training.guard import POLICIES
from fastfc.training.schedules import SCHEDULES
from fastfc.update_rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import click

DATA_SETS = ("digits", "cifar10", "mnist")
DATA = "{digits,cifar10,mnist,FILE.npz,FILE.csv,FILE.parquet}"
TABLE_OPTIONS = ("target", "ignore_columns", "category_columns", "id_column")
BACKENDS = ("fast", "reference")
ADAM_LEARNING_RATE = 5e-4
# What each update rule can be told besides its learning rate, as keys of its config.
RULE_OPTIONS = {
    name: tuple(key for key in rule.constants if key not in ("learning_rate", "t"))
    for name, rule in RULES.items()
}
RULE_KEYS = tuple(dict.fromkeys(key for keys in RULE_OPTIONS.values() for key in keys))
# Other ways to give an option.
ALIASES = {
    "--batchnorm": "--normalization=batchnorm",
    "--no-batchnorm": "--normalization=none",
}


def rules_with(key: str) -> str:
    """Return the names of the update rules that have a hyper-parameter, as a sentence has them."""
    *others, last = (rule for rule, keys in RULE_OPTIONS.items() if key in keys)
    return f"{', '.join(others)} and {last}" if others else last


def _in_group(group: str) -> Callable[..., Option]:
    """Return what makes an option of a group: by its name, type, default and help."""

    def option(
        name: str,
        type: click.ParamType[Any] | None,
        default: Any,
        help: str,
        flag: str | None = None,
        **more: Any,
    ) -> Option:
        flag = flag or "--" + name.replace("_", "-")
        return Option([flag, name], group=group, type=type, default=default, help=help, **more)

    return option


_data, _network, _optimizer = map(_in_group, ("data", "network", "optimizer"))
_training, _ranks, _output, _run = map(_in_group, ("training", "ranks", "output", "run"))


def _rule_option(key: str) -> Option:
    """Return the option that sets a hyper-parameter of update rules."""
    kinds = {"epsilon": values.positive, "weight_decay": values.not_negative}
    default = next(rule.constants[key] for rule in RULES.values() if key in rule.constants)
    matrices = ", for weight matrices" if key == "weight_decay" else ""
    return _optimizer(
        key,
        kinds.get(key, values.below_one),
        None,
        f"of {rules_with(key)}{matrices}",
        show_default=str(default),
    )


OPTIONS = [
    _data(
        "data",
        values.Path(DATA, DATA_SETS),
        "digits",
        "what to train on: the handwritten digits that come with fastfc, CIFAR-10, MNIST, a file "
        "with X_train, y_train, X_val, y_val and perhaps X_test, y_test, and weights of examples "
        "w_train, w_val, or a table",
    ),
    _data("target", None, None, "column of a table to predict", metavar="COLUMN"),
    _data(
        "ignore_columns",
        values.names,
        None,
        "columns of a table to leave out",
    ),
    _data(
        "category_columns",
        values.names,
        None,
        "columns of a table whose numbers are names, as of postal codes",
    ),
    _data(
        "id_column",
        None,
        None,
        "column of a table that names its rows: no input, but predictions have it",
        metavar="COLUMN",
    ),
    _data(
        "root",
        values.Path("DIR"),
        None,
        "folder of cifar10's or mnist's files",
        show_default="$FASTFC_DATA, the working directory and its parent",
    ),
    _data(
        "normalize",
        values.finite,
        None,
        "train and score on (X - MEAN) / STD",
        nargs=2,
        metavar="MEAN STD",
        show_default="on X as it is",
    ),
    _network(
        "hidden_dims",
        values.counts,
        [100, 100, 100],
        "sizes of the hidden layers",
        "--hidden",
        many=True,
        show_default="100 100 100",
    ),
    _network(
        "activation",
        values.one_of(*ACTIVATIONS),
        "relu",
        "what follows the product, and its normalisation, in a hidden layer",
    ),
    _network(
        "dropout",
        values.fraction,
        0.9,
        "probability of keeping a unit; 0 and 1 mean no dropout",
    ),
    _network(
        "dropout_convention",
        values.one_of("keep", "drop"),
        "keep",
        "what the number of --dropout is the probability of; of dropping, 1 is none",
    ),
    _network(
        "normalization",
        values.one_of("batchnorm", "layernorm", "none"),
        "batchnorm",
        "normalise hidden layers over the batch, over their own features, or not at all",
    ),
    *(
        Option(
            [flag],
            group="network",
            is_flag=True,
            expose_value=False,
            help=f"the same as {other.replace('=', ' ')}",
        )
        for flag, other in ALIASES.items()
    ),
    _network(
        "reg",
        values.not_negative,
        0.0,
        "L2 regularisation: half of it times the sum of squared weights",
    ),
    _network(
        "label_smoothing",
        values.fraction,
        0.0,
        "share of a label's weight that goes to all classes",
    ),
    _network(
        "loss",
        values.one_of(*LOSSES),
        "softmax",
        "what is minimised: softmax for classes, logistic for targets of 0 and 1, poisson for "
        "counts, the others for real numbers",
    ),
    _network(
        "loss_param",
        values.positive,
        None,
        "of huber the error from which on it is linear, of quantile which one",
        show_default="1, and 0.5",
    ),
    _network(
        "weight_scale",
        values.weight_scale,
        0.01,
        "standard deviation of the first weights, or a rule that fits it to each layer",
    ),
    _network(
        "dtype",
        values.one_of("float32", "float64"),
        None,
        "what the network computes in",
        show_default="float32; with --compare float64",
    ),
    _network(
        "rng",
        values.one_of("numpy", "philox"),
        "numpy",
        "where dropout's masks come from: NumPy's own stream, or a counter-based generator which "
        "all threads draw",
    ),
    _network(
        "dropout_seed",
        values.seed,
        None,
        "the key of every mask of --rng philox; NumPy's generator is seeded with it at every "
        "dropout, which is for checking gradients",
    ),
    _optimizer("update_rule", values.one_of(*RULES), "adam", "how parameters are updated"),
    _optimizer(
        "learning_rate",
        values.positive,
        None,
        "step size",
        show_default=f"{ADAM_LEARNING_RATE} for adam and adamw, 0.01 for the others",
    ),
    *map(_rule_option, RULE_KEYS),
    _optimizer(
        "lr_decay",
        values.positive,
        0.9,
        "factor on the learning rate after each epoch",
    ),
    _optimizer(
        "lr_schedule",
        values.schedule,
        None,
        f"factor on the learning rate for each step: {', '.join(SCHEDULES)}, perhaps with "
        "parameters, as cosine,warmup_steps=50",
    ),
    _optimizer(
        "on_nonfinite",
        values.one_of(*POLICIES),
        "stop",
        "at a loss that is NaN or infinite: end with the best parameters, train on, or end with "
        "nothing; status 2 but for continue",
    ),
    _optimizer("clip_norm", values.positive, None, "largest norm of all gradients together"),
    _training("batch_size", values.count, 100, "examples per step"),
    _training("num_epochs", values.count, 10, "passes over the data", "--epochs"),
    _training("max_steps", values.count, None, "end after so many steps"),
    _training("max_seconds", values.positive, None, "start no step after so many seconds"),
    _training(
        "pause_after",
        values.count,
        None,
        "stop after so many of the epochs, for --resume to go on: the schedules are those of all",
        metavar="EPOCHS",
    ),
    _training(
        "early_stopping",
        values.early_stopping,
        None,
        "end after so many accuracies in which that of validation did not get more than "
        "MIN_DELTA, by default 0, above its best",
    ),
    _training(
        "num_train_samples",
        values.count_or_all,
        1000,
        "training examples drawn for the accuracy of an epoch",
    ),
    _training("num_val_samples", values.count_or_all, "all", "validation examples drawn for it"),
    _ranks(
        "sync_batchnorm",
        None,
        True,
        "whether ranks, which mpiexec -n R fastfc train starts, normalise over the whole "
        "minibatch, not each over its own rows",
        "--sync-batchnorm/--no-sync-batchnorm",
        show_default="yes",
    ),
    _ranks(
        "check_ranks",
        None,
        False,
        "compare all ranks' parameters, state and draws after each step, bit for bit",
        is_flag=True,
    ),
    _ranks(
        "comm_timeout",
        values.positive,
        300.0,
        "seconds that a rank waits for the others before it ends them all",
    ),
    _output(
        "out",
        values.Path("DIR"),
        None,
        "write the run to this folder, a new one: config.toml, history.csv, checkpoints, of which "
        f"the last {KEPT} are kept, model.npz and summary.json",
    ),
    _output(
        "report",
        None,
        True,
        "whether the folder of --out gets a report.html, a page with pictures, by the extra plot",
        "--report/--no-report",
        show_default="yes",
    ),
    _output(
        "examples",
        None,
        True,
        "whether single examples are shown in it",
        "--examples/--no-examples",
        show_default="yes",
    ),
    _output(
        "save",
        values.Path(),
        None,
        "write the network with the best parameters to this file, for FullyConnectedNet.load",
    ),
    _output(
        "checkpoint_name",
        values.Path("NAME"),
        None,
        "write NAME_epoch_K.npz after each epoch, and NAME_step_N.npz where training ends within "
        "one, for --resume",
        "--checkpoint",
    ),
    _output(
        "checkpoint_every",
        values.every,
        None,
        "write checkpoints within epochs too, every so many steps, or after so much time, as 30s, "
        "5min or 1h",
    ),
    _output("keep_last", values.count, None, "delete this run's checkpoints but the last N"),
    _output(
        "overwrite",
        None,
        None,
        "whether --out may be the folder of another run, which this one replaces, or NAME have "
        "checkpoints of another run",
        "--overwrite/--no-overwrite",
        show_default="no for --out, yes for NAME",
    ),
    _output("print_every", values.count, 100, "steps from one printed loss to the next"),
    _output(
        "quiet",
        None,
        False,
        "print no losses and accuracies on the way",
        is_flag=True,
    ),
    _output(
        "progress",
        None,
        None,
        "show a progress bar",
        "--progress/--no-progress",
        show_default="on a terminal",
    ),
    _output(
        "json",
        None,
        False,
        "print the result as a JSON object on stdout, and all else on stderr",
        is_flag=True,
    ),
    _run(
        "seed",
        values.seed,
        0,
        "of NumPy's generator: weights, minibatches, dropout",
    ),
    _run(
        "config",
        values.Path("FILE.toml"),
        None,
        "take the options that are not given from this file",
        is_eager=True,
        callback=read_config,
    ),
    _run(
        "resume",
        values.Path("{DIR,FILE}"),
        None,
        "go on with the run in a folder of --out, or from a checkpoint, with its network and "
        "settings; options that are given replace its settings where they can change",
        is_eager=True,
        callback=read_run,
    ),
    _run(
        "backend",
        values.one_of(*BACKENDS),
        "fast",
        "the C kernels, or the same in plain NumPy",
    ),
    _run(
        "compare",
        None,
        False,
        "train with both backends; print the largest difference of their loss histories and how "
        "much faster the C kernels are. In float64 they differ by rounding; in float32 too, until "
        "rounding decides the sign of a ReLU's input, which moves the losses after it by some 1e-4",
        is_flag=True,
    ),
]
KEYS = {option.name: option.key for option in OPTIONS}  # in configuration files
_FLAGS = {option.name: option.flag for option in OPTIONS} | {"verbose": "--quiet"}


def flag_of(name: str) -> str:
    """Return the option that sets an argument of the API.

    Examples
    --------
    >>> flag_of("num_epochs"), flag_of("clip_norm")
    ('--epochs', '--clip-norm')
    """
    return _FLAGS.get(name, "--" + name.replace("_", "-"))
