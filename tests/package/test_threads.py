import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastfc
from fastfc import _core, layers
from fastfc.runtime import threads
from fastfc.verifying import operations
from tests.support import cases
from tests.support.process import in_new_process

# Products that are cut by rows, along the depth, and of which the backward pass is.
SPLIT = [((100, 3072), 100), ((300, 700), 600), ((1000, 100), 100)]


@pytest.fixture(autouse=True)
def own_thread_count():
    before = fastfc.get_num_threads()
    yield
    fastfc.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 2, 5, np.int32(3), True])
def test_set_is_what_get_returns(n):
    fastfc.set_num_threads(n)
    assert fastfc.get_num_threads() == n
    assert fastfc.show_config(mode="dicts")["threads"] == n


@pytest.mark.parametrize("n", [256, 257, 2**31, 2**100])
def test_at_most_256(n):
    fastfc.set_num_threads(n)
    assert fastfc.get_num_threads() == _core.MAX_THREADS == 256


@pytest.mark.parametrize("n", [0, -1, -(2**70)])
def test_number_below_1(n):
    fastfc.set_num_threads(2)
    with pytest.raises(ValueError, match=f"set_num_threads: n is {n}, expected at least 1"):
        fastfc.set_num_threads(n)
    assert fastfc.get_num_threads() == 2


@pytest.mark.parametrize("n", [1.0, "2", None, np.ones(2, int), [1]])
def test_not_an_integer(n):
    with pytest.raises(TypeError, match=r"set_num_threads: n is .* expected an integer"):
        fastfc.set_num_threads(n)


@pytest.mark.parametrize(
    ("own", "openmp", "expected"),
    [
        ("3", "2", 3),
        ("", "2", 2),
        (None, "4,2,1", 4),
        (" 5 ", None, 5),
        (" ", "2", 2),
        ("1000", None, 1000),
        (None, None, 7),
        (None, "y", 7),
        (None, "0", 7),
        (None, "-4", 7),
        ("", "1.5", 7),
    ],
)
def test_variables(monkeypatch, own, openmp, expected):
    for name, value in (("FASTFC_NUM_THREADS", own), ("OMP_NUM_THREADS", openmp)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)), raising=False)
    monkeypatch.setattr(threads, "_quota", lambda: math.inf)
    assert threads._default() == expected


@pytest.mark.parametrize("own", ["x", "0", "-1", "1.5", "4,2", "2 threads", "1e3", "+2"])
def test_variable_that_is_no_number_of_threads(own):
    """As with FASTFC_ISA, whoever misspells it hears of it."""
    status, output = in_new_process("import fastfc", FASTFC_NUM_THREADS=own, OMP_NUM_THREADS="2")
    message = f"ImportError: FASTFC_NUM_THREADS is {own!r}, expected a whole number of at least 1\n"
    assert status == 1
    assert output.endswith(message)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FASTFC_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, "3"),
        ({"FASTFC_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, "2"),
        ({"FASTFC_NUM_THREADS": "99999999999999"}, "256"),
    ],
)
def test_variables_at_import(environment, expected):
    code = "import fastfc; print(fastfc.get_num_threads())"
    assert in_new_process(code, **environment) == (0, expected + "\n")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks here")
def test_affinity_mask():
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import fastfc
print(fastfc.get_num_threads())
"""
    environment = {"FASTFC_NUM_THREADS": "", "OMP_NUM_THREADS": ""}
    assert in_new_process(code, **environment) == (0, "1\n")


@pytest.mark.parametrize(
    ("files", "groups", "expected"),
    [
        ({}, "", math.inf),
        ({"cpu.max": "max 100000\n"}, "0::/\n", math.inf),
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "150000 100000\n"}, "0::/elsewhere/seen/from/outside\n", 1.5),
        ({"cpu.max": "150000 0\n"}, "", math.inf),
        ({"cpu.max": ""}, "", math.inf),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", 3),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "200000 100000"}, "0::/a/b\n", 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "", math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "", 0.5),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, "", math.inf),
        (
            {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"},
            "12:memory:/b\n4:cpu,cpuacct:/a\n",
            2.5,
        ),
    ],
)
def test_control_group(tmp_path, monkeypatch, files, groups, expected):
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    (tmp_path / "groups").write_text(groups)
    monkeypatch.setattr(threads, "_CGROUP", tmp_path / "fs")
    monkeypatch.setattr(threads, "_GROUPS", tmp_path / "groups")
    assert threads._quota() == expected
    monkeypatch.delenv("FASTFC_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)), raising=False)
    assert threads._default() == min(7, math.ceil(expected) if expected < 7 else 7)


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_same_bits_for_any_number_of_threads(operation, dtype):
    affine = operation.function.startswith("affine")
    shapes = SPLIT if affine else [(300, 700)]
    for shape in shapes:
        results = []
        for n in (1, 2, 3, 5):
            fastfc.set_num_threads(n)
            args = operation.arguments(shape, dtype)
            np.random.seed(1)
            results.append(operation.outputs(operation.callable(operations.FAST)(*args), args))
        for other in results[1:]:
            for name, value in results[0].items():
                assert np.asarray(value).tobytes() == np.asarray(other[name]).tobytes(), name


def test_many_callers_at_once():
    """Python threads that call at once get what each would get alone."""
    fastfc.set_num_threads(3)
    inputs = [
        [cases.normal(s, np.float32, i) for s in ((200, 700), (700, 150), (150,))] for i in range(6)
    ]
    expected = [layers.affine_forward(*arrays)[0] for arrays in inputs]
    wrong = []

    def calls(i):
        for _ in range(30):
            if not np.array_equal(layers.affine_forward(*inputs[i])[0], expected[i]):
                wrong.append(i)

    callers = [threading.Thread(target=calls, args=(i,)) for i in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


# A product that is shared out, and its result with one thread.
PRODUCT = """
import os, signal, sys, threading, time
import numpy as np, fastfc
from fastfc.layers import affine_forward
x = np.random.rand(300, 700); w = np.random.rand(700, 300); b = np.zeros(300)
fastfc.set_num_threads(1)
expected = affine_forward(x, w, b)[0]
fastfc.set_num_threads(3)
def right(times=20):
    return all(np.array_equal(affine_forward(x, w, b)[0], expected) for _ in range(times))
