"""What a report is of: a network, its data and how it was trained."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..arguments import shown
from ..data.rows import check_normalization, read_rows
from ..locks import lock_of
from ..networks.losses import LOSSES
from ..preprocessing import width_of
from .drawing import image_shape
from .words import number, short

if TYPE_CHECKING:
    from .._types import AnyArray, Array, Labels
    from ..networks.fully_connected import FullyConnectedNet

COLUMNS = ("iteration", "epoch", "loss", "learning_rate", "seconds", "train_acc", "val_acc")
MOST_EXAMPLES = 20_000  # of a split, that the network is tried on
MOST_WATCHED = 1000  # whose outputs by layer are looked at


class Column(NamedTuple):
    """A column of the data: its name, the inputs that it became, and how."""

    name: str
    start: int
    width: int
    described: Mapping[str, Any] | None

    def shown(self, row: AnyArray) -> str:
        """Return what an example, (D,), has in this column, as the table had it."""
        values = row[self.start : self.start + self.width]
        if self.described is None:
            return number(values[0])
        if self.described["kind"] == "category":
            known = values.max() > 0.5
            return short(self.described["values"][int(values.argmax())]) if known else "another"
        value = float(values[0]) * float(self.described["std"]) + float(self.described["mean"])
        return str(value > 0.5) if self.described["kind"] == "boolean" else number(value)


class Run:
    """A run that is reported on; nothing of it is changed.

    Parameters
    ----------
    model, data, history, config, summary, examples
        As for `fastfc.report.write_report`.

    Attributes
    ----------
    network : FullyConnectedNet
        The model's parameters in a network of its own, whose passes leave no trace in the model.
    kind : str
        What it predicts: ``'classes'``; ``'binary'``, one score of a logistic loss; ``'labels'``,
        several of them; or ``'numbers'``.
    history : dict of ndarray
        All `COLUMNS`, float64.
    """

    def __init__(
        self,
        model: Any,
        data: Mapping[str, Any],
        history: Mapping[str, Any],
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
        examples: bool,
    ) -> None:
        if not hasattr(model, "_twin") or not hasattr(model, "loss_name"):
            raise TypeError(f"model is {shown(model)}, expected a network of fastfc's")
        for name, value in (("data", data), ("config", config), ("summary", summary)):
            if not isinstance(value, Mapping):
                raise TypeError(f"{name} is {shown(value)}, expected a dict")
        for name in ("X_train", "y_train", "X_val", "y_val"):
            if name not in data:
                raise ValueError(f"data has no {name}")
        with lock_of(model):
            self.network: FullyConnectedNet = model._twin()
            self.network.params = {name: np.array(w) for name, w in model.params.items()}
        self.data, self.config, self.summary, self.examples = data, config, summary, bool(examples)
        self.history = columns_of(history)
        self.preprocessing: Mapping[str, Any] = getattr(model, "preprocessing", None) or {}
        self.kind = _kind(self.network)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return tuple(int(size) for size in self.data["X_train"].shape[1:])

    @property
    def of_images(self) -> bool:
        """Whether examples are images."""
        return image_shape(self.example_shape) is not None

    def rows(self, split: str, most: int) -> Labels:
        """Return the numbers of some examples, evenly spaced, or of all where these are few."""
        count = int(self.data[f"X_{split}"].shape[0])
        return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))

    def inputs(self, split: str, rows: Labels) -> AnyArray:
        """Return examples as the network gets them."""
        X, dtype = self.data[f"X_{split}"], self.network.dtype
        if self.preprocessing.get("kind") != "normalize":
            return read_rows(X, rows, dtype)
        pair = self.preprocessing["mean"], self.preprocessing["std"]
        return read_rows(X, rows, dtype, check_normalization(pair, X.shape[1:], dtype))

    def raw(self, split: str, rows: Labels) -> AnyArray:
        """Return examples as the data have them."""
        return np.asarray(read_rows(self.data[f"X_{split}"], rows))

    def targets(self, split: str, rows: Labels) -> AnyArray:
        """Return labels, (n,), or targets, (n, M)."""
        y: AnyArray = np.asarray(self.data[f"y_{split}"])[rows]
        return y if self.kind == "classes" else y.reshape(len(rows), -1)

    def scores(self, split: str, rows: Labels, batch_size: int = 1000) -> Array:
        """Return the network's scores (n, M), float64."""
        starts = range(0, len(rows), batch_size)
        found = [
            self.network.loss(self.inputs(split, rows[start : start + batch_size]))
            for start in starts
        ]
        return np.concatenate(found).astype(np.float64)

    @property
    def class_names(self) -> list[str]:
        """The classes' names; their numbers where they have none."""
        count = np.shape(self.network.params[f"W{self.network.num_layers}"])[1]
        count = 2 if self.kind == "binary" else count
        names = self.preprocessing.get("target", {}).get("values", ())
        return [*map(short, names if len(names) == count else range(count))]

    @functools.cached_property
    def columns(self) -> list[Column]:
        """The columns that the network's inputs came of; of data without names one an input."""
        described = self.preprocessing.get("columns", ())
        found, start = [], 0
        for column in described:
            found.append(Column(short(column["name"]), start, width_of(column), column))
            start += found[-1].width
        inputs = np.shape(self.network.params["W1"])[0]
        if start == inputs:
            return found
        return [Column(f"column {i}", i, 1, None) for i in range(inputs)]

    def in_units(self, values: Array) -> Array:
        """Return targets, or predictions of them, as the table has them that they came of."""
        target = self.preprocessing.get("target", {})
        if self.kind != "numbers" or target.get("kind") != "numbers":
            return values
        scaled: Array = values * float(target["std"]) + float(target["mean"])
        return scaled

    @property
    def target_names(self) -> list[str]:
        """The names of the scores of a network that predicts numbers or labels."""
        count = np.shape(self.network.params[f"W{self.network.num_layers}"])[1]
        name = short(self.preprocessing.get("target", {}).get("name", "target"))
        return [name] if count == 1 else [f"{name} {i}" for i in range(count)]

    def setting(self, name: str, otherwise: Any) -> Any:
        """Return a setting of the configuration, in whichever of its tables it stands."""
        found = _find(self.config, name)
        return otherwise if found is None else found


