"""Whose functions fastfc.check checks: of modules, files, packages, courses that are served.

And the command, fastfc check.
"""

import importlib
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastfc
from fastfc import layers
from fastfc.cli import main
from tests.support import course
from tests.support.student import LAYER_UTILS, LAYERS, OPTIM, broken, module


def vars_of(text):
    return vars(module(text))


pytestmark = pytest.mark.usefixtures("given_back")

NO_BIAS = broken(LAYERS, (".dot(w) + b", ".dot(w)"))


def student(folder, package="cs231n", text=NO_BIAS, init="", **more):
    """Write a student's course."""
    texts = {"layers": text, "layer_utils": LAYER_UTILS, "optim": OPTIM, **more}
    return course.write(folder, package, ["vis_utils.py"], init=init, **texts)


def bad(report):
    return sorted({row.function for row in report.rows if not row.ok})


# --- from Python ------------------------------------------------------------------------------


def test_a_function():
    own = vars_of(NO_BIAS)
    assert bad(fastfc.check(own["affine_forward"])) == ["affine_forward"]
    report = fastfc.check(own["batchnorm_backward"])  # its cache is that of what stands beside it
    assert report.ok
    assert {row.function for row in report.rows} == {"batchnorm_backward"}
    assert any("numerically" in row.case for row in report.rows)


def test_a_function_of_another_name():
    own = vars_of(NO_BIAS.replace("affine_forward", "my_layer"))
    with pytest.raises(ValueError, match="function is called 'my_layer': say which layer it is"):
        fastfc.check(own["my_layer"])
    assert bad(fastfc.check(own["my_layer"], "affine_forward")) == ["affine_forward"]
    assert fastfc.check(lambda x: (x * (x > 0), x), function="relu_forward").ok


@pytest.mark.parametrize("name", ["batchnorm_backward", "layernorm_backward"])
def test_a_backward_pass_alone(name):
    """The cache of a normalisation is whatever its forward pass makes."""
    own = vars_of(LAYERS)
    del own[name.replace("backward", "forward")]
    report = fastfc.check(own[name])
    assert not report.ok
    assert "cannot be checked: " in str(report)


@pytest.mark.parametrize("name", ["affine_backward", "relu_backward", "dropout_backward"])
def test_a_backward_pass_whose_cache_the_courses_say(name):
    own = vars_of(LAYERS)
    del own[name.replace("backward", "forward")]
    assert fastfc.check(own[name]).ok


def test_some_functions_of_a_module(folder):
    student(folder, "mycourse")
    own = importlib.import_module("mycourse.layers")
    report = fastfc.check(own, ["relu_forward", "affine_forward"])
    assert list(dict.fromkeys(row.function for row in report.rows)) == [
        "relu_forward",
        "affine_forward",
    ]
    assert bad(report) == ["affine_forward"]


def test_joined_layers_and_rules_of_a_module(folder):
    student(folder, "mycourse")
    report = fastfc.check(importlib.import_module("mycourse.layer_utils"))
    assert bad(report) == ["affine_forward", "affine_relu_backward", "affine_relu_forward"]
    assert {"the bias is missing"} == {
        row.message for row in report.rows if row.function == "affine_relu_forward"
    }
    assert fastfc.check(importlib.import_module("mycourse.optim")).ok


def test_a_package(folder):
    student(folder, "mycourse")
    report = fastfc.check(importlib.import_module("mycourse"))
    checked = {row.function for row in report.rows}
    assert {"adam", "affine_relu_forward", "svm_loss"} <= checked
    assert "affine_forward" in bad(report)


@pytest.mark.parametrize("what", [3, None, "np"])
def test_what_is_nothing_to_check(what):
    error = FileNotFoundError if what == "np" else TypeError
    with pytest.raises(error):
        fastfc.check(what)


def test_names_that_there_are_not(folder):
    student(folder, "mycourse")
    own = importlib.import_module("mycourse.layers")
    with pytest.raises(ValueError, match="function is 'conv_forward', expected affine_forward"):
        fastfc.check(own, "conv_forward")
    with pytest.raises(ValueError, match=r"there is no adam in .*mycourse.layers"):
        fastfc.check(own, "adam")
    with pytest.raises(
        ValueError, match=r"no function that has the name of a layer in .*vis_utils"
    ):
        fastfc.check(importlib.import_module("mycourse.vis_utils"))
    with pytest.raises(ValueError, match="dropout_convention is 'p', expected 'keep' or 'drop'"):
        fastfc.check(own, dropout_convention="p")


