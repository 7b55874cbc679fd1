"""The documents against the checkout: what they name exists, and versions agree."""

import doctest
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

import fastfc

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("docs/**/*.md")),
    *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "README", "SECURITY")),
]

FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)

# A word of code is a path if it has a slash or the name of a file.  "<name>" and "*" stand for
# anything.
PATH = re.compile(r"[\w.+*<>-]+(/[\w.+*<>-]+)*/?")
SUFFIXES = (
    *(".py", ".pyx", ".pxi", ".pxd", ".c", ".h"),
    *(".md", ".txt", ".toml", ".cff", ".in", ".yml", ".json", ".csv", ".png", ".ipynb"),
)
# What is not of this checkout: a course's files, those that a run or a build writes.
ELSEWHERE = ("nndl/", "cs231n/", "runs/", "dist/", "build/")


def paths(text):
    """Return all paths that stand in backticks, fenced blocks left out."""
    words = [word for code in CODE.findall(FENCED.sub("", text)) for word in code.split()]
    return [
        word
        for word in words
        if PATH.fullmatch(word)
        and ("/" in word or word.endswith(SUFFIXES))
        and not word.startswith(ELSEWHERE)
    ]


def file_names():
    """Return the names of all files, but for what is hidden or built."""
    for top in ROOT.iterdir():
        if top.is_dir() and not top.name.startswith(".") and top.name not in ("build", "dist"):
            yield from (file.name for file in top.rglob("*"))
        elif top.is_file():
            yield top.name


def exists(path):
    """Whether a path leads somewhere from the root; a bare name, whether any file has it."""
    pattern = re.sub("<[^<>]*>", "*", path)
    if "/" in pattern:
        found = list(ROOT.glob(pattern.rstrip("/")))
        return any(file.is_dir() for file in found) if pattern.endswith("/") else bool(found)
    return any(fnmatch(name, pattern) for name in file_names())


def anchors(text):
    """Return the anchors of the headings, as GitHub makes them."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text):
    """Return all relative links, fenced blocks left out."""
    return [link for link in LINK.findall(FENCED.sub("", text)) if "://" not in link]


def leads_somewhere(link, document):
    """Whether a link of this document has a target, its heading included."""
    name, _, anchor = link.partition("#")
    target = document.parent / name if name else document
    return target.exists() and (not anchor or anchor in anchors(target.read_text("utf-8")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_exists(document):
    missing = [path for path in paths(document.read_text("utf-8")) if not exists(path)]
    assert not missing, missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document):
    named = links(document.read_text("utf-8"))
    missing = [link for link in named if not leads_somewhere(link, document)]
    assert not missing, missing


# Other libraries' examples need all of these: tests/interop/test_documents.py runs them.
EXAMPLES = [
    path for path in DOCUMENTS if ">>>" in path.read_text("utf-8") and path.name != "interop.md"
]


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda path: path.name)
def test_examples_give_what_they_say(document):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testfile(str(document), module_relative=False, optionflags=options)
    assert found.failed == 0
    assert found.attempted > 0


def test_what_is_missing_is_seen():
    """The two tests above can fail."""
    text = "# A, b\n`fastfc/none.py -q`, `none/<name>.c`, `none.c`, [a](docs/none.md), [b](#no)"
    assert paths(text) == ["fastfc/none.py", "none/<name>.c", "none.c"]
    assert not any(map(exists, [*paths(text), "setup.py/", "nothing<name>.c"]))
    assert all(map(exists, ["setup.py", "fastfc/", "fastfc/<name>.py", "layers.py"]))
    assert links(text) == ["docs/none.md", "#no"]
    document = ROOT / "CONTRIBUTING.md"
    missing = [*links(text), "README.md#no", "none/README.md"]
    assert not any(leads_somewhere(link, document) for link in missing)
    assert anchors(text) == {"a-b"}


def test_the_citation_has_the_packages_version():
    citation = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert citation[1] == fastfc.__version__
