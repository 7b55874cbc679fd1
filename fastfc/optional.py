"""Packages that only an extra of fastfc brings: one sentence where one is missing."""

from __future__ import annotations

__all__ = ["missing_package"]


def missing_package(what: str, package: str, extra: str, error: ImportError) -> ImportError:
    """Return the error to raise where a package cannot be imported.

    Parameters
    ----------
    what : str
        Who needs it: a module, a function, a kind of file.
    package : str
        As people call it.
    extra : str
        Of fastfc's: what brings it.
    error : ImportError
        What its import has raised.

    Returns
    -------
    ImportError

    Examples
    --------
    >>> missing_package("fastfc.plots", "matplotlib", "plot", ImportError())
    ImportError('fastfc.plots needs matplotlib: pip install fastfc[plot]')
    """
    return ImportError(f"{what} needs {package}: pip install fastfc[{extra}]", name=error.name)
