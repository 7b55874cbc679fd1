import copy
from concurrent.futures import ThreadPoolExecutor

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from fastfc import layers
from fastfc.layers import dropout_backward, dropout_forward
from fastfc.reference import layers as reference
from fastfc.verifying import operations, tolerance
from tests.support import cases
from tests.support.streams import PROBABILITIES, states_equal

FORWARD, BACKWARD = operations.find("dropout_forward"), operations.find("dropout_backward")


def mask_of(x, p):
    """Return the boolean mask that fastfc draws."""
    return dropout_forward(x, {"mode": "train", "p": p})[1][1] != 0


def assert_same_stream(shape, p, dtype=np.float64):
    """Draw with fastfc and with NumPy from where the generator stands; leave it there."""
    before = np.random.get_state()
    expected = np.random.rand(*shape) < p
    after = np.random.get_state()
    np.random.set_state(before)
    mask = mask_of(np.ones(shape, dtype), p)
    np.testing.assert_array_equal(mask, expected)
    assert states_equal(np.random.get_state(), after)


@pytest.mark.parametrize("shape", cases.ELEMENTWISE, ids=str)
def test_equals_reference(isa, dtype, shape):
    FORWARD.check(FORWARD.arguments(shape, dtype))
    BACKWARD.check(BACKWARD.arguments(shape, dtype))


def test_every_special_value(isa, dtype):
    values = cases.specials(dtype)
    x = np.repeat(values[:, np.newaxis], 9, axis=1)
    FORWARD.check([x, {"mode": "train", "p": 0.5, "seed": 3}])
    mask = np.tile(np.array([0, 2, 0], dtype), (len(values), 3))
    BACKWARD.check([x, ({"mode": "train", "p": 0.5}, mask)])


@pytest.mark.parametrize("p", PROBABILITIES, ids=repr)
def test_mask_and_generator_are_numpys(isa, dtype, p):
    np.random.seed(11)
    if dtype(p) == 0:
        pytest.skip("1 / p has no value in this dtype")
    for shape in [*cases.ELEMENTWISE[:-1], (623,), (624,), (625,), (311,), (312,), (313,)]:
        assert_same_stream(shape, p, dtype)


def test_a_draw_against_its_own_value(isa):
    """`rand() < p` where p is the very number drawn, or the next one above or below."""
    for seed in range(50):
        np.random.seed(seed)
        drawn = np.random.rand()
        for p in (np.nextafter(drawn, 0), drawn, np.nextafter(drawn, 1)):
            np.random.seed(seed)
            assert mask_of(np.ones(1), p)[0] == (drawn < p)


@pytest.mark.parametrize("at", [0, 1, 17, 310, 311, 312, 700])
@pytest.mark.parametrize("skipped", [0, 1, 2, 7])
def test_a_draw_against_its_own_value_amid_others(isa, dtype, at, skipped):
    """Equal upper bits, the rest decides: also in the draw whose words lie in two states."""
    for seed in range(3):
        np.random.seed(seed)
        np.random.bytes(4 * skipped)
        before = np.random.get_state()
        drawn = np.random.rand(at + 1)[at]
        for p in (np.nextafter(drawn, 0), drawn, np.nextafter(drawn, 1)):
            for size in (at + 1, at + 40):
                np.random.set_state(before)
                assert_same_stream((size,), p, dtype)


@pytest.mark.parametrize("used", [0, 1, 2, 29, 30, 31, 592, 593, 594, 621, 622, 623])
def test_every_stretch_of_a_state(isa, dtype, used):
    """From even and odd words near a state's ends, draws of vectors +- 1 and whole states +- 1."""
    np.random.seed(13)
    np.random.bytes(4 * 624)
    np.random.bytes(4 * used)
    for size in (1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 311, 312, 313, 1247, 1248, 1249, 1265):
        assert_same_stream((size,), 0.6, dtype)


@pytest.mark.parametrize("p", PROBABILITIES, ids=repr)
def test_scale_of_the_mask(isa, dtype, p):
    """Kept elements are multiplied by 1 / p, rounded in the dtype; 1 / p may overflow to inf."""
    if dtype(p) == 0:
        pytest.skip("1 / p has no value in this dtype")
    with np.errstate(all="ignore"):
        FORWARD.check([np.ones((5, 9), dtype), {"mode": "train", "p": p, "seed": 3}])


def odd_position():
    """Leave the generator at an odd word of its block, as a draw of 32 bits does."""
    np.random.randint(0, 100, dtype=np.uint32)


@pytest.mark.parametrize(
    "draw",
    [
        odd_position,
        lambda: np.random.bytes(4),
        lambda: np.random.bytes(7),
        lambda: np.random.randn(3),  # leaves a gaussian behind
        lambda: np.random.randint(10, size=5),
        lambda: np.random.choice(500, 100),
        lambda: np.random.permutation(11),
        lambda: (odd_position(), np.random.rand(311)),  # one word before the block's end
        lambda: (odd_position(), np.random.rand(155), np.random.randn()),
        lambda: np.random.rand(312),  # at the block's end
    ],
)
def test_between_the_users_own_draws(isa, draw):
    np.random.seed(5)
    for shape in [(3,), (0,), (1,), (312,), (40, 50)]:
        draw()
        assert_same_stream(shape, 0.6)


