"""``fastfc train``, ``evaluate`` and ``predict`` of tables, by main() in this process."""

import json
import sys

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.cli import main
from fastfc.data import load_digits
from fastfc.data.tables import decode, encode_table
from tests.data.test_tables import HEADER, rows_of, write
from tests.support.cli import QUICK, complaint, figure, output

pytest.importorskip("pandas", reason="pandas is not installed")
pytestmark = pytest.mark.usefixtures("empty_folder")

TABLE = ("--data", "people.csv", "--target", "kind", "--id-column", "id")
SMALL = (*QUICK, "--batch-size", "10", "--quiet")


@pytest.fixture
def people(empty_folder):
    return write(empty_folder / "people.csv", rows_of())


def train(capsys, *options):
    """Train on the table of people and return what is printed."""
    return output(capsys, "train", *TABLE, *SMALL, "--save", "net.npz", *options)


def read_csv(path):
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    return {
        name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)
    }


# --- training ---------------------------------------------------------------------------------


def test_training_stores_what_was_made_of_the_columns(people, capsys):
    out = train(capsys)
    assert out.startswith("data: people.csv, 42 train, 9 val and 9 test examples of 6, 2 classes\n")
    net = fc_net.FullyConnectedNet.load("net.npz")
    assert net.preprocessing["target"]["values"] == ["short", "tall"]
    assert net.preprocessing["id"] == "id"
    assert net._arguments["input_dim"] == 6


def test_checkpoints_go_on_with_the_same_rows(people, capsys):
    options = (*TABLE, *SMALL, "--seed", "3")
    whole = output(capsys, "train", *options, "--epochs", "2", "--checkpoint", "run", "--save", "a")
    more = ("--data", "people.csv", "--quiet", "--epochs", "2", "--save", "b")
    again = output(capsys, "train", "--resume", "run_epoch_1.npz", *more)
    for name in ("validation accuracy", "test accuracy"):
        assert figure(name, again) == figure(name, whole)
    a, b = (fc_net.FullyConnectedNet.load(name) for name in "ab")
    np.testing.assert_equal(a.params, b.params)
    assert a.preprocessing == b.preprocessing
    assert a.preprocessing["split"]["seed"] == 3


def test_a_runs_folder_goes_on_and_trains_again(people, capsys):
    options = (*TABLE, "--ignore-columns", "age,member", *SMALL, "--out", "run")
    output(capsys, "train", *options)
    out = output(capsys, "train", "--resume", "run", "--epochs", "2")
    assert out.startswith("changed: --epochs 1 to 2\ndata: ")
    net = fc_net.FullyConnectedNet.load("run/model.npz")
    assert [column["name"] for column in net.preprocessing["columns"]] == ["height", "colour"]
    message = "--resume run: --target kind to age, which a run cannot change"
    assert message in complaint(capsys, "train", "--resume", "run", "--target", "age")
    output(capsys, "train", "run/config.toml", "--out", "again")
    again = fc_net.FullyConnectedNet.load("again/model.npz")
    assert again.preprocessing == net.preprocessing
    np.testing.assert_equal(again.params, net.params)


@pytest.mark.filterwarnings("default")  # as outside of tests: printed
def test_what_is_left_out_is_said(people, capsys):
    write(
        people,
        [[*row[:3], "red", row[4], "" if i == 4 else row[5]] for i, row in enumerate(rows_of())],
    )
    assert main(["train", *TABLE, *SMALL]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "fastfc: warning: 1 row has no target 'kind': left out",
        "fastfc: warning: column 'colour' is the same in all training rows: left out",
    ]


def test_without_a_library_one_line_says_so(people, capsys, monkeypatch):
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    message = "--data a table needs pandas or polars: pip install fastfc[table]"
    assert message in complaint(capsys, "train", *TABLE)


def test_both_backends_take_tables(people, capsys):
    out = output(capsys, "train", *TABLE, *SMALL, "--compare")
    assert figure("largest difference of the loss histories", out) < 1e-9


