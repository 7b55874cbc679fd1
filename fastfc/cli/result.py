"""What a run has come to: in words, and as the JSON object of ``--json``."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from fastfc.update_rules import RULES
from fastfc.version import __version__

if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from fastfc.solver import Solver


def collect(
    options: SimpleNamespace,
    given: set[str],
    solver: Solver,
    accuracies: dict[str, float],
    seconds: float,
    examples: int,
) -> dict[str, Any]:
    """Return all figures of a run as a dict.

    Parameters
    ----------
    options : SimpleNamespace
    given : set of str
        The names of options that were given: of a run that goes on, others say nothing.
    solver : Solver
        After the training.
    accuracies : dict
        Those of the best parameters, by split.
    seconds : float
        Spent in training, in this process.
    examples : int
        Trained on in that time.

    Returns
    -------
    dict
    """
    names = given if options.resume else vars(options).keys() - {"comm"}
    return {
        "fastfc": __version__,
        "network": describe_network(solver.model),
        "options": {name: getattr(options, name) for name in sorted(names)},
        "stop_reason": solver.stop_reason,
        "nonfinite": None if solver.nonfinite is None else str(solver.nonfinite),
        "epochs": solver.epoch,
        "steps": len(solver.loss_history),
        "loss_history": solver.loss_history,
        "train_acc_history": solver.train_acc_history,
        "val_acc_history": solver.val_acc_history,
        "accuracy": accuracies,
        "seconds": seconds,
        "examples_per_second": examples / seconds,
        "saved": options.save,
        "out": options.out,
        "checkpoint": solver.checkpoint_path,
    }


def describe_network(model: Any) -> dict[str, Any]:
    """Return a dict that says what the network is.

    Examples
    --------
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> about = describe_network(FullyConnectedNet([5], input_dim=4, dropout=0.9))
    >>> about["layers"], about["dropout"], about["parameters"]
    ([4, 5, 10], {'p': 0.9}, 85)
    """
    matrices = [np.shape(model.params[f"W{i}"]) for i in range(1, model.num_layers + 1)]
    return {
        "layers": [matrices[0][0], *(columns for _, columns in matrices)],
        "activation": model.activation,
        "normalization": model.normalization,
        "dropout": {name: value for name, value in model.dropout_param.items() if name != "mode"},
        "reg": model.reg,
        "label_smoothing": model.label_smoothing,
        "loss": model.loss_name,
        "loss_param": model.loss_param,
        "dtype": np.dtype(model.dtype).name,
        "parameters": sum(np.size(value) for value in model.params.values()),
    }


def network_in_words(solver: Solver) -> str:
    """Return a line that says what is trained, and by which rule.

    Examples
    --------
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> from fastfc.solver import Solver
    >>> X, y = np.eye(4), np.arange(4)
    >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    >>> model = FullyConnectedNet([5], input_dim=4, use_batchnorm=True, dropout=0.9)
    >>> network_in_words(Solver(model, data, update_rule="adam", batch_size=4))
    'network: 4-5-10, batchnorm, dropout 0.9, float32, 95 parameters; adam, learning rate 0.001'
    """
    about = describe_network(solver.model)
    dropout = about["dropout"]
    words = ["-".join(map(str, about["layers"]))]
    words += [about["activation"]] * (about["activation"] != "relu")
    words.append(about["normalization"] or "no normalisation")
    if dropout:
        words.append(f"dropout {dropout['p']:g}{' of dropping' * ('convention' in dropout)}")
    if about["loss"] != "softmax":
        param = "" if about["loss_param"] is None else f" {about['loss_param']:g}"
        words.append(f"{about['loss']}{param}")
    if about["reg"]:
        words.append(f"L2 {about['reg']:g}")
    words += [about["dtype"], f"{about['parameters']} parameters"]
    rule: str = getattr(solver.update_rule, "__name__")  # noqa: B009  (functions have it)
    return f"network: {', '.join(words)}; {rule}, learning rate {learning_rate(solver):g}"


def learning_rate(solver: Solver) -> float:
    """Return the learning rate that a run begins with."""
    rule: str = getattr(solver.update_rule, "__name__")  # noqa: B009  (functions have it)
    rate: float = {**RULES[rule].constants, **solver.optim_config}["learning_rate"]
    return rate


def to_json(value: Any, indent: int | None = None) -> str:
    """Return the text of a JSON object, numbers that are not finite as null.

    Examples
    --------
    >>> to_json({"loss": [np.float32(0.5), float("nan")], "seconds": 2})
    '{"loss": [0.5, null], "seconds": 2}'
    """
    return json.dumps(_plain(value), allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
