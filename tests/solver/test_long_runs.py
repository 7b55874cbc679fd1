"""Whole runs over the core and over the reference differ by their rounding errors, and no more.

In float64 a run over the core stays as near the reference's as the reference's own does when every
parameter is moved to a neighbouring number after each step. In float32, where rounding errors may
grow until they change accuracies, their distributions over many seeds are the same: a test of
equivalence, whose margin and power are stated here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from fastfc.data.digits import load_digits
from tests.support import cifar, drift
from tests.support.drift import FAST, REFERENCE
from tests.support.effort import LONG, report

only_long = pytest.mark.skipif(not LONG, reason="minutes of training: FASTFC_TRUST=1 tries it")


# --- float64 ----------------------------------------------------------------------------------

# A run over the core may lie this many times as far from the reference's as the furthest disturbed
# run. In units of u |w|, u the unit of roundoff, the disturbance is 1 to 2: the distance of two
# neighbours. A step of Adam is at first a twentieth of a typical w (5e-4 of 0.01) and goes through
# 16 roundings, w through one (tolerance.adam): 1.8 in either run. Gradients are sums of 100 to 3072
# terms, whose roundings are chance and so about the root of that, 55 at most, a twentieth of which
# reaches w: 3 in either run. Together, as independent errors add, less than 5; twice that is for
# the largest of few draws.
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
    by_epoch = drift.parameters_by_epoch(fast, reference)
    steps = len(reference.losses)
    report(f"float64, {network}, {steps} steps: core from reference", **printed(found))
    report(f"float64, {network}, {steps} steps: reference disturbed", **printed(disturbed))
    report(
        f"float64, {network}: largest difference of parameters by epoch",
        **{str(i): f"{x:.2g}" for i, x in enumerate(by_epoch, start=1)},
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

# Two one-sided t tests of paired differences (Schuirmann 1987) at the level of 5 %: mean accuracies
# that are MARGIN apart are found equivalent in at most 5 % of all trials. The runs of a pair have
# a seed in common, so they start alike and draw alike.
SEEDS = 20
MARGIN = 0.005
STUDENT = 1.729  # 95 % of Student's distribution with SEEDS - 1 degrees of freedom lie below


@dataclass(frozen=True)
class Trial:
    """Runs of some epochs, and the deviation of a difference that is expected.

    The deviation is that between runs of the reference and the same runs disturbed after each step
    as above, over seeds of their own: 40 and 12 of them, from 100 on.
    """

    network: str
    load: Callable
    epochs: int
    sigma: float

    def accuracies(self, package, data, **settings):
        """Return the validation accuracy at the end of a run in float32 with each seed."""
        settings = {"num_train_samples": 10, **settings}
        arguments = package, self.network, data, self.epochs, np.float32
        runs = (drift.train(*arguments, seed, **settings) for seed in range(SEEDS))
        return np.array([run.val_acc[-1] for run in runs])

    def equivalent(self, differences):
        """Whether their means over the last axis are shown to be within the margin."""
        error = differences.std(axis=-1, ddof=1) / np.sqrt(SEEDS)
        return np.abs(differences.mean(axis=-1)) + STUDENT * error < MARGIN

    def power(self, mean):
        """Return how often normal differences of this mean are found equivalent."""
        draws = np.random.default_rng(0).normal(mean, self.sigma, (20_000, SEEDS))
        return self.equivalent(draws).mean()


DIGITS = Trial("digits", load_digits, 3, 0.0032)
CIFAR = Trial("seed", lambda: cifar.real_images(5000, 5000), 4, 0.0040)


@pytest.mark.parametrize("trial", [DIGITS, CIFAR], ids=lambda trial: trial.network)
def test_power_of_the_test_of_accuracies(trial):
    """Equal means are found equivalent; means a margin apart in 5 % of all trials."""
    power, level = trial.power(0), trial.power(MARGIN)
    report(f"float32 accuracies, {trial.network}", power=f"{power:.4f}", level=f"{level:.3f}")
    assert power > 0.999
    assert level == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize(
    "trial",
    [pytest.param(DIGITS, id="digits"), pytest.param(CIFAR, id="CIFAR-10", marks=only_long)],
)
def test_float32_accuracies_do_not_differ(trial):
    data = trial.load()
    fast, reference = (trial.accuracies(package, data) for package in (FAST, REFERENCE))
    differences = fast - reference
    report(
        f"float32 accuracies, {trial.network}, {SEEDS} seeds",
        core=f"{fast.mean():.4f} ± {fast.std(ddof=1):.4f}",
        reference=f"{reference.mean():.4f} ± {reference.std(ddof=1):.4f}",
        differences=f"{differences.mean():.5f} ± {differences.std(ddof=1):.5f}",
        largest=f"{np.abs(differences).max():.4f}",
    )
    assert trial.equivalent(differences)
    # The stated power holds for the deviation that is expected: 1.52 is the square root of
    # chi-squared's 99.9 % point with SEEDS - 1 degrees of freedom over these.
    assert differences.std(ddof=1) <= 1.52 * trial.sigma


def test_another_learning_rate_is_seen_in_the_accuracies():
    data = load_digits()
    rate = {"learning_rate": 0.9 * drift.LEARNING_RATE}
    differences = DIGITS.accuracies(FAST, data) - DIGITS.accuracies(FAST, data, optim_config=rate)
    assert not DIGITS.equivalent(differences)
