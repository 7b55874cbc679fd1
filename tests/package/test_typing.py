"""Types: the stub agrees with the core, signatures with the settings, checkers with both."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from mypy import api

import fastfc
from fastfc import _core
from fastfc._types import SolverSettings
from fastfc.solver import Solver
from fastfc.training.settings import SETTINGS
from tests.support.process import in_new_process

ROOT = Path(fastfc.__file__).parent
README = Path(__file__).parents[2] / "README.md"

# What is of use to nobody outside the core.
INTERNAL = {
    *("Arena", "Drawn", "Share", "Spans", "Rule", "Transaction"),
    *("_choose_isa", "_count_fork", "_set_main_thread", "open_lock"),
}


def described(parameters):
    """Return what a call can see of parameters: names, kinds and defaults."""
    return [(p.name, p.kind.name, p.default) for p in parameters if p.name != "self"]


def written(function):
    """Return the same of a function of the stub."""
    text = f"lambda {ast.unparse(strip_annotations(function.args))}: None"
    return described(inspect.signature(eval(text, {})).parameters.values())


def strip_annotations(arguments):
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
        argument.annotation = None
    return arguments


def stub_functions(text):
    """Return the functions and methods of a stub by name, and its other names."""
    functions, others = {}, set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = written(node)
        elif isinstance(node, ast.ClassDef):
            others.add(node.name)
            for method in node.body:
                if method.decorator_list:  # a property
                    others.add(f"{node.name}.{method.name}")
                elif not method.name.startswith("__"):
                    functions[f"{node.name}.{method.name}"] = written(method)
        elif isinstance(node, ast.AnnAssign):
            others.add(node.target.id)
    return functions, others


def core_functions():
    """Return the same of the core itself."""
    functions, others = {}, set()
    for name, value in vars(_core).items():
        if name.startswith("__") or name in INTERNAL or inspect.ismodule(value):
            continue
        if inspect.isclass(value) and value.__module__ != _core.__name__:  # imported there
            continue
        if not inspect.isclass(value):
            if callable(value):
                functions[name] = described(inspect.signature(value).parameters.values())
            else:
                others.add(name)
            continue
        others.add(name)
        for method, function in vars(value).items():
            if inspect.isdatadescriptor(function):
                others.add(f"{name}.{method}")
            elif not method.startswith("__"):
                signature = inspect.signature(function)
                functions[f"{name}.{method}"] = described(signature.parameters.values())
    return functions, others


def test_the_stub_is_the_core():
    assert vars(_core).keys() >= INTERNAL
    assert stub_functions((ROOT / "_core.pyi").read_text()) == core_functions()


def test_a_stub_that_differs_is_seen():
    functions, others = stub_functions(
        "N: int\ndef f(x: int, y: float = 0.5) -> None: ...\nclass A:\n    def g(self, z): ...\n"
    )
    assert others == {"N", "A"}
    assert functions == {
        "f": [
            ("x", "POSITIONAL_OR_KEYWORD", inspect.Parameter.empty),
            ("y", "POSITIONAL_OR_KEYWORD", 0.5),
        ],
        "A.g": [("z", "POSITIONAL_OR_KEYWORD", inspect.Parameter.empty)],
    }


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "py.typed").is_file()


def test_settings_have_a_type_each():
    assert SolverSettings.__annotations__.keys() == SETTINGS.keys()


def test_signatures_show_the_settings():
    model, data, *rest = inspect.signature(Solver).parameters.values()
    assert [model.name, data.name] == ["model", "data"]
    assert {p.name: p.default for p in rest} == {
        name: setting.default for name, setting in SETTINGS.items()
    }
    path, model, data, *rest = inspect.signature(Solver.resume).parameters.values()
    assert [path.name, model.name, data.name] == ["path", "model", "data"]
    assert [p.name for p in rest] == list(SETTINGS)
    assert {repr(p.default) for p in rest} == {"<as in the checkpoint>"}
    assert {p.kind for p in rest} == {inspect.Parameter.KEYWORD_ONLY}


def test_help_says_what_the_settings_are():
    status, text = in_new_process("import fastfc; help(fastfc.Solver)")
    assert status == 0, text
    # in one line, from Python 3.13 on in several
    signature = re.search(r"class Solver\(.*?\n \|  Solver\((.*?)\)(?: ->|\n)", text, re.DOTALL)[1]
    for text in ("model", "update_rule='sgd'", "num_epochs=10", "progress=False"):
        assert text in signature


RIGHT = '''
from collections import OrderedDict

import numpy as np

import fastfc
from fastfc._types import SolverSettings
from fastfc.fc_net import *
from fastfc.data_utils import get_CIFAR10_data
from fastfc.gradient_check import eval_numerical_gradient, grad_check_sparse
from fastfc.solver import Solver
from fastfc.training import Callback, History, NonFiniteLossError, latest_checkpoint

# a notebook
data = get_CIFAR10_data()
model = FullyConnectedNet([100, 100], weight_scale=0.01, use_batchnorm=True, dropout=0.9)
solver = Solver(model, data, num_epochs=10, batch_size=100, update_rule="adam",
                optim_config={"learning_rate": 5e-4}, lr_decay=0.9, print_every=4900)
solver.train()
best: float = solver.best_val_acc
print(solver.val_acc_history[-1], solver.history["loss"], repr(solver))

# layers, with dictionaries that were filled before
x, w, b, gamma = np.ones((4, 3)), np.ones((3, 2)), np.zeros(2), np.ones(2)
bn_param = {"mode": "train"}
dropout_param = {"mode": "train", "p": 0.5}
out, cache = affine_forward(x, w, b)
dx, dw, db = affine_backward(out, cache)
out, bn_cache = batchnorm_forward(out, gamma, b, bn_param)
dx, dgamma, dbeta = batchnorm_backward(out, bn_cache)
out, ln_cache = layernorm_forward(out, gamma, b, {"eps": 1e-5})
out, dropout_cache = dropout_forward(out, dropout_param)
out = dropout_backward(out, dropout_cache)
out, joined = affine_batchnorm_relu_forward(x, w, b, gamma, b, bn_param)
dx, dw, db, dgamma, dbeta = affine_batchnorm_relu_backward(out, joined)
loss, dx = softmax_loss([[1.0, 2.0]], [1], label_smoothing=0.1)
loss, dx = svm_loss(x, np.array([0, 1, 2, 0]))
float(loss)

# networks
scores = model.loss(x)
print(scores.argmax(axis=1), model.predict(x)[0], model.predict_proba(x).max())
loss, grads = model.loss(x, [0, 1, 0, 1])
print(grads["W1"].shape, float(loss))
eval_numerical_gradient(lambda _: model.loss(x, [0, 1, 0, 1])[0], model.params["W1"], verbose=False)
model.save("network.npz")
again: FullyConnectedNet = FullyConnectedNet.load("network.npz")
two: TwoLayerNet = TwoLayerNet(hidden_dim=20)
print(model.summary(), again, two, fastfc.layers.np)
fastfc.reference.fc_net.FullyConnectedNet([10]).loss(x)

# update rules
next_w, config = fastfc.optim.adam(w, dw)
next_w, config = fastfc.optim.adam(next_w, dw, config)
next_w, config = fastfc.optim.sgd(w, dw, OrderedDict(learning_rate=0.1))


# the Solver with everything
class Stopper:
    def on_epoch(self, solver: Solver) -> None:
        solver.stop("enough")


class Mine:
    """A model of one's own, whose types say less."""

    def __init__(self) -> None:
        self.params = {"w": np.zeros((3, 2))}

    def loss(
        self, X: np.ndarray, y: np.ndarray | None = None
    ) -> np.ndarray | tuple[float, dict[str, np.ndarray]]:
        scores = X @ self.params["w"]
        return scores if y is None else (0.0, {"w": scores})


