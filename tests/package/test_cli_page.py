"""The page on the command line: what it shows is what is printed."""

import re
import shlex
from pathlib import Path

from fastfc.cli import COMMANDS, main

PAGE = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def as_pattern(text):
    """Return a regular expression of a text in which ``...`` stands for anything."""
    return ".*".join(map(re.escape, text.split("...")))


def toml_blocks():
    return re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_shows_what_is_printed(capsys, empty_folder):
    (empty_folder / "digits.toml").write_text(toml_blocks()[0])
    (empty_folder / "broken.toml").write_text("[training]\nepoch = 3\n")
    for block in BLOCKS:
        for shown in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, _, expected = shown.partition("\n")
            words = shlex.split(typed)
            assert words[0] == "fastfc"
            main(words[1:])
            out, err = capsys.readouterr()
            assert re.fullmatch(as_pattern(expected), out + err, re.DOTALL), (typed, out + err)


def test_the_page_names_every_command():
    for name in COMMANDS:
        assert f"fastfc {name}" in PAGE, name
