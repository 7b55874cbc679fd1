"""HTML from text: everything is escaped but what is HTML already."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_VOID = {"br", "img", "meta"}  # have no end tag


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element.

    Parameters
    ----------
    name : str
        Of the element.
    *children : object
        `Html`, or anything else as escaped text; None is nothing.
    **attributes : object
        ``class_`` and ``aria_label`` stand for ``class`` and ``aria-label``.  None and False are
        left out, True has no value.

    Examples
    --------
    >>> print(element("p", "1 < 2, ", element("b", "always"), class_="note"))
    <p class="note">1 &lt; 2, <b>always</b></p>
    """
    written = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written.append(key if value is True else f'{key}="{html.escape(str(value))}"')
    start = f"<{' '.join(written)}>"
    return Html(start if name in _VOID else f"{start}{joined(*children)}</{name}>")


def joined(*children: object) -> Html:
    """Return children one after the other.

    Examples
    --------
    >>> print(joined("<", Html("<br>"), None, 3))
    &lt;<br>3
    """
    return Html(
        "".join(
            child if isinstance(child, Html) else html.escape(str(child))
            for child in children
            if child is not None
        )
    )


def table(
    caption: object,
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    label: str | None = None,
) -> Html:
    """Return a table whose first column heads its rows.

    Parameters
    ----------
    caption : object
        What the table has.
    head : sequence
        Heads of the columns.
    rows : iterable of sequence
        The cells; a ``<td>`` that is made already is taken as it is.
    label : str, optional
        Of a table that may be wider than the screen: it scrolls by itself, from the keyboard too.
    """
    body = [
        element("tr", element("th", first, scope="row"), *map(_cell, rest)) for first, *rest in rows
    ]
    heads = [element("th", cell, scope="col") for cell in head]
    made = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
    )
    if label is None:
        return made
    return element("div", made, class_="scroll", role="group", tabindex=0, aria_label=label)


def _cell(value: object) -> Html:
    """Return a cell of a table."""
    if isinstance(value, Html) and value.startswith("<td"):
        return value
    return element("td", value)


def details(summary: str, *children: object) -> Html:
    """Return what is shown when it is asked for."""
    return element("details", element("summary", summary), *children)


def figure(caption: object, content: Html) -> Html:
    """Return a picture with its caption."""
    return element("figure", content, element("figcaption", caption))


class Section:
    """A part of a page: its heading, and what stands below it.

    Parameters
    ----------
    name : str
        Of the anchor.
    title : str
        The heading.
    *children : object
        None is nothing.
    """

    def __init__(self, name: str, title: str, *children: object) -> None:
        self.name, self.title, self.children = name, title, children

    def html(self) -> Html:
        """Return the section with its heading."""
        heading = element("h2", self.title, id=self.name)
        return element("section", heading, *self.children, aria_labelledby=self.name)

    def link(self) -> Html:
        """Return an entry of the table of contents."""
        return element("li", element("a", self.title, href=f"#{self.name}"))