others = len(os.listdir("/proc/self/task")) - threading.active_count()  # NumPy's BLAS has some
def workers():
    return len(os.listdir("/proc/self/task")) - threading.active_count() - others
"""

linux = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc on this system")


@linux
def test_fork():
    """A child has a pool of its own, also when another thread is in the middle of a product."""
    code = (
        PRODUCT
        + """
import warnings
warnings.simplefilter("ignore")  # that forking with threads is dangerous
assert right() and workers() == 2, workers()
stop = False
def busy():
    while not stop: affine_forward(x, w, b)
thread = threading.Thread(target=busy); thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        before = len(os.listdir("/proc/self/task"))
        good = right(5)
        os._exit(0 if good and before == 1 and len(os.listdir("/proc/self/task")) == 3 else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True; thread.join()
print(right())
"""
    )
    assert in_new_process(code) == (0, "True\n")


@linux
def test_multiprocessing_fork():
    code = (
        PRODUCT
        + """
import warnings
warnings.simplefilter("ignore")
import multiprocessing
assert right()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(right, [5, 5, 5]), right())
"""
    )
    assert in_new_process(code) == (0, "[True, True, True] True\n")


@linux
def test_workers_leave_signals_to_the_program():
    """A signal that the program has blocked waits for it: no worker takes it, and dies of it."""
    code = (
        PRODUCT
        + """
assert right() and workers() == 2
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
print(signal.sigwait({signal.SIGUSR1}).name)
"""
    )
    # nor may a thread of NumPy's BLAS, which blocks no signals
    assert in_new_process(code, OPENBLAS_NUM_THREADS="1") == (0, "SIGUSR1\n")


@pytest.mark.parametrize("pause", [0, 0.05])
def test_exit_with_workers(pause):
    """Workers that spin or sleep do not hold the process up."""
    code = PRODUCT + f"print(right()); time.sleep({pause})"
    assert in_new_process(code) == (0, "True\n")


@pytest.mark.parametrize("first", ["import threadpoolctl, fastfc", "import fastfc, threadpoolctl"])
def test_threadpoolctl(first):
    pytest.importorskip("threadpoolctl", "3.5")
    code = (
        first
        + """
from threadpoolctl import threadpool_info, threadpool_limits
fastfc.set_num_threads(3)
with threadpool_limits(1):
    print(fastfc.get_num_threads())
with threadpool_limits(2, user_api="blas"):
    print(fastfc.get_num_threads())
with threadpool_limits({"fastfc": 2}):
    print(fastfc.get_num_threads())
print(fastfc.get_num_threads())
[own] = [pool for pool in threadpool_info() if pool["user_api"] == "fastfc"]
print(own["num_threads"], own["version"] == fastfc.__version__, own["prefix"])
"""
    )
    assert in_new_process(code) == (0, "1\n3\n2\n3\n3 True _core\n")


def test_threadpoolctl_is_not_imported():
    code = "import sys, fastfc; print('threadpoolctl' in sys.modules)"
    assert in_new_process(code) == (0, "False\n")


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores",
)
def test_a_sleeping_worker_is_woken_on_another_core():
    """Linux wakes it where it ran last, which may be where its caller runs."""
    code = (
        "import os, time, numpy as np, fastfc\n"
        "from fastfc import _core\n"
        "cores = os.sched_getaffinity(0)\n"
        "x = np.ones((300, 300))\n"
        "before = set(os.listdir('/proc/self/task'))\n"
        "fastfc.set_num_threads(2)\n"
        "_core.product(x, x)\n"
        "(worker,) = set(os.listdir('/proc/self/task')) - before\n"
        "for core in 20 * list(cores):\n"  # a busy machine may move its caller elsewhere
        "    os.sched_setaffinity(int(worker), {core})\n"
        "    for _ in range(3):\n"  # it runs there, and sleeps
        "        _core.product(x, x)\n"
        "    time.sleep(0.1)\n"
        "    os.sched_setaffinity(0, {core})\n"  # its caller runs there too
        "    os.sched_setaffinity(0, cores)\n"
        "    _core.product(x, x)\n"
        "    if core not in os.sched_getaffinity(int(worker)):\n"
        "        print('moved')\n"
        "        break\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(fastfc.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert run.stdout == "moved\n"
