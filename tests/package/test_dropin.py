"""install_as: a course's own import lines are served by fastfc, and taken back."""

import importlib
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import fastfc
from fastfc import dropin
from tests.support import course

MODULES = {
    "data_utils": ["get_CIFAR10_data", "load_CIFAR10", "load_CIFAR_batch"],
    "fc_net": ["FullyConnectedNet", "TwoLayerNet", "affine_relu_forward", "np"],
    "classifiers.fc_net": ["FullyConnectedNet", "TwoLayerNet"],
    "gradient_check": ["eval_numerical_gradient", "eval_numerical_gradient_array"],
    "layer_tests": ["affine_forward_test", "fc_net_test", "rel_error"],
    "layer_utils": ["affine_relu_forward", "affine_bn_relu_backward"],
    "layers": ["affine_forward", "dropout_backward", "softmax_loss", "np"],
    "optim": ["sgd", "sgd_momentum", "adam", "rmsprop"],
    "solver": ["Solver"],
}


pytestmark = pytest.mark.usefixtures("given_back")


def star(line):
    names = {}
    exec(line, names)
    return names


# --- what is served ---------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["nndl", "utils", "cs231n", "mycourse"])
@pytest.mark.parametrize("module", MODULES)
def test_every_module_without_a_folder(package, module):
    fastfc.install_as(package)
    target = fastfc.installed()[f"{package}.{module}"]
    served = importlib.import_module(f"{package}.{module}")
    ours = importlib.import_module(target)
    for name in MODULES[module]:
        expected = getattr(ours, name)
        if package == "cs231n" and name == "TwoLayerNet":  # in that course's order
            expected = served.TwoLayerNet
            assert issubclass(expected, ours.TwoLayerNet)
        assert getattr(served, name) is expected
        assert star(f"from {package}.{module} import *")[name] is expected
    assert served.__name__ == f"{package}.{module}"
    assert served.__file__ == ours.__file__
    assert served.__doc__ == ours.__doc__
    assert set(fastfc.installed()) == {f"{package}.{name}" for name in MODULES}


def test_attributes_are_set_on_packages():
    fastfc.install_as("cs231n")
    import cs231n
    import cs231n.classifiers.fc_net
    import cs231n.optim
    from cs231n import layers as layers_of_course

    assert cs231n.optim.adam is fastfc.optim.adam
    assert cs231n.classifiers.fc_net.FullyConnectedNet is fastfc.fc_net.FullyConnectedNet
    assert cs231n.layers is layers_of_course is sys.modules["cs231n.layers"]


def test_a_star_import_brings_no_more_than_ours():
    """Names of the module's own imports would land in the notebook."""
    fastfc.install_as("nndl")
    names = star("from nndl.fc_net import *").keys() - {"__builtins__"}
    assert names == set(fastfc.fc_net.__all__)


def test_the_package_alone():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nndl")
    fastfc.install_as("nndl")
    assert importlib.import_module("nndl").__path__ == []
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'nndl\.cnn'"):
        importlib.import_module("nndl.cnn")


@pytest.mark.parametrize("init", ["", "MARK = 5", None])
def test_the_courses_own_package_and_modules(folder, init):
    """Also where the folder has no __init__.py."""
    course.write(folder, "nndl", init=init)
    fastfc.install_as("nndl")
    import nndl
    import nndl.vis_utils
    from nndl.cnn import ConvNet

    assert getattr(nndl, "MARK", None) == (5 if init else None)
    assert nndl.vis_utils.GRID == 3
    scores, _ = ConvNet().loss(np.ones((3, 2)))
    np.testing.assert_array_equal(scores, np.ones((3, 2)))  # by our affine_forward


def test_what_only_the_course_has_stays_and_calls_ours(folder):
    course.write(folder, "cs231n")
    fastfc.install_as("cs231n")
    names = star("from cs231n.layers import *")
    assert names["affine_forward"] is fastfc.layers.affine_forward
    np.testing.assert_array_equal(names["conv_forward"](np.ones((1, 2))), [[2.0, 2.0]])
    names = star("from cs231n.layer_utils import *")
    np.testing.assert_array_equal(names["conv_relu_forward"](-3 * np.ones((1, 2))), [[0.0, 0.0]])
    assert names["affine_relu_forward"] is fastfc.layer_utils.affine_relu_forward


def test_an_all_of_the_courses_own_is_kept(folder):
    course.write(folder, "nndl", layers="__all__ = ['own', 'np']\nown, np, hidden = 1, 2, 3\n")
    fastfc.install_as("nndl")
    names = star("from nndl.layers import *")
    assert names["own"] == 1
    assert names["np"] is np
    assert "hidden" not in names
    assert set(fastfc.layers.__all__) <= names.keys()


