"""The blocks of README and of the pages on use run: Python in order in an empty folder, commands.

Commands run as far as a test can.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import fastfc
from fastfc.cli import main
from tests.support.cifar import FOLDER, make_batch, python2_pickle

ROOT = Path(__file__).parents[2]
README = "README.md"
PAGES = [
    README,
    *(f"docs/{name}.md" for name in ("checking", "dropin", "figures", "long_runs", "trained")),
]
TEXTS = {page: (ROOT / page).read_text("utf-8") for page in PAGES}
BLOCKS = {
    page: re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for page, text in TEXTS.items()
}
PYTHON = {
    page: [text for kind, text in blocks if kind == "python"] for page, blocks in BLOCKS.items()
}
COMMANDS = [
    command.strip()
    for page in PAGES
    for kind, text in BLOCKS[page]
    if kind == "sh"
    for line in text.splitlines()
    for command in line.partition("#")[0].split("&&")
]

# What a reader has and a test has not, by a word of the block that needs it: it runs before that.
STAND_INS = {
    "get_CIFAR10_data()": """
        import functools, fastfc.data.cifar10, fastfc.data_utils
        fastfc.data.cifar10._warned = True
        real = fastfc.data_utils.get_CIFAR10_data
        fastfc.data_utils.get_CIFAR10_data = functools.partial(real, 160, 40, 40)
    """,
    "images.bin": """
        with open("images.bin", "wb") as file:
            file.truncate(50000 * 8 * 8)
        data["y_train"] = [i % 10 for i in range(50000)]
        mean, std = 127.5, 64.0
    """,
}
# Why a command is not run here; its options are checked.
NOT_RUN = {
    "pip install": "needs a package index and compiles; .ci/run does it in an empty environment",
    "pytest": "is what runs this test",
    "python -m benchmarks": "measures for many minutes, peers or a run's file needed",
}


def unindented(text):
    return re.sub(r"^ {8}", "", text, flags=re.MULTILINE)


def test_stand_ins_are_needed():
    for word in STAND_INS:
        assert any(word in block for blocks in PYTHON.values() for block in blocks), word
    assert {kind for blocks in BLOCKS.values() for kind, _ in blocks} == {"python", "sh", "text"}


@pytest.mark.parametrize("page", [page for page in PAGES if PYTHON[page]])
def test_python_blocks_run_in_order(page, empty_folder):
    blocks = PYTHON[page]
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        path = empty_folder / FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(python2_pickle(make_batch(0, rows=40)))
    script = ["import warnings; warnings.simplefilter('error')"]
    for i, block in enumerate(blocks):
        script += [unindented(code) for word, code in STAND_INS.items() if word in block]
        script += [f"print('block {i}')", block]
    path = [str(Path(fastfc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)],
        cwd=empty_folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    printed = re.split(r"^block \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(printed) == len(blocks)
    for i, out in enumerate(printed):
        expected = recorded_output(page, blocks[i])
        assert expected is None or out == expected
    if "keep_last=2" in TEXTS[page]:
        left = {file.name for file in (empty_folder / "runs").iterdir()}
        assert len(left) == 2
        assert all(re.fullmatch(r"a_epoch_\d+\.npz", name) for name in left)


def recorded_output(page, block):
    """Return the text that a page shows as the output of a Python block: the next, if it does."""
    i = BLOCKS[page].index(("python", block)) + 1
    return BLOCKS[page][i][1] if i < len(BLOCKS[page]) and BLOCKS[page][i][0] == "text" else None


@pytest.mark.parametrize("page", [README, "docs/checking.md"])
def test_an_output_is_recorded(page):
    assert [recorded_output(page, block) is not None for block in PYTHON[page]].count(True) == 1


def test_fastfc_commands_run_in_order(empty_folder, capsys):
    found = [command for command in COMMANDS if command.startswith("fastfc ")]
    assert len(found) >= 5
    for command in found:
        words = shlex.split(command)
        target = words.index(">") if ">" in words else len(words)
        assert main(words[1:target]) == 0, command
        out, _ = capsys.readouterr()
        assert out
        for name in words[target + 1 :]:
            Path(name).write_text(out)
    names = {path.name for path in (empty_folder / "runs" / "first").iterdir()}
    assert names >= {"config.toml", "history.csv", "checkpoints", "model.npz", "summary.json"}


@pytest.mark.parametrize(
    "command", [c for c in dict.fromkeys(COMMANDS) if not c.startswith("fastfc ")]
)
def test_other_commands_have_a_reason_and_options_that_exist(command):
    (tool,) = [tool for tool in NOT_RUN if command.startswith(tool)]
    for extra in re.findall(r"\[(\w+)\]", command):
        assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text("utf-8")
    if tool == "python -m benchmarks":
        words = command.split()
        assert set(re.findall(r"--\w+", command)) <= options_of(
            *words[2:4][: 1 + ("render" in words)]
        )


def options_of(*module):
    """Return the options that a module's --help shows."""
    # `python -m` looks in its directory first: for the very package that is tested here
    where = ROOT if module[0] == "benchmarks" else Path(fastfc.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", *module, "--help"],
        cwd=where,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(re.findall(r"--[a-z][\w-]*", done.stdout))


def test_every_option_in_the_text_exists():
    text = "".join(TEXTS.values())
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {
        option
        for code in re.findall(r"`([^`]+)`", prose)
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code)
    }
    known = set()
    for module in ("fastfc train", "fastfc check", "benchmarks", "benchmarks render"):
        known |= options_of(*module.split())
    assert len(named) > 5
    assert named <= known, named - known


def test_extras_are_installed_from_a_checkout():
    """No package index has them yet.

    But whoever has installed fastfc gets an extra by its name.
    """
    files = [
        path
        for folder in ("fastfc", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".pyx", ".pxi", ".md")
    ]
    assert len(files) > 50
    for path in [*files, *ROOT.glob("*.md")]:
        assert not re.search(r"pip install\s+'?fastfc\b(?!\[)", path.read_text("utf-8")), path
