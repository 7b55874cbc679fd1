"""fastfc.check: mistakes are named, and nothing that a student's code does breaks the report."""

import math
import random
import re
import sys
import types

import numpy as np
import pytest

import fastfc
from tests.support.student import LAYERS, OPTIM, broken


def module(text, name="student"):
    made = types.ModuleType(name)
    exec(text, vars(made))
    return made


def wrong(report):
    """Return (function, argument) -> messages of what is wrong."""
    found = {}
    for row in report.rows:
        if not row.ok:
            found.setdefault((row.function, row.argument), set()).add(row.message)
    return found


# --- what is right ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", [LAYERS, OPTIM], ids=["layers", "optim"])
def test_right_layers_are_right(text, capsys):
    report = fastfc.check(module(text))
    assert report.ok, str(report)
    out = capsys.readouterr().out
    assert out == f"{report}\n"
    assert "WRONG" not in out
    names = [name for name in vars(module(text)) if name[0] != "_" and name != "np"]
    assert {row.function for row in report.rows} == set(names)
    assert all(row.error < 1e-5 for row in report.rows if not math.isnan(row.error))
    assert repr(report) == f"<fastfc.check: {len(names)} functions, all right>"


def test_every_function_is_checked():
    """The reference itself is right under every name, and both conventions."""
    from fastfc.checking.running import check_all
    from fastfc.checking.sources import NAMES, Found
    from fastfc.reference import layer_utils, optim

    functions = {name: vars(layer_utils).get(name) or vars(optim)[name] for name in NAMES}
    report = check_all(Found(functions, NAMES, []))
    assert report.ok, str(report)
    assert {row.function for row in report.rows} == set(NAMES)
    gradients = {row.function for row in report.rows if "numerically" in row.case}
    assert gradients == {name for name in NAMES if "backward" in name or "loss" in name}


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


def test_the_message_of_the_missing_bias(capsys):
    """As the half-done course whose notebook reported errors of 0.0 throughout."""
    fastfc.check(module(broken(LAYERS, (".dot(w) + b", ".dot(w)"))), "affine_forward")
    first, second, last, *_ = capsys.readouterr().out.splitlines()
    assert first == "affine_forward: WRONG"
    assert re.fullmatch(r"  out: off by .* in 5 of 5 cases, say x .*: the bias is missing", second)
    assert last == "1 function, 1 of them wrong"


def test_the_table_says_what_is_right_too():
    text = broken(LAYERS, (DX, f"{DX}; dx *= N"))
    report = fastfc.check(module(text), BN_BACK, verbose=False)
    assert "  dx: off by a factor 7 in" in str(report)
    assert "a factor N" in str(report)
    assert "  dgamma, dbeta: right" in str(report)
    (factor,) = {row.factor for row in report.rows if row.case == "train, x (7, 4)" and not row.ok}
    assert factor == pytest.approx(7)


def test_a_gradient_of_a_wrong_forward_pass_is_told_from_a_wrong_one():
    """The backward pass is right for the forward pass that there is."""
    text = broken(
        LAYERS,
        ("np.maximum(0, x)", "np.maximum(0, x) * 1.25"),
        ("dout * (cache > 0)", "dout * (cache > 0) * 1.25"),
    )
    report = fastfc.check(module(text), "relu_backward", verbose=False)
    (message,) = wrong(report)["relu_backward", "dx"]
    assert "factor" in message or "gradient of your relu_forward" in message
    text = broken(
        LAYERS,
        ("np.maximum(0, x)", "np.maximum(0, x) ** 2"),
        ("dout * (cache > 0)", "dout * 2 * np.maximum(0, cache)"),
    )
    report = fastfc.check(module(text), "relu_backward", verbose=False)
    (message,) = wrong(report)["relu_backward", "dx"]
    assert message == "it is the gradient of your relu_forward, which is wrong: mend that first"


# --- whatever the code does -------------------------------------------------------------------

