"""Whether this process is the command ``fastfc``, asked where the package cannot be imported."""

import os
import sys


def is_command() -> bool:
    """Return whether the process is the command: the script, or ``python -m fastfc``."""
    started = sys.argv[0] if sys.argv else ""
    if started == "-m":  # Python is looking for the module
        return ("-m", "fastfc") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    return os.path.basename(started) in ("fastfc", "fastfc.exe")
