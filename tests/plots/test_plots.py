import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.testing.compare import compare_images

from fastfc import plots
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from tests.plots import pictures
from tests.support import cases

DIFFERENCE = 3.0  # root mean square of 0 to 255: anti-aliasing differs between versions


@pytest.fixture(autouse=True)
def _no_display():
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_picture(name, tmp_path):
    path = tmp_path / f"{name}.png"
    pictures.save(name, path)
    assert compare_images(pictures.EXPECTED / f"{name}.png", str(path), DIFFERENCE) is None


def test_a_picture_that_differs_is_seen(tmp_path):
    path = tmp_path / "losses.png"
    pictures.save("accuracies", path)
    assert compare_images(pictures.EXPECTED / "losses.png", str(path), DIFFERENCE) is not None


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_axes_that_are_given_are_returned(name):
    _, ax = pyplot.subplots(2 if name == "accuracies" else 1)
    assert np.array_equal(pictures.PICTURES[name](ax), ax)
    assert pictures.PICTURES[name](None) is not None  # new ones


def data():
    X, y = cases.normal((40, 6), np.float32, "X"), cases.labels(40, 3, "y")
    return {"X_train": X, "y_train": y, "X_val": X[:10], "y_val": y[:10]}


def test_curves_of_a_solver():
    net = FullyConnectedNet([5], input_dim=6, num_classes=3)
    solver = Solver(net, data(), num_epochs=2, batch_size=10, verbose=False)
    solver.train()
    train, val = plots.accuracies(solver)
    np.testing.assert_array_equal(train.lines[0].get_ydata(), solver.train_acc_history)
    np.testing.assert_array_equal(val.lines[0].get_ydata(), solver.val_acc_history)
    np.testing.assert_array_equal(train.lines[0].get_xdata(), [0, 1, 2])
    (line,) = plots.losses(solver, smoothing=0).lines
    np.testing.assert_array_equal(line.get_ydata(), solver.loss_history)
    assert train.get_legend() is None  # one run has no name


def test_smoothing_leaves_out_what_is_not_finite():
    axes = plots.losses({"iteration": [1, 2, 3], "loss": [2.0, np.inf, 4.0]}, smoothing=0.5)
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [2, 2, (0.25 * 2 + 0.5 * 4) / 0.75])


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("call", [plots.activations, plots.gradient_flow])
def test_a_network_is_left_as_it_is(normalization, call):
    net = FullyConnectedNet([5, 4], 6, 3, dropout=0.5, normalization=normalization)
    net.loss(data()["X_train"], data()["y_train"])
    before = repr((net.params, net.bn_params, net.dropout_param))
    np.random.seed(7)
    call(net, data()["X_train"], *([data()["y_train"]] * (call is plots.gradient_flow)))
    assert np.random.rand() == np.random.RandomState(7).rand()
    assert repr((net.params, net.bn_params, net.dropout_param)) == before


def test_histograms_count_what_the_layers_put_out():
    net = FullyConnectedNet([5], input_dim=6, num_classes=3, weight_scale=1)
    net.params["b1"][2] = -1000  # never active
    X = data()["X_train"]
    axes = plots.activations(net, X)
    hidden = np.maximum(X @ net.params["W1"] + net.params["b1"], 0)
    values, edges, _ = axes.patches[0].get_data()
    counts, _ = np.histogram(hidden[hidden > 0], edges)
    np.testing.assert_allclose(values, 0.9 * counts / counts.max())
    assert [text.get_text() for text in axes.texts] == ["20% dead"]


@pytest.mark.parametrize("activation", ["identity", "tanh", "gelu"])
def test_histograms_of_other_activations(activation):
    net = FullyConnectedNet([5, 4], 6, 3, weight_scale=1, activation=activation)
    X = data()["X_train"]
    axes = plots.activations(net, X)
    low, high = axes.get_xlim()
    assert low < 0 < high
    assert len(axes.patches) == 2
    if activation == "tanh":
        hidden = np.tanh(X @ net.params["W1"] + net.params["b1"])
        values, edges, _ = axes.patches[0].get_data()
        counts, _ = np.histogram(hidden, edges)
        np.testing.assert_allclose(values, 0.9 * counts / counts.max(), atol=0.1)


def test_gradients_are_those_of_the_loss():
    net = FullyConnectedNet([5], input_dim=6, num_classes=3, weight_scale=1)
    _, grads = net.loss(data()["X_train"], data()["y_train"])
    axes = plots.gradient_flow(net, data()["X_train"], data()["y_train"])
    expected = [np.sqrt(np.mean(grads[name] ** 2)) for name in ("W1", "W2")]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), expected, rtol=1e-6)


