"""What the fast and the reference update rules share: what each keeps, and how it is called.

The rules that people use stand in :mod:`fastfc.optim` and :mod:`fastfc.reference.optim`.
"""

from .calls import UpdateRules
from .table import RULES, Rule

__all__ = ["RULES", "Rule", "UpdateRules"]
