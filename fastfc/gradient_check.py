"""Numerical gradients by central differences, to check analytic ones against.

All functions edit their array in place, one element at a time, and restore it, also when f
raises; the array may have any layout, but must be floating point.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from .arguments import count
from .arrays import as_arrays, as_number, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol, SupportsFloat, TypeVar

    from ._types import AnyArray, Array, ArrayLike

    Values = TypeVar("Values", bound=Array)  # f is called with the very array

    class Blob(Protocol):
        """Values and the gradient of the loss with respect to them."""

        vals: Any  # arrays; an output's are set by whoever computes them
        diffs: Any

    class Net(Protocol):
        """What computes an output from its inputs."""

        def forward(self) -> object:
            """Set the output's values."""


__all__ = [
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "eval_numerical_gradient_blobs",
    "eval_numerical_gradient_net",
    "grad_check_sparse",
]


def eval_numerical_gradient(
    f: Callable[[Values], SupportsFloat], x: Values, verbose: bool = True, h: float = 1e-5
) -> Values:
    """Gradient of a scalar function, (f(x + h) - f(x - h)) / 2h in every element.

    Parameters
    ----------
    f : callable
        Called as ``f(x)``, returns a number.
    x : ndarray of float
        Where; f is called with this very array.
    verbose : bool
        Whether to print each element's index and derivative.
    h : float
        Half the step; an error of the order h^2 remains.

    Returns
    -------
    ndarray, shape and dtype of x

    Raises
    ------
    TypeError
        x is not an array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, -2.0])
    >>> eval_numerical_gradient(lambda x: np.sum(x**2), x, verbose=False).round(6)
    array([ 2., -4.])
    """
    gradient = np.zeros_like(_check_floating(x))
    h = as_number("eval_numerical_gradient", "h", h)
    for index in np.ndindex(x.shape):
        above, below = _on_both_sides(lambda: f(x), x, index, h)
        gradient[index] = _slope(above, below, h)
        if verbose:
            print(index, gradient[index])
    return gradient


def eval_numerical_gradient_array(
    f: Callable[[Values], ArrayLike], x: Values, df: ArrayLike, h: float = 1e-5
) -> Values:
    """Gradient of sum(f(x) * df) for a function that returns an array.

    Parameters
    ----------
    f : callable
        Called as ``f(x)``, returns an array.
    x : ndarray of float
        Where; f is called with this very array.
    df : array_like, shape of f(x)
        Gradient of the loss with respect to f(x).
    h : float
        Half the step.

    Returns
    -------
    ndarray, shape and dtype of x

    Raises
    ------
    TypeError
        x is not an array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, -2.0])
    >>> eval_numerical_gradient_array(lambda x: x**2, x, np.array([1.0, 10.0])).round(6)
    array([  2., -40.])
    """
    gradient = np.zeros_like(_check_floating(x))
    h = as_number("eval_numerical_gradient_array", "h", h)
    df = as_arrays("eval_numerical_gradient_array", df=df)[0]
    if df.dtype.hasobject:
        raise TypeError(f"eval_numerical_gradient_array: df has dtype {df.dtype}, expected numbers")
    for index in np.ndindex(x.shape):
        above, below = _on_both_sides(lambda: np.array(f(x)), x, index, h)
        gradient[index] = _slope(above, below, h, df)
    return gradient


def eval_numerical_gradient_blobs(
    f: Callable[..., object], inputs: Sequence[Blob], output: Blob, h: float = 1e-5
) -> list[Array]:
    """Gradients of a function that reads blobs and writes one.

    A blob is an object with arrays ``vals``, its values, and ``diffs``, the gradient of the loss
    with respect to them.

    Parameters
    ----------
    f : callable
        Called as ``f(*inputs, output)``, sets ``output.vals``.
    inputs : sequence of blobs
        What f reads; their ``vals`` are edited in place.
    output : blob
        What f writes.
    h : float
        Half the step.

    Returns
    -------
    list of ndarray
        For each input the gradient of sum(output.vals * output.diffs).

    Raises
    ------
    TypeError
        The ``vals`` of an input are not an array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace as Blob
    >>> a, out = Blob(vals=np.array([1.0, 3.0])), Blob(vals=None, diffs=np.array([1.0, 2.0]))
    >>> def square(a, out):
    ...     out.vals = a.vals**2
    >>> [gradient.round(6) for gradient in eval_numerical_gradient_blobs(square, [a], out)]
    [array([ 2., 12.])]
    """

    def values() -> AnyArray:
        f(*inputs, output)
        return np.array(output.vals)

    h = as_number("eval_numerical_gradient_blobs", "h", h)
    gradients = []
    for blob in inputs:
        x = _check_floating(blob.vals)
        gradient = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            above, below = _on_both_sides(values, x, index, h)
            gradient[index] = _slope(above, below, h, output.diffs)
        gradients.append(gradient)
    return gradients


