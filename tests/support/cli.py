"""The command line, by main() in this process."""

import re

from fastfc.cli import main

QUICK = ("--hidden", "8", "--epochs", "1", "--print-every", "1000")


def output(capsys, *argv, status=0):
    """Return what ``fastfc argv`` prints, once it has ended with this status."""
    returned = main(argv)
    out, err = capsys.readouterr()
    assert (returned, err) == (status, "")
    return out


def complaint(capsys, *argv, status=2):
    """Return the one line that ``fastfc argv`` prints on stderr, and nothing else."""
    returned = main(argv)
    out, err = capsys.readouterr()
    assert (returned, out) == (status, "")
    assert re.fullmatch("fastfc: .*\n", err)
    return err


def figure(name, out):
    """Return the number behind `name` in the output; there is one."""
    (text,) = re.findall(rf"^{name}: (\S+)$", out, re.MULTILINE)
    return float(text)
