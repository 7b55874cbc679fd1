"""Reports in a real browser: nothing is fetched, nothing is wider than the window, and what a
screen reader is told makes sense."""

import itertools
import re

import pytest

from fastfc import report
from tests.report import runs
from tests.support import browser

pytestmark = pytest.mark.skipif(browser.program() is None, reason="there is no Chromium")
TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A browser for all tests: it takes seconds to start."""
    with browser.start(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module", params=["digits", "table", "regression", "comparison"])
def path(request, tmp_path_factory):
    """A page."""
    path = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    if request.param == "comparison":
        one = runs.digits(num_epochs=1)
        report.write_comparison(path, {"one": one, "two with a longer name": one})
    else:
        report.write_report(path, **runs.RUNS[request.param]())
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_it_is_shown_without_trouble(page, path, width, scheme):
    page.open(path, width, scheme)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("document.body.scrollWidth") <= width
    for method, params in page.events:
        assert method not in TROUBLE, params
        if method == "Network.requestWillBeSent":
            assert params["request"]["url"].startswith(("file:", "data:")), params
    ground, ink = (
        page.value(f"getComputedStyle(document.body).{name}")
        for name in ("backgroundColor", "color")
    )
    assert (
        brightness(ground) > brightness(ink)
        if scheme == "light"
        else brightness(ground) < brightness(ink)
    )
    # text in pictures has the page's colour, and is not too small
    colours = page.value(
        "[...document.querySelectorAll('svg text')].map(t => getComputedStyle(t).fill)"
    )
    assert set(colours) == {ink}
    heights = page.value(
        "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect())"
        ".map(box => Math.min(box.width, box.height)).filter(size => size > 0)"
    )
    assert min(heights) >= 5


def brightness(colour):
    """Return the sum of a colour's parts, of ``rgb(r, g, b)``."""
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_a_screen_reader_can_find_its_way(page, path):
    page.open(path, 1600, "light")
    page.value("document.querySelectorAll('details').forEach(one => { one.open = true })")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    seen = [node for node in nodes if not node["ignored"]]
    by_role = {}
    for node in seen:
        by_role.setdefault(node["role"]["value"], []).append(node)

    def names(role):
        return [node.get("name", {}).get("value", "") for node in by_role.get(role, [])]

    assert names("RootWebArea") == [page.value("document.title")]
    levels = [
        next(found["value"]["value"] for found in node["properties"] if found["name"] == "level")
        for node in by_role["heading"]
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert len(by_role[landmark]) == 1
    assert names("region") == page.value(
        "[...document.querySelectorAll('h2')].map(h => h.innerText)"
    )
    for role in ("image", "table", "link", "figure"):
        assert by_role.get(role), role
    for role in ("image", "table", "link", "heading", "columnheader", "rowheader"):
        assert all(names(role)), role
    assert all(re.search(r"\d", name) for name in names("image"))  # it tells the numbers
    assert len(by_role["table"]) == page.value("document.querySelectorAll('table').length")
    assert len(by_role["figure"]) == page.value("document.querySelectorAll('figure').length")


def test_what_is_wrong_is_seen(page, tmp_path):
    """The tests above can fail."""
    path = tmp_path / "wrong.html"
    path.write_text(
        "<body style='width: 2000px'><script>nothing()</script><img src='https://example.org/a.png'>"
    )
    page.open(path, 360, "light")
    assert page.value("document.documentElement.scrollWidth") > 360
    assert any(method == "Runtime.exceptionThrown" for method, _ in page.events)
    asked = [params for method, params in page.events if method == "Network.requestWillBeSent"]
    assert any("example.org" in params["request"]["url"] for params in asked)
