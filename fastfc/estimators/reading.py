"""X and y as people pass them, checked as scikit-learn does: tensors and tables too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_array, check_X_y, validate_data

from ..foreign import adopt

if TYPE_CHECKING:
    from typing import Any

    from .._types import AnyArray

NO_TARGETS = "no_validation"  # as scikit-learn has it


def read_data(estimator: Any, X: Any, y: Any = NO_TARGETS, *, reset: bool, **options: Any) -> Any:
    """Return X, or X and y, as `sklearn.utils.validation.validate_data` does.

    Parameters
    ----------
    estimator : FCClassifier or FCRegressor
        Learns the number and the names of the columns, or compares them.
    X, y : object
        Arrays of other libraries are adopted; tables of polars and Arrow are copied once, and keep
        their columns' names.
    reset : bool
        Whether to learn what an X looks like.
    options : dict
        Of `validate_data`.

    Returns
    -------
    array or sparse matrix, or a pair
    """
    given, X = X, adopt_data("X", X)
    if y is not NO_TARGETS:
        y = adopt_data("y", y)
    if X is given or not hasattr(given, "columns"):
        if _is_clean(X, y, options.get("dtype", ())):
            options = {"skip_check_array": True}
        return validate_data(estimator, X, y, reset=reset, **options)
    validate_data(estimator, given, reset=reset, skip_check_array=True)
    if y is NO_TARGETS:
        return check_array(X, estimator=estimator, input_name="X", **options)
    return check_X_y(X, y, estimator=estimator, **options)


def _is_clean(X: Any, y: Any, dtypes: Any) -> bool:
    """Return whether X and y are plain arrays that `validate_data` would return as they are."""
    return (
        type(X) is type(y) is np.ndarray
        and X.ndim == 2
        and y.ndim == 1
        and len(X) == len(y)
        and X.size > 0
        and X.dtype in dtypes
        and y.dtype.kind in "biuf"
        and _has_finite_sum(X)
        and _has_finite_sum(y)
    )


def _has_finite_sum(array: AnyArray) -> bool:
    """Return whether all is finite for sure: a sum may overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.dtype.kind != "f" or bool(np.isfinite(array.sum()))


def adopt_data(name: str, value: Any) -> Any:
    """Return an array in memory as NumPy's; what is of pandas is left to scikit-learn.

    Raises
    ------
    TypeError, ValueError
        As `fastfc.foreign.adopt`.
    """
    return value if hasattr(value, "iloc") else adopt(name, value)
