"""Quick checks of layers and network, under the names that the courses' notebooks call.

Each prints what it compares, the errors, and below what they should be.  Where one is not, it also
raises AssertionError, which the course's own did not: a failure that is only printed is overlooked.
All numbers come from generators of their own, but for what a network's constructor draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .fc_net import FullyConnectedNet
from .gradient_check import eval_numerical_gradient, eval_numerical_gradient_array
from .layer_utils import affine_relu_backward, affine_relu_forward
from .layers import affine_backward, affine_forward, relu_backward, relu_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._types import Array, ArrayLike, Labels, Scalar

__all__ = [
    "affine_backward_test",
    "affine_forward_test",
    "affine_relu_test",
    "fc_net_test",
    "rel_error",
    "relu_backward_test",
    "relu_forward_test",
]

# A sum of a few terms of one sign is rounded a few times, by 1e-16 each.
ROUNDING = 1e-12
# The layers are linear where they are checked, so that a central difference errs by rounding alone:
# of outputs below 40, some 20 times, by 1e-16 each, over h = 1e-5; gradients are at least 1.
LINEAR = 1e-8
# The loss is rounded like them, and its third derivatives, below 100, add h^2 / 6 of themselves;
# the smallest gradient is of the order 1e-3.
CURVED = 1e-5


def rel_error(x: ArrayLike, y: ArrayLike) -> Scalar:
    """Greatest relative difference, ``max |x - y| / max(1e-8, |x| + |y|)``.

    Parameters
    ----------
    x, y : array_like of one shape

    Returns
    -------
    NumPy scalar

    Examples
    --------
    >>> float(rel_error([1.0, 2.0], [1.0, 6.0]))
    0.5
    """
    x, y = np.asarray(x), np.asarray(y)
    greatest: Scalar = np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
    return greatest


def affine_forward_test() -> None:
    """Compare ``affine_forward`` with its sums, written out.

    Raises
    ------
    AssertionError
        They differ.

    Examples
    --------
    >>> affine_forward_test()
    affine_forward and its sums written out, relative errors below 1e-12 expected:
      out ...
    """
    x, w, b = _numbers((3, 2, 4), (8, 5), (5,))
    rows = x.reshape(3, 8).tolist()
    columns = zip(*w.tolist(), strict=True)
    expected = [
        [sum(map(float.__mul__, row, column), start=float(bias)) for row in rows]
        for column, bias in zip(columns, b, strict=True)
    ]
    out, _ = affine_forward(x, w, b)
    _report("affine_forward and its sums written out", ROUNDING, out=(out, np.transpose(expected)))


def affine_backward_test() -> None:
    """Compare ``affine_backward`` with numerical gradients.

    Raises
    ------
    AssertionError
        They differ.

    Examples
    --------
    >>> affine_backward_test()
    affine_backward and numerical gradients, relative errors below 1e-08 expected:
      dx ...
      dw ...
      db ...
    """
    inputs, (dout,) = _numbers((4, 2, 3), (6, 5), (5,)), _numbers((4, 5))
    _, cache = affine_forward(*inputs)
    _report_gradients("affine", affine_forward, affine_backward(dout, cache), inputs, dout)


def relu_forward_test() -> None:
    """Compare ``relu_forward`` with the maximum of x and 0, taken one by one.

    Raises
    ------
    AssertionError
        They differ.

    Examples
    --------
    >>> relu_forward_test()
    relu_forward and max(x, 0), relative errors below 1e-12 expected:
      out ...
    """
    x = _numbers((4, 6))[0] * _signs(6)
    expected = [[max(value, 0.0) for value in row] for row in x.tolist()]
    _report("relu_forward and max(x, 0)", ROUNDING, out=(relu_forward(x)[0], expected))


def relu_backward_test() -> None:
    """Compare ``relu_backward`` with the numerical gradient.

    Raises
    ------
    AssertionError
        They differ.

    Examples
    --------
    >>> relu_backward_test()
    relu_backward and numerical gradients, relative errors below 1e-08 expected:
      dx ...
    """
    x, dout = _numbers((4, 6), (4, 6))
    x *= _signs(6)
    _, cache = relu_forward(x)
    _report_gradients("relu", relu_forward, [relu_backward(dout, cache)], [x], dout)


def affine_relu_test() -> None:
    """Compare ``affine_relu_backward`` with numerical gradients.

    Raises
    ------
    AssertionError
        They differ.

    Examples
    --------
    >>> affine_relu_test()
    affine_relu_backward and numerical gradients, relative errors below 1e-08 expected:
      dx ...
      dw ...
      db ...
    """
    (x, w, b), (dout,) = _numbers((4, 2, 3), (6, 5), (5,)), _numbers((4, 5))
    inputs = x, w * _signs(5), b * _signs(5)
    _, cache = affine_relu_forward(*inputs)
    gradients = affine_relu_backward(dout, cache)
    _report_gradients("affine_relu", affine_relu_forward, gradients, inputs, dout)


def fc_net_test() -> None:
    """Compare the gradients of a ``FullyConnectedNet`` with numerical ones, also regularised.

    Raises
    ------
    AssertionError
        They differ.

    Examples
    --------
    >>> fc_net_test()  # doctest: +ELLIPSIS
    FullyConnectedNet, reg = 0.0, loss ... and numerical gradients, relative errors ...
    """
    for reg in (0.0, 0.5):
        generator = np.random.RandomState(4)
        X, y = generator.randn(3, 5), np.array([2, 0, 3])
        model = FullyConnectedNet([6, 7], input_dim=5, num_classes=4, reg=reg, dtype=np.float64)
        for value in model.params.values():
            value[...] = 0.7 * generator.randn(*value.shape)
        loss, gradients = model.loss(X, y)

        def loss_of(
            _: Array, model: FullyConnectedNet = model, X: Array = X, y: Labels = y
        ) -> Scalar:
            return model.loss(X, y)[0]

        pairs = {
            name: (gradients[name], eval_numerical_gradient(loss_of, value, verbose=False))
            for name, value in model.params.items()
        }
        title = f"FullyConnectedNet, reg = {reg}, loss {loss:.6f} and numerical gradients"
        _report(title, CURVED, **pairs)


def _numbers(*shapes: tuple[int, ...]) -> list[Array]:
    """Return arrays of numbers between 1 and 2."""
    generator = np.random.RandomState(len(shapes))
    return [generator.uniform(1, 2, shape) for shape in shapes]


def _signs(n: int) -> Array:
    """Return (n,) alternating signs, far from the kink of a ReLU for numbers between 1 and 2."""
    return 1.0 - 2 * (np.arange(n) % 2)


def _report_gradients(
    name: str,
    forward: Callable[..., tuple[Array, object]],
    gradients: Sequence[Array],
    inputs: Sequence[Array],
    dout: Array,
) -> None:
    """Compare gradients with the numerical ones of ``forward`` in each of its inputs."""
    pairs = {}
    for i, gradient in enumerate(gradients):

        def output(value: Array, i: int = i) -> Array:
            return forward(*inputs[:i], value, *inputs[i + 1 :])[0]

        pairs[("dx", "dw", "db")[i]] = (
            gradient,
            eval_numerical_gradient_array(output, inputs[i], dout),
        )
    _report(f"{name}_backward and numerical gradients", LINEAR, **pairs)


def _report(title: str, bound: float, **pairs: tuple[ArrayLike, ArrayLike]) -> None:
    """Print the relative error of each pair of arrays; raise an error where it is too great."""
    print(f"{title}, relative errors below {bound:g} expected:")
    wrong = []
    for name, (found, expected) in pairs.items():
        if np.shape(found) != np.shape(expected):
            raise AssertionError(
                f"{title}: {name} has shape {np.shape(found)}, expected {np.shape(expected)}"
            )
        error = rel_error(found, expected)
        print(f"  {name} {error:.2e}")
        if not error < bound:
            wrong.append(f"{name} is off by {error:.2e}")
    if wrong:
        raise AssertionError(f"{title}: {', '.join(wrong)}, expected below {bound:g}")
