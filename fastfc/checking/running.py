"""Calls a student's functions, whatever they do, and compares what comes of it."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import pdb
import random
import sys
import traceback
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..dropin.texts import convention_in, is_nndls
from ..gradient_check import eval_numerical_gradient_array
from ..update_rules import RULES
from .report import Report, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from .._types import Array, ArrayLike
    from .mistakes import Mistakes
    from .sources import Found

# Formulas that are right differ by rounding, 1e-16 of sums of some terms; the smallest mistake that
# is told apart, eps outside the root, by 5e-6.
TOLERANCE = 1e-7
# A central difference has an error of the order h^2, and of rounding over h, h = 1e-5.
NUMERICAL = 1e-5
# Inputs are of the order 1: where all results are smaller, as a bias's gradient before batch
# normalisation, they are sums that cancel.
ZERO = 1e-3


def check_all(found: Found, convention: str | None = None) -> Report:
    """Return the report on the functions that were found."""
    from . import dropout, losses, passes, rules

    checker = Checker(found, convention)
    for part in (passes, dropout, losses, rules):
        part.check(checker)
    order = {name: i for i, name in enumerate(found.wanted)}
    return Report(sorted(checker.rows, key=lambda row: order[row.function]), found.notes)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let a student's code do what it likes for a while, and take it back.

    Generators, NumPy's switches and warnings' filters are as they were; nobody waits for input, in
    a debugger neither.
    """
    state, python_state = np.random.get_state(legacy=False), random.getstate()
    stdin, hook, set_trace = sys.stdin, sys.breakpointhook, pdb.set_trace
    try:
        sys.stdin = io.StringIO()
        sys.breakpointhook = pdb.set_trace = _left_in
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdin, sys.breakpointhook, pdb.set_trace = stdin, hook, set_trace
        random.setstate(python_state)
        np.random.set_state(state)


