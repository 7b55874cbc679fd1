"""What install_as reads in a course's own text: TwoLayerNet's order, what p is; dotted names.

And what it does about files that do not run.
"""

import copy
import importlib
import inspect
import os
import pickle
import re
import sys
import textwrap
import warnings

import numpy as np
import pytest

import fastfc
from fastfc import fc_net
from tests.support import course

pytestmark = pytest.mark.usefixtures("given_back")

# --- the order of TwoLayerNet's arguments -----------------------------------------------------


def net_text(arguments):
    return f"""
        class TwoLayerNet(object):
            def __init__(self, {arguments}):
                pass
        """


CS231N = "input_dim=3*32*32, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0"
NNDL = "input_dim=3*32*32, hidden_dims=100, num_classes=10, dropout=0, weight_scale=1e-3, reg=0.0"


def test_cs231ns_order():
    """The example: it trained with keep probability 0.001 and weight scale 0.5."""
    fastfc.install_as("cs231n")
    from cs231n.classifiers.fc_net import TwoLayerNet

    np.random.seed(3)
    model = TwoLayerNet(48, 20, 10, 1e-3, 0.5)
    np.random.seed(3)
    expected = fc_net.TwoLayerNet(48, 20, 10, weight_scale=1e-3, reg=0.5)
    assert model.reg == 0.5
    assert not model.use_dropout
    for name, value in expected.params.items():
        np.testing.assert_array_equal(model.params[name], value)
    assert list(inspect.signature(TwoLayerNet).parameters)[:5] == [
        "input_dim",
        "hidden_dim",
        "num_classes",
        "weight_scale",
        "reg",
    ]
    X, y = np.random.randn(3, 48), np.arange(3)
    assert model.loss(X, y)[0] == expected.loss(X, y)[0]


def test_the_published_order_stays():
    fastfc.install_as("cs231n", "nndl", "utils")
    from nndl.fc_net import TwoLayerNet
    from utils.fc_net import TwoLayerNet as Utils

    assert TwoLayerNet is Utils is fc_net.TwoLayerNet
    assert fc_net.TwoLayerNet(4, 5, 3, 0.5, 1e-2, 0.1).dropout_param["p"] == 0.5


@pytest.mark.parametrize("where", ["", "classifiers"])
@pytest.mark.parametrize(
    ("package", "arguments", "reg"),
    [
        ("mycourse", CS231N, 0.5),
        ("cs231n", NNDL, 0.0),
        ("mycourse", NNDL, 0.0),
        ("cs231n", "", 0.5),
    ],
)
def test_the_courses_own_text_decides(folder, package, arguments, reg, where):
    root = course.write(folder, package, ["layers.py"])
    course.write(root / where, "", [], fc_net=net_text(arguments))
    fastfc.install_as(package)
    served = importlib.import_module(f"{package}.classifiers.fc_net").TwoLayerNet
    assert served(48, 20, 10, 1e-3, 0.5).reg == reg