RELU = "def relu_forward(x):\n    {}\ndef relu_backward(dout, cache):\n    {}\n"
BODIES = [
    # of relu_forward: body, what is said of what
    ("pass", "call", "returns None, expected 2 results: out, cache"),
    ("return np.maximum(0, x)", "call", "returns one ndarray, expected 2 results"),
    ("return np.maximum(0, x), x, x", "call", "returns 3 results, expected 2"),
    ("return 3", "call", "returns one int"),
    ("return None, x", "out", "is None: not written yet"),
    ("return 'out', x", "out", "is of type str"),
    ("return [[1], [1, 2]], x", "out", "is of type list"),
    ("return object(), x", "out", "is of type object"),
    ("return np.maximum(0, x).astype(complex), x", "out", "is of type complex128"),
    ("return np.maximum(0, x).astype(np.float32), x", "out", "has dtype float32"),
    ("return np.maximum(0, x).astype(int), x", "out", "has dtype int64"),
    ("return np.maximum(0, x).T, x", "out", "is transposed"),
    ("return np.maximum(0, x)[:1], x", "out", "has the wrong shape"),
    ("return np.maximum(0, x).ravel(), x", "out", "has the wrong shape, the numbers are right"),
    ("return np.maximum(0, x) + np.nan, x", "out", "not finite"),
    ("return np.maximum(0, x) + (x > 1.2), x", "out", r"\d numbers are wrong"),
    ("x[x < 0] = 0; return x, x", "call", "changes its argument 1"),
    ("raise NotImplementedError", "call", "raises NotImplementedError"),
    ("raise SystemExit(3)", "call", "raises SystemExit"),
    ("import sys; sys.exit()", "call", "raises SystemExit"),
    ("return relu_forward(x)", "call", "raises RecursionError"),
    ("assert False, 'here'", "call", "raises AssertionError"),
    ("return undefined, x", "call", "raises NameError"),
    ("input()", "call", "raises EOFError"),
    ("breakpoint()", "call", "raises RuntimeError"),
    ("import pdb; pdb.set_trace()", "call", "raises RuntimeError"),
    ("from pdb import Pdb; Pdb().set_trace(); return x, x", "call", "raises BdbQuit"),
    ("class E(Exception):\n        def __str__(self): 1 / 0\n    raise E", "call", "raises E"),
]


@pytest.mark.parametrize(("body", "argument", "said"), BODIES, ids=[row[0] for row in BODIES])
def test_what_a_function_may_do(body, argument, said, capsys):
    trace = sys.gettrace()
    made = module(f"import numpy as np\n{RELU.format(body, 'return dout * (cache > 0)')}")
    report = fastfc.check(made, verbose=False)
    messages = wrong(report)["relu_forward", argument]
    assert any(re.search(said, message) for message in messages), str(report)
    assert capsys.readouterr() == ("", "")
    assert sys.gettrace() is trace
    assert isinstance(repr(report), str)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "is None: not written yet"),
        ("return dout, dout", "has the wrong shape|is of type"),
        ("return (dout * (cache > 0),)", "the wrong shape, the numbers are right"),
        ("dout *= cache > 0; return dout", "changes its argument 1"),
        ("cache[0] = 0; return dout", "mask is missing|numbers are wrong|changes its argument 2"),
    ],
)
def test_what_a_backward_pass_may_do(body, said):
    made = module(f"import numpy as np\n{RELU.format('return np.maximum(0, x), x', body)}")
    report = fastfc.check(made, verbose=False)
    messages = {m for key, found in wrong(report).items() for m in found if "back" in key[0]}
    assert any(re.search(said, message) for message in messages), str(report)


def test_printed_text_is_said_and_no_fault(capsys):
    text = broken(LAYERS, ("out = np.maximum(0, x)", "out = np.maximum(0, x); print('shape', 3)"))
    report = fastfc.check(module(text), "relu_forward")
    assert report.ok
    assert "prints text" in str(report)
    assert "shape" not in capsys.readouterr().out


