"""Predictors: a network's scores as it was, of both packages."""

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastfc
from fastfc import _core, fc_net, reference
from fastfc.networks import predictor as shared
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.verifying import tolerance
from tests.support import cases, hostile
from tests.support.composed import Composed, irregular
from tests.support.same import assert_same

EXACT = [None, "layernorm"]  # in which nothing is folded
NORMALIZATIONS = [*EXACT, "batchnorm"]
PACKAGES = {"fast": fc_net, "reference": reference.fc_net}

# D, hidden layers, C: below, at and above whole vectors and groups of them, several parts of depth.
SIZES = [
    (1, (), 1),
    (64, (64,), 10),
    (17, (3, 2), 1),
    (60, (100, 33, 7), 10),
    (257, (193,), 3),
    (700, (), 130),
    (13, (530,), 17),
]


@pytest.fixture(params=PACKAGES)
def package(request):
    return PACKAGES[request.param]


def network(package=fc_net, sizes=(60, (33, 20), 10), dtype=np.float32, **options):
    """Return a network after a training step, with running averages of its own."""
    D, hidden, C = sizes
    np.random.seed(5)
    scale = 1 / np.sqrt(D)
    model = package.FullyConnectedNet(
        hidden, input_dim=D, num_classes=C, weight_scale=scale, dtype=dtype, **options
    )
    model.loss(cases.normal((20, D), dtype, "train"), cases.labels(20, C))
    for name, value in model.params.items():
        value += cases.normal(value.shape, dtype, name, scale=0.1)
    return model


def examples(N, model, *key):
    """Return N examples for a network."""
    return cases.normal((N, model.params["W1"].shape[0]), model.dtype, "test", *key)


def each(predictor, X):
    """Return the scores of the examples, one by one."""
    scores = np.array([predictor(x) for x in X], predictor.dtype)
    return scores.reshape(len(X), predictor.num_classes)


# --- what comes out ---------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("normalization", EXACT)
def test_scores_are_those_of_loss(isa, dtype, sizes, normalization):
    model = network(sizes=sizes, dtype=dtype, normalization=normalization, dropout=0.5)
    predictor = model.predictor()
    for N in (0, 1, 2, 3, 7, 17, 100):
        X = examples(N, model)
        assert_same(predictor(X), model.loss(X))
        assert_same(each(predictor, X), model.loss(X))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_every_activation(isa, dtype, normalization, activation):
    """One row and several, and a copy out of a pickle, as loss; with batch normalisation folded."""
    for hidden in ((33,), (100, 7)):
        options = {"normalization": normalization, "activation": activation, "dtype": dtype}
        model = network(sizes=(60, hidden, 10), **options)
        model.params = {name: value / 4 for name, value in model.params.items()}
        predictor = model.predictor()
        for N in (1, 3, 17, 100):
            X = examples(N, model)
            if normalization == "batchnorm":
                rtol = 1e4 * tolerance.unit(dtype)
                np.testing.assert_allclose(predictor(X), model.loss(X), rtol=rtol, atol=rtol)
            else:
                assert_same(predictor(X), model.loss(X))
            assert_same(each(predictor, X), predictor(X))
            assert_same(pickle.loads(pickle.dumps(predictor))(X), predictor(X))


def test_layers_of_before_there_were_other_activations():
    model = network(sizes=(6, (5,), 3))
    layers = [layer[:7] for layer in shared.read_layers(model)]
    predictor = _core.Predictor(layers, np.dtype(np.float32), shared.check_call)
    X = examples(4, model)
    assert_same(predictor(X), model.loss(X))
    with pytest.raises(ValueError, match=r"predictor: activation is 'sigmoid', expected one of"):
        _core.Predictor(
            [(*layer, "sigmoid") for layer in layers], np.dtype(np.float32), shared.check_call
        )


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_folded_scores_are_those_of_loss_but_for_rounding(isa, dtype, sizes):
    model = network(sizes=sizes, dtype=dtype, normalization="batchnorm")
    predictor, X = model.predictor(), examples(100, model)
    bound = tolerance.network_scores(model, X)
    tolerance.assert_close(predictor(X), model.loss(X), bound, "scores")
    for N in (1, 2, 3, 17):
        assert_same(predictor(X[:N]), predictor(X)[:N])
        assert_same(each(predictor, X[:N]), predictor(X)[:N])


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_of_the_reference_too(dtype, normalization):
    model = network(reference.fc_net, dtype=dtype, normalization=normalization, dropout=0.5)
    X = examples(12, model)
    assert_same(model.predictor()(X), model.loss(X))
    assert_same(model.predictor()(X[0]), model.loss(X[:1])[0])
    if normalization == "layernorm":
        return  # the bound is not of its roundings
    fast = network(dtype=dtype, normalization=normalization, dropout=0.5)
    fast.params, fast.bn_params = model.params, model.bn_params
    bound = tolerance.network_scores(model, X)
    tolerance.assert_close(fast.predictor()(X), model.predictor()(X), bound, "scores")


