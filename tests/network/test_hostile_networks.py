"""Whatever stands in a network: the layers' own answer, or an error that names what is wrong."""

import contextlib
import copy
import math
import pickle
import random
import re
import tempfile
import warnings

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from fastfc import fc_net, layer_utils, optim
from fastfc.reference import layer_utils as reference
from fastfc.training.clipping import clip_gradients, global_norm
from fastfc.verifying import tolerance
from tests.support import hostile
from tests.support.arguments import look_up, paths
from tests.support.composed import Composed
from tests.support.effort import effort, parts, try_examples
from tests.support.same import assert_same

N, D, H, C = 5, 4, 3, 3
X, Y = np.random.RandomState(0).rand(N, D).astype(np.float32), np.arange(N) % C

ATTRIBUTES = ["num_layers", "params", "bn_params", "dropout_param", "dtype", "reg"]
ATTRIBUTES += ["label_smoothing", "normalization", "use_dropout", "activation"]


def other(rng, value):
    """Return something in the place of a value, and what it is."""
    if isinstance(value, np.ndarray) and value.ndim and rng.random() < 0.5:
        kinds = rng.choice((hostile.SAME_VALUES, hostile.OTHER_ARRAYS))
        name = rng.choice(sorted(kinds))
        return kinds[name](value), name
    if isinstance(value, dict) and rng.random() < 0.5:
        name = rng.choice(sorted(hostile.MAPPINGS))
        return hostile.MAPPINGS[name](value), name
    i = rng.randrange(len(hostile.ODD))
    return copy.deepcopy(hostile.ODD[i]), f"the {i}th of ODD"


MORE = ["mode", "p", "seed", "rng", "eps", "momentum", "running_mean", "learning_rate", "t"]


def replace_something(rng, model, configs, inputs):
    """Put something where it does not belong; return where and what."""
    places = {"params": model.params, "inputs": inputs, "dropout_param": model.dropout_param}
    places |= {f"bn_params[{i}]": found for i, found in enumerate(model.bn_params)}
    places |= {f"optim_configs[{name!r}]": found for name, found in configs.items()}
    kind = rng.randrange(10)
    if kind == 0:
        name = rng.choice(ATTRIBUTES)
        value, what = other(rng, vars(model).get(name))
        setattr(model, name, value)
        return name, what
    if kind == 1 and isinstance(model.bn_params, list) and model.bn_params:
        value, what = other(rng, model.bn_params[0])
        model.bn_params[0] = value
        return "bn_params", what
    if kind == 2:
        name = rng.choice(sorted(configs))
        configs[name], what = other(rng, configs[name])
        return f"optim_configs[{name!r}]", what
    where = rng.choice(sorted(places))
    mapping = places[where]
    known = sorted(key for key in mapping if isinstance(key, str))
    own = known and (where in ("inputs", "params") or rng.random() < 0.8)
    key = rng.choice(known if own else MORE)
    mapping[key], what = other(rng, mapping.get(key))
    return f"{where}[{key!r}]", what


CALLS = {
    "loss": lambda model, configs, inputs: model.loss(**inputs),
    "scores": lambda model, configs, inputs: model.loss(inputs["X"]),
    "predict": lambda model, configs, inputs: model.predict(inputs["X"]),
    "step": lambda model, configs, inputs: step(model, configs, inputs),
    "save": lambda model, configs, inputs: save(model),
    "first_nonfinite": lambda model, configs, inputs: model.first_nonfinite(inputs["X"]),
    "copy": lambda model, configs, inputs: pickle.loads(pickle.dumps(model)).loss(inputs["X"]),
}


def step(model, configs, inputs):
    """Do a step in one call or composed; return its loss and what it leaves."""
    loss = model.train_step(inputs["X"], inputs["y"], RULE, configs)
    if loss is not None:
        return loss, dict(model.params)
    loss, grads = model.loss(**inputs)
    rule = getattr(optim, RULE)
    return loss, {
        name: rule(w, grads[name], configs.get(name))[0] if name in grads else w
        for name, w in model.params.items()
    }


RULE = "sgd_momentum"


def save(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/net.npz")
        again = type(model).load(f"{folder}/net.npz")
    return again.params


def build(network, normalization, dropout, rng, dtype):
    """Return a network of two hidden layers and configs with state."""
    np.random.seed(0)
    options = {"dropout": dropout, "seed": 3, "rng": rng, "normalization": normalization}
    model = network([H, H], D, C, dtype=dtype, weight_scale=0.5, reg=0.1, **options)
    configs = {
        name: {"learning_rate": 0.5, "momentum": 0.9, "velocity": np.ones_like(w)}
        for name, w in model.params.items()
    }
    model.loss(X, Y)
    return model, configs


KNOWN = "params num_layers bn_param dropout_param dtype reg label_smoothing normalization X y x w b"
KNOWN += " optim_config config velocity W1 W2 W3 b1 b2 b3 gamma beta gamma1 beta1 momentum cache"
KNOWN += " learning_rate eps running_mean seed rng mode t grads gamma2 beta2 dout arrays"
KNOWN = {*KNOWN.split(), "use_dropout", "activation"}


def names_something(error):
    """Whether an error's words have the name of an argument or an attribute."""
    words = re.findall(r"[A-Za-z]\w*", str(error))
    known = KNOWN & {*words, *(word.rstrip("s") for word in words)}
    return bool(known) or isinstance(error, MemoryError) or "cannot pickle" in str(error)


def outcome(call, network, kind, seeds):
    """Return what a call comes to on a network in which something stands: result, error, what."""
    model, configs = build(network, *kind)
    inputs, said = {"X": X.copy(), "y": Y.copy()}, []
    for seed in seeds:
        with contextlib.suppress(AttributeError, TypeError):  # what is there now has no keys
            said.append(replace_something(random.Random(seed), model, configs, inputs))
    if isinstance(model.dropout_param, dict) and model.dropout_param.get("seed", 0) is None:
        model.dropout_param["seed"] = 3  # which would be another one each time
    np.random.seed(1)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return *hostile.result_or_error(lambda: CALLS[call](model, configs, inputs)), said


ANY_NETWORK = [
    st.sampled_from(sorted(CALLS)),
    st.tuples(
        st.sampled_from([None, "batchnorm", "layernorm"]),
        st.sampled_from([0, 0.5]),
        st.sampled_from(["numpy", "philox"]),
        st.sampled_from([np.float32, np.float64]),
    ),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=2),
]


