"""Whether two results agree in every bit."""

import numpy as np


def assert_same(got, expected, where=""):
    """The same structure, types, dtypes and bits."""
    assert type(got) is type(expected), where
    if isinstance(got, dict):
        assert list(got) == list(expected), where
        for key in got:
            assert_same(got[key], expected[key], f"{where}.{key}")
    elif isinstance(got, list | tuple):
        assert len(got) == len(expected), where
        for i, pair in enumerate(zip(got, expected, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    elif isinstance(got, int):
        assert got == expected, where
    else:
        got, expected = np.asarray(got), np.asarray(expected)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape), where
        assert got.tobytes() == expected.tobytes(), where