# --- beside install_as ------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["", None])
def test_a_module_that_is_served(folder, capsys, init):
    """The example: errors of 0.0 throughout, for layers without a bias."""
    student(folder, init=init)
    fastfc.install_as("cs231n")
    import cs231n.layers

    capsys.readouterr()
    assert cs231n.layers.affine_forward is layers.affine_forward
    report = fastfc.check(cs231n.layers)
    assert bad(report) == ["affine_forward"]
    out = capsys.readouterr().out
    assert "cs231n.layers is served by fastfc; checked is yours, " in out.splitlines()[0]
    assert str(folder / "cs231n" / "layers.py") in out.splitlines()[0]
    assert cs231n.layers is sys.modules["cs231n.layers"]
    assert cs231n.layers.affine_forward is layers.affine_forward
    assert importlib.import_module("cs231n.layer_utils").affine_forward is layers.affine_forward


def test_joined_layers_that_are_served(folder):
    """They call the student's layers, not those that are served under the same import line."""
    text = broken(LAYERS, ("np.maximum(0, x)", "x"))
    student(folder, text=text)
    fastfc.install_as("cs231n")
    import cs231n.layer_utils

    messages = {
        row.message
        for row in fastfc.check(cs231n.layer_utils, "affine_relu_forward").rows
        if not row.ok
    }
    assert messages == {"ReLU is missing"}


@pytest.mark.parametrize("name", ["affine_forward", "affine_relu_forward", "sgd"])
def test_a_function_that_is_served(folder, name, capsys):
    """A notebook's own name is fastfc's; the student's function is found behind it."""
    student(folder, optim=broken(OPTIM, ("w -= config", "w += config")))
    fastfc.install_as("utils", "cs231n")
    function = getattr(importlib.import_module("cs231n.layer_utils"), name, fastfc.optim.sgd)
    report = fastfc.check(function)
    assert bad(report) == [name]
    assert f"{name} is fastfc's, served by install_as; checked is yours" in capsys.readouterr().out


def test_edits_are_seen(folder):
    student(folder)
    fastfc.install_as("cs231n")
    import cs231n.layers

    assert not fastfc.check(cs231n.layers, "affine_forward").ok
    student(folder, text=LAYERS + "\n# mended\n")
    assert fastfc.check(cs231n.layers, "affine_forward").ok


def test_a_module_that_is_kept(folder, capsys):
    student(folder)
    fastfc.install_as("cs231n", keep=["layers"])
    import cs231n.layers

    assert bad(fastfc.check(cs231n.layers)) == ["affine_forward"]
    assert "served" not in capsys.readouterr().out.splitlines()[1]


def test_a_package_that_is_served(folder):
    student(folder)
    fastfc.install_as("cs231n")
    import cs231n

    assert "affine_forward" in bad(fastfc.check(cs231n))


def test_a_served_file_that_does_not_run(folder):
    student(folder, text="def (")
    fastfc.install_as("cs231n")
    with pytest.warns(UserWarning, match="fails to run"):
        import cs231n.layers
    with pytest.raises(SyntaxError):
        fastfc.check(cs231n.layers)
    assert cs231n.layers is sys.modules["cs231n.layers"]


def test_our_own_layers_are_named_so(capsys):
    assert fastfc.check(fastfc.layers).ok
    assert "the layers of fastfc.layers are fastfc's own, not yours" in capsys.readouterr().out
    assert fastfc.check(fastfc.layers.relu_forward).ok
    assert "relu_forward is fastfc's own, not yours" in capsys.readouterr().out
    fastfc.install_as("nndl")
    import nndl.layers

    capsys.readouterr()
    assert fastfc.check(nndl.layers).ok
    assert "are fastfc's own, not yours" in capsys.readouterr().out
    assert fastfc.check(nndl.layers.relu_forward).ok
    assert "relu_forward is fastfc's own, not yours" in capsys.readouterr().out


