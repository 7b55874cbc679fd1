"""The table that `fastfc.check` makes."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Row:
    """One result of one call, or what the call did besides.

    Attributes
    ----------
    function : str
        The layer's name.
    argument : str
        What of it: ``'out'``, ``'dx'``, ``'running_mean'``, ...; ``'call'`` for the whole.
    case : str
        With which inputs.
    ok : bool
        Whether it is right.
    error : float
        Greatest difference from what is expected, as a fraction of the greatest expected number;
        nan where there is nothing to compare.
    message : str
        What is wrong, or worth knowing.
    detail : str
        What it is in this case: shapes, the text of an exception.
    factor : float
        What all of it is off by, if one number it is; else nan.
    """

    function: str
    argument: str
    case: str
    ok: bool
    error: float = math.nan
    message: str = ""
    detail: str = ""
    factor: float = math.nan


class Report:
    """What `fastfc.check` found.

    Attributes
    ----------
    rows : list of Row
        In the order in which they came.
    notes : list of str
        What was checked, where it is not what was given.
    """

    def __init__(self, rows: Iterable[Row], notes: Iterable[str] = ()) -> None:
        self.rows, self.notes = list(rows), list(notes)

    @property
    def ok(self) -> bool:
        """Whether everything is right."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def __repr__(self) -> str:
        return f"<fastfc.check: {self._summary()}>"

    def __str__(self) -> str:
        lines = list(self.notes)
        for function in dict.fromkeys(row.function for row in self.rows):
            lines += _lines(function, [row for row in self.rows if row.function == function])
        return "\n".join([*lines, self._summary()])

    def _summary(self) -> str:
        functions = {row.function for row in self.rows}
        wrong = {row.function for row in self.rows if not row.ok}
        count = f"{len(functions)} function{'s' if len(functions) != 1 else ''}"
        return f"{count}, {f'{len(wrong)} of them wrong' if wrong else 'all right'}"


def _lines(function: str, rows: list[Row]) -> list[str]:
    """Return the lines of one function: what is wrong in full, what is right in short."""
    wrong = any(not row.ok for row in rows)
    worst = max((row.error for row in rows if row.ok and row.error >= 0), default=0.0)
    cases = len({row.case for row in rows})
    lines = [
        f"{function}: WRONG"
        if wrong
        else f"{function}: right in {cases} cases, errors up to {worst:.0e}"
    ]
    right = []
    for argument in dict.fromkeys(row.argument for row in rows):
        own = [row for row in rows if row.argument == argument]
        if wrong and all(row.ok and not row.message for row in own):
            right.append(argument)
        groups: dict[tuple[bool, str], list[Row]] = {}
        for row in own:
            if row.message:
                groups.setdefault((row.ok, row.message), []).append(row)
        lines += [
            f"  {argument}: {_sentence(message, found, len(own))}"
            for (_, message), found in groups.items()
        ]
    if right:
        lines.append(f"  {', '.join(right)}: right")
    return lines


def _sentence(message: str, rows: list[Row], total: int) -> str:
    """Return what is wrong in these rows, and in which cases."""
    first = rows[0]
    where = f"in {len(rows)} of {total} cases, say {first.case}"
    if math.isfinite(first.factor):
        return f"off by a factor {first.factor:.6g} {where}: {message}"
    if 0 < first.error < math.inf:
        return f"off by {first.error:.1e} {where}: {message}"
    return f"{message}, {where}{f': {first.detail}' if first.detail else ''}"
