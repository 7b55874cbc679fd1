"""Who imports whom: arrows point down only, and nothing fast imports the reference."""

import ast
import re
import sys
from pathlib import Path

import pytest

import fastfc
from tests.support.checkers import for_checkers_alone
from tests.support.process import in_new_process

ROOT = Path(fastfc.__file__).parent

# Every module or room of fastfc, and what of fastfc it may import, beside itself.  The lowest stand
# first: nobody imports what stands further down in this table.
ARROWS = {
    "_core": set(),
    "_types": set(),
    "bindings": set(),
    "version": set(),
    "arguments": set(),
    "foreign": set(),
    "preprocessing": {"arguments"},
    "arrays": {"arguments", "foreign"},
    "files": set(),
    "locks": set(),
    "optional": set(),
    "sweep_table": set(),
    "archives": set(),
    "tensor_files": {"archives", "optional"},
    "gradient_check": {"arguments", "arrays"},
    "clipping": {"arguments", "arrays"},
    "update_rules": {"arguments", "arrays"},
    "networks": {
        *("archives", "arguments", "arrays", "files", "locks", "preprocessing", "tensor_files"),
    },
    "reference": {"arguments", "arrays", "clipping", "networks", "update_rules"},
    "runtime": {"_core", "arguments", "version"},
    "data": {"_core", "archives", "arguments", "arrays", "files", "optional"},
    "data_utils": {"data"},
    "losses": {"_core", "arguments", "arrays"},
    "layers": {"_core", "losses"},
    "layer_utils": {"layers", "networks"},
    "optim": {"_core", "update_rules"},
    "fc_net": {
        *("_core", "arguments", "arrays", "clipping", "data", "layer_utils", "locks", "networks"),
        *("optim", "update_rules"),
    },
    "layer_tests": {"fc_net", "gradient_check", "layer_utils", "layers"},
    "dropin": {"arguments", "fc_net", "layer_tests", "layers", "networks", "optim"},
    "distributed": {"_core", "arguments", "arrays", "networks", "optional", "runtime"},
    "training": {
        *("_core", "archives", "arguments", "arrays", "clipping", "data", "dropin", "files"),
        *("distributed", "locks", "optim", "update_rules", "version"),
    },
    "solver": {"_core", "data", "training"},
    "plots": {
        *("arguments", "arrays", "locks", "networks", "optional", "solver", "sweep_table"),
        "training",
    },
    "trackers": {"arguments", "optional", "solver", "training"},
    "report": {
        *("arguments", "data", "files", "locks", "networks", "optim", "plots", "preprocessing"),
        *("runtime", "training", "update_rules", "version"),
    },
    "checking": {
        *("arguments", "dropin", "gradient_check", "layer_utils", "layers", "optim", "reference"),
        "update_rules",
    },
    "verifying": {
        *("_core", "fc_net", "gradient_check", "layers", "networks", "reference", "solver"),
    },
    "estimators": {
        *("_core", "arguments", "fc_net", "foreign", "losses", "networks", "optional"),
        "training",
    },
    "interop": {
        *("_core", "archives", "arguments", "arrays", "data", "estimators", "fc_net", "files"),
        *("layers", "locks", "networks", "optional", "preprocessing", "version"),
    },
    "": {"_core", "checking", "dropin", "runtime", "version"},  # fastfc/__init__.py
    "cli": {
        *("_core", "", "archives", "arguments"),
        "checking",
        "data",
        "data_utils",
        "distributed",
        "fc_net",
        "files",
        "losses",
        "networks",
        "optional",
        "runtime",
        "solver",
        "sweep_table",
        "training",
        "update_rules",
        "verifying",
        "version",
    },
    "__main__": {"cli"},
}
# Inside a function, where it is asked for.
LAZY = {("cli", "plots"), ("cli", "reference"), ("cli", "report"), ("networks", "interop")}
# Rooms that need an extra, and its packages.  Nobody else imports them: people do, by their names;
# and the Solver where it is given a communicator.
EXTRAS = {
    "distributed": {"mpi4py"},
    "estimators": {"scipy", "sklearn"},
    "interop": {"google", "onnx", "skl2onnx", "sklearn", "torch"},
    "plots": {"matplotlib"},
    "trackers": {"mlflow", "tensorboard", "wandb"},
    "report": {"matplotlib"},
}
# Required packages that one room alone imports; of tomllib newer Pythons have their own.
OWN = {"cli": {"click", "distributed", "joblib", "tomli", "tomli_w", "tomllib"}}