@pytest.mark.parametrize(("D", "same"), [(4096, True), (4097, False)])
def test_products_that_loss_sums_in_another_order(dtype, D, same):
    model = network(sizes=(D, (20,), 5), dtype=dtype)
    predictor, X = model.predictor(), examples(30, model)
    bound = 0 if same else tolerance.network_scores(model, X)
    tolerance.assert_close(predictor(X), model.loss(X), bound, "scores")
    assert_same(each(predictor, X), predictor(X))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_any_number_of_threads(isa, dtype, normalization):
    model = network(sizes=(60, (300, 130), 10), dtype=dtype, normalization=normalization)
    predictor, X = model.predictor(), examples(2100, model)
    before = fastfc.get_num_threads()
    try:
        fastfc.set_num_threads(1)
        expected = predictor(X)
        for count in (2, 3, 5):
            fastfc.set_num_threads(count)
            assert_same(predictor(X), expected)
    finally:
        fastfc.set_num_threads(before)
    assert_same(predictor(X[1024:1025]), expected[1024:1025])


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_many_threads_share_a_predictor(normalization):
    """Calls that keep the GIL, calls that do not, calls that use the core's threads."""
    model = network(sizes=(700, (130, 20), 10), normalization=normalization)
    predictor, X = model.predictor(), examples(300, model)
    calls = [slice(0, n) for n in (1, 2, 30, 300)] * 20 + list(range(80))
    expected = [predictor(X[rows]) for rows in calls]
    with ThreadPoolExecutor(4) as pool:
        assert_same(list(pool.map(lambda rows: predictor(X[rows]), calls)), expected)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45])
@pytest.mark.parametrize("normalization", EXACT)
def test_special_values(isa, dtype, normalization, special):
    model = network(dtype=dtype, normalization=normalization)
    model.params["W1"][:, 3] = special
    model.params["b2"][2] = special
    X = examples(9, model)
    X[4, 5] = special
    with np.errstate(all="ignore"):
        expected = model.loss(X)
        assert_same(model.predictor()(X), expected)
        assert_same(each(model.predictor(), X), expected)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.bn_params[1].update(eps=0, running_var=np.zeros(20, m.dtype)),
        lambda m: m.bn_params[1]["running_var"].__setitem__(3, -1),
        lambda m: m.bn_params[0]["running_mean"].__setitem__(3, np.nan),
        lambda m: m.params["gamma2"].__setitem__(3, np.inf),
        lambda m: m.params["W2"].__setitem__((4, 3), np.inf),
        lambda m: m.params["gamma1"].__setitem__(slice(None), np.finfo(m.dtype).max),
    ],
)
def test_what_cannot_be_folded_stays_as_it_is(isa, dtype, spoil):
    """A layer whose folded weights are not finite: infinities and NaN are those of loss."""
    model = network(dtype=dtype, normalization="batchnorm")
    spoil(model)
    X = examples(9, model)
    with np.errstate(all="ignore"):
        expected = model.loss(X)
        predicted = model.predictor()(X)
    assert not np.isfinite(expected).all() or np.abs(expected).max() > 1e6
    np.testing.assert_array_equal(np.isnan(predicted), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(predicted), np.isinf(expected))


def test_denormals_that_are_taken_for_zero():
    model = network(sizes=(64, (), 10))
    model.params["W1"] *= 1e-38
    model.params["b1"] *= 0
    predictor, X = model.predictor(), examples(3, model)
    kept = predictor(X)
    try:
        fastfc.set_flush_denormal(True)
        assert_same(predictor(X), model.loss(X))
        assert not np.array_equal(predictor(X), kept)
    finally:
        fastfc.set_flush_denormal(False)
    assert_same(predictor(X), kept)


