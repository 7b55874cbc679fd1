"""What holds for every operation: layouts, dtypes, whose memory is whose."""

import copy

import numpy as np
import pytest

from fastfc import _core
from fastfc.verifying import operations
from tests.support import cases
from tests.support.arguments import call, look_up, paths, replace, small_arguments

OPERATIONS = operations.OPERATIONS


def assert_same_bits(got, expected):
    assert got.keys() == expected.keys()
    for name in expected:
        a, b = np.asarray(got[name]), np.asarray(expected[name])
        assert np.isfinite(b).all(), f"{name} has unwritten elements"
        assert a.dtype.type is b.dtype.type, name  # sgd keeps the byte order of its w
        np.testing.assert_array_equal(a, b, err_msg=name)
        np.testing.assert_array_equal(np.signbit(a), np.signbit(b), err_msg=name)


@pytest.mark.parametrize("layout", cases.LAYOUTS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_layout_changes_no_bit(isa, dtype, operation, layout):
    """Each array argument in turn, then all at once, in another layout: the same result."""
    expected = call(operation, small_arguments(operation, dtype))
    everywhere = small_arguments(operation, dtype)
    for path in paths(everywhere):
        if operation.function == "sgd" and path == (0,) and layout == "read-only":
            continue  # sgd writes into w
        place = cases.LAYOUTS[layout]
        args = replace(small_arguments(operation, dtype), path, place)
        assert_same_bits(call(operation, args), expected)
        everywhere = replace(everywhere, path, place)
    assert_same_bits(call(operation, everywhere), expected)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_broadcast_views(isa, operation):
    """Arrays with steps of 0 bytes, as np.broadcast_to gives them."""
    for path in paths(small_arguments(operation, np.float64)):
        if operation.function == "sgd" and path == (0,):
            continue
        args = small_arguments(operation, np.float64)
        dense = replace(args, path, lambda a: np.repeat(a[:1], len(a), axis=0))
        view = replace(args, path, lambda a: np.broadcast_to(a[:1], a.shape))
        assert_same_bits(call(operation, view), call(operation, dense))


def keeps_its_type(operation, path):
    """Whether this argument is not converted: labels; parameters, which decide the dtype.

    Nor are targets that must be in [0, 1].
    """
    of_classes = ("softmax_loss", "svm_loss", "logistic_loss")
    labels = operation.function in of_classes and path == (1,)
    return labels or (operation.module == "optim" and path == (0,))


@pytest.mark.parametrize("code", cases.CONVERTED)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_other_real_types_are_computed_in_float64(operation, code):
    args = small_arguments(operation, np.float64)
    for path in paths(args):
        if keeps_its_type(operation, path):
            continue
        given = replace(args, path, lambda a: np.abs(a * 3).astype(code))
        expected = replace(given, path, lambda a: a.astype(np.float64))
        assert_same_bits(
            call(operation, copy.deepcopy(given)), call(operation, copy.deepcopy(expected))
        )


@pytest.mark.parametrize("code", cases.REFUSED, ids=str)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_refused_types(operation, code):
    for path in paths(small_arguments(operation, np.float64)):
        args = small_arguments(operation, np.float64)
        args = replace(args, path, lambda a: np.zeros(a.shape, code))
        unused = operation.function == "affine_backward" and path == (1, 2)  # the bias
        if not unused:
            with pytest.raises(TypeError, match=f"{operation.function}: .* has dtype"):
                call(operation, args)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_inputs_are_never_modified(isa, dtype, operation):
    """All but the w of sgd: same bits, and the same objects where they stood."""
    args = small_arguments(operation, dtype)
    arrays = {path: look_up(args, path) for path in paths(args)}
    before = copy.deepcopy(arrays)
    call(operation, args)
    for path, array in arrays.items():
        if not (operation.function == "sgd" and path == (0,)):
            np.testing.assert_array_equal(array, before[path])


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_results_share_no_memory(isa, operation):
    """Results are the caller's own: they share nothing with each other, inputs, or other calls."""
    if operation.function == "sgd":
        pytest.skip("sgd returns its w")
    args = small_arguments(operation, np.float64)
    inputs = [look_up(args, path) for path in paths(args)]
    results = [
        np.asarray(array)
        for _ in range(2)
        for name, array in call(operation, copy.deepcopy(args)).items()
        if np.ndim(array) and not (operation.label == "train" and name == "gamma")
    ]
    for i, result in enumerate(results):
        assert result.flags.writeable
        assert result.flags.c_contiguous
        assert result.flags.aligned
        assert result.dtype.isnative
        assert not any(np.shares_memory(result, other) for other in inputs + results[:i])


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_same_bits_again(isa, dtype, operation):
    runs = [operation.run(operations.FAST, small_arguments(operation, dtype)) for _ in range(2)]
    assert_same_bits(*runs)


# Those that go element by element; dropout_forward draws a number for each place.
ELEMENTWISE = [
    op for op in OPERATIONS if op.shapes is cases.ELEMENTWISE and op.function != "dropout_forward"
]


@pytest.mark.parametrize("operation", ELEMENTWISE, ids=str)
def test_an_element_does_not_depend_on_its_place(isa, dtype, operation):
    """Alone, first, last or in any lane of a vector: the same bits."""
    n = 101
    whole = operation.arguments((n,), dtype)
    expected = call(operation, copy.deepcopy(whole))
    for first, last in [(i, i + 1) for i in range(n)] + [(1, n), (3, n - 2), (40, n)]:
        part = copy.deepcopy(whole)
        for path in paths(whole):
            part = replace(part, path, lambda a, where=slice(first, last): a[where].copy())
        got = call(operation, part)
        assert_same_bits(got, {k: v if k == "t" else v[first:last] for k, v in expected.items()})


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_long_doubles_work_as_before(isa, dtype, operation):
    """GCC once used MMX registers for small vectors, which leaves the x87 unit unusable."""
    for shape in operation.shapes[:12]:
        operation.run(operations.FAST, operation.arguments(shape, dtype))
        assert np.longdouble(3) * np.longdouble(5) == 15


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_subclasses_give_plain_arrays(isa, operation):
    """Masked arrays, matrices and records do not pass through."""

    class Named(np.ndarray):
        pass

    args = small_arguments(operation, np.float64)
    expected = call(operation, copy.deepcopy(args))
    if operation.function == "sgd":
        return
    for path in paths(args):
        args = replace(args, path, lambda a: a.view(Named))
    got = call(operation, args)
    for name, array in expected.items():
        if not (operation.label == "train" and name == "gamma"):
            assert type(got[name]) is type(array), name
        np.testing.assert_array_equal(got[name], array)


def test_poison_shows_unwritten_elements():
    """The fixture that all these tests run under is in force: no operation leaves its NaN."""
    assert _core._poison(True) in (None, True)
    out, _ = operations.find("relu_forward").callable(operations.FAST)(np.ones(1000))
    assert np.isfinite(out).all()
