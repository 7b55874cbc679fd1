"""Write README's figures and their picture from the files of runs, so that nobody types a digit.

What stands between the two markers in README is made of the runs that the first marker names.
"""

import argparse
import itertools
import os
import pathlib
import re
import sys

from benchmarks import picture, run_file, tables

README = pathlib.Path(__file__).parents[1] / "README.md"
PICTURE = "step.png"  # beside the run that it shows
MENDED = "`python -m benchmarks render` writes it anew"
_BEGIN = "<!-- figures, by `python -m benchmarks render` from:"
_END = "<!-- end of figures -->"
_BLOCK = re.compile(rf"{re.escape(_BEGIN)}\n(.*?) -->\n(.*?){re.escape(_END)}", re.DOTALL)


def main(argv):
    """Render, or with ``--check`` say whether README is what would be rendered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks render", description=__doc__)
    parser.add_argument(
        "runs",
        nargs="*",
        type=pathlib.Path,
        metavar="RUN",
        help="a run's file; those that README names by default. Each table is of the first one "
        "that has the suite; of later ones products and steps are summed up in a sentence",
    )
    parser.add_argument(
        "--readme", type=pathlib.Path, default=README, metavar="FILE", help="README.md by default"
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail where README differs"
    )
    options = parser.parse_args(argv)
    try:
        render(options.readme, options.runs, options.check)
    except (OSError, run_file.RunFileError) as error:
        sys.exit(f"benchmarks: {error}")


def render(readme, runs=(), check=False):
    """Write a README's figures anew, and the picture that they show.

    Parameters
    ----------
    readme : path
        A file with both markers.
    runs : sequence of path
        Files of runs; none takes those that `readme` names.
    check : bool
        Change nothing.

    Raises
    ------
    RunFileError
        If a run cannot be read, was a quick one, or lacks a row that README shows; if `readme` has
        no markers; with `check` if it or the picture is not what the runs say.
    """
    old = readme.read_text(encoding="utf-8")
    block = _BLOCK.search(old)
    if not block:
        raise run_file.RunFileError(f"{readme}: no figures, expected {_BEGIN} … --> … {_END}")
    folder = readme.parent
    paths = runs or [folder / name for name in block[1].split("\n")]
    found = [run_file.read(path) for path in dict.fromkeys(paths)]
    for run in found:
        if run.facts["machine"].get("quick") == "yes":
            raise run_file.RunFileError(f"{run.path} is of --quick, which measures nothing")
    names = [_relative(run.path, folder) for run in found]
    shown = picture.shown(found)
    image = shown and shown.path.parent / PICTURE
    text = tables.text(found, names, image and _relative(image, folder))
    new = old[: block.start()] + "\n".join([_BEGIN, *names]) + f" -->\n\n{text}\n\n{_END}"
    new += old[block.end() :]
    if check:
        _check(readme, old, new)
        if image and not picture.is_of(image, shown):
            raise run_file.RunFileError(f"{image} does not show {shown.path.name}; {MENDED}")
        return
    if image:
        picture.draw(image, shown)
    if new != old:
        readme.write_text(new, encoding="utf-8")


def _relative(path, folder):
    return pathlib.Path(os.path.relpath(path, folder)).as_posix()


def _check(readme, old, new):
    pairs = itertools.zip_longest(old.split("\n"), new.split("\n"), fillvalue="")
    for number, (stands, wanted) in enumerate(pairs, 1):
        if stands != wanted:
            raise run_file.RunFileError(
                f"{readme}, line {number} is\n  {stands}\nand its runs say\n  {wanted}\n{MENDED}"
            )
