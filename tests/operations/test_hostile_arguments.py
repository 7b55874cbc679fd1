"""No argument does harm: whatever acts during a call, whatever stands in its place.

The outcome is the right answer for what the arguments were when the call had read them, or an
error that names the argument.  That memory beside the arrays stays untouched is what these tests
show under AddressSanitizer: ``make sanitize-python``.
"""

import copy
import dataclasses
import re
import threading

import numpy as np
import pytest
from hypothesis import strategies as st

from fastfc import _core, layers
from fastfc.verifying import operations
from tests.support import cases, hostile
from tests.support.arguments import look_up, paths, replace, small_arguments
from tests.support.effort import parts, try_examples

DROPOUT_ROWS = next(
    dataclasses.replace(
        operation,
        module="_core",
        function="dropout_rows",
        arguments=lambda *args, given=operation.arguments: [*given(*args), 2, 19],
    )
    for operation in operations.OPERATIONS
    if operation.function == "dropout_forward"
)
ACTED_ON = [*operations.OPERATIONS, DROPOUT_ROWS]


def leaves(value, path=()):
    """Return the path to everything that is no container."""
    if isinstance(value, dict):
        return [found for k, v in value.items() for found in leaves(v, (*path, k))]
    if isinstance(value, list | tuple):
        return [found for i, v in enumerate(value) for found in leaves(v, (*path, i))]
    return [path]


def dictionaries(value):
    """Return every dictionary within."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list | tuple):
        return [found for v in value for found in dictionaries(v)]
    return []


def outcome(operation, args):
    """Return what a call on the very arguments comes to: outputs by name, or the error."""
    np.random.seed(0)
    result, error = run(operation, args)
    if error is not None:
        assert str(error)
        return type(error)
    return {k: np.array(v) for k, v in operation.outputs(result, args).items()}


def run(operation, args):
    """Return the fast function's result and None, or None and the error."""
    with np.errstate(all="ignore"):
        return hostile.result_or_error(lambda: operation.callable(operations.FAST)(*args))


def same(a, b):
    """Whether two outcomes agree in every bit."""
    if isinstance(a, type) or isinstance(b, type):
        return a is b
    return a.keys() == b.keys() and all(
        (a[k].dtype, a[k].shape) == (b[k].dtype, b[k].shape) and a[k].tobytes() == b[k].tobytes()
        for k in a
    )


def acting(value, act):
    """Return the objects that stand for a value and act."""
    if isinstance(value, str):
        return [hostile.word(value, act)]
    if isinstance(value, np.ndarray):
        subclass = value.view(hostile.Matrix)
        subclass.act = act
        return [hostile.Actor(value, act), hostile.InterfaceActor(value, act), subclass]
    return [hostile.Actor(value, act)]


def put(args, path, value):
    """Put a value into nested containers, as a copy of them; arrays stay the same objects."""
    return replace(args, path, lambda _: value)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("operation", ACTED_ON, ids=str)
def test_an_argument_changes_another(operation, dtype):
    """Each argument in turn acts on each array, in each way; what is read is read after that."""
    template = small_arguments(operation, dtype)
    for path in leaves(template):
        for victim in paths(template):
            for change in hostile.CHANGES:
                for kind in range(len(acting(look_up(template, path), None))):
                    args = copy.deepcopy(template)
                    value, target = look_up(args, path), look_up(args, victim)
                    if value is target:
                        continue
                    plain = copy.deepcopy(args)
                    hostile.attempt(change, look_up(plain, victim))
                    actor = acting(value, lambda c=change, t=target: hostile.attempt(c, t))[kind]
                    got = outcome(operation, put(args, path, actor))
                    expected = outcome(operation, plain)
                    before = outcome(operation, copy.deepcopy(template))  # copied before the change
                    errors = isinstance(got, type)
                    assert errors or same(got, expected) or same(got, before), (
                        path,
                        victim,
                        change,
                    )


@pytest.mark.parametrize("operation", ACTED_ON, ids=str)
def test_an_argument_changes_a_dictionary(operation):
    """Words, numbers and foreign keys empty the dictionary that they stand in, or spoil it."""
    template = small_arguments(operation, np.float32)

    def clear(mapping):
        mapping.clear()

    def spoil(mapping):
        for key in mapping:
            mapping[key] = None

    def shrink(mapping):
        for key, value in mapping.items():
            if isinstance(value, np.ndarray):
                mapping[key] = np.zeros((1, 1), np.float32)

    for change in (clear, spoil, shrink):
        for path in leaves(template):
            args = copy.deepcopy(template)
            for mapping in dictionaries(args):
                actor = acting(look_up(args, path), lambda m=mapping, c=change: c(m))[0]
                target = args
                for step in path[:-1]:
                    target = target[step]
                if isinstance(target, tuple):
                    continue
                target[path[-1]] = actor
                outcome(operation, args)
                break
        for i in range(len(dictionaries(template))):
            for key in ("mode", "t", "velocity", "running_mean", "gamma", "learning_rate"):
                args = copy.deepcopy(template)
                mapping = dictionaries(args)[i]
                old = dict(mapping)
                mapping.clear()
                mapping[hostile.Key(key, lambda m=mapping, c=change: c(m))] = 0
                mapping.update(old)
                outcome(operation, args)