def eval_numerical_gradient_net(
    net: Net, inputs: Sequence[Blob], output: Blob, h: float = 1e-5
) -> list[Array]:
    """Gradients of a net with respect to blobs that its ``forward()`` reads.

    Parameters
    ----------
    net : object
        Its method ``forward()`` reads the inputs and sets ``output.vals``.
    inputs : sequence of blobs
        As for ``eval_numerical_gradient_blobs``.
    output : blob
        As for ``eval_numerical_gradient_blobs``.
    h : float
        Half the step.

    Returns
    -------
    list of ndarray
        For each input the gradient of sum(output.vals * output.diffs).

    Raises
    ------
    TypeError
        The ``vals`` of an input are not an array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace as Blob
    >>> a, out = Blob(vals=np.array([1.0, 3.0])), Blob(vals=None, diffs=np.array([1.0, 2.0]))
    >>> class Square:
    ...     def forward(self):
    ...         out.vals = a.vals**2
    >>> [gradient.round(6) for gradient in eval_numerical_gradient_net(Square(), [a], out)]
    [array([ 2., 12.])]
    """
    return eval_numerical_gradient_blobs(lambda *blobs: net.forward(), inputs, output, h=h)


def grad_check_sparse(
    f: Callable[[Values], SupportsFloat],
    x: Values,
    analytic_grad: AnyArray,
    num_checks: int = 10,
    h: float = 1e-5,
) -> None:
    """Compare an analytic gradient with numerical derivatives in a few random elements.

    Prints a line for each; the elements are drawn from Python's ``random``.

    Parameters
    ----------
    f : callable
        Called as ``f(x)``, returns a number.
    x : ndarray of float
        Where; f is called with this very array.
    analytic_grad : ndarray, shape of x
        The gradient to check.
    num_checks : int
        How many elements.
    h : float
        Half the step.

    Raises
    ------
    TypeError
        x is not an array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([3.0])
    >>> grad_check_sparse(lambda x: np.sum(x), x, np.array([2.0]), num_checks=1)
    numerical: 1.000000 analytic: 2.000000, relative error: 3.333333e-01
    """
    _check_floating(x)
    h = as_number("grad_check_sparse", "h", h)
    for _ in range(count("grad_check_sparse: num_checks", num_checks, least=0)):
        index = tuple(random.randrange(size) for size in x.shape)
        above, below = _on_both_sides(lambda: f(x), x, index, h)
        numerical = _slope(above, below, h)
        analytic = analytic_grad[index]
        error = _relative_error(numerical, analytic)
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}")


def _check_floating(x: Values) -> Values:
    """Return x, an array whose elements can be moved by h."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"x is of type {kind}, expected a NumPy array of floats to edit in place")
    return x


@quiet
def _slope(above: Any, below: Any, h: float, weights: Any = None) -> Any:
    """Return the slope between f(x + h) and f(x - h), of an array's the weighted sum."""
    if weights is None:
        return (above - below) / (2 * h)
    return np.sum((above - below) * weights) / (2 * h)


@quiet
def _relative_error(numerical: Any, analytic: Any) -> Any:
    magnitude = abs(numerical) + abs(analytic)
    return abs(numerical - analytic) / magnitude if magnitude else 0.0


def _on_both_sides(
    f: Callable[[], Any], x: Array, index: tuple[int, ...], h: float
) -> tuple[Any, Any]:
    """Return f() with x[index] raised by h and with x[index] lowered by h; restore x."""
    original = x[index]
    try:
        x[index] = original + h
        above = f()
        x[index] = original - h
        below = f()
    finally:
        x[index] = original
    return above, below