# Packages that a room imports inside a function, where they are asked for.
INSIDE = {"training": {"tqdm"}, "data": {"pandas", "polars"}, "tensor_files": {"safetensors"}}

MODULES = sorted(
    path.relative_to(ROOT).with_suffix("")
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0] != "bindings"
)


def imports(path, tree):
    """Yield (room, whether inside a function) for each import of something in fastfc."""
    package = ("fastfc", *path.parts[:-1])
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    skipped = for_checkers_alone(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*base, *filter(None, [node.module])])
            # of `from fastfc import x` x may be a module or a name of fastfc itself
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "fastfc":
                room = rest[0] if rest and rest[0] in ARROWS else ""
                yield room, id(node) in inside


def room_of(path):
    first = path.parts[0]
    return "" if first == "__init__" else first


def test_table_has_every_module_and_points_down():
    rooms = list(ARROWS)
    assert {room_of(path) for path in MODULES} | {"_core", "bindings"} == set(rooms)
    for i, (room, allowed) in enumerate(ARROWS.items()):
        if room != "bindings":
            assert allowed <= set(rooms[:i]), room


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_follow_the_arrows(path):
    room = room_of(path)
    for target, lazy in imports(path, ast.parse((ROOT / path.with_suffix(".py")).read_text())):
        allowed = target == room or target in ARROWS[room]
        assert allowed or (lazy and (room, target) in LAZY), f"{path} imports {target or 'fastfc'}"


@pytest.mark.parametrize(
    ("path", "line", "expected"),
    [
        ("optim", "from .reference.optim import RULES", [("reference", False)]),
        ("optim", "from .reference import optim", [("reference", False)]),
        ("optim", "from . import reference", [("reference", False)]),
        ("optim", "import fastfc.reference.optim as r", [("reference", False)]),
        ("training/rates", "from ..reference.optim import RULES", [("reference", False)]),
        ("training/rates", "from .. import solver, optim", [("solver", False), ("optim", False)]),
        ("training/rates", "from . import settings", [("training", False)]),
        ("cli/train", "from fastfc import show_config", [("", False)]),
        ("cli/train", "def f():\n from fastfc import reference", [("reference", True)]),
        ("data/rows", "import numpy, fastfcx", []),
        (
            "optim",
            "if TYPE_CHECKING:\n from . import solver\nelse:\n from . import cli",
            [("cli", False)],
        ),
    ],
)
def test_imports_are_found(path, line, expected):
    assert list(imports(Path(path), ast.parse(line))) == expected


def test_nobody_imports_by_text():
    """What the table cannot see: names of modules as text.

    `dropin` serves them by name, `checking` imports what a student names, and the package itself
    and `interop` import them when they are asked for, as the command line does with commands.
    """
    for path in MODULES:
        text = (ROOT / path.with_suffix(".py")).read_text()
        by_name = path.parts[0] in ("__init__", "checking", "dropin", "verifying")
        by_name |= str(path) in ("cli/__init__", "interop/__init__")
        assert by_name or not re.search(r"import_module|__import__", text), path


