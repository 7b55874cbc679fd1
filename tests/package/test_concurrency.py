"""Python threads at once: each gets what it would get alone, bit for bit."""

import threading
import time

import numpy as np
import pytest

import fastfc
from fastfc import _core, layers, reference
from fastfc.fc_net import FullyConnectedNet
from fastfc.solver import Solver
from fastfc.verifying import operations
from tests.support import runs
from tests.support.arguments import call, small_arguments
from tests.support.composed import Composed
from tests.support.effort import effort, report
from tests.support.same import assert_same

THREADS = 6


@pytest.fixture(autouse=True)
def three_threads():
    before = fastfc.get_num_threads()
    fastfc.set_num_threads(3)
    yield
    fastfc.set_num_threads(before)


def at_once(*functions):
    """Run functions in threads that begin together; return their results, raise their errors."""
    barrier, results, errors = threading.Barrier(len(functions)), {}, []

    def run(i, function):
        barrier.wait()
        try:
            results[i] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]
    return [results[i] for i in range(len(functions))]


def network(start, kind=FullyConnectedNet, **options):
    np.random.seed(start)
    options = {"use_batchnorm": True, "weight_scale": 0.1, **options}
    return kind([40, 30], input_dim=50, num_classes=5, **options)


def examples(seed, count=200):
    rng = np.random.RandomState(seed)
    return rng.randn(count, 50).astype(np.float32), rng.randint(5, size=count)


def trained(model, seed, rule="adam", steps=30):
    """Train a network; return its parameters, running statistics and losses."""
    X, y = examples(seed)
    rng = np.random.RandomState(seed)
    configs = {name: {"learning_rate": 0.01} for name in model.params}
    losses = []
    for _ in range(steps):
        rows = rng.randint(len(y), size=64)
        loss = model.train_step(X, y, rule, configs, rows=rows)
        if loss is None:
            loss, grads = model.loss(X[rows], y[rows])
            for name, w in model.params.items():
                update = getattr(fastfc.optim, rule)
                model.params[name], configs[name] = update(w, grads[name], configs[name])
        losses.append(loss)
    return losses, model.params, model.bn_params, model.loss(X)


# Dropout with masks of a network's own; those of np.random are all threads' together.
OPTIONS = [
    {},
    {"dropout": 0.8, "rng": "philox", "seed": 7},
    {"normalization": "layernorm", "use_batchnorm": None},
    {"dtype": np.float64, "reg": 0.1},
]


@pytest.mark.parametrize("kind", [FullyConnectedNet, Composed])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_separate_networks(kind, options):
    steps = effort(30, 2000)
    expected = [trained(network(i, kind, **options), i, steps=steps) for i in range(THREADS)]
    models = [network(i, kind, **options) for i in range(THREADS)]
    got = at_once(
        *(lambda i=i: trained(models[i], i, steps=steps) for i in range(THREADS)),
    )
    assert_same(got, expected)
    report("networks trained in threads", threads=THREADS, steps=steps, differences=0)


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_layers(operation):
    """Each thread calls with arrays of its own; those that draw from np.random have a seed."""
    if operation.function.startswith("dropout"):
        pytest.skip("test_layers_that_draw has it")
    args = small_arguments(operation, np.float32)
    expected = call(operation, args)
    functions = [lambda: [call(operation, args) for _ in range(effort(5, 500))]] * THREADS
    for results in at_once(*functions):
        for result in results:
            assert_same(result, expected)


def test_layers_that_draw():
    x = np.random.RandomState(0).randn(300, 200)

    def draws(seed):
        param = {"mode": "train", "p": 0.5, "rng": "philox", "seed": seed}
        return [layers.dropout_forward(x, param)[0] for _ in range(20)]

    expected = [draws(seed) for seed in range(THREADS)]
    assert_same(at_once(*(lambda s=s: draws(s) for s in range(THREADS))), expected)


def test_draws_from_np_random_are_shared_out():
    """Threads draw from one stream: whole masks, each number once, in an order of chance."""
    n, calls = 5000, 8
    np.random.seed(3)
    blocks = {np.random.rand(n).tobytes() for _ in range(THREADS * calls)}
    np.random.seed(3)
    uniform = np.random.RandomState(3).rand(THREADS * calls, n)
    masks = {(row < 0.5).tobytes() for row in uniform}
    assert len(blocks) == len(masks) == THREADS * calls

    def draws():
        x = np.ones(n)
        param = {"mode": "train", "p": 0.5}
        return [(layers.dropout_forward(x, param)[0] > 0).tobytes() for _ in range(calls)]

    got = at_once(*[draws] * THREADS)
    assert {mask for thread in got for mask in thread} == masks


def test_thread_count_changes_while_others_train():
    expected = [trained(network(i), i, steps=60) for i in range(2)]
    models, stop = [network(i) for i in range(2)], threading.Event()

    def change():
        count = 0
        while not stop.is_set():
            count = count % 5 + 1
            fastfc.set_num_threads(count)
            time.sleep(0.0005)
        return count

    changing = threading.Thread(target=change)
    changing.start()
    try:
        got = at_once(*(lambda i=i: trained(models[i], i, steps=60) for i in range(2)))
    finally:
        stop.set()
        changing.join()
    assert_same(got, expected)


# --- one network, several threads ---------------------------------------------------------------


