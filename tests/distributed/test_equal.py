"""A run on several ranks is that of one process."""

import re

import pytest

from tests.distributed import launch


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_every_case(ranks, tmp_path):
    status, out, err = launch.run(
        ranks, "tests.distributed.equal", tmp_path, folder=tmp_path, timeout=300
    )
    assert (status, err) == (0, ""), out + err
    assert re.fullmatch(rf"1\d cases on {ranks}\n", out), out