@pytest.mark.parametrize("loss", [layers.softmax_loss, layers.svm_loss])
def test_labels_that_another_thread_writes(loss):
    N, stop = 20000, threading.Event()
    x, y = np.zeros((N, 4), np.float32), np.zeros(N, np.int64)

    def write():
        while not stop.is_set():
            y[N - 1] = 10**8
            y[N - 1] = 0

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            error = hostile.result_or_error(lambda: loss(x, y))[1]
            if error is not None:
                # The error names the label that the call's own copy holds. A copy of bytes may
                # take some from before and some from after the other thread's write.
                named = re.search(r"y\[19999\] is (\d+), expected a label from 0 to 3", str(error))
                assert named, error
                label = int(named[1])
                assert label > 3
                assert label & ~(10**8) == 0
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("position", [-1, 625, 700, 10**8, -(2**31)])
@pytest.mark.parametrize(
    "draw",
    [
        lambda: layers.dropout_forward(np.ones(1000), {"mode": "train", "p": 0.5}),
        lambda: _core.dropout_rows(np.ones((10, 100)), {"mode": "train", "p": 0.5}, 5, 30),
        lambda: _core.random_rows(1000, 10),
    ],
    ids=["dropout_forward", "dropout_rows", "random_rows"],
)
def test_a_position_outside_the_generators_block(draw, position):
    hostile.set_position(position)
    with pytest.raises(ValueError, match=f"position {position}, expected one from 0 to 624"):
        draw()


def test_many_rows_without_columns_take_no_time():
    n = 2**45
    rows, none = np.empty((n, 0)), np.empty(0)
    w = np.empty((0, 0))
    out, cache = layers.affine_forward(rows, w, none)
    assert out.shape == (n, 0)
    assert layers.affine_backward(out, cache)[0].shape == (n, 0)
    assert layers.affine_backward(np.empty((0, 0)), (np.empty((0, n, 0)), w, none))[1].shape == (
        0,
        0,
    )
    for mode in ("train", "test"):
        bn_param = {"mode": mode}
        out, cache = layers.batchnorm_forward(rows, none, none, bn_param)
        assert out.shape == (n, 0)
        if cache is not None:
            assert layers.batchnorm_backward(out, cache)[0].shape == (n, 0)
    assert layers.relu_forward(rows)[0].shape == (n, 0)
    assert layers.relu_backward(rows, rows).shape == (n, 0)
    assert layers.dropout_forward(rows, {"mode": "train", "p": 0.5})[0].shape == (n, 0)
    dropped = _core.dropout_rows(rows, {"mode": "train", "p": 0.5}, n, 2 * n)[0]
    assert dropped.shape == (n, 0)
    assert _core.product(rows, w).shape == (n, 0)
    assert _core.gather(rows, [n - 1, -n], np.float32).shape == (2, 0)


WIDE = np.broadcast_to(np.float32(1), (2**40, 3))  # no copy of it has room in memory
ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: layers.affine_forward(ONES, WIDE, 0), "w"),
        (lambda: layers.affine_forward(ONES, ONES.T, WIDE), "b"),
        (lambda: layers.affine_backward(WIDE, (ONES, ONES.T, 0)), "dout"),
        (lambda: layers.affine_backward(ONES, (ONES, WIDE, 0)), "w"),
        (lambda: layers.relu_backward(WIDE, ONES), "dout"),
        (lambda: layers.dropout_backward(WIDE, ({"mode": "train"}, ONES)), "dout"),
        (lambda: layers.batchnorm_forward(ONES, WIDE, 0, {"mode": "train"}), "gamma"),
        (lambda: layers.batchnorm_forward(ONES, 1, WIDE, {"mode": "test"}), "beta"),
        (
            lambda: layers.batchnorm_forward(ONES, 1, 0, {"mode": "train", "running_var": WIDE}),
            r"bn_param\['running_var'\]",
        ),
        (lambda: layers.layernorm_forward(ONES, WIDE, 0, {}), "gamma"),
        (
            lambda: layers.layernorm_backward(WIDE, layers.layernorm_forward(ONES, 1, 0, {})[1]),
            "dout",
        ),
        (lambda: layers.softmax_loss(ONES, np.broadcast_to(np.int32(0), (2**45,))), "y"),
        (lambda: layers.svm_loss(WIDE, [0, 1]), "y"),
        (lambda: _core.product(ONES.astype(float), WIDE), "b"),
        (lambda: _core.product(WIDE, ONES), "b"),
        (lambda: _core.gather(ONES, np.broadcast_to(np.int32(0), (2**40, 3)), np.float32), "index"),
    ],
)
def test_shapes_are_checked_before_copies(call, name):
    with pytest.raises(ValueError, match=f"^[a-z_]+: {name} has shape .*, expected"):
        call()


