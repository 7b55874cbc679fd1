"""fastfc.check: mistakes are named, and nothing that a student's code does breaks the report."""

import math
import random
import re
import sys

import numpy as np
import pytest

import fastfc
from tests.support.student import LAYERS, OPTIM, broken, module, wrong

DX = "dx = dxhat / std + dvar * 2 * (x - mu) / N + dmu / N"
TRAIN = "mask = (np.random.rand(*x.shape) < p) / p"

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


def test_the_message_of_the_missing_bias(capsys):
    """As the half-done course whose notebook reported errors of 0.0 throughout."""
    fastfc.check(module(broken(LAYERS, (".dot(w) + b", ".dot(w)"))), "affine_forward")
    first, second, last, *_ = capsys.readouterr().out.splitlines()
    assert first == "affine_forward: WRONG"
    assert re.fullmatch(r"  out: off by .* in 5 of 5 cases, say x .*: the bias is missing", second)
    assert last == "1 function, 1 of them wrong"


def test_the_table_says_what_is_right_too():
    text = broken(LAYERS, (DX, f"{DX}; dx *= N"))
    report = fastfc.check(module(text), "batchnorm_backward", verbose=False)
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


def test_changed_inputs_change_no_verdict():
    """What is expected is not computed from what a student's function left."""
    text = broken(LAYERS, ("db = dout.sum(axis=0)\n", "db = dout.sum(axis=0); dout *= 2\n"))
    text = broken(text, ("    dw = x.reshape(N, -1).T.dot(dout)\n", ""))
    text = broken(text, ("dout *= 2\n", "dout *= 2; dw = x.reshape(N, -1).T.dot(dout)\n"))
    found = wrong(fastfc.check(module(text), "affine_backward", verbose=False))
    assert found["affine_backward", "dw"] == {"a factor 2"}
    assert found["affine_backward", "call"] == {"changes its argument 1"}
    text = broken(LAYERS, ("out = np.maximum(0, x)", "x *= 2; out = np.maximum(0, x)"))
    found = wrong(fastfc.check(module(text), ["relu_forward", "relu_backward"], verbose=False))
    assert found["relu_forward", "out"] == {"a factor 2"}
    assert found["relu_forward", "call"] == {"changes its argument 1"}


def test_a_cache_that_is_used_up():
    """The other backward pass gets it as the forward pass made it."""
    text = broken(LAYERS, ("dxhat = dout * gamma", "dxhat = dout * gamma; xhat *= 0"))
    report = fastfc.check(module(text), verbose=False)
    assert "batchnorm_backward_alt" not in {row.function for row in report.rows if not row.ok}


def test_a_cache_that_cannot_be_copied():
    text = broken(
        LAYERS, ("    cache = (x, w, b)\n", "    cache = (x, w, b, np, (i for i in x))\n")
    )
    text = broken(text, ("    x, w, b = cache\n", "    x, w, b, *_ = cache\n"))
    assert fastfc.check(module(text), ["affine_forward", "affine_backward"], verbose=False).ok


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
    messages = wrong(fastfc.check(module(text), "batchnorm_forward", verbose=False))
    assert messages["batchnorm_forward", "running_mean"] == {
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


def test_statistics_that_keep_their_axis():
    text = broken(
        LAYERS,
        ("mu = x.mean(axis=0)", "mu = x.mean(axis=0, keepdims=True)"),
        ("var = x.var(axis=0)", "var = x.var(axis=0, keepdims=True)"),
    )
    report = fastfc.check(module(text), ["batchnorm_forward", "batchnorm_backward"], verbose=False)
    assert report.ok, str(report)


STUBS = """
def affine_forward(x, w, b):
    out = None
    cache = (x, w, b)
    return out, cache

def affine_backward(dout, cache):
    dx, dw, db = None, None, None
    return dx, dw, db

def softmax_loss(x, y):
    loss, dx = 0.0, None
    return loss, dx

def dropout_forward(x, dropout_param):
    mask, out = None, None
    out = out.astype(x.dtype, copy=False)
    return out, (dropout_param, mask)
"""


def test_layers_that_are_not_written_yet():
    found = wrong(fastfc.check(module(STUBS), verbose=False))
    for key in [("affine_forward", "out"), ("affine_backward", "dw"), ("softmax_loss", "dx")]:
        assert found[key] == {"is None: not written yet?"}
    assert found["softmax_loss", "loss"] == {"all zeros"}
    assert found["dropout_forward", "call"] == {"raises AttributeError"}
