"""The command line, by main() in this process."""

import re
import shlex

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


def as_pattern(text):
    """Return a regular expression of a text in which ``...`` stands for anything.

    Any number of spaces is one: columns are as wide as their figures.
    """
    return ".*".join(map(re.escape, one_space(text).split("...")))


def one_space(text):
    """Return the text with one space for many."""
    return re.sub(" +", " ", text)


def run_console(capsys, block):
    """Run the ``fastfc`` commands of a page's console block, which print what it shows."""
    for shown in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        typed, _, expected = shown.partition("\n")
        words = shlex.split(typed)
        assert words[0] == "fastfc"
        main(words[1:])
        out, err = capsys.readouterr()
        assert re.fullmatch(as_pattern(expected), one_space(out + err), re.DOTALL), (
            typed,
            out,
            err,
        )
