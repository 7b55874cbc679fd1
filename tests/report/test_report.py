"""What stands in a report, whatever shows it."""

import html.parser
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest

from fastfc import report
from fastfc.fc_net import FullyConnectedNet
from fastfc.reference.fc_net import FullyConnectedNet as ReferenceNet
from fastfc.report import drawing, page, timing
from fastfc.report.run import Run
from fastfc.solver import Solver
from tests.report import runs
from tests.support import cases

MOST_BYTES = 2_000_000
VOID = {"br", "img", "meta"}


class Parsed(html.parser.HTMLParser):
    """A page: its elements as (name, attributes, text), and whether tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        found = [tag, dict(attrs), ""]
        self.elements.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_startendtag(self, tag, attrs):  # of SVG
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def all(self, *names):
        """Return the elements of these names."""
        return [found for found in self.elements if found[0] in names]

    def text(self, name):
        """Return the text of the one element of that name."""
        ((_, _, text),) = self.all(name)
        return text


@pytest.fixture(scope="module", params=runs.RUNS)
def run(request):
    """A run, and its report."""
    return request.param, runs.RUNS[request.param]()


def written(tmp_path, run, **options):
    path = tmp_path / "report.html"
    report.write_report(path, **run, **options)
    return path.read_text("utf-8")


def section(text, name):
    """Return a section of a page."""
    (found,) = re.findall(rf'<section aria-labelledby="{name}">.*?</section>', text, re.S)
    return found


def test_structure(run, tmp_path):
    _, run = run
    text = written(tmp_path, run)
    assert len(text.encode()) < MOST_BYTES / 4
    parsed = Parsed(text)
    assert parsed.all("html")[0][1] == {"lang": "en"}
    assert parsed.text("title") == parsed.text("h1") == "Report of a training run"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(parsed.all(landmark)) == 1
    levels = [int(name[1]) for name, _, _ in parsed.all("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    titles = [text for _, _, text in parsed.all("h2")]
    assert titles == [
        *("Result", "Training", "Predictions", "Network", "Time"),
        *("Configuration", "Machine and versions"),
    ]
    for _, _, caption in parsed.all("caption", "figcaption"):
        assert caption.strip()
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert len(parsed.all("figcaption")) == len(parsed.all("figure"))
    for element, attributes, _ in parsed.all("img", "svg"):
        assert attributes["alt" if element == "img" else "aria-label"]
    for _, attributes, _ in parsed.all("th"):
        assert attributes["scope"] in ("row", "col")
    ids = [attributes["id"] for _, attributes, _ in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes, _ in parsed.elements:
        target = attributes.get("href") or attributes.get("xlink:href") or "#main"
        assert target.startswith("data:image/png;base64,") or target[1:] in ids
        assert not {"onclick", "onload", "onerror", "src"} & attributes.keys() or attributes[
            "src"
        ].startswith("data:image/png;base64,")
    assert not parsed.all("script", "link", "iframe", "object", "video", "audio")
    assert "url(http" not in text
    if run["summary"]["nonfinite"] is None:
        assert "nan" not in re.sub('data:image[^"]*', "", text.lower())


def test_the_curves_in_numbers(tmp_path):
    run = runs.digits()
    text = written(tmp_path, run)
    losses, best = run["history"]["loss"], np.nanmax(run["history"]["val_acc"])
    assert f"{losses[0]:.4g} at first, {losses[-1]:.4g} at the end" in text
    assert f"least {losses.min():.4g} after step {losses.argmin() + 1}" in text
    assert f"best {best:.1%} after" in text
    assert f"accuracy on validation data {best:.1%}" in text
    rates = run["history"]["learning_rate"]
    assert f"Learning rate: {rates[0]:.4g} at first, {rates[-1]:.4g} at the end" in text


def test_what_is_taken_for_what(tmp_path):
    run = runs.digits(num_epochs=1)
    X, y = run["data"]["X_val"], run["data"]["y_val"]
    found = run["model"].predict(X)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, found), 1)
    text = section(written(tmp_path, run), "predictions")
    cells = re.findall(r'<td(?: class="right")? style="--share: [\d.]+">([\d,]+)</td>', text)
    assert list(map(int, cells)) == counts.ravel().tolist()
    assert f"{np.trace(counts)} of 300 are right" in text
    wrong = np.flatnonzero(found != y)
    sure = run["model"].predict_proba(X)[wrong].max(axis=1)
    first = wrong[np.argmax(sure)]
    assert (
        f"Validation example {first}: {y[first]}, taken for {found[first]}, {sure.max():.1%}"
        in text
    )
    assert text.count("<img") == min(len(wrong), 24)


def test_images_are_the_data(tmp_path):
    run = runs.digits(num_epochs=1)
    text = section(written(tmp_path, run), "predictions")
    for row in re.findall(r"Validation example (\d+):", text):
        one = run["data"]["X_val"][int(row)]
        assert drawing.png(drawing.pixels(one)) in text


def test_a_table_has_rows_in_its_own_units(tmp_path):
    run = runs.table()
    text = section(written(tmp_path, run), "predictions")
    assert "<img" not in text
    rows = re.findall(r'<th scope="row">(\d+)</th>(.*?)</tr>', text)
    assert rows
    names = re.findall(r'<th scope="col">(.*?)</th>', text[text.index("most confident first") :])
    for row, cells in rows:
        example = run["data"]["X_val"][int(row)]
        cells = dict(zip(names[1:], re.findall("<td>(.*?)</td>", cells), strict=True))
        assert cells["age"] == f"{example[4] * 100 + 1000:.4g}"
        tree = ("oak", "elm &amp; ash", "&lt;b&gt;fir&lt;/b&gt;")[int(example[1:4].argmax())]
        assert cells["tree"] == tree


def test_residuals_are_in_the_targets_units(tmp_path):
    run = runs.regression()
    text = section(written(tmp_path, run), "predictions")
    y = run["data"]["y_val"] * 40 + 250
    residuals = y - (run["model"].predict(run["data"]["X_val"]).astype(np.float64) * 40 + 250)
    assert f"<td>{np.sqrt(np.mean(residuals**2)):.4g}</td>" in text
    worst = int(np.abs(residuals).argmax())
    assert f'<th scope="row">{worst}</th><td>{y[worst]:.4g}</td>' in text
    assert "Confusion matrix" not in text


def test_binary_is_normalised_and_named(tmp_path):
    run = runs.binary()
    inputs = (run["data"]["X_val"] - 31_337_000) / 100
    right = (run["model"].predict(inputs) == run["data"]["y_val"]).sum()
    assert f"{right} of 200 are right" in section(written(tmp_path, run), "predictions")


def test_dead_units_and_gradients(tmp_path):
    run = runs.digits(num_epochs=1)
    net = run["model"]
    net.params["beta1"][:12] = -1000  # a quarter of its 48 units
    text = section(written(tmp_path, run), "network")
    (cells,) = re.findall(r'<th scope="row">layer 1</th>(.*?)</tr>', text)
    cells = re.findall("<td>(.*?)</td>", cells)
    assert cells[0] == "48"
    assert float(cells[4].rstrip("%")) >= 25
    assert f"layer 1: {cells[4]}" in text  # beside the histograms too
    w = np.sqrt(np.mean(np.square(net.params["W1"], dtype=np.float64)))
    assert cells[5] == f"{w:.4g}"
    assert text.count("<img") == 1


def test_a_run_that_diverged_is_said_to(tmp_path):
    run = runs.diverged()
    text = written(tmp_path, run)
    assert "The training did not succeed" in section(text, "result")
    assert "it is not finite" in section(text, "training")


def test_a_network_that_is_not_finite(tmp_path):
    run = runs.digits(num_epochs=1)
    run["model"].params["W2"][0, 0] = np.nan
    text = written(tmp_path, run)
    assert "the scores are not finite" in section(text, "predictions")
    assert "those of W2" in section(text, "network")


@pytest.mark.parametrize("name", ["digits", "table", "regression", "binary"])
def test_without_examples_no_datum_is_told(name, tmp_path):
    run = runs.RUNS[name]()
    assert told(written(tmp_path, run), run)  # which is seen
    text = written(tmp_path, run, examples=False)
    assert not told(text, run)
    assert "left out of this report" in text
    assert "elm" not in text


def told(text, run):
    """Return what of the data stands in a page: images, or numbers of tables."""
    X = run["data"]["X_val"]
    if X.ndim == 4:
        images = (drawing.png(drawing.pixels(one)) for one in X)
        return [image for image in images if image in text]
    if X.dtype.kind == "i":
        return re.findall(r"31,33\d,\d{3}|3\.134e\+07", text)
    shown = set(re.findall(r"<td>([^<]*)</td>", section(text, "predictions")))
    decoded = X[:, 4:] * 100 + 1000 * np.arange(1, X.shape[1] - 3)
    return shown & {f"{value:.4g}" for value in decoded.ravel()}


def test_names_and_settings_are_escaped(tmp_path):
    run = runs.table()
    run["config"] = {"data": "<script>alert(2)</script>", "a&b": {'"': "'>"}}
    run["summary"] |= {"stop_reason": "<script>alert(3)</script>"}
    text = written(tmp_path, run)
    Parsed(text)
    assert "<script" not in text
    assert "<i>x</i>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in text
    assert "alert(3)" in text
    assert "&lt;i&gt;x&lt;/i&gt;" in text


def test_a_name_with_dollars_is_no_formula(tmp_path):
    runs_by_name = {"$x": runs.digits(num_epochs=1), "a$\\frac$": runs.digits(num_epochs=1)}
    path = tmp_path / "comparison.html"
    report.write_comparison(path, runs_by_name)
    assert "a$\\frac$" in path.read_text()


def test_a_million_steps_of_large_images_are_small(tmp_path):
    steps = 1_000_000
    noise = cases.normal((steps,), np.float64, "noise")
    every = np.arange(steps) % 100 == 99
    history = {
        "iteration": np.arange(1, steps + 1),
        "epoch": np.arange(steps) // 100,
        "loss": np.exp(noise / 5) + 1e4 / np.arange(1, steps + 1),
        "learning_rate": np.linspace(1, 0, steps),
        "seconds": np.arange(1, steps + 1) / 1e4,
        "train_acc": np.where(every, 0.5, np.nan),
        "val_acc": np.where(every, noise % 1, np.nan),
    }
    X, y = cases.normal((2000, 3, 32, 32), np.float32, "X"), cases.labels(2000, 40, "y")
    net = FullyConnectedNet([128, 64], num_classes=40, weight_scale="he")
    run = {
        "model": net,
        "data": {"X_train": X[:1000], "y_train": y[:1000], "X_val": X[1000:], "y_val": y[1000:]},
        "history": history,
        "config": {f"setting {i}": "long " * 1000 for i in range(100)},
        "summary": {},
    }
    text = written(tmp_path, run)
    assert len(text.encode()) < MOST_BYTES
    assert "Each point is the mean of 1,667 steps" in text
    assert "15 of 10000 scorings" in text


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_many_columns_and_outputs(kind, tmp_path):
    X = cases.normal((60, 3072), np.float32, "X")
    y = (
        cases.labels(60, 300, "y")
        if kind == "classes"
        else cases.normal((60, 300), np.float64, "y")
    )
    loss = "softmax" if kind == "classes" else "squared_error"
    net = FullyConnectedNet([32], 3072, 300, loss=loss)
    run = runs.trained(net, runs.split(X, y), num_epochs=1, batch_size=20)
    assert len(written(tmp_path, run).encode()) < MOST_BYTES / 2


@pytest.mark.parametrize("net", [FullyConnectedNet, ReferenceNet])
@pytest.mark.parametrize("hidden", [[], [5]])
def test_a_run_without_steps(net, hidden, tmp_path):
    X, y = cases.normal((30, 6), np.float32, "X"), cases.labels(30, 3, "y")
    model = net(hidden, 6, 3)
    solver = Solver(model, runs.split(X, y), num_epochs=0, verbose=False)
    solver.train()
    empty = {"config": {}, "summary": {}}
    text = written(
        tmp_path, {"model": model, "data": runs.split(X, y), "history": solver.history, **empty}
    )
    assert "The run has no steps yet" in text


def test_nothing_of_the_run_is_changed(tmp_path):
    run = runs.digits(num_epochs=1)
    net = run["model"]
    before = repr((net.params, net.bn_params, net.dropout_param, run["config"], run["summary"]))
    np.random.seed(7)
    written(tmp_path, run)
    assert np.random.rand() == np.random.RandomState(7).rand()
    assert (
        repr((net.params, net.bn_params, net.dropout_param, run["config"], run["summary"]))
        == before
    )


def test_time_between_steps(tmp_path):
    """Ten steps an epoch of 1 s each, a scoring of 5 s after the first and after each epoch."""
    each = np.ones(30)
    each[[1, 10, 20]] += 5
    run = runs.digits(num_epochs=1)
    run["history"] = {
        "seconds": each.cumsum(),
        "loss": np.ones(30),
        "epoch": (np.arange(30) + 1) // 10,
    }
    run["summary"] = {"seconds": 50.0}
    text = section(written(tmp_path, run), "time")
    assert '<th scope="row">training steps</th><td>30 s</td><td>60.0%</td>' in text
    assert '<th scope="row">scoring, checkpoints, callbacks</th><td>20 s</td><td>40.0%</td>' in text


def test_phases_of_a_step():
    for rule in ("adam", "sgd_momentum"):
        run = runs.digits(num_epochs=1, update_rule=rule)
        text = timed(run).html()
        found = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td><td>([\d.]+)%</td>', text)
        shares = {name: float(share) for name, _, share in found[3:]}
        phases = ["minibatch", "forward pass", "loss", "backward pass", "update", "together"]
        assert list(shares) == phases
        assert abs(sum(shares.values()) - 200) < 1
        assert "one call of the core" in text
    run["config"] = {"update_rule": "my own"}
    assert "Within a step" not in timed(run).html()


def timed(run):
    """Return the section of the time."""
    return timing.time_section(Run(**run, examples=True))


def test_a_report_that_fails_leaves_the_old_one(tmp_path):
    run = runs.digits(num_epochs=1)
    before = written(tmp_path, run)
    run["data"] = {**run["data"], "X_val": np.ones((300, 5))}
    with pytest.raises(ValueError, match="X has shape"):
        written(tmp_path, run)
    assert (tmp_path / "report.html").read_text("utf-8") == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": object()}, "model is .* expected a network of fastfc's"),
        ({"data": {}}, "data has no X_train"),
        ({"config": 3}, "config is 3, expected a dict"),
        ({"history": [1, 2]}, r"history is \[1, 2\], expected columns"),
        ({"history": {"loss": [1.0], "epoch": [1, 2]}}, r"epoch has shape \(2,\), expected \(1,\)"),
    ],
)
def test_wrong_arguments(change, message, tmp_path):
    with pytest.raises((TypeError, ValueError), match=message):
        written(tmp_path, {**runs.digits(num_epochs=1), **change})


def test_comparison(tmp_path):
    fast, slow = runs.digits(), runs.digits(num_epochs=1)
    path = tmp_path / "comparison.html"
    report.write_comparison(path, {"fast": fast, "<slow>": slow})
    text = path.read_text("utf-8")
    Parsed(text)
    assert "<slow>" not in text
    for name, run in (("fast", fast), ("&lt;slow&gt;", slow)):
        best = np.nanmax(run["history"]["val_acc"])
        cells = f"<td>{run['history']['loss'][-1]:.4g}</td><td>{best:.4g}</td>"
        assert f'<th scope="row">{name}</th>{cells}' in text
    differ, alike = text.split("Settings that are alike")
    assert '<th scope="row">solver.num_epochs</th><td>4</td><td>1</td>' in differ
    assert "solver.batch_size" in alike
    for wrong in ({}, {"a": {}}, [1]):
        with pytest.raises((TypeError, ValueError), match="runs"):
            report.write_comparison(path, wrong)


def test_colours_can_be_told_apart():
    """Text has a contrast of 7 to its ground in light and dark, lines have 3 (WCAG 2)."""
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", part))
        for part in page.STYLE.split("@media (prefers-color-scheme: dark)")
    )
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        for ground in ("page", "shade", "warn"):
            assert contrast(colours["ink"], colours[ground]) >= 7
        for text in ("muted", "link"):
            assert contrast(colours[text], colours["page"]) >= 7
        for name in colours:
            assert not name.startswith("series") or contrast(colours[name], colours["page"]) >= 3


def contrast(one, other):
    """Return the contrast ratio of two colours."""
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    """Return the relative luminance of a colour."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_images_of_every_layout():
    one = cases.normal((3, 5, 4), np.float64, "one")
    for example in (one, one.transpose(1, 2, 0)):
        (found,) = drawing.channels_first(example[np.newaxis], example.shape)
        np.testing.assert_array_equal(found, one)
    large = np.zeros((1, 1, 300, 100))
    assert drawing.smaller(large).shape == (1, 1, 60, 20)
    np.testing.assert_array_equal(
        drawing.pixels(np.full((1, 2, 2), np.nan)), np.zeros((2, 2)) + 0.5
    )


def test_without_matplotlib(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; import fastfc; import fastfc.report"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert "needs matplotlib: pip install fastfc[plot]" in done.stderr.splitlines()[-1]
