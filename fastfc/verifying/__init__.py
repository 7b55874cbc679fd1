"""Every kernel of this machine against the reference: what ``fastfc verify`` runs."""

from .kernels import Row, verify

__all__ = ["Row", "verify"]
