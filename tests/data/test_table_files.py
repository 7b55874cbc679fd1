"""Files of tables: pandas and polars read the same, and what is damaged is named."""

import sys

import numpy as np
import pytest

from fastfc.data.tables import encode_table, load_table, write_table
from fastfc.data.tables.reading import read

pd = pytest.importorskip("pandas", reason="pandas is not installed")


@pytest.fixture(params=["pandas", "polars"])
def library(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


BAD = {
    "empty": (b"", "it is empty, expected a line of names and rows"),
    "blank": (b"\n\n", "damaged: |it has no rows"),
    "no rows": (b"a,b\n", "it has no rows"),
    "only gaps": (b"a,b\n,\n", "it has no rows"),
    "latin": ("a,b\n1,gr\xfcn\n".encode("latin1"), "byte 8 is no UTF-8: save it as such"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "byte 0 is no UTF-8"),
    "zeros": (b"a,b\n1,\x002\n", "it has zero bytes, expected text"),
    "a stray quote": (b'a,b\n5",2\n', "it has an odd number of quotation marks: one is not closed"),
    "twice": (b"a,b,a\n1,2,3\n", "two columns are called 'a', expected names that differ"),
    "twice but for blanks": (b"a,b, a \n1,2,3\n", "two columns are called 'a'"),
    "too many cells": (b"a,b\n1,2\n1,2,3\n", "damaged: "),
}


@pytest.mark.parametrize(("raw", "message"), BAD.values(), ids=BAD)
def test_bad_files(path, library, raw, message):
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message) as caught:
        read(path, library)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(path, library, end):
    path.write_bytes(end.join(["", "", "a,b", "1,x", "", "2,", ""]).encode())
    found = {name: column.values.tolist() for name, column in read(path, library).items()}
    assert found == {"a": ["1", "2"], "b": ["x", None]}


def test_an_empty_parquet_file(tmp_path, library):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and no more")
    if library == "pandas":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with pytest.raises(ValueError, match=r"a\.parquet: truncated, damaged or no Parquet file: "):
        read(path, library)


def test_other_names_and_things(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"a\.xlsx: expected a name that ends in \.csv or \.parq"):
        read(tmp_path / "a.xlsx")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.csv")
    with pytest.raises(TypeError, match="3, expected a path or a data frame"):
        read(3)


@pytest.mark.parametrize("name", ["http:a.csv", "*.csv", "a[1].csv", "~.csv"])
def test_names_are_taken_as_they_are(tmp_path, library, name):
    (tmp_path / "b.csv").write_text("x\n1\n")
    (tmp_path / name).write_text("y\n2\n")
    assert list(read(tmp_path / name, library)) == ["y"]


CELLS = 'a,b,"c, d"\n1,"x ""y""",2\n\n 3 , z ,\n4\n"two\nlines",,5\n,,\n007,1e-3,"6"\n'


def test_both_libraries_see_the_same_cells(path, library):
    path.write_text(CELLS, "utf-8")
    found = {name: column.values.tolist() for name, column in read(path, library).items()}
    assert found == {
        "a": ["1", "3", "4", "two\nlines", "007"],
        "b": ['x "y"', "z", None, None, "1e-3"],
        "c, d": ["2", None, None, "5", "6"],
    }


def test_neither_library(monkeypatch, path):
    path.write_text("a\n1\n")
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ImportError, match=r"^a table needs pandas or polars: pip install fastfc\[t"
    ):
        read(path)


def test_polars_where_it_is_what_there_is(monkeypatch, path):
    pytest.importorskip("polars", reason="polars is not installed")
    path.write_text("a\n1\n")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert read(path)["a"].values.tolist() == ["1"]


# --- data frames and Parquet ------------------------------------------------------------------


def frame_of(count=40):
    draw = np.random.RandomState(1)
    return {
        "key": [f"r{i}" for i in range(count)],
        "whole": draw.randint(0, 9, count).tolist(),
        "real": draw.normal(size=count).tolist(),
        "flag": (draw.rand(count) > 0.5).tolist(),
        "colour": draw.choice(["blue", "red"], count).tolist(),
        "kind": draw.choice(["cat", "dog"], count).tolist(),
    }


def gaps(cells):
    return [None if i % 7 == 3 else cell for i, cell in enumerate(cells)]


def pandas_frames():
    cells = {
        name: gaps(column) for name, column in frame_of().items() if name not in ("key", "kind")
    }
    cells |= {name: frame_of()[name] for name in ("key", "kind")}
    plain = pd.DataFrame(cells)
    nullable = plain.astype(
        {"whole": "Int64", "real": "Float64", "flag": "boolean", "colour": "string"}
    )
    category = plain.astype({"colour": "category", "kind": "category"})
    objects = plain.astype(object)
    return {"plain": plain, "nullable": nullable, "category": category, "objects": objects}


