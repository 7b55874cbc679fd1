"""Tables: what each column becomes, learnt of the training rows alone, and what is refused."""

import json

import numpy as np
import pytest

from fastfc.data.tables import decode, encode_table, find_splits, load_table
from fastfc.preprocessing import check_preprocessing, width_of

pytest.importorskip("pandas", reason="pandas is not installed")

LIBRARIES = ["pandas", "polars"]


@pytest.fixture(params=LIBRARIES)
def library(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return request.param


def rows_of(count=60):
    """Return a table of every kind of column, as text."""
    draw = np.random.RandomState(3)
    heights = draw.normal(170, 10, count).round(2)
    ages = draw.randint(1, 90, count)
    colours = draw.choice(["blue", "green", "red"], count)
    member = draw.choice(["true", "false"], count)
    kinds = np.where(heights + 5 * (colours == "red") > 172, "tall", "short")
    columns = [np.arange(count) + 1000, heights, ages, colours, member, kinds]
    return [list(map(str, row)) for row in zip(*columns, strict=True)]


HEADER = ["id", "height", "age", "colour", "member", "kind"]


def write(path, rows, header=HEADER, separator=","):
    lines = [separator.join(row) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.csv"


def load(path, target="kind", **options):
    return load_table(path, target, **{"id_column": "id", **options})


def columns_of(preprocessing):
    return {column["name"]: column for column in preprocessing["columns"]}


# --- what columns become ----------------------------------------------------------------------


def test_every_kind_of_column(path, library):
    rows = rows_of()
    data, preprocessing = load(write(path, rows), library=library)
    assert check_preprocessing(preprocessing, 6, 2) == preprocessing
    assert json.loads(json.dumps(preprocessing)) == preprocessing
    kinds = {name: column["kind"] for name, column in columns_of(preprocessing).items()}
    assert kinds == {
        "height": "number",
        "age": "number",
        "colour": "category",
        "member": "boolean",
    }
    assert columns_of(preprocessing)["colour"]["values"] == ["blue", "green", "red"]
    assert sum(map(width_of, preprocessing["columns"])) == 6
    sizes = {split: data[f"X_{split}"].shape for split in ("train", "val", "test")}
    assert sizes == {"train": (42, 6), "val": (9, 6), "test": (9, 6)}
    assert {y.dtype for name, y in data.items() if name[0] == "y"} == {np.dtype(np.int64)}
    np.testing.assert_allclose(data["X_train"][:, [0, 1, 5]].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data["X_train"][:, [0, 1, 5]].std(axis=0), 1)
    np.testing.assert_array_equal(data["X_train"][:, 2:5].sum(axis=1), 1)
    whole = np.concatenate([data[f"X_{split}"] for split in ("train", "val", "test")])
    labels = np.concatenate([data[f"y_{split}"] for split in ("train", "val", "test")])
    found = {
        (round(x[0] * c["std"] + c["mean"], 2), ["blue", "green", "red"][int(x[2:5].argmax())], y)
        for c in [columns_of(preprocessing)["height"]]
        for x, y in zip(whole, labels.tolist(), strict=True)
    }
    assert found == {(float(row[1]), row[3], ["short", "tall"].index(row[5])) for row in rows}


def test_statistics_are_of_the_training_rows_alone(path):
    """Whatever the other rows hold."""
    rows = rows_of()
    _, before = load(write(path, rows))
    order = np.random.RandomState(0).permutation(len(rows))
    for row in order[42:]:
        rows[row][1:5] = ["1e6", "-900", "violet", "true"]
    data, after = load(write(path, rows))
    assert after["columns"] == before["columns"]
    assert data["X_val"][:, 2:5].sum() == data["X_test"][:, 2:5].sum() == 0
    heights = np.array([float(rows[row][1]) for row in order[:42]])
    ages = np.array([float(rows[row][2]) for row in order[:42]])
    for name, values in {"height": heights, "age": ages}.items():
        column = columns_of(after)[name]
        found = [column["median"], column["mean"], column["std"]]
        np.testing.assert_allclose(found, [np.median(values), values.mean(), values.std()])


def test_targets_statistics_are_of_the_training_rows_alone(path):
    rows = rows_of()
    order = np.random.RandomState(0).permutation(len(rows))
    _, before = load(write(path, rows), "height", loss="squared_error")
    for row in order[42:]:
        rows[row][1] = "1e6"
    _, after = load(write(path, rows), "height", loss="squared_error")
    assert after["target"] == before["target"]


def test_seeds_split(path):
    write(path, rows_of())
    one, again, other = (load(path, seed=seed)[0] for seed in (5, 5, 6))
    np.testing.assert_equal(one, again)
    assert not np.array_equal(one["X_train"], other["X_train"])


def test_gaps(path, library):
    rows = rows_of()
    for i, gap in enumerate(["", "NA", " ", "nan", "?", "null"]):
        for j in (1, 2, 3, 4):
            rows[10 + i][j] = gap
    data, preprocessing = load(write(path, rows), library=library)
    order = np.random.RandomState(0).permutation(len(rows))
    train = [row for row in order[:42] if not 10 <= row < 16]
    height = columns_of(preprocessing)["height"]
    assert height["median"] == np.median([float(rows[row][1]) for row in train])
    missing = [i for i, row in enumerate(order[:42]) if 10 <= row < 16]
    assert missing
    filled = (height["median"] - height["mean"]) / height["std"]
    np.testing.assert_array_equal(data["X_train"][missing, 0], filled)
    np.testing.assert_array_equal(data["X_train"][missing, 2:5], 0)
    assert columns_of(preprocessing)["member"]["kind"] == "boolean"


def test_rows_without_a_target_are_left_out(path):
    rows = rows_of()
    for row in (3, 4, 50):
        rows[row][-1] = "NA"
    write(path, rows)
    with pytest.warns(UserWarning, match=r"^3 rows have no target 'kind': left out$"):
        data, preprocessing = load(path)
    assert sum(len(data[f"y_{split}"]) for split in ("train", "val", "test")) == 57
    assert preprocessing["target"]["values"] == ["short", "tall"]


def test_what_tells_nothing_is_left_out(path, library):
    rows = [[*row[:3], "red", "", *row[5:]] for row in rows_of()]
    write(path, rows)
    with pytest.warns(UserWarning, match="left out") as caught:
        _, preprocessing = load(path, library=library)
    assert [str(one.message) for one in caught] == [
        "column 'colour' is the same in all training rows: left out",
        "column 'member' is empty in the training rows: left out",
    ]
    assert list(columns_of(preprocessing)) == ["height", "age"]
    assert preprocessing["ignored"] == ["colour", "member"]


def test_a_constant_with_gaps(path):
    """Of texts the gaps tell something, of numbers they are filled with the constant."""
    rows = [[*row[:2], "7", "red", *row[4:]] for row in rows_of()]
    for row in rows[::2]:
        row[2] = row[3] = ""
    write(path, rows)
    with pytest.warns(UserWarning, match="column 'age' is the same in all training rows"):
        _, preprocessing = load(path)
    assert columns_of(preprocessing)["colour"]["values"] == ["red"]


def test_ignored_and_category_columns(path):
    rows = rows_of()
    write(path, rows)
    _, preprocessing = load(path, ignore_columns=["height"], category_columns=["age"])
    assert set(columns_of(preprocessing)) == {"age", "colour", "member"}
    assert columns_of(preprocessing)["age"]["kind"] == "category"
    assert preprocessing["ignored"] == ["height"]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_separators(path, library, separator):
    data, _ = load(write(path, rows_of()), library=library)
    other, _ = load(write(path, rows_of(), separator=separator), library=library)
    np.testing.assert_equal(other, data)


def test_a_byte_order_mark_quotes_and_line_ends(path, library):
    data, preprocessing = load(write(path, rows_of()), library=library)
    text = path.read_text("utf-8").replace("red", '"red"').replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    other, again = load(path, library=library)
    np.testing.assert_equal(other, data)
    assert again == preprocessing


def test_text_of_any_language(path, library):
    rows = [[*row[:3], {"red": "красный"}.get(row[3], "青, 緑"), *row[4:]] for row in rows_of()]
    for row in rows:
        row[3] = f'"{row[3]}"'
    _, preprocessing = load(write(path, rows), library=library)
    assert columns_of(preprocessing)["colour"]["values"] == ["красный", "青, 緑"]


def test_an_index_that_pandas_wrote(path, library):
    rows = [[str(i), *row] for i, row in enumerate(rows_of())]
    _, preprocessing = load(write(path, rows, ["", *HEADER]), library=library)
    assert list(columns_of(preprocessing)) == ["height", "age", "colour", "member"]


# --- targets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a"], ["a", "b"]),
        (["10", "9"], [9, 10]),
        (["1.0", "0.0"], [0, 1]),
        (["true", "false"], [False, True]),
        (["1", "2", "3a"], ["1", "2", "3a"]),
    ],
)
def test_classes(path, library, cells, classes):
    rows = [[*row[:5], cells[i % len(cells)]] for i, row in enumerate(rows_of())]
    data, preprocessing = load(write(path, rows), library=library)
    found = preprocessing["target"]["values"]
    assert (found, list(map(type, found))) == (classes, list(map(type, classes)))
    assert set(data["y_train"]) == set(range(len(classes)))
    assert check_preprocessing(preprocessing, 6, len(classes)) is preprocessing


