"""Small file systems in memory, for tests of disks that are full or may not be written to."""

import contextlib
import os
import shutil
import subprocess

import pytest


@contextlib.contextmanager
def mounted(folder, options):
    """Mount a file system of these options on a new folder; skip the test where none may be."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a file system")
    folder.mkdir()
    done = _run("mount", "-t", "tmpfs", "-o", options, "fastfc-test", folder)
    if done.returncode:
        pytest.skip(f"no file system may be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        _run("umount", "--lazy", folder)


def remount(folder, options):
    """Change the options of a mounted file system."""
    done = _run("mount", "-o", f"remount,{options}", folder)
    assert done.returncode == 0, done.stderr


def _run(*argv):
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60)
