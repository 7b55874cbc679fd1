"""fastfc.check names the mistakes that students make."""

import re

import pytest

import fastfc
from tests.support.student import LAYERS, OPTIM, broken, module, wrong

BN, BN_BACK, LN = "batchnorm_forward", "batchnorm_backward", "layernorm_forward"
DROPOUT, DROPOUT_BACK, SOFTMAX = "dropout_forward", "dropout_backward", "softmax_loss"

# Mistakes: what is written, in what place, and what is said of which argument.
TRAIN = "mask = (np.random.rand(*x.shape) < p) / p"
DX = "dx = dxhat / std + dvar * 2 * (x - mu) / N + dmu / N"
RUNNING = "running_{0} = momentum * running_{0} + (1 - momentum) * {1}"
LN_DX = "ln_dx = (g - g.mean(1, keepdims=True) - xhat * (g * xhat).mean(1, keepdims=True)) / std"
LOSS = "loss = -log_probs[np.arange(N), y].sum() / N"
CORRECTED = 'config["m"] / (1 - b1**t), config["v"] / (1 - b2**t)'
MISTAKES = [
    # affine
    (".dot(w) + b", ".dot(w)", "affine_forward", "out", "the bias is missing"),
    ("out = x.reshape(N, -1).dot(w)", "out = x.dot(w)", "affine_forward", "call", "not reshaped"),
    ("out = x.reshape(N, -1).dot(w)", "out = x @ w", "affine_forward", "call", "not reshaped"),
    (".dot(w) + b", ".dot(w) - b", "affine_forward", "out", "subtracted"),
    ("dout.dot(w.T).reshape(x.shape)", "dout.dot(w.T)", "affine_backward", "dx", "reshaped to x"),
    ("dw = x.reshape(N, -1).T", "dw = x.T", "affine_backward", "dw", "x is not reshaped"),
    ("db = dout.sum(axis=0)", "db = dout.mean(axis=0)", "affine_backward", "db", "factor 1/N"),
    ("db = dout.sum(axis=0)", "db = dout", "affine_backward", "db", "not summed over the batch"),
    ("db = dout.sum(axis=0)", "db = dout.sum(axis=1)", "affine_backward", "db", "wrong axis"),
    ("T.dot(dout)", "T.dot(dout) / N", "affine_backward", "dw", "a factor 1/N"),
    ("T.dot(dout)", "T.dot(dout) * 3", "affine_backward", "dw", "one factor"),
    ("T.dot(dout)", "T.dot(-dout)", "affine_backward", "dw", "the sign is wrong"),
    ("T.dot(dout)", "T.dot(0 * dout)", "affine_backward", "dw", "all zeros"),
    # ReLU
    ("np.maximum(0, x)", "x", "relu_forward", "out", "negative elements pass"),
    ("np.maximum(0, x)", "np.abs(x)", "relu_forward", "out", "lose their sign"),
    ("np.maximum(0, x)", "np.maximum(0.01 * x, x)", "relu_forward", "out", "a leaky ReLU"),
    ("np.maximum(0, x)", "x > 0", "relu_forward", "out", "dtype bool.*the mask alone"),
    ("dout * (cache > 0)", "dout", "relu_backward", "dx", "the mask is missing"),
    ("dout * (cache > 0)", "dout * (dout > 0)", "relu_backward", "dx", "of dout, expected of x"),
    ("dout * (cache > 0)", "dout * (cache < 0)", "relu_backward", "dx", "wrong way round"),
    ("dout * (cache > 0)", "1.0 * (cache > 0)", "relu_backward", "dx", "without dout"),
    # batch normalisation
    ("x.var(axis=0)", "x.var(axis=0, ddof=1)", BN, "out", "unbiased"),
    (
        "np.sqrt(var + eps)",
        "(np.sqrt(var) + eps)",
        BN,
        "out",
        "outside the square",
    ),
    ("np.sqrt(var + eps)", "np.sqrt(var)", BN, "out", "eps is missing"),
    ("np.sqrt(var + eps)", "np.sqrt(var + 1e-5)", BN, "out", "always 1e-5"),
    ("std = np.sqrt(var + eps)", "std = var + eps", BN, "out", "by the variance"),
    ("out = gamma * xhat + beta", "out = xhat", BN, "out", "gamma and beta"),
    ("out = gamma * xhat + beta", "out = gamma * xhat", BN, "out", "beta is miss"),
    ("mu = x.mean(axis=0)", "mu = 0.0 * x[0]", BN, "out", "not subtracted"),
    (
        "xhat = (x - mu) / std",
        "xhat = (x - running_mean) / np.sqrt(running_var + eps)",
        BN,
        "out",
        "in training it normalises by the running statistics",
    ),
    (
        "(x - running_mean) / np.sqrt(running_var + eps)",
        "(x - x.mean(0)) / np.sqrt(x.var(0) + eps)",
        BN,
        "out",
        "in test mode it normalises by the batch's statistics",
    ),
    (
        "np.sqrt(running_var + eps)",
        "(np.sqrt(running_var) + eps)",
        BN,
        "out",
        "outside the square root",
    ),
    *(
        (RUNNING.format(key, batch), change, BN, f"running_{key}", said)
        for key, batch in (("mean", "mu"), ("var", "var"))
        for change, said in (
            ("pass", "is not updated in training"),
            (f"running_{key} = (1 - momentum) * running_{key} + momentum * {batch}", "wrong way"),
            (f"running_{key} = {batch}", "without momentum"),
            (f"running_{key} = 0.9 * running_{key} + 0.1 * {batch}", "always 0.9"),
        )
    ),
    (
        '    bn_param["running_var"] = running_var\n',
        "",
        BN,
        "running_var",
        "stored",
    ),
    (
        RUNNING.format("var", "var"),
        RUNNING.format("var", "x.var(axis=0, ddof=1)"),
        BN,
        "running_var",
        "unbiased",
    ),
    (
        RUNNING.format("var", "var"),
        RUNNING.format("var", "std"),
        BN,
        "running_var",
        "root of var",
    ),
    (DX, "dx = dxhat / std + dvar * 2 * (x - mu) / N", BN_BACK, "dx", "mean's own"),
    (DX, "dx = dxhat / std + dmu / N", BN_BACK, "dx", "variance's own gradient"),
    (DX, "dx = dxhat / std", BN_BACK, "dx", "of mean and variance missing"),
    (DX, DX.replace("dmu / N", "dmu"), BN_BACK, "dx", "mean's gradient is not div"),
    (DX, DX.replace("mu) / N", "mu)"), BN_BACK, "dx", "variance's gradient is not"),
    (DX, f"{DX}; dx *= N", BN_BACK, "dx", "a factor N"),
    (DX, f"{DX}; dx *= 7.5", BN_BACK, "dx", "one factor"),
    ("dxhat = dout * gamma", "dxhat = dout", BN_BACK, "dx", "is gamma missing"),
    ("-0.5 / std**3", "0.5 / std**3", BN_BACK, "dx", "sign of the variance's"),
    ("dgamma = (dout * xhat)", "dgamma = (dout * x)", BN_BACK, "dgamma", "by x, exp"),
    ("dgamma = (dout * xhat)", "dgamma = (xhat)", BN_BACK, "dgamma", "dout is miss"),
    (
        "return dx, dgamma, dbeta",
        "return dx, dbeta, dgamma",
        BN_BACK,
        "dgamma",
        "order",
    ),
    ("g.sum(axis=0) - xhat", "-xhat", "batchnorm_backward_alt", "dx", ""),
    (" / (N * std)  # alt", " / std  # alt", "batchnorm_backward_alt", "dx", "a factor N"),
    # layer normalisation
    ("x.mean(axis=1, keepdims=True)", "x.mean(axis=0)", LN, "out", ""),
    (
        "np.sqrt(ln_var + ln_eps)\n    ln_out",
        "(np.sqrt(ln_var) + ln_eps)\n    ln_out",
        LN,
        "out",
        "outside",
    ),
    (
        "ln_out = gamma * ln_xhat",
        "ln_out = ln_xhat",
        LN,
        "out",
        "gamma is missing",
    ),
    (LN_DX, LN_DX.replace("- g.mean(1, keepdims=True)", ""), "layernorm_backward", "dx", "mean's"),
    (
        LN_DX,
        "ln_dx = gamma * (dout - dout.mean(1, keepdims=True)"
        " - xhat * (dout * xhat).mean(1, keepdims=True)) / std",
        "layernorm_backward",
        "dx",
        "gamma multiplies after the means",
    ),
    (
        LN_DX,
        "ln_dx = (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std",
        "layernorm_backward",
        "dx",
        "the means are over the batch",
    ),
    # dropout
    (TRAIN, "mask = np.random.rand(*x.shape) < p", DROPOUT, "out", "not scaled by 1 / p"),
    (TRAIN, TRAIN.replace("/ p", "* p"), DROPOUT, "out", "multiplied by p"),
    (
        TRAIN,
        "mask = (np.random.rand(*x.shape) >= p) / (1 - p)",
        DROPOUT,
        "out",
        "dropping",
    ),
    (TRAIN, "mask = (np.random.rand(*x.shape) > p) / p", DROPOUT, "out", "wrong way"),
    (TRAIN, "mask = (np.random.rand(x.shape[-1]) < p) / p", DROPOUT, "out", "same mask"),
    (TRAIN, "mask = np.ones(x.shape)", DROPOUT, "out", "nothing is dropped"),
    (
        TRAIN,
        "mask = (np.random.rand(*x.shape) < 0.5) / 0.5",
        DROPOUT,
        "out",
        "a share of",
    ),
    (TRAIN, "mask = 2 * np.random.rand(*x.shape)", DROPOUT, "out", "by one number"),
    ("out = x  # test", "out = x * p", DROPOUT, "out", "scaled at test time"),
    ("out = x  # test", "out = x / p", DROPOUT, "out", "scaled at test time"),
    ("out = x  # test", "out = x * (x > 1.5)", DROPOUT, "out", "dropped at test time"),
    ('np.random.seed(dropout_param["seed"])', "pass", DROPOUT, "seed", "seed'] used"),
    ("    mask = None\n", "    np.random.seed(0)\n", DROPOUT, "seed", "without a seed"),
    ("dx = dout * mask", "dx = dout", DROPOUT_BACK, "dx", "the mask is not applied"),
    ("dx = dout * mask", "dx = dout * (mask > 0)", DROPOUT_BACK, "dx", "not scaled"),
    (
        "dx = dout * mask",
        'dx = dout * mask / dropout_param["p"]',
        DROPOUT_BACK,
        "dx",
        "twice",
    ),
    ("dx = dout * mask", "dx = mask", DROPOUT_BACK, "dx", "without dout"),
    ("dx = dout  # test", 'dx = dout * dropout_param["p"]', DROPOUT_BACK, "dx", "test time"),
    ("dx = dout  # test", "dx = dout * mask", DROPOUT_BACK, "call", "TypeError"),
    # losses
    (LOSS, LOSS.replace(" / N", ""), SOFTMAX, "loss", "a factor N"),
    (LOSS, LOSS.replace("-log", "log"), SOFTMAX, "loss", "sign is wrong"),
    (LOSS, LOSS.replace("log_probs", "probs"), SOFTMAX, "loss", "logarithm is missing"),
    (LOSS, LOSS.replace("log_probs[", "np.log10(probs)["), SOFTMAX, "loss", "base 10"),
    (
        "    dx /= N\n    return loss, dx  # softmax",
        "    return loss, dx",
        SOFTMAX,
        "dx",
        "N:",
    ),
    (
        "    dx /= N\n    return loss, dx  # softmax",
        "    dx /= N * N\n    return loss, dx",
        SOFTMAX,
        "dx",
        "once too often",
    ),
    (
        "dx = probs.copy()\n    dx[np.arange(N), y] -= 1",
        "dx = probs.copy()",
        SOFTMAX,
        "dx",
        "the 1 at the label is not subtracted",
    ),
    (
        "x - x.max(axis=1, keepdims=True)\n",
        "x\n",
        SOFTMAX,
        "loss",
        "not shifted by each row's maximum",
    ),
    (
        "log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))",
        "e = np.exp(x - x.max()); log_probs = np.log(e / e.sum(axis=1, keepdims=True))",
        SOFTMAX,
        "loss",
        "shifted by the maximum of all",
    ),
    (
        "    margins[np.arange(N), y] = 0\n",
        "",
        "svm_loss",
        "loss",
        "the label's own margin is counted",
    ),
    ("np.newaxis] + 1.0", "np.newaxis]", "svm_loss", "loss", "margin 1 is missing"),
    ("loss = margins.sum() / N  # svm", "loss = margins.sum()", "svm_loss", "loss", "a factor N"),
    ("-= num_pos", "-= 0", "svm_loss", "dx", "label's own column is missing"),
    ("-= num_pos", "-= 1", "svm_loss", "dx", "is -1, expected minus the number"),
]
MISTAKES = [(LAYERS, *row) for row in MISTAKES] + [
    (OPTIM, *row)
    for row in [
        ("w -= config", "w += config", "sgd", "next_w", "wrong sign"),
        ('    config["velocity"] = v\n', "", "sgd_momentum", "next_w", "state of the step before"),
        ("next_w = w + v", "next_w = w - v", "sgd_momentum", "next_w", ""),
        ('v = config["momentum"] * v -', "v = 0.1 * v -", "sgd_momentum", "next_w", ""),
        (") + eps)", " + eps))", "rmsprop", "next_w", "inside the square root"),
        (
            '(np.sqrt(config["cache"]) + eps)',
            "(config['cache'] + eps)",
            "rmsprop",
            "next_w",
            "root",
        ),
        ("(1 - decay) * dw**2", "dw**2", "rmsprop", "next_w", "not multiplied by 1 - decay"),
        (CORRECTED, 'config["m"], config["v"]', "adam", "next_w", "bias correction is missing"),
        ('    config["t"] += 1\n', "", "adam", "next_w", ""),
        ('"t", 0', '"t", 1', "adam", "next_w", "t starts at 1"),
        ("(np.sqrt(v) + config", "np.sqrt(v + config", "adam", "next_w", "inside"),
        (
            '+ config["epsilon"])\n    return',
            "+ 1e-8)\n    return",
            "adam",
            "next_w",
            "always 1e-8",
        ),
    ]
]


@pytest.mark.parametrize(
    ("text", "old", "new", "function", "argument", "said"),
    MISTAKES,
    ids=[f"{row[3]}-{row[4]}-{row[5]}" for row in MISTAKES],
)
def test_a_mistake_is_named(text, old, new, function, argument, said):
    made = module(broken(text, (old, new)))
    kind = function.partition("_forward")[0].partition("_backward")[0]
    functions = [name for name in vars(made) if name.startswith(kind)]
    report = fastfc.check(made, functions, verbose=False)
    assert not report.ok
    messages = wrong(report).get((function, argument))
    assert messages, str(report)
    found = [message for message in messages if re.search(said, message)]
    assert found, str(report)
    assert found[0] in str(report)