def test_numbers_to_predict_are_standardised_and_come_back(path):
    rows = rows_of()
    data, preprocessing = load(write(path, rows), "height", loss="huber")
    y = data["y_train"]
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-12)
    found = np.concatenate([data[f"y_{split}"] for split in ("train", "val", "test")])
    heights = decode(found, preprocessing["target"])
    np.testing.assert_allclose(sorted(heights), sorted(float(row[1]) for row in rows))


def test_counts_are_as_they_are(path):
    data, preprocessing = load(write(path, rows_of()), "age", loss="poisson")
    assert (preprocessing["target"]["mean"], preprocessing["target"]["std"]) == (0, 1)
    assert data["y_train"].min() >= 1


def test_logistic_tells_two_apart(path):
    data, preprocessing = load(write(path, rows_of()), loss="logistic")
    assert set(data["y_train"]) == {0, 1}
    assert check_preprocessing(preprocessing, 6, 1) is preprocessing


# --- another table, later ---------------------------------------------------------------------


def test_the_same_table_comes_out_the_same(path, library):
    data, preprocessing = load(write(path, rows_of()))
    table = encode_table(path, preprocessing, needs_target=True, library=library)
    assert table.notes == []
    assert table.ids == [str(i + 1000) for i in range(60)]
    parts = find_splits(table, preprocessing)
    for split, rows in parts.items():
        np.testing.assert_array_equal(table.X[rows], data[f"X_{split}"])
        np.testing.assert_array_equal(table.y[rows], data[f"y_{split}"])