# --- a snapshot -------------------------------------------------------------------------------


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_what_happens_to_the_network_later_changes_nothing(package, normalization):
    model = network(package, normalization=normalization, dropout=0.5)
    predictor, X = model.predictor(), examples(5, model)
    before = predictor(X)
    for value in [*model.params.values(), *(v for bn in model.bn_params for v in bn.values())]:
        if isinstance(value, np.ndarray):
            value += 1
    for bn_param in model.bn_params:
        bn_param.clear()
    model.params.clear()
    model.normalization, model.num_layers = None, 0
    assert_same(predictor(X), before)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_making_one_leaves_no_trace(package, normalization):
    model = network(package, normalization=normalization, dropout=0.5, seed=3)
    state = copy.deepcopy([model.params, model.bn_params, model.dropout_param])
    np.random.seed(9)
    predictor = model.predictor()
    predictor(examples(3, model))
    assert np.random.rand() == np.random.RandomState(9).rand()
    assert_same([model.params, model.bn_params, model.dropout_param], state)


def test_before_any_training(package):
    model = package.FullyConnectedNet([8, 9], 6, 4, use_batchnorm=True, weight_scale=1)
    X = examples(3, model)
    predicted = model.predictor()(X)
    assert all("running_mean" not in bn_param for bn_param in model.bn_params)
    np.testing.assert_allclose(predicted, model.loss(X), rtol=1e-3)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("change", irregular(), ids=str)