HUGE = 10**400


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: layers.affine_forward(x, x, HUGE), "affine_forward: b is 1000"),
        (lambda x: layers.softmax_loss(x, [0, 0], HUGE), "softmax_loss: label_smoothing is 1000"),
        (
            lambda x: layers.batchnorm_forward(x, 1, 1, {"mode": "train", "eps": HUGE}),
            r"batchnorm_forward: bn_param\['eps'\] is 1000",
        ),
        (
            lambda x: layers.batchnorm_forward(x, 1, 1, {"mode": np.ones(2)}),
            "Invalid forward batchnorm mode",
        ),
        (
            lambda x: layers.dropout_forward(x, {"mode": np.ones(2), "p": 0.5}),
            "dropout_forward: "
            r"dropout_param\['mode'\] is an array of shape \(2,\), expected 'train'",
        ),
        (
            lambda x: layers.dropout_forward(x, {"mode": "train", "p": HUGE}),
            "dropout_forward: "
            r"dropout_param\['p'\] is 1000",
        ),
        (
            lambda x: layers.dropout_forward(x, {"mode": "train", "p": 0.5, "seed": -1}),
            "dropout_forward: "
            r"dropout_param\['seed'\] is -1, expected an integer in \[0, 2\*\*32\)",
        ),
        (
            lambda x: layers.dropout_forward(
                x, {"mode": "train", "p": 0.5, "seed": 1.5, "rng": "philox"}
            ),
            "dropout_forward: "
            r"dropout_param\['seed'\] is 1.5, expected an integer in \[0, 2\*\*64\)",
        ),
        (
            lambda x: layers.dropout_forward(
                x, {"mode": "train", "p": 0.5, "seed": 10**5000, "rng": "philox"}
            ),
            "dropout_forward: "
            r"dropout_param\['seed'\] is a int, expected an integer in \[0, 2\*\*64\)",
        ),
        (
            lambda x: layers.layernorm_backward(x, {"rstd": x}),
            "layernorm_backward: cache has no key 'x_normalized', expected what layernorm_forward",
        ),
        (
            lambda x: layers.batchnorm_backward(x, (x, x)),
            "(?s)batchnorm_backward: cache is .*, expected what batchnorm_forward returns",
        ),
        (
            lambda x: layers.affine_backward(x, x),
            r"affine_backward: cache is not the \(x, w, b\) that affine_forward returns",
        ),
    ],
)
def test_what_errors_say(call, expected):
    with pytest.raises((TypeError, ValueError), match=expected):
        call(np.ones((2, 2)))


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize("number", [HUGE, -HUGE, 10**5000], ids=["huge", "negative", "unprintable"])
@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_numbers_beyond_all_are_named(operation, number, package):
    """In the place of every argument, and of everything within it."""
    template = small_arguments(operation, np.float64)
    for path in leaves(template):
        args = put(copy.deepcopy(template), path, number)
        with np.errstate(all="ignore"):
            error = hostile.result_or_error(lambda a=args: operation.callable(package)(*a))[1]
        key = [step for step in path if isinstance(step, str)][-1:]
        assert error is None or all(name in str(error) for name in key), (path, error)
        named = str(error).startswith(operation.function) or "Invalid" in str(error)
        assert error is None or named, (path, error)


# --- whatever stands in an argument's place ---------------------------------------------------


def tampered(draw, args):
    """Return arguments with another container in the place of one: a dictionary, a cache."""
    places = [i for i, value in enumerate(args) if isinstance(value, dict | tuple)]
    if not places:
        return [*args, copy.deepcopy(draw(st.sampled_from(hostile.ODD)))]  # one too many
    i = draw(st.sampled_from(places))
    value = args[i]
    if isinstance(value, dict):
        value = hostile.MAPPINGS[draw(st.sampled_from(sorted(hostile.MAPPINGS)))](value)
    else:
        other = draw(st.sampled_from(operations.OPERATIONS))
        ways = [
            lambda: value[1:],
            lambda: value[::-1],
            lambda: (*value, *value[:1]),
            lambda: list(value),
            lambda: dict(enumerate(value)),
            lambda: iter(value),
            lambda: small_arguments(other, np.float32)[-1],
        ]
        value = draw(st.sampled_from(ways))()
    return [*args[:i], value, *args[i + 1 :]]


