"""What the Solver expects of the model and the data that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arguments import check_dense, check_features, count, shown
from ..arrays import to_array, to_examples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def check_model(model: Any) -> None:
    """Raise TypeError unless a Solver can train this: an object with params and loss."""
    for name in ("params", "loss"):
        if not hasattr(model, name):
            raise TypeError(
                f"model is {shown(model)}, which has no {name}, expected an object with params and "
                "loss"
            )
    params = model.params
    if not isinstance(params, Mapping) and not hasattr(params, "items"):
        raise TypeError(f"model.params is {shown(params)}, expected a dict of arrays")


def check_splits(model: Any, data: Any, least: int = 1) -> dict[str, Any]:
    """Return the data's examples, labels and weights, checked as far as the model says what it is.

    Networks of fastfc do so by ``__fastfc_sizes__`` and ``__fastfc_loss__``: then sizes, and labels
    or targets, are looked at, here and once, whole.  Other models get labels of any kind.

    Parameters
    ----------
    model : object
        The Solver's.
    data : mapping
        With ``X_train``, ``y_train``, ``X_val`` and ``y_val``, and maybe ``w_train`` and ``w_val``.
    least : int
        How many examples a split has at least: none, where other ranks may have some.

    Returns
    -------
    dict
        The examples as they came, which may lie in files, the labels as arrays, targets in the
        model's dtype, weights in float64 or None.

    Raises
    ------
    TypeError
        Examples or labels are no arrays, or not of a type that the model takes.
    ValueError
        A key is missing, a shape does not fit, or a label is out of range.

    Examples
    --------
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> X, y = np.eye(3), [1, 2, 3]
    >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    >>> check_splits(FullyConnectedNet([], input_dim=3, num_classes=3), data)
    Traceback (most recent call last):
    ValueError: y_train[2] is 3, expected a label from 0 to 2, the model has 3 classes: these labels
    run from 1 to 3, pass y_train - 1
    """
    if not isinstance(data, Mapping) and not hasattr(data, "keys"):
        raise TypeError(
            f"data is {shown(data)}, expected a dict of X_train, y_train, X_val and y_val"
        )
    checked = {}
    sizes = model_sizes(model)
    for split in ("train", "val"):
        X_name, y_name = f"X_{split}", f"y_{split}"
        for key in (X_name, y_name):
            if key not in data:
                raise ValueError(
                    f'data has no "{key}", expected X_train, y_train, X_val and y_val; '
                    f"it has {', '.join(map(str, data))}"
                )
        checked[X_name] = X = read_examples(X_name, data[X_name], ours=sizes is not None)
        if sizes is not None:  # before the labels, of which one example's axis is no count
            _check_type(X_name, X)
            check_features(X_name, X.shape, sizes[0])
        if sizes is not None and takes_targets(model):
            checked[y_name] = as_targets(y_name, data[y_name], X_name, X.shape[0], model, least)
        else:
            checked[y_name] = y = as_labels(y_name, data[y_name], X_name, X.shape[0], least)
            if sizes is not None and len(y):
                _check_labels(y_name, y, sizes[1], indices=split == "train")
        name = f"w_{split}"
        weights = data[name] if name in data else None  # noqa: SIM401  (it may have no get)
        checked[name] = as_weights(name, weights, X_name, X.shape[0], least)
    return checked


def check_pair(returned: Any) -> tuple[Any, Any]:
    """Return what ``model.loss`` has returned if it is a pair: loss and gradients."""
    try:
        loss, grads = returned
    except (TypeError, ValueError):
        raise TypeError(
            f"model.loss returned {shown(returned)}, expected the pair (loss, grads)"
        ) from None
    return loss, grads


def check_gradients(grads: Any, params: Mapping[str, Any]) -> None:
    """Raise an error unless there is a gradient of every parameter."""
    if not hasattr(grads, "keys"):
        raise TypeError(f"grads of model.loss is {shown(grads)}, expected a dict of arrays")
    if missing := [str(name) for name in params if name not in grads]:
        raise ValueError(
            f"grads of model.loss has no {', '.join(missing)}, expected a gradient of every "
            f"parameter; it has {', '.join(map(str, grads)) or 'none'}"
        )


def model_sizes(model: Any) -> tuple[int, int] | None:
    """Return numbers per example and classes of a network of fastfc's, None for other models."""
    sizes = getattr(model, "__fastfc_sizes__", None)
    return None if sizes is None else sizes()