def test_columns_are_found_by_name(path, tmp_path, library):
    _, preprocessing = load(write(path, rows_of()))
    expected = encode_table(path, preprocessing)
    order = [4, 2, 0, 3, 1]
    rows = [[*(row[i] for i in order), "more"] for row in rows_of()]
    other = write(tmp_path / "other.csv", rows, [*(HEADER[i] for i in order), "new"])
    table = encode_table(other, preprocessing, library=library)
    np.testing.assert_array_equal(table.X, expected.X)
    assert (table.y, table.ids, table.notes) == (None, expected.ids, [])


def test_late_gaps_and_categories_never_seen(path, tmp_path, library):
    _, preprocessing = load(write(path, rows_of()))
    late = write(
        tmp_path / "late.csv", [["1", "", "NA", "violet", ""], ["2", "", "", "", ""]], HEADER[:5]
    )
    table = encode_table(late, preprocessing, library=library)
    columns = columns_of(preprocessing)
    for place, name in {0: "height", 1: "age", 5: "member"}.items():
        column = columns[name]
        filled = (column["median"] - column["mean"]) / column["std"]
        np.testing.assert_array_equal(table.X[:, place], filled)
    np.testing.assert_array_equal(table.X[:, 2:5], 0)
    assert table.notes == [
        "column 'colour' has 1 cell of categories that the model was not trained on: taken for none"
    ]


def test_another_table_has_no_splits(path, tmp_path):
    _, preprocessing = load(write(path, rows_of()))
    part = write(tmp_path / "part.csv", rows_of()[:30])
    assert find_splits(encode_table(part, preprocessing, needs_target=True), preprocessing) is None


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (
            ["id", "height", "age"],
            "1,2,3",
            "no columns 'colour', 'member', expected those that the",
        ),
        ([*HEADER[:4], "membre"], "1,2,3,red,true", "no column 'member', .*did you mean 'membre'"),
        (HEADER[:5], "1,tall,3,red,true", "column 'height' has 'tall' in row 1, expected numbers"),
        (HEADER[:5], "1,inf,3,red,true", "column 'height' has inf in row 1, expected finite"),
        (HEADER[:5], "1,1_0,3,red,true", "column 'height' has '1_0' in row 1, expected numbers"),
    ],
)
def test_what_does_not_fit_the_model(path, tmp_path, library, header, row, message):
    _, preprocessing = load(write(path, rows_of()))
    other = write(tmp_path / "other.csv", [row.split(",")], header)
    with pytest.raises(ValueError, match=message) as caught:
        encode_table(other, preprocessing, library=library)
    assert str(caught.value).startswith(f"{other}: ")


