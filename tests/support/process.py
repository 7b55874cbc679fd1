"""Python code in a process of its own."""

import os
import subprocess
import sys

import fastfc


def in_new_process(code, timeout=60, **environment):
    """Run Python code with environment variables set; return (exit status, output).

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