def test_a_bn_param_that_is_replaced():
    text = broken(
        LAYERS,
        (
            "    N, D = x.shape\n    running_mean",
            "    bn_param = dict(bn_param)\n    N, D = x.shape\n    running_mean",
        ),
    )
    messages = wrong(fastfc.check(module(text), BN, verbose=False))
    assert messages[BN, "running_mean"] == {
        "is not stored in bn_param",
        "is not updated in training",
    }


def test_nothing_is_left_behind():
    """Also when the student's code seeds, warns, and sets NumPy's switches."""
    text = broken(
        LAYERS,
        (
            "out = np.maximum(0, x)",
            "out = np.maximum(0, x); np.random.seed(0); np.seterr(all='raise');"
            "import warnings, random; warnings.warn('mine'); random.seed(1)",
        ),
    )
    made = module(text)
    np.random.seed(5)
    random.seed(5)
    state, errors = np.random.get_state(legacy=False), np.geterr()
    python_state = random.getstate()
    fastfc.check(made, verbose=False)
    now = np.random.get_state(legacy=False)
    assert now["state"]["pos"] == state["state"]["pos"]
    np.testing.assert_array_equal(now["state"]["key"], state["state"]["key"])
    assert random.getstate() == python_state
    assert np.geterr() == errors


def test_an_interrupt_is_not_swallowed():
    made = module(f"import numpy as np\n{RELU.format('raise KeyboardInterrupt', 'pass')}")
    np.random.seed(5)
    expected = np.random.RandomState(5).rand()
    with pytest.raises(KeyboardInterrupt):
        fastfc.check(made)
    assert np.random.rand() == expected


def test_the_same_report_whatever_the_generator():
    texts = set()
    for seed in (0, 1):
        np.random.seed(seed)
        texts.add(str(fastfc.check(module(LAYERS), verbose=False)))
    assert len(texts) == 1


# --- dropout's convention ---------------------------------------------------------------------

DROP = '"""p: Dropout parameter. We drop each neuron output with probability p."""'
KEEP = '"""p: Dropout parameter. We keep each neuron output with probability p."""'
DROPS = "mask = (np.random.rand(*x.shape) >= p) / (1 - p)"


@pytest.mark.parametrize("code", [TRAIN, DROPS])
@pytest.mark.parametrize(
    ("docstring", "given", "convention"),
    [
        ("", None, "keep"),
        (
            '"""p: Dropout parameter. We drop each neuron output with probability p."""',
            None,
            "drop",
        ),
        (
            '"""p: Dropout parameter. We keep each neuron output with probability p."""',
            None,
            "keep",
        ),
        (
            '"""p: Dropout parameter. We drop each neuron output with probability p."""',
            "keep",
            "keep",
        ),
        ("", "drop", "drop"),
    ],
)
def test_the_convention(code, docstring, given, convention):
    head = "def dropout_forward(x, dropout_param):\n"
    text = broken(LAYERS, (TRAIN, code), (head, f"{head}    {docstring}\n"))
    functions = ["dropout_forward", "dropout_backward"]
    report = fastfc.check(module(text), functions, dropout_convention=given, verbose=False)
    assert report.ok == (convention == ("drop" if code == DROPS else "keep")), str(report)
    if not report.ok:
        other = "keeping" if convention == "drop" else "dropping"
        assert f"p is taken as the probability of {other}" in str(report)


def test_masks_drawn_in_another_way():
    for drawn in (
        "np.random.binomial(1, p, x.shape) / p",
        "np.random.choice([0, 1 / p], x.shape, p=[1 - p, p])",
        "np.where(np.random.uniform(size=x.shape) < p, 1 / p, 0)",
    ):
        text = broken(LAYERS, (TRAIN, f"mask = {drawn}"))
        assert fastfc.check(module(text), "dropout_forward", verbose=False).ok
