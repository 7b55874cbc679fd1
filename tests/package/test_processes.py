"""Processes: children by fork, forkserver, spawn and loky, and the interpreter's own end."""

import ctypes
import os
import sys

import pytest

from tests.support.effort import effort, report
from tests.support.process import in_new_process, needs_other_users

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks as Linux does")

# A small training run, which is the same in every process: the bytes of its parameters.
RUN = """
import os, sys, threading, time, warnings
import numpy as np
warnings.simplefilter("ignore")  # that forking with threads is dangerous
def run(steps=20):
    import hashlib, fastfc, numpy as np
    from fastfc.fc_net import FullyConnectedNet
    fastfc.set_num_threads(3)
    np.random.seed(1)
    net = FullyConnectedNet([300, 200], input_dim=100, dropout=0.8, use_batchnorm=True)
    X = np.random.randn(400, 100).astype(np.float32); y = np.random.randint(10, size=400)
    configs = {name: {"learning_rate": 0.01} for name in net.params}
    for _ in range(steps):
        net.train_step(X, y, "sgd", configs)
    return hashlib.sha256(b"".join(w.tobytes() for w in net.params.values())).hexdigest()
def in_child(function=run, patience=30, fork=os.fork):
    "Fork; return what the function returns in the child, None if it crashes or hangs."
    read, write = os.pipe()
    child = fork()
    if child == 0:
        try:
            os.write(write, str(function()).encode())
        finally:
            os._exit(0)
    os.close(write)
    timer = threading.Timer(patience, os.kill, (child, 9)); timer.start()
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    timer.cancel()
    return answer or None if os.waitpid(child, 0)[1] == 0 else None
"""


def printed(code, **environment):
    status, output = in_new_process(RUN + code, **environment)
    assert status == 0, output
    return output.split("\n")[:-1]


def test_fork_before_during_and_after_use():
    lines = printed("""
before = in_child()
expected = run()
print(before == expected)
stop = False
def busy():
    while not stop: run(1)
thread = threading.Thread(target=busy)
print(in_child() == expected)
from fastfc import layers
x, w, b = np.ones((300, 300)), np.ones((300, 300)), np.ones(300)
def busy():
    while not stop: layers.affine_forward(x, w, b)
thread = threading.Thread(target=busy); thread.start()
print({in_child() == expected for _ in range(5)})
stop = True; thread.join()
print(in_child() == expected, run() == expected)
""")
    assert lines == ["True", "True", "{True}", "True True"]


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "__register_atfork"),
    reason="glibc's own function makes fork wait",
)
def test_fork_while_another_thread_starts_the_first_workers():
    """They are no workers of the child, which has its own: here fork waits where it has begun."""
    lines = printed("""
import ctypes, fastfc
from fastfc import layers
fastfc.set_num_threads(3)
x, w, b = np.ones((300, 300)), np.ones((300, 300)), np.ones(300)
def work():
    layers.affine_forward(x, w, b)
    return len(os.listdir("/proc/self/task"))
forking, begun = threading.Event(), threading.Event()
def first():
    forking.wait()
    work()
    begun.set()
thread = threading.Thread(target=first); thread.start()
@ctypes.CFUNCTYPE(None)
def wait():
    forking.set()
    begun.wait()
ctypes.CDLL(None)["__register_atfork"](wait, None, None, None)
print(in_child(work, fork=ctypes.PyDLL(None).fork))  # os.fork of Python 3.13 halts the other thread
thread.join()
""")
    assert lines == ["3"]


def test_a_child_of_a_child():
    lines = printed("""
expected = run()
print(in_child(lambda: (run(), in_child(lambda: (in_child(), run()))))
      == str((expected, str((expected, expected)))))
""")
    assert lines == ["True"]


