"""Whole runs over the core and over the reference differ by their rounding errors, and no more.

In float64 a run over the core stays as near the reference's as the reference's own does when every
parameter is moved to a neighbouring number after each step. In float32, where rounding errors may
grow until they change accuracies, their distributions over many seeds are the same: a test of
equivalence, whose margin and power are stated here.
"""

import numpy as np
import pytest

from fastfc.data.digits import load_digits
from tests.support import cifar, drift
from tests.support.drift import FAST, REFERENCE
from tests.support.effort import LONG, report

only_long = pytest.mark.skipif(not LONG, reason="minutes of training: FASTFC_TRUST=1 tries it")


# --- float64 ----------------------------------------------------------------------------------

# A run over the core may lie this many times as far from the reference's as the furthest disturbed
# run. Its roundings are of the disturbance's size. A step's own are counted in tolerance.adam: one
# of w, and 16 of the step, which is a hundredth of a typical w or less; those of a gradient reach w
# as a step's do. The disturbance is a rounding of w or two (the distance of two neighbours is 1 to
# 2 units of roundoff). So the count says 1 to 2; what is left is for the largest of few draws.
FACTOR = 10
DISTURBED = 2

RUNS = [
    pytest.param("digits", load_digits, 3, id="digits"),
    pytest.param(
        "seed", lambda: cifar.real_images(49000, 1000), 10, id="seed on CIFAR-10", marks=only_long
    ),
]


def furthest(runs, reference):
    """Return the largest drift of several runs, by what drifts."""
    drifts = [drift.drift(run, reference) for run in runs]
    return {name: max(each[name] for each in drifts) for name in drifts[0]}


def printed(figures):
    return {name: f"{value:.2g}" for name, value in figures.items()}


@pytest.mark.parametrize(("network", "load", "epochs"), RUNS)
def test_float64_runs_drift_as_rounding_errors_do(network, load, epochs):
    data = load()
    reference = drift.train(REFERENCE, network, data, epochs)
    disturbed = furthest(
        [
            drift.train(REFERENCE, network, data, epochs, disturb=drift.one_rounding(seed))
            for seed in range(DISTURBED)
        ],
        reference,
    )
    fast = drift.train(FAST, network, data, epochs)
    found = drift.drift(fast, reference)
    steps = len(reference.losses)
    report(f"float64, {network}, {steps} steps: core from reference", **printed(found))
    report(f"float64, {network}, {steps} steps: reference disturbed", **printed(disturbed))
    report(
        f"float64, {network}: largest difference of parameters by epoch",
        **{str(i): f"{x:.2g}" for i, x in enumerate(drift.parameters_by_epoch(fast, reference))},
    )
    report(
        f"float64, {network}: accuracies of the last epoch",
        training=f"{fast.train_acc[-1]:.3f} and {reference.train_acc[-1]:.3f}",
        validation=f"{fast.val_acc[-1]:.3f} and {reference.val_acc[-1]:.3f}",
    )
    for name in found:
        assert found[name] <= FACTOR * disturbed[name], name


def test_a_rate_off_by_a_trillionth_is_seen():
    """The bound of the test above is no wider than that."""
    data = load_digits()
    reference = drift.train(REFERENCE, "digits", data, 3)
    near = drift.train(REFERENCE, "digits", data, 3, disturb=drift.one_rounding(0))
    rate = {"learning_rate": drift.LEARNING_RATE * (1 + 1e-12)}
    off = drift.train(REFERENCE, "digits", data, 3, optim_config=rate)
    allowed = FACTOR * drift.drift(near, reference)["losses"]
    assert drift.drift(off, reference)["losses"] > allowed > 0


# --- float32 ----------------------------------------------------------------------------------

# Two one-sided t tests of paired differences (Schuirmann 1987) at the level of 5 %: a difference of
# mean accuracies of MARGIN or more is held to be none in at most 5 % of all trials. Both runs of a
# pair have a seed in common, so they start alike and draw alike.
SEEDS = 20
MARGIN = 0.0025
STUDENT = 1.729  # 95 % of Student's distribution with SEEDS - 1 degrees of freedom lie below

# The standard deviation of a difference, from 15 pairs of digits and 10 of CIFAR-10: the reference
# against itself, every first weight moved to a neighbour, with seeds of their own (100 and on).
SIGMA = 0.0015

ACCURACIES = [
    pytest.param("digits", load_digits, 3, id="digits"),
    pytest.param(
        "seed", lambda: cifar.real_images(5000, 5000), 4, id="seed on CIFAR-10", marks=only_long
    ),
]


def equivalent(differences):
    """Whether the mean differences, over the last axis, are shown to be within the margin."""
    error = differences.std(axis=-1, ddof=1) / np.sqrt(differences.shape[-1])
    return np.abs(differences.mean(axis=-1)) + STUDENT * error < MARGIN


def power(mean):
    """Return how often normal differences of this mean and of SIGMA are found equivalent."""
    draws = np.random.default_rng(0).normal(mean, SIGMA, (20_000, SEEDS))
    return equivalent(draws).mean()


def accuracies(package, network, data, epochs, **settings):
    """Return the validation accuracies at the end of runs with each seed, in float32."""
    settings = {"num_train_samples": 10, **settings}
    return np.array(
        [
            drift.train(package, network, data, epochs, np.float32, seed, **settings).val_acc[-1]
            for seed in range(SEEDS)
        ]
    )


def test_power_of_the_test_of_accuracies():
    """Equal means are found equivalent; means a margin apart are in 5 % of all trials."""
    report("float32 accuracies", power=f"{power(0):.4f}", level=f"{power(MARGIN):.3f}")
    assert power(0) > 0.999
    assert power(MARGIN) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize(("network", "load", "epochs"), ACCURACIES)
def test_float32_accuracies_do_not_differ(network, load, epochs):
    data = load()
    fast = accuracies(FAST, network, data, epochs)
    reference = accuracies(REFERENCE, network, data, epochs)
    differences = fast - reference
    report(
        f"float32 accuracies, {network}, {SEEDS} seeds",
        core=f"{fast.mean():.4f} ± {fast.std(ddof=1):.4f}",
        reference=f"{reference.mean():.4f} ± {reference.std(ddof=1):.4f}",
        differences=f"{differences.mean():.5f} ± {differences.std(ddof=1):.5f}",
        largest=f"{np.abs(differences).max():.4f}",
    )
    assert equivalent(differences)
    # The stated power holds only for such a deviation: 1.52 is the square root of chi-squared's
    # 99.9 % point with SEEDS - 1 degrees of freedom over these.
    assert differences.std(ddof=1) <= 1.52 * SIGMA


def test_another_learning_rate_is_seen_in_the_accuracies():
    data = load_digits()
    rate = {"learning_rate": 0.9 * drift.LEARNING_RATE}
    other = accuracies(FAST, "digits", data, 3, optim_config=rate)
    assert not equivalent(accuracies(FAST, "digits", data, 3) - other)
