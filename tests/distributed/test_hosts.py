"""Two hosts with different numbers of ranks, and the link between them."""

import os
import re
import time

import pytest

from fastfc.runtime import threads
from fastfc.training import latest_checkpoint
from tests.distributed import hosts, launch
from tests.distributed.test_faults import check_goes_on


@pytest.fixture
def pair(tmp_path):
    with hosts.two(tmp_path) as found:
        yield found


def test_the_run_is_that_of_one_process(pair, tmp_path):
    cases = "all of it", "few rows", "two rows", "philox"
    arguments = "tests.distributed.equal", tmp_path, *cases
    status, out, err = launch.run(3, *arguments, **pair.options(2, 1))
    assert (status, out, err) == (0, "4 cases on 3\n", "")


def test_ranks_share_the_processors_of_their_own_host(pair):
    status, out, err = launch.run(
        3, "tests.distributed.shares", FASTFC_NUM_THREADS=None, **pair.options(2, 1)
    )
    assert status == 0, out + err
    processors = int(min(len(os.sched_getaffinity(0)), threads._quota()))
    shared, whole = max(1, processors // 2), max(1, processors)
    first, second = pair.names
    found = [line.split()[:2] for line in out.splitlines()]
    assert found == [[first, str(shared)], [first, str(shared)], [second, str(whole)]]


def test_a_link_that_goes_down_ends_the_job(pair, tmp_path):
    arguments = "tests.distributed.faults", "signal", 1.5, tmp_path
    with launch.start(3, *arguments, **pair.options(2, 1)) as process:
        while not latest_checkpoint(tmp_path / "run") and process.poll() is None:
            time.sleep(0.05)
        pair.cut()
        out, err = process.communicate(timeout=40)
    assert process.returncode != 0, out + err
    assert re.search(r"rank [01] of 3: waited 1.5 s for the other ranks, comm_timeout, to", err)
    check_goes_on(tmp_path)
