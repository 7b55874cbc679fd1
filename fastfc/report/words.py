"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any

NOT_A_NUMBER = "not a number"


def number(value: Any) -> str:
    """Return a number with four digits that count; a whole one as it is.

    Examples
    --------
    >>> number(0.123456), number(1234567), number(1e-7), number(float("nan"))
    ('0.1235', '1,234,567', '1e-07', 'not a number')
    """
    if isinstance(value, (bool, str)) or value is None:
        return str(value)
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return NOT_A_NUMBER
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return f"{value:.4g}"


def percent(share: Any) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> percent(0.97345), percent(float("nan"))
    ('97.3%', 'not a number')
    """
    return f"{share:.1%}" if math.isfinite(share) else number(share)


def duration(seconds: Any) -> str:
    """Return a time.

    Examples
    --------
    >>> duration(3.2e-05), duration(0.25), duration(12.34), duration(4000)
    ('32 µs', '250 ms', '12.3 s', '1 h 6 min 40 s')
    """
    if not math.isfinite(seconds):
        return number(seconds)
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s" if hours else f"{minutes} min {rest} s"


def counted(count: int, word: str, plural: str | None = None) -> str:
    """Return a count and what is counted.

    Examples
    --------
    >>> counted(1, "epoch"), counted(1200, "epoch"), counted(2, "class", "classes")
    ('1 epoch', '1,200 epochs', '2 classes')
    """
    return f"{count:,} {word if count == 1 else plural or word + 's'}"


def short(name: object, most: int = 60) -> str:
    r"""Return a name that somebody gave, on one line and not too long.

    Examples
    --------
    >>> short("a\nname"), len(short("long" * 100))
    ('a name', 60)
    """
    text = " ".join(str(name).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
