"""``fastfc evaluate``: how good a trained network is on examples with labels or targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import numpy as np

from fastfc import losses
from fastfc.cli import result
from fastfc.cli.command import Command, Option, UsageError
from fastfc.cli.examples import choose, load_model, model_and_examples
from fastfc.networks.losses import LOSSES, loss_arguments, predictions_of
from fastfc.version import __version__

if TYPE_CHECKING:
    from typing import Any

    from fastfc._types import AnyArray, Array
    from fastfc.cli.examples import Chosen
    from fastfc.fc_net import FullyConnectedNet

MOST_CLASSES = 30  # that are printed


@click.command(
    "evaluate",
    cls=Command,
    params=[
        *model_and_examples(
            "examples with labels or targets; of a table the columns that the model was "
            "trained on, in any order",
            "test; of a table that the model was not trained on all",
        ),
        Option(["--json", "as_json"], is_flag=True, help="print a JSON object"),
    ],
    examples=(
        "fastfc evaluate runs/first --data digits",
        "fastfc evaluate runs/first/model.npz --data digits --split val --json",
    ),
)
def command(model: str, data: str, root: str | None, split: str | None, as_json: bool) -> int:
    """Print how good a trained network is.

    MODEL is a run's folder, a network's file or a checkpoint. What training made of the raw data,
    by --normalize or of a table's columns, is made of these too. How far predicted numbers are off
    is in the target's own units.
    """
    network = load_model(model)
    chosen = choose(network, data, root, split, needs_target=True)
    try:
        found = evaluate(network, chosen)
    except (TypeError, ValueError) as error:
        raise UsageError(f"--data {data}: {error}") from error
    if as_json:
        about = {"source": data, "split": chosen.split, "examples": len(chosen.ids)}
        print(result.to_json({"fastfc": __version__, "model": model, "data": about, **found}))
    else:
        which = "all" if chosen.split == "all" else f"the {chosen.split}"
        print(f"data: {data}, {which} examples, {len(chosen.ids)}")
        print("\n".join(lines_of(found)))
    return 0


def evaluate(model: FullyConnectedNet, chosen: Chosen) -> dict[str, Any]:
    """Return figures of a network on examples that have labels or targets.

    Returns
    -------
    dict
        ``loss``, without regularisation; ``accuracy``, ``classes`` and ``confusion``, or ``score``,
        as the Solver counts it, ``mean_absolute_error`` and ``root_mean_squared_error`` of numbers.

    Raises
    ------
    TypeError, ValueError
        The examples do not fit the network.

    Examples
    --------
    >>> from fastfc.cli.examples import Chosen
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> net = FullyConnectedNet([], input_dim=2, num_classes=2)
    >>> net.params["W1"] = np.eye(2, dtype=np.float32)
    >>> found = evaluate(net, Chosen(np.eye(2), np.array([0, 1]), None, [0, 1], "row", "all"))
    >>> found["accuracy"], found["confusion"]
    (1.0, [[1, 0], [0, 1]])
    """
    scores = np.concatenate(list(model._scores(chosen.X, 1000))).astype(np.float64)
    y, weights = np.asarray(chosen.y), chosen.weights
    name, loss = model.loss_name, LOSSES[model.loss_name]
    if not loss.labelled:
        y = y.reshape(scores.shape).astype(np.float64)
    arguments = {**loss_arguments(model), "sample_weight": weights}
    found: dict[str, Any] = {
        "loss": float(getattr(losses, f"{name}_loss")(scores, y, **arguments)[0])
    }
    predicted = predictions_of(name, scores)
    if loss.labelled:
        return found | _figures_of_classes(y, predicted, weights, names_of(model))
    score = model.__fastfc_score__(scores, y, weights)
    if loss.output == "logistic":
        found["accuracy"] = score
        if scores.shape[1] == 1:
            found |= _figures_of_classes(
                y[:, 0].astype(np.intp), predicted, weights, names_of(model)
            )
        return found
    unit = unit_of(model)
    error = np.abs(predicted.reshape(y.shape) - y) * unit
    share = None if weights is None else np.broadcast_to(weights[:, np.newaxis], y.shape)
    found["score"] = score
    found["mean_absolute_error"] = float(np.average(error, weights=share))
    found["root_mean_squared_error"] = float(np.sqrt(np.average(error**2, weights=share)))
    return found


def names_of(model: FullyConnectedNet) -> list[Any]:
    """Return the names of a network's classes: those of a table's target, or their numbers.

    Examples
    --------
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> names_of(FullyConnectedNet([], input_dim=2, num_classes=3))
    [0, 1, 2]
    """
    target = (model.preprocessing or {}).get("target", {})
    if target.get("kind") == "labels":
        return list(target["values"])
    outputs = model._arguments["num_classes"]
    return list(range(2 if model.loss_name == "logistic" and outputs == 1 else outputs))


def unit_of(model: FullyConnectedNet) -> float:
    """Return what one of a network's scores is in the units of its target."""
    target = (model.preprocessing or {}).get("target", {})
    return float(target["std"]) if target.get("kind") == "numbers" else 1.0


def _figures_of_classes(
    y: AnyArray, predicted: AnyArray, weights: Array | None, names: list[Any]
) -> dict[str, Any]:
    """Return accuracy, confusion matrix, and each class's examples, precision and recall."""
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (y, predicted), 1)
    right, true, taken = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    classes = [
        {
            "name": name,
            "examples": int(true[i]),
            "precision": float(right[i] / taken[i]) if taken[i] else None,
            "recall": float(right[i] / true[i]) if true[i] else None,
        }
        for i, name in enumerate(names)
    ]
    accuracy = float(np.average(predicted == y, weights=weights))
    return {"accuracy": accuracy, "classes": classes, "confusion": confusion.tolist()}


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return the lines that figures are printed as.

    Examples
    --------
    >>> lines_of({"loss": 0.25, "score": 0.5})
    ['loss: 0.2500', 'score: 0.500']
    """
    kinds = {
        "loss": ".4f",
        "accuracy": ".3f",
        "score": ".3f",
        "mean_absolute_error": ".4g",
        "root_mean_squared_error": ".4g",
    }
    lines = [
        f"{name.replace('_', ' ')}: {found[name]:{kind}}"
        for name, kind in kinds.items()
        if name in found
    ]
    classes = found.get("classes", [])
    if 0 < len(classes) <= MOST_CLASSES:
        width = max(len("class"), *(len(str(each["name"])) for each in classes))
        lines.append(f"{'class':{width}}  examples  precision  recall")
        for each in classes:
            shares = [each["precision"], each["recall"]]
            precision, recall = ("-" if share is None else f"{share:.3f}" for share in shares)
            name = str(each["name"])
            lines.append(f"{name:{width}}  {each['examples']:8}  {precision:>9}  {recall:>6}")
    return lines
