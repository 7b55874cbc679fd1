"""What goes into a checkpoint comes out of it: values, types and bits."""

import json

import hypothesis
import hypothesis.extra.numpy as arrays_of
import hypothesis.strategies as st
import numpy as np
import pytest

from fastfc.training import read_checkpoint, write_checkpoint
from fastfc.training.packing import pack, same, unpack
from tests.support.same import assert_same

DTYPES = st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_])
ARRAYS = DTYPES.flatmap(lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0)))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | ARRAYS
    | ARRAYS.filter(lambda array: array.size > 0).map(lambda array: array.ravel()[0])
    | st.lists(st.floats())
    | st.lists(st.floats(width=32).map(np.float32))
)
KEYS = st.text() | st.sampled_from(["$array", "$dict", "a/b", "../x", "/", "file"]) | st.integers()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner)
    | st.tuples(inner, inner)
    | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def through(value):
    arrays = {}
    packed = json.loads(json.dumps(pack(value, arrays, "top")))
    return unpack(packed, arrays)


@hypothesis.given(VALUES)
def test_round_trip(value):
    assert_same(through(value), value)
    assert same(through(value), value)


def test_names_are_readable_and_differ():
    arrays = {}
    value = {"params": {"W1": np.ones(1), "../W1": np.ones(2), "a b": np.ones(3)}, "": np.ones(4)}
    value["params/W1"] = np.ones(5)
    pack(value, arrays)
    assert [*arrays] == ["params/W1", "params/__/W1", "params/a_b", "array", "params/W1_1"]


def test_an_array_met_twice_is_one():
    array = np.ones(3)
    again = through({"a": array, "b": [array], "c": array.copy()})
    assert again["a"] is again["b"][0]
    assert again["a"] is not again["c"]


def test_layout_is_kept(tmp_path):
    array = np.asfortranarray(np.ones((2, 3)))
    write_checkpoint(tmp_path / "a.npz", {"a": array})
    assert read_checkpoint(tmp_path / "a.npz")["a"].flags.f_contiguous


@pytest.mark.parametrize(
    "value", [object(), print, {1}, 1j, np.array([None]), np.ma.array([1]), {"a": [b"x"]}]
)
def test_errors(value):
    with pytest.raises(TypeError, match=r"^there\S* is a \w+, which a checkpoint cannot hold"):
        pack(value, {}, "there")


def test_a_state_that_contains_itself(tmp_path):
    state = {"a": [1]}
    state["a"].append(state)
    with pytest.raises(ValueError, match=r"^the state is nested too deep, or contains itself"):
        write_checkpoint(tmp_path / "a.npz", state)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (True, 1),
        ([1.0], [2.0]),
        (np.ones(2), np.ones(2, np.float32)),
        ({"a": 1}, {"b": 1}),
        (print, print),
    ],
)
def test_what_is_not_the_same(a, b):
    assert not same(a, b)