def halved(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    return w - dw / 2, config or {}


labels = np.array([0, 1, 0, 1])
splits = {"X_train": np.memmap("x", np.uint8), "y_train": labels, "X_val": x, "y_val": [0, 1, 0, 1]}
patience = {"patience": 3}
schedule = {"name": "cosine", "warmup_steps": 5}
solver = Solver(Mine(), splits, update_rule=halved, lr_schedule=schedule, early_stopping=patience,
                callbacks=[Stopper(), Callback()], normalize=(128, [1.0, 2.0, 3.0]), clip_norm=1.0,
                checkpoint_name="run", checkpoint_every="5min", keep_last=2, max_seconds=1.5,
                max_steps=10, num_train_samples=None, num_val_samples=100, progress=True,
                verbose=False, print_every=None)
solver = Solver(two, splits, lr_schedule=lambda step, solver: 0.5**step, checkpoint_every=100)
path = latest_checkpoint("run")
if path is not None:
    solver = Solver.resume(path, two, splits, num_epochs=20, callbacks=Stopper())
settings: SolverSettings = {"num_epochs": 3}
solver = Solver(two, splits, **settings)
try:
    solver.train()
except NonFiniteLossError as error:
    print(error.iteration, error.where)
history: History = solver.history

# the package
fastfc.set_num_threads(2)
fastfc.install_as("nndl", "utils")
fastfc.show_config()
print(fastfc.show_config(mode="dicts")["isa"]["in use"], fastfc.get_num_threads() + 1)
'''

# Each line with a comment is refused, with that code; no other line is.
WRONG = """
import numpy as np
import fastfc
from fastfc.fc_net import FullyConnectedNet, affine_forward
from fastfc.solver import Solver

data = {"X_train": np.ones((4, 3)), "y_train": np.ones(4, int)}
net = FullyConnectedNet([10], input_dim=3)
Solver(net, data, num_epochs="3")  # arg-type
Solver(net, data, num_epoch=3)  # call-arg
Solver(net, data, 3)  # arg-type call-arg
Solver(net, ["X_train"])  # arg-type
Solver(net.loss, data)  # arg-type
Solver(net, data, callbacks=print)  # arg-type
Solver(net, data, update_rule=lambda w: w)  # arg-type
Solver.resume("a.npz", net, data, num_epochs="3")  # arg-type
pair: tuple[float, dict[str, object]] = net.loss(np.ones((4, 3)))  # assignment
net.loss(np.ones((4, 3))).keys()  # attr-defined
net.loss(np.ones((4, 3)), [0]).argmax()  # attr-defined
FullyConnectedNet(10)  # arg-type
FullyConnectedNet([10], use_batchnorms=True)  # call-arg
affine_forward(np.ones((4, 3)), np.ones((3, 2)))  # call-arg
affine_forward(net, np.ones((3, 2)), np.ones(2))  # arg-type
fastfc.optim.adam(np.ones(3), np.ones(3), 1e-3)  # arg-type
fastfc.nothing  # attr-defined
fastfc.set_num_threads("2")  # arg-type
fastfc.show_config(mode="dict")  # call-overload
"""


def check(folder, **programs):
    """Return mypy's errors about programs as (program, line, code)."""
    for name, text in programs.items():
        (folder / f"{name}.py").write_text(text)
    files = [str(folder / f"{name}.py") for name in programs]
    options = ["--strict", "--config-file=", f"--cache-dir={folder}/cache", "--no-error-summary"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the package that is installed, not one that lies here
        if "site-packages" not in ROOT.parts:  # installed in place: checkers do not find it
            patch.setenv("MYPYPATH", str(ROOT.parent))
        output, errors, _ = api.run([*options, *files])
    assert errors == ""
    found = re.findall(r"^.*?(\w+)\.py:(\d+): error: .*\[([\w-]+)\]$", output, re.M)
    assert len(found) == output.count(": error: "), output
    return {(program, int(line), code) for program, line, code in found}, output


def readme():
    """Return the README's Python, as one program, under the names that it takes for granted."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert blocks
    # a course's packages are not there
    text = "".join(line for line in "\n".join(blocks).splitlines(True) if "nndl" not in line)
    return "import fastfc\nmean, std, X = 128.0, 64.0, [[0.0]]\n" + re.sub("from utils.*", "", text)


def defaults():
    """Return a program that gives every setting its default."""
    values = {name: setting.default for name, setting in SETTINGS.items()}
    return f"from fastfc._types import SolverSettings\nsettings: SolverSettings = {values!r}\n"


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    return check(folder, right=RIGHT, wrong=WRONG, readme=readme(), defaults=defaults())


def test_right_programs_pass(checked):
    errors, output = checked
    # what --strict asks of their own code besides
    theirs = ("type-arg", "no-redef", "no-untyped-def", "import-untyped")
    ours = {error for error in errors if error[0] != "wrong" and error[2] not in theirs}
    assert ours == set(), output


def test_wrong_programs_are_refused(checked):
    errors, output = checked
    expected = {
        ("wrong", number, code)
        for number, line in enumerate(WRONG.splitlines(), 1)
        for code in line.partition("  # ")[2].split()
    }
    assert len(expected) > 15
    assert {error for error in errors if error[0] == "wrong"} == expected, output
