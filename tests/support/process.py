"""Python code in a process of its own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastfc


def in_new_process(code, timeout=300, **environment):
    """Run Python code with environment variables set; return (exit status, output).

    The time is for what hangs: emulated, a second becomes a minute.

    It imports the very package that is tested here: `python -c` looks in its directory first.
    """
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=os.path.dirname(os.path.dirname(fastfc.__file__)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return result.returncode, result.stdout + result.stderr


def needs_other_users():
    """Skip the test of a root that is the only user, as in a container that maps no other."""
    try:
        with open("/proc/self/uid_map") as file:
            ranges = [list(map(int, line.split())) for line in file]
    except OSError:  # not Linux
        return
    others = 54321, 65534  # whom these tests become
    known = all(any(first <= user < first + n for first, _, n in ranges) for user in others)
    if os.geteuid() == 0 and not known:
        pytest.skip("root is the only user here: it cannot become another one")


@contextlib.contextmanager
def start(module, *argv, stdout=None, **environment):
    """Start ``python -m MODULE ARGV`` of these tests; it is killed when the block ends."""
    folders = [Path(fastfc.__file__).parents[1], Path(__file__).parents[2]]
    path = os.pathsep.join(map(str, folders))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **environment}
    argv = [sys.executable, "-m", module, *map(str, argv)]
    with subprocess.Popen(argv, env=environment, stdout=stdout, stderr=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()
