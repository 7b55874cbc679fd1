"""Arrays of other libraries go in without a copy, tables with one, and nobody is left guessing."""

import array
import gc
import tracemalloc

import numpy as np
import pytest

from fastfc import fc_net, layers, optim
from fastfc.arrays import to_array
from fastfc.foreign import PART_ROWS, adopt
from fastfc.reference import fc_net as reference_nets
from fastfc.reference import layers as reference_layers
from fastfc.solver import Solver
from fastfc.training.clipping import global_norm
from tests.support.foreign import ALL, SHARED, TABLES, ByDLPack, library
from tests.support.same import assert_same

N, D, C = 400, 6, 3
RNG = np.random.default_rng(6)
X = RNG.normal(size=(N, D)).astype(np.float32)
Y = X[:, :C].argmax(axis=1)
W, B = RNG.normal(size=(D, C)).astype(np.float32), np.zeros(C, np.float32)

KINDS = pytest.mark.parametrize("kind", ALL)
LAYERS = pytest.mark.parametrize("module", [layers, reference_layers], ids=["fast", "reference"])
NETS = pytest.mark.parametrize("nets", [fc_net, reference_nets], ids=["fast", "reference"])


def made(kind, x):
    """Return x as another library's, whose memory may be x's."""
    return ALL[kind](x.copy())


def network(nets=fc_net, **options):
    np.random.seed(0)
    return nets.FullyConnectedNet([5], input_dim=D, num_classes=C, weight_scale=0.5, **options)


# --- what goes in -----------------------------------------------------------------------------


@KINDS
@LAYERS
def test_layers(module, kind):
    out, cache = module.affine_forward(made(kind, X), made(kind, W), made(kind, B))
    expected, plain = module.affine_forward(X, W, B)
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == np.float32
    assert_same(module.affine_backward(made(kind, out), cache), module.affine_backward(out, plain))


@KINDS
@LAYERS
def test_losses(module, kind):
    x, weights = X[:, :C].copy(), np.arange(1.0, N + 1)
    given = made(kind, x), made(kind, Y)
    assert_same(module.softmax_loss(*given), module.softmax_loss(x, Y))
    if kind != "jax":  # which has float64 only where it is told so
        given = module.squared_error_loss(made(kind, x), made(kind, x), made(kind, weights))
        assert_same(given, module.squared_error_loss(x, x, weights))


@KINDS
@NETS
def test_networks(nets, kind):
    net = network(nets)
    assert_same(net.loss(made(kind, X), made(kind, Y)), net.loss(X, Y))
    assert_same(net.loss(made(kind, X)), net.loss(X))
    assert_same(net.predict(made(kind, X), batch_size=150), net.predict(X))
    assert_same(net.predict_proba(made(kind, X)), net.predict_proba(X))


@KINDS
@NETS
def test_predictors(nets, kind):
    predictor = network(nets).predictor()
    x = made(kind, X)
    if to_array("x", x).flags.c_contiguous:
        assert_same(predictor(x), predictor(X))
        assert_same(predictor(made(kind, X[0])), predictor(X[0]))
    else:  # a frame's memory lies by columns
        with pytest.raises(ValueError, match=r"^predictor: x is not C-contiguous"):
            predictor(x)


@KINDS
def test_steps(kind):
    losses = []
    for x, y, rows in ((X, Y, None), (made(kind, X), made(kind, Y), None), (X, Y, np.arange(N))):
        net = network()
        configs = {name: {"learning_rate": 0.1} for name in net.params}
        losses.append(net.train_step(x, y, "sgd", configs, rows=rows))
    assert losses[0] == losses[1] == losses[2]


@KINDS
@NETS
def test_solvers(nets, kind):
    def trained(of):
        net = network(nets)
        data = {"X_train": of(X), "y_train": of(Y), "X_val": of(X[:99]), "y_val": of(Y[:99])}
        data |= {"w_train": of(np.arange(1.0, N + 1))}
        mean = X.mean(axis=0)
        solver = Solver(net, data, num_epochs=2, verbose=False, normalize=(of(mean), 1.5))
        solver.train()
        accuracy = solver.check_accuracy(of(X), of(Y), sample_weight=of(np.arange(1.0, N + 1)))
        return solver, accuracy

    (ours, accuracy), (plain, expected) = trained(lambda x: made(kind, x)), trained(np.array)
    assert_same(ours.loss_history, plain.loss_history)
    assert_same(ours.val_acc_history, plain.val_acc_history)
    assert accuracy == expected
    assert isinstance(ours.X_train, np.ndarray)