class Checker:
    """Runs functions and keeps the rows.

    Parameters
    ----------
    found : Found
        The functions, and which to report on.
    convention : {'keep', 'drop'} or None
        As for `fastfc.check`.
    """

    def __init__(self, found: Found, convention: str | None) -> None:
        self.functions, self._wanted = found.functions, set(found.wanted)
        self._convention = convention
        self.rows: list[Row] = []

    @property
    def convention(self) -> str:
        """What dropout's p is the probability of."""
        if self._convention is None:
            function = self.functions.get("dropout_forward")
            said = convention_in(str(getattr(function, "__doc__", None)))
            self._convention = "drop" if said == "drop" and not _in_nndl(function) else "keep"
        return self._convention

    def has(self, *names: str) -> bool:
        """Whether any of these functions is to be reported on."""
        return any(name in self._wanted for name in names)

    def add(self, function: str, argument: str, case: str, ok: bool, **more: Any) -> None:
        """Add a row, if the function is to be reported on."""
        if function in self._wanted:
            self.rows.append(Row(function, argument, case, ok, **more))

    def wrong(
        self, function: str, argument: str, case: str, message: str, detail: str = ""
    ) -> None:
        """Add a row of something that cannot be compared."""
        self.add(function, argument, case, False, message=message, detail=detail)

    def call(self, name: str, case: str, *args: Any, mistakes: Mistakes = ()) -> tuple[bool, Any]:
        """Return (whether it returned, what), and add rows of what it did besides.

        Arrays are given as copies.  Mistakes, as in `compare`, are recognised by the exceptions
        that they raise.
        """
        given = _copies(args)
        output, trace = io.StringIO(), sys.gettrace()
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                value = self.functions[name](*given)
        except (Exception, SystemExit) as error:
            known = [what for what, mistaken in mistakes if _raises_as(mistaken, error)]
            message = f"{known[0]}: raises" if known else "raises"
            self.wrong(name, "call", case, f"{message} {type(error).__name__}", _told(error))
            return False, None
        finally:
            sys.settrace(trace)  # which a debugger that was left in has set
        if output.getvalue():
            self.add(name, "call", case, True, message="prints text")
        pairs = enumerate(zip(given, args, strict=True))
        changed = [i for i, (now, then) in pairs if not _same(now, then)]
        if changed and name not in RULES:  # an update rule may work in place
            self.wrong(name, "call", case, f"changes its argument {changed[0] + 1}")
        return True, value

    def results(
        self, name: str, case: str, value: Any, arguments: Sequence[str]
    ) -> dict[str, Any] | None:
        """Return results by name, or None if there are not as many as there should be."""
        if len(arguments) == 1:
            return {arguments[0]: value}
        expected = f"expected {len(arguments)} results: {', '.join(arguments)}"
        if value is None:
            self.wrong(name, "call", case, f"returns None, {expected}")
        elif not isinstance(value, tuple | list):
            self.wrong(name, "call", case, f"returns one {type(value).__name__}, {expected}")
        elif len(value) != len(arguments):
            self.wrong(name, "call", case, f"returns {len(value)} results, {expected}")
        else:
            return dict(zip(arguments, value, strict=True))
        return None

    def compare(
        self,
        name: str,
        argument: str,
        case: str,
        found: Any,
        expected: ArrayLike,
        mistakes: Mistakes = (),
        sizes: Mapping[str, float] | None = None,
        others: Mapping[str, Array] | Iterable[tuple[str, Array]] = (),
    ) -> bool:
        """Compare a result with what is expected; say whether it is right.

        Parameters
        ----------
        mistakes : iterable of (str, callable)
            What may be wrong, and what would then be returned.
        sizes : dict of float
            Numbers that it may be off by, with their names.
        others : dict of array
            What other results should be, which this may be confused with.
        """
        message: str | None
        message, detail = _form(found, expected)
        if message:
            for what, mistaken in mistakes:
                if _matches(found, mistaken):
                    message = f"{message}: {what}"
                    break
            self.wrong(name, argument, case, message, detail)
            return False
        found, expected = np.asarray(found, float), np.asarray(expected, float)
        error = difference(found, expected)
        if error <= TOLERANCE:
            self.add(name, argument, case, True, error=error)
            return True
        factor, message = np.nan, None
        for what, mistaken in mistakes:
            if _matches(found, mistaken):
                message = what
                break
        if message is None:
            factor, message = _factor(found, expected, sizes or {})
        if message is None:
            message = _like_another(found, dict(others)) or _vague(found, expected)
        self.add(name, argument, case, False, error=error, message=message, factor=factor)
        return False

    def explain(self, name: str, argument: str, message: str) -> None:
        """Give the last row of an argument another message."""
        for i in reversed(range(len(self.rows))):
            row = self.rows[i]
            if (row.function, row.argument, row.ok) == (name, argument, False):
                self.rows[i] = Row(name, argument, row.case, False, row.error, message)
                return

    def quiet(self, name: str, *args: Any) -> Any:
        """Return what a function returns, printing nothing; raises what it raises."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return self.functions[name](*_copies(args))

    def numerical(
        self, forward: Callable[[Array], ArrayLike], x: Array, dout: Array, h: float = 1e-5
    ) -> Array | None:
        """Return the numerical gradient of a forward pass, or None where it cannot be had."""
        try:
            gradient = eval_numerical_gradient_array(forward, np.array(x), dout, h)
        except (Exception, SystemExit):
            return None
        return gradient if np.isfinite(gradient).all() else None

    def compare_numerically(
        self, name: str, argument: str, case: str, found: Any, numerical: Array
    ) -> None:
        """Add a row of a gradient that is right, compared with the numerical one."""
        error = difference(np.asarray(found, float), numerical)
        ok = error <= NUMERICAL
        message = "" if ok else "differs from the numerical gradient of the forward pass"
        self.add(name, argument, f"{case}, numerically", ok, error=error, message=message)


def difference(found: Array, expected: Array) -> float:
    """Return the greatest difference, as a fraction of the greatest expected number, or of ZERO."""
    if found.shape != expected.shape:
        return np.inf
    if found.size == 0:
        return 0.0
    wrong = ~(np.isfinite(found) & np.isfinite(expected))
    if wrong.any() and not np.array_equal(found[wrong], expected[wrong], equal_nan=True):
        return np.inf
    if wrong.all():
        return 0.0
    scale = max(np.abs(expected[~wrong]).max(), ZERO)
    return float(np.abs(found - expected)[~wrong].max() / scale)


def _form(found: Any, expected: ArrayLike) -> tuple[str, str]:
    """Say what is wrong with type, shape or dtype of a result, and in detail; or two ''."""
    if found is None:
        return "is None: not written yet?", ""
    try:
        array = np.asarray(found)
    except Exception:  # of a class of the student's own
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        kind = array.dtype if isinstance(found, np.ndarray) else type(found).__name__
        return f"is of type {kind}, expected numbers", ""
    expected = np.asarray(expected)
    if array.shape != expected.shape:
        message, detail = "has the wrong shape", f"{array.shape}, expected {expected.shape}"
        if array.size == expected.size:
            if difference(array.reshape(expected.shape).astype(float), expected) <= TOLERANCE:
                message = "has the wrong shape, the numbers are right"
            elif difference(array.T.astype(float), expected) <= TOLERANCE:
                message = "is transposed"
        return message, detail
    if array.dtype != np.float64:
        return f"has dtype {array.dtype}, expected float64, as the inputs", ""
    return "", ""


def _matches(found: Any, mistaken: Callable[[], object]) -> bool:
    """Whether a result is what a mistake gives; one that cannot be made is not."""
    try:
        given = np.asarray(mistaken(), float)
        found = np.asarray(found, float)
    except (Exception, SystemExit):
        return False
    return difference(found, given) <= TOLERANCE


def _factor(found: Array, expected: Array, sizes: Mapping[str, float]) -> tuple[float, str | None]:
    """Return what found is of expected, if that is one number, and its name."""
    if not np.isfinite(found).all() or not expected.any():
        return np.nan, None
    factor = float((found * expected).sum() / (expected**2).sum())
    if difference(found, factor * expected) > TOLERANCE:
        return np.nan, None
    if abs(factor) < TOLERANCE:
        return np.nan, "all zeros"
    names = {"-1": -1.0, "2": 2.0, "1/2": 0.5, **sizes}
    names |= {f"1/{name}": 1 / value for name, value in sizes.items()}
    for name, value in names.items():
        for sign in ("", "-"):
            if abs(factor * (-1 if sign else 1) - value) < 1e-6 * abs(value) and value != 1:
                return factor, _named(sign + name)
    return factor, "all of it by one factor"


def _named(name: str) -> str:
    """Say what a factor is."""
    known = {
        "-1": "the sign is wrong",
        "N": "a factor N: is it to be divided by N?",
        "1/N": "a factor 1/N: is it divided by N once too often?",
    }
    return known.get(name, f"a factor {name}")


def _like_another(found: Array, others: Mapping[str, Array]) -> str | None:
    for name, value in others.items():
        if difference(found, np.asarray(value, float)) <= TOLERANCE:
            return f"this is {name}: are they in the wrong order?"
    return None


def _vague(found: Array, expected: Array) -> str:
    """Say what can be said of a result that no mistake explains."""
    if not np.isfinite(found).all():
        return "it has numbers that are not finite"
    if found.size and not found.any():
        return "all zeros"
    wrong = np.abs(found - expected) > TOLERANCE * max(np.abs(expected).max(), 1e-12)
    if found.ndim and wrong.mean() < 1:
        return f"{wrong.sum()} of {wrong.size} numbers are wrong"
    return "the formula is another"


def _told(error: BaseException) -> str:
    """Return an exception's text, with its place in the student's file."""
    frames = traceback.extract_tb(error.__traceback__)
    here = [frame for frame in frames if frame.filename != __file__]
    place = f"line {here[0].lineno} of {here[0].filename.rpartition('/')[2]}" if here else ""
    try:
        text = " ".join(str(error).split())[:200]
    except Exception:  # of a class of the student's own
        text = ""
    return ": ".join(part for part in (place, text) if part)


def _raises_as(mistaken: Callable[[], object], error: BaseException) -> bool:
    """Whether a mistake raises the same."""
    try:
        mistaken()
    except Exception as other:
        return type(other) is type(error) and str(other) == str(error)
    return False


def _left_in(*args: Any, **kwargs: object) -> None:
    """Stand in for a debugger, which would wait for somebody."""
    raise RuntimeError("a breakpoint is left in")


def _copies(args: Any) -> list[Any]:
    """Return arguments with arrays copied, those in a cache too where it can be."""
    copies = []
    for value in args:
        if isinstance(value, np.ndarray | tuple | list):
            with contextlib.suppress(Exception):  # a cache may hold anything
                value = copy.deepcopy(value)
        copies.append(value)
    return copies


def _same(now: Any, then: Any) -> bool:
    """Whether arrays are as before; of other arguments nothing is asked."""
    if not isinstance(now, np.ndarray):
        return True
    return now.shape == then.shape and np.array_equal(now, then, equal_nan=now.dtype.kind == "f")


def _in_nndl(function: Any) -> bool:
    """Whether a function stands in nndl, whose text says what its figures do not."""
    text = str(getattr(function, "__module__", None))
    with contextlib.suppress(OSError, TypeError):
        module = inspect.getmodule(function)
        text += "" if module is None else inspect.getsource(module)
    return is_nndls(text)
