"""What the Solver expects of the data that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def check_split(data: Mapping[str, Any], split: str) -> None:
    """Raise an error unless data has examples and as many labels for this split."""
    for key in (f"X_{split}", f"y_{split}"):
        if key not in data:
            raise ValueError(
                f'data has no "{key}", expected X_train, y_train, X_val and y_val; '
                f"it has {', '.join(map(str, data))}"
            )
    X = data[f"X_{split}"]
    if not hasattr(X, "shape") or not hasattr(X, "dtype") or not X.shape:
        raise TypeError(f"X_{split} is a {type(X).__name__}, expected an array of examples")
    examples, labels = X.shape[0], np.shape(data[f"y_{split}"])
    if examples == 0 or labels != (examples,):
        raise ValueError(
            f"y_{split} has shape {labels}, expected ({examples},) to match the {examples} "
            f"examples of X_{split}, at least one"
        )
