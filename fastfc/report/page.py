"""A page that stands by itself: no network, no other file, no script."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from ..version import __version__
from .html import Html, element, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .html import Section

# A browser that heeds it loads nothing and runs nothing, whatever stands in the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

# Each colour once for light and once for dark; text has a contrast of 7 to 1, lines of 3.
STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1f; --muted: #4b4d55;
  --line: #c9ccd4; --shade: #f1f3f7; --warn: #fdf1dc; --link: #0b4fae;
  --series-1: #1f62c4; --series-2: #b5490b; --series-3: #1f7a45; --series-4: #8a3fa5;
  --series-5: #846100; --series-6: #007a8a; }
@media (prefers-color-scheme: dark) { :root { --page: #14161a; --ink: #e9e9ec; --muted: #b6b8c0;
  --line: #43464f; --shade: #1e2127; --warn: #3a2c10; --link: #8fbcff;
  --series-1: #7fb2ff; --series-2: #f3a566; --series-3: #74cf94; --series-4: #d6a0f2;
  --series-5: #dcbb52; --series-6: #5fcddd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem clamp(0.75rem, 3vw, 2.5rem) 3rem;
  background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0.75rem; border-bottom: 1px solid var(--line);
  padding-bottom: 0.25rem; }
h3 { font-size: 1.08rem; margin: 1.75rem 0 0.5rem; }
p { max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--series-2);
  outline-offset: 2px; }
.skip { position: absolute; left: -100vw; } .skip:focus { position: static; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; padding: 0;
  margin: 1rem 0; }
.warning { background: var(--warn); border-left: 4px solid var(--series-2); padding: 0.75rem 1rem; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr));
  gap: 1rem 2.5rem; align-items: start; }
.side > *, section > table { min-width: 0; }
figure { margin: 0.75rem 0; max-width: 36rem; }
figcaption { color: var(--muted); font-size: 0.92rem; overflow-wrap: anywhere; }
.plot { display: block; width: 100%; height: auto; }
.plot * { stroke-linejoin: round; stroke-linecap: butt; }
img { image-rendering: pixelated; max-width: 100%; }
img.wide { width: 100%; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr));
  gap: 1rem; padding: 0; margin: 1rem 0; list-style: none; }
.images figure { margin: 0; } .images img { width: 6rem; height: 6rem; object-fit: contain; }
table { border-collapse: collapse; margin: 0.75rem 0; font-variant-numeric: tabular-nums;
  max-width: 100%; }
caption { text-align: left; color: var(--muted); font-size: 0.92rem; padding-bottom: 0.35rem; }
caption span { display: block; max-width: min(46rem, calc(100vw - 1.5rem)); }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
tbody td { white-space: nowrap; }
tbody th, table.facts td { overflow-wrap: anywhere; white-space: normal; }
table.facts th { min-width: 6.5rem; }
th:first-child, td.text, table.facts td { text-align: left; }
thead th { background: var(--shade); vertical-align: bottom; }
tbody th { font-weight: 500; }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll tbody th { white-space: nowrap; overflow-wrap: normal; }
.matrix table { min-width: min(100%, 18rem); }
.matrix td { border: 1px solid var(--line); min-width: 2.4rem; text-align: center;
  background: color-mix(in srgb, var(--series-1) calc(var(--share) * 45%), transparent); }
.matrix td.right { outline: 2px solid var(--ink); outline-offset: -2px; }
summary { cursor: pointer; padding: 0.35rem 0; }
@media (max-width: 40rem) { th, td { padding: 0.2rem 0.35rem; font-size: 0.9rem; } }
"""


def page(title: str, lead: Html, sections: Sequence[Section]) -> bytes:
    """Return a page.

    Parameters
    ----------
    title : str
        Of the window, and the heading.
    lead : Html
        What stands below it.
    sections : sequence of Section
        In the order of reading.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    now = datetime.datetime.now(datetime.timezone.utc)
    contents = element("ul", *(section.link() for section in sections))
    body = element(
        "body",
        element("a", "Skip to the contents", href="#main", class_="skip"),
        element(
            "header",
            element("h1", title),
            lead,
            element("nav", contents, aria_label="Sections"),
        ),
        element("main", *(section.html() for section in sections), id="main"),
        element(
            "footer", element("p", f"Written by fastfc {__version__} on {now:%Y-%m-%d %H:%M} UTC.")
        ),
    )
    return joined(Html("<!doctype html>\n"), element("html", head, body, lang="en")).encode()
