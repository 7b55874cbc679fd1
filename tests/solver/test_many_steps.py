"""A Solver that takes many steps in one call leaves what one leaves that takes each by itself."""

import signal
import threading
import time

import numpy as np
import pytest

from fastfc import fc_net, optim
from fastfc.solver import Solver
from fastfc.training import Callback, NonFiniteWarning, read_checkpoint
from fastfc.training.steps import MOST_SECONDS, MOST_STEPS
from tests.support import runs
from tests.support.effort import effort, report
from tests.support.same import assert_same


class Counting(Solver):
    """Notes how many steps each call has taken."""

    def __init__(self, *args, **kwargs):
        self.calls = []
        super().__init__(*args, **kwargs)

    def _many_steps(self, most, seconds):
        self.calls.append(super()._many_steps(most, seconds))
        return self.calls[-1]


class Singly(Counting):
    """Has a step of its own, which must be called for each."""

    def _step(self):
        super()._step()


NETWORKS = [
    {"dropout": 0.8, "use_batchnorm": True},
    {"dropout": 0.8, "normalization": "layernorm", "rng": "philox", "reg": 0.01},
    {"label_smoothing": 0.1},
]
COSINE = {"name": "cosine", "warmup_steps": 3}
SETTINGS = [
    *({"update_rule": rule} for rule in optim.__all__),
    *({"lr_schedule": name} for name in ("step", "exponential", COSINE, "plateau")),
    {"lr_schedule": lambda step, solver: 1 / (1 + step)},
    {"clip_norm": 0.1, "update_rule": "sgd_momentum"},
    {"normalize": (0.1, 2.0)},
    {"verbose": True, "print_every": 7},
    {"verbose": True, "print_every": 2.5},
    {"verbose": True, "print_every": np.inf},
    {"verbose": True, "print_every": 1},
    {"max_steps": 17},
    {"max_seconds": 1e-9},
    {"early_stopping": {"patience": 2}},
    {"num_train_samples": None, "lr_decay": 1.0, "batch_size": 1},
    {"batch_size": 200},
]


def solver(kind, network=0, dtype=np.float32, **settings):
    np.random.seed(11)
    options = {"weight_scale": 0.1, "input_dim": 12, "num_classes": 3, **NETWORKS[network]}
    settings = {
        "update_rule": "adam",
        "optim_config": {"learning_rate": 0.01},
        "lr_decay": 0.9,
        "batch_size": 7,
        "num_epochs": 3,
        "num_train_samples": 50,
        "num_val_samples": 15,
        "verbose": False,
        **settings,
    }
    model = fc_net.FullyConnectedNet([9, 7], dtype=dtype, **options)
    return kind(model, runs.data(), **settings)


def left(made):
    """Return what a run has left behind, but its clocks."""
    log = {name: value for name, value in made._log.state().items() if name != "seconds"}
    latest, statistics = made._latest()
    return [
        *(made.loss_history, made.train_acc_history, made.val_acc_history, made.epoch),
        *(made.best_params, made.best_bn_params, latest, statistics, made.optim_configs),
        *(log, made._rates.state(), made.stop_reason, np.random.get_state()[1:3]),
    ]


def many(made):
    """Return whether a run has taken several steps in one call."""
    return max(made.calls, default=0) > 1