@st.composite
def calls(draw):
    """An operation, its arguments, and the plain ones where the values are still those."""
    operation = draw(st.sampled_from(operations.OPERATIONS))
    dtype = draw(st.sampled_from(cases.DTYPES))
    args = small_arguments(operation, dtype)
    plain = True
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(leaves(args) or [(0,)]))
        value = look_up(args, path)
        kind = draw(st.integers(0, 9))
        small = (
            type(value) is np.ndarray
            and value.ndim
            and 0 < value.size < 2**20
            and value.dtype.kind in "fiu"
        )
        if small and kind < 5:
            name = draw(st.sampled_from(sorted(hostile.SAME_VALUES)))
            args = put(args, path, hostile.SAME_VALUES[name](value))
            plain &= name != "list" or dtype is np.float64  # a list's numbers are float64
        elif small and kind < 8:
            name = draw(st.sampled_from(sorted(hostile.OTHER_ARRAYS)))
            args = put(args, path, hostile.OTHER_ARRAYS[name](value))
            plain = False
        elif kind == 8 and draw(st.booleans()):
            args = tampered(draw, args)
            plain = False
        elif kind == 8 and dictionaries(args):
            mapping = draw(st.sampled_from(dictionaries(args)))
            key = draw(st.sampled_from(["mode", "eps", "seed", "rng", 3, None, "t", "m"]))
            mapping[key] = copy.deepcopy(draw(st.sampled_from(hostile.ODD)))  # a call may fill it
            plain = False
        else:
            args = put(args, path, copy.deepcopy(draw(st.sampled_from(hostile.ODD))))
            plain = False
    for mapping in dictionaries(args):
        if mapping.get("seed", 0) is None:
            del mapping["seed"]  # another mask each time
    return operation, args, small_arguments(operation, dtype) if plain else None


def reference(operation, args):
    """Return what the reference makes of a copy of the arguments, or None."""
    try:
        return operation.run(operations.REFERENCE, args)
    except Exception:  # it checks less, and what it raises is not promised
        return None


def bounds(operation, args):
    """Return the greatest bound of each result, by name, where the arguments have one.

    A normalisation of almost equal numbers magnifies their rounding by up to 1 / sqrt(eps).
    """
    values = [look_up(args, path) for path in leaves(args)]
    if any(isinstance(value, int) and value >= 2**63 for value in values):
        return {}  # a power of it takes all memory
    try:
        with np.errstate(all="ignore"):
            found = operation.bound(*copy.deepcopy(args))
        return {name: np.max(bound) for name, bound in found.items() if np.isfinite(bound).all()}
    except Exception:  # of odd arguments none is known
        return {}


@pytest.mark.parametrize("part", parts(100_000))
def test_whatever_is_given(part):
    """A right answer, or an error that names what is wrong."""
    try_examples(check_whatever_is_given, [calls()], part, quick=1000)


def check_whatever_is_given(given):
    operation, args, plain = given
    expected = reference(operation, args) if plain is None else outcome(operation, plain)
    allowed = bounds(operation, args)
    np.random.seed(0)
    result, error = run(operation, args)
    if error is not None:
        assert plain is None or operation.function == "sgd", error  # whose w cannot be written to
        words = str(error)
        beginnings = f"{operation.function}:", f"{operation.function}()"  # the second: too many
        beginnings += (f"UpdateRules.{operation.function}()",)
        named = words.startswith(beginnings) or "batchnorm mode" in words
        assert named or isinstance(error, MemoryError), words
        return
    if expected is None:
        return
    for name, value in operation.outputs(result, args).items():
        got, right = np.asarray(value), np.asarray(expected[name])
        if plain is not None:
            np.testing.assert_array_equal(got, right, err_msg=name)
        elif right.dtype.kind not in "fiub":  # an entry of a config that no rule reads
            assert type(value) is type(expected[name])
        elif np.isfinite(right).all():
            if name.startswith("running"):  # of (1, D) or a number, kept as (D,) or as they are
                got, right = np.broadcast_arrays(np.squeeze(got), np.squeeze(right))
            atol = max(1e-4 * np.abs(right).max(initial=0), allowed.get(name, 0))
            np.testing.assert_allclose(got, right, rtol=0, atol=atol, err_msg=name)
