"""A stranger's Solver drives our networks, and our Solver a stranger's model."""

import numpy as np
import pytest

from fastfc import fc_net, optim
from fastfc.reference import fc_net as reference
from fastfc.solver import Solver
from tests.support.strangers import StrangeModel, StrangeSolver, clusters, momentum_by_hand

RULES = {"by hand": momentum_by_hand, **{name: getattr(optim, name) for name in optim.__all__}}
CONFIGS = {
    "adam": {"learning_rate": 1e-2},
    "adamw": {"learning_rate": 1e-2, "weight_decay": 0.0},  # by default our Solver spares biases
    "sgd": {"learning_rate": 5e-2},
}
NETS = {
    "plain": {},
    "batchnorm": {"use_batchnorm": True},
    "dropout": {"dropout": 0.8},
    "all": {"use_batchnorm": True, "dropout": 0.8, "reg": 1e-3},
}


def network(nets, **options):
    np.random.seed(2)
    return nets.FullyConnectedNet([20, 12], 6, 4, weight_scale=0.3, dtype=np.float64, **options)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("options", NETS)
def test_a_strangers_solver_drives_our_networks(rule, options):
    """As it drives the reference; and it learns."""
    solvers = []
    for nets in (fc_net, reference):
        model = network(nets, **NETS[options])
        solver = StrangeSolver(model, clusters(), RULES[rule], CONFIGS.get(rule, {}))
        np.random.seed(3)
        solver.train(80)
        solvers.append(solver)
    np.testing.assert_allclose(solvers[0].loss_history, solvers[1].loss_history, rtol=1e-6)
    assert solvers[0].accuracy() == solvers[1].accuracy() > 0.8
    for name, config in solvers[0].optim_configs.items():
        assert config.keys() == solvers[1].optim_configs[name].keys()


@pytest.mark.parametrize("rule", RULES)
def test_our_solver_does_a_strangers_steps(rule):
    """The same losses, parameters and state as in the stranger's own hands, bit for bit."""
    left = []
    for hand in (
        lambda model, data: StrangeSolver(model, data, RULES[rule], CONFIGS.get(rule, {}), 25),
        lambda model, data: Solver(
            model,
            data,
            update_rule=RULES[rule],
            optim_config=CONFIGS.get(rule, {}),
            batch_size=25,
            verbose=False,
        ),
    ):
        np.random.seed(4)
        solver = hand(StrangeModel(6, 4), clusters())
        for _ in range(30):
            solver._step()
        left.append((solver.loss_history, solver.model.params, solver.optim_configs))
    (losses, params, configs), (our_losses, our_params, our_configs) = left
    assert our_losses == losses
    for name in params:
        np.testing.assert_array_equal(our_params[name], params[name])
        assert our_configs[name].keys() == configs[name].keys()
        for key, value in configs[name].items():
            np.testing.assert_array_equal(our_configs[name][key], value)


@pytest.mark.parametrize("rule", RULES)
def test_our_solver_trains_a_strangers_model(rule):
    np.random.seed(4)
    model = StrangeModel(6, 4)
    rule_given = rule if rule in optim.__all__ else RULES[rule]
    config = CONFIGS.get(rule, {})
    solver = Solver(
        model, clusters(), update_rule=rule_given, optim_config=config, batch_size=25, verbose=False
    )
    solver.train()
    assert len(solver.loss_history) == 60
    assert solver.best_val_acc > 0.6
    assert solver.check_accuracy(solver.X_val, solver.y_val) == solver.best_val_acc
    assert solver.best_bn_params == []
