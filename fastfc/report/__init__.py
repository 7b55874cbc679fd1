"""A run as one page for a browser: ``pip install fastfc[plot]``.

The page needs no network and no other file, and runs no script: pictures are drawn into it by
`fastfc.plots`.  It follows the reader's light or dark colours and fits a telephone; what a picture
shows stands in words and in tables too.
"""

from .. import plots as _plots  # noqa: F401  (first, since it names the extra that is missing)
from .comparison import write_comparison
from .writing import write_report

__all__ = ["write_comparison", "write_report"]
