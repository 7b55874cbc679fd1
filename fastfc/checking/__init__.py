"""`fastfc.check`: a student's own layers, compared with the reference and numerical gradients."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Report

__all__ = ["check"]


def check(
    what: object,
    function: str | list[str] | None = None,
    *,
    dropout_convention: str | None = None,
    verbose: bool = True,
) -> Report:
    """Compare layers of your own with `fastfc.reference`, and with numerical gradients.

    Every function that has a name of `fastfc.layers`, `fastfc.layer_utils` or `fastfc.optim` which
    a course has too is called in float64, with inputs of several shapes and in all its modes.  A
    backward pass gets the cache of the forward pass beside it.  Common mistakes are recognised:
    what each of them would give is computed, and named where it is what came.  Under
    `fastfc.install_as` it is your own file that is checked, never what is served in its place.

    Whatever the functions do, the table is made: exceptions, missing results, wrong shapes and
    dtypes, changed inputs and printed text are rows of it.  ``np.random`` is left as it was.

    Parameters
    ----------
    what : function, module, package or path
        What to check: one function, or all that a module or a file has.
    function : str or list of str, optional
        Of a module only these.  Of a function the name of the layer that it is, if it has another.
    dropout_convention : {'keep', 'drop'}, optional
        What dropout's ``p`` is the probability of.  By default what the docstring of
        ``dropout_forward`` says, but that of nndl, whose recorded figures keep; else ``'keep'``.
    verbose : bool
        Whether to print the table.

    Returns
    -------
    Report
        ``rows``, a list with ``function``, ``argument``, ``case``, ``ok``, ``error``, ``factor``
        and ``message`` in each; ``ok``, whether all are; ``str(report)`` is the table.

    Raises
    ------
    TypeError
        `what` is none of these.
    ValueError
        There is no such function, or none that has a layer's name, or the convention is another
        one.
    FileNotFoundError
        There is no such file.
    Exception
        What a file raises that cannot be imported, say a SyntaxError.

    Examples
    --------
    >>> import fastfc
    >>> def affine_forward(x, w, b):
    ...     return x.reshape(len(x), -1) @ w, (x, w, b)
    >>> report = fastfc.check(affine_forward)
    affine_forward: WRONG
      out: off by ... in 5 of 5 cases, say x (4, 5), w (5, 3): the bias is missing
    1 function, 1 of them wrong
    >>> report.ok
    False
    """
    from ..arguments import shown
    from .running import check_all, undisturbed
    from .sources import functions_of

    if dropout_convention not in (None, "keep", "drop"):
        raise ValueError(
            f"check: dropout_convention is {shown(dropout_convention)}, expected 'keep' or 'drop'"
        )
    with undisturbed():
        with contextlib.redirect_stdout(io.StringIO()):  # of files that print when imported
            found = functions_of(what, function)
        report = check_all(found, dropout_convention)
    if verbose:
        print(report)
    return report