@given(
    draws=st.lists(
        st.one_of(
            st.tuples(st.just("mask"), st.integers(0, 700)),
            st.tuples(st.sampled_from(["rand", "randn", "bytes"]), st.integers(0, 9)),
            st.tuples(st.just("randint"), st.integers(1, 2**40)),
        ),
        max_size=12,
    ),
    p=st.floats(0, 1, exclude_min=True),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_interleaving(isa, draws, p, seed):
    np.random.seed(seed)
    for name, size in draws:
        if name == "mask":
            assert_same_stream((size,), p)
        else:
            getattr(np.random, name)(size)


@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, min_side=0, max_side=12))
def test_any_values(isa, dtype, data, shape):
    x = data.draw(hnp.arrays(dtype, shape))
    p = data.draw(st.floats(0.01, 1))
    FORWARD.check([x, {"mode": "train", "p": p, "seed": 1}])


def test_seed_reseeds_in_every_mode(isa):
    x = np.ones((5, 7))
    for mode in ("train", "test"):
        np.random.seed(99)
        dropout_forward(x, {"mode": mode, "p": 0.5, "seed": 42})
        after = np.random.get_state()
        np.random.seed(42)
        if mode == "train":
            np.random.rand(5, 7)
        assert states_equal(after, np.random.get_state())


def test_mode_test_draws_nothing(isa, dtype):
    before = np.random.get_state()
    x = np.ones((5, 7), dtype)
    param = {"mode": "test", "p": 0.5}
    out, cache = dropout_forward(x, param)
    np.testing.assert_array_equal(out, x)
    assert cache[0] is param
    assert cache[1] is None
    np.testing.assert_array_equal(dropout_backward(2 * x, cache), 2 * x)
    assert states_equal(before, np.random.get_state())


@pytest.mark.parametrize(
    "generator",
    [np.random.PCG64, np.random.Philox, np.random.SFC64, np.random.MT19937, np.random.PCG64DXSM],
)
def test_foreign_global_generators(isa, dtype, generator):
    """Whatever bit generator np.random is told to use, the mask is what np.random would draw."""
    x = np.ones((40, 50), dtype)
    masks, following = [], []
    for draw in (lambda: mask_of(x, 0.6), lambda: np.random.rand(40, 50) < 0.6):
        np.random.set_bit_generator(generator(7))
        np.random.rand(3)
        masks.append(draw())
        following.append(np.random.rand(5))
    np.testing.assert_array_equal(*masks)
    np.testing.assert_array_equal(*following)


def test_generator_replaced_between_calls(isa):
    """A generator that is gone must not be touched, nor one that came in its place be missed."""
    for generator in (np.random.MT19937, np.random.PCG64, np.random.MT19937):
        for seed in range(3):
            np.random.set_bit_generator(generator(seed))
            mask = mask_of(np.ones(1000), 0.5)
            np.random.set_bit_generator(generator(seed))
            np.testing.assert_array_equal(mask, np.random.rand(1000) < 0.5)


def test_state_set_between_calls(isa):
    np.random.seed(1)
    np.random.rand(5)
    saved = np.random.get_state()
    first = mask_of(np.ones(1000), 0.5)
    np.random.set_state(saved)
    np.testing.assert_array_equal(first, mask_of(np.ones(1000), 0.5))


def test_concurrent_draws_are_those_of_a_serial_run(isa):
    """Threads take turns at the generator: every mask of the serial run is drawn, once."""
    calls, x = 60, np.ones((411, 211))  # long enough for one draw to meet another
    np.random.seed(8)
    serial = sorted((np.random.rand(*x.shape) < 0.5).tobytes() for _ in range(calls))
    after = np.random.get_state()
    np.random.seed(8)
    with ThreadPoolExecutor(4) as pool:
        masks = list(pool.map(lambda _: mask_of(x, 0.5).tobytes(), range(calls)))
    assert sorted(masks) == serial
    assert states_equal(np.random.get_state(), after)


def test_concurrent_with_numpys_own_draws(isa):
    """NumPy draws meanwhile in another thread; no word of the stream is used twice or lost."""
    calls, x = 30, np.ones(100_003)
    np.random.seed(8)
    serial = sorted((np.random.rand(x.size) < 0.5).tobytes() for _ in range(2 * calls))
    np.random.seed(8)
    with ThreadPoolExecutor(2) as pool:
        ours = pool.submit(lambda: [mask_of(x, 0.5).tobytes() for _ in range(calls)])
        theirs = pool.submit(
            lambda: [(np.random.rand(x.size) < 0.5).tobytes() for _ in range(calls)]
        )
        assert sorted(ours.result() + theirs.result()) == serial