@pytest.mark.filterwarnings("ignore:batch_size is above", "ignore:lr_schedule was made")
@pytest.mark.parametrize("network", range(len(NETWORKS)))
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_runs(dtype, settings, network, capsys):
    results = []
    for kind in (Singly, Counting):
        made = solver(kind, network, dtype, **settings)
        for _ in range(2):
            made.train()
            results.append([left(made), capsys.readouterr().out])
        seconds = made.history["seconds"]
        assert (seconds >= 0).all()
        assert (np.diff(seconds) >= 0).all()
        assert not many(made) or kind is Counting
    assert_same(results[2:], results[:2])
    per_epoch = max(130 // made.batch_size, 1)
    looked_at = callable(settings.get("lr_schedule")) or per_epoch < 3
    looked_at |= settings.get("print_every") in (1, 2.5) or "max_seconds" in settings
    assert many(made) or looked_at


@pytest.mark.parametrize("every", [2, 5, 17, 18, 19])
def test_checkpoints(every, tmp_path):
    """Written after the same steps, and the same; and those of one way are resumed in the other."""
    files = {}
    settings = {"checkpoint_every": every, "lr_schedule": "cosine", "num_epochs": 2}
    for kind in (Singly, Counting):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        made = solver(kind, checkpoint_name=folder / "run", **settings)
        made.train()
        files[kind] = {path.name: runs.content(read_checkpoint(path)) for path in folder.iterdir()}
        ended = left(made)
    assert many(made)
    assert_same(dict(sorted(files[Counting].items())), dict(sorted(files[Singly].items())))
    for path in sorted((tmp_path / "Singly").glob("run_step*"))[:: effort(6, 1)]:
        again = Counting.resume(path, solver(Counting).model, runs.data())
        again.train()
        assert_same(left(again), ended)


def test_a_checkpoint_by_time(tmp_path):
    """It is written after the first step that ends when the time has passed, within an epoch."""
    np.random.seed(0)
    X, y = np.random.randn(8000, 100), np.random.randint(3, size=8000)
    data = {"X_train": X, "y_train": y, "X_val": X[:5], "y_val": y[:5]}

    def trained(**settings):
        model = fc_net.FullyConnectedNet([200], input_dim=100, num_classes=3)
        made = Counting(model, data, num_epochs=1, batch_size=8, verbose=False, **settings)
        made.train()
        return made

    epoch = min(trained().history["seconds"][-1] for _ in range(3))
    made = trained(checkpoint_name=tmp_path / "run", checkpoint_every=f"{epoch / 4:.9f}s")
    assert many(made)
    steps = [path for path in tmp_path.iterdir() if "step" in path.name]
    assert steps
    for path in steps:
        assert read_checkpoint(path)["iteration"] < 1000


@pytest.mark.parametrize("policy", ["stop", "raise", "continue"])
@pytest.mark.parametrize("rule", ["adam", "sgd"])
@pytest.mark.parametrize("row", range(0, 120, 30))
def test_losses_that_are_not_finite(policy, rule, row):
    """The same step is not taken, and the same is said of it."""
    results = []
    for kind in (Singly, Counting):
        made = solver(kind, on_nonfinite=policy, update_rule=rule, num_epochs=2)
        made.X_train = made.X_train.copy()
        made.X_train[row : row + 2] = np.nan
        said = ""
        with np.errstate(all="ignore"):
            if policy == "stop":
                with pytest.warns(NonFiniteWarning) as caught:
                    made.train()
                said = str(caught[-1].message)
            elif policy == "raise":
                with pytest.raises(FloatingPointError) as error:
                    made.train()
                said = str(error.value)
            else:
                made.train()
        results.append([left(made), said, str(made.nonfinite)])
    assert_same(results[1], results[0])


def test_labels_that_are_none():
    """A label that somebody has broken meanwhile is complained of at the same step."""
    results = []
    for kind in (Singly, Counting):
        made = solver(kind)
        made.y_train = made.y_train.copy()
        made.y_train[3] = 17
        with pytest.raises(ValueError, match=r"softmax_loss: y\[\d\] is 17") as error:
            made.train()
        results.append([left(made), str(error.value)])
    assert_same(results[1], results[0])
    assert many(made)


def test_warnings_of_variances():
    results = []
    for kind in (Singly, Counting):
        made = solver(kind)
        made.X_train = made.X_train.copy()
        made.X_train[3, 0, 0] = 1e25
        with pytest.warns(RuntimeWarning, match="the variance of a feature is beyond") as caught:
            made.train()
        said = [str(warning.message) for warning in caught]
        results.append([left(made), said])
    assert_same(results[1], results[0])
    assert many(made)


def test_progress_and_rare_callbacks(tmp_path, capsys):
    """A bar and callbacks of epochs, checkpoints and the end see what they would see anyway."""
    results = []
    for kind in (Singly, Counting):
        seen = []

        class Rare(Callback):
            def on_epoch(self, solver, seen=seen):
                seen.append(("epoch", *left(solver)))
                solver.optim_configs["W1"]["learning_rate"] = 0.003
                if solver.epoch == 2:
                    solver.stop("enough")

            def on_checkpoint(self, solver, seen=seen):
                seen.append(("checkpoint", *left(solver)))

            def on_stop(self, solver, seen=seen):
                seen.append(("stop", *left(solver)))

        folder = tmp_path / kind.__name__
        folder.mkdir()
        made = solver(kind, callbacks=Rare(), progress=True, checkpoint_name=folder / "run")
        made.train()
        results.append(seen)
        assert "252/378" in capsys.readouterr().err
    assert_same(results[1], results[0])
    assert many(made)
    assert made.stop_reason == "enough"


# --- whoever looks at each step is asked ----------------------------------------------------------


def test_callbacks_of_each_step_see_each():
    seen = []

    class Each(Callback):
        def on_step(self, solver):
            seen.append((len(solver.loss_history), solver.optim_configs["W1"]["t"]))

    made = solver(Counting, callbacks=Each())
    made.train()
    assert seen == [(step, step) for step in range(1, 55)]
    assert not many(made)


@pytest.mark.parametrize("name", ["_step", "_fused_step", "_composed_step"])
@pytest.mark.parametrize("where", ["class", "instance"])
def test_overridden_steps_are_called(name, where):
    calls = []
    original = getattr(Solver, name)

    def noting(self, *args):
        calls.append(name)
        return original(self, *args)

    kind = type("Own", (Counting,), {name: noting} if where == "class" else {})
    made = solver(kind)
    if where == "instance":
        setattr(made, name, noting.__get__(made))
    made.train()
    assert len(calls) == (1 if name == "_composed_step" else 54)
    assert not many(made)


def test_a_step_that_is_replaced_on_the_way():
    calls = []
    made = solver(Counting)
    step = made._step

    class Replaces(Callback):
        def on_epoch(self, solver):
            solver._step = lambda: calls.append(1) or step()

    made.callbacks = [Replaces()]
    made.train()
    assert len(calls) == 36


def test_no_call_takes_too_many_steps_or_too_long():
    X, y = np.random.randn(6000, 3), np.random.randint(3, size=6000)
    data = {"X_train": X, "y_train": y, "X_val": X[:5], "y_val": y[:5]}
    model = fc_net.FullyConnectedNet([], input_dim=3, num_classes=3)
    made = Counting(model, data, num_epochs=1, batch_size=2, verbose=False)
    asked, original = [], made._many_steps

    def asking(most, seconds):
        asked.append((most, seconds))
        return original(most, seconds)

    made._many_steps = asking
    made.train()
    assert {most for most, _ in asked} <= set(range(1, MOST_STEPS + 1))
    assert max(most for most, _ in asked) == MOST_STEPS
    assert {seconds for _, seconds in asked} == {MOST_SECONDS}
    assert len(made.loss_history) == 3000


# --- interrupts -----------------------------------------------------------------------------------


def long_run(kind, examples=200000, **settings):
    np.random.seed(3)
    X, y = np.random.randn(examples, 12), np.random.randint(3, size=examples)
    data = {"X_train": X, "y_train": y, "X_val": X[:20], "y_val": y[:20]}
    model = fc_net.FullyConnectedNet([30, 20], input_dim=12, num_classes=3, dropout=0.8)
    settings = {"update_rule": "adam", "num_epochs": 1000, "num_train_samples": 20, **settings}
    np.random.seed(11)
    return kind(model, data, batch_size=4, verbose=False, lr_schedule="cosine", **settings)


def interrupted(made, delay):
    """Train until a Ctrl-C so many seconds after several steps, which may be too late; return how
    long it then took."""
    came = []

    def interrupt():
        while len(made.loss_history) < 2:
            time.sleep(1e-3)
        time.sleep(delay)
        came.append(time.perf_counter())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()

    def run():
        made.train()
        thread.join()  # it comes here where the run has ended before

    with pytest.raises(KeyboardInterrupt):
        run()
    thread.join()
    return time.perf_counter() - came[0]


def core_of(made):
    """Return what a step changes."""
    return [
        *(made.loss_history, made.model.params, made.optim_configs),
        *(made.model.bn_params, np.random.get_state()[1:3]),
    ]


@pytest.mark.parametrize("handler", ["usual", "own"])
def test_interrupts_leave_the_state_of_a_step(handler):
    """Whoever handles the signal: what is there is what so many steps, one by one, leave."""

    def raising(number, frame):
        raise KeyboardInterrupt("mine")

    usual = signal.getsignal(signal.SIGINT)
    delays = np.random.default_rng(1).uniform(0.02, 0.15, effort(4, 60))
    longest, steps = 0, 0
    try:
        if handler == "own":
            signal.signal(signal.SIGINT, raising)
        for delay in delays:
            made = long_run(Counting)
            longest = max(longest, interrupted(made, delay))
            assert made.stop_reason == "interrupt"
            assert many(made)
            state = core_of(made)
            steps += len(made.loss_history)
            twin = long_run(Singly, max_steps=len(made.loss_history), num_epochs=1000)
            twin.train()
            twin._put_latest()
            assert_same(state, core_of(twin))
    finally:
        signal.signal(signal.SIGINT, usual)
    report("interrupted runs", runs=len(delays), steps=steps, longest_seconds=round(longest, 3))


def test_an_interrupted_run_goes_on():
    made = None
    while made is None or made.stop_reason != "interrupt":
        made = long_run(Counting, 40000, num_epochs=1)
        interrupted(made, 0.02)
    made.train()
    whole = long_run(Singly, 40000, num_epochs=1)
    whole.train()
    assert_same(left(made), left(whole))


def test_other_threads_may_stop_a_run():
    made = long_run(Counting)
    thread = threading.Timer(0.05, made.stop, ["other"])
    thread.start()
    made.train()
    thread.join()
    assert made.stop_reason == "other"


def test_other_threads_may_look_meanwhile():
    """They get what is there: no answer is wrong for lack of care of the core's."""
    made = long_run(Counting, max_seconds=1)
    model, y = made.model, made.y_train.copy()
    errors, done = [], threading.Event()

    def look():
        try:
            while not done.is_set():
                assert np.isfinite(model.loss(made.X_val)).all()
                assert np.isfinite(model.loss(made.X_val, made.y_val)[0])
                assert 0 <= np.random.rand() < 1
                made.y_train[:] = y
                assert len(made.history["seconds"]) <= len(made.loss_history)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        made.train()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert made.stop_reason == "max_seconds"
    assert np.isfinite(made.loss_history).all()
    assert many(made)