@pytest.mark.parametrize("kind", [FullyConnectedNet, Composed, reference.fc_net.FullyConnectedNet])
def test_scores_of_one_network(kind):
    model = network(0, kind, dropout=0.7)
    X, y = examples(0)
    model.loss(X, y)
    expected = model.loss(X)
    for scores in at_once(*[lambda: [model.loss(X) for _ in range(20)]] * THREADS):
        for other in scores:
            assert_same(other, expected)


@pytest.mark.parametrize("kind", [FullyConnectedNet, Composed, reference.fc_net.FullyConnectedNet])
def test_scores_while_it_computes_gradients(kind):
    """A pass in test mode does not get in between one in train mode, whose modes are its own."""
    options = {"dropout": 0.7, "rng": "philox", "seed": 1, "normalization": "layernorm"}
    model = network(0, kind, use_batchnorm=None, **options)
    X, y = examples(0)
    scores, gradients = model.loss(X), model.loss(X, y)
    loops = effort(15, 500)
    got = at_once(
        *[lambda: [model.loss(X) for _ in range(loops)]] * 3,
        *[lambda: [model.loss(X, y) for _ in range(loops)]] * 3,
    )
    for thread in got[:3]:
        for other in thread:
            assert_same(other, scores)
    for thread in got[3:]:
        for other in thread:
            assert_same(other, gradients)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_steps_of_one_network_are_whole(rule):
    """Every step is taken from parameters that another has left whole: the same steps in any order
    are the same run, since all have the same examples and share the state."""
    X, y = examples(1)
    steps = 20

    def start():
        model = network(1, use_batchnorm=False)
        configs = {name: {"learning_rate": 0.05} for name in model.params}
        model.train_step(X, y, rule, configs) or one_composed(model, configs)
        return model, configs

    def one_composed(model, configs):
        _, grads = model.loss(X, y)
        for name, w in model.params.items():
            update = getattr(fastfc.optim, rule)
            model.params[name], configs[name] = update(w, grads[name], configs[name])

    def go(model, configs, count):
        return [model.train_step(X, y, rule, configs) for _ in range(count)]

    model, configs = start()
    expected = go(model, configs, THREADS * steps), model.params
    shared, configs = start()
    losses = at_once(*[lambda: go(shared, configs, steps)] * THREADS)
    assert sorted(loss for thread in losses for loss in thread) == sorted(expected[0])
    assert_same(shared.params, expected[1])


@pytest.mark.parametrize("kind", ["fused", "reference"])
def test_one_solver_serves_one_thread(kind):
    solver = runs.solver(kind)
    inside, go_on = threading.Event(), threading.Event()

    class Wait:
        def on_step(self, solver):
            inside.set()
            assert go_on.wait(60)

    solver.callbacks = [Wait()]
    thread = threading.Thread(target=solver.train)
    thread.start()
    try:
        assert inside.wait(60)
        before = len(solver.loss_history)
        for call in (solver.train, solver._step):
            with pytest.raises(RuntimeError, match="another thread trains with this Solver"):
                call()
        assert len(solver.loss_history) == before
    finally:
        go_on.set()
        thread.join()
    assert solver.stop_reason == "finished"
    assert len(solver.loss_history) == runs.STEPS
    solver.train()  # in this thread, now
    assert len(solver.loss_history) == 2 * runs.STEPS


@pytest.mark.parametrize("rule", ["adam", lambda w, dw, config=None: (w - 0.01 * dw, config)])
def test_solvers_of_one_network(rule):
    """Their steps take turns: none is lost and none is half another's."""
    X, y = examples(2)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    model = network(2, use_batchnorm=False)
    name = {} if callable(rule) else {"update_rule": rule}

    def solver():
        made = Solver(model, data, num_epochs=4, verbose=False, **name)
        if callable(rule):
            made.update_rule = rule
        return made

    solvers = [solver() for _ in range(3)]
    at_once(*(made.train for made in solvers))
    for made in solvers:
        assert made.stop_reason == "finished"
        assert np.isfinite(made.loss_history).all()


def test_saved_while_it_trains(tmp_path):
    """A file holds a network between two steps."""
    model = network(3, use_batchnorm=False)
    for w in model.params.values():
        w[...] = 0
    stop = threading.Event()

    def train():
        # every step adds the same to all parameters, so that a torn file shows
        while not stop.is_set():
            with fastfc.locks.lock_of(model):
                for w in model.params.values():
                    w += 1
        return None

    def save():
        try:
            for i in range(effort(10, 200)):
                model.save(tmp_path / f"{i % 3}.npz")
                loaded = FullyConnectedNet.load(tmp_path / f"{i % 3}.npz")
                values = {float(v) for w in loaded.params.values() for v in (w.min(), w.max())}
                assert len(values) == 1
        finally:
            stop.set()

    at_once(train, save)


def test_the_core_serves_whoever_comes_with_other_instructions():
    """Whoever changes the process's instruction set meanwhile gets right answers, not crashes."""
    names = _core.available_isas()
    before = _core.isa()
    x = np.random.RandomState(0).randn(100, 80)
    expected = x @ x.T
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for name in names:
                _core.use_isa(name)

    def use():
        try:
            for _ in range(200):
                np.testing.assert_allclose(_core.product(x, x.T), expected, rtol=1e-9, atol=1e-9)
        finally:
            stop.set()

    try:
        at_once(change, use)
    finally:
        _core.use_isa(before)
