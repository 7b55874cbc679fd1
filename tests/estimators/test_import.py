"""scikit-learn is needed by the estimators, and by nothing else."""

import pytest

from tests.support.process import in_new_process