@KINDS
@pytest.mark.parametrize("rule", optim.__all__)
def test_update_rules(kind, rule):
    w, dw = made(kind, W), made(kind, W / 2)
    expected, _ = getattr(optim, rule)(W.copy(), W / 2, {"learning_rate": 0.1})
    if kind == "read-only" and rule == "sgd":
        with pytest.raises(ValueError, match=r"^sgd: w is read-only"):
            optim.sgd(w, dw)
        return
    found, _ = getattr(optim, rule)(w, dw, {"learning_rate": 0.1})
    np.testing.assert_array_equal(found, expected)


@KINDS
def test_norms(kind):
    assert global_norm({"w": made(kind, W)}) == global_norm({"w": W})


@KINDS
def test_estimators(kind):
    library("sklearn")
    from fastfc.estimators import FCClassifier, FCRegressor

    for estimator, y in ((FCClassifier, Y), (FCRegressor, X[:, 0].copy())):
        options = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0, "tol": 0}
        options |= {"n_iter_no_change": 9, "lr_schedule": "cosine"}
        weights = np.linspace(1, 2, N, dtype=np.float32)
        plain = estimator(**options).fit(X, y, weights, X_val=X, y_val=y)
        ours = estimator(**options).fit(
            made(kind, X), made(kind, y), made(kind, weights), X_val=made(kind, X), y_val=y
        )
        assert_same(ours.coefs_, plain.coefs_)
        np.testing.assert_array_equal(ours.predict(made(kind, X)), plain.predict(X))
        assert ours.score(made(kind, X), made(kind, y), made(kind, weights)) == plain.score(
            X, y, weights
        )
        assert ours.n_features_in_ == D
        if kind in TABLES:
            assert list(ours.feature_names_in_) == [f"c{i}" for i in range(D)]
            with pytest.raises(ValueError, match="feature names should match"):
                ours.predict(_renamed(made(kind, X)))
        ours.partial_fit(made(kind, X), made(kind, y))


def _renamed(table):
    names = [f"other{i}" for i in range(D)]
    if hasattr(table, "rename_columns"):
        return table.rename_columns(names)
    table.columns = names
    return table


@pytest.mark.parametrize("kind", [*SHARED])
def test_memory_is_the_librarys(kind):
    """An array of NumPy's begins where the other one does."""
    x = X.copy()
    given = SHARED[kind](x)
    if kind == "torch":
        start = given.data_ptr()
    elif kind == "jax":
        start = given.unsafe_buffer_pointer()
    elif kind == "pandas":
        start = np.asarray(given).ctypes.data  # which is the same each time
    else:
        start = x.ctypes.data
    found = to_array("x", given)
    assert type(found) is np.ndarray
    assert found.ctypes.data == start
    np.testing.assert_array_equal(found, X)


# --- how many copies --------------------------------------------------------------------------

LONG = RNG.normal(size=(3 * PART_ROWS + 5, D)).astype(np.float32)


def peak_of(call):
    """Return the most memory that NumPy and Python have had at once, above what was there."""
    call()  # what is made at a first call and kept
    gc.collect()
    gc.disable()  # garbage counts, and when it is collected depends on the tests before
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def copies(call, given, plain):
    """Return how many arrays of LONG's size a call needs more for one array than for another."""
    more = peak_of(lambda: call(given)) - peak_of(lambda: call(plain))
    return more / LONG.nbytes


NET = network()
PREDICTOR = NET.predictor()
CALLS = {
    "to_array": lambda x: to_array("x", x),
    "affine_forward": lambda x: layers.affine_forward(x, W, B),
    "reference": lambda x: reference_layers.affine_forward(x, W, B),
    "softmax_loss": lambda x: layers.softmax_loss(x, np.zeros(len(LONG), int)),
    "loss": lambda x: NET.loss(x),
    "predict": lambda x: NET.predict(x),
    "predictor": lambda x: PREDICTOR(x),
}


@pytest.mark.parametrize("call", CALLS)
@KINDS
def test_copies(kind, call):
    given = ALL[kind](LONG.copy())
    plain = LONG if to_array("x", given).flags.c_contiguous else np.asfortranarray(LONG)
    if call == "predictor" and not plain.flags.c_contiguous:
        return
    expected = 1 if kind in TABLES else 0
    assert expected - 0.5 < copies(CALLS[call], given, plain) < expected + 0.1


@KINDS
def test_copies_of_a_solver(kind):
    """Examples, which a Solver holds."""

    def solver(x):
        y = np.zeros(len(LONG), int)
        return Solver(network(), {"X_train": x, "y_train": y, "X_val": x, "y_val": y})

    expected = 2 if kind in TABLES else 0  # X_train and X_val
    found = copies(solver, ALL[kind](LONG.copy()), LONG)
    assert found == pytest.approx(expected, abs=0.1)


