"""Signals within long operations, and Ctrl-C and SIGTERM in every phase of a run."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fastfc
from fastfc import _core, layers, optim
from fastfc.fc_net import FullyConnectedNet
from tests.support import runs
from tests.support.effort import effort, report

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)


class Raised(Exception):
    """What the handlers of these tests raise."""


@pytest.fixture
def alarm():
    """Return a function that has a handler called after a while, in the middle of an operation."""
    before = signal.getsignal(signal.SIGALRM)

    def ring(handler, after=0.02, again=0.0):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, after, again)

    yield ring
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def stop(number, frame):
    raise Raised


def raises(*calls):
    """Whether the handler `stop` ends one of the calls or, if it comes late, the pause behind."""
    try:
        for call in calls:
            call()
        time.sleep(1)
    except Raised:
        return True
    return False


@pytest.fixture(autouse=True)
def looking_always():
    """Operations look at every chance, and need not be long."""
    before = _core._watch(0, 0, 2**14)
    yield
    _core._watch(*before)


LONG = 2**22  # elements: several milliseconds


def long_calls():
    side = 700
    x, w, b = np.ones((side, side)), np.ones((side, side)), np.zeros(side)
    flat = np.ones(LONG, np.float32)
    tall = flat.reshape(-1, 16)
    labels = np.zeros(len(tall), int)
    ones = np.ones(16, np.float32)
    deep = np.ones((2**15, 128), np.float32)
    mean = np.zeros(16, np.float32)
    long_ones = np.ones(8 * LONG, np.float32)
    index = np.arange(len(tall))
    config = {"learning_rate": 0.1, "momentum": 0.9, "velocity": flat}
    predictor = FullyConnectedNet([128], input_dim=128).predictor()
    dropout = {"mode": "train", "p": 0.5}
    philox = {**dropout, "rng": "philox", "seed": 3}
    return {
        "affine_forward": lambda: layers.affine_forward(x, w, b),
        "affine_backward": lambda: layers.affine_backward(x, (x, w, b)),
        "split-k": lambda: layers.affine_backward(deep, (deep, np.ones((128, 128), "f4"), ones)),
        "relu_forward": lambda: layers.relu_forward(long_ones),
        "relu_backward": lambda: layers.relu_backward(long_ones, long_ones),
        "gelu_forward": lambda: layers.gelu_forward(long_ones),
        "gelu_backward": lambda: layers.gelu_backward(long_ones, long_ones),
        "dropout_forward": lambda: layers.dropout_forward(flat, dropout),
        "dropout_forward philox": lambda: layers.dropout_forward(flat, philox),
        "dropout_backward": lambda: layers.dropout_backward(long_ones, (dropout, long_ones)),
        "batchnorm_forward": lambda: layers.batchnorm_forward(tall, ones, ones, {"mode": "train"}),
        "batchnorm_forward one feature": lambda: layers.batchnorm_forward(
            flat.reshape(-1, 1), ones[:1], ones[:1], {"mode": "train"}
        ),
        "layernorm_forward": lambda: layers.layernorm_forward(tall, ones, ones, {}),
        "softmax_loss": lambda: layers.softmax_loss(tall, labels),
        "svm_loss": lambda: layers.svm_loss(tall, labels),
        "gather": lambda: _core.gather(tall, index, np.float64, mean, ones),
        "sum_of_squares": lambda: _core.sum_of_squares(long_ones),
        "sgd_momentum": lambda: optim.sgd_momentum(flat, flat, dict(config)),
        "random_rows": lambda: _core.random_rows(1000, LONG),
        "predictor": lambda: predictor(deep),
    }


@pytest.mark.parametrize("name", long_calls())
def test_a_long_operation_looks_for_signals(name, alarm):
    """A handler is called several times during one operation; what it raises ends it."""
    call, calls = long_calls()[name], []
    for _ in range(100):
        alarm(lambda *_: calls.append(1), after=5e-4, again=5e-4)
        calls.clear()
        call()
        during = len(calls)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if during >= 4:  # without a look it is one, or two
            break
    assert during >= 4
    ended = 0
    for _ in range(effort(3, 100)):
        ended += raises(partial(alarm, stop, 1e-3), call)  # on a busy machine it may ring at once
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(layers.affine_forward(x, np.eye(4), np.zeros(4))[0], x)
    assert ended == effort(3, 100)
    report(f"handlers that raise in {name}", calls=ended)


def test_a_handler_that_returns_changes_nothing(alarm):
    """The operation goes on where it was, and the handler may call operations of its own."""
    rng = np.random.RandomState(0)
    x, w, b = rng.randn(300, 400), rng.randn(400, 500), rng.randn(500)
    expected = layers.affine_forward(x, w, b)[0]
    calls = []

    def handler(number, frame):
        calls.append(np.array_equal(layers.affine_forward(x, w, b)[0], expected))
        calls.append(np.array_equal(layers.relu_forward(x)[0], np.maximum(x, 0)))

    for _ in range(effort(5, 50)):
        alarm(handler, after=1e-3)
        got = layers.affine_forward(x, w, b)[0]
        time.sleep(0.02)
        assert np.array_equal(got, expected)
    assert calls
    assert all(calls)


def big_network(**options):
    np.random.seed(0)
    options = {"use_batchnorm": True, "weight_scale": 0.02, **options}
    return FullyConnectedNet([512, 512], input_dim=512, num_classes=10, **options)


def big_step(model, rule, configs, clip_norm=None):
    X = np.random.RandomState(1).randn(400, 512).astype(np.float32)
    return model.train_step(X, np.arange(len(X)) % 10, rule, configs, clip_norm=clip_norm)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize(
    "options", [{}, {"dropout": 0.9}, {"dropout": 0.9, "rng": "philox"}], ids=str
)
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_a_step_is_taken_whole_or_not_at_all(rule, options, clip_norm, alarm):
    """Whenever a handler raises, parameters, state and running averages are those of a whole number
    of steps."""

    def start():
        model = big_network(**options)
        configs = {name: {"learning_rate": 0.01} for name in model.params}
        X, y = np.ones((4, 512), np.float32), np.zeros(4, int)
        _, grads = model.loss(X, y)
        for name, w in model.params.items():
            model.params[name], configs[name] = getattr(optim, rule)(w, grads[name], configs[name])
        return model, configs

    def state(model, configs):
        arrays = [*model.params.values()]
        arrays += [v for c in (*model.bn_params, *configs.values()) for v in c.values()]
        return [np.array(v).tobytes() for v in arrays if not isinstance(v, str)]

    model, configs = start()
    zero = state(model, configs)
    begun = time.perf_counter()
    np.random.seed(5)
    big_step(model, rule, configs, clip_norm)
    whole = time.perf_counter() - begun
    one = state(model, configs)
    assert zero != one
    rng = np.random.RandomState(2)
    seen = {"none": 0, "whole": 0}
    for _ in range(effort(2, 30)):
        model, configs = start()
        np.random.seed(5)
        ring = partial(alarm, stop, after=max(1e-3, whole * rng.uniform(0.02, 1)))
        assert raises(ring, partial(big_step, model, rule, configs, clip_norm))
        after = state(model, configs)
        assert after in (zero, one)
        seen["none" if after == zero else "whole"] += 1
        assert np.isfinite(big_step(model, rule, configs, clip_norm))
    report(f"steps of {rule} that a handler ended", **seen)


@pytest.mark.parametrize("call", ["loss", "scores", "step"])
def test_a_handler_cannot_use_the_network_it_interrupts(call, alarm):
    model = big_network()
    X = np.ones((400, 512), np.float32)
    y = np.zeros(len(X), int)
    configs = {name: {"learning_rate": 1e-3} for name in model.params}
    errors = []

    def handler(number, frame):
        try:
            errors.append(model.loss(X[:2]))
        except RuntimeError as error:
            errors.append(str(error))

    calls = {
        "loss": lambda: model.loss(X, y),
        "scores": lambda: model.loss(X),
        "step": lambda: model.train_step(X, y, "sgd", configs),
    }
    calls[call]()
    for _ in range(50):
        alarm(handler, after=1e-3)
        calls[call]()
        time.sleep(0.005)
        if any(isinstance(error, str) for error in errors):
            break
    assert any("in the middle of a step or of scores" in e for e in errors if isinstance(e, str))


# --- every phase of a run -------------------------------------------------------------------------

CODE = """
import os, signal, sys, threading, time
shot = []
def shoot(number):
    if not shot:
        shot.append(number)
        os.kill(os.getpid(), number)
{before}
import numpy as np
from tests.support import runs
import fastfc, fastfc.files
from fastfc import training, _core
from fastfc.training import Callback
solver = runs.solver(checkpoint_name=sys.argv[1] + "/run", checkpoint_every=2)
{setting}
try:
    solver.train()
    print("finished")
