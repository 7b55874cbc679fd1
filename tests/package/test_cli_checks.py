"""``fastfc gradcheck`` and ``fastfc verify``: they are silent about nothing that is wrong."""

import json

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.networks.arguments import ACTIVATIONS
from fastfc.networks.losses import LOSSES
from tests.support.cli import complaint, output

pytestmark = pytest.mark.usefixtures("empty_folder")


# gradcheck


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "--hidden",
        "--dropout 0.5 --hidden 8 8",
        "--rng philox --dropout 0.7 --dropout-seed 3",
        "--no-batchnorm --reg 0.5 --label-smoothing 0.2",
        "--backend reference --hidden 8 5",
        "--elements 1000 --hidden 5 --inputs 3 --outputs 1 --batch 2 --seed 9",
        *(f"--hidden 8 --activation {name}" for name in ACTIVATIONS),
        *(f"--hidden 8 --loss {name}" for name in LOSSES),
    ],
)
def test_gradients_are_right(capsys, argv):
    out = output(capsys, "gradcheck", *argv.split())
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["parameter", "shape", "checked", "largest", "error"]
    assert {row[-1] for row in rows[1:]} == {"right"}


@pytest.mark.parametrize("change", ["W2", "b3", "gamma1", "beta2"])
@pytest.mark.parametrize("factor", [0, 0.999, -1, np.nan])
def test_a_wrong_gradient_is_seen(capsys, monkeypatch, change, factor):
    def wrong(self, *args, **kwargs):
        loss, grads = right(self, *args, **kwargs)
        grads[change] = grads[change] * factor
        return loss, grads

    right = fc_net.FullyConnectedNet.loss
    monkeypatch.setattr(fc_net.FullyConnectedNet, "loss", wrong)
    out = output(capsys, "gradcheck", "--hidden", "6", "5", status=1)
    lines = [line for line in out.splitlines() if "WRONG" in line]
    assert [line.split()[0] for line in lines] == [change]
    found = json.loads(output(capsys, "gradcheck", "--hidden", "6", "5", "--json", status=1))
    assert not found["ok"]
    assert [row["parameter"] for row in found["parameters"] if not row["ok"]] == [change]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--inputs 0", "argument --inputs: '0' is not a whole number from 1"),
        ("--loss huger", "did you mean 'huber'?"),
        ("--loss-param 2", "--loss-param: loss_param is 2.0, expected None"),
        ("--dtype float32", "no such option: --dtype"),
        ("--hiden 5", "did you mean '--hidden'?"),
    ],
)
def test_wrong_options_of_gradcheck(capsys, argv, message):
    assert message in complaint(capsys, "gradcheck", *argv.split())
