"""``mpiexec -n R fastfc train``: one run, which prints and writes as that of one process."""

import json
import re

from fastfc.training import read_checkpoint
from tests.distributed import launch

SMALL = "--hidden", "8", "--epochs", "2", "--print-every", "1000", "--out", "run"


def test_one_run_of_two_ranks(tmp_path):
    status, out, err = launch.run(2, "fastfc", "train", *SMALL, folder=tmp_path)
    assert (status, err) == (0, ""), out + err
    lines = [line.split(":")[0] for line in out.splitlines()]
    assert lines == [
        *("data", "network", "(Iteration 1 / 22) loss", "(Epoch 0 / 2) train acc"),
        *("(Epoch 1 / 2) train acc", "(Epoch 2 / 2) train acc", "validation accuracy"),
        *("test accuracy", "seconds", "examples per second", "run"),
    ]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["epochs"], summary["steps"]) == (2, 22)

    more = "train", "--resume", "run", "--epochs", "3"
    status, out, err = launch.run(2, "fastfc", *more, folder=tmp_path)
    assert (status, err) == (0, ""), out + err
    assert out.count("(Epoch 3 / 3)") == 1
    assert len(read_checkpoint(tmp_path / "run/checkpoints/run_epoch_3.npz")["loss_history"]) == 33


def test_a_loss_that_is_not_finite_is_said_once(tmp_path):
    wrong = "train", *SMALL, "--learning-rate", "1e30"
    status, _, err = launch.run(2, "fastfc", *wrong, folder=tmp_path)
    assert status == 2, err
    assert (
        len(re.findall("^fastfc: the loss is .*choose a smaller --learning-rate$", err, re.M)) == 1
    )


def test_ranks_have_options(tmp_path):
    """Statistics of each rank's own rows give other losses, and ranks that still agree."""
    losses = []
    for options in ((), ("--no-sync-batchnorm", "--check-ranks", "--comm-timeout", "100")):
        status, out, err = launch.run(
            2, "fastfc", "train", *SMALL[:-2], "--json", *options, folder=tmp_path
        )
        assert status == 0, out + err
        found = json.loads(out)
        losses.append(found["loss_history"])
    assert found["options"]["comm_timeout"] == 100
    assert losses[0] != losses[1]


def test_an_error_ends_all(tmp_path):
    """All ranks find it; who is first ends the others."""
    status, out, err = launch.run(
        2, "fastfc", "train", *SMALL, "--resume", "nowhere", folder=tmp_path
    )
    assert status == 2, out + err
    assert "fastfc: --" in err
    assert out == ""