@pytest.mark.parametrize("part", parts(60_000))
def test_whatever_is_in_a_network(part):
    """The core's step in one call and the composed layers agree, bit for bit, or both refuse."""
    try_examples(check_whatever_is_in_a_network, ANY_NETWORK, part, quick=300)


def check_whatever_is_in_a_network(call, kind, seeds):
    got, error, said = outcome(call, fc_net.FullyConnectedNet, kind, seeds)
    expected, refusal, _ = outcome(call, Composed, kind, seeds)
    for found in (error, refusal):
        assert found is None or names_something(found), (call, said, repr(found))
    assert (error is None) == (refusal is None), (call, said, error, refusal)
    if error is None:
        assert_same(got, expected, str((call, said)), any_nan=True)


# --- between a forward pass and its backward pass ---------------------------------------------

JOINED = {
    "affine_relu": (),
    "affine_batchnorm_relu": ("gamma", "beta", {"mode": "train"}),
    "affine_ln_relu": ("gamma", "beta", {}),
}


def forward(name, dtype):
    """Return what a forward pass takes and gives."""
    rng = np.random.RandomState(2)
    args = [rng.randn(N, D).astype(dtype), rng.randn(D, H).astype(dtype), np.zeros(H, dtype)]
    args += [copy.copy(v) if isinstance(v, dict) else np.ones(H, dtype) for v in JOINED[name]]
    return args, *getattr(layer_utils, f"{name}_forward")(*args)


BOUNDS = {
    "affine_batchnorm_relu": tolerance.batchnorm_backward,
    "affine_ln_relu": tolerance.layernorm_backward,
}


def rounding(name, dout, cache):
    """Return what rounding may bring to the gradients behind a normalisation.

    Its own gradient is a difference of terms that may cancel, where its cache is refilled wholly.
    """
    try:
        (x, w, _), normalisation, before_relu = cache
        error = BOUNDS[name](np.where(before_relu > 0, dout, 0), normalisation)["dx"].max()
        return error * max(N, np.abs(x).sum(axis=0).max(), np.abs(w).sum(axis=1).max())
    except Exception:  # without a normalisation, or of shapes that do not fit
        return 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", JOINED)
def test_arrays_that_change_between_forward_and_backward(name, dtype):
    """Parameters and caches are resized, retyped and refilled: the gradients of what is there."""
    args, out, cache = forward(name, dtype)
    places = [("args", path) for path in paths(args)] + [("cache", path) for path in paths(cache)]
    served = 0
    for where, path in places:
        for change in hostile.CHANGES:
            args, out, cache = forward(name, dtype)
            hostile.attempt(change, look_up(args if where == "args" else cache, path))
            dout = np.random.RandomState(3).randn(*out.shape).astype(out.dtype)
            with np.errstate(all="ignore"):
                got, error = hostile.result_or_error(
                    lambda d=dout, c=cache: getattr(layer_utils, f"{name}_backward")(d, c)
                )
                with contextlib.suppress(Exception):
                    expected = getattr(reference, f"{name}_backward")(dout, copy.deepcopy(cache))
            assert error is None or names_something(error), (path, change, error)
            if error is None:
                served += 1
                size = max(np.abs(b).max(initial=0) for b in expected)  # sums of a feature cancel
                atol = 1e-3 * size + rounding(name, dout, cache)
                for a, b in zip(got, expected, strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-3, atol=atol)
    assert served


# --- clipping ---------------------------------------------------------------------------------


@hypothesis.settings(max_examples=effort(200, 20_000))
@hypothesis.given(st.integers(0, 10**9))
def test_whatever_is_clipped(seed):
    rng = random.Random(seed)
    grads = {"W": np.ones((2, 3), np.float32), "b": np.full(3, 2.0)}
    norm = 1.0
    kind = rng.randrange(4)
    if kind == 0:
        grads, _ = other(rng, grads)
    elif kind == 1:
        norm, _ = other(rng, norm)
    else:
        grads["W"], _ = other(rng, grads["W"])
    for call in (lambda: global_norm(grads), lambda: clip_gradients(grads, norm)):
        with np.errstate(all="ignore"):
            got, error = hostile.result_or_error(call)
        assert error is None or names_something(error) or "clip_norm" in str(error), error
        if error is None and kind >= 2 and isinstance(got, float) and math.isfinite(got):
            arrays = [np.asarray(g, np.float64) for g in grads.values()]
            if all(a.size < 100 for a in arrays):
                expected = math.sqrt(sum((a**2).sum() for a in arrays))
                assert math.isclose(got, expected, rel_tol=1e-5)
