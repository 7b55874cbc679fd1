import gc
import os
import pathlib
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import fastfc
from fastfc import _core
from fastfc.verifying import operations
from tests.support.process import in_new_process

NAMES = ("baseline", "avx2", "avx512", "neon", "wide")


@pytest.mark.parametrize("name", _core.available_isas())
def test_variable_forces_an_instruction_set(name):
    code = "import fastfc, fastfc._core as c; print(c.isa()); fastfc.show_config()"
    status, output = in_new_process(code, FASTFC_ISA=name)
    assert status == 0, output
    assert output.splitlines()[0] == name


@pytest.mark.parametrize("name", ["mmx", "AVX2 ", "neon,avx2"])
def test_impossible_variable_is_an_import_error(name):
    status, output = in_new_process("import fastfc", FASTFC_ISA=name)
    assert status == 1
    message = output.splitlines()[-1]
    assert message.startswith("ImportError")
    assert "FASTFC_ISA" in message
    assert name in message
    assert all(possible in message for possible in _core.available_isas())


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("readelf"), reason="looks at an ELF file"
)
def test_addresses_of_functions_are_read_only():
    """What an error in memory could overwrite, to be called later, is found at loading."""
    command = ["readelf", "--wide", "--dynamic", "--segments", _core.__file__]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "BIND_NOW" in said
    assert "GNU_RELRO" in said


def test_instruction_set_of_another_machine_is_an_import_error():
    name = next(name for name in NAMES if name not in _core.available_isas())
    status, output = in_new_process("import fastfc", FASTFC_ISA=name)
    assert status == 1
    assert "ImportError" in output.splitlines()[-1]
    assert _core.available_isas()[0] in output.splitlines()[-1]


def test_empty_variable_means_the_best():
    code = "import fastfc._core as c; print(c.isa() == c.available_isas()[-1])"
    assert in_new_process(code, FASTFC_ISA="") == (0, "True\n")


def test_use_isa(isa):
    assert _core.isa() == isa
    assert "baseline" in _core.available_isas() or "neon" in _core.available_isas()
    assert set(_core.available_isas()) <= set(NAMES)
    with pytest.raises(ValueError, match=f"mmx.*{_core.available_isas()[0]}"):
        _core.use_isa("mmx")
    assert _core.isa() == isa


def test_show_config(isa, capsys):
    fastfc.show_config()
    text = capsys.readouterr().out
    assert fastfc.__version__ in text
    for name in (*_core.available_isas(), "float32", "float64", isa):
        assert name in text
    for word in ("compiler", "thread", "available", "built", "in use"):
        assert word in text.lower()


def test_import_needs_no_more_than_numpy():
    """Beyond NumPy and the standard library, `import fastfc` imports fastfc alone."""
    code = (
        "import sys, numpy; before = set(sys.modules); import fastfc;"
        "new = {m.split('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names) - {'numpy', 'fastfc'}))"
    )
    status, output = in_new_process(code)
    assert status == 0, output
    foreign = [m for m in eval(output) if not m.startswith("_cython") and m != "cython_runtime"]
    assert foreign == []


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_nothing_leaks(operation):
    """Memory stays flat over many calls, the failing ones among them, without the collector."""
    shape = ((5, 6), 7) if "affine" in operation.function else (5, 7)
    args = operation.arguments(shape, np.float32)
    function, wrong = operation.callable(operations.FAST), np.ones(3, complex)

    def calls(count):
        for _ in range(count):
            function(*args)
            try:
                function(wrong, *args[1:])
            except TypeError:
                continue
            raise AssertionError(f"{operation} accepts complex numbers")

    calls(50)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        calls(500)  # what is freed is kept for a while, longer without the GIL
        before = tracemalloc.get_traced_memory()[0]
        calls(300)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    # One leaked array header a call would be 300 * 100 bytes.
    assert grown < 300 * 50


def test_resident_memory_is_flat():
    """Big outputs are given back: 200 calls of 8 MB each do not add up."""
    code = """
import numpy as np
from fastfc.layers import *
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
x = np.ones((1000, 1000)); w = np.ones((1000, 10)); b = np.zeros(10)
def calls(n):
    for _ in range(n):
        relu_forward(x); dropout_forward(x, {"mode": "train", "p": 0.5})
        affine_forward(x, w, b); batchnorm_forward(x, x[0], x[0], {"mode": "train"})
        relu_backward(x.T, x)
calls(5); before = resident(); calls(40)
print(resident() - before)
"""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc on this system")
    status, output = in_new_process(code)
    assert status == 0, output
    assert int(output) < 3 * 8_000_000


def test_dead_generator_is_not_touched():
    """NumPy's global generator is replaced and collected; the next mask comes from the new one."""
    code = """
import gc, numpy as np
from fastfc.layers import dropout_forward
np.random.set_bit_generator(np.random.MT19937(1)); gc.collect()
dropout_forward(np.ones(1000), {"mode": "train", "p": .5})
np.random.set_bit_generator(np.random.MT19937(2)); gc.collect()
mask = dropout_forward(np.ones(1000), {"mode": "train", "p": .5})[1][1] > 0
np.random.set_bit_generator(np.random.MT19937(2))
print(np.array_equal(mask, np.random.rand(1000) < .5))
"""
    assert in_new_process(code) == (0, "True\n")


def test_source_folder_without_core_says_what_to_do(tmp_path):
    source = pathlib.Path(fastfc.__file__).parent
    ignored = shutil.ignore_patterns("_core.*", "__pycache__", "*.gz")
    shutil.copytree(source, tmp_path / "fastfc", ignore=ignored)
    done = subprocess.run(  # -S: without the finder of an editable install, which has the core
        [sys.executable, "-S", "-c", "import fastfc"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(pathlib.Path(np.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1].startswith("ImportError: fastfc's core is not built in ")
    assert "pip install -e ." in done.stderr


@pytest.mark.parametrize("variable", ["FASTFC_NUM_THREADS", "FASTFC_ISA"])
@pytest.mark.parametrize("command", ["script", "module", "module in dev mode"])
def test_a_variable_that_is_wrong_is_one_line_of_the_command(variable, command, tmp_path):
    script = tmp_path / "fastfc"
    script.write_text("from fastfc.cli import main\nraise SystemExit(main())\n")
    options = ["-X", "dev"] if "dev" in command else []
    arguments = [str(script)] if command == "script" else [*options, "-m", "fastfc"]
    done = subprocess.run(
        [sys.executable, *arguments, "config"],
        cwd=pathlib.Path(fastfc.__file__).parents[1],
        env=os.environ
        | {variable: "x", "PYTHONPATH": str(pathlib.Path(fastfc.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"fastfc: {variable}")
    assert done.stderr.count("\n") == 1
