"""Arguments that act: objects whose every protocol method changes what a call has already seen."""

import collections
import contextlib
import types
import warnings

import numpy as np
import pytest

from tests.support import cases

ERRORS = (TypeError, ValueError, MemoryError)  # all that hostile arguments may come to


def result_or_error(call):
    """Return what the call returns and None, or None and its error."""
    try:
        return call(), None
    except ERRORS as error:
        return None, error


class Actor:
    """Calls `act` at its first use, whatever that is, and then behaves as `value` would."""

    def __init__(self, value, act):
        self._value, self._act = value, act

    def _now(self):
        act, self._act = self._act, None
        if act is not None:
            act()
        return self._value

    def __array__(self, dtype=None, copy=None):
        return np.array(self._now(), dtype)

    def __index__(self):
        return self._now().__index__()

    def __int__(self):
        return int(self._now())

    def __float__(self):
        return float(self._now())

    def __bool__(self):
        return bool(self._now())

    def __eq__(self, other):
        return self._now() == other

    def __ne__(self, other):
        return self._now() != other

    def __hash__(self):
        return hash(self._now())

    def __len__(self):
        return len(self._now())

    def __getitem__(self, key):
        return self._now()[key]

    def __iter__(self):
        return iter(self._now())

    def __contains__(self, key):
        return key in self._now()

    def __repr__(self):
        self._now()
        return "Actor"

    def __dlpack__(self, **options):
        return self._now().__dlpack__(**options)

    def __dlpack_device__(self):
        return self._now().__dlpack_device__()


class InterfaceActor:
    """An array by its ``__array_interface__`` alone."""

    def __init__(self, value, act):
        self._array, self._act = np.array(value), act

    @property
    def __array_interface__(self):
        act, self._act = self._act, None
        if act is not None:
            act()
        return self._array.__array_interface__


class Word(str):
    """A string that acts where it is compared."""

    act = None

    def __eq__(self, other):
        act, self.act = self.act, None
        if act is not None:
            act()
        return str.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


def word(value, act):
    """Return a string that acts."""
    acting = Word(value)
    acting.act = act
    return acting


class Key:
    """A key of a dictionary that meets another's hash, and acts where the two are compared."""

    def __init__(self, key, act):
        self._hash, self._act = hash(key), act

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        act, self._act = self._act, None
        if act is not None:
            act()
        return self is other


class Matrix(np.ndarray):
    """A subclass of arrays that acts wherever NumPy makes one of it."""

    act = None

    def __array_finalize__(self, source):
        act = getattr(source, "act", None)
        if act is not None:
            source.act = None
            act()


def _other_type(array):
    array.dtype = {4: np.float64, 8: np.float32}.get(array.itemsize, np.uint8)


def _flat(array):
    array.shape = (array.size,)


def _turned(array):
    array.shape = array.shape[::-1]


def _grown(array):
    array.resize((3 * array.size + 7,), refcheck=False)


def _shrunk(array):
    array.resize((1,) * array.ndim, refcheck=False)


def _empty(array):
    array.resize((0,), refcheck=False)


def _unaligned(array):
    array.__setstate__((1, (2, 2), np.dtype("i8"), False, bytes(32)))


def _filled(array):
    array.fill(10**8 if array.dtype.kind in "iuf" else 0)


# What is done to an array while a call converts its arguments.
CHANGES = {
    "another type": _other_type,
    "flat": _flat,
    "turned": _turned,
    "grown": _grown,
    "shrunk": _shrunk,
    "empty": _empty,
    "another state": _unaligned,
    "filled": _filled,
}

# Those that leave its memory where it is.  The others free it, whoever holds the array, as with
# refcheck=False its caller allows: nobody may do that to an array that the core is reading.
IN_PLACE = ("another type", "flat", "turned", "filled")


def attempt(change, target):
    """Change an array, unless NumPy refuses."""
    with contextlib.suppress(ValueError, TypeError, AttributeError), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy 2.5's, of dtype and shape
        CHANGES[change](target)