def test_fork_while_another_thread_draws():
    """The other thread holds np.random's lock, and in the child it is not there to give it back."""
    lines = printed(f"""
from fastfc import layers
x = np.ones((2000, 500))
expected = run(2)  # nobody else draws yet
stop = False
def busy():
    while not stop: layers.dropout_forward(x, {{"mode": "train", "p": 0.5}})
thread = threading.Thread(target=busy); thread.start()
answers = [in_child(lambda: run(2), patience=15) == expected for _ in range({effort(10, 300)})]
stop = True; thread.join()
print(set(answers))
""")
    assert lines == ["{True}"]
    report("forks while another thread draws", forks=effort(10, 300))


def test_fork_while_another_thread_trains_the_network():
    """The child can use the network: no thread of its own is inside."""
    lines = printed(f"""
import fastfc
from fastfc.fc_net import FullyConnectedNet
fastfc.set_num_threads(3)
net = FullyConnectedNet([300, 200], input_dim=100)
X = np.random.randn(400, 100).astype(np.float32); y = np.random.randint(10, size=400)
configs = {{name: {{"learning_rate": 0.01}} for name in net.params}}
stop = False
def busy():
    while not stop: net.train_step(X, y, "sgd", configs)
thread = threading.Thread(target=busy); thread.start()
def use():
    return bool(np.isfinite(net.train_step(X, y, "sgd", configs))), net.loss(X).shape
answers = {{in_child(use, patience=15) for _ in range({effort(10, 300)})}}
stop = True; thread.join()
print(answers)
""")
    assert lines == ["{'(True, (400, 10))'}"]


# Pickled by name: a module of its own.
MODULE = RUN + "\nif __name__ == '__main__':\n    import multiprocessing\n"


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method, tmp_path):
    (tmp_path / "work.py").write_text(
        MODULE
        + f"""
    if {method!r} == "fork":
        expected = run()
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        answers = pool.map(run, [20] * 4)
    print({{answer == run() for answer in answers}})
"""
    )
    code = f"import runpy; runpy.run_path({str(tmp_path / 'work.py')!r}, run_name='__main__')"
    assert in_new_process(code.replace("runpy.run_path", "runpy.run_path"))[1].endswith("{True}\n")


def test_loky(tmp_path):
    pytest.importorskip("loky")
    lines = printed("""
from loky import get_reusable_executor
expected = run()
answers = list(get_reusable_executor(max_workers=2).map(run, [20] * 4))
print({answer == expected for answer in answers})
get_reusable_executor().shutdown()
""")
    assert lines == ["{True}"]


def test_joblib():
    pytest.importorskip("joblib")
    lines = printed("""
from joblib import Parallel, delayed
expected = run()
answers = Parallel(n_jobs=2, prefer="processes")(delayed(run)() for _ in range(4))
print({answer == expected for answer in answers})
""")
    assert lines == ["{True}"]


# --- the interpreter's end ------------------------------------------------------------------------

BUSY = """
import fastfc, numpy as np
from fastfc import layers
from fastfc.fc_net import FullyConnectedNet
fastfc.set_num_threads(3)
x, w, b = np.ones((500, 500)), np.ones((500, 500)), np.ones(500)
drawn = threading.Semaphore(0)
def busy(times=10**9):
    options = {"dropout": 0.5, "rng": "philox", "seed": 3, "use_batchnorm": True}
    net = FullyConnectedNet([100], input_dim=500, **options)
    configs = {name: {"learning_rate": 0.01} for name in net.params}
    drawn.release()  # its weights: nothing below draws from np.random, which all threads share
    for _ in range(times):
        layers.affine_forward(x, w, b)
        net.train_step(x, np.zeros(500, int), "sgd", configs)
"""


@pytest.mark.parametrize("pause", [0, 0.02, 0.1])
def test_exit_while_daemons_are_in_kernels(pause):
    for _ in range(effort(1, 50)):
        lines = printed(f"""
{BUSY}
for _ in range(4): threading.Thread(target=busy, daemon=True).start()
time.sleep({pause})
print("end")
""")
        assert lines == ["end"]