def columns_of(history: Any) -> dict[str, Array]:
    """Return the columns of a run's history, float64; those that it does not have are NaN.

    Raises
    ------
    TypeError, ValueError
        It has no losses, or columns of different lengths.
    """
    found = getattr(history, "history", history)
    if not isinstance(found, Mapping) or "loss" not in found:
        raise TypeError(f"history is {shown(history)}, expected columns, 'loss' among them")
    columns: dict[str, Array]
    columns = {name: np.asarray(found[name], np.float64) for name in COLUMNS if name in found}
    steps = len(columns["loss"])
    for name, column in columns.items():
        if column.shape != (steps,):
            raise ValueError(f"history: {name} has shape {column.shape}, expected ({steps},)")
    for name in COLUMNS:
        columns.setdefault(name, np.full(steps, np.nan))
    if np.isnan(columns["iteration"]).any():
        columns["iteration"] = np.arange(1.0, steps + 1)
    return columns


def _kind(network: FullyConnectedNet) -> str:
    """Return what the network predicts."""
    loss = LOSSES[network.loss_name]
    if loss.labelled:
        return "classes"
    if loss.output != "logistic":
        return "numbers"
    scores = np.shape(network.params[f"W{network.num_layers}"])[1]
    return "binary" if scores == 1 else "labels"


def _find(config: Mapping[str, Any], name: str) -> Any:
    """Return the first value of that name in a dict of dicts, None if there is none."""
    if name in config:
        return config[name]
    tables = (value for value in config.values() if isinstance(value, Mapping))
    found = (_find(cast("Mapping[str, Any]", table), name) for table in tables)
    return next((value for value in found if value is not None), None)
