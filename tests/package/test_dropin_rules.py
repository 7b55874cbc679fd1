"""The course's own update rules and data_utils, beside what install_as serves."""

import numpy as np
import pytest

import fastfc
from fastfc import fc_net, optim
from tests.support import course

pytestmark = pytest.mark.usefixtures("given_back")

# --- rules ------------------------------------------------------------------------------------

ADAGRAD = """
    import numpy as np

    def adagrad(w, dw, config=None):
        config = {"learning_rate": 0.1} if config is None else config
        config["cache"] = config.get("cache", 0) + dw**2
        return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + 1e-7), config

    def sgd(w, dw, config=None):
        raise AssertionError("the course's own sgd")
    """


def solver_with(rule):
    X, y = np.random.RandomState(0).randn(40, 6), np.arange(40) % 3
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    np.random.seed(1)
    model = fc_net.FullyConnectedNet([8], 6, 3, weight_scale=0.3)
    config = {"learning_rate": 0.05}
    return fastfc.solver.Solver(
        model, data, update_rule=rule, optim_config=config, num_epochs=20, verbose=False
    )


def test_a_rule_that_only_the_course_has(folder):
    course.write(folder, "cs231n", [], optim=ADAGRAD)
    fastfc.install_as("cs231n")
    solver = solver_with("adagrad")
    solver.train()
    assert solver.loss_history[-1] < solver.loss_history[0]
    import cs231n.optim

    assert solver.update_rule is cs231n.optim.adagrad
    assert solver_with("sgd").update_rule is optim.sgd


def test_a_rule_of_another_package_than_the_solvers(folder):
    course.write(folder, "nndl", [], optim=ADAGRAD)
    fastfc.install_as("utils", "nndl")
    assert solver_with("adagrad").update_rule.__module__ == "nndl.optim"


def test_a_rule_that_was_replaced_or_added():
    fastfc.install_as("cs231n")
    import cs231n.optim

    def mine(w, dw, config=None):
        return w - 0.1 * dw, config

    assert solver_with("sgd").update_rule is optim.sgd
    cs231n.optim.sgd = mine
    cs231n.optim.mine = mine
    assert solver_with("sgd").update_rule is mine
    assert solver_with("mine").update_rule is mine
    assert solver_with("adam").update_rule is optim.adam
    fastfc.uninstall()
    assert solver_with("sgd").update_rule is optim.sgd
    with pytest.raises(ValueError, match='Invalid update_rule "mine"'):
        solver_with("mine")


def test_a_rule_replaced_in_fastfc_itself(monkeypatch):
    fastfc.install_as("cs231n")
    import cs231n.optim  # noqa: F401

    def mine(w, dw, config=None):
        return w, config

    monkeypatch.setattr(optim, "sgd", mine)
    assert solver_with("sgd").update_rule is mine


def test_rules_of_a_kept_optim(folder):
    course.write(folder, "cs231n", [], optim=ADAGRAD)
    fastfc.install_as("cs231n", keep=["optim"])
    assert solver_with("sgd").update_rule.__module__ == "cs231n.optim"
    with pytest.raises(AssertionError, match="the course's own sgd"):
        solver_with("sgd").train()
    with pytest.raises(ValueError, match=r'rule "adam": cs231n\.optim, which you keep, has none'):
        solver_with("adam")


@pytest.mark.parametrize("name", ["np", "__name__", "_hidden", "nothing", "NUMBER"])
def test_what_is_no_rule(folder, name):
    text = "import numpy as np\nNUMBER = 3\ndef _hidden(w, dw, config=None):\n    pass\n"
    course.write(folder, "cs231n", [], optim=text)
    fastfc.install_as("cs231n")
    with pytest.raises(ValueError, match=f'Invalid update_rule "{name}"'):
        solver_with(name)


# --- data_utils -------------------------------------------------------------------------------

DATA_UTILS = """
    def get_CIFAR10_data({}):
        return "the course's"

    def load_CIFAR10(ROOT):
        return "the course's"
    """
OURS = "num_training=49000, num_validation=1000, num_test=1000"


@pytest.mark.parametrize(
    ("parameters", "own"),
    [
        (OURS, False),
        (f"{OURS}, subtract_mean=True", False),
        ("num_training=49000", False),
        (f"path_to_cifar_dir, {OURS}", True),
        (f"{OURS}, cifar10_dir='here'", True),
        ("cifar10_dir", True),
        ("num_training=48000, num_validation=1000, num_test=1000", True),  # other splits
        (f"{OURS}, subtract_mean=False", True),
        ("*args, **kwargs", True),
    ],
)
def test_the_courses_data_utils(folder, parameters, own):
    course.write(folder, "utils", [], data_utils=DATA_UTILS.format(parameters))
    fastfc.install_as("utils")
    from utils.data_utils import get_CIFAR10_data, load_CIFAR10

    assert (get_CIFAR10_data is not fastfc.data_utils.get_CIFAR10_data) == own
    if own:
        assert get_CIFAR10_data("anywhere") == "the course's"
    assert load_CIFAR10 is fastfc.data_utils.load_CIFAR10
