"""scikit-learn's own checks of estimators, and its own tests of MLPs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import fastfc
from fastfc.estimators import FCClassifier, FCRegressor


@parametrize_with_checks([FCClassifier(), FCRegressor()])
def test_all_checks_pass(estimator, check):
    check(estimator)


# With what no repetition of a row can equal a weight: statistics are not weighted, and a mask
# belongs to a row.
UNWEIGHTED = {
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
}
CONFIGURED = [
    (FCClassifier, MLPClassifier, {"early_stopping": True}, {}),
    (FCRegressor, MLPRegressor, {"early_stopping": True}, {}),
    (FCRegressor, MLPRegressor, {"loss": "poisson"}, {}),
    (FCClassifier, MLPClassifier, {"solver": "lbfgs"}, {}),
    (FCRegressor, MLPRegressor, {"solver": "lbfgs"}, {}),
    (FCClassifier, MLPClassifier, {"batch_size": 4}, {}),
    (FCRegressor, MLPRegressor, {"batch_size": 4}, {}),
    (FCClassifier, MLPClassifier, {}, {"dropout": 0.1}),
    (FCRegressor, MLPRegressor, {}, {"dropout": 0.1}),
    (FCClassifier, MLPClassifier, {}, {"normalization": "batchnorm"}),
    (FCRegressor, MLPRegressor, {}, {"normalization": "batchnorm"}),
]


def name_of(check):
    return getattr(check, "func", check).__name__


def failure_of(estimator, check):
    """Return what a check says, None if it passes or does not apply."""
    try:
        check(estimator)
    except pytest.skip.Exception:
        return None
    except Exception as error:
        return None if type(error).__name__ == "SkipTest" else error
    return None


@pytest.mark.parametrize(
    ("ours", "theirs", "both", "more"),
    CONFIGURED,
    ids=[f"{ours.__name__}-{both | more}" for ours, _, both, more in CONFIGURED],
)
def test_no_check_fails_that_theirs_pass(ours, theirs, both, more):
    their_checks = {}
    for _, check in estimator_checks_generator(theirs()):
        their_checks.setdefault(name_of(check), []).append(check)
    wrong = {}
    for estimator, check in estimator_checks_generator(ours(**both, **more)):
        name = name_of(check)
        if more and name in UNWEIGHTED:
            continue
        error = failure_of(estimator, check)
        same = their_checks.get(name, [])
        if (
            error is not None
            and same
            and all(failure_of(theirs(**both), their) is None for their in same)
        ):
            wrong[name] = repr(error)
    assert wrong == {}


def test_their_own_tests_pass(tmp_path):
    """scikit-learn's tests of its MLPs, with our classes under their names.

    But for one, which calls a private function.
    """
    (tmp_path / "replaced.py").write_text(
        "import sklearn.neural_network\n"
        "from fastfc.estimators import FCClassifier, FCRegressor\n"
        "sklearn.neural_network.MLPClassifier = FCClassifier\n"
        "sklearn.neural_network.MLPRegressor = FCRegressor\n"
    )
    paths = [str(tmp_path), str(Path(fastfc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "replaced", "-p", "no:cacheprovider"),
        *("-W", "ignore::UserWarning", "-k", "not test_gradient"),
        *("--pyargs", "sklearn.neural_network.tests.test_mlp"),
    ]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:]
    assert " passed" in run.stdout