def test_parameters_as_users_leave_them(change, normalization):
    model = network(sizes=(60, (22,), 10), normalization=normalization)
    irregular()[change](model.params)
    predictor, X = model.predictor(), examples(7, model)
    bound = 0 if normalization in EXACT else tolerance.network_scores(model, X)
    tolerance.assert_close(predictor(X), model.loss(X), bound, "scores")


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_copies_and_pickles(package, dtype, normalization):
    model = network(package, dtype=dtype, normalization=normalization)
    predictor, X = model.predictor(), examples(5, model)
    ways = [copy.copy, copy.deepcopy]
    ways += [
        lambda p, v=version: pickle.loads(pickle.dumps(p, v))
        for version in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for way in ways:
        again = way(predictor)
        assert type(again) is type(predictor)
        assert repr(again) == repr(predictor)
        assert_same(again(X), predictor(X))


def test_the_instruction_set_it_was_made_for():
    before, model = _core.isa(), network()
    X = examples(5, model)
    try:
        for made, used in itertools.permutations(_core.available_isas(), 2):
            _core.use_isa(made)
            predictor = model.predictor()
            expected = predictor(X)
            _core.use_isa(used)
            assert_same(predictor(X), expected)
            again = pickle.loads(pickle.dumps(predictor))
            assert_same(again(X), model.predictor()(X))
    finally:
        _core.use_isa(before)


def test_of_networks_that_are_called_layer_by_layer():
    np.random.seed(1)
    model = Composed([9], 6, 4, weight_scale=1)
    X = examples(3, model)
    assert_same(model.predictor()(X), model.loss(X))


def test_two_layer_net(package):
    model = package.TwoLayerNet(6, 9, 4, weight_scale=1)
    X = examples(3, model)
    assert model.predictor().dtype == np.float64
    np.testing.assert_array_equal(model.predictor()(X), model.loss(X))


# --- what goes in -----------------------------------------------------------------------------


def test_what_it_says_of_itself(package, dtype):
    predictor = network(package, dtype=dtype).predictor()
    assert (predictor.dtype, predictor.input_dim, predictor.num_classes) == (dtype, 60, 10)
    assert repr(predictor) == f"<Predictor: 60 to 10, {np.dtype(dtype)}>"


def test_shapes(package, dtype):
    model = network(package, dtype=dtype)
    predictor, X = model.predictor(), examples(24, model)
    expected = predictor(X)
    for shape in ((24, 3, 20), (24, 1, 60), (24, 5, 4, 3)):
        assert_same(predictor(X.reshape(shape)), expected)
    assert predictor(X[0]).shape == (10,)
    assert predictor(X[:1]).shape == (1, 10)
    assert_same(predictor(X[:0]), np.empty((0, 10), dtype))
    assert_same(predictor(X.view(np.memmap)), expected)
    X.flags.writeable = False
    assert_same(predictor(X), expected)


def test_out(package, dtype):
    model = network(package, dtype=dtype)
    predictor, X = model.predictor(), examples(24, model)
    for x in (X, X[3], X[:0], X[:1]):
        expected = predictor(x)
        out = np.full_like(expected, np.nan)
        assert predictor(x, out) is out
        assert_same(out, expected)
        out[...] = np.nan
        assert predictor(x, out=out) is out
        assert_same(out, expected)
    both = np.zeros(70, dtype)
    both[:60] = X[3]
    assert_same(predictor(both[:60], both[60:]), predictor(X[3]))


F32 = np.zeros(60, np.float32)
REFUSED = {
    "list": ([0.0] * 60, TypeError, "x is [0.0, 0.0,"),
    "None": (None, TypeError, "x is None, expected an array of float32"),
    "number": (3.0, TypeError, "x is 3.0, expected an array of float32"),
    "float64": (F32.astype("f8"), TypeError, "x has dtype float64, expected float32, the network"),
    "float16": (F32.astype("f2"), TypeError, "x has dtype float16, expected float32"),
    "integers": (F32.astype("i4"), TypeError, "x has dtype int32, expected float32"),
    "swapped": (F32.astype(">f4"), TypeError, "x has dtype >f4, expected float32"),
    "complex": (F32.astype("c8"), TypeError, "x has dtype complex64, expected float32"),
    "masked": (np.ma.array(F32, mask=F32 == 0), ValueError, "x is a masked array"),
    "no axes": (np.zeros((), "f4"), ValueError, "x has shape (), expected (60,), one example, or"),
    "short": (F32[:59], ValueError, "x has shape (59,), expected (60,), one example, or"),
    "many": (np.zeros(120, "f4"), ValueError, "x has shape (120,), expected (60,)"),
    "narrow": (np.zeros((2, 59), "f4"), ValueError, "x has shape (2, 59), expected (60,)"),
    "turned": (np.zeros((60, 2), "f4"), ValueError, "x has shape (60, 2), expected (60,)"),
    "image": (np.zeros((3, 20), "f4"), ValueError, "(N, d_1, ..., d_k) with d_1 * ... * d_k = 60"),
    "empty": (np.zeros((60, 0), "f4"), ValueError, "x has shape (60, 0), expected (60,)"),
    "huge": (np.broadcast_to(F32, (2**45, 60)), ValueError, "x is not C-contiguous"),
    "wide": (np.zeros((0, 2**60), "f4"), ValueError, "x has shape (0, 1152921504606846976), exp"),
    "strided": (np.zeros(120, "f4")[::2], ValueError, "x is not C-contiguous or not aligned"),
    "fortran": (np.zeros((60, 4), "f4").T, ValueError, "np.require(x, requirements='CA')"),
    "repeated": (np.broadcast_to(F32, (9, 60)), ValueError, "x is not C-contiguous"),
    "unaligned": (cases.LAYOUTS["unaligned"](F32), ValueError, "x is not C-contiguous or not"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_examples_that_are_refused(package, kind):
    x, error, text = REFUSED[kind]
    with pytest.raises(error) as caught:
        network(package).predictor()(x)
    assert str(caught.value).startswith("predictor: x")
    assert text in str(caught.value)


REFUSED_OUT = {
    "list": ([0.0] * 10, TypeError, "out is [0.0, 0.0,"),
    "float64": (np.zeros((4, 10)), TypeError, "out has dtype float64, expected float32"),
    "short": (np.zeros((3, 10), "f4"), ValueError, "out has shape (3, 10), expected (4, 10) to "),
    "flat": (np.zeros(10, "f4"), ValueError, "out has shape (10,), expected (4, 10) to match x of"),
    "narrow": (np.zeros((4, 9), "f4"), ValueError, "out has shape (4, 9), expected (4, 10) to mat"),
    "deep": (np.zeros((4, 10, 1), "f4"), ValueError, "out has shape (4, 10, 1), expected (4, 10)"),
    "fortran": (np.zeros((10, 4), "f4").T, ValueError, "out is not C-contiguous or not aligned"),
    "read-only": (cases.LAYOUTS["read-only"](np.zeros((4, 10), "f4")), ValueError, "out is read-"),
    "masked": (np.ma.masked_all((4, 10), "f4"), ValueError, "out is a masked array"),
}


@pytest.mark.parametrize("kind", REFUSED_OUT)
def test_outputs_that_are_refused(package, kind):
    out, error, text = REFUSED_OUT[kind]
    with pytest.raises(error) as caught:
        network(package).predictor()(np.zeros((4, 60), np.float32), out)
    assert str(caught.value).startswith(f"predictor: {text}")


@pytest.mark.parametrize("start", [0, 1, 59])
def test_an_output_within_the_example(package, start):
    memory = np.zeros(80, np.float32)
    predictor = network(package).predictor()
    with pytest.raises(ValueError, match="predictor: out shares memory with x"):
        predictor(memory[:60], memory[start : start + 10])


def test_arguments_of_the_call(package):
    predictor = network(package).predictor()
    for call in (predictor, lambda: predictor(F32, None, None), lambda: predictor(F32, y=F32)):
        with pytest.raises(TypeError):
            call()


# --- networks that have none ------------------------------------------------------------------


def test_a_loss_of_ones_own(package):
    class Own(package.FullyConnectedNet):
        def loss(self, X, y=None):
            return super().loss(X, y)

    replaced = network(package)
    replaced.loss = lambda X: X
    for model in (Own([5], 6, 4), replaced):
        with pytest.raises(TypeError, match=r"predictor: loss of this .* is not fastfc's own"):
            model.predictor()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.params.pop("b2"),
        lambda m: m.params.update(W2=np.ones((3, 4), np.float32)),
        lambda m: m.params.update(W1=np.float32(3)),
        lambda m: m.params.update(b1=np.ones(3, np.float32)),
        lambda m: m.params.update(gamma1=["a"]),
        lambda m: m.params.update(gamma1=np.ones((12, 33), np.float32)),
        lambda m: m.bn_params[0].update(eps="small"),
        lambda m: m.bn_params[0].update(eps=-1),
        lambda m: m.bn_params[0].update(running_var=np.ones(3)),
        lambda m: m.bn_params.pop(),
        lambda m: setattr(m, "bn_params", None),
        lambda m: setattr(m, "bn_params", ["a", "b"]),
        lambda m: setattr(m, "num_layers", 10**9),
        lambda m: setattr(m, "params", None),
    ],
)
def test_errors_are_those_of_loss(package, spoil):
    model = network(package, normalization="batchnorm")
    spoil(model)
    with pytest.raises((TypeError, ValueError)) as expected:
        model.loss(np.zeros((1, 60), np.float32))
    with pytest.raises(expected.type) as caught:
        model.predictor()
    assert str(caught.value) == str(expected.value)


# --- arguments that act -----------------------------------------------------------------------


def changes(model):
    """Yield what an actor does to a model while a predictor is made of it."""
    for mapping in (model.params, *model.bn_params):
        yield mapping.clear
        yield lambda m=mapping: m.update({k: np.zeros((1, 1), np.float32) for k in m})
    yield model.bn_params.clear
    yield lambda: setattr(model, "num_layers", 0)
    yield lambda: setattr(model, "dtype", np.float64)
    yield lambda: setattr(model, "params", {})
    yield model.predictor
    for arrays in (model.params, *model.bn_params):
        for value in list(arrays.values()):
            if np.ndim(value):
                for change in hostile.CHANGES:
                    yield lambda v=value, c=change: hostile.attempt(c, v)


def actors(model, act):
    """Yield functions that put an actor somewhere in a model."""
    yield lambda: setattr(model, "num_layers", hostile.Actor(3, act))
    yield lambda: model.params.update(b2=hostile.Actor(model.params["b2"], act))
    yield lambda: model.params.update({hostile.Key("W2", act): 0})
    yield lambda: model.bn_params[0].update(eps=hostile.Actor(1e-5, act))
    mean = model.bn_params[0]["running_mean"]
    yield lambda: model.bn_params[0].update(running_mean=hostile.Actor(mean, act))


def test_a_model_that_acts():
    first = network(sizes=(6, (6, 6), 6), normalization="batchnorm")
    X = examples(4, first)
    for i in range(len(list(actors(first, None)))):
        for j in range(len(list(changes(first)))):
            model = copy.deepcopy(first)
            act = list(changes(model))[j]
            list(actors(model, act))[i]()
            predictor, error = hostile.result_or_error(model.predictor)
            assert (predictor is None) == (error is not None)
            if predictor is not None and (predictor.dtype, predictor.input_dim) == (X.dtype, 6):
                assert predictor(X).shape == (4, predictor.num_classes)


@pytest.mark.parametrize("change", hostile.CHANGES)
@pytest.mark.parametrize("which", ["x", "out"])
def test_arrays_of_a_class_that_acts(change, which):
    """No view is made of them, and they are looked at again when they have acted."""
    predictor = network().predictor()
    target = np.zeros((4, 60), np.float32)
    acting = np.zeros((4, 10), np.float32).view(hostile.Matrix)
    acting.act = lambda: hostile.attempt(change, target)
    x, out = (target, acting) if which == "out" else (target.view(hostile.Matrix), None)
    if which == "x":
        x.act = lambda: hostile.attempt(change, target)
    result, error = hostile.result_or_error(lambda: predictor(x, out))
    assert error is not None or result.shape == (4, 10)


LAYER = shared.Layer(np.ones((6, 4), np.float32), np.ones(4, np.float32))
ROW = np.ones(4, np.float32)


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [LAYER[:3]],
        [LAYER._replace(W=None)],
        [LAYER._replace(b=None)],
        [LAYER._replace(W=np.ones(6))],
        [LAYER._replace(W=np.ones((0, 4)))],
        [LAYER._replace(W=np.ones((6, 0)), b=np.ones(0))],
        [LAYER._replace(b=np.ones(5))],
        [LAYER._replace(b=np.ones((1, 4)))],
        [LAYER._replace(W="abc")],
        [LAYER._replace(W=np.ones((6, 4), complex))],
        [LAYER._replace(eps=-1)],
        [LAYER._replace(eps=None)],
        [LAYER, LAYER],
        [LAYER._replace(gamma=ROW, beta=ROW)],
        [LAYER._replace(gamma=ROW), shared.Layer(np.ones((4, 2)), np.ones(2))],
        [LAYER._replace(mean=ROW, var=ROW), shared.Layer(np.ones((4, 2)), np.ones(2))],
        [LAYER._replace(gamma=ROW, beta=ROW[:3]), shared.Layer(np.ones((4, 2)), np.ones(2))],
        [3],
        None,
    ],
    ids=str,
)
def test_layers_that_are_none(layers):
    """What a pickle may hold: the core checks it."""
    with pytest.raises((TypeError, ValueError)):
        _core.Predictor(layers, np.dtype(np.float32), shared.check_call)