def test_bindings_follow_the_arrows():
    checkout = Path(__file__).parents[2]  # their sources are not installed
    sources = list((checkout / "fastfc" / "bindings").glob("*.p[yx]*"))
    assert sources
    for path in sources:
        for line in path.read_text().splitlines():
            if found := re.match(r"\s*(?:from|c?import)\s+fastfc\.(\w+)", line):
                assert found[1] in ARROWS["bindings"], f"{path.name}: {line}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_other_packages(path):
    """NumPy everywhere; tqdm only where a run shows a bar, so that nobody else waits for it, and
    what reads tables where one is read; an extra's packages only in its own room."""
    tree = ast.parse((ROOT / path.with_suffix(".py")).read_text())
    at_import = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    skipped = for_checkers_alone(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = {node.module.split(".")[0]}
        else:
            continue
        foreign = names - sys.stdlib_module_names - {"fastfc", "numpy"}
        foreign -= {**EXTRAS, **OWN}.get(path.parts[0], set())
        assert foreign <= INSIDE.get(path.parts[0], set()), path
        assert not foreign or node not in at_import, path


TRAINING = """
import sys
import numpy as np
import fastfc, fastfc.fc_net, fastfc.solver, fastfc.optim
X, y = np.random.randn(40, 6), np.arange(40) % 3
data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
for rule in fastfc.optim.__all__:
    model = fastfc.fc_net.FullyConnectedNet([5], 6, 3, dropout=0.5, use_batchnorm=True, reg=0.1)
    solver = fastfc.solver.Solver(
        model, data, update_rule=rule, lr_schedule="cosine", clip_norm=1.0, batch_size=10,
        num_epochs=2, verbose=False,
    )
    solver.train()
    model.predict(X), model.summary(), model.first_nonfinite(X)
    assert len(solver.loss_history) == 8
print([name for name in sys.modules if name.startswith("fastfc.reference")])
print([name for name in sys.modules if name.startswith("tqdm")])
"""


def test_command_line_loads_the_backend_that_is_asked_for():
    code = (
        "import sys; from fastfc.cli import main; main(['train', '--epochs', '1', {}]);"
        "print('fastfc.reference' in sys.modules)"
    )
    for option, expected in (("", "False"), ("'--backend', 'reference'", "True")):
        status, output = in_new_process(code.format(option))
        assert (status, output.splitlines()[-1]) == (0, expected)


def test_training_leaves_the_reference_alone():
    assert in_new_process(TRAINING) == (0, "[]\n[]\n")
    status, output = in_new_process("import fastfc.reference\n" + TRAINING)
    assert status == 0, output
    assert "'fastfc.reference.layers'" in output


# What `import fastfc` loads beside NumPy, what that has loaded, and threading, which the start-up
# files of an environment may have loaded before.
AT_IMPORT = {
    "fastfc",
    "fastfc._core",
    "fastfc.runtime",
    "fastfc.runtime.caches",
    "fastfc.runtime.config",
    "fastfc.runtime.denormals",
    "fastfc.runtime.threadpoolctl",
    "fastfc.runtime.threads",
    "fastfc.version",
}


def test_import_loads_no_more_than_it_needs():
    status, output = in_new_process(
        "import sys, numpy, threading; before = set(sys.modules); import fastfc;"
        "print(*sorted(name for name in set(sys.modules) - before if 'cython' not in name))"
    )
    assert (status, set(output.split())) == (0, AT_IMPORT)


@pytest.mark.parametrize("name", fastfc._MODULES)
def test_a_module_is_imported_when_it_is_asked_for(name):
    code = f"import fastfc; print(fastfc.{name}.__name__)"
    assert in_new_process(code) == (0, f"fastfc.{name}\n")


def test_classes_are_imported_when_they_are_asked_for():
    code = """
from fastfc import FullyConnectedNet, Solver, TwoLayerNet
import fastfc.fc_net, fastfc.solver
print(FullyConnectedNet is fastfc.fc_net.FullyConnectedNet is fastfc.FullyConnectedNet)
print(TwoLayerNet is fastfc.fc_net.TwoLayerNet, Solver is fastfc.solver.Solver)
"""
    assert in_new_process(code) == (0, "True\nTrue True\n")


def test_the_package_shows_what_it_has():
    assert set(fastfc.__all__) | set(fastfc._MODULES) | {"__version__"} <= set(dir(fastfc))
    for name in dir(fastfc):
        assert getattr(fastfc, name) is not None or name.startswith("__"), name
    public = {name for name in dir(fastfc) if name[0] != "_"}
    assert public == {*fastfc.__all__, *fastfc._MODULES}
    # all modules, but for those whose names people have no use for
    found = {path.parts[0] for path in MODULES if path.parts[0][0] != "_"}
    inner = {"archives", "arguments", "arrays", "checking", "cli", "clipping", "dropin", "files"}
    inner |= {"foreign", "locks", "networks", "optional", "preprocessing", "runtime"}
    inner |= {"sweep_table", "tensor_files", "update_rules", "verifying", "version", *EXTRAS}
    assert found - inner == set(fastfc._MODULES)
    star = {}
    exec("from fastfc import *", star)
    assert star.keys() - {"__builtins__"} == set(fastfc.__all__)


def test_what_the_package_has_not_is_said():
    with pytest.raises(AttributeError, match=r"^module 'fastfc' has no attribute 'layer'"):
        fastfc.layer  # noqa: B018
    with pytest.raises(ImportError, match=r"^cannot import name 'layer' from 'fastfc'"):
        exec("from fastfc import layer")


def test_help_names_modules_and_classes():
    status, output = in_new_process("import fastfc; help(fastfc)")
    assert status == 0
    assert "class Solver(" in output
    for name in (*fastfc.__all__, *fastfc._MODULES):
        assert re.search(rf"\b{name}\b", output), name
