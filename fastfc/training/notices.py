"""What a Solver says about settings that work, but hardly as they were meant."""

import math
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from .splits import count_from_one, model_sizes, takes_targets

# Measured: from small weights Adam's loss stands still for up to 30 steps, and then falls.
_STEPS_TO_JUDGE = 50
_LEAST = 0.01  # of the information in a label, ln(classes)


def warn(text: str) -> None:
    """Warn at the line outside fastfc that has led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fastfc."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)


def warn_of_settings(solver: Any) -> None:
    """Warn of a batch larger than the data, and of a dropout that repeats minibatches."""
    if solver.batch_size > solver._train_size:
        warn(
            "batch_size is above the number of training examples: every minibatch holds some of "
            "them more than once"
        )
    dropout_param = getattr(solver.model, "dropout_param", None)
    if not isinstance(dropout_param, Mapping) or dropout_param.get("seed") is None:
        return
    if str(dropout_param.get("rng")) != "philox" and getattr(solver.model, "num_layers", 2) != 1:
        warn(
            "dropout with a seed reseeds np.random in every pass, and the Solver draws minibatches "
            "from np.random: it draws the same few ones again and again.  Leave seed= out for "
            "training, or take rng='philox', whose masks leave np.random alone"
        )


def warn_of_labels(solver: Any, y: Any) -> None:
    """Warn of labels from 1 on, of which hardly one is right; the Solver's own are refused."""
    sizes = None if takes_targets(solver.model) else model_sizes(solver.model)
    if sizes is not None and y.dtype.kind in "iuf" and count_from_one(y, sizes[1]):
        warn(
            f"y runs from {y.min()} to {y.max()}, expected labels from 0 to {sizes[1] - 1}, the "
            f"model has {sizes[1]} classes: pass y - 1"
        )


def warn_of_nan(solver: Any, X: Any, batch: Any, scores: Any) -> None:
    """Warn of NaN in X, which a batch of it and its scores show; once of each X.

    Of X_train the loss tells, and so it does where the parameters are at fault.
    """
    scores = np.asarray(scores)
    if scores.dtype.kind != "f" or not math.isnan(scores.max(initial=-math.inf)):
        return
    batch = np.asarray(batch)
    name = "X_val" if X is solver.X_val else "X"
    said = vars(solver).setdefault("_warned_of_nan", set())
    seen = X is solver.X_train or name in said
    if seen or batch.dtype.kind != "f" or np.isfinite(batch).all():
        return
    said.add(name)
    warn(
        f"{name} has examples that are not finite, whose scores are NaN: predictions of them mean "
        "nothing, and are counted in the accuracy"
    )


def warn_of_standstill(solver: Any) -> None:
    """Warn if the loss of a network of fastfc's has not moved; asked at the end of every epoch.

    Scores that are all equal have the loss ln(C), which is all the information that a label of C
    classes can hold.  The loss stands still if it is no less than 99 % of that and if, along a
    straight line through all losses so far, two standard errors of its slope allowed for, a whole
    run of this length would move it by less than 1 % of that.  Asked once, at the end of the first
    epoch that completes fifty steps.
    """
    losses = solver.loss_history
    per_epoch = solver._steps_per_epoch
    if not len(losses) - per_epoch < _STEPS_TO_JUDGE <= len(losses):
        return
    sizes = None if takes_targets(solver.model) else model_sizes(solver.model)
    schedule = getattr(getattr(solver, "_rates", None), "schedule", None)
    warming_up = getattr(schedule, "warmup_steps", 0) >= len(losses)
    if sizes is None or sizes[1] < 2 or warming_up or not np.isfinite(losses).all():
        return
    information = math.log(sizes[1])
    history = np.asarray(losses, np.float64)
    with np.errstate(all="ignore"):
        (slope, _), covariance = np.polyfit(np.arange(len(history)), history, 1, cov=True)
    slope = abs(slope) + 2 * math.sqrt(covariance[0, 0])
    steps = max(solver.num_epochs * per_epoch, len(losses))
    still_equal = history[-_STEPS_TO_JUDGE:].mean() >= (1 - _LEAST) * information
    if still_equal and slope * steps < _LEAST * information:
        warn(
            "the loss has not moved, and at this pace it will not within this run: it is still "
            "that of equal scores for all classes.  Try weights that fit the layers' sizes, "
            "weight_scale='he' in the network, update_rule='adam', or a larger learning_rate"
        )
