"""Whether the core flushes denormals to zero.

Denormals are the numbers below the smallest normal one, 1.2e-38 in float32 and 2.2e-308 in float64.
Most processors compute with them many times slower.  The state of an update rule gets there when a
parameter's gradient has been zero for long, as that of a dead input or unit is: it decays, and a
velocity of float32 stays for ever at a few times 1e-45.
"""

import numpy as np

from .. import _core

__all__ = ["get_flush_denormal", "set_flush_denormal"]


def set_flush_denormal(flush: bool) -> None:
    """Set whether the core flushes denormals to zero from now on; at import it does not.

    Then all arithmetic of the core reads a denormal as zero and gives zero instead of one, on all
    threads; what is only passed on, as by ``relu_forward``, stays as it is.  Results that meet no
    denormal do not change, nor does anybody else's arithmetic: each call leaves its thread's
    floating-point mode as it found it.

    Parameters
    ----------
    flush : bool
        Whether to.

    Raises
    ------
    TypeError
        `flush` is neither True nor False.
    NotImplementedError
        `flush` is True, and the core does not know how to on this kind of processor.

    Examples
    --------
    >>> import numpy as np
    >>> import fastfc
    >>> from fastfc.optim import sgd
    >>> fastfc.set_flush_denormal(True)
    >>> sgd(np.zeros(1), np.array([-1e-310]), {"learning_rate": 1.0})[0]
    array([0.])
    >>> fastfc.set_flush_denormal(False)
    >>> sgd(np.zeros(1), np.array([-1e-310]), {"learning_rate": 1.0})[0]
    array([1.e-310])
    """
    if not isinstance(flush, bool | np.bool_):
        from ..arguments import shown  # not needed by whoever imports fastfc

        raise TypeError(f"set_flush_denormal: flush is {shown(flush)}, expected True or False")
    if not _core.set_flush_denormal(flush) and flush:
        raise NotImplementedError("set_flush_denormal: not on this kind of processor")


def get_flush_denormal() -> bool:
    """Return whether the core flushes denormals to zero.

    Returns
    -------
    bool

    Examples
    --------
    >>> import fastfc
    >>> fastfc.get_flush_denormal()
    False
    """
    return _core.get_flush_denormal()
