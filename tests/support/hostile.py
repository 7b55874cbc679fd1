"""Arguments that act: objects whose every protocol method changes what a call has already seen."""

import contextlib

import numpy as np

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


def attempt(change, target):
    """Change an array, unless NumPy refuses."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        CHANGES[change](target)
