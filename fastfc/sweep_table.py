"""The table of a sweep: its columns, and what varies in it.  A row is what came of a candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["FIGURES", "OF_RUNGS", "column_at", "scores_at_rungs", "varied"]

_CANDIDATE = ("run", "candidate")
FIGURES = ("val", "test", "epochs", "seconds", "stop_reason")
OF_RUNGS = ("rung", "budget")
_SCORE_AT = "val@"


def column_at(epochs: int) -> str:
    """Return the column of the scores at a rung.

    Examples
    --------
    >>> column_at(3)
    'val@3'
    """
    return f"{_SCORE_AT}{epochs}"


def scores_at_rungs(row: Mapping[str, Any]) -> dict[int, Any]:
    """Return the scores of a row at the rungs that it came to, by their epochs, the first first.

    Examples
    --------
    >>> scores_at_rungs({"reg": 0.1, "val": 0.7, "val@9": 0.7, "val@3": 0.5, "val@27": None})
    {3: 0.5, 9: 0.7}
    """
    found = {
        int(key.removeprefix(_SCORE_AT)): score
        for key, score in row.items()
        if key.startswith(_SCORE_AT) and score is not None
    }
    return dict(sorted(found.items()))


def varied(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the options that have not the same value in all rows.

    Examples
    --------
    >>> varied([{"reg": 0.1, "batch_size": 8, "val": 0.5}, {"reg": 0.2, "batch_size": 8}])
    ['reg']
    """
    keys = dict.fromkeys(key for row in rows for key in row)
    options = [
        key
        for key in keys
        if key not in (*_CANDIDATE, *FIGURES, *OF_RUNGS) and not key.startswith(_SCORE_AT)
    ]
    return [key for key in options if len({str(row.get(key)) for row in rows}) > 1]