def test_counts_of_a_confusion_matrix():
    axes = plots.confusion([0, 1, 1, 2], [0, 1, 2, 2])
    np.testing.assert_array_equal(axes.images[0].get_array(), [[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert not plots.confusion(np.arange(30), np.arange(30)).texts  # too small to read


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.losses([1, 2]), r"runs is \[1, 2\], expected a Solver"),
        (lambda: plots.losses({}), "runs is {}, expected a Solver"),
        (lambda: plots.losses(pictures.history("a"), smoothing=1), "smoothing is 1, expected"),
        (lambda: plots.losses(pictures.history("a"), ax=3), "ax is 3, expected matplotlib axes"),
        (lambda: plots.accuracies(pictures.history("a"), ax=3), "ax is 3, expected 2 matplotlib"),
        (lambda: plots.confusion([0.5], [0]), "y has dtype float64, expected integer labels"),
        (lambda: plots.confusion([0], [0, 1]), r"predicted has shape \(2,\), expected \(1,\)"),
        (lambda: plots.confusion([-1], [0]), "y has a label -1, expected 0 and up"),
        (lambda: plots.confusion([2], [0], names=["a"]), "names has 1 entries, expected 3"),
        (lambda: plots.weights(np.ones((12, 2)), (3, 2)), r"shape \(12, 2\), expected \(6, M\)"),
        (lambda: plots.weights(np.ones((12, 2)), (2, 2, 3)), r"shape is \(2, 2, 3\), expected"),
        (lambda: plots.weights(np.ones((12, 2)), (12,)), r"shape is \(12,\), expected"),
        (
            lambda: plots.activations(FullyConnectedNet([], 3), np.ones((2, 3))),
            "model has no hidden layer",
        ),
        (lambda: plots.activations(FullyConnectedNet([4], 3), np.ones((2, 5))), "X has"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_without_matplotlib(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; import fastfc; import fastfc.plots"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert "needs matplotlib: pip install fastfc[plot]" in done.stderr.splitlines()[-1]


def test_the_package_alone_does_not_import_matplotlib(tmp_path):
    code = "import sys, fastfc, fastfc.solver; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, cwd=tmp_path).returncode == 0


ROWS = [
    {"run": "a", "candidate": 3, "reg": 0.1, "hidden": [4], "seed": 1, "val": 0.75},
    {"run": "b", "candidate": 1, "reg": 0.2, "hidden": [4], "seed": 1, "val": 0.5},
    {"run": "c", "candidate": 2, "reg": 0.3, "hidden": [8, 4], "seed": 1, "val": 0.25},
    {"run": "d", "candidate": 4, "reg": 9.0, "hidden": [4], "seed": 1, "val": None},
]


def test_a_sweep():
    reg, hidden, best = plots.sweep(ROWS)
    assert [axes.get_xlabel() for axes in (reg, hidden, best)] == ["reg", "hidden", "candidate"]
    (line,) = reg.lines
    assert line.get_xydata().tolist() == [[0.2, 0.5], [0.3, 0.25], [0.1, 0.75]]  # one has no score
    assert [label.get_text() for label in hidden.get_xticklabels()] == ["[4]", "[8, 4]"]
    assert best.lines[1].get_ydata().tolist() == [0.5, 0.5, 0.75]  # in the order of the sweep
    assert reg.get_xscale() == "linear"
    assert plots.sweep(ROWS, log=["reg"])[0].get_xscale() == "log"
    wide = [{**row, "reg": row["reg"] * 100 ** row["candidate"]} for row in ROWS]
    assert plots.sweep(wide)[0].get_xscale() == "log"
    zero = [{**row, "reg": 0.0 if row["candidate"] == 1 else 9.0} for row in ROWS]
    assert plots.sweep(zero, log=["reg"])[0].get_xscale() == "linear"  # it has no logarithm


def test_a_sweep_by_halving():
    rows = [
        {"candidate": 1, "reg": 1, "val": 0.5, "val@1": 0.25, "val@3": 0.5},
        {"candidate": 2, "reg": 2, "val": 0.2, "val@1": 0.2},
    ]
    rungs = plots.sweep(rows)[-1]
    curves = sorted(line.get_xydata().tolist() for line in rungs.lines)
    assert curves == [[[1, 0.2]], [[1, 0.25], [3, 0.5]]]
    _, axes = pyplot.subplots(3)
    assert plots.sweep(rows, ax=axes) == list(axes)
    with pytest.raises(TypeError, match="expected 3 matplotlib axes"):
        plots.sweep(rows, ax=axes[:2])


@pytest.mark.parametrize("results", [3, [{"reg": 1}], ["a"]])
def test_what_is_no_sweep(results):
    with pytest.raises(TypeError, match="expected the rows of a sweep"):
        plots.sweep(results)


def test_a_sweep_without_a_score():
    with pytest.raises(ValueError, match="no candidate has a score"):
        plots.sweep(ROWS[-1:])
