"""Write the pages of figures and their pictures from files of runs, so that nobody types a digit.

What stands between the two markers in docs/figures.md, and in docs/scaling.md, is made of the runs
that the first marker names.
"""

import argparse
import itertools
import os
import pathlib
import re
import sys

from benchmarks import picture, run_file, scaling_page, tables

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGE, SCALING = DOCS / "figures.md", DOCS / "scaling.md"
MENDED = "`python -m benchmarks render` writes it anew"
_BEGIN = "<!-- figures, by `python -m benchmarks render` from:"
_END = "<!-- end of figures -->"
_BLOCK = re.compile(rf"{re.escape(_BEGIN)}(?:\n(.*?))? -->\n(.*?){re.escape(_END)}", re.DOTALL)


def main(argv):
    """Render, or with ``--check`` say whether the page is what would be rendered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks render", description=__doc__)
    parser.add_argument(
        "runs",
        nargs="*",
        type=pathlib.Path,
        metavar="RUN",
        help="a run's file; those that the page names by default. Each table is of the first one "
        "that has the suite; of later ones products and steps are summed up in a sentence",
    )
    parser.add_argument(
        "--page",
        type=pathlib.Path,
        metavar="FILE",
        help="docs/figures.md by default; without a run docs/scaling.md too",
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail where the page differs"
    )
    options = parser.parse_args(argv)
    pages = [options.page or PAGE]
    if not options.page and not options.runs:
        pages.append(SCALING)
    try:
        for page in pages:
            render(page, options.runs, options.check)
    except (OSError, run_file.RunFileError) as error:
        sys.exit(f"benchmarks: {error}")


def render(page, runs=(), check=False):
    """Write a page's figures anew, and the pictures of a training step.

    Parameters
    ----------
    page : path
        A file with both markers.
    runs : sequence of path
        Files of runs; none takes those that `page` names.
    check : bool
        Change nothing.

    Raises
    ------
    RunFileError
        If a run cannot be read, was a quick one, or lacks a row that the page shows; if `page` has
        no markers; with `check` if it or a picture is not what the runs say.
    """
    old = page.read_text(encoding="utf-8")
    block = _BLOCK.search(old)
    if not block:
        raise run_file.RunFileError(f"{page}: no figures, expected {_BEGIN} … --> … {_END}")
    folder = page.parent
    paths = runs or [folder / name for name in (block[1] or "").split()]
    found = [run_file.read(path) for path in dict.fromkeys(paths)]
    for run in found:
        if run.facts["machine"].get("quick") == "yes":
            raise run_file.RunFileError(f"{run.path} is of --quick, which measures nothing")
    names = [_relative(run.path, folder) for run in found]
    scales = page.name == SCALING.name
    shown = (scaling_page if scales else picture).shown(found)
    images = (picture.SCALING_PICTURES if scales else picture.PICTURES) if shown else {}
    images = {shown.path.parent / name: draw for name, draw in images.items()}
    linked = shown and shown.path.parent / (picture.SCALING if scales else picture.ALL)
    write = (scaling_page if scales else tables).text
    text = write(found, names, linked and _relative(linked, folder))
    new = old[: block.start()] + "\n".join([_BEGIN, *names]) + f" -->\n\n{text}\n\n{_END}"
    new += old[block.end() :]
    if check:
        _check(page, old, new)
        for path in images:
            if not picture.is_of(path, shown):
                raise run_file.RunFileError(f"{path} does not show {shown.path.name}; {MENDED}")
        return
    for path, draw in images.items():
        picture.save(path, shown, draw)
    if new != old:
        page.write_text(new, encoding="utf-8")


def _relative(path, folder):
    return pathlib.Path(os.path.relpath(path, folder)).as_posix()


def _check(page, old, new):
    pairs = itertools.zip_longest(old.split("\n"), new.split("\n"), fillvalue="")
    for number, (stands, wanted) in enumerate(pairs, 1):
        if stands != wanted:
            raise run_file.RunFileError(
                f"{page}, line {number} is\n  {stands}\nand its runs say\n  {wanted}\n{MENDED}"
            )