def test_normalize_is_stored(capsys):
    output(capsys, "train", *QUICK, "--normalize", "0.5", "2", "--save", "net.npz")
    net = fc_net.FullyConnectedNet.load("net.npz")
    assert net.preprocessing == {"kind": "normalize", "mean": 0.5, "std": 2}
    output(capsys, "train", *QUICK, "--save", "net.npz")
    assert fc_net.FullyConnectedNet.load("net.npz").preprocessing is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "people.csv"), "--data people.csv: a table needs --target COLUMN"),
        (("--target", "kind"), "--target is for tables: leave it out for digits"),
        (("--ignore-columns", "age"), "--ignore-columns is for tables: leave it out for digits"),
        ((*TABLE, "--normalize", "1", "2"), "--normalize: a table's numbers are standardised"),
        ((*TABLE[:2], "--target", "knid"), "people.csv: target: no column 'knid'"),
        ((*TABLE, "--ignore-columns", "age,height,colors"), "no column 'colors'"),
        ((*TABLE, "--root", "."), "--root is for --data cifar10 and mnist"),
        (
            (*TABLE, "--loss", "squared_error"),
            "in row 1, expected numbers or gaps for --loss squared_error",
        ),
        (("--data", "missing.csv", "--target", "x"), "missing.csv: No such file or directory"),
    ],
)
def test_what_train_refuses(people, capsys, options, message):
    assert message in complaint(capsys, "train", *options)


def test_what_resume_refuses(people, capsys):
    train(capsys, "--checkpoint", "run")
    resume = ("train", "--resume", "run_epoch_1.npz", "--epochs", "2")
    assert "--target: the checkpoint of --resume" in complaint(capsys, *resume, *TABLE[:4])
    assert "expected the table that the run was trained on" in complaint(capsys, *resume)
    write(people, rows_of()[:50])
    message = "people.csv: it is not the table that the run was trained on"
    assert message in complaint(capsys, *resume, "--data", "people.csv")


# --- evaluating -------------------------------------------------------------------------------


def test_evaluating_the_same_table_takes_the_test_rows(people, capsys):
    trained = train(capsys, "--epochs", "5")
    out = output(capsys, "evaluate", "net.npz", "--data", "people.csv")
    lines = out.splitlines()
    assert lines[0] == "data: people.csv, the test examples, 9"
    assert figure("accuracy", out) == figure("test accuracy", trained)
    assert lines[3] == "class  examples  precision  recall"
    assert [line.split()[0] for line in lines[4:]] == ["short", "tall"]
    out = output(capsys, "evaluate", "net.npz", "--data", "people.csv", "--split", "val")
    assert figure("accuracy", out) == figure("validation accuracy", trained)
    out = output(capsys, "evaluate", "net.npz", "--data", "people.csv", "--split", "all")
    assert out.startswith("data: people.csv, all examples, 60\n")


def test_evaluating_another_table_takes_all_rows(people, capsys):
    train(capsys)
    order = [5, 3, 1, 0, 2, 4]
    rows = [[row[i] for i in order] for row in rows_of()[:20]]
    write(people.with_name("other.csv"), rows, [HEADER[i] for i in order])
    found = json.loads(output(capsys, "evaluate", "net.npz", "--data", "other.csv", "--json"))
    assert found["data"] == {"source": "other.csv", "split": "all", "examples": 20}
    assert found["model"] == "net.npz"
    confusion = np.array(found["confusion"])
    assert confusion.sum() == 20
    assert found["accuracy"] == pytest.approx(np.trace(confusion) / 20)
    names = {each["name"]: each["examples"] for each in found["classes"]}
    kinds = [row[0] for row in rows]
    assert names == {"short": kinds.count("short"), "tall": kinds.count("tall")}


def test_arrays_are_evaluated_as_they_were_trained_on(capsys):
    trained = output(capsys, "train", *SMALL, "--normalize", "0.25", "0.5", "--save", "net.npz")
    out = output(capsys, "evaluate", "net.npz", "--data", "digits")
    assert out.startswith("data: digits, the test examples, 300\n")
    assert figure("accuracy", out) == figure("test accuracy", trained)
    data = load_digits()
    np.savez("digits.npz", **data)
    assert (
        output(capsys, "evaluate", "net.npz", "--data", "digits.npz").splitlines()[1:]
        == (out.splitlines()[1:])
    )
    net = fc_net.FullyConnectedNet.load("net.npz")
    loss, _ = net.loss((data["X_test"] - 0.25) / 0.5, data["y_test"])
    net.bn_params = []
    assert figure("loss", out) < loss * 3  # of a training pass, whose statistics are others