@KINDS
def test_copies_of_an_estimator(kind):
    library("sklearn")
    from fastfc.estimators import FCRegressor

    y = LONG[:, 0].copy()
    options = {"hidden_layer_sizes": (2,), "max_iter": 1, "tol": 0, "random_state": 0}
    estimator = FCRegressor(**options, lr_schedule="cosine")
    given = ALL[kind](LONG.copy())
    plain = LONG if to_array("x", given).flags.c_contiguous else np.asfortranarray(LONG)
    for call in (lambda x: estimator.fit(x, y), lambda x: estimator.fit(x, y).predict(x)):
        found = copies(call, given, plain)
        assert found == pytest.approx(1 if kind in TABLES else 0, abs=0.15)


# --- tables -----------------------------------------------------------------------------------


def test_frames_of_several_dtypes():
    pandas = library("pandas")
    frame = pandas.DataFrame(
        {
            "float": np.array([1.5, np.nan, 3.0], np.float32),
            "int": np.array([1, 2, 3], np.int16),
            "bool": [True, False, True],
            "whole": pandas.array([4, 5, 6], "Int64"),
            "real": pandas.array([0.5, 1.5, 2.5], "Float64"),
        }
    )
    found = to_array("x", frame)
    np.testing.assert_array_equal(
        found, [[1.5, 1, 1, 4, 0.5], [np.nan, 2, 0, 5, 1.5], [3, 3, 1, 6, 2.5]]
    )
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    assert to_array("x", frame[["float", "int", "bool"]]).dtype == np.float32
    assert to_array("y", frame["whole"]).dtype == np.int64
    assert to_array("x", frame.iloc[:0]).shape == (0, 5)


@pytest.mark.parametrize("kind", ["polars", "arrow", "batch"])
def test_tables_of_several_dtypes(kind):
    columns = {"a": [1.5, 2.5, 3.5], "b": [1, 2, 3], "c": [True, False, True]}
    if kind == "polars":
        table = library("polars").DataFrame(columns)
    elif kind == "arrow":
        table = library("pyarrow").table(columns)
    else:
        table = library("pyarrow").table(columns).to_batches()[0]
    found = to_array("x", table)
    np.testing.assert_array_equal(found, [[1.5, 1, 1], [2.5, 2, 0], [3.5, 3, 1]])
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(to_array("x", table.slice(1, 1)), found[1:2])


def test_arrays_of_tensors():
    pyarrow = library("pyarrow")
    images = RNG.normal(size=(7, 2, 3)).astype(np.float32)
    given = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(images)
    found = to_array("x", given)
    np.testing.assert_array_equal(found, images)
    assert found.ctypes.data == given.to_numpy_ndarray().ctypes.data
    with pytest.raises(TypeError, match=r"^x is a ChunkedArray of tensors, .*combine_chunks\(\)"):
        to_array("x", pyarrow.chunked_array([given]))
    with pytest.raises(TypeError, match=r"^x: column 'image' has dtype .*tensor"):
        to_array("x", pyarrow.table({"image": given}))


# --- what does not go in ----------------------------------------------------------------------


def gradient():
    return library("torch").ones(3, 2, requires_grad=True)


def bfloat16_of_torch():
    torch = library("torch")
    return torch.ones(3, 2, dtype=torch.bfloat16)


def bfloat16_of_jax():
    jnp = library("jax.numpy")
    return jnp.ones((3, 2), jnp.bfloat16)


def meta():
    return library("torch").ones(3, 2, device="meta")


def of_another_device():
    class OnDevice(ByDLPack):
        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, **options):
            raise BufferError("unsupported device")

        def get(self):
            return np.ones(3)

    return OnDevice(X)


def gaps_of_pandas():
    pandas = library("pandas")
    return pandas.DataFrame({"a": [1.0], "b": pandas.array([None], "Int64")})


def gaps_of_series():
    pandas = library("pandas")
    return pandas.Series([1, None], dtype="Int64")


