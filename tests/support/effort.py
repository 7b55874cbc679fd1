"""How long a test tries: briefly in the suite, at length in ``make trust`` (FASTFC_TRUST=1).

What a long run found out is printed, one line each, by :func:`report`; docs/trust.md gives these
figures.
"""

import os
import sys

import hypothesis

PART = 10_000  # examples of one search: where one finds a fault, the others still go on
LONG = os.environ.get("FASTFC_TRUST", "") not in ("", "0")


def effort(quick, long):
    """Return how often to try: `quick` in the suite, `long` in ``make trust``."""
    return long if LONG else quick


def report(what, **figures):
    """Print a line of ``make trust``: what was tried, and its figures."""
    if LONG:
        text = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        print(f"\ntrust: {what}: {text}", file=sys.__stderr__, flush=True)


def parts(long):
    """Return the numbers of the searches that `try_examples` makes: together `long` examples."""
    return range(effort(1, -(-long // PART)))


def try_examples(check, strategies, part, quick):
    """Let hypothesis draw `quick` examples, or at length a part of many, and check each.

    Parameters
    ----------
    check : callable
        Takes what the strategies draw, and raises where it is not right.
    strategies : sequence of hypothesis.strategies.SearchStrategy
    part : int
        Of `parts`: each has examples of its own, the same in every run.
    """
    settings = hypothesis.settings(max_examples=effort(quick, PART))
    hypothesis.seed(part)(settings(hypothesis.given(*strategies)(check)))()
    report(check.__name__, part=part, examples=effort(quick, PART))
