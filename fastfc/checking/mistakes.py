"""What common mistakes give: pairs of what is wrong and a function that returns it.

Each is computed and compared with what came; none is guessed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from ..reference import layer_utils as reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .._types import Array, ArrayLike, Labels

    Mistakes = Sequence[tuple[str, Callable[[], object]]]  # what is wrong, and what it gives


def affine(x: Array, w: Array, b: Array) -> Mistakes:
    """Mistakes in ``affine_forward``."""
    N = len(x)
    return [
        ("the bias is missing", lambda: x.reshape(N, -1) @ w),
        ("the bias is subtracted", lambda: x.reshape(N, -1) @ w - b),
        ("the bias alone", lambda: np.broadcast_to(b, (N, w.shape[1]))),
        ("the bias is added twice", lambda: x.reshape(N, -1) @ w + 2 * b),
        ("x is reshaped as if N were its last axis", lambda: x.reshape(-1, N).T @ w + b),
        ("x is reshaped in Fortran's order", lambda: x.reshape(N, -1, order="F") @ w + b),
        ("x is not reshaped to (N, D)", lambda: x @ w + b),
        ("x is not reshaped to (N, D)", lambda: np.dot(x, w) + b),
    ]


def affine_backward(x: Array, w: Array, dout: Array) -> dict[str, Mistakes]:
    """Mistakes in ``affine_backward``."""
    N = len(x)
    return {
        "dx": [
            ("w is not transposed", lambda: (dout @ w).reshape(x.shape)),
            ("it is not reshaped to x's shape", lambda: dout @ w.T),
        ],
        "dw": [
            ("x is not reshaped to (N, D)", lambda: x.T @ dout),
            ("x is not reshaped to (N, D)", lambda: np.dot(x.T, dout)),
            ("it is transposed", lambda: dout.T @ x.reshape(N, -1)),
        ],
        "db": [
            ("dout is not summed over the batch", lambda: dout),
            ("the sum is over the wrong axis", lambda: dout.sum(axis=1)),
            ("the sum is over all of dout", lambda: dout.sum()),
            ("the batch is counted, without dout", lambda: np.full(dout.shape[1], float(N))),
        ],
    }


def relu(x: Array) -> Mistakes:
    """Mistakes in ``relu_forward``."""
    return [
        ("negative elements pass", lambda: x),
        ("negative elements lose their sign", lambda: np.abs(x)),
        ("it keeps the negative elements, not the positive ones", lambda: np.minimum(x, 0)),
        ("it is the mask alone, without x", lambda: x > 0),
        (
            "negative elements pass by a hundredth: a leaky ReLU",
            lambda: np.where(x > 0, x, x / 100),
        ),
        ("it cuts at 1 too", lambda: np.clip(x, 0, 1)),
    ]


def relu_backward(x: Array, dout: Array) -> dict[str, Mistakes]:
    """Mistakes in ``relu_backward``."""
    return {
        "dx": [
            ("the mask is missing: dout passes everywhere", lambda: dout),
            ("the mask is of dout, expected of x", lambda: dout * (dout > 0)),
            ("the mask is of dout and of x", lambda: dout * (dout > 0) * (x > 0)),
            ("the mask is the wrong way round", lambda: dout * (x < 0)),
            ("it is the mask alone, without dout", lambda: x > 0),
            ("dout is multiplied by x", lambda: dout * x),
            ("dout is multiplied by the output", lambda: dout * np.maximum(x, 0)),
        ]
    }


def normalisation(
    x: Array, gamma: Array, beta: Array, eps: float, axis: int, param: dict[str, Any]
) -> SimpleNamespace:
    """Return what a normalisation over an axis computes on the way."""
    mean, var = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    return SimpleNamespace(
        x=x,
        gamma=gamma,
        beta=beta,
        eps=eps,
        axis=axis,
        mean=mean,
        var=var,
        rstd=rstd,
        xhat=(x - mean) * rstd,
        unbiased=x.var(axis=axis, keepdims=True, ddof=1) if x.shape[axis] > 1 else var * np.inf,
        param=param,
    )


def norm_forward(n: SimpleNamespace) -> Mistakes:
    """Mistakes in ``batchnorm_forward`` in training mode, and in ``layernorm_forward``."""

    def by(mean: ArrayLike, denominator: ArrayLike) -> Callable[[], object]:
        return lambda: n.gamma * (n.x - mean) / denominator + n.beta

    other = 1 - n.axis
    other_mean, other_var = (f(n.x, axis=other, keepdims=True) for f in (np.mean, np.var))
    over = "the features, expected over the batch" if n.axis == 0 else "the batch, expected over"
    over = over if n.axis == 0 else f"{over} each example's features"
    found = [
        ("the variance is the unbiased one, by N - 1", by(n.mean, np.sqrt(n.unbiased + n.eps))),
        ("eps is added outside the square root", by(n.mean, np.sqrt(n.var) + n.eps)),
        ("eps is missing", by(n.mean, np.sqrt(n.var))),
        ("eps is always 1e-5", by(n.mean, np.sqrt(n.var + 1e-5))),
        ("eps is always 1e-8", by(n.mean, np.sqrt(n.var + 1e-8))),
        ("it divides by the variance, not by its root", by(n.mean, n.var + n.eps)),
        ("it does not divide by the standard deviation", by(n.mean, 1)),
        ("the mean is not subtracted", by(0, np.sqrt(n.var + n.eps))),
        ("gamma and beta are missing", lambda: n.xhat),
        ("gamma is missing", lambda: n.xhat + n.beta),
        ("beta is missing", lambda: n.gamma * n.xhat),
        ("gamma and beta are exchanged", lambda: n.beta * n.xhat + n.gamma),
        (f"the statistics are over {over}", by(other_mean, np.sqrt(other_var + n.eps))),
        (
            "the statistics are over all elements, of examples and features",
            by(n.x.mean(), np.sqrt(n.x.var() + n.eps)),
        ),
        ("x is returned as it is", lambda: n.x),
    ]
    if "running_mean" in n.param:
        running_mean, running_var = n.param["running_mean"], n.param["running_var"]
        found.append(
            (
                "in training it normalises by the running statistics",
                by(running_mean, np.sqrt(running_var + n.eps)),
            )
        )
        m = n.param.get("momentum", 0.9)
        updated = [
            m * r + (1 - m) * v[0] for r, v in ((running_mean, n.mean), (running_var, n.var))
        ]
        found.append(
            (
                "in training it normalises by the running statistics",
                by(updated[0], np.sqrt(updated[1] + n.eps)),
            )
        )
    return found


def norm_test(n: SimpleNamespace, param: dict[str, Any]) -> Mistakes:
    """Mistakes in ``batchnorm_forward`` in test mode."""
    mean, var = param["running_mean"], param["running_var"]
    xhat = (n.x - mean) / np.sqrt(var + n.eps)
    batch = "in test mode it normalises by the batch's statistics, expected the running ones"
    return [
        (batch, lambda: n.gamma * n.xhat + n.beta),
        (batch, lambda: n.gamma * (n.x - n.mean) / np.sqrt(n.unbiased + n.eps) + n.beta),
        (
            "eps is added outside the square root",
            lambda: n.gamma * (n.x - mean) / (np.sqrt(var) + n.eps) + n.beta,
        ),
        ("eps is missing", lambda: n.gamma * (n.x - mean) / np.sqrt(var) + n.beta),
        ("eps is always 1e-5", lambda: n.gamma * (n.x - mean) / np.sqrt(var + 1e-5) + n.beta),
        (
            "it divides by the variance, not by its root",
            lambda: n.gamma * (n.x - mean) / (var + n.eps) + n.beta,
        ),
        ("gamma and beta are missing", lambda: xhat),
        ("gamma is missing", lambda: xhat + n.beta),
        ("beta is missing", lambda: n.gamma * xhat),
        ("x is returned as it is", lambda: n.x),
    ]


def running(n: SimpleNamespace, key: str, param: dict[str, Any]) -> Mistakes:
    """Mistakes in the running statistics."""
    batch = (n.mean if key == "running_mean" else n.var)[0]
    start = param.get(key, np.zeros_like(batch))
    m = param.get("momentum", 0.9)
    found = [
        ("is not updated in training", lambda: start),
        (
            "the momentum is the wrong way round, expected momentum * running + "
            "(1 - momentum) * batch",
            lambda: (1 - m) * start + m * batch,
        ),
        ("is that of the batch, without momentum", lambda: batch),
        ("the momentum is always 0.9", lambda: 0.9 * start + 0.1 * batch),
        ("the momentum is always 0.99", lambda: 0.99 * start + 0.01 * batch),
        ("the old one is not multiplied by the momentum", lambda: start + (1 - m) * batch),
        ("the batch's is not multiplied by 1 - momentum", lambda: m * start + batch),
        ("is updated twice", lambda: m * (m * start + (1 - m) * batch) + (1 - m) * batch),
    ]
    if key == "running_var":
        found += [
            (
                "is updated by the unbiased variance, by N - 1",
                lambda: m * start + (1 - m) * n.unbiased[0],
            ),
            (
                "is updated by the standard deviation",
                lambda: m * start + (1 - m) * np.sqrt(n.var[0]),
            ),
            ("is updated by var + eps", lambda: m * start + (1 - m) * (n.var[0] + n.eps)),
            (
                "is updated by the root of var + eps",
                lambda: m * start + (1 - m) * np.sqrt(n.var[0] + n.eps),
            ),
        ]
    return found


def norm_backward(n: SimpleNamespace, dout: Array) -> dict[str, Mistakes]:
    """Mistakes in the backward passes of both normalisations."""
    axis, count = n.axis, n.x.shape[n.axis]

    def mean(array: Array) -> Any:
        return array.mean(axis=axis, keepdims=True)

    g = n.gamma * dout
    slope, over = mean(g * n.xhat), "N" if axis == 0 else "D"
    dx = [
        ("is the mean's own gradient missing?", lambda: n.rstd * (g - n.xhat * slope)),
        ("is the variance's own gradient missing?", lambda: n.rstd * (g - mean(g))),
        ("are the gradients of mean and variance missing?", lambda: n.rstd * g),
        (
            "is the gradient divided by the standard deviation at last?",
            lambda: g - mean(g) - n.xhat * slope,
        ),
        (
            "is gamma missing?",
            lambda: n.rstd * (dout - mean(dout) - n.xhat * mean(dout * n.xhat)),
        ),
        (
            f"the sums in the gradients of mean and variance are not divided by {over}",
            lambda: n.rstd * (g - count * mean(g) - n.xhat * slope * count),
        ),
        (
            f"the sum in the mean's gradient is not divided by {over}",
            lambda: n.rstd * (g - count * mean(g) - n.xhat * slope),
        ),
        (
            f"the sum in the variance's gradient is not divided by {over}",
            lambda: n.rstd * (g - mean(g) - n.xhat * slope * count),
        ),
        ("the sign of the variance's gradient", lambda: n.rstd * (g - mean(g) + n.xhat * slope)),
        ("the sign of the mean's gradient", lambda: n.rstd * (g + mean(g) - n.xhat * slope)),
        ("half of the variance's gradient", lambda: n.rstd * (g - mean(g) - n.xhat * slope / 2)),
        ("twice the variance's gradient", lambda: n.rstd * (g - mean(g) - n.xhat * slope * 2)),
        ("dout itself", lambda: dout),
    ]
    if axis == 1:
        dx.append(
            (
                "gamma multiplies after the means, expected before them: it differs by feature",
                lambda: n.gamma * n.rstd * (dout - mean(dout) - n.xhat * mean(dout * n.xhat)),
            )
        )
        dx.append(
            (
                "the means are over the batch, expected over each example's features",
                lambda: n.rstd * (g - g.mean(axis=0) - n.xhat * (g * n.xhat).mean(axis=0)),
            )
        )
    out = n.gamma * n.xhat + n.beta
    dgamma = [
        ("dout is multiplied by x, expected by the normalised x", lambda: (dout * n.x).sum(0)),
        (
            "dout is multiplied by x - mean, expected by the normalised x",
            lambda: (dout * (n.x - n.mean)).sum(0),
        ),
        ("dout is multiplied by out, expected by the normalised x", lambda: (dout * out).sum(0)),
        ("it is multiplied by gamma", lambda: n.gamma * (dout * n.xhat).sum(0)),
        ("dout is missing", lambda: n.xhat.sum(0)),
        ("it is not summed over the batch", lambda: dout * n.xhat),
        ("the sum is over the wrong axis", lambda: (dout * n.xhat).sum(1)),
    ]
    dbeta = [
        ("dout is not summed over the batch", lambda: dout),
        ("the sum is over the wrong axis", lambda: dout.sum(1)),
        ("it is multiplied by gamma", lambda: g.sum(0)),
    ]
    return {"dx": dx, "dgamma": dgamma, "dbeta": dbeta}


def joined(name: str, inputs: Mapping[str, Array], param: dict[str, Any]) -> Mistakes:
    """Mistakes in a forward pass of several layers."""
    x, w, b = (inputs[key] for key in "xwb")
    hidden = x.reshape(len(x), -1) @ w + b
    found: Mistakes = [
        ("ReLU is missing", lambda: hidden),
        ("the bias is missing", lambda: _relu(hidden - b)),
    ]
    if name != "affine_relu":
        gamma, beta = inputs["gamma"], inputs["beta"]
        norm = reference.layernorm_forward if "ln" in name else reference.batchnorm_forward

        def normalised(array: Array) -> Array:
            return norm(array, gamma, beta, dict(param))[0]

        found = [
            ("ReLU is missing", lambda: normalised(hidden)),
            ("the normalisation is missing", lambda: _relu(hidden)),
            ("ReLU comes before the normalisation", lambda: normalised(_relu(hidden))),
        ]
    return found


def _relu(array: Array) -> Array:
    positive: Array = np.maximum(array, 0)
    return positive


def softmax(x: Array, y: Labels) -> tuple[Mistakes, Mistakes]:
    """Mistakes in ``softmax_loss``: of the loss, and of its gradient."""
    N, C = x.shape
    rows = np.arange(N)

    def of(shifted: Array) -> Array:
        e = np.exp(shifted)
        share: Array = e / e.sum(axis=1, keepdims=True)
        return share

    p = of(x - x.max(axis=1, keepdims=True))
    onehot = np.eye(C)[y]
    unshifted, top = "the scores are not shifted by each row's maximum before exp", x.max()
    whole = "the scores are shifted by the maximum of all, expected by each row's"
    loss: Mistakes = [
        ("the logarithm is missing", lambda: -p[rows, y].mean()),
        ("the logarithm is missing", lambda: p[rows, y].mean()),
        ("it is of all classes, expected of the label's", lambda: -np.log(p).sum() / N),
        ("it is of the score, expected of its probability", lambda: -x[rows, y].mean()),
        ("the logarithm is to base 2", lambda: -np.log2(p[rows, y]).mean()),
        ("the logarithm is to base 10", lambda: -np.log10(p[rows, y]).mean()),
        (unshifted, lambda: -np.log(of(x)[rows, y]).mean()),
        (
            unshifted,
            lambda: (np.log(np.exp(x).sum(axis=1)) - x[rows, y]).mean(),
        ),
        (whole, lambda: -np.log(of(x - top)[rows, y]).mean()),
    ]
    dx: Mistakes = [
        ("the 1 at the label is not subtracted", lambda: p / N),
        ("the 1 at the label is added", lambda: (p + onehot) / N),
        ("the 1 at the label is subtracted after the division by N", lambda: p / N - onehot),
        ("only the label's class has a gradient", lambda: (p - onehot) * onehot / N),
        (unshifted, lambda: (of(x) - onehot) / N),
        (whole, lambda: (of(x - top) - onehot) / N),
    ]
    return loss, dx


def svm(x: Array, y: Labels) -> tuple[Mistakes, Mistakes]:
    """Mistakes in ``svm_loss``: of the loss, and of its gradient."""
    N = len(x)
    rows = np.arange(N)
    correct = x[rows, y][:, np.newaxis]
    margins = np.maximum(0, x - correct + 1)
    margins[rows, y] = 0
    above = (margins > 0).astype(float)
    full = above.copy()
    full[rows, y] = -above.sum(axis=1)
    with_label = above.copy()
    with_label[rows, y] = 1 - above.sum(axis=1)
    squared = margins**2
    loss: Mistakes = [
        ("the label's own margin is counted", lambda: (margins.sum() + N) / N),
        (
            "the margin 1 is missing",
            lambda: np.maximum(0, x - correct).sum() / N,
        ),
        ("the margins are squared", lambda: squared.sum() / N),
        ("only the greatest margin counts", lambda: margins.max(axis=1).mean()),
    ]
    dx: Mistakes = [
        ("the label's own column is missing", lambda: above / N),
        ("the label's own margin is counted", lambda: with_label / N),
        (
            "the label's column is -1, expected minus the number of margins above 0",
            lambda: (above - np.eye(x.shape[1])[y]) / N,
        ),
    ]
    return loss, dx