@pytest.mark.parametrize(
    "kind", ["plain", "nullable", "category", "objects", "polars", "lazy", "csv"]
)
def test_frames_of_any_dtype_give_the_same(tmp_path, kind):
    expected, preprocessing = load_table(pandas_frames()["plain"], "kind", id_column="key")
    if kind in ("polars", "lazy"):
        polars = pytest.importorskip("polars", reason="polars is not installed")
        plain = pandas_frames()["plain"].astype(object)
        frame = polars.DataFrame(
            {name: plain[name].where(plain[name].notna(), None).tolist() for name in plain}
        )
        frame = frame.with_columns(frame["colour"].cast(polars.Categorical))
        source = frame.lazy() if kind == "lazy" else frame
    elif kind == "csv":
        source = tmp_path / "a.csv"
        pandas_frames()["nullable"].to_csv(source, index=False)
    else:
        source = pandas_frames()[kind]
    data, again = load_table(source, "kind", id_column="key")
    np.testing.assert_equal(data, expected)
    assert again == preprocessing


def test_parquet(tmp_path, library):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    if library == "pandas":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    path = tmp_path / "a.parquet"
    cells = {name: gaps(column) for name, column in frame_of().items() if name != "kind"}
    frame = polars.DataFrame({**cells, "kind": frame_of()["kind"]})
    frame.write_parquet(path)
    expected, preprocessing = load_table(frame, "kind", id_column="key")
    data, again = load_table(path, "kind", id_column="key", library=library)
    np.testing.assert_equal(data, expected)
    assert again == preprocessing
    assert encode_table(path, preprocessing, library=library).ids == cells["key"]


@pytest.mark.parametrize("unit", ["dates", "spans", "periods", "objects", "lists", "complex"])
def test_what_is_neither_number_nor_text(unit):
    frame = pd.DataFrame(frame_of())
    frame["real"] = {
        "dates": pd.date_range("2024-01-01", periods=40, tz="UTC"),
        "spans": pd.to_timedelta(np.arange(40), "D"),
        "periods": pd.period_range("2024-01", periods=40, freq="M"),
        "objects": pd.Series(pd.date_range("2024-01-01", periods=40).date, dtype=object),
        "lists": pd.Series([[1]] * 40),
        "complex": np.full(40, 1j),
    }[unit]
    expected = "neither numbers nor texts" if unit in ("lists", "complex") else "dates or times"
    with pytest.raises(ValueError, match=f"^column 'real' has {expected}: make .*--ignore-columns"):
        load_table(frame, "kind", id_column="key")


def test_mixed_objects():
    frame = pd.DataFrame(frame_of())
    frame["whole"] = pd.Series([1, "two", 3.5, None] * 10, dtype=object)
    with pytest.raises(ValueError, match="column 'whole' has numbers, and 'two' in row 2"):
        load_table(frame, "kind", id_column="key")
    _, preprocessing = load_table(frame, "kind", id_column="key", category_columns=["whole"])
    (column,) = (one for one in preprocessing["columns"] if one["name"] == "whole")
    assert column["values"] == ["1", "3.5", "two"]


def test_two_columns_of_one_name_in_a_frame():
    frame = pd.DataFrame(frame_of())
    frame.columns = [*frame.columns[:-2], "real", "kind"]
    with pytest.raises(ValueError, match="two columns are called 'real'"):
        load_table(frame, "kind")


# --- writing ----------------------------------------------------------------------------------

COLUMNS = {"id": [1, 2], "label": ["a, b", 'c "d"'], "p": [0.1, 1e-20]}


def test_written_csv(tmp_path, library):
    path = tmp_path / "out.csv"
    write_table(path, COLUMNS)
    assert path.read_bytes() == b'id,label,p\n1,"a, b",0.1\n2,"c ""d""",1e-20\n'
    assert [column.listed() for column in read(path, library).values()] == [
        ["1", "2"],
        ["a, b", 'c "d"'],
        ["0.1", "1e-20"],
    ]


def test_written_parquet(tmp_path):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    path = tmp_path / "out.parquet"
    write_table(path, COLUMNS)
    assert polars.read_parquet(path).to_dict(as_series=False) == COLUMNS


def test_nothing_half_written(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="zip"):
        write_table(path, {"a": [1, 2], "b": [3]})
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    with pytest.raises(ValueError, match=r"out\.txt: expected a name that ends in"):
        write_table(tmp_path / "out.txt", COLUMNS)