@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.complex128, np.longdouble])
def test_dtypes_that_are_none(dtype):
    with pytest.raises(TypeError, match="expected float32 or float64"):
        _core.Predictor([LAYER], np.dtype(dtype), shared.check_call)


def test_a_check_that_finds_nothing():
    """The core does not rely on it."""
    predictor = _core.Predictor([LAYER], np.dtype(np.float32), lambda predictor, x, out: (x, ()))
    for x in (None, [1], np.ones(5, np.float32), np.ones(6), np.ones((6, 6), np.float32).T):
        with pytest.raises((TypeError, ValueError), match="predictor: x or out"):
            predictor(x)
    with pytest.raises(ValueError, match="predictor: x or out"):
        predictor(np.ones(6, np.float32), np.ones(5, np.float32))


def test_layers_that_act():
    for change in hostile.CHANGES:
        W, b = np.ones((6, 4), np.float32), np.ones(4, np.float32)
        layer = LAYER._replace(W=W, b=hostile.Actor(b, lambda c=change, a=W: hostile.attempt(c, a)))
        predictor, error = hostile.result_or_error(
            lambda layer=layer: _core.Predictor([layer], np.dtype(np.float32), shared.check_call)
        )
        assert error is not None or predictor(np.ones(6, np.float32)).shape == (4,)


def test_folding_is_exact_where_it_can_be():
    W = np.arange(12, dtype=np.float32).reshape(4, 3)
    ones = np.ones(3, np.float32)
    layer = shared.Layer(W, ones, 2 * ones, 3 * ones, 5 * ones, 0.75 * ones, 0.25, "tanh")
    folded = shared.fold(layer)
    assert_same(folded.W, 2 * W)
    assert_same(folded.b, np.full(3, 2 * (1 - 5) + 3, np.float32))
    assert folded[2:] == (None,) * 4 + (0.0, "tanh")
    assert shared.fold(LAYER) is LAYER