def test_numbers_are_in_their_own_units(people, capsys):
    options = ("--data", "people.csv", "--target", "height", "--ignore-columns", "id,kind")
    output(capsys, "train", *options, *SMALL, "--loss", "squared_error", "--save", "net.npz")
    found = json.loads(output(capsys, "evaluate", "net.npz", "--data", "people.csv", "--json"))
    net = fc_net.FullyConnectedNet.load("net.npz")
    table = encode_table(people, net.preprocessing)
    heights = np.array([float(row[1]) for row in rows_of()])
    predicted = decode(net.predict(table.X), net.preprocessing["target"])
    test = np.random.RandomState(0).permutation(60)[51:]
    error = np.abs(predicted - heights)[test]
    assert found["mean_absolute_error"] == pytest.approx(error.mean(), rel=1e-6)
    assert found["root_mean_squared_error"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-6)
    std = net.preprocessing["target"]["std"]
    assert found["loss"] == pytest.approx(0.5 * ((error / std) ** 2).mean(), rel=1e-6)
    assert 130 < predicted.mean() < 210
    output(capsys, "predict", "net.npz", "--data", "people.csv", "--out", "out.csv")
    columns = read_csv(people.with_name("out.csv"))
    assert list(columns) == ["row", "prediction"]
    np.testing.assert_allclose(list(map(float, columns["prediction"])), predicted)


# --- predicting -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")  # as outside of tests: printed
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predictions_have_ids_labels_and_probabilities(people, capsys, ending):
    train(capsys, "--epochs", "3")
    new = [[row[3], row[0], row[1], row[4], row[2]] for row in rows_of()[:10]]
    new[0][0], new[1][2], new[2][3] = "violet", "", "NA"
    write(people.with_name("new.csv"), new, ["colour", "id", "height", "member", "age"])
    argv = ("predict", "net.npz", "--data", "new.csv", "--out", f"out.{ending}")
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert out == f"predictions: out.{ending}, 10 rows of id, label, p_short, p_tall\n"
    assert err.startswith("fastfc: warning: column 'colour' has 1 cell of categories that ")
    if ending == "csv":
        columns = read_csv(people.with_name("out.csv"))
    else:
        polars = pytest.importorskip("polars", reason="polars is not installed")
        columns = polars.read_parquet("out.parquet").to_dict(as_series=False)
    assert list(columns) == ["id", "label", "p_short", "p_tall"]
    assert columns["id"] == [row[1] for row in new]
    net = fc_net.FullyConnectedNet.load("net.npz")
    X = encode_table("new.csv", net.preprocessing).X
    found = np.array([columns["p_short"], columns["p_tall"]], float).T
    np.testing.assert_allclose(found, net.predict_proba(X), rtol=1e-6)
    assert columns["label"] == [["short", "tall"][i] for i in net.predict(X)]


def test_logistic_has_both_probabilities(people, capsys):
    train(capsys, "--loss", "logistic")
    output(capsys, "predict", "net.npz", "--data", "people.csv", "--out", "out.csv")
    columns = read_csv(people.with_name("out.csv"))
    assert list(columns) == ["id", "label", "p_short", "p_tall"]
    p = np.array(columns["p_tall"], float)
    np.testing.assert_allclose(np.array(columns["p_short"], float), 1 - p, atol=1e-6)
    assert columns["label"] == ["tall" if one > 0.5 else "short" for one in p]
    out = output(capsys, "evaluate", "net.npz", "--data", "people.csv")
    assert "class  examples  precision  recall" in out