def test_a_label_that_the_model_does_not_know(path, tmp_path):
    _, preprocessing = load(write(path, rows_of()))
    other = write(tmp_path / "other.csv", [["1", "2", "3", "red", "true", "huge"]])
    with pytest.raises(ValueError, match=r"target 'kind' has 'huge' in row 1, .*: short, tall"):
        encode_table(other, preprocessing, needs_target=True)


# --- what is refused --------------------------------------------------------------------------


def fill(column, cells):
    """Return the table with other cells in a column."""
    place = HEADER.index(column)
    return [[*row[:place], cells(i), *row[place + 1 :]] for i, row in enumerate(rows_of())]


REFUSED = {
    "dates": (fill("age", lambda i: f"2024-03-{i % 28 + 1:02}"), "column 'age' has dates or times"),
    "times": (fill("age", lambda i: f"{i % 24}:30"), "column 'age' has dates or times"),
    "other dates": (fill("age", lambda i: f"{i % 12 + 1}/3/2024"), "has dates or times: make"),
    "names": (
        fill("colour", lambda i: f"name {i}"),
        r"column 'colour' has 42 different texts in 42 training rows, .* \(--ignore-columns colo"
        r"ur\), or if it names the rows the id_column \(--id-column colour\)",
    ),
    "numbers and text": (
        fill("age", lambda i: "twelve" if i == 6 else str(i)),
        r"column 'age' has numbers, and 'twelve' in row 7: mend it, .*--category-columns age",
    ),
    "infinite": (fill("age", lambda i: "-inf" if i == 2 else str(i)), "'age' has -inf in row 3"),
    "huge": (fill("age", lambda i: f"{i % 17}e307"), "column 'age' has numbers up to .* overflows"),
    "one class": (fill("kind", lambda i: "tall"), "target 'kind' has 'tall' in all rows"),
    "no target": (fill("kind", lambda i: ""), "0 rows with a target, expected at least 3"),
    "dates to predict": (fill("kind", lambda i: "2024-03-01"), "target 'kind' has dates"),
    "prices to label": (
        fill("kind", lambda i: f"{i}.5"),
        "target 'kind' has 0.5 in row 1, .*choose --loss squared_error",
    ),
    "names to label": (fill("kind", str), "target 'kind' has 60 different values in 60 rows"),
    "two rows": (rows_of()[:2], "2 rows with a target, expected at least 3"),
    "one row": (rows_of()[:1], "1 row with a target, expected at least 3"),
}


@pytest.mark.parametrize(("rows", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_columns(path, library, rows, message):
    write(path, rows)
    with pytest.raises(ValueError, match=message) as caught:
        load(path, library=library)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "knid"}, "target: no column 'knid', expected one of 'id', .*mean 'kind'"),
        ({"ignore_columns": ["ages"]}, "ignore_columns: no column 'ages', .*did you mean 'age'"),
        ({"category_columns": ["x"]}, "category_columns: no column 'x'"),
        ({"id_column": "x"}, "id_column: no column 'x'"),
        ({"ignore_columns": HEADER[1:5]}, "no column is left to learn from"),
        (
            {"loss": "squared_error"},
            "'kind' has '(short|tall)' in row 1, .* for --loss squared_error",
        ),
        ({"target": "colour", "loss": "logistic"}, "'colour' has 3 classes, expected 2"),
    ],
)
def test_refused_options(path, options, message):
    write(path, rows_of())
    with pytest.raises(ValueError, match=message) as caught:
        load(path, **options)
    assert str(caught.value).startswith(f"{path}: ")


def test_targets_that_do_not_differ(path):
    write(path, fill("age", lambda i: "7"))
    with pytest.raises(ValueError, match="target 'age' has a standard deviation of 0"):
        load(path, "age", loss="squared_error")


def test_counts_below_zero(path):
    write(path, fill("age", lambda i: str(i - 3)))
    with pytest.raises(ValueError, match="target 'age' has -3 in row 1, expected counts"):
        load(path, "age", loss="poisson")
