"""The command line as a process: status, streams, signals and terminals."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import fastfc
from fastfc.data import load_digits
from fastfc.fc_net import FullyConnectedNet


def command(*argv):
    return [sys.executable, "-m", "fastfc", *argv]


@pytest.fixture
def environment():
    """Let another process import this fastfc: by its folder, which comes first for ``-m``."""
    return {
        "cwd": Path(fastfc.__file__).parents[1],
        "env": {**os.environ, "PYTHONUNBUFFERED": ""},
    }


def test_process(environment):
    argv = command("train", "--epochs", "1")
    done = subprocess.run(argv, capture_output=True, text=True, **environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("data: digits, 1197 train, ")
    assert done.stdout.splitlines()[2].startswith("(Iteration 1 / 11) loss: 2.")
    assert re.search(r"^examples per second: [1-9]\d*$", done.stdout, re.MULTILINE)


def test_process_with_bad_options(environment):
    argv = command("train", "--epochs", "x")
    done = subprocess.run(argv, capture_output=True, text=True, **environment, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--epochs" in done.stderr


def test_broken_pipe_is_quiet(environment):
    argv = command("train", "--epochs", "100000", "--print-every", "1")
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment
    ) as process:
        while not process.stdout.readline().startswith(b"(Iteration 1 / 1100000)"):
            pass
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


COMMANDS = [("train", "--epochs", "1"), ("config",), ("--help",), ("--version",)]


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_closed_stdout_is_one_line(environment, argv):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command(*argv)],
        stderr=subprocess.PIPE,
        text=True,
        **environment,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == "fastfc: stdout is closed, expected somewhere to print the figures\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_full_stdout_is_one_line(environment, argv, unbuffered):
    environment["env"]["PYTHONUNBUFFERED"] = unbuffered
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(*argv),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            **environment,
            timeout=60,
        )
    what = "cannot write" if unbuffered else "cannot write to stdout"
    message = f"fastfc: {what}: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_closed_stderr_does_not_change_stdout(environment):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command("train", "--epochs", "x")],
        stdout=subprocess.PIPE,
        text=True,
        **environment,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")


def test_termination_has_the_signals_status(environment):
    argv = command("train", "--epochs", "100000")
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment
    ) as process:
        while not process.stdout.readline().startswith(b"(Iteration 1 / 1100000)"):
            pass
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-signal.SIGTERM, b"")


def interrupted(environment, *argv):
    """Return status, stdout and stderr of a run that Ctrl-C has ended in its second epoch."""
    with subprocess.Popen(
        command("train", "--epochs", "100000", *argv),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **environment,
    ) as process:
        lines, stream = [], process.stderr if "--json" in argv else process.stdout
        while not (lines and lines[-1].startswith(b"(Epoch 1 ")):
            lines.append(stream.readline())
            assert lines[-1]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def test_interrupt_reports_accuracies_and_saves(environment, tmp_path):
    path = tmp_path / "net.npz"
    status, out, err = interrupted(environment, "--save", str(path))
    assert (status, err) == (130, "")
    accuracy = float(re.search(r"^validation accuracy: (\S+)$", out, re.MULTILINE)[1])
    assert re.search(r"^test accuracy: 0\.\d{3}\nseconds: .*\n.*\nsaved: .*net.npz$", out, re.M)
    data = load_digits()
    network = FullyConnectedNet.load(path)
    found = (network.predict(data["X_val"]) == data["y_val"]).mean()
    assert found == pytest.approx(accuracy, abs=5e-4)


def test_interrupt_has_a_json_result(environment, tmp_path):
    status, out, err = interrupted(environment, "--json", "--checkpoint", str(tmp_path / "run"))
    found = json.loads(out)
    assert status == 130
    assert "Traceback" not in err
    assert found["stop_reason"] == "interrupt"
    assert found["steps"] == len(found["loss_history"]) >= 11
    assert found["accuracy"]["val"] == max(found["val_acc_history"])
    assert Path(found["checkpoint"]).is_file()


def test_interrupt_while_nothing_is_trained_is_quiet(environment):
    code = "import fastfc.solver as s; s.Solver.train = lambda self: (_ for _ in ()).throw({}); {}"
    code = code.format("KeyboardInterrupt", "from fastfc.cli import main; print(main(['train']))")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, **environment, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "130"
    assert "accuracy" not in done.stdout


def test_progress_while_data_load_on_a_terminal(environment):
    code = (
        "import time; from fastfc.cli.data import shown_on_terminals\n"
        "with shown_on_terminals('loading mine', patience=0.01): time.sleep(1.3)"
    )
    for terminal in (True, False):
        here, there = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stderr=there if terminal else subprocess.PIPE,
            stdin=there,
            **environment,
        ) as process:
            os.close(there)
            assert process.wait(60) == 0
            if terminal:
                raw = os.read(here, 4096)
                assert raw.startswith(b"\rloading mine: 0 s\rloading mine: 1 s")
                assert screen(raw) == [""]
            else:
                assert process.stderr.read() == b""
        os.close(here)


def test_warnings_while_data_load_have_a_line_of_their_own(environment):
    code = (
        "import time, warnings; import fastfc.cli as cli; from fastfc.cli.data import *\n"
        "warnings.showwarning = cli._print_warning\n"
        "with shown_on_terminals('loading mine', patience=0.01):\n"
        "    time.sleep(0.3); warnings.warn('look'); time.sleep(0.8)"
    )
    here, there = pty.openpty()
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stderr=there, stdin=there, **environment) as process:
        os.close(there)
        assert process.wait(60) == 0
        raw = os.read(here, 4096)
    os.close(here)
    assert b"loading mine: 0 s" in raw
    assert screen(raw) == ["fastfc: warning: look", ""]


def screen(raw):
    """Return the lines that a terminal shows after these bytes."""
    lines = []
    for line in raw.decode().replace("\r\n", "\n").split("\n"):
        shown = ""
        for text in line.split("\r"):
            if text.startswith("\x1b[K"):
                shown, text = "", text.removeprefix("\x1b[K")
            shown = text + shown[len(text) :]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.parametrize(("epochs", "status"), [("3", 0), ("100000", 130)])
def test_progress_bar_on_a_terminal(environment, epochs, status):
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # rows, columns
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), there)
    argv = command("train", "--epochs", epochs)
    with subprocess.Popen(argv, **streams, **environment) as process:
        os.close(there)
        raw, interrupt = b"", status == 130
        while True:
            try:
                raw += os.read(here, 4096)
            except OSError:  # the other end is closed
                break
            if interrupt and b"(Epoch 1 " in raw:
                process.send_signal(signal.SIGINT)
                interrupt = False
        assert process.wait(60) == status
    os.close(here)
    assert re.search(rb"\r *\d+%\|.*ex/s, loss=\d\.\d{4}, val_acc=\d\.\d{3}\]", raw)
    assert b"Traceback" not in raw
    lines = screen(raw)
    assert lines[2].startswith("(Iteration 1 / ")
    assert lines[3].startswith("(Epoch 0 / ")
    assert lines[-1] == ""
    (bar,) = [i for i, line in enumerate(lines) if "%|" in line or "ex/s" in line]
    assert lines[bar - 1].startswith("(Epoch ")
    assert lines[bar].startswith("100%|" if status == 0 else "  0%|")
    assert lines[bar + 1].startswith("validation accuracy: ")