def test_classifiers_of_the_course(folder):
    root = course.write(folder, "cs231n")
    net, cnn = "class FullyConnectedNet:\n    pass\n", "from cs231n.layers import *\n"
    course.write(root, "classifiers", [], init="K = 1", fc_net=net, cnn=cnn)
    fastfc.install_as("cs231n")
    import cs231n.classifiers.cnn
    from cs231n.classifiers.fc_net import FullyConnectedNet

    assert FullyConnectedNet is fastfc.fc_net.FullyConnectedNet
    assert cs231n.classifiers.K == 1
    assert cs231n.classifiers.cnn.affine_forward is fastfc.layers.affine_forward


@pytest.mark.parametrize("text", ["def (", "import cPickle", "own = 1\nraise RuntimeError('half')"])
def test_a_file_that_fails_leaves_our_names(folder, text):
    course.write(folder, "nndl", layers=text)
    fastfc.install_as("nndl")
    with pytest.warns(UserWarning, match=r"a file of the course fails to run.*nndl/layers\.py"):
        layers = importlib.import_module("nndl.layers")
    assert layers.affine_forward is fastfc.layers.affine_forward
    assert not hasattr(layers, "own")


def test_a_plain_module_becomes_a_package(folder):
    (folder / "utils.py").write_text("MARK = 7\n")
    fastfc.install_as("utils")
    import utils
    from utils.solver import Solver

    assert Solver is fastfc.solver.Solver
    assert utils.MARK == 7


def test_other_packages_are_left_alone(folder):
    course.write(folder, "nndl")
    course.write(folder, "mycourse")
    fastfc.install_as("nndl")
    import mycourse.layers

    assert mycourse.layers.relu_forward(1) == ("the course's", None)


# --- before and after -------------------------------------------------------------------------


def test_modules_imported_before_are_replaced_and_restored(folder):
    course.write(folder, "nndl")
    import nndl.cnn
    import nndl.layers

    before = {name: module for name, module in sys.modules.items() if name.startswith("nndl")}
    held = nndl.layers
    fastfc.install_as("nndl")
    assert nndl.layers is sys.modules["nndl.layers"] is not held
    assert nndl.layers.affine_forward is fastfc.layers.affine_forward
    assert nndl.layer_utils.affine_relu_forward is fastfc.layer_utils.affine_relu_forward
    assert nndl.cnn is before["nndl.cnn"]
    import nndl.optim
    import nndl.vis_utils

    fastfc.uninstall()
    after = {name: module for name, module in sys.modules.items() if name.startswith("nndl")}
    assert after == before
    assert nndl.layers is held
    assert not hasattr(nndl, "optim")
    assert not hasattr(nndl, "vis_utils")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nndl.optim")


def test_a_plain_module_imported_before(folder):
    (folder / "plain.py").write_text("MARK = 7\n")
    import plain

    fastfc.install_as("plain")
    import plain.layers

    assert plain.layers.affine_forward is fastfc.layers.affine_forward
    fastfc.uninstall()
    assert sys.modules["plain"] is plain
    assert not hasattr(plain, "__path__")
    assert not hasattr(plain, "layers")


def test_modules_imported_meanwhile_are_forgotten(folder):
    course.write(folder, "nndl")
    fastfc.install_as("nndl")
    from nndl.cnn import ConvNet

    fastfc.uninstall()
    assert not [name for name in sys.modules if name.startswith("nndl")]
    from nndl.cnn import ConvNet as Own

    assert Own is not ConvNet
    assert Own().loss(np.ones((1, 2)))[0] == "the course's"


def test_twice_is_once():
    fastfc.install_as("nndl")
    import nndl.layers

    served, finders = nndl.layers, list(sys.meta_path)
    fastfc.install_as("nndl", "utils", "utils")
    import nndl.layers

    assert nndl.layers is served
    assert sys.meta_path == finders
    assert len(fastfc.installed()) == 2 * len(MODULES)
    fastfc.uninstall()
    assert fastfc.installed() == {}
    fastfc.uninstall()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nndl.layers")


def test_ahead_of_finders_that_came_since(folder):
    course.write(folder, "nndl", ["layers.py"])
    fastfc.install_as("nndl")
    sys.meta_path.insert(0, importlib.machinery.PathFinder)
    try:
        fastfc.install_as("nndl")
        assert importlib.import_module("nndl.layers").affine_forward is fastfc.layers.affine_forward
    finally:
        sys.meta_path.remove(importlib.machinery.PathFinder)


