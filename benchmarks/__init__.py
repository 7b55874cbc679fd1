"""What fastfc's operations and training steps cost, beside plain NumPy: `python -m benchmarks`."""

import os
import sys

# `python -m` puts the checkout first on the path, where fastfc is source without its compiled core.
# Last, it serves `benchmarks` and `tests` only, unless fastfc was built in place.
_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != _root] + [_root]