except KeyboardInterrupt:
    print("interrupted", len(solver.loss_history), solver.stop_reason)
"""

PHASES = {
    "training": "step = solver._step; solver._step = lambda: (step(), shoot(SIGNAL))",
    "validation": "score = solver.check_accuracy\n"
    "solver.check_accuracy = lambda *a, **k: (shoot(SIGNAL), score(*a, **k))[1]",
    "checkpoint": "import fastfc.training.saving\n"
    "save = type(solver._saver).save\n"
    "type(solver._saver).save = lambda *a: (shoot(SIGNAL), save(*a))[1]",
    "data": "rows = _core.random_rows\n_core.random_rows = lambda *a: (shoot(SIGNAL), rows(*a))[1]",
    "callback": "class Shoot(Callback):\n    def on_step(self, solver): shoot(SIGNAL)\n"
    "solver.callbacks = [Shoot()]",
}


def run(folder, before="", setting=""):
    folders = Path(fastfc.__file__).parents[1], Path(runs.__file__).parents[2]
    path = os.pathsep.join(map(str, folders))
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before, setting=setting), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
    )
    return done.returncode, done.stdout.split(), done.stderr


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_each_phase(phase, number, tmp_path):
    """The running step is finished, and a checkpoint of it left from which the run goes on."""
    status, out, err = run(tmp_path, setting=PHASES[phase].replace("SIGNAL", str(int(number))))
    if number == signal.SIGINT:
        assert (status, out[0], out[-1]) == (0, "interrupted", "interrupt"), err
    else:
        assert (status, out) == (-signal.SIGTERM, []), err
    path = fastfc.training.latest_checkpoint(tmp_path / "run")
    again = runs.resumed(path)
    steps = len(again.loss_history)
    assert steps >= 1
    again.train()
    assert again.stop_reason == "finished"
    assert len(again.loss_history) == runs.STEPS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_is_imported(number):
    """At moments of chance: the process ends as Python's own, by the signal or by its exception."""
    code = "import fastfc.solver, fastfc.fc_net, fastfc.data_utils; print('imported')"
    rng = np.random.RandomState(int(number))
    ends = []
    for _ in range(effort(3, 100)):
        with subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(fastfc.__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(rng.uniform(0, 0.3))
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        # Python itself turns it into an ImportError where NumPy's own import is interrupted
        known = process.returncode in (0, 1, -number) or "KeyboardInterrupt" in err
        assert known, (process.returncode, out, err)
        assert process.returncode >= -signal.SIGTERM
        ends.append(process.returncode)
    report(f"imports ended by {signal.Signals(number).name}", processes=len(ends))