def model_loss(model: Any) -> Any:
    """Return the `networks.losses.Loss` of a network of fastfc's, None for other models."""
    loss = getattr(model, "__fastfc_loss__", None)
    return None if loss is None else loss()


def takes_targets(model: Any) -> bool:
    """Return whether a network of fastfc's has a loss of targets, not of labels."""
    loss = model_loss(model)
    return loss is not None and not loss.labelled


def read_examples(name: str, X: Any, ours: bool) -> Any:
    """Return X, an array, wherever it lies, whose first axis counts examples.

    A network of fastfc's gets an array in the same memory in place of another library's; models of
    one's own get tensors as they come.

    Raises
    ------
    TypeError, ValueError
        It is none.
    """
    check_dense(name, X)
    if ours or not _has_rows(X):
        X = to_examples(name, X)
    if not _has_rows(X) or not X.shape:
        remedy = ": its shape is ()" if getattr(X, "shape", None) == () else ""
        if hasattr(X, "to_numpy"):
            remedy = ": pass its .to_numpy()"
        raise TypeError(f"{name} is a {type(X).__name__}, expected an array of examples{remedy}")
    return X


def _has_rows(X: Any) -> bool:
    """Return whether X has a shape, a dtype and rows by number; pandas finds them by labels."""
    return hasattr(X, "shape") and hasattr(X, "dtype") and not hasattr(X, "iloc")


def as_labels(name: str, y: Any, X_name: str, examples: int, least: int = 1) -> npt.NDArray[Any]:
    """Return labels as an array of shape (examples,), of whatever type they are.

    Raises
    ------
    TypeError
        They are no array.
    ValueError
        They are masked, or of another shape.

    Examples
    --------
    >>> as_labels("y", [[1], [0]], "X", 2)
    Traceback (most recent call last):
    ValueError: y has shape (2, 1), expected (2,) to match the 2 examples of X, at least one: pass
    y.ravel()
    """
    labels = to_array(name, y)
    if examples < least or labels.shape != (examples,):
        hint = ""
        if 0 < labels.size == examples:
            hint = f": pass {name}.ravel()"
        elif labels.ndim == 2 and labels.shape[0] == examples > 0:
            hint = f": of one-hot rows pass {name}.argmax(axis=1)"
        raise ValueError(
            f"{name} has shape {labels.shape}, expected ({examples},) to match the {examples} "
            f"examples of {X_name}, at least one{hint}"
        )
    return labels


def as_targets(
    name: str, y: Any, X_name: str, examples: int, model: Any, least: int = 1
) -> npt.NDArray[np.floating[Any]]:
    """Return the targets of a network of fastfc's as an array of its dtype.

    Raises
    ------
    TypeError
        They are no array of real numbers.
    ValueError
        They are masked, of another shape, or not such as the network's loss is for.

    Examples
    --------
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> model = FullyConnectedNet([], input_dim=3, num_classes=1, loss="poisson")
    >>> as_targets("y", [2, -1], "X", 2, model)
    Traceback (most recent call last):
    ValueError: y[1] is -1, expected finite numbers of at least 0 for the loss 'poisson'
    """
    targets = to_array(name, y)
    if targets.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {targets.dtype}, expected real numbers")
    scores = model_sizes(model)[1]  # type: ignore[index]  # it is one of ours
    shapes = [(examples, scores)] + [(examples,)] * (scores == 1)
    if examples < least or targets.shape not in shapes:
        raise ValueError(
            f"{name} has shape {targets.shape}, expected {' or '.join(map(str, shapes))} to match "
            f"the {examples} examples of {X_name}, at least one, and the model's {scores} scores"
        )
    loss = model_loss(model)
    if not (fits := loss.fits(targets)).all():
        place = np.unravel_index(int(np.argmin(fits)), targets.shape)
        raise ValueError(
            f"{name}[{', '.join(map(str, place))}] is {targets[place]}, expected {loss.target} for "
            f"the loss {loss.name!r}"
        )
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(targets, model.dtype)


