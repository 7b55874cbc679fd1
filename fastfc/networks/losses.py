"""The losses that a network can have: what each takes, and what it makes of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..arguments import check_number, check_word, shown
from ..arrays import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._types import AnyArray, Array


class Parameter(NamedTuple):
    """A loss's parameter, ``loss_param`` of a network: its name as an argument, and its values."""

    name: str
    default: float
    expected: str
    accepts: Callable[[float], bool]


class Loss(NamedTuple):
    """A loss.

    Attributes
    ----------
    name : str
        Its function is ``NAME_loss``.
    parameter : Parameter or None
    labelled : bool
        Whether it is of labels, the numbers of classes; else it is of a target for each score.
    smoothed : bool
        Whether it takes ``label_smoothing``.
    output : str or None
        What makes predictions of scores: ``'softmax'``, ``'logistic'``, ``'exp'``, or nothing.
    target : str
        What numbers its targets are.
    fits : callable
        (targets) -> which of them are.
    """

    name: str
    parameter: Parameter | None = None
    labelled: bool = False
    smoothed: bool = False
    output: str | None = None
    target: str = "real numbers"
    fits: Callable[[AnyArray], AnyArray] = np.isfinite


_HUBER = Parameter("delta", 1.0, "a finite number above 0", lambda d: 0 < d < np.inf)
_QUANTILE = Parameter("level", 0.5, "a number in (0, 1)", lambda q: 0 < q < 1)
_ALL = (
    Loss("softmax", labelled=True, smoothed=True, output="softmax"),
    Loss(
        "logistic",
        smoothed=True,
        output="logistic",
        target="numbers from 0 to 1",
        fits=lambda y: (y >= 0) & (y <= 1),
    ),
    Loss("squared_error"),
    Loss("absolute_error"),
    Loss("huber", _HUBER),
    Loss("quantile", _QUANTILE),
    Loss(
        "poisson",
        output="exp",
        target="finite numbers of at least 0",
        fits=lambda y: (y >= 0) & (y < np.inf),
    ),
)
LOSSES = {loss.name: loss for loss in _ALL}


def check_loss(name: Any, param: Any, label_smoothing: float) -> tuple[str, float | None]:
    """Return a loss's name and parameter, by default its own, if there is such a loss.

    Raises
    ------
    ValueError
        There is none, it has no such parameter or none at all, or it does not smooth labels.

    Examples
    --------
    >>> check_loss("huber", None, 0.0)
    ('huber', 1.0)
    >>> check_loss("poisson", 2, 0.0)
    Traceback (most recent call last):
    ValueError: loss_param is 2, expected None: the loss 'poisson' has no parameter
    """
    name = check_word("loss", name, list(LOSSES))
    parameter = LOSSES[name].parameter
    if label_smoothing != 0 and not LOSSES[name].smoothed:
        raise ValueError(
            f"label_smoothing is {shown(label_smoothing)}, expected 0: the loss {name!r} has no "
            "labels"
        )
    if parameter is None:
        if param is not None:
            raise ValueError(
                f"loss_param is {shown(param)}, expected None: the loss {name!r} has no parameter"
            )
        return name, None
    if param is None:
        return name, parameter.default
    expected = f"{parameter.expected}: the {parameter.name} of the loss {name!r}"
    return name, check_number("loss_param", param, expected, parameter.accepts)


def loss_arguments(network: Any) -> dict[str, Any]:
    """Return what a network's loss is called with beside scores, labels and weights.

    Raises
    ------
    ValueError
        As `check_loss`; users may set these attributes.
    """
    name, param = check_loss(network.loss_name, network.loss_param, network.label_smoothing)
    if LOSSES[name].smoothed:
        return {"label_smoothing": network.label_smoothing}
    parameter = LOSSES[name].parameter
    return {} if parameter is None else {parameter.name: param}


@quiet
def predictions_of(loss: str, scores: Array) -> AnyArray:
    """Return what a network with such a loss predicts by its scores (N, M).

    Classes (N,); or for each score, (N, M), or (N,) where M is 1: 0 or 1, or a number.
    """
    if LOSSES[loss].labelled:
        classes: AnyArray = scores.argmax(axis=1)
        return classes
    rows: AnyArray = scores[:, 0] if scores.shape[1] == 1 else scores
    if LOSSES[loss].output == "logistic":
        rows = (rows > 0).astype(np.intp)
    elif LOSSES[loss].output == "exp":
        rows = np.exp(rows)
    return rows


@quiet
def probabilities_of(loss: str, scores: Array) -> Array:
    """Return the probabilities (N, M) that scores stand for: of classes, or of 1 for each score.

    Raises
    ------
    ValueError
        The loss is of no classes.
    """
    if LOSSES[loss].output == "softmax":  # shifted, so that nothing overflows
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities
    if LOSSES[loss].output == "logistic":
        e = np.exp(-np.abs(scores))
        probabilities = np.where(scores >= 0, 1, e) / (1 + e)
        return probabilities
    raise ValueError(
        f"predict_proba: the network's loss is {loss!r}, expected 'softmax' or 'logistic', which "
        "are of classes"
    )
