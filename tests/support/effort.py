"""How long a test tries: briefly in the suite, at length in ``make trust`` (FASTFC_TRUST=1).

What a long run found out is printed, one line each, by :func:`report`; docs/trust.md gives these
figures.
"""

import os
import sys

LONG = os.environ.get("FASTFC_TRUST", "") not in ("", "0")


def effort(quick, long):
    """Return how often to try: `quick` in the suite, `long` in ``make trust``."""
    return long if LONG else quick


def report(what, **figures):
    """Print a line of ``make trust``: what was tried, and its figures."""
    if LONG:
        text = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        print(f"\ntrust: {what}: {text}", file=sys.__stderr__, flush=True)