REFUSED = {
    "gradient": (gradient, r"^x is a Tensor and no array: it requires a gradient.*\.detach\(\)$"),
    "bfloat16 of torch": (bfloat16_of_torch, r"^x is a Tensor and .*bfloat16: .*\.float\(\)$"),
    "bfloat16 of jax": (bfloat16_of_jax, r'^x is a ArrayImpl of bfloat16, .*\.astype\("float32"\)'),
    "meta": (meta, r"^x is a Tensor and no array: "),
    "device": (of_another_device, r"^x is a OnDevice .*on another device: pass its \.get\(\)$"),
    "gaps": (gaps_of_pandas, r"^x: column 'b' has 1 missing value, .*\.fillna\(value\)$"),
    "gaps of a Series": (gaps_of_series, r"^x has 1 missing value, .*\.fillna\(value\)$"),
    "text of pandas": (
        lambda: library("pandas").DataFrame({"a": [1.0], "town": ["Ulm"]}),
        r"^x: column 'town' has dtype (str|object), expected real numbers$",
    ),
    "categories": (
        lambda: library("pandas").DataFrame({"town": ["Ulm"]}, dtype="category"),
        r"^x: column 'town' has dtype category, expected real numbers$",
    ),
    "gaps of polars": (
        lambda: library("polars").DataFrame({"a": [1.0, None], "b": [1, 2]}),
        r"^x: column 'a' has 1 missing value, .*\.fill_null\(value\)$",
    ),
    "gaps of a series of polars": (
        lambda: library("polars").Series([1, None, None]),
        r"^x has 2 missing values, .*\.fill_null\(value\)$",
    ),
    "text of polars": (
        lambda: library("polars").DataFrame({"town": ["Ulm"]}),
        r"^x: column 'town' has dtype String, expected real numbers$",
    ),
    "lazy": (
        lambda: library("polars").DataFrame({"a": [1.0]}).lazy(),
        r"^x is a LazyFrame, which is not computed yet: pass its \.collect\(\)$",
    ),
    "gaps of Arrow": (
        lambda: library("pyarrow").table({"a": [1, None]}),
        r"^x: column 'a' has 1 missing value, .*\.fill_null\(value\)$",
    ),
    "gaps of an array of Arrow": (
        lambda: library("pyarrow").array([1, None]),
        r"^x has 1 missing value, .*\.fill_null\(value\)$",
    ),
    "text of Arrow": (
        lambda: library("pyarrow").table({"town": ["Ulm"]}),
        r"^x: column 'town' has dtype string, expected real numbers$",
    ),
    "no columns": (
        lambda: library("pandas").DataFrame(index=range(3)),
        r"^x is a DataFrame without columns$",
    ),
    "stream": (
        lambda: type("Stream", (), {"__arrow_c_stream__": None})(),
        r"^x is a Stream, expected an array or a table: pass pyarrow\.table\(x\)$",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    make, message = REFUSED[case]
    given = make()
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        to_array("x", given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_everywhere_in_the_same_words(case):
    given, net = REFUSED[case][0](), network()
    predictor, solver = net.predictor(), None
    data = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}
    solver = Solver(net, data, verbose=False)
    calls = {
        "affine_forward: x": lambda: layers.affine_forward(given, W, B),
        "softmax_loss: y": lambda: layers.softmax_loss(X, given),
        "sgd: dw": lambda: optim.sgd(W.copy(), given),
        "X": lambda: net.loss(given),
        "predictor: x": lambda: predictor(given),
        "X_train": lambda: Solver(net, {**data, "X_train": given}),
        "y_val": lambda: Solver(net, {**data, "y_val": given}),
        "w_train": lambda: Solver(net, {**data, "w_train": given}),
        "normalize: mean": lambda: Solver(net, data, normalize=(given, 1)),
    }
    for name, call in calls.items():
        with pytest.raises((TypeError, ValueError)) as of_it:
            to_array(name, given)
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert (type(caught.value), str(caught.value)) == (type(of_it.value), str(of_it.value))
    with pytest.raises((TypeError, ValueError), match=r"^X\b"):
        solver.check_accuracy(given, Y)


def test_tensors_reach_models_of_ones_own_as_they_are():
    torch = library("torch")

    class Model:
        params = {"w": np.zeros(1)}  # noqa: RUF012

        def loss(self, X, y=None):
            assert isinstance(X, torch.Tensor)
            return np.zeros((len(X), C)) if y is None else (0.0, {"w": np.zeros(1)})

    x = torch.from_numpy(X)
    data = {"X_train": x, "y_train": Y, "X_val": x, "y_val": Y}
    Solver(Model(), data, num_epochs=1, verbose=False).train()


def test_what_is_in_a_file_stays_there(tmp_path):
    h5py = library("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = X
        assert adopt("x", file["x"]) is file["x"] or adopt("x", file["x"]) == file["x"]


def test_lists_numbers_and_text_are_left_alone():
    for value in ([1, 2], (1, 2), 3, 2.5, None, "text", b"bytes", np.float32(1), {"a": 1}):
        assert adopt("x", value) is value
    assert adopt("x", array.array("d", [1, 2])).tolist() == [1, 2]


def test_a_tensor_is_written_to_where_an_array_would_be():
    """Sgd changes an array in place, and returns it; of a tensor it returns a new array."""
    torch = library("torch")
    w = torch.ones(3)
    found, _ = optim.sgd(w, torch.ones(3), {"learning_rate": 0.5})
    assert found.tolist() == [0.5] * 3
    assert w.tolist() == [1] * 3


def test_first_line_of_an_error():
    class Odd:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("not today\nand not tomorrow")

    with pytest.raises(TypeError, match=r"^x is a Odd and no array: not today$"):
        to_array("x", Odd())