def test_reading_warns_of_nothing(folder):
    """Not of escape sequences, say, which the import itself warns of."""
    text = f'PATTERN = "\\d"\n{textwrap.dedent(net_text(CS231N))}'
    course.write(folder, "mycourse", [], fc_net=text)
    fastfc.install_as("mycourse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mycourse.fc_net import TwoLayerNet
    assert TwoLayerNet(48, 20, 10, 1e-3, 0.5).reg == 0.5


def test_keywords_of_both_courses():
    fastfc.install_as("cs231n")
    from cs231n.classifiers.fc_net import TwoLayerNet

    assert TwoLayerNet(4, hidden_dims=7).params["W1"].shape == (4, 7)
    assert TwoLayerNet(4, hidden_dim=7, dropout=0.5, rng="philox").use_dropout
    with pytest.raises(TypeError):
        TwoLayerNet(4, 5, 3, 1e-3, 0.0, 0.5)
    with pytest.raises(TypeError, match="colour"):
        TwoLayerNet(colour=3)


def test_its_pickles_copies_and_files(tmp_path):
    fastfc.install_as("cs231n")
    from cs231n.classifiers.fc_net import TwoLayerNet

    model, X = TwoLayerNet(4, 5, 3, 0.5, 0.1), np.ones((2, 4))
    scores = model.loss(X)
    for twin in (copy.copy(model), copy.deepcopy(model)):
        assert type(twin) is TwoLayerNet
        np.testing.assert_array_equal(twin.loss(X), scores)
    assert copy.deepcopy(model).params["W1"] is not model.params["W1"]
    assert copy.copy(model).params["W1"] is model.params["W1"]
    model.save(tmp_path / "net.npz")
    assert type(TwoLayerNet.load(tmp_path / "net.npz")) is TwoLayerNet
    texts = [pickle.dumps(model, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    fastfc.uninstall()
    for text in texts:
        again = pickle.loads(text)
        assert type(again) is fc_net.TwoLayerNet
        np.testing.assert_array_equal(again.loss(X), scores)
    network = fc_net.TwoLayerNet.load(tmp_path / "net.npz")
    assert type(network) is fc_net.TwoLayerNet
    np.testing.assert_array_equal(network.loss(X), scores)


def test_a_subclass_of_ones_own():
    fastfc.install_as("cs231n")
    from cs231n.classifiers.fc_net import TwoLayerNet

    class Mine(TwoLayerNet):
        def __init__(self):
            super().__init__(4, 5, 3, 0.5, 0.25)

    model = Mine()
    assert model.reg == 0.25
    assert type(copy.deepcopy(model)) is Mine
    assert model.__reduce_ex__(4)[1] == (Mine,)


# --- what p is --------------------------------------------------------------------------------

KEEPING = '''"""
        Performs the forward pass for (inverted) dropout.

        - dropout_param: A dictionary with the following keys:
          - p: Dropout parameter. We keep each neuron output with probability p.
          - mode: 'test' or 'train'.

        NOTE: Keep in mind that p is the probability of **keep** a neuron output; this might be
        contrary to some sources, where it is the probability of dropping a neuron output.
        """'''
DROPPING = '''"""
        - p: Dropout parameter. We drop each neuron
          output with probability p.
        """'''
CODE_KEEPS = "mask = (np.random.rand(*x.shape) < p) / p"
CODE_DROPS = "mask = (np.random.rand(*x.shape) >= p) / (1 - p)"


def layers_text(docstring="", code="pass", head=""):
    text = f"import numpy as np\n{head}\ndef dropout_forward(x, dropout_param):\n"
    body = f"{docstring}\np, mode = dropout_param['p'], dropout_param['mode']\n{code}\n"
    return text + "".join(f"    {part.strip()}\n" for part in body.splitlines())


READ = [
    # package, docstring, code, head, what p is the probability of, what the line says of it
    ("cs231n", DROPPING, "pass", "", "drop", "the probability of dropping, as cs231n.layers says"),
    ("cs231n", DROPPING, CODE_DROPS, "", "drop", "as cs231n.layers says"),
    ("cs231n", DROPPING, CODE_KEEPS, "", "drop", "as cs231n.layers says"),
    ("cs231n", KEEPING, "pass", "", "keep", "the probability of keeping, as cs231n.layers says"),
    ("cs231n", KEEPING, CODE_DROPS, "", "keep", "as cs231n.layers says"),
    ("cs231n", '"""p: probability of dropping a unit"""', "pass", "", "drop", "dropping"),
    ("cs231n", "'''p: probability that a unit is kept'''", "pass", "", "keep", "keeping"),
    ("cs231n", '"""p: the drop probability"""', "pass", "", "drop", "dropping"),
    ("cs231n", "", CODE_DROPS, "", "drop", "as the code of cs231n.layers has it"),
    ("cs231n", "", CODE_KEEPS, "", "keep", "as the code of cs231n.layers has it"),
    ("cs231n", "", "mask = np.random.rand(*x.shape) > dropout_param['p']", "", "drop", "code"),
    ("cs231n", "", "mask = np.random.rand(*x.shape) < 1 - p", "", "drop", "code"),
    ("cs231n", "", "pass  # mask = rand > p", "", "keep", None),
    ("cs231n", "", "pass", "", "keep", None),
    ("nndl", DROPPING, "pass", "", "keep", 'nndl\'s recorded figures.*dropout_convention="drop"'),
    ("nndl", DROPPING, CODE_KEEPS, "", "keep", "as the code of nndl.layers has it"),
    ("nndl", DROPPING, CODE_DROPS, "", "drop", "as the code of nndl.layers has it"),
    ("mycourse", DROPPING, "pass", "# the class ECE 239AS at UCLA", "keep", "recorded figures"),
    ("mycourse", DROPPING, "mask = (", "", "drop", "as mycourse.layers says"),  # half-written
]


@pytest.mark.parametrize(("package", "docstring", "code", "head", "convention", "said"), READ)
def test_what_p_is(folder, printed_line, package, docstring, code, head, convention, said):
    course.write(folder, package, [], layers=layers_text(docstring, code, head))
    fastfc.install_as(package)
    out = printed_line()
    if said is None:
        assert "dropout's p" not in out
    else:
        assert re.search(said, out), out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the half-written file
        nets = importlib.import_module(f"{package}.fc_net")
        layers = importlib.import_module(f"{package}.layers")
    dropout_param = {"mode": "train", "p": 0.25, "seed": 3}
    out, (cached, mask) = layers.dropout_forward(np.ones((40, 50)), dropout_param)
    assert cached is dropout_param == {"mode": "train", "p": 0.25, "seed": 3}
    np.random.seed(3)
    draws = np.random.rand(40, 50)
    expected = (draws >= 0.25) / 0.75 if convention == "drop" else (draws < 0.25) / 0.25
    np.testing.assert_array_equal(mask, expected)
    assert nets.dropout_forward is layers.dropout_forward
    np.testing.assert_array_equal(layers.dropout_backward(out, (cached, mask)), out * expected)
    model = nets.FullyConnectedNet([5], 4, dropout=0.25)
    assert model.dropout_param.get("convention", "keep") == convention
    assert nets.TwoLayerNet(4, 5, dropout=0.25).dropout_param == model.dropout_param


def test_the_convention_may_be_said(folder):
    course.write(folder, "cs231n", [], layers=layers_text(KEEPING))
    fastfc.install_as("cs231n", "utils", dropout_convention="drop")
    import cs231n.fc_net
    from utils.layers import dropout_forward

    assert cs231n.fc_net.dropout_forward is dropout_forward
    x, param = np.ones((20, 50)), {"mode": "train", "p": 0.1}
    assert 0.05 < (dropout_forward(x, param)[0] == 0).mean() < 0.15
    own = {**param, "convention": "keep"}  # what is said in the call goes before
    assert 0.85 < (dropout_forward(x, own)[0] == 0).mean() < 0.95
    model = cs231n.fc_net.FullyConnectedNet([5], 4, dropout=0.1)
    assert model.dropout_param["convention"] == "drop"
    explicit = cs231n.fc_net.FullyConnectedNet([5], 4, dropout=0.1, dropout_convention="keep")
    assert "convention" not in explicit.dropout_param
    ratio = cs231n.fc_net.FullyConnectedNet([5], 4, dropout_keep_ratio=0.9)
    assert "convention" not in ratio.dropout_param
    text = pickle.dumps(model)
    fastfc.uninstall()
    assert type(pickle.loads(text)) is fc_net.FullyConnectedNet
    assert pickle.loads(text).dropout_param["convention"] == "drop"


def test_each_package_has_its_own(folder):
    """And those without layers the first one's."""
    course.write(folder, "cs231n", [], layers=layers_text(DROPPING))
    course.write(folder, "nndl", [], layers=layers_text(DROPPING, CODE_KEEPS))
    fastfc.install_as("utils", "cs231n", "nndl")
    for package, convention in (("cs231n", "drop"), ("nndl", "keep"), ("utils", "drop")):
        network = importlib.import_module(f"{package}.fc_net").FullyConnectedNet
        assert network([5], 4, dropout=0.2).dropout_param.get("convention", "keep") == convention


def test_the_convention_changes_when_the_cell_is_run_again():
    fastfc.install_as("nndl")
    import nndl.fc_net

    assert nndl.fc_net.FullyConnectedNet is fc_net.FullyConnectedNet
    fastfc.install_as("nndl", dropout_convention="drop")
    import nndl.fc_net

    assert nndl.fc_net.FullyConnectedNet is not fc_net.FullyConnectedNet
    assert issubclass(nndl.fc_net.FullyConnectedNet, fc_net.FullyConnectedNet)


def test_a_convention_that_there_is_not():
    with pytest.raises(ValueError, match="dropout_convention is 'p', expected 'keep' or 'drop'"):
        fastfc.install_as("nndl", dropout_convention="p")
    assert fastfc.installed() == {}


# --- dotted names -----------------------------------------------------------------------------


def test_dotted_names_without_a_folder():
    fastfc.install_as("src.utils", "src.deep.nndl")
    import src
    import src.deep.nndl.fc_net
    from src.utils.solver import Solver

    assert Solver is fastfc.solver.Solver
    assert src.utils.solver.Solver is Solver
    assert src.deep.nndl.fc_net.affine_forward is fastfc.layers.affine_forward
    assert fastfc.installed()["src.deep.nndl.classifiers.fc_net"] == "fastfc.fc_net"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("src.solver")
    fastfc.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "src"]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("src.utils")


@pytest.mark.parametrize("init", ["", None])
def test_dotted_names_beside_the_courses_own(folder, printed_line, init):
    course.write(folder, "src", [], init=init, other="K = 4")
    course.write(folder / "src", "utils", ["solver.py", "vis_utils.py"], init=init)
    course.write(folder / "src", "nndl", ["layers.py"], init=init)
    import src.other
    import src.utils.solver

    held = src.utils.solver
    fastfc.install_as("src.utils", "src.nndl", keep=["src.nndl.layers"])
    assert "replaces your src.utils.solver and leaves src.nndl.layers" in printed_line()
    from src.nndl.layers import affine_forward
    from src.utils.vis_utils import GRID

    assert affine_forward(1, 2, 3) == ("the course's", None)
    assert (GRID, src.other.K) == (3, 4)
    assert src.utils.solver is not held
    assert src.utils.solver.Solver is fastfc.solver.Solver
    fastfc.uninstall()
    assert src.utils.solver is sys.modules["src.utils.solver"] is held


# --- files that do not run --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["def (", "print 'of Python 2'", "import cPickle", "1 / 0"])
def test_a_broken_file_is_seen(folder, text):
    """By the default filters, which hide an ImportWarning, and at the line that imports."""
    course.write(folder, "nndl", [], optim=text)
    fastfc.install_as("nndl")
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        for category in (DeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        from nndl.optim import sgd
    assert sgd is fastfc.optim.sgd
    (warning,) = caught
    assert warning.filename == __file__
    assert str(folder / "nndl" / "optim.py") in str(warning.message)
    assert str(warning.message).startswith("a file of the course fails to run")


@pytest.mark.filterwarnings("ignore")
def test_a_syntax_error_under_autoreload(folder, capsys):
    """IPython prints the error, and all names stay."""
    autoreload = pytest.importorskip("IPython.extensions.autoreload")
    root = course.write(folder, "nndl")
    fastfc.install_as("nndl")
    import nndl.layers

    before = dict(vars(nndl.layers))
    reloader = autoreload.ModuleReloader()
    reloader.enabled = reloader.check_all = True
    reloader.check()
    capsys.readouterr()
    for i, text in enumerate(["def (", "1 / 0"], start=1):
        (root / "layers.py").write_text(text)
        os.utime(root / "layers.py", (2e9 + i, 2e9 + i))
        reloader.check()
        message = capsys.readouterr().err
        assert "autoreload of nndl.layers failed" in message
        assert ["SyntaxError", "ZeroDivisionError"][i - 1] in message
        now = vars(nndl.layers)
        assert {name for name in before if name[0] != "_"} <= now.keys()
        assert nndl.layers.affine_forward is fastfc.layers.affine_forward
        assert nndl.layers.conv_forward is before["conv_forward"]
    (root / "layers.py").write_text("def conv_forward(x):\n    return affine_forward, 'mended'\n")
    os.utime(root / "layers.py", (2e9 + 9, 2e9 + 9))
    reloader.check()
    assert capsys.readouterr().err == ""
    assert nndl.layers.conv_forward(0) == (fastfc.layers.affine_forward, "mended")


def test_a_file_broken_at_first_is_served_when_mended(folder):
    root = course.write(folder, "nndl", layers="def (")
    fastfc.install_as("nndl")
    with pytest.warns(UserWarning, match="fails to run"):
        import nndl.layers
    with pytest.raises(SyntaxError):
        importlib.reload(nndl.layers)
    assert nndl.layers.relu_forward is fastfc.layers.relu_forward
    (root / "layers.py").write_text("own = 1\n")
    assert importlib.reload(nndl.layers).own == 1