def set_position(position):
    """Put NumPy's generator at a position, of its block or not; skip the test if NumPy refuses."""
    state = np.random.get_state(legacy=False)
    state["state"]["pos"] = position
    try:
        np.random.set_state(state)
    except ValueError as error:
        pytest.skip(f"NumPy refuses it, as from 2.5 on: {error}")


# --- what stands in an argument's place -------------------------------------------------------


def _object(a):
    return a.astype(object)


def _subclass(a):
    return a.view(Matrix)


def _masked(a):
    return np.ma.masked_array(a)


def _repeated(a):
    return np.broadcast_to(a[..., :1] if a.ndim else a, a.shape)


def _overlapping(a):
    return np.lib.stride_tricks.as_strided(
        np.resize(a, a.size + 8), a.shape, [a.itemsize] * a.ndim, writeable=False
    )


def _huge(a):
    return np.broadcast_to(a.reshape(-1)[:1].reshape(()), (2**40, *a.shape[1:]))


def _converted(a, code):
    with np.errstate(invalid="ignore"):  # NaN has no integer
        return np.abs(a).astype(code)


def _overflowing(a):
    """No element, but sizes whose product with any other overflows."""
    return np.empty((0, 2**29, 2**28), a.dtype)


def _tall(a):
    """Rows without end, each without an element."""
    return np.empty((2**50, *a.shape[1:-1], 0), a.dtype)


def _special(a):
    a = a.copy()
    if a.dtype.kind == "f":
        a.reshape(-1)[: a.size // 2] = np.resize([np.nan, np.inf, -np.inf, -0.0], a.size // 2)
    return a


# What stands for the same values in another way.
SAME_VALUES = {
    **cases.LAYOUTS,
    "list": lambda a: a.tolist(),
    "subclass": _subclass,
    "masked": _masked,
    "buffer": lambda a: memoryview(a) if a.dtype.kind in "fiu" else a,
    "actor": lambda a: Actor(a, None),
}
# What has other values, another type or another shape.
OTHER_ARRAYS = {
    **{code: lambda a, code=code: _converted(a, code) for code in cases.CONVERTED},
    **{str(c): lambda a, c=c: np.zeros(a.shape, c) for c in cases.REFUSED},
    "object": _object,
    "repeated": _repeated,
    "overlapping": _overlapping,
    "special": _special,
    "huge": _huge,
    "overflowing": _overflowing,
    "tall": _tall,
    "flat": lambda a: a.reshape(-1),
    "deeper": lambda a: a[None],
    "turned": lambda a: a.T,
    "first row": lambda a: a[:1],
    "first": lambda a: a[..., :1],
    "nothing": lambda a: a[:0],
    "no columns": lambda a: a[..., :0],
    "scalar": lambda a: a.reshape(-1)[0],
    "negative": lambda a: -a - 1,
    "large": lambda a: (a + 100).astype(a.dtype),
}
# What stands in an argument's place.
ODD = [
    None,
    "",
    "train",
    0,
    -1,
    10**400,
    0.5,
    np.nan,
    np.inf,
    (),
    [],
    {},
    [[1], [2, 3]],
    object(),
    b"x",
]
ODD += [np.float32(0.5), np.array(0.5), np.ones(2), True, 2**63, 10**5000, "tset"]


class Forgetful(dict):
    """A dictionary whose look-ups find what is not in it, and whose keys are never the same."""

    def __missing__(self, key):
        return 1

    def get(self, key, default=None):
        return self[key]


# Dictionaries in the place of one.
MAPPINGS = {
    "ordered": collections.OrderedDict,
    "read-only": types.MappingProxyType,
    "chained": collections.ChainMap,
    "defaults": lambda d: collections.defaultdict(dict, d),
    "forgetful": Forgetful,
    "pairs": lambda d: list(d.items()),
    "empty": lambda d: {},
    "other keys": lambda d: {**d, 3: None, ("a",): d, None: 0, "mode ": 1},
    "bytes": lambda d: {k.encode() if isinstance(k, str) else k: v for k, v in d.items()},
    "words": lambda d: {word(k, None) if isinstance(k, str) else k: v for k, v in d.items()},
    "within": lambda d: {**d, "self": d},
    "values": lambda d: dict.fromkeys(d),
    "a key": lambda d: next(iter(d), "x"),
}