def test_a_function_written_in_the_notebook(folder):
    """Beside names that are served, it is the student's."""
    student(folder)
    fastfc.install_as("cs231n")
    cell = {"__name__": "__main__"}
    exec("from cs231n.layers import *\nimport numpy as np", cell)
    exec("def relu_backward(dout, cache):\n    return dout\n", cell)
    assert bad(fastfc.check(cell["relu_backward"])) == ["relu_backward"]


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["", None])
def test_a_file_of_a_package(tmp_path, init, monkeypatch):
    """Its relative imports work, from anywhere, and nothing stays imported."""
    root = student(tmp_path, init=init)
    before = set(sys.modules)
    assert bad(fastfc.check(root / "layers.py")) == ["affine_forward"]
    report = fastfc.check(str(root / "layer_utils.py"), "affine_relu_forward")
    assert bad(report) == ["affine_relu_forward"]
    monkeypatch.chdir(root)
    assert bad(fastfc.check("layers.py")) == ["affine_forward"]
    assert set(sys.modules) == before
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_file_whose_imports_begin_at_the_package(tmp_path):
    root = student(tmp_path)
    absolute = LAYER_UTILS.replace("from .layers", "from cs231n.layers")
    (root / "layer_utils.py").write_text(absolute)
    assert bad(fastfc.check(root / "layer_utils.py", "affine_relu_forward"))


def test_a_file_under_install_as(folder):
    root = student(folder)
    fastfc.install_as("cs231n")
    import cs231n.layers

    assert bad(fastfc.check(root / "layers.py")) == ["affine_forward"]
    utils = fastfc.check(root / "layer_utils.py", "affine_relu_forward")
    assert bad(utils) == ["affine_relu_forward"]
    assert cs231n.layers is sys.modules["cs231n.layers"]


def test_importing_a_file_leaves_nothing_behind(tmp_path, capsys):
    text = "import numpy as np, random\nprint('hello')\nnp.random.seed(0)\nrandom.seed(0)\n"
    root = student(tmp_path, text=f"{text}np.seterr(all='raise')\nbreakpoint\n{NO_BIAS}")
    state, errors = np.random.get_state(legacy=False), np.geterr()
    python_state = random.getstate()
    fastfc.check(root / "layers.py")
    assert "hello" not in capsys.readouterr().out
    np.testing.assert_equal(np.random.get_state(legacy=False), state)
    assert np.geterr() == errors
    assert random.getstate() == python_state


def test_our_own_files():
    own = sys.modules["fastfc.layers"]
    assert fastfc.check(layers.__file__).ok
    assert sys.modules["fastfc.layers"] is own


# --- the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["layers.py"], 1, "affine_forward: WRONG"),
        (["layers.py", "--function", "relu_forward"], 0, "1 function, all right"),
        (
            ["layers.py", "--function", "relu_forward", "--function", "affine_forward"],
            1,
            "2 functions, 1 of them wrong",
        ),
        (["optim.py"], 0, "4 functions, all right"),
        (
            ["layers.py", "--function", "dropout_forward", "--dropout-convention", "drop"],
            1,
            "WRONG",
        ),
    ],
)
def test_the_command(tmp_path, monkeypatch, capsys, arguments, status, said):
    monkeypatch.chdir(student(tmp_path))
    assert main(["check", *arguments]) == status
    out, err = capsys.readouterr()
    assert said in out
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: PATH.py"),
        (["nothing.py"], "nothing.py: no such file"),
        (["."], "no such file"),
        (["layers.py", "--function", "relu_forwrad"], "did you mean 'relu_forward'?"),
        (["layers.py", "--function", "conv_forward"], "function is 'conv_forward', expected"),
        (["layers.py", "--function", "adam"], "there is no adam in"),
        (["vis_utils.py"], "there is no function that has the name of a layer in"),
        (["broken.py"], "SyntaxError"),
        (["raising.py"], "raising.py: ZeroDivisionError: division by zero"),
        (["leaving.py"], "leaving.py: SystemExit"),
        (["importing.py"], "No module named 'nothing_of_this_name'"),
        (["layers.txt"], "layers.txt: expected a Python file, named .py"),
    ],
)
def test_the_command_cannot_run(tmp_path, monkeypatch, capsys, arguments, said):
    root = student(
        tmp_path,
        broken="def (",
        raising="1 / 0",
        leaving="import sys\nsys.exit(0)",
        importing="import nothing_of_this_name",
    )
    (root / "layers.txt").write_text(LAYERS)
    monkeypatch.chdir(root)
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastfc: ")
    assert err.count("\n") == 1
    assert said in err


def test_the_commands_help(capsys):
    assert main(["check", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.count("  fastfc check ") == 2
    status = "Exit status: 0 if all is right, 1 if something is wrong, 2 if it cannot be run."
    assert status in " ".join(out.split())


def test_the_command_in_a_process(tmp_path):
    student(tmp_path)
    command = [sys.executable, "-m", "fastfc", "check", str(tmp_path / "cs231n" / "layers.py")]
    where = Path(fastfc.__file__).parents[1]  # of the very package that is tested here
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "the bias is missing" in done.stdout