def test_a_failure_leaves_everything_as_it_was(folder, monkeypatch):
    course.write(folder, "nndl")
    import nndl.layers

    held, finders = nndl.layers, list(sys.meta_path)
    monkeypatch.setattr(dropin, "_replace_imported", lambda package: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fastfc.install_as("nndl")
    assert sys.modules["nndl.layers"] is held
    assert sys.meta_path == finders
    assert fastfc.installed() == {}


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ((), TypeError, "install_as: no name"),
        ((3,), TypeError, "install_as: name is 3, expected a str"),
        ((None,), TypeError, "install_as: name is None"),
        (("",), ValueError, "install_as: name is '', expected an identifier"),
        (("nndl.layers",), ValueError, r"name is 'nndl\.layers', expected an identifier.* 'nndl'"),
        ((".nndl",), ValueError, r"name is '\.nndl', expected an identifier"),
        (("src.my course",), ValueError, r"name is 'src\.my course', expected an identifier"),
        (("fastfc.data",), ValueError, r"name is 'fastfc\.data', which is fastfc itself"),
        (("class",), ValueError, "name is 'class', expected an identifier"),
        (("my course",), ValueError, "name is 'my course', expected an identifier"),
        (("fastfc",), ValueError, "name is 'fastfc', which is fastfc itself"),
        (("nndl", "numpy"), ValueError, "name is 'numpy', which is no course"),
    ],
)
def test_errors_install_nothing(names, error, message):
    finders = list(sys.meta_path)
    with pytest.raises(error, match=message):
        fastfc.install_as(*names)
    assert fastfc.installed() == {}
    assert sys.meta_path == finders


# --- reloading, pickling ----------------------------------------------------------------------


def test_reload_of_served_modules(folder):
    root = course.write(folder, "nndl")
    fastfc.install_as("nndl", "utils")
    import nndl.layers
    import utils.solver

    assert importlib.reload(utils.solver) is utils.solver
    assert utils.solver.Solver is fastfc.solver.Solver
    (root / "layers.py").write_text("def conv_forward(x):\n    return affine_forward, 'edited'\n")
    assert importlib.reload(nndl.layers) is nndl.layers is sys.modules["nndl.layers"]
    assert nndl.layers.conv_forward(0) == (fastfc.layers.affine_forward, "edited")
    (root / "layers.py").write_text("def (")
    with pytest.raises(SyntaxError):
        importlib.reload(nndl.layers)
    assert nndl.layers.conv_forward(0) == (fastfc.layers.affine_forward, "edited")


def test_reload_as_autoreload_does_it(folder):
    """It empties the module but for name and loader, and looks for the file's time of change."""
    course.write(folder, "nndl")
    fastfc.install_as("nndl")
    import nndl
    import nndl.layers

    assert nndl.layers.__file__ == str(folder / "nndl" / "layers.py")
    old = dict(vars(nndl.layers))
    vars(nndl.layers).clear()
    vars(nndl.layers).update({name: old[name] for name in ("__name__", "__loader__")})
    importlib.reload(nndl.layers)
    assert nndl.layers.affine_forward is fastfc.layers.affine_forward
    assert callable(nndl.layers.conv_forward)
    assert importlib.reload(nndl) is nndl
    (folder / "nndl" / "layers.py").write_text("def (")
    vars(nndl.layers).clear()
    vars(nndl.layers).update({name: old[name] for name in ("__name__", "__loader__")})
    with pytest.raises(SyntaxError):  # which autoreload prints, and then puts the names back
        importlib.reload(nndl.layers)


def test_reload_of_packages_without_a_folder():
    fastfc.install_as("nndl")
    import nndl.classifiers
    import nndl.layers

    for module in (nndl, nndl.classifiers, nndl.layers):
        assert importlib.reload(module) is module


def test_a_network_is_pickled_under_its_own_name():
    fastfc.install_as("nndl")
    from nndl.fc_net import FullyConnectedNet

    text = pickle.dumps(FullyConnectedNet([3], input_dim=2))
    fastfc.uninstall()
    assert type(pickle.loads(text)) is fastfc.fc_net.FullyConnectedNet


def test_specs_say_where_a_module_is(folder):
    course.write(folder, "nndl")
    fastfc.install_as("nndl", "utils")
    assert importlib.util.find_spec("nndl.layers").origin == str(folder / "nndl" / "layers.py")
    assert importlib.util.find_spec("utils.solver").origin == fastfc.solver.__file__
    assert importlib.util.find_spec("nndl.nothing") is None
    assert isinstance(importlib.util.find_spec("utils"), importlib.machinery.ModuleSpec)
    assert isinstance(importlib.import_module("utils"), types.ModuleType)


def test_import_of_fastfc_imports_no_served_module():
    code = (
        "import sys, fastfc; fastfc.install_as('nndl', 'utils'); import nndl;"
        "print(sorted({n for n in sys.modules if n.startswith('fastfc.')}))"
    )
    where = Path(fastfc.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=where, capture_output=True, text=True, check=True
    )
    fastfc.install_as("nndl", "utils")
    imported = set(eval(run.stdout.splitlines()[-1]))
    assert not imported & set(fastfc.installed().values())
    assert not any(name.startswith("fastfc.reference") for name in imported)  # 10 ms
