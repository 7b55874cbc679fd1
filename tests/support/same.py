"""Whether two results agree in every bit."""

import numpy as np


def assert_same(got, expected, where="", any_nan=False):
    """The same structure, types, dtypes and bits.

    With ``any_nan``, of NaN whatever bits: its sign is an operand's, which the compiler chooses.
    """
    assert type(got) is type(expected), where
    if isinstance(got, dict):
        assert list(got) == list(expected), where
        for key in got:
            assert_same(got[key], expected[key], f"{where}.{key}", any_nan)
    elif isinstance(got, list | tuple):
        assert len(got) == len(expected), where
        for i, pair in enumerate(zip(got, expected, strict=True)):
            assert_same(*pair, f"{where}[{i}]", any_nan)
    elif isinstance(got, int):
        assert got == expected, where
    else:
        got, expected = np.asarray(got), np.asarray(expected)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape), where
        if any_nan and got.dtype.kind == "f":
            nan = got.dtype.type(np.nan)
            got, expected = (np.where(np.isnan(a), nan, a) for a in (got, expected))
        assert got.tobytes() == expected.tobytes(), where
