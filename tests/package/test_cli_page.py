"""The page on the command line: what it shows is what is printed."""

import re
from pathlib import Path

from fastfc.cli import COMMANDS
from tests.support.cli import run_console

PAGE = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def toml_blocks():
    return re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_shows_what_is_printed(capsys, empty_folder):
    for name, text in zip(("digits.toml", "rates.toml"), toml_blocks(), strict=True):
        (empty_folder / name).write_text(text)
    (empty_folder / "broken.toml").write_text("[training]\nepoch = 3\n")
    for block in BLOCKS:
        run_console(capsys, block)


def test_the_page_names_every_command():
    for name in COMMANDS:
        assert f"fastfc {name}" in PAGE, name