def as_weights(
    name: str, weights: Any, X_name: str, examples: int, least: int = 1
) -> npt.NDArray[np.float64] | None:
    """Return the weights of so many examples in float64; None for None.

    Raises
    ------
    TypeError
        They are no array of real numbers.
    ValueError
        They are of another shape, one is negative or not finite, or their sum is 0.

    Examples
    --------
    >>> as_weights("w_train", [1, -1], "X_train", 2)
    Traceback (most recent call last):
    ValueError: w_train[1] is -1.0, expected finite numbers of at least 0
    """
    if weights is None:
        return None
    found = to_array(name, weights)
    if found.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {found.dtype}, expected real numbers")
    if found.shape != (examples,):
        raise ValueError(
            f"{name} has shape {found.shape}, expected ({examples},) to match the {examples} "
            f"examples of {X_name}"
        )
    found = np.ascontiguousarray(found, np.float64)
    fits = (found >= 0) & np.isfinite(found)
    if not fits.all():
        first = int(np.argmin(fits))
        raise ValueError(
            f"{name}[{first}] is {found[first]}, expected finite numbers of at least 0"
        )
    total = found.sum()
    if not (total > 0 or least == 0) or np.isinf(total):  # those of other ranks may count
        raise ValueError(f"{name} has the sum {found.sum()}, expected a finite sum above 0")
    return found


def check_scoring(
    model: Any, X: Any, y: Any, num_samples: Any, batch_size: Any
) -> tuple[Any, npt.NDArray[Any]]:
    """Return the examples and labels, or targets, of `Solver.check_accuracy`, all checked.

    Of their range `notices.warn_of_labels` tells; but no class that a network of fastfc's predicts
    can equal text.
    """
    sizes = model_sizes(model)
    X = read_examples("X", X, ours=sizes is not None)
    if sizes is not None:
        check_features("X", X.shape, sizes[0])
    if num_samples is not None:
        count("num_samples", num_samples)
    count("batch_size", batch_size)
    if sizes is not None and takes_targets(model):
        return X, as_targets("y", y, "X", X.shape[0], model)
    labels = as_labels("y", y, "X", X.shape[0])
    if sizes is not None and labels.dtype.kind not in "iufbO":
        raise TypeError(f"y has dtype {labels.dtype}, expected integers, the numbers of classes")
    return X, labels


def _check_type(name: str, X: Any) -> None:
    """Raise TypeError unless a network can cast X; of another library's dtype nothing is said."""
    try:
        dtype = np.dtype(X.dtype)
    except TypeError:
        return
    if dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {dtype}, expected real numbers")


def count_from_one(labels: npt.NDArray[Any], classes: int) -> bool:
    """Return whether labels are such as 1 to ``classes`` are, where 0 to ``classes - 1`` are meant.

    Examples
    --------
    >>> count_from_one(np.array([3, 1, 2]), 3), count_from_one(np.array([2, 0, 1]), 3)
    (True, False)
    """
    return bool(labels.min() >= 1 and labels.max() == classes)


def _check_labels(name: str, labels: Any, classes: Any, indices: Any) -> None:
    """Raise an error unless all labels are numbers of classes.

    Those of training are indices, of an integer type; those that are only compared may be floats.
    """
    if labels.dtype.kind not in ("iu" if indices else "iufb"):
        raise TypeError(
            f"{name} has dtype {labels.dtype}, expected integers from 0 to {classes - 1}"
            + f": whole numbers become some by {name}.astype(int)" * (labels.dtype.kind in "fbO")
        )
    fits = (labels >= 0) & (labels < classes)
    if labels.dtype.kind == "f":
        fits &= labels == np.floor(labels)
    if fits.all():
        return
    first = int(np.argmin(fits))
    hint = ""
    if count_from_one(labels, classes):
        hint = f": these labels run from {labels.min()} to {labels.max()}, pass {name} - 1"
    raise ValueError(
        f"{name}[{first}] is {labels[first]}, expected a label from 0 to {classes - 1}, the model "
        f"has {classes} classes{hint}"
    )