def test_predicting_arrays(empty_folder, capsys):
    output(capsys, "train", *SMALL, "--normalize", "0.25", "0.5", "--save", "net.npz")
    told = json.loads(
        output(
            capsys,
            *("predict", "net.npz", "--data", "digits", "--split", "val"),
            *("--out", "out.csv", "--json"),
        )
    )
    assert told["data"] == {"source": "digits", "split": "val", "examples": 300}
    assert told["columns"] == ["row", "label", *(f"p_{i}" for i in range(10))]
    columns = read_csv(empty_folder / "out.csv")
    X = load_digits()["X_val"]
    net = fc_net.FullyConnectedNet.load("net.npz")
    normalized = (X.astype(np.float32) - np.float32(0.25)) / np.float32(0.5)
    assert columns["label"] == list(map(str, net.predict(normalized)))
    np.savez("new.npz", X=X)
    output(capsys, "predict", "net.npz", "--data", "new.npz", "--out", "new.csv")
    assert read_csv(empty_folder / "new.csv") == columns


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "logistic"])
def test_several_scores_have_a_column_each(empty_folder, capsys, loss):
    draw = np.random.RandomState(0)
    X, y = draw.normal(size=(60, 3)), draw.randint(0, 2, (60, 2)).astype(float)
    np.savez("data.npz", X_train=X, y_train=y, X_val=X[:9], y_val=y[:9], w_val=np.arange(9.0))
    options = ("--data", "data.npz", *SMALL, "--loss", loss, "--save", "net.npz")
    output(capsys, "train", *options)
    output(capsys, "predict", "net.npz", "--data", "data.npz", "--split", "train", "--out", "a.csv")
    columns = read_csv(empty_folder / "a.csv")
    net = fc_net.FullyConnectedNet.load("net.npz")
    names = ["label_0", "label_1", "p_0", "p_1"]
    names = names if loss == "logistic" else ["prediction_0", "prediction_1"]
    assert list(columns) == ["row", *names]
    expected = (
        net.predict(X) if loss != "logistic" else np.hstack([net.predict(X), net.predict_proba(X)])
    )
    found = np.array([columns[name] for name in names], float).T
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    told = json.loads(output(capsys, "evaluate", "net.npz", "--data", "data.npz", "--json"))
    assert told["data"]["split"] == "val"
    scores = net.loss(X[:9])
    weights = np.arange(9.0)
    if loss == "logistic":
        right = ((scores > 0) == (y[:9] > 0.5)).all(axis=1)
        assert told["accuracy"] == pytest.approx((weights * right).sum() / 36)
    else:
        error = np.abs(net.predict(X[:9]) - y[:9])
        mean = (weights[:, np.newaxis] * error).sum() / 72
        assert told["mean_absolute_error"] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--data", "digits"), "expected a table, as the model was trained on one"),
        (("--data", "part.csv"), "part.csv: no columns 'height', 'age', expected those that the"),
        (("--data", "people.csv", "--out", "no/out.csv"), "there is no folder no: make it first"),
        (
            ("--data", "people.csv", "--out", "out.txt"),
            "out.txt: expected a name that ends in .csv",
        ),
        (("--data", "people.csv", "--id-column", "x"), "people.csv: id_column: no column 'x'"),
        (("--data", "missing.csv"), "missing.csv: No such file or directory"),
        (("--data", "empty.csv"), "empty.csv: it is empty"),
    ],
)
def test_what_predict_refuses(people, capsys, argv, message):
    train(capsys)
    write(people.with_name("part.csv"), [["1", "red", "true"]], ["id", "colour", "member"])
    people.with_name("empty.csv").write_text("")
    before = sorted(people.parent.iterdir())
    out = () if "--out" in argv else ("--out", "out.csv")
    assert message in complaint(capsys, "predict", "net.npz", *argv, *out)
    assert sorted(people.parent.iterdir()) == before


def test_what_evaluate_refuses(people, capsys):
    train(capsys)
    no_target = [row[:5] for row in rows_of()]
    write(people.with_name("new.csv"), no_target, HEADER[:5])
    evaluate = ("evaluate", "net.npz", "--data")
    assert "new.csv: no column 'kind'" in complaint(capsys, *evaluate, "new.csv")
    write(people.with_name("part.csv"), rows_of()[:9])
    message = "part.csv: the model was trained on another table"
    assert message in complaint(capsys, *evaluate, "part.csv", "--split", "test")
    message = "missing.npz: no such file"
    assert message in complaint(capsys, "evaluate", "missing.npz", "--data", "people.csv")
    output(capsys, "train", *SMALL, "--save", "digits.npz")
    message = "expected no table, as the model was trained on none"
    assert message in complaint(capsys, "evaluate", "digits.npz", "--data", "people.csv")
    np.savez("small.npz", X_train=np.eye(3), y_train=[0] * 3, X_val=np.eye(3), y_val=[0] * 3)
    message = "small.npz: X has shape (3, 3), expected (N, d_1, ..., d_k)"
    assert message in complaint(capsys, "evaluate", "digits.npz", "--data", "small.npz")
