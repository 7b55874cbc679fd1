"""``fastfc verify``: it sees what is wrong, under which instruction set and in which dtype."""

import json
import re

import numpy as np
import pytest

from fastfc import _core, fc_net, layers, optim
from fastfc.update_rules import RULES
from fastfc.verifying import verify
from fastfc.verifying.networks import CHECKS, NETWORKS
from fastfc.verifying.operations import OPERATIONS
from tests.support.cli import complaint, output

QUICK = ("verify", "--operation", "relu_forward", "--operation", "sgd")
SETS = _core.available_isas()


def test_what_it_prints(capsys):
    lines = output(capsys, *QUICK).splitlines()
    assert lines[0].startswith("fastfc ")
    rows = {line.split("  ")[0]: line.split()[1:] for line in lines[4:-2]}
    assert rows.keys() == {
        *("relu_forward", "leaky_relu_forward", "sgd", "sgd_momentum", "sgd_nesterov_momentum")
    }
    assert {len(row) for row in rows.values()} == {2 * len(SETS)}
    assert set(rows["relu_forward"]) == {"0"}
    assert re.fullmatch(r"5 operations, \d+ cases, \d+ s: all right", lines[-1])


def test_one_instruction_set(capsys):
    found = json.loads(output(capsys, *QUICK, "--isa", SETS[0], "--json"))
    assert found["ok"]
    assert {row["isa"] for row in found["rows"]} == {SETS[0]}
    assert {row["dtype"] for row in found["rows"]} == {"float32", "float64"}
    assert found["config"]["isa"]["available"] == list(SETS)


def test_everything_is_as_it_was_afterwards():
    before, state = _core.isa(), np.random.get_state()[1:3]
    list(verify(accepts=lambda name: name in ("dropout_forward", "training steps")))
    assert _core.isa() == before
    np.testing.assert_equal(np.random.get_state()[1:3], state)


def test_every_update_rule_trains_a_network():
    assert {rule for *_, rule in NETWORKS} == set(RULES)


def spoiled(function, spoil, isa, dtype):
    """Return the function, wrong under an instruction set and in a dtype."""

    def wrong(*args, **kwargs):
        result = function(*args, **kwargs)
        here = _core.isa() == isa and any(getattr(arg, "dtype", None) == dtype for arg in args)
        return spoil(result) if here else result

    return wrong


def first(change):
    """Spoil the last element of the first result."""

    def spoil(result):
        out = result[0] if isinstance(result, tuple) else result
        if out.size:
            out.flat[-1] = change(out.flat[-1])
        return result

    return spoil


@pytest.mark.parametrize(
    ("module", "name", "change"),
    [
        (layers, "relu_forward", lambda value: -value if value else 1),
        (layers, "affine_forward", lambda value: value * 1.001 + 0.001),
        (layers, "batchnorm_forward", lambda value: value * 1.001 + 0.001),
        (layers, "layernorm_backward", lambda value: np.inf),
        (layers, "sigmoid_backward", lambda value: np.nan),
        (layers, "gelu_forward", lambda value: value * 1.001 + 0.001),
        (layers, "dropout_forward", lambda value: value + 1),
        (optim, "adam", lambda value: value * 1.001 + 0.001),
    ],
)
def test_one_wrong_element_is_seen(capsys, monkeypatch, module, name, change):
    isa = SETS[-1]
    monkeypatch.setattr(
        module, name, spoiled(getattr(module, name), first(change), isa, np.float32)
    )
    out = output(capsys, "verify", "--operation", name, status=1)
    faults = [line for line in out.splitlines() if f", {isa}, float32: " in line]
    assert faults
    assert all(line.startswith(name) for line in faults)
    assert f", {isa}, float64: " not in out
    assert f" {len(faults)} of " in out.splitlines()[-1]
    assert out.splitlines()[-1].endswith(" WRONG")


def test_an_error_and_a_missing_result_are_seen(capsys, monkeypatch):
    def fails(*_):
        raise ValueError("no such kernel")

    monkeypatch.setattr(layers, "relu_forward", fails)
    out = output(capsys, "verify", "--operation", "relu_forward", status=1)
    assert "ValueError: no such kernel" in out
    monkeypatch.setattr(layers, "relu_forward", lambda x: (x[:-1] if x.ndim else x, x))
    assert "shape" in output(capsys, "verify", "--operation", "relu_forward", status=1)


def wrong_by_a_bit(function):
    def wrong(*args, **kwargs):
        result = function(*args, **kwargs)
        return result * np.asarray(1 + 1e-3, getattr(result, "dtype", float))

    return wrong


@pytest.mark.parametrize(
    ("name", "place", "attribute"),
    [
        ("training steps", fc_net.FullyConnectedNet, "_test_scores"),
        ("rows of data", _core, "gather"),
        ("sums of squares", _core, "sum_of_squares"),
    ],
)
def test_wrong_passes_are_seen(capsys, monkeypatch, name, place, attribute):
    monkeypatch.setattr(place, attribute, wrong_by_a_bit(getattr(place, attribute)))
    found = json.loads(output(capsys, "verify", "--operation", name, "--json", status=1))
    assert not any(row["ok"] for row in found["rows"])
    assert {row["operation"] for row in found["rows"]} == {name}


def test_a_wrong_predictor_is_seen(monkeypatch):
    def wrong(self):
        predict = right(self)
        return lambda X: predict(X) * (1 + 1e-3)

    right = fc_net.FullyConnectedNet.predictor
    assert all(row.ok for row in verify(accepts=lambda name: name == "predictors"))
    monkeypatch.setattr(fc_net.FullyConnectedNet, "predictor", wrong)
    assert not any(row.ok for row in verify(accepts=lambda name: name == "predictors"))
    assert set(CHECKS) > {"predictors"}


def test_every_operation_is_verified():
    """By its name: the table is the tests' own."""
    assert len({str(operation) for operation in OPERATIONS}) == len(OPERATIONS) > 40


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--isa avx3", "did you mean 'avx"),
        ("--operation conv", "--operation: no operation has conv in its name"),
        ("--opperation conv", "did you mean '--operation'?"),
    ],
)
def test_wrong_options(capsys, argv, message):
    assert message in complaint(capsys, "verify", *argv.split())
