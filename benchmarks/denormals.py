"""What denormals cost, and what taking them for zero saves.

First a long run: inputs that are alive for a while and then zero for good, whose state decays into
the denormals and stays there.  Then every operation by itself on arrays of nothing else.
"""

import contextlib
import copy
import functools

import numpy as np

import fastfc
from benchmarks import harness, ops, step
from fastfc.verifying import operations
from tests.support import cases

NETWORK = "seed"
STEPS, QUICK_STEPS = 2_000, 4  # of 0.9 and float32: 1e-2 is a denormal after 800
RULES = ("sgd_momentum", "sgd_nesterov_momentum", "adam")
RULE_SHAPE = (3072, 100)


def contestants(run):
    """Return the names of the table's columns: denormals taken for zero, kept, and none there."""
    return ["flushed", "kept", "none"]


def rows(run):
    """Yield a row for the training step, for each rule with a velocity, for each operation."""
    steps = run.iterations or (QUICK_STEPS if run.quick else STEPS)
    yield _training(run, steps)
    for name in RULES:
        yield _rule(run, operations.find(name), steps)
    for operation in filter(lambda op: op.benchmark, operations.OPERATIONS):
        for dtype in cases.DTYPES:
            yield _operation(run, operation, dtype)


def _training(run, steps):
    network = cases.NETWORKS[NETWORK]
    alive = step.solver("fastfc", network, np.float32)
    for _ in range(min(steps, 20)):
        alive._step()
    dead = copy.deepcopy(alive)
    dead.X_train[..., ::2] = 0
    for _ in range(steps):
        dead._step()
    calls = {"flushed": copy.deepcopy(dead)._step, "kept": dead._step, "none": alive._step}
    share = _denormal([config["v"] for config in dead.optim_configs.values()])
    rate = ("GFLOP/s", step.flops(network))
    row = _row(run, "step, half dead", step.text(network), np.float32, calls, rate)
    return _after(row, steps, share)


def _rule(run, operation, steps):
    alive, dead = (operation.arguments(RULE_SHAPE, np.float32) for _ in range(2))
    dead[1][...] = 0
    rule = operation.callable(operations.FAST)
    for _ in range(steps):
        dead[0], _ = rule(*dead)
    flushed = copy.deepcopy(dead)
    share = _denormal([value for value in dead[2].values() if np.ndim(value)])
    args = {"flushed": flushed, "kept": dead, "none": alive}
    row = _ours(run, operation, f"{operation} dead", RULE_SHAPE, np.float32, args)
    return _after(row, steps, share)


def _operation(run, operation, dtype):
    shape = operation.benchmark[1]
    args = {name: operation.arguments(shape, dtype) for name in contestants(run)}
    args["flushed"], args["kept"] = _shrunk(args["flushed"]), _shrunk(args["kept"])
    return _ours(run, operation, str(operation), shape, dtype, args)


def _shrunk(value):
    """Return nested arguments with every array of floats scaled into the denormals."""
    if isinstance(value, dict):
        return {key: _shrunk(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_shrunk, value))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value / np.abs(value).max() * (np.finfo(value.dtype).tiny / 2)
    return value


def _denormal(arrays):
    """Return the share of denormals, in percent."""
    values = np.concatenate([array.ravel() for array in arrays])
    tiny = np.abs(values[values != 0]) < np.finfo(values.dtype).tiny
    return 100 * int(tiny.sum()) / values.size


def _after(row, steps, share):
    """Return the row with how much of the state was denormal after so many steps."""
    reading = harness.Reading("kept", "denormal state", share, "%", steps)
    note = f"after {steps} steps {share:.0f}% of the state denormal"
    return {**row, "readings": [reading], "note": note}


def _ours(run, operation, name, shape, dtype, args):
    calls = {k: functools.partial(operation.callable(operations.FAST), *a) for k, a in args.items()}
    return _row(run, name, ops.text(shape), dtype, calls, ops.rate(operation, shape, dtype))


def _row(run, name, shape, dtype, calls, rate):
    calls["flushed"] = harness.Contestant(calls["flushed"], _flushing)
    return harness.row(run, "denormals", name, shape, dtype, calls, rate)


@contextlib.contextmanager
def _flushing():
    fastfc.set_flush_denormal(True)
    try:
        yield
    finally:
        fastfc.set_flush_denormal(False)