def test_caches_are_interchangeable(isa, dtype):
    x, param = FORWARD.arguments((13, 17), dtype)
    dout, _ = BACKWARD.arguments((13, 17), dtype)
    for module in (layers, reference):
        out, cache = module.dropout_forward(x, param)
        assert cache[0] is param
        assert isinstance(cache[1], np.ndarray)
        assert cache[1].dtype == out.dtype == dtype
        BACKWARD.check([dout, cache])


def test_boolean_and_integer_masks(isa, dtype):
    """A mask of a user's own need not be of the dtype of dout."""
    dout, _ = BACKWARD.arguments((4, 5), dtype)
    for mask in (dout > 0, (dout * 2).astype(int)):
        BACKWARD.check([dout, ({"mode": "train", "p": 0.5}, mask)])


@pytest.mark.parametrize("p", [0.3, 0.6, 0.75])
def test_means_and_zero_fractions(isa, p):
    """On 500 x 500: the share of zeros is 1 - p and the mean is kept, within 5 deviations."""
    np.random.seed(231)
    x = np.random.randn(500, 500) + 10
    out, _ = dropout_forward(x, {"mode": "train", "p": p})
    deviation = np.sqrt(p * (1 - p) / x.size)
    assert abs((out == 0).mean() - (1 - p)) < 5 * deviation
    assert abs(out.mean() - x.mean()) < 5 * deviation * np.sqrt((x**2).mean()) / p
    test, _ = dropout_forward(x, {"mode": "test", "p": p})
    np.testing.assert_array_equal(test, x)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_numerical_gradient(isa, package):
    x = cases.normal((10, 10), np.float64, "x") + 10
    dout = cases.normal((10, 10), np.float64, "dout")
    param = {"mode": "train", "p": 0.8, "seed": 123}

    def forward(x):
        return FORWARD.callable(package)(x, param)

    out, cache = forward(x)
    dx = BACKWARD.callable(package)(dout, cache)
    rounding = tolerance.unit(np.float64) * np.abs(out)
    tolerance.assert_gradient(dx, lambda x: forward(x)[0], x, dout, rounding)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
@pytest.mark.parametrize(
    ("x", "param", "error", "message"),
    [
        (
            np.ones(3),
            {"mode": "train", "p": 0},
            ValueError,
            r"dropout_forward: .*\bp\b.* is 0.*\(0, 1\]",
        ),
        (
            np.ones(3),
            {"mode": "train", "p": 1.5},
            ValueError,
            r"dropout_forward: .*\bp\b.* is 1\.5",
        ),
        (
            np.ones(3),
            {"mode": "train", "p": -0.1},
            ValueError,
            r"dropout_forward: .*\bp\b.* is -0\.1",
        ),
        (
            np.ones(3),
            {"mode": "train", "p": np.nan},
            ValueError,
            r"dropout_forward: .*\bp\b.* is nan",
        ),
        (np.ones(3), {"mode": "test", "p": 2}, ValueError, r"dropout_forward: .*\bp\b.* is 2"),
        (np.ones(3), {"mode": "tset", "p": 0.5}, ValueError, "tset"),
        (np.ones(3), {"mode": None, "p": 0.5}, ValueError, "None"),
        (np.ones(3, complex), {"mode": "train", "p": 0.5}, TypeError, "x has dtype complex128"),
        (np.ones(3, object), {"mode": "test", "p": 0.5}, TypeError, "x has dtype object"),
    ],
)
def test_errors_leave_everything_alone(package, x, param, error, message):
    given, before = copy.deepcopy(param), np.random.get_state()
    with pytest.raises(error, match=message):
        FORWARD.callable(package)(x, given)
    assert repr(given) == repr(param)
    assert states_equal(np.random.get_state(), before)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_a_failing_call_does_not_reseed(package):
    before = np.random.get_state()
    with pytest.raises(ValueError, match=r"dropout_forward: .*\bp\b.* is 7"):
        FORWARD.callable(package)(np.ones(3), {"mode": "train", "p": 7, "seed": 1})
    assert states_equal(np.random.get_state(), before)


@pytest.mark.parametrize("package", [operations.FAST, operations.REFERENCE])
def test_backward_errors(package):
    backward = BACKWARD.callable(package)
    param = {"mode": "train", "p": 0.5}
    with pytest.raises(ValueError, match=r"dout has shape \(4,\), expected \(3,\)"):
        backward(np.ones(4), (param, np.ones(3)))
    with pytest.raises(ValueError, match=r"dropout_backward: .*mask"):
        backward(np.ones(4), (param, None))
    with pytest.raises(TypeError, match="dout has dtype complex128"):
        backward(np.ones(3, complex), (param, np.ones(3)))
    with pytest.raises(ValueError, match="tset"):
        backward(np.ones(3), ({"mode": "tset", "p": 0.5}, np.ones(3)))
