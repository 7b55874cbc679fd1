"""Every command's help, the examples at its end, and what a shell completes."""

import os
import re
import shlex
from importlib import import_module

import pytest

from fastfc.cli import COMMANDS, main
from tests.support.cli import output
from tests.support.process import in_new_process
from tests.support.student import LAYERS


def commands():
    """Return each command by the first name that the table gives it."""
    found = {}
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        if command not in found.values():
            found[name] = command
    return found


@pytest.fixture
def files(empty_folder):
    """What the examples take for there: a student's layers, what to sweep over."""
    (empty_folder / "sweep.toml").write_text("epochs = 1\n[sweep]\n[grid]\nreg = [0, 0.1]\n")
    (empty_folder / "nndl").mkdir()
    (empty_folder / "nndl" / "layers.py").write_text(LAYERS)


def test_the_examples_run_in_order(capsys, files):
    """As somebody would type them who reads one help after the other."""
    for name, command in commands().items():
        for example in command.examples:
            words = shlex.split(example)
            assert words[:2] == ["fastfc", name]
            status = main(words[1:])
            out, err = capsys.readouterr()
            assert (status, "fastfc: " in err) == (0, False), (example, err)
            assert out, example


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_a_help_ends_with_two_examples_at_least(capsys, name):
    out = output(capsys, *name.split(), "--help")
    examples = re.fullmatch(r".*\n\nExamples:\n((?:  fastfc .*\n){2,})", out, re.DOTALL)
    assert examples, out
    assert max(map(len, out.splitlines())) <= 100
    assert out.startswith(f"Usage: fastfc {name} ".replace("  ", " "))


def test_the_help_lists_the_commands(capsys):
    out = output(capsys, "--help")
    for name in COMMANDS:
        assert re.search(rf"^  {name}  +[A-Z].*\.$", out, re.MULTILINE), name


def completions(words):
    environment = {"_FASTFC_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(shlex.split(words + "x")) - 1)
    status, out = in_new_process("from fastfc.cli import main; main()", **environment)
    assert status == 0, out
    return [line.partition(",")[2] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fastfc tra", ["train"]),
        ("fastfc train --hid", ["--hidden"]),
        ("fastfc train --update-rule rms", ["rmsprop"]),
        ("fastfc train --hidden 5 5 --lr-sch", ["--lr-schedule"]),
    ],
)
def test_a_shell_completes(words, expected):
    assert completions(words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shells_script(shell, monkeypatch, capfd):
    monkeypatch.setitem(os.environ, "_FASTFC_COMPLETE", f"{shell}_source")
    if shell == "bash":  # click asks bash for its version
        monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda *_: None)
    assert main([]) == 0
    assert "_FASTFC_COMPLETE" in capfd.readouterr().out