def test_exit_while_daemons_are_in_long_kernels():
    """They do not look for signals, for Python would end them there, under their workers' feet."""
    for _ in range(effort(2, 50)):
        lines = printed(f"""
{BUSY}
from fastfc import _core
_core._watch(0, 0.0, 1)  # every operation is long, and looks whenever it can
class Slow:  # ends while the interpreter shuts down
    def __del__(self, sleep=time.sleep):
        for _ in range(40): sleep(0.005)
slow = Slow()
for _ in range(4): threading.Thread(target=busy, daemon=True).start()
time.sleep(0.1)
print("end")
""")
        assert lines == ["end"]


def test_exit_waits_for_other_threads():
    lines = printed(f"""
{BUSY}
def work():
    busy(20)
    print("done\\n", end="")  # in one piece
for _ in range(3): threading.Thread(target=work).start()
""")
    assert lines == ["done"] * 3


def test_training_at_exit():
    """Handlers at exit still train, while daemons are in kernels."""
    lines = printed(f"""
{BUSY}
import atexit
expected = run()
atexit.register(lambda: print(run() == expected))
for _ in range(2): threading.Thread(target=busy, daemon=True).start()
for _ in range(2): drawn.acquire()
time.sleep(0.02)
""")
    assert lines == ["True"]


# --- what the system refuses ----------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_no_more_threads():
    """RLIMIT_NPROC, which does not hold for root: another user's process, that may start none."""
    needs_other_users()
    lines = printed(
        """
import resource
expected = run()
def limited():
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    os.setuid(54321)
    try:
        threading.Thread(target=print).start()
        return "a thread was started"
    except RuntimeError:
        pass
    return run() == expected, len(os.listdir("/proc/self/task"))
print(in_child(limited))
""",
        OPENBLAS_NUM_THREADS="1",
    )
    assert lines == ["(True, 1)"]


def test_no_more_memory():
    """Limits of all sizes, so that each allocation fails once: a MemoryError, and then all is well.

    What raises it leaves the network as it was: afterwards it takes the very step.
    """
    tries = effort(24, 1500)
    lines = printed(f"""
import resource
import fastfc
from fastfc import layers, optim
from fastfc.fc_net import FullyConnectedNet
fastfc.set_num_threads(2)
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
def state(net, configs):
    arrays = [*net.params.values()]
    arrays += [v for c in (*net.bn_params, *configs.values()) for v in c.values()]
    return [np.array(v).tobytes() for v in arrays if not isinstance(v, str)]
X = np.random.randn(1000, 200).astype(np.float32); y = np.random.randint(10, size=1000)
def start(rule):
    np.random.seed(0)
    net = FullyConnectedNet([300, 200], input_dim=200, use_batchnorm=True, dropout=0.9)
    configs = {{name: {{"learning_rate": 0.01}} for name in net.params}}
    _, grads = net.loss(X[:4], y[:4])
    for name, w in net.params.items():
        net.params[name], configs[name] = getattr(optim, rule)(w, grads[name], configs[name])
    return net, configs
one = {{}}
for rule in ("sgd", "adam"):
    net, configs = start(rule); before = state(net, configs)
    np.random.seed(5); net.train_step(X, y, rule, configs); one[rule] = before, state(net, configs)
refused = 0
for i in range({tries}):
    rule = ("sgd", "adam")[i % 2]
    net, configs = start(rule)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    np.random.seed(5)
    x64 = X.astype(np.float64)
    resource.setrlimit(resource.RLIMIT_AS, (resident() + i * {20_000_000 // tries}, hard))
    try:
        net.train_step(X, y, rule, configs)
        layers.affine_forward(x64, np.ones((200, 300)), np.zeros(300))
        layers.batchnorm_forward(x64, np.ones(200), np.zeros(200), {{"mode": "train"}})
    except MemoryError:
        refused += 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    after = state(net, configs)
    assert after in one[rule]
    assert np.isfinite(net.train_step(X, y, rule, configs))
    net = None
print(refused > 0, refused < {tries})
""")
    assert lines == ["True True"]
    report("limits of memory", limits=tries)
