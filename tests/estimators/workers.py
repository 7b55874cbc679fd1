"""What tests let workers run: importable by name, as they are in another process."""

import fastfc
from fastfc import _core
from fastfc.estimators import FCClassifier


class Threads:
    """Notes how many threads the core may use in a fit."""

    def __init__(self):
        self.seen = []

    def on_epoch(self, fit):
        own = _core.set_own_threads(1)
        _core.set_own_threads(own)
        self.seen.append(own or fastfc.get_num_threads())


def fit_and_count(X, y, **given):
    """Return the threads of a fit in this worker, and its probabilities."""
    threads = Threads()
    est = FCClassifier(callbacks=threads, max_iter=2, random_state=0, **given).fit(X, y)
    return threads.seen, est.predict_proba(X)
