"""``fastfc predict``: what a trained network makes of examples, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import numpy as np

from fastfc.cli import result, values
from fastfc.cli.command import Command, Option, UsageError, check_writable
from fastfc.cli.evaluate import names_of
from fastfc.cli.examples import choose, load_model, model_and_examples
from fastfc.networks.losses import LOSSES, predictions_of, probabilities_of
from fastfc.version import __version__

if TYPE_CHECKING:
    from typing import Any

    from fastfc._types import Array
    from fastfc.cli.examples import Chosen
    from fastfc.fc_net import FullyConnectedNet


@click.command(
    "predict",
    cls=Command,
    params=[
        *model_and_examples(
            "examples, with labels or without; of a table the columns that the model was "
            "trained on, in any order; of an archive X, or X_test and others",
            "all rows of a table, else test",
        ),
        Option(
            ["--out"],
            type=values.Path("{FILE.csv,FILE.parquet}"),
            required=True,
            help="write the table to this file",
        ),
        Option(
            ["--id-column"],
            metavar="COLUMN",
            help="the column of a table that names its rows",
            show_default="that of the training",
        ),
        Option(["--json", "as_json"], is_flag=True, help="print a JSON object"),
    ],
    examples=(
        "fastfc predict runs/first --data digits --out predictions.csv",
        "fastfc predict runs/first/model.npz --data digits --split val --out val.csv --json",
    ),
)
def command(
    model: str,
    data: str,
    out: str,
    root: str | None,
    split: str | None,
    id_column: str | None,
    as_json: bool,
) -> int:
    """Write what a trained network makes of examples.

    The table has a row for each example: the column that names it or its number, the label, and the
    probability of each class. Of a network that predicts numbers it has these, in the target's own
    units. MODEL is a run's folder, a network's file or a checkpoint.
    """
    from fastfc.data.tables import write_table

    check_writable("--out", out)
    network = load_model(model)
    chosen = choose(network, data, root, split, id_column)
    try:
        columns = predict(network, chosen)
    except (TypeError, ValueError) as error:
        raise UsageError(f"--data {data}: {error}") from error
    try:
        write_table(out, columns)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--out {error}") from error
    if as_json:
        about = {"source": data, "split": chosen.split, "examples": len(chosen.ids)}
        told = {"model": model, "data": about, "out": out, "columns": list(columns)}
        print(result.to_json({"fastfc": __version__, **told}))
    else:
        print(f"predictions: {out}, {len(chosen.ids)} rows of {', '.join(columns)}")
    return 0


def predict(model: FullyConnectedNet, chosen: Chosen) -> dict[str, Any]:
    """Return the columns that predictions are written as.

    Returns
    -------
    dict
        What names the rows; ``label`` and ``p_<class>`` for each class, or ``prediction``.  With
        several scores of another loss than softmax each has its own: ``label_0``, ``p_0`` ...

    Raises
    ------
    TypeError, ValueError
        The examples do not fit the network, or a score is NaN.

    Examples
    --------
    >>> from fastfc.cli.examples import Chosen
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> net = FullyConnectedNet([], input_dim=2, num_classes=2, weight_scale=0)
    >>> predict(net, Chosen(np.eye(2)[:1], None, None, ["a"], "name", "all"))
    {'name': ['a'], 'label': [0], 'p_0': [0.5], 'p_1': [0.5]}
    """
    scores = np.concatenate(list(model._scores(chosen.X, 1000)))
    name, loss = model.loss_name, LOSSES[model.loss_name]
    found = predictions_of(name, scores)
    columns: dict[str, Any] = {}
    if loss.labelled or (loss.output == "logistic" and scores.shape[1] == 1):
        names = names_of(model)
        columns["label"] = [names[i] for i in found.tolist()]
        probabilities = probabilities_of(name, scores)
        if not loss.labelled:
            probabilities = np.hstack([1 - probabilities, probabilities])
        columns |= _each(probabilities, [f"p_{one}" for one in names])
    elif loss.output == "logistic":
        count = scores.shape[1]
        columns |= _each(found, [f"label_{i}" for i in range(count)])
        columns |= _each(probabilities_of(name, scores), [f"p_{i}" for i in range(count)])
    else:
        target = (model.preprocessing or {}).get("target")
        if target is not None:
            from fastfc.data.tables import decode

            found = decode(found, target)
        found = found.reshape(scores.shape)
        count = scores.shape[1]
        names = ["prediction"] if count == 1 else [f"prediction_{i}" for i in range(count)]
        columns |= _each(found, names)
    id_name = chosen.id_name
    while id_name in columns:
        id_name += "_"
    return {id_name: list(chosen.ids), **columns}


def _each(values: Array, names: list[str]) -> dict[str, Any]:
    """Return the columns of an array, float32 as short as it is told apart."""
    shortest = values.astype(str).astype(np.float64) if values.dtype == np.float32 else values
    return {name: shortest[:, j].tolist() for j, name in enumerate(names)}
