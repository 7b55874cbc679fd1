"""Every reader keeps its promises: of whole files, of changed ones, of those that broke one.

``make fuzz`` looks for more of the last; see `tests.support.readers` for the promises.
"""

import gzip
import os
import random
import socket
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from fastfc.data import load_npz
from fastfc.data.mnist import read_idx
from tests.support import memory, mutators, readers
from tests.support.effort import effort, report
from tests.support.npz import npy_header

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
READERS = pytest.mark.parametrize("name", readers.READERS)
MEGABYTE = 1 << 20


def test_the_corpus_has_readers():
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} <= set(readers.READERS)


@READERS
def test_whole_files(tmp_path, name):
    """They are read, within little memory, but for a label file that is taken for images."""
    reader = readers.READERS[name]
    messages = []
    for data in reader.seeds():
        with memory.at_most(readers.most_memory(data)):
            messages.append(readers.check(reader, data, tmp_path))
    assert [message for message in messages if message] == [
        f"{tmp_path}/train-images-idx3-ubyte: shape (3,), expected images (N, height, width)"
    ] * (name == "mnist")


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: path.name)
def test_files_that_broke_a_promise(tmp_path, path):
    data = path.read_bytes()
    with memory.at_most(readers.most_memory(data)):
        readers.check(readers.READERS[path.parent.name], data, tmp_path)


@READERS
def test_changed_files(tmp_path, name):
    """Some hundreds of those that ``make fuzz`` tries, without looking at what they reach."""
    reader, rng = readers.READERS[name], random.Random(5)
    pool, refused = reader.seeds(), 0
    change = mutators.BY_READER.get(name, mutators.mutate_archive)
    tries = effort(60, 10_000)
    for _ in range(tries):
        data = change(rng.choice(pool), 16384, rng.getrandbits(32), mutators.change_bytes(rng))
        with memory.at_most(readers.most_memory(data)):
            message = readers.check(reader, data, tmp_path)
        refused += message is not None
        if message is None and len(pool) < 100:
            pool.append(data)
    assert 0 < refused < tries  # else the changes are not what they are meant to be
    report(f"changed files, {name}", files=tries, refused=refused)


# --- a watchman who sees nothing would be content with all ------------------------------------


def _say(text):
    raise ValueError(text)


BREACHES = {
    "no path": lambda path: _say("damaged"),
    "another error": lambda path: {}["x"],
    "a file outside": lambda path: open(f"{path}/../../evil", "w").close(),
    "a file of others": lambda path: open("/etc/hostname").close(),
    "a file deleted": lambda path: os.remove(f"{tempfile.gettempdir()}/no-such-file"),
    "a folder made": lambda path: os.mkdir(f"{tempfile.gettempdir()}/no/such/folder"),
    "a file renamed": lambda path: os.rename(path, f"{tempfile.gettempdir()}/no/such/file"),
    "a process": lambda path: subprocess.run(["true"], check=True),
    "a shell": lambda path: os.system("true"),
    "a connection": lambda path: socket.create_connection(("127.0.0.1", 1)),
    "code": lambda path: exec("1"),
    "and hidden": lambda path: _hide(lambda: os.system("true")),
}


def _hide(call):
    try:
        call()
    except Exception:
        raise ValueError("hidden") from None


@pytest.mark.parametrize("what", BREACHES)
def test_a_broken_promise_is_seen(tmp_path, what):
    folder = tmp_path / "scratch"
    folder.mkdir()
    reader = readers.Reader("any.npz", BREACHES[what], list)
    with pytest.raises((AssertionError, KeyError, PermissionError)):
        readers.check(reader, b"", folder)
    assert [found.name for found in tmp_path.iterdir()] == ["scratch"]
    os.system("true")  # nobody watches any more


# --- honest headers ---------------------------------------------------------------------------


def test_a_compressed_archive_takes_what_its_header_says(tmp_path):
    """Zeros pack a thousandfold: 64 MB in 64 KB, which the header says and the caller gets."""
    path = tmp_path / "mine.npz"
    n = 8 * MEGABYTE
    entries = {
        "X_train": (npy_header((n, 1), "<f8"), 8 * n),
        "y_train": (npy_header((n,), "|u1"), n),
        "X_val": (npy_header((1, 1), "<f8"), 8),
        "y_val": (npy_header((1,), "|u1"), 1),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (header, zeros) in entries.items():
            archive.writestr(f"{name}.npy", header + bytes(zeros))
    assert path.stat().st_size < 100_000
    with memory.at_most(3 * 9 * n):  # labels become int64
        data = load_npz(path)
    assert data["X_train"].nbytes == data["y_train"].nbytes == 8 * n


def test_a_zipped_idx_file_takes_what_its_header_says(tmp_path):
    path = tmp_path / "images.gz"
    content = b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (1024, 32, 1024))
    path.write_bytes(gzip.compress(content + bytes(32 * MEGABYTE)))
    assert path.stat().st_size < 50_000
    with memory.at_most(3 * 32 * MEGABYTE):
        assert read_idx(path).shape == (1024, 32, 1024)
