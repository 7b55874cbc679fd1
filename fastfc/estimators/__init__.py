"""Estimators of scikit-learn's kind over the C core: `FCClassifier` and `FCRegressor`.

They take what scikit-learn's ``MLPClassifier`` and ``MLPRegressor`` take, under the same names and
with the same meaning, and more.  Needs scikit-learn: ``pip install fastfc[sklearn]``.
"""

from ..optional import missing_package

try:
    import sklearn  # noqa: F401  (says what is missing before a module below does)
except ImportError as error:
    raise missing_package("fastfc.estimators", "scikit-learn", "sklearn", error) from error

from .classifier import FCClassifier
from .regressor import FCRegressor

__all__ = ["FCClassifier", "FCRegressor"]
